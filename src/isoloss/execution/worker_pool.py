"""The main process's side of its workers: starting them, giving them jobs, hearing them, reaping them."""

import os
import queue
import re
import signal
import subprocess
import tempfile
import threading
import time
from abc import abstractmethod
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import ClassVar, NamedTuple

from pydantic import ValidationError

from isoloss.execution.base import Executor
from isoloss.execution.messages import MESSAGES, Assignment, Failing, JobEnded, JobRefused, Message
from isoloss.execution.work import ATTEMPTS, STOP_SECONDS, Records, require, unfinished
from isoloss.runs.archive import Archive
from isoloss.runs.record import RunRecord
from isoloss.training.events import Advanced, Note, Report, RunEnded
from isoloss.training.job import TrunkJob

# Of what a dead worker left on standard error, so much goes into the record.
REASON_CHARACTERS = 300


class Place(NamedTuple):
    """Where a worker runs: by which command, with what of the environment of its own, in a session of its own or not.

    A session of its own keeps a terminal's Ctrl-C from it, and dies as one.
    """

    command: Sequence[str]
    environment: Mapping[str, str]
    own_session: bool = False


class WorkerPool:
    """The workers of one call to an executor, and what is left for them to do."""

    def __init__(self, archive: Archive, *, on_event: Report, checkpoint_seconds: float) -> None:
        self.on_event, self.checkpoint_seconds = on_event, checkpoint_seconds
        self.records = Records(archive, on_event)
        self.places: deque[Place] = deque()
        self.workers: list[_Worker] = []
        self.todo: deque[TrunkJob] = deque()
        self.deaths: Counter[str] = Counter()
        self.inbox: queue.Queue[tuple[_Worker, Message | None]] = queue.Queue()

    def train(self, jobs: Sequence[TrunkJob], *, places: Sequence[Place]) -> Iterator[RunRecord]:
        """Yield the record of every run of `jobs` as it is there, training a job a place, in their order."""
        self.todo.extend(jobs)
        self.places.extend(places)
        for _ in range(min(len(places), len(jobs))):
            self._hire()
        while self.workers:
            worker, message = self.inbox.get()
            match message:
                case None:
                    yield from self._reap(worker)
                case JobRefused():
                    raise message.exception()
                case Failing():
                    worker.last_words = message.text
                case JobEnded():
                    yield from self._next_job(worker, busy=message.busy)
                case RunEnded():
                    self.on_event(message)
                    yield from self.records.of_runs([message.run])
                case Advanced() | Note():
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
        worker = _Worker(self.places.popleft(), inbox=self.inbox)
        self.workers.append(worker)
        worker.assign(self.todo.popleft(), checkpoint_seconds=self.checkpoint_seconds)

    def _next_job(self, worker: "_Worker", *, busy: bool) -> Iterator[RunRecord]:
        """Take the job a worker is through with, and give it another or let it go."""
        job, worker.job = worker.job, None
        assert job is not None
        if busy:
            self.records.note_busy(job)
            self.todo.append(job)
        else:
            yield from self.records.of_job(job)
        if self.todo:
            worker.assign(self.todo.popleft(), checkpoint_seconds=self.checkpoint_seconds)
        else:
            worker.let_go()

    def _reap(self, worker: "_Worker") -> Iterator[RunRecord]:
        """Part from a worker that ended: with its work done, or in the middle of a job."""
        worker.wait(STOP_SECONDS)
        self.workers.remove(worker)
        self.places.append(worker.place)
        if worker.job is not None:
            yield from self._after_death(worker.job, worker.reason(), time.monotonic() - worker.started)
        worker.close()
        if self.todo:
            self._hire()

    def _after_death(self, job: TrunkJob, reason: str, seconds: float) -> Iterator[RunRecord]:
        self.deaths[job.trunk] += 1
        if self.deaths[job.trunk] < ATTEMPTS:
            self.on_event(Note(trunk=job.trunk, text=f"worker died: {reason}; the trunk is tried once more"))
            self.todo.appendleft(job)
            return
        yield from self.records.of_dead(job, reason=reason, seconds=seconds)


class PoolExecutor(Executor):
    """An executor of worker processes that this process starts, one a place."""

    needs: ClassVar[tuple[str, ...]] = ("torch",)
    """The libraries that the workers import."""

    @abstractmethod
    def places(self, jobs: Sequence[TrunkJob], archive: Archive) -> list[Place]:
        """Return a place for every worker. Raises InputError where there is none for such jobs."""

    def run(
        self, jobs: Sequence[TrunkJob], archive: Archive, *, on_event: Report = lambda event: None
    ) -> Iterator[RunRecord]:
        """Yield the record of every run of `jobs`, once, as it is there.

        Runs that the archive holds are not trained again, interrupted ones go on. A trunk whose worker dies is tried
        once more, then its runs are recorded as failed. Leaving the iterator or an exception in it, Ctrl-C included,
        stops the workers, which write their checkpoints first. Raises InputError without torch or a place, and what a
        worker refuses a job with: StorageError, BadCorpus, DamagedArchive.
        """
        todo = yield from unfinished(jobs, archive)
        if not todo:
            return
        for module in self.needs:
            require(module, extra="train")
        pool = WorkerPool(archive, on_event=on_event, checkpoint_seconds=self.where.checkpoint_seconds)
        try:
            yield from pool.train(todo, places=self.places(todo, archive))
        finally:
            pool.dismiss()


class _Worker:
    """A process that trains what it is given, and ends when it is let go."""

    def __init__(self, place: Place, *, inbox: "queue.Queue[tuple[_Worker, Message | None]]") -> None:
        self.place, self.last_words = place, ""
        self.job: TrunkJob | None = None
        self.started = time.monotonic()
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed in `close`, after the process
        self.process = subprocess.Popen(
            place.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True,
            encoding="utf-8", env={**os.environ, **place.environment}, start_new_session=place.own_session,
        )  # fmt: skip
        self.listener = threading.Thread(target=self._listen, args=(inbox,), daemon=True)
        self.listener.start()

    def assign(self, job: TrunkJob, *, checkpoint_seconds: float) -> None:
        """Give the worker a job."""
        self.job = job
        self._write(Assignment(specs=job.specs, checkpoint_seconds=checkpoint_seconds).model_dump_json() + "\n")

    def let_go(self) -> None:
        """close the pipe: the worker ends, after a checkpoint if it is training."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # it is dead already
            self.process.stdin.close()

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
            os.killpg(self.process.pid, signal.SIGKILL) if self.place.own_session else self.process.kill()
            self.process.wait()

    def reason(self) -> str:
        """Return what is known of a dead worker's end."""
        self.errors.seek(0)
        reported = self.errors.read().decode(errors="replace").strip()
        # torchrun ends with 1 whatever its processes died of, and tells of the first of them.
        cause = re.search(r"Root Cause.*?exitcode\s*:\s*(-?\d+)", reported, re.DOTALL)
        code = int(cause[1]) if cause else self.process.returncode
        how = f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
        if code == -signal.SIGKILL:
            how += " (the system ends processes so when memory runs out)"
        last_words = self.last_words or ("" if cause else reported[-REASON_CHARACTERS:])
        return f"{how}: {last_words}" if last_words else how

    def _write(self, line: str) -> None:
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # it died; its silence will say so
            self.process.stdin.write(line)
            self.process.stdin.flush()

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
