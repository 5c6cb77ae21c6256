"""A main process to be killed: `python drive_executor.py ARCHIVE` trains the trunks of two small studies and ends."""

import sys

from isoloss.execution import Where
from isoloss.execution.local import LocalExecutor
from isoloss.runs.archive import Archive
from isoloss.training.job import trunk_jobs
from tiny_training import tiny_spec


def study_specs():
    return [
        *(tiny_spec(steps, width=8, seed=seed) for seed in (0, 1) for steps in (300, 600, 1200, 2400)),
        tiny_spec(2000, width=16, kind="cosine"),
    ]


def main():
    archive = Archive(sys.argv[1])
    executor = LocalExecutor(Where(workers=2, checkpoint_seconds=0.1))
    for _ in executor.run(trunk_jobs(study_specs()), archive, on_event=lambda event: print(event, flush=True)):
        pass


if __name__ == "__main__":
    main()
