"""Where runs are trained, never what they give: executors by name."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from isoloss.core.registry import Registry
from isoloss.execution.local import LocalExecutor
from isoloss.execution.ray_cluster import RayExecutor
from isoloss.execution.torchrun import TorchrunExecutor
from isoloss.runs.archive import Archive
from isoloss.runs.record import RunRecord
from isoloss.training.events import Report
from isoloss.training.job import CHECKPOINT_SECONDS, TrunkJob


class Executor(Protocol):
    """Trains jobs somewhere."""

    def run(self, jobs: Sequence[TrunkJob], archive: Archive, *, on_event: Report) -> Iterator[RunRecord]:
        """Yield the record of every run of `jobs`, once, as it is there."""


@dataclass(frozen=True, kw_only=True)
class Where:
    """What a call says of where to train: `workers` at once, Ray's `address`, further options of torchrun.

    None lets the executor choose.
    """

    workers: int | None = None
    checkpoint_seconds: float = CHECKPOINT_SECONDS
    address: str | None = None
    launch: str = ""


EXECUTORS: Registry[Callable[[Where], Executor]] = Registry("executor")
EXECUTORS.add("local", lambda where: LocalExecutor(where.workers, where.checkpoint_seconds))
EXECUTORS.add("ray", lambda where: RayExecutor(where.workers, where.checkpoint_seconds, address=where.address))
EXECUTORS.add("torchrun", lambda where: TorchrunExecutor(where.workers, where.checkpoint_seconds, launch=where.launch))


def executor(name: str, where: Where = Where()) -> Executor:
    """Return the executor `name`. Raises UnknownName."""
    return EXECUTORS[name](where)
