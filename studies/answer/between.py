"""Scatter and mean of a quantity between few studies, and p-values of several measures."""

import numpy as np
from scipy.special import chdtri, stdtrit

from isoloss.core.errors import InputError
from isoloss.core.estimate import LEVEL, Estimate
from isoloss.data_dependence.meta import weighted
from isoloss.laws.law import Floats

FEWEST_SCATTERED = 3
WIDEST_SCATTER = 100.0  # times the range of the values: no likelihood that falls is searched further


def scatter_between(values: Floats, variances: Floats, *, level: float = LEVEL) -> Estimate:
    """Return the standard deviation between studies beyond their own noise, with its profile-likelihood interval.

    `values` (k,) with known `variances` (k,), k ≥ 3. The likelihood is the restricted one, in which the mean has been
    integrated out (Harville 1977; Hardy & Thompson 1996 profile the other, which is too low for few studies). The
    interval may begin at 0. Raises InputError for fewer values.
    """
    if len(values) < FEWEST_SCATTERED:
        raise InputError(f"{len(values)} values to take a scatter of", fix=f"give {FEWEST_SCATTERED} or more")
    from scipy import optimize

    span = float(np.ptp(values)) + float(np.sqrt(variances.max()))

    mean_alone = np.ones((len(values), 1))

    def loss(scatter: float) -> float:
        return -2 * float(weighted(values, variances + scatter**2, mean_alone).likelihood)

    grid = np.concatenate([[0.0], np.geomspace(1e-4, 3.0, 200) * span])
    place = int(np.argmin([loss(at) for at in grid]))
    around = float(grid[max(place - 1, 0)]), float(grid[min(place + 1, len(grid) - 1)])
    best = float(optimize.minimize_scalar(loss, bounds=around, method="bounded", options={"xatol": 1e-9 * span}).x)
    best = best if loss(best) < loss(0.0) else 0.0
    allowed = loss(best) + float(chdtri(1, 1 - level))

    def beyond(scatter: float) -> float:
        return loss(scatter) - allowed

    low = float(optimize.brentq(beyond, 0.0, best)) if beyond(0.0) > 0 else 0.0
    return Estimate(value=best, low=low, high=float(optimize.brentq(beyond, best, WIDEST_SCATTER * span)), level=level)


def mean_between(values: Floats, variances: Floats, *, level: float = LEVEL) -> Estimate:
    """Return the mean of studies that scatter, with the interval of Hartung & Knapp (2001), k − 1 degrees of freedom.

    `values` (k,) with known `variances` (k,), k ≥ 3; the scatter is that of `scatter_between`. Their factor q is at
    least 1, as in `meta_regression`.
    """
    weights = 1 / (variances + scatter_between(values, variances).value ** 2)
    mean = float(np.average(values, weights=weights))
    freedom = len(values) - 1
    q = max(1.0, float((weights * (values - mean) ** 2).sum()) / freedom)
    half = float(stdtrit(freedom, (1 + level) / 2)) * float(np.sqrt(q / weights.sum()))
    return Estimate(value=mean, low=mean - half, high=mean + half, level=level)


def holm(probabilities: Floats) -> Floats:
    """Return p-values (k,) corrected for their number, in the order given (Holm 1979)."""
    order = np.argsort(probabilities)
    raised = np.maximum.accumulate(probabilities[order] * np.arange(len(order), 0, -1))
    corrected = np.empty(len(order))
    corrected[order] = np.minimum(raised, 1.0)
    return corrected
