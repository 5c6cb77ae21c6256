"""Identity is content: the hash of the canonical JSON of the fields that differ from their defaults.

Names, places and times never enter. Fields added later with a default leave old fingerprints as they were. Golden tests
hold the values.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import cast

from pydantic import BaseModel

PLAIN = {str, int, bool, type(None)}
HEX_DIGITS = 20  # 80 bits: no collision among a billion runs


def canonical_json(value: object) -> str:
    """Return the one JSON text of `value`: sorted keys, no spaces. Raises TypeError for what has no canonical form."""
    return json.dumps(_canonical(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def fingerprint(content: BaseModel | Mapping[str, object], *, kind: str, version: int) -> str:
    """Return the identity of `content` as `{kind}{version}-{hex}`.

    `version` is raised when the meaning of the same fields changes, so that old results are not taken for new ones.
    """
    text = canonical_json({"kind": kind, "version": version, "content": content})
    return f"{kind}{version}-{hashlib.sha256(text.encode()).hexdigest()[:HEX_DIGITS]}"


class _NoForm(TypeError):
    """Something without a canonical form; `place` grows from the inside out."""

    def __init__(self, message: str, place: str = "") -> None:
        super().__init__(f"${place}: {message}")
        self.message, self.place = message, place


def _canonical(value: object) -> object:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise _NoForm(f"{value} has no canonical form")
        # 3.0 and 3 are one number wherever a schema lets both in.
        return int(value) if value == int(value) and abs(value) < 2**53 else value
    if isinstance(value, BaseModel):
        return _canonical(value.model_dump(mode="python", exclude_defaults=True))
    if isinstance(value, Mapping):
        return _canonical_mapping(value)
    if isinstance(value, list | tuple):
        return _canonical_list(value)
    raise _NoForm(f"a {type(value).__name__} has no canonical form; a fingerprint takes plain data only")


def _canonical_mapping(value: Mapping[object, object]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise _NoForm(f"key {key!r} is not text")
        try:
            found[key] = item if type(item) in PLAIN else _canonical(item)
        except _NoForm as error:
            raise _NoForm(error.message, f".{key}{error.place}") from None
    return found


def _canonical_list(value: Sequence[object]) -> Sequence[object]:
    kinds = set(map(type, value))
    if kinds <= PLAIN:  # long columns: as the items below, without a call for each
        return value
    if kinds == {float}:
        numbers = cast("Sequence[float]", value)
        if all(map(math.isfinite, numbers)):
            return [int(item) if item.is_integer() and abs(item) < 2**53 else item for item in numbers]
    found = []
    for i, item in enumerate(value):
        try:
            found.append(_canonical(item))
        except _NoForm as error:
            raise _NoForm(error.message, f"[{i}]{error.place}") from None
    return found
