"""Everything a report says, gathered by whoever conducted the study: the report looks nothing up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from isoloss.core.estimate import Estimate
from isoloss.data_dependence.balance import BalanceVerdict
from isoloss.data_dependence.predictor_comparison import PredictorComparison
from isoloss.diagnostics.backtest import Backtest
from isoloss.diagnostics.coverage import Coverage
from isoloss.fitting.fitted import FittedLaw
from isoloss.optima.best_size import BestSize
from isoloss.optima.lack_of_fit import LackOfFit
from isoloss.optima.without_head import WithoutHead
from isoloss.runs.evaluation import Evaluation
from isoloss.runs.observations import Observations
from isoloss.runs.replicates import ReplicateNoise
from isoloss.tuning.tuning import Tuning


@dataclass(frozen=True, kw_only=True)
class CorpusSummary:
    """One corpus of the study. `measures` are complexities by name; `floor` is the best possible loss, where known.

    `unidentified` says of measures that the corpus does not determine why, `warnings` what else must be known of it.
    """

    name: str
    kind: Literal["text", "generated"]
    source: str
    tokens: int
    heldout_tokens: int
    vocab_size: int
    unigram_nats: float
    bytes_per_token: float | None = None
    measures: dict[str, Estimate] = field(default_factory=dict)
    unidentified: dict[str, str] = field(default_factory=dict)
    floor: Estimate | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RunRow:
    """One run of the study, failed ones included. `loss_nats` and `stderr` are nats per scored held-out token.

    `excess_nats` is the loss above the exact floor of the same documents, with the error of that paired difference.
    """

    run: str
    corpus: str
    params: int
    tokens: int
    flops: float
    width: int
    depth: int
    heads: int
    peak_lr: float
    batch_tokens: int
    status: str
    wall_seconds: float
    loss_nats: float | None = None
    stderr: float | None = None
    excess_nats: float | None = None
    excess_stderr: float | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Curve:
    """The training loss of one run, in nats per token of each step's batch, against the tokens seen."""

    corpus: str
    params: float
    tokens: NDArray[np.float64]
    train_nats: NDArray[np.float64]


def law_names(laws: Mapping[str, FittedLaw]) -> str:
    """Return the laws that were fitted to corpora, by name, each once."""
    return " or ".join(dict.fromkeys(law.law for law in laws.values()))


def by_alone(law: str) -> str:
    """Return the words for a best split that rests on one law alone."""
    return f"by {law} alone"


@dataclass(frozen=True, kw_only=True, eq=False)
class Findings:
    """What was fitted to the runs of a study.

    Corpora are compared by the complexity `measure`: gzip, or the first that every corpus determines. `laws` are fits
    without flagged runs, `laws_unfiltered` the same with them, `further_laws` fits of the study's other laws, for
    comparison: all else rests on its first. `no_law` says why a corpus has none. `balance` has one verdict a kind of
    corpus (`generated`, or another word for real text), `predictor_comparisons` one of measures as predictors of
    left-out sources, and `coverage` how often simulated intervals on each corpus's very grid held the truth.
    `rate_arms` are the laws of the same grid at multiples of its peak rate, `rate_optima` its best splits. `tuning` is
    what a sweep of rate × batch says of each corpus: a study that has it has that alone. `replicates` are noises of
    corpora whose sizes were trained under several seeds. `backtest` says how laws that saw a part of the runs predicted
    the rest.
    """

    observations: Observations
    measure: str = "gzip"
    laws: Mapping[str, FittedLaw] = field(default_factory=dict)
    laws_unfiltered: Mapping[str, FittedLaw] = field(default_factory=dict)
    further_laws: Sequence[FittedLaw] = ()
    no_law: Mapping[str, str] = field(default_factory=dict)
    predictor_comparisons: Sequence[PredictorComparison] = ()
    balance: Sequence[BalanceVerdict] = ()
    coverage: Mapping[str, Coverage] = field(default_factory=dict)
    backtest: Sequence[Backtest] = ()
    rate_arms: Mapping[float, Mapping[str, FittedLaw]] = field(default_factory=dict)
    rate_optima: Mapping[float, Mapping[str, BestSize]] = field(default_factory=dict)
    tuning: Mapping[str, Tuning] = field(default_factory=dict)
    replicates: Mapping[str, ReplicateNoise] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class ReportData(Findings):
    """A study from its question to its answer.

    Corpora are compared at `budget_flops`. `flag_meanings` says when a run earns each flag. `evaluations` are losses of
    models on corpora, their own and others. `training` says in a sentence how runs were trained.

    `optima` are the best sizes that all forms give together, of every corpus at every budget of the study, the common
    one among them: every best N, D and D/N of the page, where there are any. At the common budget `optima_exact` are
    the same where compute is exact FLOPs, `without_head` where N has no output head, `optima_unfiltered` with flagged
    runs. `lack_of_fit` says which forms the runs refuse.
    """

    title: str
    question: str
    created: datetime
    version: str
    provenance: Mapping[str, str]
    seconds: float
    budget_flops: float
    corpora: Sequence[CorpusSummary]
    runs: Sequence[RunRow]
    curves: Sequence[Curve] = ()
    flag_meanings: Mapping[str, str] = field(default_factory=dict)
    evaluations: Sequence[Evaluation] = ()
    training: str = ""
    optima: Sequence[BestSize] = ()
    optima_exact: Sequence[BestSize] = ()
    optima_unfiltered: Mapping[str, BestSize] = field(default_factory=dict)
    without_head: Sequence[WithoutHead] = ()
    lack_of_fit: Sequence[LackOfFit] = ()

    @property
    def common(self) -> dict[str, BestSize]:
        """The best size of every corpus at the common budget."""
        return {one.corpus: one for one in self.optima if one.flops == self.budget_flops}

    @property
    def forms(self) -> str:
        """By what the page says best splits: several forms of the loss, or the study's own law alone."""
        return "by several forms of the loss" if self.optima else by_alone(self.law_name)

    @property
    def law_name(self) -> str:
        """The law that is fitted to every corpus, by name."""
        return law_names(self.laws) or "a law"

    @property
    def all_laws(self) -> list[tuple[str, FittedLaw]]:
        """Every fit with the name of its corpus: `laws`, then `further_laws`."""
        return [*self.laws.items(), *((f"{law.group} ({law.law})", law) for law in self.further_laws)]

    @property
    def kinds(self) -> dict[str, str]:
        """The kind of every corpus by name."""
        return {corpus.name: corpus.kind for corpus in self.corpora}

    @property
    def floors(self) -> dict[str, Estimate]:
        """The exact floors, for the corpora that have one."""
        return {corpus.name: corpus.floor for corpus in self.corpora if corpus.floor is not None}

    def complexity(self, corpus: str) -> Estimate | None:
        """Return the corpus's complexity by `measure`, or None where it was not measured."""
        return next((c.measures.get(self.measure) for c in self.corpora if c.name == corpus), None)
