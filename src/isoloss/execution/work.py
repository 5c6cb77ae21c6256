"""What every executor does alike: which jobs are left, how a trunk is held and trained, what records are given back."""

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from importlib import import_module
from importlib.util import find_spec

from isoloss.core.errors import InputError
from isoloss.execution.lock import trunk_lock
from isoloss.runs.archive import Archive
from isoloss.runs.documents import NO_DOCUMENTS
from isoloss.runs.record import RunRecord
from isoloss.runs.underway import lock_path
from isoloss.training.curve import curve_columns
from isoloss.training.events import Note, Report, RunEnded
from isoloss.training.job import TrunkJob
from isoloss.training.provenance import failed_record

# What trains a trunk, as `module:function`; benchmarks and tests put another in its place.
RUN_TRUNK = "isoloss.training.worker:run_trunk"
# A trunk whose worker dies is tried once more: the machine may have been short of memory for a while.
ATTEMPTS = 2
# Workers get so long to write their checkpoints and end (they give themselves less).
STOP_SECONDS = 10.0
# How long a worker waits for a trunk that another process trains before it asks for other work.
LOCK_SECONDS = 2.0


def unfinished(jobs: Sequence[TrunkJob], archive: Archive) -> Generator[RunRecord, None, list[TrunkJob]]:
    """Yield the records of the jobs that are done, and return the others, the longest first."""
    todo = []
    for job in sorted(jobs, key=lambda job: -job.flops):
        if all(archive.has(spec.fingerprint) for spec in job.specs):
            yield from (record for spec in job.specs if (record := archive.read(spec.fingerprint)))
        else:
            todo.append(job)
    return todo


def require(module: str, *, extra: str) -> None:
    """Raise InputError where a library is missing that an executor needs."""
    if find_spec(module) is None:
        raise InputError(f"this needs {module}, which is not installed", fix=f"pip install 'isoloss[{extra}]'")


def threads_of(jobs: Sequence[TrunkJob]) -> int:
    """Return the most threads that a run of the jobs takes."""
    return max(spec.numerics.threads for job in jobs for spec in job.specs)


def device_of(jobs: Sequence[TrunkJob]) -> str:
    """Return `cuda` where a run of the jobs needs a GPU, else `cpu`."""
    return "cuda" if any(spec.numerics.device == "cuda" for job in jobs for spec in job.specs) else "cpu"


def train_job(
    archive: Archive, job: TrunkJob, *, trainer: str = RUN_TRUNK, report: Report, stop: Callable[[], bool],
    checkpoint_seconds: float,
) -> bool:  # fmt: skip
    """Train a job in this process unless another holds its trunk for too long; return whether it was trained."""
    module, _, function = trainer.partition(":")
    run_trunk = getattr(import_module(module), function)
    give_up = time.monotonic() + LOCK_SECONDS
    while not stop():
        with trunk_lock(lock_path(archive.checkpoint_folder(job.trunk))) as held:
            if held:
                run_trunk(job, archive, report=report, stop=stop, checkpoint_seconds=checkpoint_seconds)
                return True
        if time.monotonic() > give_up:
            break
        time.sleep(LOCK_SECONDS / 20)
    return False


class Records:
    """What one call to an executor gives back: the record of every run, once."""

    def __init__(self, archive: Archive, on_event: Report) -> None:
        self.archive, self.on_event = archive, on_event
        self.given: set[str] = set()

    def of_runs(self, runs: Iterable[str]) -> Iterator[RunRecord]:
        """Yield the records of those `runs` that were not given yet."""
        for run in runs:
            if run not in self.given and (record := self.archive.read(run)) is not None:
                self.given.add(run)
                yield record

    def of_job(self, job: TrunkJob) -> Iterator[RunRecord]:
        """Yield the records of a job's runs that were not given yet."""
        return self.of_runs(spec.fingerprint for spec in job.specs)

    def of_dead(self, job: TrunkJob, *, reason: str, seconds: float) -> Iterator[RunRecord]:
        """Record as failed what is left of a job whose worker died each time, and yield its records."""
        for spec in job.specs:
            if not self.archive.has(spec.fingerprint):
                error = f"worker died {ATTEMPTS} times: {reason}"
                record = failed_record(spec, error=error, wall_seconds=seconds)
                self.archive.write(record, curve=curve_columns(spec, (), {}), documents=NO_DOCUMENTS)
                self.on_event(RunEnded(trunk=job.trunk, run=spec.fingerprint, status="failed"))
        yield from self.of_job(job)

    def note_busy(self, job: TrunkJob) -> None:
        """Say that another process has the job's trunk."""
        self.on_event(Note(trunk=job.trunk, text="another process is training this trunk; it is checked again later"))


def environment(threads: int) -> dict[str, str]:
    """Return what must be set before a worker's libraries load. None of it changes a number."""
    count = str(threads)
    return {
        "OMP_NUM_THREADS": count, "MKL_NUM_THREADS": count, "OPENBLAS_NUM_THREADS": count,
        # glibc gives large blocks back to the system at each free and pays for fresh pages at each step; let it keep
        # them (32 MiB is the highest threshold it takes).
        "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20), "MALLOC_TRIM_THRESHOLD_": str(2**30),
        # Deterministic matrix products on a GPU ask for it.
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    }  # fmt: skip
