"""What a design can hold: from how many sizes a budget's optimum can be read, and what differs between its corpora."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from isoloss.study.grid import BUDGET_STEP, WANTED_SIZES, Grid
from isoloss.study.run_plan import GRID, PlannedRun

# A run this near to a budget's tokens counts as one at them: token counts are whole batches, and sizes real shapes.
NEAR = 1.1


@dataclass(frozen=True, kw_only=True)
class BudgetSizes:
    """The sizes of a corpus from which the optimum of one budget can be read.

    A size holds a budget where it has runs on both sides of the budget's tokens, or within 10 % of them. `below` of
    `sizes` are smaller than the size that has the usual best tokens per parameter, `above` larger.
    """

    corpus: str
    flops: float
    sizes: int
    below: int
    above: int

    @property
    def holds(self) -> bool:
        """Whether the optimum is to be expected inside: five sizes, some of them on either side."""
        return self.sizes >= WANTED_SIZES and self.below > 0 and self.above > 0

    def to_json(self) -> dict[str, Any]:
        """Return one element of `budgets` of `isoloss check --json`."""
        return asdict(self) | {"holds": self.holds}


def budget_sizes(grid: Grid, planned: Sequence[PlannedRun], corpus: str) -> list[BudgetSizes]:
    """Return what every budget of the grid holds on a corpus; budgets inside its runs where token counts are listed."""
    lengths = lengths_by_size(grid, [run for run in planned if run.corpus == corpus])
    return [_held(grid, lengths, corpus, budget) for budget in grid.budgets or _inside(lengths)]


def lengths_by_size(grid: Grid, planned: Sequence[PlannedRun]) -> dict[int, list[int]]:
    """Return the token counts of every size of the grid itself, without those of other variants."""
    lengths: dict[int, list[int]] = {}
    for run in planned:
        if run.variant == GRID:
            lengths.setdefault(run.counts.params(grid.convention), []).append(run.spec.train_tokens)
    return lengths


def held_sizes(lengths: Mapping[int, Sequence[int]], flops: float) -> list[int]:
    """Return the sizes with runs on both sides of a budget's tokens, or within 10 % of them."""
    return [
        size
        for size, tokens in lengths.items()
        if min(tokens) / NEAR <= flops / (6 * size) <= max(tokens) * NEAR
    ]  # fmt: skip


def _held(grid: Grid, lengths: Mapping[int, Sequence[int]], corpus: str, flops: float) -> BudgetSizes:
    usual = math.sqrt(flops / 6 / grid.tokens_per_param)
    held = held_sizes(lengths, flops)
    return BudgetSizes(
        corpus=corpus, flops=flops, sizes=len(held), below=sum(size < usual for size in held),
        above=sum(size > usual for size in held),
    )  # fmt: skip


def _inside(lengths: Mapping[int, Sequence[int]]) -> list[float]:
    """Return budgets a factor of two apart, from the cheapest run of the largest size to the dearest of the smallest.

    Between them every size has runs on both sides. Where sizes reach so far that there is no such budget, the one in
    the middle of all runs.
    """
    low = 6 * max(lengths) * min(lengths[max(lengths)])
    high = 6 * min(lengths) * max(lengths[min(lengths)])
    if high <= low:
        return [math.sqrt(low * high)]
    steps = math.floor(math.log(high / low) / math.log(BUDGET_STEP))
    return [low * BUDGET_STEP**step for step in range(steps + 1)]


def poor_budgets(grid: Grid, held: Sequence[BudgetSizes]) -> str | None:
    """Return which budgets hold fewer than five sizes or sizes on one side alone, in a sentence; None where none does.

    The sentence ends with what to change: a grid that lists its token counts can lay them out by budgets.
    """
    poor = [one for one in held if not one.holds]
    if not poor:
        return None
    worst = min(poor, key=lambda one: (min(one.below, one.above) > 0, one.sizes))
    side = "" if worst.below and worst.above else f", none {'larger' if worst.below else 'smaller'} than the usual best"
    return (
        f"{len(poor)} of {len(held)} budgets have fewer than {WANTED_SIZES} sizes, or none on one side of the usual "
        f"best. Their optima may be outside. {worst.corpus} at {worst.flops:.2e} FLOPs has {worst.sizes} sizes{side}. "
        f"{better_layout(grid)}"
    )


def better_layout(grid: Grid) -> str:
    """Return what to change of a grid whose budgets hold too few sizes around their optimum."""
    if grid.tokens:
        return "Lay token counts out by budgets (grid.flops in place of grid.tokens), or add sizes."
    return "Add sizes around the optimum, or set grid.flops to budgets whose optimum lies between the sizes."


def unlike(corpora: Iterable[tuple[str, str, int]]) -> str | None:
    """Return in a sentence which corpora of a kind have other vocabularies than the rest; None where all have one.

    `corpora` are kind, name and vocabulary. Corpora are compared within a kind. Context and tied head are the study's,
    the same for all; a vocabulary moves the head's share of N.
    """
    kinds: dict[str, dict[int, list[str]]] = {}
    for kind, name, vocab_size in corpora:
        kinds.setdefault(kind, {}).setdefault(vocab_size, []).append(name)
    sentences = [
        f"vocabularies of {kind} corpora differ: "
        + "; ".join(f"{size:,} ({', '.join(names)})" for size, names in sorted(sizes.items()))
        for kind, sizes in kinds.items()
        if len(sizes) > 1
    ]
    if not sentences:
        return None
    said = ". ".join(one[0].upper() + one[1:] for one in sentences)
    return f"{said}. The head's share of N differs with them, and balances with it, whatever else differs."
