"""L = E + A/C^α: the least loss of a budget as a power law that saturates (Hoffmann et al.; Porian et al. 2024).

Fitted by least squares of ln L, optionally weighted by the inverse variance of ln L, to the loss at each budget's
optimum, by the engine. Many redrawn losses are fitted at once.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from isoloss.core.errors import BadTable
from isoloss.core.estimate import LEVEL, Estimate
from isoloss.fitting.engine import best_ends, pose, solve, starting_points
from isoloss.laws.law import Floats
from isoloss.laws.power import OffsetFlops
from isoloss.runs.observations import observations

FEWEST_BUDGETS = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class SaturatingFit:
    """L = E + A/C^α. `draws` (m, 3) are refits (E, A, α); `rmse` is of ln L; `flops` the range that was fitted."""

    E: float
    A: float
    alpha: float
    rmse: float
    flops: tuple[float, float]
    draws: Floats = field(default_factory=lambda: np.empty((0, 3)))

    def estimates(self) -> dict[str, Estimate]:
        """Return E, A and α with the percentile intervals of the draws."""
        values = {"E": self.E, "A": self.A, "alpha": self.alpha}
        return {
            name: Estimate.from_draws(self.draws[:, i], value=value) for i, (name, value) in enumerate(values.items())
        }

    def loss_at(self, flops: ArrayLike) -> Floats:
        """Return the least loss of budgets, in nats per token."""
        spent = np.atleast_1d(np.asarray(flops, dtype=np.float64))
        return np.asarray(_loss(np.array([[self.E, self.A, self.alpha]]), spent)[0])

    def band(self, flops: ArrayLike) -> tuple[Floats, Floats]:
        """Return both ends of the pointwise interval of the least loss at budgets. Needs draws."""
        losses = _loss(self.draws, np.atleast_1d(np.asarray(flops, dtype=np.float64)))
        low, high = np.quantile(losses, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
        return low, high


def fit_saturating(
    flops: ArrayLike, loss_nats: ArrayLike, *, log_std: ArrayLike | None = None, draws: ArrayLike | None = None
) -> SaturatingFit:
    """Return L = E + A/C^α through (budgets,) losses; `draws` (budgets, m) are refitted from the optimum.

    `log_std` is the standard deviation of ln L at each budget: the weight is its inverse square. Raises BadTable for
    fewer than four budgets or losses that do not fall.
    """
    budget, loss = np.asarray(flops, dtype=np.float64), np.asarray(loss_nats, dtype=np.float64)
    if len(np.unique(budget)) < FEWEST_BUDGETS:
        raise BadTable(
            f"{len(np.unique(budget))} budgets, expected at least {FEWEST_BUDGETS} for three parameters",
            fix="add budgets, or fit a power law without an offset",
        )
    if loss[budget.argmax()] >= loss[budget.argmin()]:
        raise BadTable("the lowest loss does not fall with compute", fix="check the columns of FLOPs and loss")
    weights = np.ones_like(loss) if log_std is None else 1 / np.asarray(log_std, dtype=np.float64) ** 2
    table = observations(flops=budget, loss_nats=loss)
    problem = pose(table, law=OffsetFlops, objective="gaussian", weights=weights)
    ends = solve(problem, starting_points(problem, "auto"))
    best = ends.free[ends.objective.argmin()]
    E, A, alpha = OffsetFlops.to_values(best, problem.origin).tolist()
    redrawn = np.empty((0, 3))
    if draws is not None:
        targets = np.log(np.asarray(draws, dtype=np.float64)).T
        refits = best_ends(problem, np.tile(best, (len(targets), 1, 1)), targets=targets)
        redrawn = OffsetFlops.to_values(refits.free, problem.origin)
    return SaturatingFit(
        E=E, A=A, alpha=alpha, rmse=float(np.sqrt(2 * ends.objective.min() / len(loss))),
        flops=(float(budget.min()), float(budget.max())), draws=redrawn,
    )  # fmt: skip


def _loss(values: Floats, flops: Floats) -> Floats:
    E, A, alpha = values.T[..., None]
    return np.asarray(E + A * flops**-alpha)
