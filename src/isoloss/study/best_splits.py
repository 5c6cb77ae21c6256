"""The best split of every corpus of a study: what its verdict, its comparison and its first screen rest on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from isoloss.core.errors import InputError
from isoloss.core.plain_json import fields_json
from isoloss.laws.law import Floats
from isoloss.optima.best_size import DRAWS, BestSize, three_of
from isoloss.optima.documents import FEWEST_DOCUMENTS, document_shifts
from isoloss.optima.lack_of_fit import LackOfFit, lack_of_fit
from isoloss.optima.mean_split import MeanSplit, mean_splits, shared_budgets
from isoloss.runs.documents import DocumentLosses
from isoloss.runs.observations import Observations

Documents = Mapping[str, DocumentLosses]
"""Run → its losses by held-out document."""

NO_BEST_SPLITS: dict[str, Any] = {"optima": [], "optima_exact": [], "mean_splits": [], "lack_of_fit": []}


@dataclass(frozen=True, kw_only=True)
class BestSplits:
    """The best split of each corpus at three budgets: those of the design, or three inside as many corpora as possible.

    Found once a study, each corpus with its own weights of the forms: verdicts, the comparison of predictors and the
    pooled split of a data-dependent law all rest on these.

    `splits` count budgets as the table does (6 · params · tokens), `exact` by exact FLOPs, at the same places inside
    the runs; None where exact FLOPs are not known. `lack_of_fit` says which corpora refuse the form that is fitted.
    """

    budgets: tuple[float, ...]
    splits: tuple[MeanSplit, ...]
    exact: tuple[MeanSplit, ...] | None
    lack_of_fit: tuple[LackOfFit, ...]

    @property
    def budget(self) -> float:
        """The middle budget, in FLOPs: the one of the table of best splits."""
        return self.budgets[len(self.budgets) // 2]

    def at_budget(self) -> dict[str, BestSize]:
        """Return the best split of every corpus at the middle budget."""
        return {one.corpus: one.budgets[len(one.budgets) // 2] for one in self.splits}

    def log_ratios(self) -> dict[str, float]:
        """Return ln(D*/N*) at the middle budget of every corpus that has its optimum inside its runs there."""
        ratios = {name: best.tokens_per_param for name, best in self.at_budget().items()}
        return {name: float(np.log(ratio.value)) for name, ratio in ratios.items() if ratio is not None}

    def to_json(self) -> dict[str, Any]:
        """Return the keys of `isoloss run --json` that best splits give."""
        return {
            "optima": [best.to_json() for split in self.splits for best in split.budgets],
            "optima_exact": [best.to_json() for split in self.exact or () for best in split.budgets],
            "mean_splits": [fields_json(split, without=("draws", "budgets")) for split in self.splits],
            "lack_of_fit": [one.to_json() for one in self.lack_of_fit],
        }


def find_best_splits(
    table: Observations,
    *,
    form: str,
    designed: Sequence[float] = (),
    exact_flops: Mapping[str, float] | None = None,
    documents: Documents | None = None,
    seed: int = 0,
) -> BestSplits | None:
    """Return the best splits of every corpus of a table, or None where no corpus holds a budget.

    `form` is the law whose misfit is judged. `designed` are the budgets that the study lays out, in ascending order.
    Corpora are compared a quarter, half and three quarters of the way from the first to the last in ln C, where all of
    them have these inside. `exact_flops` maps each run to its own. With `documents` intervals hold what other held-out
    documents would have said.
    """
    planned = planned_budgets(designed)
    try:
        budgets = shared_budgets(table, planned=planned)
    except InputError:
        return None
    shifts = shifts_of(table, documents, seed=seed) if documents else None
    splits = mean_splits(table, budgets=budgets, pooled=False, shifts=shifts, seed=seed)
    exact = None
    if exact_flops is not None:
        counted = _counted(table, exact_flops)
        dearer = float(np.median(counted.flops / table.flops))
        own = shared_budgets(counted, planned=[float(f"{budget * dearer:.3g}") for budget in planned])
        exact = tuple(mean_splits(counted, budgets=own, pooled=False, shifts=shifts, seed=seed))
    inside = [best for split in splits for best in split.budgets if best.inside]
    return BestSplits(
        budgets=budgets, splits=tuple(splits), exact=exact,
        lack_of_fit=tuple(lack_of_fit(table, form=form, optima=inside, seed=seed)) if inside else (),
    )  # fmt: skip


def planned_budgets(designed: Sequence[float]) -> tuple[float, ...]:
    """Return the three budgets at which a design compares corpora; none without budgets."""
    return three_of(designed[0], designed[-1], margin=0.25) if designed else ()


def _counted(table: Observations, flops: Mapping[str, float]) -> Observations:
    """Return the table with other FLOPs."""
    own = np.array([flops[run] for run in table.run.tolist()])
    return replace(table, known={**table.known, "flops": own}, flops_convention="exact")


def shifts_of(table: Observations, documents: Documents, *, seed: int) -> Floats | None:
    """Return what documents drawn anew change of every row's ln loss (draws, n); None where no corpus has enough."""
    shifts = np.zeros((DRAWS, len(table)))
    for corpus in table.corpora:
        rows = [i for i in np.flatnonzero(table.corpus == corpus).tolist() if str(table.run[i]) in documents]
        found = [documents[str(table.run[i])] for i in rows]
        if not found or len(found[0].tokens) < FEWEST_DOCUMENTS or not _same_documents(found):
            continue
        tokens = found[0].tokens.astype(np.float64)
        nats = np.array([one.nats for one in found]) * tokens
        shifts[:, rows] = document_shifts(nats, tokens, draws=DRAWS, seed=seed)
    return shifts if shifts.any() else None


def _same_documents(losses: Sequence[DocumentLosses]) -> bool:
    return all(np.array_equal(one.document, losses[0].document) for one in losses)
