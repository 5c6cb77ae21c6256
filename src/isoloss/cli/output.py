"""What the command line says: one JSON object on standard output, or text for people; errors on standard error."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isoloss.core.errors import IsolossError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from isoloss.core.progress import Progress

OUTPUT_SCHEMA = 1
WIDE = 132  # columns for pipes, where no terminal says how wide it is


def print_json(content: Mapping[str, Any]) -> None:
    """Print one JSON object with its schema. NaN is refused: it is not JSON."""
    print(json.dumps({"schema": OUTPUT_SCHEMA, **content}, ensure_ascii=False, allow_nan=False))


def print_error(error: IsolossError, *, as_json: bool) -> None:
    """Print an error: for programs on standard output, for people on standard error."""
    if as_json:
        told = {"kind": error.kind, "message": error.message, "place": error.place, "fix": error.fix}
        print_json({"error": told})
        return
    where = f"{error.place}: " if error.place else ""
    sys.stderr.write(f"error: {where}{error.message}\n")
    if error.fix:
        sys.stderr.write(f"  fix: {error.fix}\n")


def open_progress(folder: Path | None = None, *, as_json: bool) -> "Progress":
    """Return bars on a terminal's standard error; in a pipe plain lines for a study, which has a `folder`, and silence
    for all that is over soon; silence for programs. The log of `folder` is written in every case.
    """
    from rich.console import Console

    from isoloss.core.progress import Live, Plain, Quiet

    console = Console(stderr=True)
    log = folder / "isoloss.log" if folder else None
    if as_json:
        return Quiet(log)
    if console.is_terminal:
        return Live(console, log)
    return Plain(sys.stderr, log) if folder else Quiet()


def table(*columns: str) -> "Table":
    """Return an empty table as every verb prints one: the first column to the left, the others to the right."""
    from rich import box
    from rich.table import Table

    empty = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for number, column in enumerate(columns):
        empty.add_column(column, justify="left" if number == 0 else "right", no_wrap=True)
    return empty


def console(*, at_least: int = WIDE) -> "Console":
    """Return standard output: a terminal as wide as it is, a pipe wide enough for tables."""
    from rich.console import Console

    found = Console(highlight=False, markup=False)
    return found if found.is_terminal else Console(highlight=False, markup=False, width=max(WIDE, at_least))
