"""Best splits of the answer's corpora: θ with its error, single budgets, how the split moves with compute."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from answer.readings import Cell, Counting, Floats, Readings, Row, as_observations, is_excluded, shifts
from isoloss.core.estimate import Estimate
from isoloss.optima.best_size import BestSize
from isoloss.optima.mean_split import MeanSplit, mean_splits

# Stated in docs/results/answer/plan.md: exact FLOPs, each inside the texts' grid.
BUDGETS = (6e10, 2.5e11, 1e12)
# Interventions and grammars are trained on the cheaper part of that grid, which holds the first two.
CHEAP_BUDGETS = BUDGETS[:2]
# A vocabulary of 1,024 makes small models dearer: its grid begins at a larger budget, and ends at a smaller one.
BPE_BUDGETS = (1.2e11, 2.5e11, 5e11)
# Exact FLOPs are 2.5 times 6 · N · D at 25,000 parameters.
SIX_ND_BUDGETS = tuple(float(f"{budget / 2.5:.3g}") for budget in BUDGETS)
DRAWS, FEW_DRAWS = 400, 100


@dataclass(frozen=True, kw_only=True, eq=False)
class Balance:
    """θ of one corpus, the mean of ln(D*/N*) over budgets, with its standard deviation; None where it has none."""

    corpus: str
    split: MeanSplit
    runs: int
    flagged: int

    @property
    def known(self) -> bool:
        """Whether every budget has its optimum inside."""
        return self.split.log_ratio is not None

    @property
    def theta(self) -> Estimate:
        """θ, known or an error of the caller."""
        assert self.split.log_ratio is not None
        return self.split.log_ratio

    @property
    def sd(self) -> float:
        """The standard deviation of θ by seeds, trunks, forms and documents."""
        assert self.split.sd is not None
        return self.split.sd

    @property
    def tokens_per_param(self) -> Estimate:
        """The geometric mean of the best tokens per parameter."""
        return self.theta.exponential()


def balances(
    readings: Readings,
    corpora: Sequence[str],
    *,
    budgets: Sequence[float] = BUDGETS,
    counting: Counting = "exact",
    draws: int = DRAWS,
    cells: Mapping[str, set[Cell]] | None = None,
) -> list[Balance]:
    """Return θ of `corpora`, form weights pooled over them; on the runs of `cells` where given, else of their grids."""
    rows: list[Row] = []
    for corpus in corpora:
        rows += readings.own(corpus, cells=None if cells is None else cells[corpus])
    if not rows:
        return []
    moved = shifts(rows, readings.corpora, draws=draws)
    found = mean_splits(
        as_observations(rows, counting=counting), budgets=budgets, pooled=True, shifts=moved, draws=draws
    )
    return [_balance(split, [row for row in rows if row["corpus"] == split.corpus]) for split in found]


def _balance(split: MeanSplit, rows: Sequence[Row]) -> Balance:
    flagged = sum(is_excluded(row) for row in rows)
    return Balance(corpus=split.corpus, split=split, runs=len(rows), flagged=flagged)


def per_compute(balance: Balance) -> tuple[float, float]:
    """Return dθ/d ln C of one corpus, the slope of ln(D*/N*) over the budgets, and its standard deviation."""
    points = balance.split.budgets
    x = np.log([one.flops for one in points])
    x -= x.mean()
    ratios = np.array([log_ratio(one) for one in points])
    draws = np.array([one.log_ratio_draws for one in points])
    return float(x @ ratios / (x @ x)), float((x @ draws / (x @ x)).std(ddof=1))


def single(balance: Balance, place: int) -> Balance:
    """Return a balance at one of its budgets alone."""
    one = balance.split.budgets[place]
    assert one.log_ratio_draws is not None
    draws = one.log_ratio_draws
    split = MeanSplit(
        corpus=balance.corpus, log_ratio=Estimate.from_draws(draws, value=log_ratio(one)),
        sd=float(draws.std(ddof=1)), draws=draws, reason="", budgets=(one,),
    )  # fmt: skip
    return Balance(corpus=balance.corpus, split=split, runs=balance.runs, flagged=balance.flagged)


def log_ratio(one: BestSize) -> float:
    """Return ln(D*/N*) of a budget that has it."""
    assert one.tokens_per_param is not None
    return math.log(one.tokens_per_param.value)


def mean_with_interval(values: Floats) -> Estimate:
    """Return the mean of values with Student's interval; without one of fewer than two."""
    centre = float(values.mean())
    if len(values) < 2:
        return Estimate(value=centre)
    half = float(stats.t.ppf(0.975, len(values) - 1)) * float(values.std(ddof=1)) / math.sqrt(len(values))
    return Estimate(value=centre, low=centre - half, high=centre + half)


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A corpus next to the one it was made from: the change of θ at the same budgets, and its error."""

    corpus: str
    source: str
    shift: float
    sd: float
    before: Balance
    after: Balance


def paired(
    readings: Readings, corpora: Sequence[str], *, budgets: Sequence[float] = CHEAP_BUDGETS, draws: int = DRAWS
) -> list[Pair]:
    """Return the change of every finished intervention whose source is finished too.

    A source counts on the cells that its interventions have, with all its seeds. Form weights
    are pooled over all of them, so what a form misses falls out of the difference.
    """
    ready = [name for name in readings.finished(corpora) if source_of(name) in readings.finished([source_of(name)])]
    if not ready:
        return []
    cells: dict[str, set[Cell]] = {}
    for name in ready:
        shared = readings.cells[name] & readings.cells[source_of(name)]
        # A tokenizer of its own has sizes of its own: then each side keeps its grid.
        cells[name] = shared or readings.cells[name]
        if shared:
            cells[source_of(name)] = cells.get(source_of(name), set()) | shared
    for name in ready:
        cells.setdefault(source_of(name), readings.cells[source_of(name)])
    found = {one.corpus: one for one in balances(readings, list(cells), budgets=budgets, draws=draws, cells=cells)}
    return [
        Pair(
            corpus=name, source=source_of(name), before=found[source_of(name)], after=found[name],
            shift=found[name].theta.value - found[source_of(name)].theta.value,
            sd=math.hypot(found[name].sd, found[source_of(name)].sd),
        )
        for name in ready
        if found[name].known and found[source_of(name)].known
    ]  # fmt: skip


def source_of(corpus: str) -> str:
    """Return the corpus that an intervention was made from."""
    return corpus.split("-")[0]
