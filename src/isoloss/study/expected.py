"""What interval of tokens per parameter a planned grid will give, from runs simulated on it: nothing is trained.

Two surfaces take turns: Chinchilla's form as it was fitted to English, and the coupled one as to Python source (γ held
at .4). Each is moved so that its best split of the middle budget is the one that the bundled texts together give a new
text there, or `grid.tokens_per_param` where the study says so. The answer is the one that a study would give: several
forms, weighted (`isoloss.optima.best_size`). What other held-out documents would change is not in it.

Noise is as runs of a like recipe have it. One window a batch: the six corpora of `isoloss demo`, two seeds a run, have
points of .8 to 1.5 % of L and trunks of .6 to 1.2 %, medians 1.0 and .9 (2026-11-30); in the sweep of
docs/results/recipe.md runs scatter by 1.1 %. Larger batches: the bundled runs, four windows a batch.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from isoloss.arena.truths import POINT_SD, TRUNK_SDS, Design, runs, truth
from isoloss.core.errors import InputError
from isoloss.core.plain_json import Plain
from isoloss.optima.best_size import BestSize, best_sizes
from isoloss.planning.shipped import shipped_law
from isoloss.study.best_splits import planned_budgets
from isoloss.study.grid import USUAL_RATIO, Grid
from isoloss.study.layout import BudgetSizes, better_layout, held_sizes, lengths_by_size
from isoloss.study.run_plan import GRID, PlannedRun

FORMS = ("coupled", "chinchilla")
ONE_WINDOW_SDS = (0.01, 0.01)  # of points and of trunks, in ln L
LARGER_BATCH_SDS = (POINT_SD, TRUNK_SDS[0])
REPLICATES = 8  # of all corpora together: each takes a tenth of a second
MOST_DESIGNS = 3  # corpora whose sizes and tokens differ by more than a quarter are simulated apart, so many at most
FEWEST_REPLICATES = 4
DRAWS = 100
MOST_RUNS = 500  # of a corpus's grid: a larger one takes longer than a check may
ALIKE = 0.25  # in ln N and ln D
MOSTLY = 0.5  # of the replicates


@dataclass(frozen=True, kw_only=True)
class Expected(Plain):
    """What one corpus's grid is expected to give at a middle budget.

    `tokens_per_param` is the optimum that was planted, `factor` the median high over low of its 95 % interval in
    `replicates` simulations; None where most of them gave none, for the `reason`. `low` and `high` are the tokens per
    parameter of the outermost sizes with runs around the budget, None without such sizes. `point_sd` and `trunk_sd` are
    the noise of the simulated runs, in ln L.
    """

    corpus: str
    flops: float
    tokens_per_param: float
    low: float | None
    high: float | None
    factor: float | None
    reason: str
    replicates: int
    point_sd: float
    trunk_sd: float

    def sentence(self) -> str:
        """Return what to expect in plain English."""
        at = f"{self.corpus} at {self.flops:.2e} FLOPs: an optimum of {self.tokens_per_param:.3g} tokens per parameter"
        if self.factor is None:
            return f"{at} would not be found: {self.reason}."
        return f"{at} would have an interval of a factor of {self.factor:.2g}, high over low."


def expect(grid: Grid, planned: Mapping[str, Sequence[PlannedRun]], budgets: Sequence[BudgetSizes]) -> list[Expected]:
    """Return what each corpus's planned runs are expected to give, as far as corpora have at most three grids.

    `budgets` are those of `isoloss.study.layout.budget_sizes`. Corpora whose grids are alike share a simulation.
    """
    of_corpus = {name: [one.flops for one in budgets if one.corpus == name] for name in planned}
    designs = {name: _design(grid, own, of_corpus[name]) for name, own in planned.items() if len(own) <= MOST_RUNS}
    groups: list[list[str]] = []
    for name, design in designs.items():
        like = next((group for group in groups if _alike(designs[group[0]], design)), None)
        groups.append([name]) if like is None else like.append(name)
    replicates = max(FEWEST_REPLICATES, REPLICATES // max(1, min(len(groups), MOST_DESIGNS)))
    found: dict[str, Expected] = {}
    for group in groups[:MOST_DESIGNS]:
        noise = _noise(planned[group[0]])
        factor, reason = _simulated(designs[group[0]], replicates, noise)
        for name in group:
            flops, (size, tokens) = designs[name].flops, designs[name].centre
            held = [flops / (6 * n**2) for n in held_sizes(lengths_by_size(grid, planned[name]), flops)]
            found[name] = Expected(
                corpus=name, flops=flops, tokens_per_param=tokens / size, low=min(held, default=None),
                high=max(held, default=None), factor=factor, reason=reason, replicates=replicates,
                point_sd=noise[0], trunk_sd=noise[1],
            )  # fmt: skip
    return [found[name] for name in planned if name in found]


def not_to_be_found(grid: Grid, expected: Sequence[Expected]) -> str | None:
    """Return where a grid would not give its optimum, in a sentence; None where it would everywhere."""
    unknown = [one for one in expected if one.factor is None]
    if not unknown:
        return None
    one = unknown[0]
    many = f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else ""
    span = "" if one.low is None else f" Sizes with runs there have {one.low:.3g} to {one.high:.3g}."
    return (
        f"in runs simulated on this grid, on {one.corpus}{many} an optimum of {one.tokens_per_param:.3g} tokens per "
        f"parameter at {one.flops:.2e} FLOPs is not found: {one.reason}.{span} {better_layout(grid)} "
        "Say in grid.tokens_per_param where it is, if you know."
    )


def _design(grid: Grid, planned: Sequence[PlannedRun], budgets: Sequence[float]) -> Design:
    """Return a corpus's runs, asked for the split to be expected of the middle budget: where corpora are compared."""
    planned_middle = planned_budgets(grid.budgets)[1:2]
    flops = planned_middle[0] if planned_middle else budgets[len(budgets) // 2]
    own = [run for run in planned if run.variant == GRID]
    _, trunk = np.unique([run.spec.trunk for run in own], return_inverse=True)
    size = math.sqrt(flops / 6 / usual_ratio(grid, flops))
    return Design(
        params=np.array([run.counts.params(grid.convention) for run in own], dtype=np.float64),
        tokens=np.array([run.spec.train_tokens for run in own], dtype=np.float64), trunk=trunk,
        centre=(size, flops / 6 / size),
    )  # fmt: skip


def usual_ratio(grid: Grid, flops: float) -> float:
    """Return the tokens per parameter to be expected at a budget.

    That of the bundled texts, which is known at 4e10 to 6e11 FLOPs and held beyond; or the study's own.
    """
    pooled = shipped_law().pooled
    if grid.tokens_per_param != USUAL_RATIO or pooled is None:
        return grid.tokens_per_param
    within = min(max(flops, pooled.low), pooled.high)
    return float(np.exp(pooled.log_ratio(np.log([within]), np.full((1, 2), 0.5))[0]))


def _alike(one: Design, other: Design) -> bool:
    """Whether two designs are the same runs within a quarter in size and tokens."""
    if len(one.params) != len(other.params):
        return False
    moved = [np.log(a) - np.log(b) for a, b in ((one.params, other.params), (one.tokens, other.tokens))]
    return all(bool((np.abs(each) < ALIKE).all()) for each in moved)


def _noise(planned: Sequence[PlannedRun]) -> tuple[float, float]:
    """Return the standard deviations of points and of trunks to be expected of runs, in ln L."""
    one_window = all(run.spec.batch_tokens <= run.spec.model.context for run in planned)
    return ONE_WINDOW_SDS if one_window else LARGER_BATCH_SDS


def _simulated(design: Design, replicates: int, noise: tuple[float, float]) -> tuple[float | None, str]:
    """Return the median high over low of the simulated intervals, or None and why most of them have none."""
    found: list[BestSize] = []
    point_sd, trunk_sd = noise
    with np.errstate(all="ignore"):  # a grid may reach to where a surface has no number
        surfaces = [truth(form, design) for form in FORMS]
        for seed in range(replicates):
            try:
                table = runs(surfaces[seed % len(FORMS)], design, trunk_sd=trunk_sd, point_sd=point_sd, seed=seed)
            except InputError as error:
                return None, error.reason
            found += best_sizes(table, budgets=[design.flops], draws=DRAWS, seed=seed)
    ratios = [one.tokens_per_param for one in found if one.tokens_per_param is not None]
    if len(ratios) < MOSTLY * replicates:
        return None, next(one.reason for one in found if not one.inside)
    return float(np.median([one.high / one.low for one in ratios if one.low and one.high])), ""
