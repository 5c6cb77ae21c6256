"""What an executor is: a class that trains jobs somewhere and yields their records."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from isoloss.runs.archive import Archive
from isoloss.runs.record import RunRecord
from isoloss.training.events import Report
from isoloss.training.job import CHECKPOINT_SECONDS, TrunkJob


@dataclass(frozen=True, kw_only=True)
class Where:
    """What a call says of where to train: `workers` at once, Ray's `address`, further options of torchrun.

    None lets the executor choose.
    """

    workers: int | None = None
    checkpoint_seconds: float = CHECKPOINT_SECONDS
    address: str | None = None
    launch: str = ""


ANYWHERE = Where()


class Executor(ABC):
    """Trains jobs somewhere. An executor of your own derives from this class and gives `run`: docs/extending.md."""

    def __init__(self, where: Where = ANYWHERE) -> None:
        self.where = where

    @abstractmethod
    def run(
        self, jobs: Sequence[TrunkJob], archive: Archive, *, on_event: Report = lambda event: None
    ) -> Iterator[RunRecord]:
        """Yield the record of every run of `jobs`, once, as it is there.

        Runs that the archive holds are not trained again. `on_event` takes what workers report while they train.
        """
