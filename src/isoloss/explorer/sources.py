"""What a page explores: fitted laws of either kind, and the runs behind them, from a law's file, a study or a table."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from isoloss.core.errors import BadTable, InputError
from isoloss.core.files import regular
from isoloss.core.progress import QUIET, Progress
from isoloss.data_dependence.data_dependent import FittedDataDependent
from isoloss.data_dependence.law_files import load_law
from isoloss.fitting.estimated import EstimatedLaw
from isoloss.fitting.fitted import FittedLaw
from isoloss.fitting.fitting import fit_corpora
from isoloss.optima.best_size import BestSize, best_sizes
from isoloss.optima.lack_of_fit import lack_of_fit
from isoloss.planning.laws import PlanLaw
from isoloss.runs.archive import Archive
from isoloss.runs.observations import UNSTATED, Observations
from isoloss.runs.read_runs import COUNTED_BY, open_table, read_runs

FORMS = ("chinchilla", "coupled", "ceiling")
"""Forms that are fitted to runs where none are named: those that the best size of a budget weighs."""
DRAWN = (*FORMS, "kaplan", "repeated", "farseer")
"""Forms whose formulas the page has."""
LOOKED_AT = 1 << 10  # bytes from which an array is told from a law
LAWS_FOLDER = "laws"


@dataclass(frozen=True, kw_only=True, eq=False)
class PageLaw:
    """A law of one corpus. Raises InputError for one whose formula the page does not have.

    `remark` is what a reader must know first, in a sentence; empty without one.
    """

    base: EstimatedLaw
    remark: str = ""

    def __post_init__(self) -> None:
        require_drawn(self.base.law)


@dataclass(frozen=True, kw_only=True, eq=False)
class Source:
    """One side of a page. `runs` and `weighted`, the best sizes that all forms give together, are by convention."""

    name: str
    laws: tuple[PageLaw, ...] = ()
    joint: tuple[FittedDataDependent, ...] = ()
    runs: Mapping[str, Observations] = field(default_factory=dict)
    weighted: Mapping[str, Sequence[BestSize]] = field(default_factory=dict)


def require_drawn(form: str, *, place: str | None = None) -> None:
    """Raise InputError for a form whose formula the page does not have."""
    if form not in DRAWN:
        raise InputError(f"the page cannot show the law {form}", place=place, fix=f"use one of {', '.join(DRAWN)}")


def _is_array(path: Path) -> bool:
    """Whether a file of JSON begins as an array: a table of runs, and no law."""
    try:
        with regular(path).open("rb") as stream:
            return stream.read(LOOKED_AT).lstrip().startswith(b"[")
    except OSError:
        return False  # whoever reads it says why


def open_source(
    path: Path,
    *,
    columns: Mapping[str, Any] | None = None,
    forms: Sequence[str] = (),
    bootstrap: int = 200,
    seed: int = 0,
    progress: Progress = QUIET,
) -> Source:
    """Return what a law's file, a results folder or a table of runs holds, `forms` fitted to runs (`FORMS` without).

    `columns` are `read_runs`'s keywords. Laws that a study left in its folder are taken as they are. Raises InputError
    for what is none of these, and for forms that the page does not have.
    """
    for form in forms:
        require_drawn(form, place="--law")
    if path.suffix == ".json" and not _is_array(path):
        return of_laws([load_law(path).law], name=path.stem)
    own, joint = _stored(path / LAWS_FOLDER) if path.is_dir() else ([], [])
    named = dict(columns or {})
    tables = {UNSTATED: read_runs(path, **named)}
    if path.is_dir() and Archive.stands_in(path):
        tables = _by_convention(path, named)
    return of_runs(
        tables, name=path.resolve().name if path.is_dir() else path.stem, forms=forms or FORMS, own=own, joint=joint,
        bootstrap=bootstrap, seed=seed, progress=progress,
    )  # fmt: skip


def of_laws(laws: Iterable[FittedLaw | FittedDataDependent], *, name: str) -> Source:
    """Return laws of either kind as they are, without runs. Raises as `PageLaw`."""
    every = list(laws)
    return Source(
        name=name,
        laws=tuple(PageLaw(base=law) for law in every if isinstance(law, FittedLaw)),
        joint=tuple(law for law in every if isinstance(law, FittedDataDependent)),
    )


def of_plan(name: str, laws: Iterable[PlanLaw], *, repeats: bool) -> Source:
    """Return the laws that a plan goes by. `repeats`: it reads its corpus more than once. Raises as `require_drawn`."""
    remark = "This page counts every token as new; the plan also discounts repeated text." if repeats else ""
    return Source(name=name, laws=tuple(PageLaw(base=law.base, remark=remark) for law in laws))


def of_runs(
    tables: Mapping[str, Observations],
    *,
    name: str,
    forms: Sequence[str] = FORMS,
    own: Sequence[FittedLaw] = (),
    joint: Sequence[FittedDataDependent] = (),
    bootstrap: int = 200,
    seed: int = 0,
    progress: Progress = QUIET,
) -> Source:
    """Return runs, by how they count parameters, with each of `forms` fitted to each corpus.

    Laws of `own` stand for the fits of their form, corpus and convention. Forms that the runs refuse carry the refusal
    as their remark. Raises BadTable where no form can be fitted to a corpus.
    """
    laws: list[PageLaw] = []
    weighted = {}
    with progress.task("laws to explore", total=len(tables) * len(forms)) as task:
        for table in tables.values():
            convention = table.params_convention
            weighted[convention] = best_sizes(table, seed=seed)
            for form in forms:
                task.advance(0, detail=form)
                known = [law for law in own if law.law == form and law.params_convention == convention]
                fits = _fitted(table, form, known, bootstrap=bootstrap, seed=seed)
                refused = {
                    one.corpus: one.sentence()
                    for one in lack_of_fit(table, form=form, optima=weighted[convention], seed=seed)
                    if one.refused
                }
                laws += [PageLaw(base=law, remark=refused.get(law.group, _remark(law))) for law in fits]
                task.advance(1)
    if not laws:
        raise BadTable(f"no law could be fitted to the runs of {name}", fix="add sizes and token counts to each corpus")
    runs = {table.params_convention: table for table in tables.values()}
    return Source(name=name, laws=tuple(laws), joint=tuple(joint), runs=runs, weighted=weighted)


def _fitted(
    table: Observations, form: str, known: Sequence[FittedLaw], *, bootstrap: int, seed: int
) -> list[FittedLaw]:
    """Return a law of this form for every corpus whose runs determine one, known ones as they are."""
    found = {law.group: law for law in known}
    others = [corpus for corpus in table.corpora if corpus not in found]
    if others:
        found |= fit_corpora(table, others, law=form, bootstrap=bootstrap, seed=seed).laws
    return [found[corpus] for corpus in table.corpora if corpus in found]


def _remark(law: FittedLaw) -> str:
    """Return in a sentence that a fit ended at no one optimum, or nothing."""
    return "" if law.convergence.converged else "This fit did not converge; isoloss fit says why."


def _stored(folder: Path) -> tuple[list[FittedLaw], list[FittedDataDependent]]:
    """Return the laws of either kind that a study left in its folder and whose formulas the page has."""
    found = [load_law(path).law for path in sorted(folder.glob("*.json"))]
    own = [law for law in found if isinstance(law, FittedLaw) and law.law in DRAWN]
    return own, [law for law in found if isinstance(law, FittedDataDependent)]


def _by_convention(path: Path, columns: Mapping[str, Any]) -> dict[str, Observations]:
    """Return the runs of an archive by every way of counting parameters that it records, its own first."""
    found = {"own": read_runs(path, **columns)}
    seen = {found["own"].params_convention}
    recorded = open_table(path)
    for column, convention in COUNTED_BY.items():
        recorded_everywhere = column in recorded.column_names and not recorded[column].null_count
        if "params" in columns or convention in seen or not recorded_everywhere:
            continue
        other = read_runs(path, **{**columns, "params": column})
        if (np.asarray(other.params) > 0).all():
            found[convention] = other
    return found
