"""The best split of a budget, found numerically: for laws whose optimum has no closed form, all draws at once."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

# Points in ln N from one parameter to one token. A law may have several valleys, and the deepest is wanted; where it
# goes at the ends, many orders of magnitude from any run, says nothing.
GRID = 129
ROUNDING = 1e-12  # of the loss: a shallower valley is none
ZOOM = 9  # points of each closer look, which narrows the bracket fourfold
# At this half-width a parabola's own error (its third derivative) and rounding in the loss are both near 1e-10 of ln N.
PARABOLA = 1e-5
NEWTON_STEPS = 60  # in a bracket that halves at least every other step
SETTLED = 1e-12  # of ln N
SLOPE_STEP = 0.1  # of ln C, to either side

Floats = NDArray[np.float64]
Loss = Callable[[Floats, Floats, Floats], Floats]
"""Of values (…, p), params and tokens."""
Slope = Callable[[Floats, Floats, Floats], tuple[Floats, Floats]]
"""Of values (…, p), ln params and ln tokens."""


def least_loss_on_budget(loss: Loss, values: Floats, *, log_flops: float | Floats) -> Floats:
    """Return ln N of the least `loss(values, params, tokens)` with 6 · params · tokens = C, for each row of `values`.

    Shapes: `values` (…, p), `log_flops` one budget or (…) of them, result (…). NaN where the loss has no valley between
    one parameter and one token: there is no interior optimum then. A minimum is located to about 1e-9 in ln N.
    """
    budget = _Budget(loss, values, log_flops)
    if budget.hopeless:
        return np.full(values.shape[:-1], np.nan)
    interior, middle, half = budget.deepest_valley()
    every = np.arange(len(middle))
    while half.max() > PARABOLA:
        points = middle[:, None] + half * np.linspace(-1, 1, ZOOM)
        middle = points[every, budget.loss_at(points).argmin(axis=1)]
        half = half * 2 / (ZOOM - 1)
    optimum = middle + _vertex(budget.loss_at(middle[:, None] + half * np.array([-1.0, 0.0, 1.0])), half[:, 0])
    return np.where(interior, optimum, np.nan).reshape(values.shape[:-1])


def stationary_on_budget(loss: Loss, slope: Slope, values: Floats, *, log_flops: float | Floats) -> Floats:
    """Return the same where the slope of the loss along the budget is known: to rounding, and several times as fast.

    `slope(values, log_params, log_tokens)` returns dL/d ln N at fixed N · D and its own derivative, shape of `values`
    but for the last axis.
    """
    budget = _Budget(loss, values, log_flops)
    if budget.hopeless:
        return np.full(values.shape[:-1], np.nan)
    interior, middle, half = budget.deepest_valley()
    low, high = middle - half[:, 0], middle + half[:, 0]
    for _ in range(NEWTON_STEPS):
        with np.errstate(all="ignore"):
            rising, curvature = slope(budget.values, middle, budget.log_product[:, 0] - middle)
            step = -rising / curvature
        low, high = np.where(rising < 0, middle, low), np.where(rising < 0, high, middle)
        trial = middle + step
        settled = np.abs(step) <= SETTLED * np.abs(middle)
        inside = (curvature > 0) & (trial > low) & (trial < high)
        middle = np.where(inside | settled, trial, np.where(np.isfinite(rising), (low + high) / 2, np.nan))
        if (settled | ~np.isfinite(middle) | ~interior).all():
            break
    return np.where(interior, middle, np.nan).reshape(values.shape[:-1])


class _Budget:
    """A loss along budgets: ln N from one parameter to one token, a row for each of the flattened `values`."""

    def __init__(self, loss: Loss, values: Floats, log_flops: float | Floats) -> None:
        self.loss = loss
        self.values = values.reshape(-1, values.shape[-1])
        self.log_product = np.broadcast_to(np.asarray(log_flops - np.log(6)), values.shape[:-1]).reshape(-1, 1)

    @property
    def hopeless(self) -> bool:
        """Whether no row can have an interior optimum."""
        return not len(self.values) or not (self.log_product > 0).any()

    def loss_at(self, log_params: Floats) -> Floats:
        """Return the loss (m, points), infinite where it is not finite."""
        with np.errstate(all="ignore"):
            found = self.loss(self.values[:, None, :], np.exp(log_params), np.exp(self.log_product - log_params))
        return np.where(np.isfinite(found), found, np.inf)

    def deepest_valley(self) -> tuple[NDArray[np.bool_], Floats, Floats]:
        """Return which rows have a valley (m,), the lowest grid point of the deepest (m,), and the spacing (m, 1)."""
        grid = self.log_product * np.linspace(0.0, 1.0, GRID)
        losses = self.loss_at(grid)
        valleys = np.pad(_valleys(losses), ((0, 0), (1, 1)))
        least = np.where(valleys, losses, np.inf).argmin(axis=1)
        interior = valleys.any(axis=1) & (self.log_product[:, 0] > 0)
        return interior, grid[np.arange(len(least)), least], self.log_product / (GRID - 1)


def _valleys(losses: Floats) -> NDArray[np.bool_]:
    """Return which inner points (m, g − 2) lie below both neighbours."""
    middle = losses[:, 1:-1]
    lowest_neighbour = np.minimum(losses[:, :-2], losses[:, 2:])
    return np.asarray(middle * (1 + ROUNDING) < lowest_neighbour)


def _vertex(losses: Floats, half: Floats) -> Floats:
    """Return where the parabola through three equidistant losses (m, 3) is least, from the middle one, within them."""
    left, middle, right = losses.T
    with np.errstate(all="ignore"):
        curvature = left - 2 * middle + right
        step = 0.5 * half * (left - right) / curvature
    return np.where(curvature > 0, np.clip(step, -half, half), 0.0)
