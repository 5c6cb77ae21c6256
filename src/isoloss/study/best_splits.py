"""The best split of every corpus of a study: what its verdict, its comparison and its first screen rest on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from isoloss.core.errors import InputError
from isoloss.core.plain_json import fields_json
from isoloss.fitting.checks import leave_out
from isoloss.laws.law import Floats
from isoloss.laws.settings import EXCLUDED_FLAGS
from isoloss.optima.best_size import DRAWS, BestSize, best_sizes
from isoloss.optima.documents import FEWEST_DOCUMENTS, document_shifts
from isoloss.optima.inside import three_of
from isoloss.optima.lack_of_fit import LackOfFit, lack_of_fit
from isoloss.optima.mean_split import MeanSplit, mean_splits, shared_budgets
from isoloss.optima.without_head import WithoutHead, without_head
from isoloss.runs.documents import DocumentLosses
from isoloss.runs.observations import Observations

NO_BEST_SPLITS: dict[str, Any] = {
    "optima": [], "optima_exact": [], "optima_without_head": [], "mean_splits": [], "lack_of_fit": []
}  # fmt: skip

Documents = Mapping[str, DocumentLosses]
"""The losses by held-out document of every run."""


@dataclass(frozen=True, kw_only=True)
class KnownOfRuns:
    """What is known of runs beyond their table, by run; None for what is not.

    `exact_flops`, N without the output head (`without_heads`), and losses by held-out document (`documents`).
    """

    exact_flops: Mapping[str, float] | None = None
    without_heads: Mapping[str, float] | None = None
    documents: Documents | None = None


NOTHING_KNOWN = KnownOfRuns()


@dataclass(frozen=True, kw_only=True)
class BestSplits:
    """The best split of each corpus at three budgets: those of the design, or three inside as many corpora as possible.

    Found once a study, each corpus with its own weights of the forms: verdicts, the comparison of predictors and the
    pooled split of a data-dependent law all rest on these.

    `splits` count budgets as the table does (6 · params · tokens), `exact` by exact FLOPs, at the same places inside
    the runs; None where exact FLOPs are not known. `without_head` are the sizes of `splits` counted without the
    output head; none where that is not known. `unfiltered` are the splits at the middle budget with flagged runs.
    `lack_of_fit` says which corpora refuse the form that is fitted.
    """

    budgets: tuple[float, ...]
    splits: tuple[MeanSplit, ...]
    exact: tuple[MeanSplit, ...] | None
    lack_of_fit: tuple[LackOfFit, ...]
    without_head: tuple[WithoutHead, ...] = ()
    unfiltered: Mapping[str, BestSize] = field(default_factory=dict)

    @property
    def budget(self) -> float:
        """The middle budget, in FLOPs: the one of the table of best splits."""
        return self.budgets[len(self.budgets) // 2]

    @property
    def optima(self) -> list[BestSize]:
        """The best split of every corpus at every budget."""
        return _single(self.splits)

    @property
    def optima_exact(self) -> list[BestSize]:
        """The same where budgets are exact FLOPs; none where these are not known."""
        return _single(self.exact or ())

    def at_budget(self) -> dict[str, BestSize]:
        """Return the best split of every corpus at the middle budget."""
        return middle_of(self.splits)

    def log_ratios(self) -> dict[str, float]:
        """Return ln(D*/N*) at the middle budget of every corpus that has its optimum inside its runs there."""
        ratios = {name: best.tokens_per_param for name, best in self.at_budget().items()}
        return {name: float(np.log(ratio.value)) for name, ratio in ratios.items() if ratio is not None}

    def to_json(self) -> dict[str, Any]:
        """Return the keys of `isoloss run --json` that best splits give."""
        return {
            "optima": [best.to_json() for best in self.optima],
            "optima_exact": [best.to_json() for best in self.optima_exact],
            "optima_without_head": [one.to_json() for one in self.without_head],
            "mean_splits": [fields_json(split, without=("draws", "budgets")) for split in self.splits],
            "lack_of_fit": [one.to_json() for one in self.lack_of_fit],
        }


def find_best_splits(
    table: Observations,
    *,
    form: str,
    designed: Sequence[float] = (),
    known: KnownOfRuns = NOTHING_KNOWN,
    seed: int = 0,
) -> BestSplits | None:
    """Return the best splits of every corpus of a table, or None where no corpus holds a budget.

    `form` is the law whose misfit is judged. `designed` are the budgets that the study lays out, in ascending order.
    Corpora are compared a quarter, half and three quarters of the way from the first to the last in ln C, where all of
    them have these inside. Where documents are `known`, intervals hold what other held-out documents would have said.
    """
    planned = planned_budgets(designed)
    try:
        budgets = shared_budgets(table, planned=planned)
    except InputError:
        return None
    shifts = shifts_of(table, known.documents, seed=seed) if known.documents else None
    splits = mean_splits(table, budgets=budgets, pooled=False, shifts=shifts, seed=seed)
    inside = [best for best in _single(splits) if best.inside]
    found = BestSplits(
        budgets=budgets, splits=tuple(splits),
        exact=_exact(table, known.exact_flops, planned, shifts=shifts, seed=seed) if known.exact_flops else None,
        lack_of_fit=tuple(lack_of_fit(table, form=form, optima=inside, seed=seed)) if inside else (),
        without_head=_without_head(table, splits, known.without_heads) if known.without_heads else (),
    )  # fmt: skip
    return replace(found, unfiltered=_unfiltered(table, found, shifts=shifts, seed=seed))


def splits_at(
    table: Observations, budget: float, *, shifts: Floats | None = None, seed: int = 0
) -> dict[str, BestSize]:
    """Return the best split of every corpus of a table at one budget."""
    return {one.corpus: one for one in best_sizes(table, budgets=[budget], shifts=shifts, seed=seed)}


def middle_of(splits: Sequence[MeanSplit]) -> dict[str, BestSize]:
    """Return the best split of every corpus at the middle one of its budgets."""
    return {one.corpus: one.budgets[len(one.budgets) // 2] for one in splits}


def _single(splits: Sequence[MeanSplit]) -> list[BestSize]:
    return [best for split in splits for best in split.budgets]


def _unfiltered(table: Observations, found: BestSplits, *, shifts: Floats | None, seed: int) -> dict[str, BestSize]:
    """Return the splits at the middle budget with flagged runs: of corpora without any the same."""
    flagged = {name for name in table.corpora if leave_out(table.where(corpus=name), flags=EXCLUDED_FLAGS)[1]}
    if not flagged:
        return found.at_budget()
    every = splits_at(replace(table, flags=None), found.budget, shifts=shifts, seed=seed)
    return {name: every[name] if name in flagged else own for name, own in found.at_budget().items()}


def _exact(
    table: Observations, flops: Mapping[str, float], planned: Sequence[float], *, shifts: Floats | None, seed: int
) -> tuple[MeanSplit, ...]:
    """Return the best splits where budgets are exact FLOPs, at the same places inside the runs."""
    counted = _counted(table, flops)
    dearer = float(np.median(counted.flops / table.flops))
    budgets = shared_budgets(counted, planned=[float(f"{budget * dearer:.3g}") for budget in planned])
    return tuple(mean_splits(counted, budgets=budgets, pooled=False, shifts=shifts, seed=seed))


def _without_head(
    table: Observations, splits: Sequence[MeanSplit], without: Mapping[str, float]
) -> tuple[WithoutHead, ...]:
    """Return the best sizes of every corpus and budget without the output head."""
    found = []
    for split in splits:
        own = table.where(corpus=split.corpus)
        counted = np.array([without[run] for run in own.run.tolist()], dtype=np.float64)
        found += [without_head(best, own.params, counted) for best in split.budgets]
    return tuple(found)


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
