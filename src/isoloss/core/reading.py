"""What others wrote, read with bounds: plain files alone, JSON and TOML of sane depth."""

import json
import tomllib
from pathlib import Path
from typing import Any

from isoloss.core.errors import InputError


def require_plain(path: Path) -> None:
    """Raise InputError where `path` is a pipe, a socket or a device: reading one may never end."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise InputError("a pipe, socket or device, expected a file", place=str(path), fix="give a plain file")


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
