"""Tables as notebooks show them: plain HTML, every text escaped."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Protocol, TypeVar

from isoloss.core.estimate import Estimate
from isoloss.core.numbers import in_brackets


class Showable(Protocol):
    """What is a row of a table."""

    def cells(self) -> Mapping[str, object]:
        """Return what the row shows, by column."""


Row = TypeVar("Row", bound=Showable)


class Rows(list[Row]):
    """A list that a notebook shows as a table, one row an element."""

    def _repr_html_(self) -> str:
        return rows_table([one.cells() for one in self])


def rows_table(rows: Sequence[Mapping[str, object]], *, note: str = "") -> str:
    """Return rows of values by column as an HTML table; the columns are those of the first row. `note` stands below."""
    columns = list(rows[0]) if rows else []
    paragraph = f"<p>{escape(note)}</p>" if note else ""
    return html_table(columns, [[as_cell(row.get(column)) for column in columns] for row in rows]) + paragraph


def html_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return rows of texts as an HTML table, the first of each its heading; without titles it has no top row."""
    head = "".join(f"<th>{escape(title)}</th>" for title in titles)
    body = [
        f"<tr><th>{escape(first)}</th>{''.join(f'<td>{escape(cell)}</td>' for cell in rest)}</tr>"
        for first, *rest in rows
    ]
    return f"<table>{f'<thead><tr>{head}</tr></thead>' if titles else ''}<tbody>{''.join(body)}</tbody></table>"


def as_cell(value: object) -> str:
    """Return a value as a table shows it: an estimate with its interval, a number to four digits, None as a dash."""
    match value:
        case None:
            return "–"
        case Estimate():
            return in_brackets(value, "{:.3g}".format)
        case float():
            return f"{value:.4g}"
        case _:
            return str(value)
