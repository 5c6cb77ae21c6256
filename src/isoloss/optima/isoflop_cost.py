"""What an exponent costs: the same analysis on ever more budgets, accuracy next to the FLOPs of the runs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from isoloss.core.errors import InputError
from isoloss.laws.law import Floats
from isoloss.optima.isoflop import FEWEST_SIZES, IsoFlop, fit_isoflop
from isoloss.optima.power_line import PowerLine
from isoloss.optima.seed_noise import SeedNoise
from isoloss.runs.observations import Observations

FEWEST_BUDGETS = 3
MOST_EXCESS = 1.0  # nats above a budget's lowest loss: runs further up its side are not needed
MOST_RATIO = 100.0  # tokens per parameter, beyond which runs are not needed


@dataclass(frozen=True, kw_only=True, eq=False)
class CostPoint:
    """The law of N* from the first `budgets` budgets, and the FLOPs of the runs behind it."""

    budgets: int
    flops: float
    cost: float
    law: PowerLine

    def error_against(self, exponent: float) -> float:
        """Return the root mean square of the draws' relative errors against a nominal exponent."""
        return float(np.sqrt(np.mean((self.law.draws[:, 0] / exponent - 1) ** 2)))


def accuracy_by_cost(
    observations: Observations,
    *,
    budgets: Sequence[float],
    noise: float | SeedNoise,
    start: float | None = None,
    anytime: bool = True,
    floor: float | None = None,
    draws: int = 1000,
    seed: int = 0,
    normals: Callable[[tuple[int, int]], Floats] | None = None,
) -> list[CostPoint]:
    """Return N* ∝ C^a from the first three budgets, the first four, and so on; laws begin at `start` FLOPs.

    A size costs its largest budget where one run serves them all (`anytime`), else the sum of its budgets. Runs more
    than 1 nat above their budget's lowest or beyond 100 tokens per parameter count as not needed. Porian et al. 2024,
    section 4. Raises InputError for fewer than three budgets.
    """
    if len(budgets) < FEWEST_BUDGETS:
        raise InputError(f"{len(budgets)} budgets, expected at least {FEWEST_BUDGETS}", fix="name more budgets")
    ordered = sorted(budgets)
    points = []
    for count in range(FEWEST_BUDGETS, len(ordered) + 1):
        found = fit_isoflop(
            observations, interpolation="akima", noise=noise, budgets=ordered[:count], floor=floor, draws=draws,
            seed=seed, normals=normals,
        )  # fmt: skip
        kept = tuple(optimum for optimum in found.optima if optimum.flops >= (start or ordered[0]))
        law = replace(found, optima=kept).laws().params
        points.append(
            CostPoint(budgets=count, flops=found.found[-1].flops, cost=_cost(found, anytime=anytime), law=law)
        )
    return points


def _cost(found: IsoFlop, *, anytime: bool) -> float:
    """Return the FLOPs of the runs needed: one a size up to its largest budget, or one a size and budget."""
    spent: dict[float, list[float]] = {}
    for optimum in found.optima:
        if len(optimum.params) < FEWEST_SIZES or optimum.status != "ok":
            continue
        excess = optimum.loss_nats - optimum.loss_nats.min()
        needed = (excess < MOST_EXCESS) & (optimum.flops / (6 * optimum.params**2) <= MOST_RATIO)
        for params in optimum.params[needed].tolist():
            spent.setdefault(params, []).append(optimum.flops)
    return float(sum(max(flops) if anytime else sum(flops) for flops in spent.values()))
