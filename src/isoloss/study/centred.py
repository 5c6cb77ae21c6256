"""A centred grid: where the second pass is placed, from what the first pass saw on each corpus.

The place follows from the records of the first pass alone, so that the same study in the same folder, interrupted or
not, plans the same runs.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from isoloss.core.plain_json import Plain
from isoloss.optima.best_size import SIDES, best_sizes
from isoloss.runs.observations import Observations
from isoloss.runs.sizes import distinct_sizes
from isoloss.study.grid import Grid

# Places stand a fourth of an octave apart (19 %), so that the last digits of losses on another processor seldom matter.
STEPS_PER_OCTAVE = 4
BEYOND = 2.0  # times beyond the outermost size, where the first pass saw its optimum outside


@dataclass(frozen=True, kw_only=True)
class Placement(Plain):
    """Where the second pass of a corpus lies: tokens per parameter of its best sizes, and what the first pass saw.

    `tokens_per_param` is None where there is no second pass, for the `reason`; else `reason` says what it rests on.
    """

    corpus: str
    flops: float
    tokens_per_param: float | None
    reason: str

    def sentence(self) -> str:
        """Return the place in plain English."""
        if self.tokens_per_param is None:
            return f"{self.corpus} gets no second pass: {self.reason}."
        return f"{self.corpus}: around {self.tokens_per_param:.3g} tokens per parameter ({self.reason})."


def place(table: Observations, *, corpus: str, grid: Grid) -> Placement:
    """Return where the second pass of a centred grid lies on a corpus, from the finished runs of its first.

    The split expected by the grid stands in where the runs show no optimum, and on no side.
    """
    budgets = grid.first_pass().budgets
    flops = budgets[len(budgets) // 2]
    best = best_sizes(table, budgets=[flops])[0] if len(table) else None
    if best is not None and best.tokens_per_param is not None:
        ratio, reason = best.tokens_per_param.value, "the optimum that the first pass saw"
    elif best is not None and best.side is not None:
        sizes, _ = distinct_sizes(table.params)
        ratio = flops / (6 * sizes[0] ** 2) * BEYOND if best.side == "below" else flops / (6 * sizes[-1] ** 2) / BEYOND
        reason = f"the first pass saw its optimum {SIDES[best.side]}"
    else:
        ratio = grid.tokens_per_param
        reason = f"the first pass saw no optimum: {best.reason if best else 'no run finished'}"
    return Placement(corpus=corpus, flops=flops, tokens_per_param=on_a_step(ratio), reason=reason)


def centres_of(placements: Iterable[Placement]) -> dict[str, float]:
    """Return the tokens per parameter around which each second pass lies, of corpora that have one."""
    return {one.corpus: one.tokens_per_param for one in placements if one.tokens_per_param is not None}


def on_a_step(ratio: float) -> float:
    """Return the place nearest to tokens per parameter."""
    return float(f"{2 ** (round(STEPS_PER_OCTAVE * math.log2(ratio)) / STEPS_PER_OCTAVE):.4g}")


def in_words(placements: Sequence[Placement]) -> str | None:
    """Return where the second passes lie, in one paragraph; None without any."""
    if not placements:
        return None
    return "Sizes were placed by a first pass on each corpus. " + " ".join(one.sentence() for one in placements)
