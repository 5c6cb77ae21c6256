"""Approach 2 on training curves: a parabola per budget through sizes with runs around it, then a power law."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from isoloss.laws.law import Floats
from isoloss.runs.sizes import distinct_sizes

BUDGETS, FEWEST_SIZES = 7, 3


@dataclass(frozen=True)
class PowerOfCompute:
    """ln N* as a straight line in ln C."""

    slope: float
    intercept: float

    def best(self, flops: float) -> float:
        """Return the best tokens per parameter of a budget."""
        return float(np.exp(np.log(flops / 6) - 2 * (self.intercept + self.slope * np.log(flops))))


def fit(table: Any) -> PowerOfCompute:
    """Return the line through the lowest points of budgets. Raises ValueError where fewer than two have one."""
    curves = _curves(table)
    low, high = np.quantile(np.log(table.flops), [0.1, 0.9])
    budgets = np.linspace(float(low), float(high), BUDGETS)
    found = [(budget, lowest) for budget in budgets.tolist() if (lowest := _lowest(curves, budget)) is not None]
    if len(found) < 2:
        raise ValueError(f"{len(found)} budgets have an optimum inside their sizes, expected two")
    log_c, log_n = np.array(found).T
    slope, intercept = np.polyfit(log_c, log_n, 1)
    return PowerOfCompute(float(slope), float(intercept))


def _curves(table: Any) -> list[tuple[float, Floats, Floats]]:
    """Return ln N of every size, with ln C and ln L of its runs in ascending order."""
    sizes, member = distinct_sizes(table.params)
    rows = [np.flatnonzero(member == place) for place in range(len(sizes))]
    rows = [own[np.argsort(table.flops[own])] for own in rows]
    return [
        (float(np.log(size)), np.log(table.flops[own]), np.log(table.loss_nats[own]))
        for size, own in zip(sizes, rows, strict=True)
    ]


def _lowest(curves: list[tuple[float, Floats, Floats]], budget: float) -> float | None:
    """Return ln N at the bottom of the parabola of one budget, None without one between its sizes."""
    points = [(x, np.interp(budget, c, loss)) for x, c, loss in curves if c[0] <= budget <= c[-1]]
    if len(points) < FEWEST_SIZES:
        return None
    x, loss = (np.array(axis) for axis in zip(*points, strict=True))
    curvature, slope, _ = np.polyfit(x - x.mean(), loss, 2)
    lowest = x.mean() - slope / (2 * curvature)
    return float(lowest) if curvature > 0 and x.min() < lowest < x.max() else None
