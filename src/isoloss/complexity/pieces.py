"""Documents of a file too large to be read: the rows, or the stretches of text, that start in pieces drawn at random.

A row belongs to the piece in which it starts, so that every row is as likely as any other, however long.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from isoloss.core.errors import BadCorpus, did_you_mean
from isoloss.core.rng import stream
from isoloss.corpus.compressed import compression, inner_suffix
from isoloss.corpus.readers import Document, is_plain

PIECE_BYTES = 1 << 14
PIECES = 256  # 4 MiB: a million tokens of text, as many as the measures that learn ask for
ROWS = (".jsonl", ".ndjson")


def can_be_drawn(path: Path) -> bool:
    """Whether documents can be drawn from the middle of a file: uncompressed text, or rows that are lines."""
    return is_plain(path) or (compression(path) is None and inner_suffix(path) in ROWS)


def drawn_documents(path: Path, *, text_field: str, seed: int) -> Iterator[Document]:
    """Yield the documents of PIECES pieces of a file, front to back: rows of JSONL, stretches of lines of plain text.

    Text whose lines are longer than a piece is cut between characters. Raises BadCorpus for a row that is no JSON or
    lacks `text_field`, at its byte.
    """
    pieces = -(-path.stat().st_size // PIECE_BYTES)
    rng = stream(seed, "pieces of a large file", path.name)
    picked = np.sort(rng.choice(pieces, min(PIECES, pieces), replace=False))
    rows = inner_suffix(path) in ROWS
    with path.open("rb", buffering=0) as file:
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)  # nothing is read ahead
        for piece in picked.tolist():
            offset, lines = _lines_from(file, piece * PIECE_BYTES)
            if not rows:
                yield Document(
                    b"".join(lines) or _whole_characters(file, piece * PIECE_BYTES), f"{path}, byte {offset}"
                )
                continue
            for line in lines:
                if line.strip():
                    place = f"{path}, byte {offset}"
                    yield Document(_text(line, text_field, place), place)
                offset += len(line)


def _lines_from(file: IO[bytes], start: int) -> tuple[int, list[bytes]]:
    """Return where the first line that starts in the piece from `start` starts, and all lines that do, complete."""
    file.seek(max(start - 1, 0))
    held = _read(file, PIECE_BYTES + (start > 0))
    # A line starts at 0 and after every line end, one just before the piece included.
    first = held.find(b"\n") + 1 if start > 0 else 0
    if start > 0 and first == 0:
        return start, []
    *complete, last = held[first:].split(b"\n")
    lines = [line + b"\n" for line in complete] + ([last] if last else [])
    if lines and not lines[-1].endswith(b"\n"):
        rest = bytearray(lines[-1])
        while not rest.endswith(b"\n") and (more := _read(file, PIECE_BYTES)):
            end = more.find(b"\n") + 1
            rest += more[: end or len(more)]
            if end:
                break
        lines[-1] = bytes(rest)
    return max(start - 1, 0) + first, lines


def _read(file: IO[bytes], size: int) -> bytes:
    content = b""
    while len(content) < size and (more := file.read(size - len(content))):
        content += more
    return content


def _whole_characters(file: IO[bytes], start: int) -> bytes:
    file.seek(start)
    return _read(file, PIECE_BYTES).decode("utf-8", errors="ignore").encode()


def _text(line: bytes, text_field: str, place: str) -> bytes:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise BadCorpus(f"not JSON: {error}", place=place, fix="give one JSON object a line") from error
    if isinstance(row, dict) and text_field not in row:
        raise BadCorpus(
            f"no field {text_field!r}", place=place, fix=f"set text_field; {did_you_mean(text_field, map(str, row))}"
        )
    text = row[text_field] if isinstance(row, dict) else row
    if not isinstance(text, str):
        raise BadCorpus(
            f"found a {type(text).__name__}, expected text", place=place,
            fix="name the field that holds the text with text_field",
        )  # fmt: skip
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise BadCorpus(
            f"a lone surrogate at character {error.start} has no UTF-8", place=place, fix="repair or remove the row"
        ) from error
