"""What running a study costs in addition to training: seconds a run of each executor, from 10 runs to 1,000.

    python benchmarks/execution.py

Every run is a trunk of its own and ends at once with a record, a file that is flushed to the disk; the same records
written by this process alone are the limit. Prints one JSON object: for each executor seconds by number of runs, and
milliseconds a run from the smallest number to the largest, start-up left out that way: by the clock, and of this
process's own computing, which a shared machine moves less.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(TESTS / "helpers"), str(TESTS / "execution")]
os.environ["PYTHONPATH"] = os.pathsep.join([str(TESTS / "execution"), os.environ.get("PYTHONPATH", "")])

SIZES = (10, 100, 1000)
TRAINER = "stub_training:instant"


def jobs(runs):
    from isoloss.training.job import trunk_jobs
    from tiny_training import tiny_spec

    return trunk_jobs([tiny_spec(5, seed=seed) for seed in range(runs)])


def alone(archive, work):
    """The limit: one process that writes the records."""
    from stub_training import instant

    for job in work:
        instant(job, archive)
        yield from job.specs


def local(archive, work):
    from isoloss.execution.local import LocalExecutor

    executor = LocalExecutor()
    executor.trainer = TRAINER
    return executor.run(work, archive)


def ray(archive, work):
    from isoloss.execution.ray_cluster import RayExecutor

    executor = RayExecutor()
    executor.trainer = TRAINER
    return executor.run(work, archive, on_event=lambda event: None)


def seconds(how, runs):
    from isoloss.runs.archive import Archive

    work = jobs(runs)
    with tempfile.TemporaryDirectory() as folder:
        started, computed = time.perf_counter(), time.process_time()
        ended = sum(1 for _ in how(Archive(folder), work))
        took = time.perf_counter() - started, time.process_time() - computed
    assert ended == runs, f"{ended} of {runs} runs ended"
    return took


def measured(how):
    took = {runs: seconds(how, runs) for runs in SIZES}
    few, most = min(SIZES), max(SIZES)
    by_clock, computing = (1e3 * (took[most][i] - took[few][i]) / (most - few) for i in range(2))
    return {
        "seconds": {runs: clock for runs, (clock, _) in took.items()},
        "milliseconds_a_run": by_clock,
        "conductor_cpu_milliseconds_a_run": computing,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--executor", choices=["local", "ray"], action="append", help="Both without it.")
    asked = parser.parse_args().executor or ["local", "ray"]
    found = {how.__name__: measured(how) for how in (alone, local, ray) if how is alone or how.__name__ in asked}
    limit = found["alone"]["milliseconds_a_run"]
    for name in asked:
        found[name]["scheduling_milliseconds_a_run"] = found[name]["milliseconds_a_run"] - limit
    print(json.dumps({"cores": os.cpu_count(), **found}, indent=1))


if __name__ == "__main__":
    main()
