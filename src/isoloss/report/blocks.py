"""What a page is made of, the same for HTML and Markdown: sections of prose, pictures, tables and notes."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from matplotlib.figure import Figure

from isoloss.core.estimate import Estimate
from isoloss.core.numbers import MISSING, Style, Writer, value_and_interval


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column's heading. `about` is its definition, shown on request; `numeric` columns align right, and those of
    sentences (`long`) are as wide as the page allows."""

    title: str
    unit: str = ""
    about: str = ""
    numeric: bool = True
    long: bool = False


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A cell: `detail` is set smaller (an interval), `sort` is what it sorts by where its text does not serve."""

    text: str
    detail: str = ""
    sort: float | str | None = None


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row. `anchor` identifies it, `tip` is what a point that links to it says, `marked` rows earned a flag."""

    cells: tuple[Cell, ...]
    anchor: str = ""
    tip: str = ""
    marked: bool = False


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table with its caption, and a `note` that says more; `searchable` ones get a search box
    with `hint` in it and show marked rows alone on request, under the words of `marks`.

    The first column holds the rows' headings.
    """

    name: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    searchable: bool = False
    hint: str = "corpus, flag, size …"
    marks: str = "flagged or unfinished only"
    note: str = ""

    @property
    def sentences(self) -> bool:
        """Whether the table is one of sentences, which a phone shows below each other."""
        return any(column.long for column in self.columns) and not any(column.numeric for column in self.columns)


Draw = Callable[..., Figure]
"""What draws a figure when the page is written: for a wide screen, or for a phone where `layout="narrow"` is given."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Drawing:
    """A figure with everything that is said about it: how to read it and what it shows, for those who do not see it.

    Where helping processes work along, `draw` is pickled. A `wide_only` figure is shown on wide screens alone.
    `numbers` are the columns that it draws, written next to it as CSV.
    """

    name: str
    title: str
    caption: str
    alt: str
    draw: Draw
    wide_only: bool = False
    numbers: Mapping[str, Sequence[object]] = field(default_factory=dict)


def columns_of(names: Sequence[str], rows: Iterable[Sequence[object]]) -> dict[str, list[object]]:
    """Return rows as the numbers of a drawing: columns by name."""
    columns: dict[str, list[object]] = {name: [] for name in names}
    for row in rows:
        for column, value in zip(columns.values(), row, strict=True):
            column.append(value)
    return columns


@dataclass(frozen=True, kw_only=True)
class Note:
    """A heading with a sentence or two."""

    title: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Notes:
    """Several notes: `warnings` stand out, others are definitions."""

    items: tuple[Note, ...]
    warnings: bool = False


@dataclass(frozen=True, kw_only=True)
class Paste:
    """Text to be pasted elsewhere as it stands: a paragraph for a paper, a bibliography."""

    title: str
    text: str


def notes_or_none(items: Iterable[Note], *, warnings: bool = False) -> Notes | None:
    """Return several notes, or None where there are none."""
    found = tuple(items)
    return Notes(items=found, warnings=warnings) if found else None


Block = str | Drawing | Table | Notes | Paste
"""A paragraph, a picture, a table, notes, or text to paste."""


def kept(*blocks: Block | None) -> tuple[Block, ...]:
    """Return the blocks that are there."""
    return tuple(block for block in blocks if block is not None)


@dataclass(frozen=True, kw_only=True, eq=False)
class Section:
    """A part of the page under one heading. `folded` blocks stand behind a line that opens them, if need be on wide
    screens alone."""

    name: str
    title: str
    blocks: tuple[Block, ...]
    folded_title: str = ""
    folded: tuple[Block, ...] = ()
    folded_for_wide: bool = False


@dataclass(frozen=True, kw_only=True)
class Line:
    """One corpus in the list that opens a page: its best split in words, or why there is none; `note` qualifies it."""

    name: str
    kind: str
    split: str = ""
    ratio: str = ""
    note: str = ""
    missing: str = ""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the page opens with, for one kind of corpus: a few words, the sentence behind them, and its limits."""

    kind: str
    label: str
    words: str
    sentence: str
    limits: str


def table_row(*cells: Cell | str, anchor: str = "", tip: str = "", marked: bool = False) -> Row:
    """Return a row of cells; a text is a cell of it alone."""
    whole = tuple(Cell(text=cell) if isinstance(cell, str) else cell for cell in cells)
    return Row(cells=whole, anchor=anchor, tip=tip, marked=marked)


def estimate_cell(estimate: Estimate | None, *, style: Style = "fixed") -> Cell:
    """Return the cell of an estimate: its value, its interval below, sorted by value."""
    text, interval = value_and_interval(estimate, style=style)
    return Cell(text=text, detail=interval, sort=estimate.value if estimate and text != MISSING else None)


def number_cell(value: float | None, write: Writer = str) -> Cell:
    """Return the cell of a bare number as `write` writes it; a missing one sorts last."""
    return Cell(text=MISSING) if value is None else Cell(text=write(value), sort=value)
