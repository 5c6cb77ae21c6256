"""What the command line says: one JSON object on standard output, or text for people; errors on standard error."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isoloss.core.errors import IsolossError

if TYPE_CHECKING:
    from isoloss.core.progress import Progress

OUTPUT_SCHEMA = 1


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


def progress(log: Path | None = None, *, json: bool) -> "Progress":
    """Return bars on a terminal, silence in a pipe and under `--json`; lines in `log` in every case."""
    from rich.console import Console

    from isoloss.core.progress import Live, Quiet

    console = Console(stderr=True)
    return Live(console, log) if console.is_terminal and not json else Quiet(log)
