"""What the main process and its workers write to each other: lines of JSON over pipes."""

from typing import Annotated, Literal, Self

from pydantic import Field, TypeAdapter

from isoloss.core import errors
from isoloss.core.frozen import Frozen
from isoloss.runs.spec import RunSpec
from isoloss.training.events import Advanced, Note, RunEnded
from isoloss.training.job import TrunkJob


class Assignment(Frozen):
    """Main process to worker: train the runs of one trunk."""

    specs: tuple[RunSpec, ...]
    checkpoint_seconds: float

    @property
    def job(self) -> TrunkJob:
        """The runs as a job."""
        return TrunkJob(self.specs)


class JobEnded(Frozen):
    """Worker to main process: every run of the job has its record, or (`busy`) another process trains the trunk."""

    kind: Literal["job_ended"] = "job_ended"
    busy: bool = False


class JobRefused(Frozen):
    """Worker to main process: the job cannot be done as asked."""

    kind: Literal["job_refused"] = "job_refused"
    error: str
    message: str
    place: str | None
    fix: str | None

    @classmethod
    def because(cls, error: errors.IsolossError) -> Self:
        """Return the message that carries `error`."""
        return cls(error=error.kind, message=error.message, place=error.place, fix=error.fix)

    def exception(self) -> errors.IsolossError:
        """Return the error that the message carries."""
        known = getattr(errors, self.error, errors.WorkError)
        raised: errors.IsolossError = known(self.message, place=self.place, fix=self.fix)
        return raised


class Failing(Frozen):
    """Worker to main process: this process is about to end, for the reason given."""

    kind: Literal["failing"] = "failing"
    text: str


class Started(Frozen):
    """Task to main process: a trunk is begun, for the first time or again."""

    kind: Literal["started"] = "started"
    trunk: str


Message = Advanced | RunEnded | Note | JobEnded | JobRefused | Failing | Started
MESSAGES: TypeAdapter[Message] = TypeAdapter(Annotated[Message, Field(discriminator="kind")])
