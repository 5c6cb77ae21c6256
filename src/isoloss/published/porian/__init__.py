"""Porian et al. 2024, "Resolving Discrepancies in Compute-Optimal Scaling of Language Models", done again."""

from dataclasses import replace

from isoloss.core.pool import Helpers
from isoloss.core.progress import QUIET, Progress
from isoloss.published.folder import Columns
from isoloss.published.porian import tables as written
from isoloss.published.porian.analysis import PorianAnalysis, analyse
from isoloss.published.porian.claims import claims
from isoloss.published.porian.drawings import drawings
from isoloss.published.porian.originals import CURVES
from isoloss.published.porian.raw import RawRuns
from isoloss.published.porian.raw_sections import raw_rows, raw_section
from isoloss.published.porian.rows import rows
from isoloss.published.reproduction import Reproduction
from isoloss.report.blocks import Section

RAW = f"needs the training curves: give --raw {CURVES}"
COSINE = "Cosine curves from runs that end at their budget"
NOT_SHOWN = (
    "Sweep over rate and batch, and its power laws in N", "Full sweep, size by size", "Optimal loss under ideal tuning",
    "Seed noise against loss", "Table of tuned hyperparameters", "Loss curves, training and validation", COSINE,
)  # fmt: skip


def reproduce(
    tables: dict[str, Columns], *, curves: RawRuns | None = None, progress: Progress = QUIET,
    helpers: Helpers | None = None,
) -> Reproduction:  # fmt: skip
    """Return the study done again from its tables.

    With `curves`, those of the raw runs, the analyses that need them are done too. `helpers` work along, see
    `isoloss.core.pool`.
    """
    found = reproduction(analyse(tables, progress=progress, helpers=helpers), tables)
    if curves is None:
        return found
    return replace(
        found, rows=[*found.rows, *raw_rows(curves)], sections=[*found.sections, raw_section(curves)],
        not_shown={COSINE: "isoloss.optima.curves.finished_alone does it"},
        columns={f"raw-{name}.parquet": part for name, part in (("runs", curves.runs), ("curves", curves.curves))},
    )  # fmt: skip


def reproduction(found: PorianAnalysis, tables: dict[str, Columns]) -> Reproduction:
    """Return what an analysis says about the published numbers and claims."""
    results, shapes = written.results_table(found), written.architecture_table()
    repaired = written.repaired_table(found)
    return Reproduction(
        study="porian",
        question="Why do Kaplan et al. and Hoffmann et al. disagree on how model size should grow with compute?",
        rows=rows(found, tables), claims=claims(found, tables), not_shown=dict.fromkeys(NOT_SHOWN, RAW),
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
