"""Documents of a file too large to be read: the rows, or the stretches of text, that start in pieces drawn at random.

A row belongs to the piece in which it starts, so that every row is as likely as any other, however long.
"""

import codecs
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from isoloss.core.reading import LINES
from isoloss.core.rng import stream
from isoloss.corpus.compressed import LONGEST_DOCUMENT, compression, inner_suffix, too_long
from isoloss.corpus.json_rows import BrokenRow, line_text, skip_or_raise
from isoloss.corpus.readers import Document, is_plain

PIECE_BYTES = 1 << 14
PIECES = 256  # 4 MiB: a million tokens of text, as many as the measures that learn ask for


def can_be_drawn(path: Path) -> bool:
    """Whether documents can be drawn from the middle of a file: uncompressed text, or rows that are lines."""
    return is_plain(path) or (compression(path) is None and inner_suffix(path) in LINES)


def drawn_documents(
    path: Path, *, text_field: str, seed: int, skipped: Counter[str] | None = None
) -> Iterator[Document]:
    """Yield the documents of PIECES pieces of a file, front to back: rows of JSONL, stretches of lines of plain text.

    Text whose lines are longer than a piece is cut between characters. Rows that are no JSON are counted in `skipped`
    where it is given. Raises BadCorpus for one where it is not, and for a row that lacks `text_field`, at its byte.
    """
    pieces = -(-path.stat().st_size // PIECE_BYTES)
    rng = stream(seed, "pieces of a large file", path.name)
    picked = np.sort(rng.choice(pieces, min(PIECES, pieces), replace=False))
    rows = inner_suffix(path) in LINES
    with path.open("rb", buffering=PIECE_BYTES) as file:
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)  # nothing is read ahead
        for piece in picked.tolist():
            offset, lines = _lines_from(file, piece * PIECE_BYTES)
            if rows:
                yield from _rows(path, offset, lines, text_field, skipped)
            else:
                text = b"".join(lines) or _whole_characters(file, piece * PIECE_BYTES)
                yield Document(text, f"{path}, byte {offset}")


def _rows(
    path: Path, offset: int, lines: list[bytes], text_field: str, skipped: Counter[str] | None
) -> Iterator[Document]:
    """Yield the texts of lines of JSONL, the first of which starts at `offset`."""
    for line in lines:
        place, offset = f"{path}, byte {offset}", offset + len(line)
        line = line.removeprefix(codecs.BOM_UTF8)
        if not line.strip():
            continue
        try:
            text = line_text(line, text_field, place)
        except BrokenRow as problem:
            skip_or_raise(problem, place, skipped)
            continue
        yield Document(text, place)


def _lines_from(file: IO[bytes], start: int) -> tuple[int, list[bytes]]:
    """Return where the first line that starts in the piece from `start` starts, and all lines that do, complete."""
    file.seek(max(start - 1, 0))
    # A line starts at 0 and after every line end, one just before the piece included.
    if start > 0 and not file.readline(PIECE_BYTES + 1).endswith(b"\n"):
        return start, []
    first, lines = file.tell(), []
    while file.tell() < start + PIECE_BYTES and (line := file.readline(LONGEST_DOCUMENT + 1)):
        if len(line) > LONGEST_DOCUMENT:
            raise too_long(file.name)
        lines.append(line)
    return first, lines


def _whole_characters(file: IO[bytes], start: int) -> bytes:
    file.seek(start)
    return file.read(PIECE_BYTES).decode("utf-8", errors="ignore").encode()
