"""The conductor's side of its workers: starting them, giving them jobs, hearing them, burying them."""

import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence

from pydantic import ValidationError

from isoloss.execution.messages import MESSAGES, Assignment, JobEnded, JobRefused, Message
from isoloss.runs.archive import Archive
from isoloss.runs.documents import NO_DOCUMENTS
from isoloss.runs.record import RunRecord
from isoloss.training.curve import curve_columns
from isoloss.training.events import Note, Report, RunEnded
from isoloss.training.job import TrunkJob
from isoloss.training.provenance import failed_record

# A trunk whose worker dies is tried once more: the machine may have been short of memory for a while.
ATTEMPTS = 2
# Workers get so long to write their checkpoints and end (they give themselves less).
STOP_SECONDS = 10.0
# Of what a dead worker left on standard error, so much goes into the record.
REASON_CHARACTERS = 300


class Crew:
    """The workers of one call to an executor, and what is left for them to do."""

    def __init__(self, archive: Archive, *, on_event: Report, threads: int, checkpoint_seconds: float) -> None:
        self.archive, self.on_event = archive, on_event
        self.threads, self.checkpoint_seconds = threads, checkpoint_seconds
        self.workers: list[_Worker] = []
        self.todo: deque[TrunkJob] = deque()
        self.deaths: Counter[str] = Counter()
        self.told: set[str] = set()
        self.inbox: queue.Queue[tuple[_Worker, Message | None]] = queue.Queue()

    def train(self, jobs: Sequence[TrunkJob], *, at_once: int) -> Iterator[RunRecord]:
        """Yield the record of every run of `jobs` as it is there, training `at_once` jobs at a time, in their order."""
        self.todo.extend(jobs)
        for _ in range(min(at_once, len(jobs))):
            self._hire()
        while self.workers:
            worker, message = self.inbox.get()
            match message:
                case None:
                    yield from self._bury(worker)
                case JobRefused():
                    raise message.exception()
                case JobEnded():
                    yield from self._next_job(worker, busy=message.busy)
                case RunEnded():
                    self.on_event(message)
                    yield from self._records([message.run])
                case _:
                    self.on_event(message)

    def dismiss(self) -> None:
        """Stop every worker: they write their checkpoints; those that take too long are killed."""
        for worker in self.workers:
            worker.let_go()
        deadline = time.monotonic() + STOP_SECONDS
        try:
            for worker in self.workers:
                worker.wait(deadline - time.monotonic())
        finally:  # also when Ctrl-C comes a second time
            for worker in self.workers:
                worker.close()
            self.workers.clear()

    def _hire(self) -> None:
        worker = _Worker(self.archive, threads=self.threads, inbox=self.inbox)
        self.workers.append(worker)
        worker.assign(self.todo.popleft(), checkpoint_seconds=self.checkpoint_seconds)

    def _next_job(self, worker: "_Worker", *, busy: bool) -> Iterator[RunRecord]:
        """Take the job a worker is through with, and give it another or let it go."""
        job, worker.job = worker.job, None
        assert job is not None
        if busy:
            self.on_event(Note(trunk=job.trunk, text="another process trains this trunk; it is looked at again later"))
            self.todo.append(job)
        else:
            yield from self._records([spec.fingerprint for spec in job.specs])
        if self.todo:
            worker.assign(self.todo.popleft(), checkpoint_seconds=self.checkpoint_seconds)
        else:
            worker.let_go()

    def _bury(self, worker: "_Worker") -> Iterator[RunRecord]:
        """Part from a worker that ended: with its work done, or in the middle of a job."""
        worker.wait(STOP_SECONDS)
        self.workers.remove(worker)
        if worker.job is not None:
            yield from self._after_death(worker.job, worker.reason(), worker.age())
        worker.close()
        if self.todo:
            self._hire()

    def _after_death(self, job: TrunkJob, reason: str, seconds: float) -> Iterator[RunRecord]:
        self.deaths[job.trunk] += 1
        if self.deaths[job.trunk] < ATTEMPTS:
            self.on_event(Note(trunk=job.trunk, text=f"worker died: {reason}; the trunk is tried once more"))
            self.todo.appendleft(job)
            return
        for spec in job.specs:
            if not self.archive.has(spec.fingerprint):
                record = failed_record(spec, error=f"worker died {ATTEMPTS} times: {reason}", wall_seconds=seconds)
                self.archive.write(record, curve=curve_columns(spec, (), {}), documents=NO_DOCUMENTS)
                self.on_event(RunEnded(trunk=job.trunk, run=spec.fingerprint, status="failed"))
        yield from self._records([spec.fingerprint for spec in job.specs])

    def _records(self, runs: Sequence[str]) -> Iterator[RunRecord]:
        """Yield the records of those `runs` that have not been told of."""
        for run in runs:
            if run not in self.told and (record := self.archive.read(run)) is not None:
                self.told.add(run)
                yield record


class _Worker:
    """A process that trains what it is given, and ends when it is let go."""

    def __init__(self, archive: Archive, *, threads: int, inbox: "queue.Queue[tuple[_Worker, Message | None]]") -> None:
        self.job: TrunkJob | None = None
        self.started = time.monotonic()
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed in `close`, after the process
        self.process = subprocess.Popen(
            [sys.executable, "-m", "isoloss.execution.worker_main", str(archive.folder.resolve())],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True, encoding="utf-8",
            env={**os.environ, **environment(threads)},
        )  # fmt: skip
        self.listener = threading.Thread(target=self._listen, args=(inbox,), daemon=True)
        self.listener.start()

    def assign(self, job: TrunkJob, *, checkpoint_seconds: float) -> None:
        """Give the worker a job."""
        self.job = job
        self._write(Assignment(specs=job.specs, checkpoint_seconds=checkpoint_seconds).model_dump_json() + "\n")

    def let_go(self) -> None:
        """Cut the cord: the worker ends, after a checkpoint if it is training."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            return  # it is dead already

    def wait(self, seconds: float) -> None:
        """Wait for the process to end, for at most `seconds`, then kill it."""
        try:
            self.process.wait(max(0.0, seconds))
        except subprocess.TimeoutExpired:
            self._kill()

    def close(self) -> None:
        """End the process at once if it still runs, and close what is open to it."""
        self._kill()
        self.let_go()
        self.listener.join()
        self.errors.close()

    def _kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def age(self) -> float:
        """Return for how many seconds the worker has lived."""
        return time.monotonic() - self.started

    def reason(self) -> str:
        """Return what is known of a dead worker's end."""
        code = self.process.returncode
        how = f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
        if code == -signal.SIGKILL:
            how += " (the system ends processes so when memory runs out)"
        self.errors.seek(0)
        last_words = self.errors.read().decode(errors="replace").strip()[-REASON_CHARACTERS:]
        return f"{how}: {last_words}" if last_words else how

    def _write(self, line: str) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(line)
            self.process.stdin.flush()
        except BrokenPipeError:
            return  # it died; its silence will say so

    def _listen(self, inbox: "queue.Queue[tuple[_Worker, Message | None]]") -> None:
        assert self.process.stdout is not None
        try:
            with self.process.stdout as lines:
                for line in lines:
                    inbox.put((self, MESSAGES.validate_json(line)))
        except ValidationError:
            self.process.kill()  # a worker that talks nonsense, or was cut off in a line, counts as dead
        finally:
            inbox.put((self, None))


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
