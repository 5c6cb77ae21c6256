"""The unit of training: one trunk with all its branches. No torch."""

from collections.abc import Sequence
from dataclasses import dataclass

from isoloss.core.errors import BadCorpus, InputError
from isoloss.corpus.corpus import Outline
from isoloss.runs.rules import branch_step
from isoloss.runs.shapes import count
from isoloss.runs.spec import RunSpec

# Work that a kill may cost. It is counted by the clock, because a step takes from milliseconds to minutes.
CHECKPOINT_SECONDS = 15.0


class Stopped(Exception):
    """Training was asked to stop; its state is on the disk."""


@dataclass(frozen=True)
class TrunkJob:
    """Runs that share a trunk, in the order in which they leave it."""

    specs: tuple[RunSpec, ...]

    def __post_init__(self) -> None:
        assert self.specs, "a job has runs"
        assert len({spec.trunk for spec in self.specs}) == 1, "the runs of a job share a trunk"
        ordered = sorted(self.specs, key=lambda spec: (branch_step(spec), spec.steps, spec.fingerprint))
        object.__setattr__(self, "specs", tuple(ordered))

    @property
    def trunk(self) -> str:
        """Identity of the trunk."""
        return self.specs[0].trunk

    @property
    def tokens(self) -> int:
        """Tokens to train on in all: shared steps count once."""
        shared = branch_step(self.specs[-1])
        branches = sum(spec.steps - branch_step(spec) for spec in self.specs)
        return (shared + branches) * self.specs[0].batch_tokens

    @property
    def flops(self) -> float:
        """Training FLOPs in all, counted exactly: what jobs are ordered by."""
        return count(self.specs[0].model).flops_per_token("exact") * self.tokens


def trunk_jobs(specs: Sequence[RunSpec]) -> list[TrunkJob]:
    """Return one job a trunk, of distinct runs, the longest first."""
    groups: dict[str, dict[str, RunSpec]] = {}
    for spec in specs:
        groups.setdefault(spec.trunk, {})[spec.fingerprint] = spec
    jobs = [TrunkJob(tuple(group.values())) for group in groups.values()]
    return sorted(jobs, key=lambda job: (-job.flops, job.trunk))


def check_equal_parts(specs: Sequence[RunSpec], *, processes: int) -> None:
    """Raise InputError where the batch of a run does not fall into as many windows for each of the processes."""
    for spec in specs:
        windows = spec.batch_tokens // spec.model.context
        if windows % processes:
            raise InputError(
                f"a batch of {windows} windows does not fall into {processes} equal parts",
                place="training.batch_tokens",
                fix=f"train with a number of processes that divides {windows} (--workers)",
            )


def check_enough_windows(specs: Sequence[RunSpec], corpus: Outline) -> None:
    """Raise BadCorpus where one pass over `corpus` holds fewer windows than a run of it needs.

    Also where fewer than two held-out documents hold a window: a loss without a standard error is refused.
    """
    longest: dict[int, RunSpec] = {}
    for spec in sorted(specs, key=lambda spec: spec.train_tokens):
        longest[spec.model.context] = spec
    for spec in longest.values():
        held = corpus.token_budget(spec.model.context)
        if held < spec.train_tokens:
            raise BadCorpus(
                f"{held:,} training tokens in windows of {spec.model.context}; a run needs {spec.train_tokens:,}",
                place=f"corpus {corpus.name!r}", fix="add text, train on fewer tokens, or shorten the context",
            )  # fmt: skip
        scored = corpus.scored_documents(spec.model.context)
        if scored < 2:
            raise BadCorpus(
                f"{scored} held-out document(s) with a window of {spec.model.context} tokens; at least two are needed",
                place=f"corpus {corpus.name!r}", fix="add text, or shorten the context",
            )  # fmt: skip
