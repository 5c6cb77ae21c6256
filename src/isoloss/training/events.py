"""What a worker tells while it trains: plain records that travel as lines of JSON."""

import time
from collections.abc import Callable, Iterable
from typing import Literal

from isoloss.core.frozen import Frozen
from isoloss.runs.rules import branch_step
from isoloss.runs.spec import RunSpec
from isoloss.runs.underway import TrunkProgress
from isoloss.training.job import TrunkJob


class Advanced(TrunkProgress):
    """How far a job is, branches included."""

    kind: Literal["advanced"] = "advanced"
    trunk: str


class RunEnded(Frozen):
    """A run's record stands in the archive."""

    kind: Literal["run_ended"] = "run_ended"
    trunk: str
    run: str
    status: str


class Note(Frozen):
    """Something worth a line in the log."""

    kind: Literal["note"] = "note"
    trunk: str
    text: str


Report = Callable[[Advanced | RunEnded | Note], None]

REPORT_SECONDS = 0.5


class JobProgress:
    """Tells how far a job is, twice a second."""

    def __init__(self, job: TrunkJob, report: Callable[[Advanced], None]) -> None:
        self.job, self.report = job, report
        self.batch_tokens = job.specs[0].batch_tokens
        self.finished_branch_steps = 0
        self.trained_steps = 0
        self.started = self.last_reported = time.monotonic()

    def count_finished(self, specs: Iterable[RunSpec]) -> None:
        """Take the branches of `specs` as done."""
        self.finished_branch_steps += sum(spec.steps - branch_step(spec) for spec in specs)

    def step(self, *, step: int, loss_nats: float) -> None:
        """Take one more step as trained: the one that brought the model to `step`."""
        self.trained_steps += 1
        now = time.monotonic()
        if now - self.last_reported >= REPORT_SECONDS:
            self.last_reported = now
            self._report((step + self.finished_branch_steps) * self.batch_tokens, loss_nats)

    def ended(self) -> None:
        """Tell that nothing is left to do."""
        self._report(self.job.tokens, None)

    def _report(self, tokens: int, loss_nats: float | None) -> None:
        seconds = time.monotonic() - self.started
        self.report(
            Advanced(
                trunk=self.job.trunk, tokens=tokens, total_tokens=self.job.tokens, loss_nats=loss_nats,
                tokens_per_second=self.trained_steps * self.batch_tokens / seconds,
            )
        )  # fmt: skip
