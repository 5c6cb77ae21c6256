"""A worker: `python -m isoloss.execution.worker_main ARCHIVE TRAINER` trains the jobs that standard input names.

Standard input is also the link to the main process: when it closes, because that is done, was interrupted or was
killed, the worker writes a checkpoint and ends. Events go to standard output, everything else to standard error.
"""

import os
import queue
import signal
import sys
import threading
import time
from contextlib import suppress
from typing import Self, TextIO

from isoloss.core.errors import IsolossError
from isoloss.execution.messages import Assignment, JobEnded, JobRefused, Message
from isoloss.execution.work import train_job
from isoloss.runs.archive import Archive
from isoloss.training.job import Stopped

# Time to finish a step and write a checkpoint once the pipe closes.
GRACE_SECONDS = 5.0


class Control:
    """Assignments from the main process, and whether it still holds on.

    When the pipe closes the process ends: at once, or while `training` is set after some seconds of grace.
    """

    def __init__(self, source: TextIO) -> None:
        self.closed = threading.Event()
        self.training = threading.Event()
        self._assignments: queue.SimpleQueue[Assignment | None] = queue.SimpleQueue()
        threading.Thread(target=self._listen, args=(source,), daemon=True).start()

    def next(self) -> Assignment | None:
        """Return the next assignment, or None when there will be no more."""
        return self._assignments.get()

    def _listen(self, source: TextIO) -> None:
        for line in source:
            self._assignments.put(Assignment.model_validate_json(line))
        self.closed.set()
        self._assignments.put(None)
        if self.training.is_set():
            time.sleep(GRACE_SECONDS)
        os._exit(0)


class EventPipe:
    """Messages to the main process. When nobody listens any more they are dropped: its pipe is about to close."""

    def __init__(self, target: TextIO) -> None:
        self.target = target

    @classmethod
    def alone(cls) -> Self:
        """Return a pipe on standard output that nothing else writes to: what libraries print goes to the errors."""
        target = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        return cls(target)

    def send(self, message: Message) -> None:
        """Write one line."""
        with suppress(BrokenPipeError):
            print(message.model_dump_json(), file=self.target, flush=True)


def work(archive: Archive, trainer: str, control: Control, events: EventPipe) -> None:
    """Train one assignment after another until the pipe closes."""
    while (assignment := control.next()) is not None:
        control.training.set()
        try:
            trained = train_job(
                archive, assignment.job, trainer=trainer, report=events.send, stop=control.closed.is_set,
                checkpoint_seconds=assignment.checkpoint_seconds,
            )  # fmt: skip
            events.send(JobEnded(busy=not trained))
        except IsolossError as error:
            events.send(JobRefused.because(error))
        except Stopped:
            return
        control.training.clear()


def main() -> None:
    """Serve the main process that started this process."""
    # Ctrl-C reaches the whole group; the main process answers it, by closing the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    events = EventPipe.alone()
    work(Archive(sys.argv[1]), sys.argv[2], Control(sys.stdin), events)
    # All is on the disk and reported; taking the libraries down in order would cost seconds.
    os._exit(0)


if __name__ == "__main__":
    main()
