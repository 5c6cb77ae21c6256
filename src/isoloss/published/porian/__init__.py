"""Porian et al. 2024, "Resolving Discrepancies in Compute-Optimal Scaling of Language Models", done again."""

import time
from dataclasses import replace
from pathlib import Path

from isoloss.core.pool import Helpers
from isoloss.core.progress import QUIET, Progress
from isoloss.published.folder import Columns, read_folder
from isoloss.published.porian import tables as written
from isoloss.published.porian.analysis import PorianAnalysis, analyse
from isoloss.published.porian.claims import claims
from isoloss.published.porian.data import ORIGIN
from isoloss.published.porian.drawings import drawings
from isoloss.published.porian.originals import CURVES, originals_in, tables_of_originals
from isoloss.published.porian.raw import RawRuns, convert
from isoloss.published.porian.raw_sections import raw_rows, raw_section
from isoloss.published.porian.rows import rows
from isoloss.published.reproduction import Reproduction
from isoloss.report.blocks import Section

RAW = f"needs the training curves: give --raw {CURVES}"
NOT_SHOWN = {
    "Sweep over rate and batch, and its power laws in N": RAW,
    "Full sweep, size by size": RAW,
    "Optimal loss under ideal tuning": RAW,
    "Seed noise against loss": RAW,
    "Table of tuned hyperparameters": RAW,
    "Loss curves, training and validation": RAW,
    "Cosine curves from runs that end at their budget": RAW,
}


def reproduce(
    folder: Path | str, *, raw: Path | str | None = None, progress: Progress = QUIET, helpers: Helpers | None = None
) -> Reproduction:
    """Return the study done again from a folder of its data. Raises InputError for a folder that is not it.

    The folder holds the four summaries as they were published (a clone's `data`, or the clone), or the tables of them.
    `raw` is the pickle of training curves, read by an unpickler that admits tables alone; with it the analyses that
    need curves are done too. `helpers` work along, see `isoloss.core.pool`.
    """
    place = originals_in(Path(folder))
    tables = read_folder(ORIGIN, folder) if place is None else tables_of_originals(place)
    curves = None if raw is None else convert(raw)
    started = time.perf_counter()
    found = analyse(tables, progress=progress, helpers=helpers)
    seconds = time.perf_counter() - started
    return _with_curves(reproduction(found, tables, seconds=seconds), curves)


def _with_curves(found: Reproduction, curves: RawRuns | None) -> Reproduction:
    if curves is None:
        return found
    return replace(
        found, rows=[*found.rows, *raw_rows(curves)], sections=[*found.sections, raw_section(curves)],
        not_shown={"Cosine curves from runs that end at their budget": "isoloss.optima.curves.finished_alone does it"},
        columns={f"raw-{name}.parquet": part for name, part in (("runs", curves.runs), ("curves", curves.curves))},
    )  # fmt: skip


def reproduction(found: PorianAnalysis, tables: dict[str, Columns], *, seconds: float) -> Reproduction:
    """Return what an analysis says about the published numbers and claims."""
    results, shapes, repaired = (
        written.results_table(found),
        written.architecture_table(),
        written.repaired_table(found),
    )
    return Reproduction(
        study="porian", title=ORIGIN.title, origin=f"{ORIGIN.paper}. {ORIGIN.sentence()}",
        question="Why do Kaplan et al. and Hoffmann et al. disagree on how model size should grow with compute?",
        rows=rows(found, tables), claims=claims(found, tables), seconds=seconds, not_shown=NOT_SHOWN,
        sections=(
            Section(name="results", title="The results", blocks=(results,)),
            Section(name="figures", title="The figures", blocks=tuple(drawings(found))),
            Section(name="repairs", title="With the known defects repaired",
                    blocks=(written.repair_sentence(found), repaired)),
            Section(name="models", title="The models", blocks=(shapes,)),
        ),
        tables={
            f"{table.name}.{ending}": write(table)
            for table in (results, shapes, repaired)
            for ending, write in (("md", written.markdown_table), ("tex", written.latex_table))
        },
    )  # fmt: skip
