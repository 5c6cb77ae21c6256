"""JSON and TOML that others wrote: what is nested too deeply is an error of the text, not of the reader."""

import json
import tomllib
from typing import Any


def json_in(text: str | bytes) -> Any:
    """Return what a JSON text says. Raises ValueError for what is no JSON, or is nested too deeply to be read."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("brackets are nested too deeply") from error


def toml_in(text: str) -> dict[str, Any]:
    """Return what a TOML text says. Raises ValueError for what is no TOML, or is nested too deeply to be read."""
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("brackets are nested too deeply") from error
