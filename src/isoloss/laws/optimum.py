"""The best split of a budget, found numerically: for laws whose optimum has no closed form, all draws at once."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

# Points in ln N from one parameter to one token. A law may have several valleys, and the deepest is wanted; where it
# goes at the ends, many orders of magnitude from any run, says nothing.
GRID = 129
ROUNDING = 1e-12  # of the loss: a shallower valley is none
ZOOM = 9  # points of each closer look, which narrows the bracket fourfold
# At this half-width a parabola's own error (its third derivative) and rounding in the loss are both below 1e-7 of ln N.
PARABOLA = 1e-4
SLOPE_STEP = 0.1  # of ln C, to either side

Floats = NDArray[np.float64]


def least_loss_on_budget(
    loss: Callable[[Floats, Floats, Floats], Floats], values: Floats, *, log_flops: float | Floats
) -> Floats:
    """Return ln N of the least `loss(values, params, tokens)` with 6 · params · tokens = C, for each row of `values`.

    Shapes: `values` (…, p), `log_flops` one budget or (…) of them, result (…). NaN where the loss has no valley between
    one parameter and one token: there is no interior optimum then. A minimum is located to about 1e-7 in ln N.
    """
    flat = values.reshape(-1, values.shape[-1])
    log_product = np.broadcast_to(np.asarray(log_flops - np.log(6)), values.shape[:-1]).reshape(-1, 1)
    if not len(flat) or not (log_product > 0).any():
        return np.full(values.shape[:-1], np.nan)

    def at(log_params: Floats) -> Floats:
        with np.errstate(all="ignore"):
            found = loss(flat[:, None, :], np.exp(log_params), np.exp(log_product - log_params))
        return np.where(np.isfinite(found), found, np.inf)

    grid = log_product * np.linspace(0.0, 1.0, GRID)
    losses = at(grid)
    valleys = np.pad(_valleys(losses), ((0, 0), (1, 1)))
    interior = valleys.any(axis=1) & (log_product[:, 0] > 0)
    least = np.where(valleys, losses, np.inf).argmin(axis=1)
    middle = grid[np.arange(len(flat)), least]
    half = log_product / (GRID - 1)
    while half.max() > PARABOLA:
        points = middle[:, None] + half * np.linspace(-1, 1, ZOOM)
        middle = points[np.arange(len(flat)), at(points).argmin(axis=1)]
        half *= 2 / (ZOOM - 1)
    optimum = middle + _vertex(at(middle[:, None] + half * np.array([-1.0, 0.0, 1.0])), half[:, 0])
    return np.where(interior, optimum, np.nan).reshape(values.shape[:-1])


def slope_of_optimum(log_optimum: Callable[[float], Floats], *, log_flops: float) -> Floats:
    """Return d ln N* / d ln C by central difference."""
    return (log_optimum(log_flops + SLOPE_STEP) - log_optimum(log_flops - SLOPE_STEP)) / (2 * SLOPE_STEP)


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
