"""The best split of one more corpus, from those of corpora that were trained: their mean, and how far they scatter.

Each corpus gives ln(D*/N*) in the middle of three budgets, and its slope in ln C (`isoloss.optima.mean_split`). Level
and slope are random-effects means. The interval is for one more corpus: scatter and the mean's error. For texts they
are averaged over the posterior of the scatter under a half-t prior (Higgins, Thompson & Spiegelhalter 2009, section 5).
A point estimate of the scatter would do worse: leave the odd corpus out, and the others seem to have none. Generated
corpora scatter by 1 to 6 in ln(D*/N*): without a prior the scatter is estimated from the corpora alone, with Student's
t. The level follows a measure of the corpus where the corpora show a slope (Hartung & Knapp's test), and is one number
for all where they do not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.special import ndtri, stdtrit

from isoloss.core.errors import InputError
from isoloss.core.plain_json import Plain
from isoloss.data_dependence.meta import estimated_scatter, meta_regression, mixture_quantiles, scatter_posterior
from isoloss.laws.law import Floats
from isoloss.optima.best_size import BestSize
from isoloss.optima.mean_split import MeanSplit, mean_splits
from isoloss.runs.observations import Observations

FEWEST_CORPORA = 4
TEXT_PRIOR = 0.15  # scale of the half-t prior of the scatter of levels between texts
SLOPE_SCALE = 0.1  # of the prior of the scatter of slopes per unit of ln C, where levels have one
SHOWN = 0.05  # p of a slope below which the level follows the measure
PROBABILITIES = np.linspace(0.0025, 0.9975, 200)  # of the predictive distribution that is kept


@dataclass(frozen=True, kw_only=True)
class Pooled:
    """A random-effects mean of k values with its standard error, and the scatter between corpora.

    `predictive` are quantiles of one more corpus's value, at `PROBABILITIES`.
    """

    mean: float
    stderr: float
    scatter: float
    predictive: tuple[float, ...]

    def __post_init__(self) -> None:
        """Raise ValueError for other quantiles, as a file may hold them."""
        if len(self.predictive) != len(PROBABILITIES) or list(self.predictive) != sorted(self.predictive):
            raise ValueError(f"{len(PROBABILITIES)} rising quantiles expected")

    def quantile(self, probability: Floats) -> Floats:
        """Return the value of one more corpus at probabilities (n,) between 0 and 1."""
        return np.interp(probability, PROBABILITIES, self.predictive)


@dataclass(frozen=True, kw_only=True)
class PooledSplit(Plain):
    """ln(D*/N*) = level + slope · ln(C / `budget`) of one more corpus.

    `low` and `high` are the outer ones of the budgets that corpora were compared at, in FLOPs. `corpora`
    holds each corpus's own level and its standard deviation. `along` holds their values of a measure where the level
    follows it, and is empty where it does not. `prior` is the scale of the prior of the scatter of levels, None for
    none.
    """

    budget: float
    low: float
    high: float
    level: Pooled
    slope: Pooled
    corpora: Mapping[str, tuple[float, float]]
    along: Mapping[str, float] = field(default_factory=dict)
    prior: float | None = TEXT_PRIOR

    def __post_init__(self) -> None:
        """Raise ValueError for too few corpora, or for budgets that do not rise, as a file may hold them."""
        if not (0 < self.low <= self.budget <= self.high < float("inf") and len(self.corpora) >= FEWEST_CORPORA):
            raise ValueError(f"{FEWEST_CORPORA} or more corpora and rising budgets expected")
        if self.along and self.along.keys() != self.corpora.keys():
            raise ValueError("the corpora of along and corpora differ")
        if self.prior is not None and not 0 < self.prior < float("inf"):
            raise ValueError("a prior has a scale above zero")

    def at(self, measure: float) -> "PooledSplit":
        """Return the split of one more corpus with a value of the measure: itself where the level does not follow it.

        Beyond the corpora's own range the line ends: a value outside counts as the nearest one inside.
        """
        if not self.along:
            return self
        known, x = list(self.corpora.values()), np.array([self.along[name] for name in self.corpora])
        return replace(
            self, level=_pooled(known, scale=self.prior, along=x, at=float(np.clip(measure, x.min(), x.max())))
        )

    def log_ratio(self, log_flops: Floats, steps: Floats) -> Floats:
        """Return ln(D*/N*) of one more corpus at budgets (n,): the medians where `steps` (n, 2) are one half."""
        away = log_flops - np.log(self.budget)
        return np.asarray(self.level.quantile(steps[:, 0]) + self.slope.quantile(steps[:, 1]) * away)

    def log_ratio_of(self, corpus: str, log_flops: Floats, steps: Floats) -> Floats:
        """Return the same of a corpus that is one of `corpora`: its own level and error."""
        level, sd = self.corpora[corpus]
        away = log_flops - np.log(self.budget)
        return np.asarray(level + sd * ndtri(steps[:, 0]) + self.slope.quantile(steps[:, 1]) * away)

    def steps(self, draws: int, generator: np.random.Generator) -> Floats:
        """Return the steps of the median and of `draws` (1 + draws, 2)."""
        return np.vstack([np.full(2, 0.5), generator.uniform(1e-6, 1 - 1e-6, size=(draws, 2))])


def pool_splits(
    splits: Sequence[MeanSplit], *, measured: Mapping[str, float] | None = None, prior: float | None = TEXT_PRIOR
) -> PooledSplit | None:
    """Return the split of one more corpus, or None where fewer than four corpora have a mean split.

    All splits are over the same budgets. `measured` are the values of a measure, by corpus: the level follows it where
    its slope is shown. `prior` is the scale of the prior of the scatter between corpora; None estimates the scatter
    from the corpora alone.
    """
    known = [(split, split.log_ratio, split.sd) for split in splits]
    found = [(split, ratio.value, sd) for split, ratio, sd in known if ratio is not None and sd is not None]
    if len(found) < FEWEST_CORPORA:
        return None
    budgets = [one.flops for one in found[0][0].budgets]
    slopes = [_slope(split.budgets) for split, _, _ in found]
    return PooledSplit(
        budget=float(np.exp(np.mean(np.log(budgets)))), low=budgets[0], high=budgets[-1],
        level=_pooled([(value, sd) for _, value, sd in found], scale=prior), prior=prior,
        slope=_pooled(slopes, scale=None if prior is None else SLOPE_SCALE),
        corpora={split.corpus: (value, sd) for split, value, sd in found},
        along=_shown([(value, sd) for _, value, sd in found], {} if measured is None else {
            split.corpus: measured[split.corpus] for split, _, _ in found}),
    )  # fmt: skip


def pool_table(
    table: Observations, *, measured: Mapping[str, float] | None = None, seed: int = 0
) -> PooledSplit | None:
    """Return the split of one more corpus like those of a table, or None where too few have their optima inside."""
    try:
        splits = mean_splits(table, seed=seed)
    except InputError:
        return None
    return pool_splits(splits, measured=measured)


def _shown(values: Sequence[tuple[float, float]], measured: Mapping[str, float]) -> Mapping[str, float]:
    """Return the values of a measure where levels follow it, and none where that is not shown."""
    x = np.array(list(measured.values()))
    if len(x) < FEWEST_CORPORA or not np.ptp(x):
        return {}
    y, sd = np.array(values).T
    return measured if meta_regression(y, sd**2, x, np.zeros(len(x))).p_slope < SHOWN else {}


def _slope(budgets: Sequence[BestSize]) -> tuple[float, float]:
    """Return d ln(D*/N*) / d ln C between the outer budgets of a corpus, and its standard deviation."""
    first, last = budgets[0], budgets[-1]
    assert first.tokens_per_param is not None, "a mean split has its optima inside"
    assert last.tokens_per_param is not None, "a mean split has its optima inside"
    assert first.log_ratio_draws is not None, "an optimum inside has draws"
    assert last.log_ratio_draws is not None, "an optimum inside has draws"
    span = np.log(last.flops / first.flops)
    value = np.log(last.tokens_per_param.value / first.tokens_per_param.value) / span
    return float(value), float(((last.log_ratio_draws - first.log_ratio_draws) / span).std(ddof=1))


def _pooled(
    values: Sequence[tuple[float, float]], *, scale: float | None, along: Floats | None = None, at: float = 0.0
) -> Pooled:
    """Return the random-effects mean at a point of a line `along`: averaged over the posterior of the scatter.

    Without the `scale` of a prior the scatter is the one that the values alone show.
    """
    y, variances = np.array([value for value, _ in values]), np.array([sd**2 for _, sd in values])
    # Columns of the regression, whose first coefficient is what is asked for.
    columns = np.ones((len(y), 1)) if along is None else np.column_stack([np.ones(len(y)), along - at])
    if scale is None:
        return _estimated(y, variances, columns)

    scatter, share, fitted = scatter_posterior(y, variances, columns, scale=scale)
    means, variances_of_means = fitted.coefficients[:, 0], fitted.covariance[:, 0, 0]
    mean = float(share @ means)
    spread = np.sqrt(variances_of_means + scatter**2)

    reach = 60 * float(np.sqrt(share @ spread**2))
    quantiles = mixture_quantiles(PROBABILITIES, share, means, spread, around=mean, reach=reach)
    return Pooled(
        mean=mean, stderr=float(np.sqrt(share @ (variances_of_means + (means - mean) ** 2))),
        scatter=float(share @ scatter), predictive=tuple(quantiles),
    )  # fmt: skip


def _estimated(values: Floats, variances: Floats, columns: Floats) -> Pooled:
    """Return the first coefficient of a regression whose scatter the values alone show, with Student's t."""
    found = estimated_scatter(values, variances, columns)
    mean, stderr = float(found.coefficients[0]), float(found.stderrs[0])
    quantiles = mean + stdtrit(found.freedom, PROBABILITIES) * np.hypot(found.scatter, stderr)
    return Pooled(mean=mean, stderr=stderr, scatter=found.scatter, predictive=tuple(quantiles.tolist()))
