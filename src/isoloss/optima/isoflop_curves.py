"""One budget's loss against size as a curve with a lowest point, and the same for many redrawn losses at once."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from isoloss.core.estimate import Estimate
from isoloss.laws.law import Floats

CURVE_POINTS = 101  # of a parabola as drawn
NEAR = 8.0  # a parabola lies through the sizes within this factor of the lowest
FEWEST_NEAR = 5  # and through five at least, where there are as many
PER_GAP = 25  # grid points between two sizes, along which Akima's curve is searched
STABLE_SHARE = 0.5  # of the draws that must have their lowest point inside


@dataclass(frozen=True, kw_only=True, eq=False)
class Valley:
    """Loss along one variable x (parameters, or tokens): the curve (m,) over `grid` (m,) and its lowest point.

    `draws` are the lowest points of redrawn curves that have one inside, `lowest` their losses, `share` how many of
    the redrawn curves those are. `log_std` is the standard deviation of ln draws, no smaller than `log_std_floor`, and
    divided by `share`. `interior` says whether the curve itself has its lowest point inside.
    """

    grid: Floats
    curve: Floats
    best: float
    best_loss: float
    interior: bool
    draws: Floats
    lowest: Floats
    share: float
    log_std: float
    log_std_floor: float

    @property
    def stable(self) -> bool:
        """Whether at least half of the redrawn curves have a lowest point inside; true where nothing was redrawn."""
        return self.share >= STABLE_SHARE

    @property
    def median(self) -> float:
        """The median draw, or the curve's own lowest point where nothing was redrawn."""
        return float(np.median(self.draws)) if len(self.draws) else self.best

    @property
    def estimate(self) -> Estimate:
        """The median draw with the interval of all."""
        return Estimate.from_draws(self.draws, value=self.median)

    def mapped(self, to: Callable[[Floats], Floats]) -> "Valley":
        """Return the same valley along another variable, a monotone function of this one."""
        grid, draws = to(self.grid), to(self.draws)
        order = np.argsort(grid)
        stretch = float(np.log(grid[order[-1]] / grid[order[0]]) / np.log(self.grid[-1] / self.grid[0]))
        floor = stretch * self.log_std_floor
        spread = max(float(np.std(np.log(draws))), floor) / self.share if len(draws) else float("nan")
        return replace(
            self, grid=grid[order], curve=self.curve[order], best=float(to(np.array(self.best))), draws=draws,
            log_std=spread, log_std_floor=floor,
        )  # fmt: skip

    @property
    def loss_log_std(self) -> float:
        """Standard deviation of ln loss at the draws' lowest points, divided by `share`; NaN without draws."""
        return float(np.std(np.log(self.lowest))) / self.share if len(self.lowest) else float("nan")

    @property
    def median_loss(self) -> float:
        """The median loss of the draws' lowest points, or the curve's own."""
        return float(np.median(self.lowest)) if len(self.lowest) else self.best_loss


def akima_valley(x: Floats, loss: Floats, redrawn: Floats | None, *, floor: float) -> Valley:
    """Return the valley of Akima's interpolation of ln L on ln x, searched on a geometric grid.

    `x` ascends; `redrawn` (draws, k) are losses with noise. The floor of the standard deviation is `floor` mean gaps
    between two x. Akima 1970; Porian et al. 2024, appendix B.
    """
    # SciPy's interpolation loads where it is used: figures of valleys do not need it.
    from scipy.interpolate import Akima1DInterpolator

    points = PER_GAP * (len(x) - 1)
    grid = np.geomspace(x.min(), x.max(), points)
    curve = np.exp(Akima1DInterpolator(np.log(x), np.log(loss))(np.log(grid)))
    at = int(curve.argmin())
    draws = lowest = np.empty(0)
    if redrawn is not None:
        every = Akima1DInterpolator(np.log(x), np.log(redrawn).T)(np.log(grid))
        place, value = every.argmin(axis=0), every.min(axis=0)
        kept = (place > 0) & (place < points - 1)
        draws, lowest = grid[place[kept]], np.exp(value[kept])
    return _valley(
        grid, curve, best=float(grid[at]), best_loss=float(curve[at]), interior=0 < at < points - 1,
        draws=draws, lowest=lowest, asked=0 if redrawn is None else len(redrawn),
        floor=floor * PER_GAP * float(np.log(grid[1] / grid[0])),
    )  # fmt: skip


def parabola_valley(x: Floats, loss: Floats, redrawn: Floats | None, *, floor: float) -> Valley:
    """Return the valley of the least-squares parabola of loss on ln x. Hoffmann et al. 2022, figure 3.

    Through the values within a factor of `NEAR` of the lowest loss, or the five nearest: a valley over a factor of a
    thousand is skewed, and a parabola through all of it misses the bottom. `floor` is in mean gaps between two x, as
    for Akima's curve.
    """
    near = _near(np.abs(np.log(x / x[loss.argmin()])))
    x, loss, redrawn = x[near], loss[near], None if redrawn is None else redrawn[:, near]
    log_x = np.log(x)
    middle, low, high = log_x.mean(), log_x[0], log_x[-1]
    design = np.vander(log_x - middle, 3)
    losses = loss[None] if redrawn is None else np.vstack([loss, redrawn])
    bend, tilt, level = np.linalg.pinv(design) @ losses.T
    with np.errstate(divide="ignore", invalid="ignore"):
        place = middle - tilt / (2 * bend)
        value = level - tilt**2 / (4 * bend)
    inside = (bend > 0) & (place > low) & (place < high) & (value > 0)
    grid = np.geomspace(x[0], x[-1], CURVE_POINTS)
    curve = np.vander(np.log(grid) - middle, 3) @ np.array([bend[0], tilt[0], level[0]])
    at = int(curve.argmin())
    best, best_loss = (np.exp(place[0]), value[0]) if inside[0] else (grid[at], curve[at])
    kept = np.flatnonzero(inside[1:]) + 1
    return _valley(
        grid, curve, best=float(best), best_loss=float(best_loss), interior=bool(inside[0]),
        draws=np.exp(place[kept]), lowest=value[kept], asked=len(losses) - 1,
        floor=floor * float(high - low) / (len(x) - 1),
    )  # fmt: skip


def _near(away: Floats) -> NDArray[np.bool_]:
    """Return which distances in ln x are near, at least the five least of them."""
    return np.asarray(away <= max(np.log(NEAR), np.sort(away)[:FEWEST_NEAR][-1]))


def _valley(
    grid: Floats, curve: Floats, *, best: float, best_loss: float, interior: bool, draws: Floats, lowest: Floats,
    asked: int, floor: float,
) -> Valley:  # fmt: skip
    share = len(draws) / asked if asked else 1.0
    spread = max(float(np.std(np.log(draws))), floor) / share if len(draws) else float("nan")
    return Valley(
        grid=grid, curve=curve, best=best, best_loss=best_loss, interior=interior, draws=draws, lowest=lowest,
        share=share, log_std=spread, log_std_floor=floor,
    )  # fmt: skip
