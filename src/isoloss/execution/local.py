"""Worker processes on this machine: each trains one trunk at a time on its share of the cores, the longest first."""

from collections.abc import Iterator, Sequence
from importlib.util import find_spec

from isoloss.core.errors import InputError
from isoloss.core.machine import workers_for
from isoloss.execution.crew import Crew
from isoloss.runs.archive import Archive
from isoloss.runs.record import RunRecord
from isoloss.training.events import Report
from isoloss.training.job import CHECKPOINT_SECONDS, TrunkJob


class LocalExecutor:
    """Processes on this machine, as many as its cores hold; `workers` overrides."""

    def __init__(self, workers: int | None = None, checkpoint_seconds: float = CHECKPOINT_SECONDS) -> None:
        self.workers = workers
        self.checkpoint_seconds = checkpoint_seconds

    def run(
        self, jobs: Sequence[TrunkJob], archive: Archive, *, on_event: Report = lambda event: None
    ) -> Iterator[RunRecord]:
        """Yield the record of every run of `jobs`, once, as it is there.

        Runs that the archive holds are not trained again, interrupted ones go on. A trunk whose worker dies is tried
        once more, then its runs are recorded as failed. Leaving the iterator or an exception in it, Ctrl-C included,
        stops the workers, which write their checkpoints first. Raises InputError without torch, and what a worker
        refuses a job with: StorageError, BadCorpus, DamagedArchive.
        """
        todo = []
        for job in sorted(jobs, key=lambda job: -job.flops):
            if all(archive.has(spec.fingerprint) for spec in job.specs):
                yield from (record for spec in job.specs if (record := archive.read(spec.fingerprint)))
            else:
                todo.append(job)
        if not todo:
            return
        if find_spec("torch") is None:
            raise InputError("training needs torch, which is not installed", fix="pip install 'isoloss[train]'")
        threads = max(spec.numerics.threads for job in todo for spec in job.specs)
        crew = Crew(archive, on_event=on_event, threads=threads, checkpoint_seconds=self.checkpoint_seconds)
        try:
            yield from crew.train(todo, at_once=self.workers or workers_for(threads))
        finally:
            crew.dismiss()
