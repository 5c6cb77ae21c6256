"""Which budgets lie inside the runs of a corpus: sizes have runs on both sides of their tokens and of the optimum."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from isoloss.laws.law import Floats
from isoloss.optima.flops_rate import flops_per_token
from isoloss.optima.surfaces import plain_quadratic
from isoloss.runs.observations import Observations
from isoloss.runs.sizes import distinct_sizes

POINTS = 97
BUDGETS_TRIED = 65
FEWEST_SIZES = 3
NEAR_TOKENS = 1.1  # a size whose tokens end within a tenth of a budget's counts as having runs on that side


def usual_budgets(table: Observations) -> tuple[float, ...]:
    """Return three budgets inside the runs of a corpus, lower, middle and upper; none where none is inside.

    Where budgets inside alternate with others, as between the budgets of runs of equal compute, they are the nearest
    ones that are inside, those of the runs themselves among them.
    """
    budgets, within = _tried(table)
    places = np.flatnonzero(within)
    if not len(places):
        return ()
    low, high = float(budgets[places[0]]), float(budgets[places[-1]])
    if within[places[0] : places[-1]].all():
        return three_of(low, high)
    own = np.unique([float(f"{flops:.3g}") for flops in table.flops])
    if len(own) <= BUDGETS_TRIED:
        budgets, within = (np.concatenate(both) for both in zip((budgets, within), _tried(table, own), strict=True))
    known = np.sort(budgets[within])
    wanted = np.geomspace(known[0], known[-1], 3)
    return tuple(sorted({float(known[np.abs(np.log(known / budget)).argmin()]) for budget in wanted}))


def three_of(low: float, high: float, *, margin: float = 0.1) -> tuple[float, float, float]:
    """Return three budgets of a range to three digits: its middle, and `margin` of the way in ln C from either end.

    At the very ends sizes are fewest.
    """
    first, middle, last = (float(f"{low * (high / low) ** share:.3g}") for share in (margin, 0.5, 1 - margin))
    return first, middle, last


def inside_range(table: Observations) -> tuple[float, float] | None:
    """Return the lowest and the highest budget inside the runs of a corpus, or None where none is.

    Every budget between them is inside: three sizes have runs around it, and a plain quadratic of all rows has its
    optimum between them; where it never has, the first alone counts. Of several such ranges it is the widest.
    """
    budgets, within = _tried(table)
    found = _longest_stretch(within.tolist())
    return None if found is None else (float(budgets[found[0]]), float(budgets[found[1]]))


def _tried(table: Observations, budgets: Floats | None = None) -> tuple[Floats, NDArray[np.bool_]]:
    """Return budgets, over the range of a table's runs if none are given, and which of them are inside its runs.

    Where a quadratic of all rows never has its optimum between the sizes, those that have runs around them count.
    """
    if len(table) < FEWEST_SIZES:
        return np.empty(0), np.empty(0, dtype=bool)
    if budgets is None:
        budgets = np.geomspace(table.flops.min(), table.flops.max(), BUDGETS_TRIED)
    reach, log_loss = Reach.of(table), plain_quadratic(table)
    covered = np.array([reach.covered(budget).sum() >= FEWEST_SIZES for budget in budgets.tolist()])
    within = np.array([
        bool(held) and _seems_inside(reach, budget, log_loss)
        for budget, held in zip(budgets.tolist(), covered, strict=True)
    ])  # fmt: skip
    return budgets, within if within.any() else covered


def _longest_stretch(held: Sequence[bool]) -> tuple[int, int] | None:
    """Return the first and the last place of the longest stretch without a gap; None where none is held."""
    stretches = [list(places) for one, places in groupby(range(len(held)), key=held.__getitem__) if one]
    longest = max(stretches, key=len, default=None)
    return None if longest is None else (longest[0], longest[-1])


def _seems_inside(reach: "Reach", budget: float, log_loss: Callable[[Floats, Floats], Floats]) -> bool:
    """Whether a plain quadratic of all rows is least between the sizes that have runs around a budget."""
    log_n = np.linspace(*reach.ends(budget), POINTS)
    best = log_loss(log_n, np.log(budget) - reach.log_flops_per_token(log_n)).argmin()
    return bool(0 < best < POINTS - 1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Reach:
    """The sizes of a table's runs (k,) with ln of the fewest and of the most tokens, and ln(C/D) as a curve in ln N."""

    sizes: Floats
    fewest: Floats
    most: Floats
    log_flops_per_token: Callable[[Floats], Floats]

    @classmethod
    def of(cls, table: Observations) -> "Reach":
        """Return what the runs of a table reach."""
        sizes, member = distinct_sizes(table.params)
        tokens = [np.log(table.tokens[member == place]) for place in range(len(sizes))]
        return cls(
            sizes=sizes, fewest=np.array([own.min() for own in tokens]), most=np.array([own.max() for own in tokens]),
            log_flops_per_token=flops_per_token(table),
        )  # fmt: skip

    def covered(self, budget: float) -> NDArray[np.bool_]:
        """Return which sizes have runs on both sides of the budget's tokens, or within a tenth of them."""
        wanted = np.log(budget) - self.log_flops_per_token(np.log(self.sizes))
        margin = np.log(NEAR_TOKENS)
        return np.asarray((self.fewest <= wanted + margin) & (self.most >= wanted - margin))

    def ends(self, budget: float) -> tuple[float, float]:
        """Return ln of the smallest and of the largest size that has runs on both sides of the budget's tokens."""
        covered = self.sizes[self.covered(budget)]
        return float(np.log(covered[0])), float(np.log(covered[-1]))
