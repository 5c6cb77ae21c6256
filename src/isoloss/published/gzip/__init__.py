"""Pandey 2024, "gzip Predicts Data-dependent Scaling Laws", done again on the runs that survive."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from isoloss.core.numbers import fixed, plain
from isoloss.core.progress import QUIET, Progress
from isoloss.published.folder import Columns
from isoloss.published.gzip.analysis import CONVERGED, MAIN, GzipAnalysis, analyse, median_error
from isoloss.published.gzip.claims import claims
from isoloss.published.gzip.data import EXPONENTS, LOSSES, MEDIAN_ERRORS, SYMBOLS
from isoloss.published.gzip.drawings import COLUMN_NAMES, animation, drawings, short_name
from isoloss.published.reproduction import Reproduction, Row
from isoloss.report.blocks import (
    Column,
    Note,
    Section,
    Table,
    estimate_cell,
    kept,
    notes_or_none,
    number_cell,
    table_row,
)

DIGITS = "half of the last digit given, and as much again where optima are flat"
NOT_SHOWN = {
    "The paper's own coefficients and its sixth grammar": "its notebook and those runs are not public; five grammars "
    "survive in another repository, with up to 9.5M tokens instead of 100M",
    "Its iso-vocabulary and iso-gzip series": "their runs are not public; their grammars are studies that can be run",
    "Real code": "no run on code is public",
}


def reproduce(tables: dict[str, Columns], *, progress: Progress = QUIET) -> Reproduction:
    """Return the study done again: what fits of its runs say about the published numbers and claims."""
    found = analyse(tables, progress=progress)
    unfitted = notes_or_none((Note(title=n, text=reason) for n, reason in found.no_law.items()), warnings=True)
    return Reproduction(
        study="gzip",
        question="Do harder-to-compress data ask for more tokens per parameter, and does gzip say by how much?",
        rows=list(rows(found)), claims=claims(found), not_shown=NOT_SHOWN,
        sections=(
            Section(name="laws", title="The laws", blocks=(_laws(found), _lines(found))),
            Section(name="figures", title="The figures", blocks=tuple(drawings(found, tables))),
            Section(name="unfitted", title="Where nothing could be fitted", blocks=kept(unfitted)),
        ),
        animations={"contours.gif": partial(animation, found)},
    )  # fmt: skip


def rows(found: GzipAnalysis) -> Iterator[Row]:
    """Yield a of every grammar by every loss column, and the median errors of the first."""
    for loss in LOSSES:
        for corpus, value, ours in zip(found.corpora, EXPONENTS[loss], found.exponents(loss), strict=True):
            yield Row(quantity=f"{short_name(found, corpus)}: exponent a on {COLUMN_NAMES[loss]}", published=value,
                      reproduced=float(ours), tolerance=1e-3, absolute=True,
                      why=DIGITS)  # fmt: skip
    for corpus, value in zip(found.corpora, MEDIAN_ERRORS, strict=True):
        law = found.laws[MAIN][corpus]
        yield Row(quantity=f"{short_name(found, corpus)}: median error of L", published=value,
                  reproduced=median_error(law, found.table.where(corpus=corpus)), tolerance=0.005, absolute=True,
                  why="half of the last digit given")  # fmt: skip


def _laws(found: GzipAnalysis) -> Table:
    columns = (Column(title="grammar", numeric=False), Column(title="E"), Column(title="A"), Column(title="B"),
               Column(title="α"), Column(title="β"), *(Column(title="a", unit=COLUMN_NAMES[loss]) for loss in LOSSES),
               Column(title="a", unit="without runs still falling"), Column(title="runs", unit="still falling"),
               Column(title="error", unit="% of ln L"))  # fmt: skip
    table = []
    exponents = [*(found.exponents(loss) for loss in LOSSES), found.exponents(MAIN, converged=True)]
    for corpus, *values in zip(found.corpora, *exponents, strict=True):
        law = found.laws[MAIN][corpus]
        own = found.table.where(corpus=corpus).run.tolist()
        table.append(table_row(
            short_name(found, corpus),
            *(estimate_cell(law.params[name], style="plain") for name in law.params),
            *(number_cell(None if np.isnan(a) else float(a), lambda value: fixed(value, 3)) for a in values),
            number_cell(sum(run in found.flagged for run in own)),
            number_cell(100 * law.rmse, lambda value: plain(value, 2)),
        ))  # fmt: skip
    return Table(name="laws", caption="Chinchilla's law of every grammar, on the training loss of the last 5 % of "
                 "steps; intervals resample rows.", columns=columns, rows=tuple(table))  # fmt: skip


def _lines(found: GzipAnalysis) -> Table:
    columns = (
        Column(title="coefficient", numeric=False), Column(title="fitted to", numeric=False), Column(title="slope"),
        Column(title="r"), Column(title="p"),
    )  # fmt: skip
    names = {**COLUMN_NAMES, CONVERGED: f"{COLUMN_NAMES[MAIN]}, {CONVERGED}"}
    table = []
    for coefficient in found.lines[MAIN]:
        for fitted, lines in found.lines.items():
            line = lines[coefficient]
            numbers = [number_cell(value, lambda number: plain(number, 3)) for value in (line.slope, line.r, line.p)]
            table.append(table_row(SYMBOLS[coefficient], names[fitted], *numbers))
    return Table(name="lines", caption="Each coefficient regressed on the gzip ratio over five grammars, by the losses "
                 "that are fitted.", columns=columns, rows=tuple(table))  # fmt: skip
