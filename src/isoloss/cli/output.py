"""What the command line says: one JSON object on standard output, or text for people; errors on standard error."""

import json
import sys
from collections.abc import Mapping
from typing import Any

from isoloss.core.errors import IsolossError

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
