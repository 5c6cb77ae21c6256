"""What a comparison of predictors came to, as data and in words."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from isoloss.core.estimate import LEVEL, Estimate
from isoloss.core.numbers import percent
from isoloss.data_dependence.coefficients import Floats, Form
from isoloss.data_dependence.folds import FirstStage


@dataclass(frozen=True, kw_only=True)
class Errors:
    """How far off predictions of one target are: of ln loss (root mean squares), or of ln(D*/N*) (absolute).

    Means over the left-out sources of a measure, of the law that ignores it, and of the proxy; of the last two also the
    error of every source. `difference` is measure less pooled with the t interval over sources, `against` the same
    against the proxy and every other measure. `p_value` is of the permutation test, `p_adjusted` corrected for all
    measures compared; `needed` the difference that would be shown at 5 %, None where no difference could be.
    """

    heldout: float
    pooled: float
    proxy: float
    pooled_by_source: dict[str, float]
    proxy_by_source: dict[str, float]
    p_value: float
    p_adjusted: float
    smallest_p_value: float
    needed: float | None
    difference: Estimate
    against: dict[str, Estimate]

    @property
    def proxy_difference(self) -> Estimate:
        """The proxy's error less the pooled law's, with its t interval over sources."""
        sources = list(self.pooled_by_source)
        return paired(np.array([self.proxy_by_source[s] - self.pooled_by_source[s] for s in sources]))

    @property
    def shown(self) -> bool:
        """Whether the measure is shown to predict better than a law that ignores it, all measures tried.

        Both are asked for: that it is this measure (the corrected permutation test; one that merely does less harm
        than permuted ones passes it), and that its error is below the other law's (the interval of the difference).
        """
        below = self.difference.high is not None and self.difference.high < 0
        return below and self.p_adjusted < 1 - LEVEL

    def to_json(self) -> dict[str, Any]:
        """Return the errors and what they are against as plain JSON data."""
        return {
            "heldout_error": self.heldout,
            "pooled_error": self.pooled,
            "proxy_error": self.proxy,
            "p_value": self.p_value,
            "p_adjusted": self.p_adjusted,
            "difference": self.difference.to_json(),
            "against": {rival: estimate.to_json() for rival, estimate in self.against.items()},
        }


@dataclass(frozen=True, kw_only=True)
class PredictorResult:
    """One measure in a comparison of predictors.

    `corpora` holds each one's (heldout, pooled) errors of ln loss, `proxies` the proxy's; `forms` how many folds chose
    each form for each coefficient. `balance` is None where fewer than three sources have an optimum of their own.
    """

    measure: str
    kind: str | None
    loss: Errors
    balance: Errors | None
    corpora: dict[str, tuple[float, float]]
    proxies: dict[str, float]
    forms: dict[str, dict[Form, int]]

    def to_json(self) -> dict[str, Any]:
        """Return one element of `comparison`."""
        return {
            "kind": self.kind,
            "measure": self.measure,
            **self.loss.to_json(),
            "smallest_p_value": self.loss.smallest_p_value,
            "corpora": {
                name: {"heldout_error": heldout, "pooled_error": pooled, "proxy_error": self.proxies[name]}
                for name, (heldout, pooled) in self.corpora.items()
            },
            "balance": None if self.balance is None else self.balance.to_json(),
            "forms": self.forms,
            "sentences": [self.sentence()],
        }

    def sentence(self) -> str:
        """Return what the errors of ln loss are, in plain English."""
        better = "better" if self.loss.heldout < self.loss.pooled else "no better"
        return (
            f"A law that follows {self.measure} predicts a left-out source {better} than one law for all: "
            f"{percent(self.loss.heldout)} against {percent(self.loss.pooled)} of the loss "
            f"(p = {self.loss.p_value:.2g}, corrected {self.loss.p_adjusted:.2g})."
        )


@dataclass(frozen=True, kw_only=True)
class PredictorComparison:
    """The comparison of predictors of all `measures` on corpora of one `kind`, by `sources` (each with its corpora).

    `budget` are the FLOPs of the balance; `proxy_rows` the rows that stood for the proxy and were not scored; `chosen`
    whether forms were chosen, or too few sources left them as published; `folds_converged` the share of the laws behind
    it all whose fit converged. `stage` holds those laws for `DataDependent.fit` and is neither printed nor stored.
    """

    kind: str | None
    budget: float
    sources: dict[str, list[str]]
    proxy_rows: list[int]
    permutations: int
    chosen: bool
    folds_converged: float
    measures: tuple[PredictorResult, ...]
    stage: FirstStage | None = field(default=None, repr=False, compare=False)

    @property
    def winner(self) -> PredictorResult | None:
        """The measure of the least error of ln loss among those shown to predict; None where none is."""
        return min((c for c in self.measures if c.loss.shown), key=lambda c: c.loss.heldout, default=None)

    @property
    def to_follow(self) -> str:
        """The measure for a law to follow: the winner, or the first where there is none."""
        return (self.winner or self.measures[0]).measure

    @property
    def balance_winner(self) -> PredictorResult | None:
        """The measure of the least error of the balance among those shown to predict it; None where none is."""
        shown = [(c.balance.heldout, c) for c in self.measures if c.balance is not None and c.balance.shown]
        return min(shown, key=lambda pair: pair[0])[1] if shown else None

    @property
    def smallest_explained(self) -> float:
        """The share of what differs between sources that a measure must explain to be shown four times in five."""
        return smallest_explained(len(self.sources), len(self.measures))

    def sentences(self) -> tuple[str, ...]:
        """Return the answer, what is said of the balance, and what limits both, in plain English."""
        from isoloss.data_dependence.predictor_sentences import sentences

        return sentences(self)

    def to_json(self) -> dict[str, Any]:
        """Return one element of `contest` under `--json`."""
        first = self.measures[0]
        winner, balance_winner = self.winner, self.balance_winner
        return {
            "kind": self.kind,
            "winner": None if winner is None else winner.measure,
            "balance_winner": None if balance_winner is None else balance_winner.measure,
            "measures": [c.measure for c in self.measures],
            "sources": self.sources,
            "budget_flops": self.budget,
            "pooled_error": first.loss.pooled,
            "proxy_error": first.loss.proxy,
            "proxy_rows": self.proxy_rows,
            "permutations": self.permutations,
            "forms_chosen": self.chosen,
            "folds_converged": self.folds_converged,
            "smallest_effect": {
                "explained": self.smallest_explained,
                "loss_difference": first.loss.needed,
                "balance_difference": None if first.balance is None else first.balance.needed,
            },
            "sentences": list(self.sentences()),
        }


def paired(differences: Floats) -> Estimate:
    """Return the mean of differences between sources with Student's t interval; those that are NaN have no part.

    Folds share their training corpora, so that the interval is somewhat too narrow: the permutation test decides.
    """
    from scipy.special import stdtrit

    known = differences[np.isfinite(differences)]
    mean = float(known.mean()) if len(known) else float("nan")
    if len(known) < 2:
        return Estimate(value=mean)
    half = float(stdtrit(len(known) - 1, (1 + LEVEL) / 2)) * float(known.std(ddof=1)) / np.sqrt(len(known))
    return Estimate(value=mean, low=mean - half, high=mean + half)


def smallest_explained(sources: int, measures: int) -> float:
    """Return the share of variance between sources that a measure must explain to be shown with power .8 at 5 %.

    Of the t test of a slope through that many sources, its level divided by the number of measures: ρ²/(1 − ρ²) is the
    square of the noncentrality over the number of sources. 1 where there are too few to test.
    """
    from scipy.special import stdtrit

    from isoloss.data_dependence.meta import shown_shift

    freedom = sources - 2
    if freedom < 1:
        return 1.0
    shift = shown_shift(float(stdtrit(freedom, 1 - (1 - LEVEL) / measures / 2)), freedom)
    return shift**2 / (shift**2 + sources)
