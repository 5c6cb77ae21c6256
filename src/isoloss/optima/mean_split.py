"""The mean best split of several budgets: what corpora are compared by.

One budget is no endpoint. On ten bundled texts ln(D*/N*) at 5e10 and at 5e11 FLOPs correlates by −.11, so the budget
would choose the finding. Corpora are compared by the mean of ln(D*/N*) over three budgets, the same for all of them,
each inside the runs of every corpus; single budgets stand beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from isoloss.core.errors import InputError
from isoloss.core.estimate import Estimate
from isoloss.fitting.checks import EXCLUDED_FLAGS, leave_out
from isoloss.laws.law import Floats
from isoloss.optima.best_size import DRAWS, BestSize, best_sizes, inside_range
from isoloss.runs.observations import Observations

SHARES = (0.1, 0.5, 0.9)  # of the range of ln C that every corpus holds: at its very ends sizes are fewest


@dataclass(frozen=True, kw_only=True)
class MeanSplit:
    """The mean of ln(D*/N*) of one corpus over budgets, with the draws of it; None where a budget is not inside.

    `sd` is the standard deviation of the draws. `budgets` are the single answers that the mean is of.
    """

    corpus: str
    log_ratio: Estimate | None
    sd: float | None
    draws: Floats | None
    reason: str
    budgets: tuple[BestSize, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return {
            "corpus": self.corpus,
            "log_ratio": None if self.log_ratio is None else self.log_ratio.to_json(),
            "sd": self.sd,
            "reason": self.reason,
            "budgets": [one.to_json() for one in self.budgets],
        }


def shared_budgets(observations: Observations) -> tuple[float, ...]:
    """Return three budgets, lower, middle and upper, that lie inside the runs of every corpus of a table.

    Raises InputError where the corpora share no range of budgets.
    """
    ranges = {}
    for corpus in observations.corpora:
        used, _ = leave_out(observations.where(corpus=corpus), flags=EXCLUDED_FLAGS)
        ranges[corpus] = inside_range(used)
    without = [corpus for corpus, found in ranges.items() if found is None]
    held = [found for found in ranges.values() if found is not None]
    if without or not held:
        raise InputError(
            f"no budget is inside the runs of {', '.join(without) or 'an empty table'}",
            fix="leave these corpora out, or add runs: three sizes with runs on both sides of a budget's tokens",
        )
    low, high = max(first for first, _ in held), min(last for _, last in held)
    if low >= high:
        raise InputError(
            f"the corpora share no budget inside their runs (from {low:.2g} at the least, to {high:.2g} at the most)",
            fix="train corpora that are compared on one grid",
        )
    return tuple(float(f"{low * (high / low) ** share:.3g}") for share in SHARES)


def mean_splits(
    observations: Observations,
    *,
    budgets: Sequence[float] | None = None,
    pooled: bool = True,
    shifts: Floats | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> list[MeanSplit]:
    """Return the mean of ln(D*/N*) over `budgets` for every corpus of a table; by default `shared_budgets`.

    `pooled` and `shifts` are those of `best_sizes`: one set of weights for all corpora, and what other held-out
    documents would change. Draws go together over budgets, so the interval is that of the mean.
    """
    asked = shared_budgets(observations) if budgets is None else tuple(budgets)
    found = best_sizes(observations, budgets=asked, pooled=pooled, shifts=shifts, draws=draws, seed=seed)
    return [_mean(corpus, [one for one in found if one.corpus == corpus]) for corpus in observations.corpora]


def _mean(corpus: str, budgets: Sequence[BestSize]) -> MeanSplit:
    answers = [(one.tokens_per_param, one.log_ratio_draws) for one in budgets]
    inside = [(ratio, drawn) for ratio, drawn in answers if ratio is not None and drawn is not None]
    if len(inside) < len(budgets):
        reason = "; ".join(f"{one.flops:.3g} FLOPs: {one.reason}" for one in budgets if not one.inside)
        return MeanSplit(corpus=corpus, log_ratio=None, sd=None, draws=None, reason=reason, budgets=tuple(budgets))
    drawn = np.mean([each for _, each in inside], axis=0)
    value = float(np.mean([np.log(ratio.value) for ratio, _ in inside]))
    return MeanSplit(
        corpus=corpus, log_ratio=Estimate.from_draws(drawn, value=value), sd=float(drawn.std(ddof=1)), draws=drawn,
        reason="", budgets=tuple(budgets),
    )  # fmt: skip
