"""What runs on a Ray cluster: a task a trunk, and the mailbox between tasks and main process. No torch here."""

import asyncio
import platform
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from isoloss.core.errors import IsolossError, StorageError
from isoloss.execution.messages import Assignment, JobEnded, JobRefused, Message, Started
from isoloss.execution.work import train_job
from isoloss.runs.archive import Archive
from isoloss.training.job import Stopped


class Mailbox:
    """An actor next to the main process: messages go in, the main process takes them out; it also says when to stop."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.stopped = asyncio.Event()

    async def put(self, message: str) -> None:
        """Leave a message."""
        self.messages.append(message)

    async def take(self) -> list[str]:
        """Return the messages since the last call."""
        taken, self.messages = self.messages, []
        return taken

    async def stop(self) -> None:
        """Ask every task to write its checkpoint and end."""
        self.stopped.set()

    async def until_stopped(self) -> None:
        """Return when tasks shall end."""
        await self.stopped.wait()


def train(folder: str, marker: str, assignment: str, trainer: str, mailbox: Any) -> str:
    """Train the runs of a trunk on this node and return the last message: ended, refused, or nothing where stopped."""
    import ray

    job = Assignment.model_validate_json(assignment)
    stop = _stop_of(mailbox)

    def send(message: Message) -> None:
        mailbox.put.remote(message.model_dump_json())

    try:
        require_shared(Path(folder), marker, node=platform.node())
        # Waited for: a second one of a trunk is how the main process knows that the first attempt died.
        ray.get(mailbox.put.remote(Started(trunk=job.job.trunk).model_dump_json()))
        trained = train_job(
            Archive(folder), job.job, trainer=trainer, report=send, stop=stop.is_set,
            checkpoint_seconds=job.checkpoint_seconds,
        )  # fmt: skip
        return JobEnded(busy=not trained).model_dump_json()
    except IsolossError as error:
        return JobRefused.because(error).model_dump_json()
    except Stopped:
        return ""


def require_shared(folder: Path, marker: str, *, node: str) -> None:
    """Raise StorageError where a node does not see the main process's results folder: the marker that it laid there."""
    if not (folder / marker).exists():
        raise StorageError(
            f"node {node} does not see this results folder", place=str(folder),
            fix="put it (--out) on a file system that every node of the cluster mounts at this path",
        )  # fmt: skip


_STOPS: dict[Any, threading.Event] = {}


def _stop_of(mailbox: Any) -> threading.Event:
    """Return what is set when the main process asks to stop: one for all tasks that this process ever runs for it."""
    identity = mailbox._actor_id
    if identity not in _STOPS:
        _STOPS[identity] = threading.Event()
        threading.Thread(target=_listen, args=(mailbox, _STOPS[identity]), daemon=True).start()
    return _STOPS[identity]


def _listen(mailbox: Any, stop: threading.Event) -> None:
    """Wait for the word to stop; a mailbox that is gone is one too, for the main process is."""
    import ray

    with suppress(ray.exceptions.RayError):
        ray.get(mailbox.until_stopped.remote())
    stop.set()
