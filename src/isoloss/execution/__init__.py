"""Where runs are trained, never what they give: executors by name."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from isoloss.core.registry import Registry
from isoloss.execution.local import LocalExecutor
from isoloss.runs.archive import Archive
from isoloss.runs.record import RunRecord
from isoloss.training.events import Report
from isoloss.training.job import CHECKPOINT_SECONDS, TrunkJob


class Executor(Protocol):
    """Trains jobs somewhere."""

    def run(self, jobs: Sequence[TrunkJob], archive: Archive, *, on_event: Report) -> Iterator[RunRecord]:
        """Yield the record of every run of `jobs`, once, as it is there."""


EXECUTORS: Registry[Callable[[int | None, float], Executor]] = Registry("executor")
EXECUTORS.add("local", LocalExecutor)


def executor(name: str, *, workers: int | None = None, checkpoint_seconds: float = CHECKPOINT_SECONDS) -> Executor:
    """Return the executor `name` with `workers` at once; None lets it choose. Raises UnknownName."""
    return EXECUTORS[name](workers, checkpoint_seconds)
