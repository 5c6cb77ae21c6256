"""What the command line says: one JSON object on standard output, or text for people; errors on standard error."""

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, Any

from isoloss.cli.rows import plain
from isoloss.core.errors import IsolossError
from isoloss.core.shown import shown, shown_lines

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from isoloss.core.progress import Progress

OUTPUT_SCHEMA = 1
UNPRINTABLE = re.compile("[\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")  # JSON itself escapes the others
MOST_SHOWN = 2_000  # characters of a message
FIRST_SIGN_SECONDS = 1.0
asked_quiet = False  # by --quiet, for the command that runs
UNBOUNDED = 100_000  # columns that no table reaches
WIDE = 132  # columns for pipes, where no terminal says how wide it is


EDGES = {"lowest": "≤ ", "highest": "≥ ", None: ""}
"""The sign of an optimum on the edge of its grid: it lies there or beyond."""


class Lines(str):
    """A cell of our own making that has several lines: numbers, and no text from elsewhere."""


def print_json(content: Mapping[str, Any]) -> None:
    """Print one JSON object with its schema. NaN and infinities, which are not JSON, become null."""
    whole = {"schema": OUTPUT_SCHEMA, **content}
    try:
        text = json.dumps(whole, ensure_ascii=False, allow_nan=False)
    except ValueError:
        text = json.dumps(plain(whole), ensure_ascii=False, allow_nan=False)
    print(UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text))


def say(*lines: str) -> None:
    """Print lines for people, each as one line whatever stands in it."""
    for line in lines:
        print(shown(line))


def print_error(error: IsolossError, *, as_json: bool) -> None:
    """Print an error: for programs on standard output, for people on standard error."""
    if as_json:
        described = {"kind": error.kind, "message": error.message, "place": error.place, "fix": error.fix}
        print_json({"error": described})
        return
    where = f"{_bounded(error.place)}: " if error.place else ""
    sys.stderr.write(f"error: {shown(where + _bounded(error.message))}\n")
    if error.fix:
        sys.stderr.write(f"  fix: {shown(_bounded(error.fix))}\n")


def _bounded(text: str) -> str:
    """Return text without the middle of what is longer than anybody reads: it may quote a name of any length."""
    return text if len(text) <= MOST_SHOWN else f"{text[: MOST_SHOWN // 2]} … {text[-MOST_SHOWN // 2 :]}"


def warn(sentences: Iterable[str], *, as_json: bool) -> None:
    """Print warnings for people on standard error; programs find them in the object."""
    for sentence in () if as_json else sentences:
        sys.stderr.write(f"warning: {shown(sentence)}\n")


def open_progress(folder: Path | None = None, *, as_json: bool) -> "Progress":
    """Return bars on a terminal's standard error, plain lines in a pipe, silence for programs and under --quiet.

    The log of `folder` is written in every case.
    """
    from rich.console import Console

    from isoloss.core.progress import Lines, Live, Quiet

    console = Console(stderr=True)
    log = folder / "isoloss.log" if folder else None
    if as_json or asked_quiet:
        return Quiet(log)
    return Live(console, log) if console.is_terminal else Lines(sys.stderr, log)


@contextmanager
def first_sign(verb: str, *, silent: bool, after: float = FIRST_SIGN_SECONDS) -> Iterator[None]:
    """Say on a pipe's standard error that work is under way, unless the block ends within `after` seconds."""

    def tell() -> None:
        if not asked_quiet:
            sys.stderr.write(f"isoloss {verb}: running…\n")
            sys.stderr.flush()

    timer = Timer(after, tell)
    timer.daemon = True
    if not silent and not sys.stderr.isatty():
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


def table(*columns: str) -> "Table":
    """Return an empty table as every verb prints one: the first column to the left, the others to the right.

    Cells are shown in one line, whatever stands in them; `Lines` keep theirs.
    """
    from rich import box
    from rich.table import Table

    class Shown(Table):
        def add_row(self, *cells: Any, **options: Any) -> None:
            super().add_row(*map(_cell, cells), **options)

    empty = Shown(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for number, column in enumerate(columns):
        empty.add_column(shown(column), justify="left" if number == 0 else "right", no_wrap=True)
    return empty


def _cell(cell: Any) -> Any:
    return shown(cell) if isinstance(cell, str) and not isinstance(cell, Lines) else cell


def natural_width(thing: Any) -> int:
    """Return the columns that a table takes when nothing in it is cut off; 0 for what is no table."""
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table

    if not isinstance(thing, Table):
        return 0
    unbounded = Console(width=UNBOUNDED)
    return Measurement.get(unbounded, unbounded.options, thing).maximum


def console() -> "Console":
    """Return standard output: a terminal as wide as it is, a pipe wide enough for tables.

    A table that is wider still is printed whole: no number is cut off at its end.
    """
    from rich.console import Console

    class Shown(Console):
        def print(self, *things: Any, **options: Any) -> None:
            width = self.width
            self.width = max([width, *map(natural_width, things)])
            try:
                super().print(*(shown_lines(thing) if isinstance(thing, str) else thing for thing in things), **options)
            finally:
                self.width = width

    found = Shown(highlight=False, markup=False, emoji=False)
    return found if found.is_terminal else Shown(highlight=False, markup=False, emoji=False, width=WIDE)
