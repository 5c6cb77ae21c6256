"""A reproduction as a page: the verdicts, every number next to its published one, figures and tables."""

from collections import Counter
from collections.abc import Sequence
from datetime import date
from functools import partial
from pathlib import Path

from isoloss import __version__
from isoloss.core import files
from isoloss.core.numbers import duration, plain
from isoloss.core.pool import Helpers, Shared
from isoloss.core.progress import QUIET, Progress
from isoloss.published.reproduction import Reproduction, Row
from isoloss.report.blocks import (
    Answer,
    Cell,
    Column,
    Note,
    Notes,
    Section,
    Table,
    kept,
    notes_or_none,
    number_cell,
    table_row,
)
from isoloss.report.blocks import Row as TableRow
from isoloss.report.page import Page, ReportFiles, drawings_of, write_page

DIGITS = 6


def write_reproduction(
    found: Reproduction,
    folder: Path | str,
    *,
    created: date,
    helpers: Helpers | None = None,
    progress: Progress = QUIET,
) -> ReportFiles:
    """Write the page, its figures with their numbers, and the tables as files of their own; return the paths.

    `helpers` draw along, see `isoloss.core.pool`.
    """
    target = Path(folder)
    for name, text in found.tables.items():
        files.write_text(target / "tables" / name, text)
    for name, columns in found.columns.items():
        files.write_columns(target / "tables" / name, columns)
    moving = Shared(list(found.animations.values()), helpers)
    page = reproduction_page(found, created=created)
    with progress.task("figures", total=len(drawings_of(page.sections)) + len(found.animations)) as task:
        written = write_page(page, target, helpers=helpers, done=partial(task.advance, 1))
        for name, content in zip(found.animations, moving.collect(partial(task.advance, 1)), strict=True):
            files.write_bytes(target / "figures" / name, content)
    return written


def reproduction_page(found: Reproduction, *, created: date) -> Page:
    """Return the page of a reproduction."""
    return Page(
        title=found.title, kicker="a published study, done again", question=found.question, created=created,
        version=__version__, answers=[_answer(found)], key_numbers=_key_numbers(found),
        sections=[section for section in (
            _claims(found), _differing(found), *found.sections, _numbers(found), _files(found), _not_shown(found),
            _origin(found),
        ) if section.blocks or section.folded],
    )  # fmt: skip


def _answer(found: Reproduction) -> Answer:
    verdicts = Counter(claim.verdict for claim in found.claims)
    words = f"{verdicts['holds']} of {len(found.claims)} claims hold"
    if verdicts["does not hold"]:
        words += f", {verdicts['does not hold']} do not"
    open_ = verdicts["cannot be checked with this data"]
    limits = f"{open_} claims cannot be checked with this data." if open_ else ""
    return Answer(kind="text", label="What stands", words=f"{words}.", sentence=found.summary(), limits=limits)


def _key_numbers(found: Reproduction) -> tuple[Note, ...]:
    return (
        Note(title="numbers compared", text=str(len(found.rows))),
        Note(title="beyond their tolerance", text=str(len(found.apart))),
        Note(title="claims judged", text=str(len(found.claims))),
        Note(title="time of the analysis", text=duration(found.seconds)),
    )


def _claims(found: Reproduction) -> Section:
    columns = (
        Column(title="claim", unit="and who says so", numeric=False), Column(title="verdict", numeric=False),
        Column(title="why", numeric=False, long=True),
    )  # fmt: skip
    rows = tuple(
        table_row(Cell(text=claim.claim, detail=claim.source), claim.verdict, claim.why,
                  marked=claim.verdict == "does not hold")
        for claim in found.claims
    )  # fmt: skip
    table = Table(name="claims", caption="What is claimed, and what the data say to it.", columns=columns, rows=rows)
    return Section(name="claims", title="Claims", blocks=(table,))


def _differing(found: Reproduction) -> Section:
    blocks = (numbers_table("differing", "Published numbers that are not reproduced within their tolerance.",
                            found.apart),) if found.apart else ()  # fmt: skip
    return Section(name="differences", title="What differs", blocks=blocks)


def _numbers(found: Reproduction) -> Section:
    table = numbers_table("numbers", "Every published number next to ours.", found.rows, searchable=True)
    return Section(name="numbers", title="Every number", blocks=(table,))


def numbers_table(name: str, caption: str, rows: Sequence[Row], *, searchable: bool = False) -> Table:
    """Return rows as a table: published, reproduced, difference, tolerance and its reason."""
    columns = (
        Column(title="quantity", numeric=False), Column(title="published"), Column(title="reproduced"),
        Column(title="difference"),
        Column(title="tolerance", about="relative to the published number, unless it says absolute"),
        Column(title="within", numeric=False), Column(title="why this tolerance", numeric=False, long=True),
    )  # fmt: skip
    return Table(
        name=name,
        caption=caption,
        columns=columns,
        searchable=searchable,
        rows=tuple(_number_row(row) for row in rows),
        hint="quantity …",
        marks="beyond their tolerance only",
    )


def _number_row(row: Row) -> TableRow:
    write = partial(plain, digits=DIGITS)
    return table_row(
        row.quantity, number_cell(row.published, write), number_cell(row.reproduced, write),
        number_cell(row.difference, partial(plain, digits=2)),
        Cell(text=f"{row.tolerance:.0e}{' absolute' if row.absolute else ''}", sort=row.tolerance),
        "yes" if row.within else "no", row.why, marked=not row.within,
    )  # fmt: skip


def _files(found: Reproduction) -> Section:
    names = [
        *(f"tables/{name}" for name in (*found.tables, *found.columns)),
        *(f"figures/{name}" for name in found.animations),
    ]
    notes = notes_or_none(Note(title=name, text="next to this page") for name in names)
    return Section(name="files", title="Further files", blocks=kept(notes))


def _not_shown(found: Reproduction) -> Section:
    notes = notes_or_none(Note(title=name, text=reason) for name, reason in found.not_shown.items())
    return Section(name="missing", title="What this data cannot show", blocks=kept(notes))


def _origin(found: Reproduction) -> Section:
    note = Note(title="data", text=found.origin)
    return Section(name="origin", title="Where it comes from", blocks=(Notes(items=(note,)),))
