"""y = k · x^p as a weighted straight line in logarithms, with its draws: how optima become exponents."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from isoloss.core.errors import BadTable
from isoloss.core.estimate import LEVEL, Estimate
from isoloss.laws.law import Floats


@dataclass(frozen=True, kw_only=True, eq=False)
class PowerLine:
    """A power law y = exp(log_coefficient) · x^slope. `draws` (m, 2) are refits: slope and log coefficient.

    `r2` is the share of the variance of ln y explained, every point counted the same.
    """

    slope: float
    log_coefficient: float
    r2: float
    draws: Floats = field(default_factory=lambda: np.empty((0, 2)))

    @property
    def exponent(self) -> Estimate:
        """The slope with the percentile interval of its draws."""
        return Estimate.from_draws(self.draws[:, 0], value=self.slope)

    def to_json(self) -> dict[str, Any]:
        """Return exponent, logarithm of the coefficient and R² as plain data."""
        return {"exponent": self.exponent.to_json(), "log_coefficient": self.log_coefficient, "r2": self.r2}

    def values_at(self, x: ArrayLike) -> Floats:
        """Return y at the points x."""
        return np.asarray(np.exp(self.log_coefficient + self.slope * np.log(np.asarray(x, dtype=np.float64))))

    def draws_at(self, x: ArrayLike) -> Floats:
        """Return y of every draw at the points x: (m, points)."""
        log_x = np.log(np.atleast_1d(np.asarray(x, dtype=np.float64)))
        return np.asarray(np.exp(self.draws[:, 1:] + self.draws[:, :1] * log_x))

    def at(self, x: float) -> Estimate:
        """Return y at one point with its interval."""
        return Estimate.from_draws(self.draws_at(x)[:, 0], value=float(self.values_at(x)))

    def band(self, x: ArrayLike) -> tuple[Floats, Floats]:
        """Return the lower and the upper end of the pointwise interval at the points x; NaN without draws."""
        if not len(self.draws):
            missing = np.full(np.atleast_1d(np.asarray(x, dtype=np.float64)).shape, np.nan)
            return missing, missing
        low, high = np.quantile(self.draws_at(x), [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
        return low, high


def fit_power_law(
    x: ArrayLike, y: ArrayLike, *, log_std: ArrayLike | None = None, draws: ArrayLike | None = None
) -> PowerLine:
    """Return the least-squares line of ln y on ln x, points weighted by 1/log_std² where their errors are given.

    `draws` (points, m) are redrawn y: the line is refitted to each with the same weights. Raises BadTable for fewer
    than two distinct x or a value that is not above zero.
    """
    log_x, log_y = _logs("x", x), _logs("y", y)
    if len(np.unique(log_x)) < 2:
        raise BadTable(
            f"{len(np.unique(log_x))} distinct budgets with an optimum, expected at least 2 for a power law",
            fix="add budgets, or sizes around each budget's best",
        )
    weights = np.ones_like(log_x) if log_std is None else 1 / np.asarray(log_std, dtype=np.float64) ** 2
    slope, intercept = _line(log_x, log_y, weights)
    redrawn = np.empty((0, 2)) if draws is None else np.column_stack(_line(log_x, _logs("draws", draws).T, weights))
    residual = log_y - intercept - slope * log_x
    spread = ((log_y - log_y.mean()) ** 2).sum()
    return PowerLine(
        slope=float(slope), log_coefficient=float(intercept), draws=redrawn,
        r2=float(1 - (residual**2).sum() / spread) if spread > 0 else 1.0,
    )  # fmt: skip


def _line(log_x: Floats, log_y: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Return slope and intercept of the weighted line for log_y (…, points)."""
    share = weights / weights.sum()
    centre = share @ log_x
    lever = share * (log_x - centre)
    slope = (log_y @ lever) / (lever @ (log_x - centre))
    return slope, log_y @ share - slope * centre


def _logs(name: str, values: ArrayLike) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if not (np.isfinite(array) & (array > 0)).all():
        raise BadTable(f"{name} contains a value that is not above zero", fix="give finite numbers above zero")
    return np.log(array)
