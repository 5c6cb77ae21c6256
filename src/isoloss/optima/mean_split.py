"""The mean best split of several budgets: what corpora are compared by.

One budget is no endpoint. On ten bundled texts ln(D*/N*) at 5e10 and at 5e11 FLOPs correlates by −.11, so the budget
would choose the finding. Corpora are compared by the mean of ln(D*/N*) over three budgets, the same for all of them,
each inside the runs of every corpus; single budgets stand next to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from isoloss.core.errors import InputError
from isoloss.core.estimate import Estimate
from isoloss.core.plain_json import fields_json
from isoloss.fitting.checks import leave_out
from isoloss.laws.law import Floats
from isoloss.laws.settings import EXCLUDED_FLAGS
from isoloss.optima.best_size import DRAWS, BestSize, best_sizes
from isoloss.optima.inside import inside_range, three_of
from isoloss.runs.observations import Observations


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
        return fields_json(self, without=("draws",))


def shared_budgets(observations: Observations, *, planned: Sequence[float] = ()) -> tuple[float, ...]:
    """Return three budgets, lower, middle and upper, inside the runs of as many corpora of a table as possible.

    `planned` are the budgets of the design, in ascending order. They are returned where every corpus that has a budget
    inside its runs has all of these inside: then neither noise nor rounding chooses where corpora are compared. Raises
    InputError where no corpus has a budget inside its runs.
    """
    ranges = []
    for corpus in observations.corpora:
        used, _ = leave_out(observations.where(corpus=corpus), flags=EXCLUDED_FLAGS)
        if (found := inside_range(used)) is not None:
            ranges.append(found)
    if not ranges:
        raise InputError(
            "no corpus has a budget inside its runs",
            fix="add runs: three sizes with runs on both sides of a budget's tokens",
        )
    if planned and all(low <= planned[0] and planned[-1] <= high for low, high in ranges):
        return tuple(planned)
    return three_of(*_most_shared(ranges))


def middle_budget(table: Observations, *, planned: Sequence[float] = ()) -> float:
    """Return the middle one of `shared_budgets`, or the middle of all runs where no corpus has a budget inside."""
    try:
        return shared_budgets(table, planned=planned)[1]
    except InputError:
        return float(np.sqrt(table.flops.min() * table.flops.max()))


def _most_shared(ranges: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return the range that lies in most of `ranges`; of several the widest by ratio."""
    ends = sorted({end for pair in ranges for end in pair})
    pieces = list(pairwise(ends)) or [(ends[0], ends[0])]
    counts = [sum(low <= first and last <= high for low, high in ranges) for first, last in pieces]
    most = max(counts)
    joined: list[tuple[float, float]] = []
    for (first, last), count in zip(pieces, counts, strict=True):
        if count == most and joined and joined[-1][1] == first:
            joined[-1] = joined[-1][0], last
        elif count == most:
            joined.append((first, last))
    return max(joined, key=lambda pair: pair[1] / pair[0])


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
    return means_of(best_sizes(observations, budgets=asked, pooled=pooled, shifts=shifts, draws=draws, seed=seed))


def means_of(found: Sequence[BestSize]) -> list[MeanSplit]:
    """Return the mean of ln(D*/N*) over the budgets of every corpus in order of first appearance."""
    corpora = dict.fromkeys(one.corpus for one in found)
    return [_mean(corpus, [one for one in found if one.corpus == corpus]) for corpus in corpora]


def _mean(corpus: str, budgets: Sequence[BestSize]) -> MeanSplit:
    answers = [(one.tokens_per_param, one.log_ratio_draws) for one in budgets]
    inside = [(ratio, drawn) for ratio, drawn in answers if ratio is not None and drawn is not None]
    if len(inside) < len(budgets):
        outside = [one for one in budgets if not one.inside]
        at = " and ".join(f"{one.flops:.2g}" for one in outside)
        reason = f"at {at} FLOPs {outside[0].reason}"
        return MeanSplit(corpus=corpus, log_ratio=None, sd=None, draws=None, reason=reason, budgets=tuple(budgets))
    drawn = np.mean([each for _, each in inside], axis=0)
    value = float(np.mean([np.log(ratio.value) for ratio, _ in inside]))
    return MeanSplit(
        corpus=corpus, log_ratio=Estimate.from_draws(drawn, value=value), sd=float(drawn.std(ddof=1)), draws=drawn,
        reason="", budgets=tuple(budgets),
    )  # fmt: skip
