"""JSON and TOML, our own and of others: what is nested too deeply is an error of the text, not of the reader."""

import json
import math
import re
import tomllib
from importlib.resources import files
from typing import Any

LINES = (".jsonl", ".ndjson", ".jsonlines", ".jl", ".ldjson")  # files each of whose lines is a row of JSON
LARGEST = (1 << 63) - 1
MOST_TEXT = 1 << 24  # characters of a study
_DEEP_KEY = re.compile(r"""(?<![\w"'-])(?:[\w"'-]++[ \t]*+\.[ \t]*+){100}""")


def json_in(text: str | bytes, **read: Any) -> Any:
    """Return what a JSON text says. Raises ValueError for what is no JSON, or is nested too deeply to be read.

    `read` are functions that read numbers, called as in `json.loads`.
    """
    try:
        return json.loads(text, **read)
    except RecursionError as error:
        raise ValueError("brackets are nested too deeply") from error


def own_json(text: str | bytes) -> Any:
    """Return what a JSON text of our own making says: numbers of 64 bits, none of them infinite or NaN.

    Raises ValueError as `json_in` does, and for other numbers.
    """
    return json_in(text, parse_int=_whole, parse_float=_finite, parse_constant=_finite)


def packaged_toml(room: str, name: str) -> dict[str, Any]:
    """Return the TOML file `name` that lies next to the modules of a package, as `isoloss.runs`."""
    return tomllib.loads((files(room) / name).read_text(encoding="utf-8"))


def toml_in(text: str) -> dict[str, Any]:
    """Return what a TOML text says.

    Raises ValueError for text that is not TOML, is nested too deeply, or has a whole number of more than 64 bits.
    """
    if len(text) > MOST_TEXT or _DEEP_KEY.search(text):  # time goes by the square of a key's parts
        raise ValueError("the text is too long, or a key has over a hundred parts")
    try:
        found = tomllib.loads(text)
        _refuse_large(found)
    except RecursionError as error:
        raise ValueError("brackets are nested too deeply") from error
    except tomllib.TOMLDecodeError:
        raise
    except ValueError as error:  # Python converts no number of thousands of digits
        raise ValueError("a whole number of more than 64 bits") from error
    return found


def _whole(text: str) -> int:
    if len(text) > len(str(LARGEST)) + 1 or abs(number := int(text)) > LARGEST:
        raise ValueError(f"a whole number of {len(text)} digits, beyond 64 bits")
    return number


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text[:40]} is not finite")
    return number


def _refuse_large(found: object) -> None:
    if isinstance(found, dict):
        found = list(found.values())
    if isinstance(found, list):
        for item in found:
            _refuse_large(item)
    elif isinstance(found, int) and abs(found) > LARGEST:
        raise ValueError("a whole number of more than 64 bits")
