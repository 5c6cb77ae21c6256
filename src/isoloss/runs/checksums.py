"""Checksums: a record carries the digests of itself and of the files next to it, so that damage is found and named.

Whoever changes how they are made takes another key: a checksum that does not fit is damage, whatever the schema.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from isoloss.core.files import regular

KEY = "seal"
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with regular(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def with_checksums(content: Mapping[str, Any], *, files: Mapping[str, str]) -> dict[str, Any]:
    """Return `content` with checksums: the digest of every kind of file next to it, and its own over all of that."""
    return {**content, KEY: {**files, "record": _digest(content, files)}}


def opened(content: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str] | None]:
    """Return the content and the digests of the files next to it; no digests where an older isoloss wrote no checksums.

    Raises ValueError where the content is not what was written.
    """
    bare = {key: value for key, value in content.items() if key != KEY}
    if KEY not in content:
        return bare, None
    files = dict(content[KEY])
    own = files.pop("record", None)
    if own != _digest(bare, files):
        raise ValueError("its checksum does not match its content")
    return bare, files


def _digest(content: Mapping[str, Any], files: Mapping[str, str]) -> str:
    return hashlib.sha256(_ENCODER.encode([content, files]).encode()).hexdigest()
