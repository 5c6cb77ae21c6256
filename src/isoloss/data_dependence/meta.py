"""Does a quantity follow a covariate across a handful of studies? Random-effects meta-regression for few of them."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy.special import chdtrc, ndtr, ndtri, stdtr, stdtrit

from isoloss.core.bisection import bisected
from isoloss.core.estimate import LEVEL
from isoloss.laws.law import Floats

POWER = 0.8
EFFECTIVE_VARIANCE_ROUNDS = 3
PRIOR_FREEDOM = 3.0  # degrees of freedom of the half-t prior: heavy tails, so that data overrule it
PRIOR_POINTS = 400
PRIOR_REACH = 60.0  # scales: half-t with 3 degrees of freedom has less than 1e-5 of its mass beyond
HALVINGS = 60  # of an interval that holds a quantile


@dataclass(frozen=True, kw_only=True)
class _Line:
    """What a straight line through values is, however its scatter was taken: see `MetaRegression`."""

    level: float
    slope: float
    stderr: float
    low: float
    high: float
    freedom: float
    scatter: float
    p_slope: float


@dataclass(frozen=True, kw_only=True)
class MetaRegression(_Line):
    """A straight line through k values with known variances and unknown scatter around it.

    `level` is its value at covariate 0; `slope` with its `stderr` and 95 % interval `low` to `high`; `freedom` = k − 2,
    infinite where the scatter has a prior; `scatter` is the standard deviation between studies beyond their own noise;
    `p_slope` that the slope is 0, `p_equal` that all values are one (Cochran's Q, their own noise alone).
    """

    p_equal: float

    def at(self, covariate: float) -> float:
        """Return the line's value at a covariate."""
        return self.level + self.slope * covariate

    def smallest_detectable(self, level: float, *, freedom: float | None = None) -> float:
        """Return the slope that a design like this shows at `level` four times in five.

        Without scatter the standard error is the known one and the test statistic normal; with scatter it is estimated
        too, and the statistic noncentral t. `freedom` asks what other degrees of freedom would give at the same error.
        """
        degrees = self.freedom if freedom is None else freedom
        critical = float(stdtrit(degrees, (1 + level) / 2)) if np.isfinite(degrees) else float(ndtri((1 + level) / 2))
        if self.scatter == 0 or np.isinf(degrees):
            return self.stderr * (critical + float(ndtri(POWER)))
        return self.stderr * shown_shift(critical, degrees)


def shown_shift(critical: float, freedom: float) -> float:
    """Return the noncentrality at which Student's t statistic passes `critical` four times in five."""
    from scipy import optimize, stats

    def shortfall(shift: float) -> float:
        return float(stats.nct.sf(critical, freedom, shift)) - POWER

    return float(optimize.brentq(shortfall, 0.0, 4 * critical + 5))


def meta_regression(
    values: Floats, variances: Floats, covariate: Floats, covariate_variances: Floats, *, prior: float | None = None
) -> MetaRegression:
    """Return the line of `values` (k,) on `covariate` (k,), k ≥ 3.

    Without a prior the scatter is Paule & Mandel's (1982); the slope's error is Hartung & Knapp's (2001) and never
    below the one that the known variances alone give (their factor q at least 1), with k − 2 degrees of freedom.
    `prior` is the scale of a half-t prior of the scatter (Gelman 2006): level and slope, whose priors are flat, are
    averaged over its posterior. An uncertain covariate adds slope² times its variance (effective variance, Orear 1982).
    """
    line = _line if prior is None else partial(_averaged, scale=prior)
    found = line(values, variances, covariate)
    for _ in range(EFFECTIVE_VARIANCE_ROUNDS):
        found = line(values, variances + found.slope**2 * covariate_variances, covariate)
    weights = 1 / variances
    deviation = values - np.average(values, weights=weights)
    p_equal = float(chdtrc(len(values) - 1, (weights * deviation**2).sum()))
    return MetaRegression(**vars(found), p_equal=p_equal)


def _line(values: Floats, variances: Floats, covariate: Floats) -> _Line:
    """Return the line by Paule & Mandel's scatter and Hartung & Knapp's error."""
    centre = covariate.mean()
    found = estimated_scatter(values, variances, np.column_stack([np.ones(len(values)), covariate - centre]))
    (level, slope), stderr, freedom = found.coefficients.tolist(), float(found.stderrs[1]), found.freedom
    half = float(stdtrit(freedom, (1 + LEVEL) / 2)) * stderr
    return _Line(
        level=level - slope * float(centre), slope=slope, stderr=stderr, low=slope - half, high=slope + half,
        freedom=freedom, scatter=found.scatter, p_slope=float(2 * stdtr(freedom, -abs(slope) / stderr)),
    )  # fmt: skip


def _averaged(values: Floats, variances: Floats, covariate: Floats, *, scale: float) -> _Line:
    """Return the line averaged over the posterior of the scatter: a mixture of normals."""
    centre = covariate.mean()
    columns = np.column_stack([np.ones(len(values)), covariate - centre])
    scatter, share, fitted = scatter_posterior(values, variances, columns, scale=scale)
    levels, slopes = fitted.coefficients.T
    own = np.sqrt(fitted.covariance[:, 1, 1])
    mean = float(share @ slopes)
    stderr = float(np.sqrt(share @ (own**2 + (slopes - mean) ** 2)))

    low, high = mixture_quantiles(
        ((1 - LEVEL) / 2, (1 + LEVEL) / 2), share, slopes, own, around=mean, reach=60 * stderr
    )
    below = float(share @ ndtr(-slopes / own))
    return _Line(
        level=float(share @ (levels - slopes * centre)), slope=mean, stderr=stderr, low=low, high=high,
        freedom=float("inf"), scatter=float(share @ scatter), p_slope=2 * min(below, 1 - below),
    )  # fmt: skip


def mixture_quantiles(
    probabilities: Iterable[float], share: Floats, means: Floats, sds: Floats, *, around: float, reach: float
) -> list[float]:
    """Return the quantiles of a mixture of normals, shares of sum 1, searched within `reach` of a value."""
    wanted = np.array(list(probabilities))
    low, high = np.full((2, len(wanted)), [[around - reach], [around + reach]])
    # Without scipy.optimize, which takes a fifth of a second to import.
    found = bisected(lambda at: ndtr((at[:, None] - means) / sds) @ share < wanted, low, high, halvings=HALVINGS)
    return [float(value) for value in found]


class Weighted(NamedTuple):
    """Weighted least squares: coefficients (…, p), their covariance, the sum of squares left, ln of the likelihood.

    The likelihood is the restricted one: the coefficients are integrated out under flat priors (Harville 1977).
    """

    coefficients: Floats
    covariance: Floats
    left: Floats
    likelihood: Floats


def weighted(values: Floats, variances: Floats, columns: Floats) -> Weighted:
    """Return the regressions of `values` (k,) with known `variances` (…, k) on `columns` (k, p)."""
    weights = 1 / variances
    normal = np.einsum("...k,kp,kq->...pq", weights, columns, columns)
    covariance = np.asarray(np.linalg.inv(normal), dtype=np.float64)
    coefficients = np.einsum("...pq,kq,...k->...p", covariance, columns, weights * values)
    left = ((values - coefficients @ columns.T) ** 2 * weights).sum(axis=-1)
    likelihood = -0.5 * (np.log(variances).sum(axis=-1) + np.linalg.slogdet(normal)[1] + left)
    return Weighted(coefficients, covariance, left, likelihood)


class Scattered(NamedTuple):
    """A regression (p,) with the standard errors of its coefficients, the scatter between studies, and k − p."""

    coefficients: Floats
    stderrs: Floats
    scatter: float
    freedom: int


def estimated_scatter(values: Floats, variances: Floats, columns: Floats) -> Scattered:
    """Return the regression of `values` (k,) on `columns` (k, p), its scatter estimated from these values alone.

    The scatter is Paule & Mandel's (1982), the errors are Hartung & Knapp's (2001) with their factor q at least 1.
    """
    from scipy.optimize import brentq

    freedom: int = len(values) - columns.shape[1]

    def excess(between: float) -> float:
        return float(weighted(values, variances + between, columns).left) - freedom

    between = 0.0
    if excess(0.0) > 0:
        between = float(brentq(excess, 0.0, 10 * float(np.ptp(values)) ** 2 + float(variances.max())))
    found = weighted(values, variances + between, columns)
    # Hartung & Knapp's q is the residual sum / (k − p): 1 where scatter was found, below 1 where none was.
    stderrs = np.sqrt(max(1.0, float(found.left) / freedom) * np.diag(found.covariance))
    return Scattered(found.coefficients, stderrs, float(np.sqrt(between)), freedom)


def scatter_posterior(
    values: Floats, variances: Floats, columns: Floats, *, scale: float
) -> tuple[Floats, Floats, Weighted]:
    """Return standard deviations between studies (n,), their posterior shares, and the regressions with each.

    Under a half-t prior of that scale.
    """
    # Points even in u, with τ = scale · sinh u: dense near none, far out in the tail.
    u = (np.arange(PRIOR_POINTS) + 0.5) / PRIOR_POINTS * np.arcsinh(PRIOR_REACH)
    scatter = scale * np.sinh(u)
    fitted = weighted(values, variances + scatter[:, None] ** 2, columns)
    logs = (
        fitted.likelihood
        - 0.5 * (PRIOR_FREEDOM + 1) * np.log1p((scatter / scale) ** 2 / PRIOR_FREEDOM)
        + np.log(np.cosh(u))
    )
    share = np.exp(logs - logs.max())
    return scatter, np.asarray(share / share.sum()), fitted
