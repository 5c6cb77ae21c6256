"""Does a quantity follow a covariate across a handful of studies? Random-effects meta-regression for few of them."""

from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from isoloss.laws.law import Floats

POWER = 0.8
EFFECTIVE_VARIANCE_ROUNDS = 3


@dataclass(frozen=True, kw_only=True)
class MetaRegression:
    """A straight line through k values with known variances and unknown scatter around it.

    `slope` and its `stderr`, `freedom` = k − 2; `scatter` is the standard deviation between studies beyond their own
    noise; `p_slope` that the slope is 0, `p_equal` that all values are one (Cochran's Q, their own noise alone).
    """

    slope: float
    stderr: float
    freedom: int
    scatter: float
    p_slope: float
    p_equal: float

    def half_width(self, level: float) -> float:
        """Return half the slope's interval at `level`, by Student's t with k − 2 degrees of freedom."""
        return float(stats.t.ppf((1 + level) / 2, self.freedom)) * self.stderr

    def smallest_detectable(self, level: float, *, freedom: int | None = None) -> float:
        """Return the slope that a design like this shows at `level` four times in five.

        Without scatter the standard error is the known one and the test statistic normal; with scatter it is estimated
        too, and the statistic noncentral t. `freedom` asks what other degrees of freedom would give at the same error.
        """
        degrees = self.freedom if freedom is None else freedom
        critical = float(stats.t.ppf((1 + level) / 2, degrees))
        if self.scatter == 0:
            return self.stderr * (critical + float(stats.norm.ppf(POWER)))

        def shortfall(shift: float) -> float:
            return float(stats.nct.sf(critical, degrees, shift)) - POWER

        return self.stderr * float(optimize.brentq(shortfall, 0.0, 3 * critical + 5))


def meta_regression(
    values: Floats, variances: Floats, covariate: Floats, covariate_variances: Floats
) -> MetaRegression:
    """Return the line of `values` (k,) on `covariate` (k,), k ≥ 3.

    The scatter is Paule & Mandel's (1982); the slope's error is Hartung & Knapp's (2001) and never below the one that
    the known variances alone give (their factor q at least 1), with k − 2 degrees of freedom. An uncertain covariate
    adds slope² times its variance (effective variance, Orear 1982).
    """
    own = variances
    slope, stderr, scatter = _line(values, own, covariate)
    for _ in range(EFFECTIVE_VARIANCE_ROUNDS):
        own = variances + slope**2 * covariate_variances
        slope, stderr, scatter = _line(values, own, covariate)
    freedom = len(values) - 2
    weights = 1 / variances
    deviation = values - np.average(values, weights=weights)
    return MetaRegression(
        slope=slope,
        stderr=stderr,
        freedom=freedom,
        scatter=float(np.sqrt(scatter)),
        p_slope=float(2 * stats.t.sf(abs(slope) / stderr, freedom)),
        p_equal=float(stats.chi2.sf((weights * deviation**2).sum(), len(values) - 1)),
    )


def _line(values: Floats, variances: Floats, covariate: Floats) -> tuple[float, float, float]:
    """Return slope, standard error and between-study variance."""

    def excess(between: float) -> float:
        return _residual_sum(values, variances + between, covariate) - (len(values) - 2)

    between = 0.0
    if excess(0.0) > 0:
        between = float(optimize.brentq(excess, 0.0, 10 * float(np.ptp(values)) ** 2 + float(variances.max())))
    weights = 1 / (variances + between)
    centred = covariate - np.average(covariate, weights=weights)
    spread = float((weights * centred**2).sum())
    slope = float((weights * centred * values).sum()) / spread
    # Hartung & Knapp's q is the residual sum / (k − 2): 1 where scatter was found, below 1 where none was.
    q = max(1.0, _residual_sum(values, variances + between, covariate) / (len(values) - 2))
    return slope, float(np.sqrt(q / spread)), between


def _residual_sum(values: Floats, variances: Floats, covariate: Floats) -> float:
    """Return the weighted sum of squares around the weighted line."""
    weights = 1 / variances
    x = covariate - np.average(covariate, weights=weights)
    y = values - np.average(values, weights=weights)
    slope = (weights * x * y).sum() / (weights * x**2).sum()
    return float((weights * (y - slope * x) ** 2).sum())
