"""Documents in files: plain text, rows of JSONL, CSV and Parquet, any of them compressed.

A reader yields the documents of one file as UTF-8 bytes. It is chosen by the file's suffix, once a compression suffix
is taken off; a file nobody registered a reader for is text: one file, one document.
"""

import codecs
import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Literal, cast

from isoloss.core.errors import BadCorpus, did_you_mean
from isoloss.core.registry import Registry
from isoloss.corpus.compressed import BLOCK, compression, decompressing, inner_suffix, read_blocks, reading, seekable

SHOWN_LINES = 5
LONGEST_FIELD = 1 << 30  # the standard library's 128 KiB are less than a long document
BROKEN_ROW = "broken_row"
FIX_BROKEN_ROWS = (
    'give one JSON object a line, or leave broken ones out: broken_rows = "skip", isoloss measure --broken-rows skip'
)
SET_TEXT_FIELD = "text_field in a study, isoloss measure --text-field"

Reason = Literal["empty", "binary", "not_utf8"]


@dataclass(frozen=True, slots=True)
class Document:
    """The bytes of a document, and where it stands: the file, with the row where a file holds many."""

    content: bytes
    place: str


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a document cannot be taken as text, and the byte at which that shows."""

    reason: Reason
    offset: int
    message: str
    fix: str

    def at(self, place: str) -> BadCorpus:
        """Return the error that names the document."""
        return BadCorpus(self.message, place=f"{place}, byte {self.offset}", fix=self.fix)


# (path, the field that holds the text, where to count broken rows: None where they are errors)
Reader = Callable[[Path, str, "Counter[str] | None"], Iterator[Document]]

readers: Registry[Reader] = Registry("reader")


def read_documents(path: Path, *, text_field: str = "text", skipped: Counter[str] | None = None) -> Iterator[Document]:
    """Yield the documents of a file; `text_field` is the column or key that holds the text where a file has rows.

    Lines of JSONL that are no JSON are counted in `skipped` and left out, where it is given; else they are an error.
    Raises BadCorpus naming file and row where the file is not what its suffix says, or cannot be read.
    """
    suffix = inner_suffix(path)
    reader = readers[suffix if suffix in readers else ".txt"]
    with reading(path):
        yield from reader(path, text_field, skipped)


def text_problem(content: bytes, *, whole: bool = True) -> Problem | None:
    """Return why `content` is not text, or None: it must hold something, no NUL byte, and decode as UTF-8.

    Where it is not the `whole` document, a character may be cut at its end.
    """
    return problem_of((content[i : i + BLOCK] for i in range(0, len(content), BLOCK)), whole=whole)


def problem_of(blocks: Iterable[bytes], *, whole: bool = True) -> Problem | None:
    """Return why a document that comes in blocks is not text, or None. Only one block is held at a time."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    empty, offset = True, 0
    for block in blocks:
        if offset == 0 and block[:2] in (b"\xff\xfe", b"\xfe\xff"):
            fix = "convert it: iconv -f UTF-16 -t UTF-8 FILE > NEW"
            return Problem("not_utf8", 0, "the text is UTF-16, expected UTF-8", fix)
        nul = block.find(b"\0")
        if nul >= 0:
            message = "holds a NUL byte: a binary file, expected text"
            return Problem("binary", offset + nul, message, "name text files only")
        pending = len(decoder.getstate()[0])
        try:
            decoder.decode(block)
        except UnicodeDecodeError as error:
            return _not_utf8(offset - pending + error.start, error.object[error.start])
        empty = empty and not block.strip()
        offset += len(block)
    cut = decoder.getstate()[0]
    if empty:
        return Problem("empty", 0, "the document is empty", "name a file that holds text")
    return _not_utf8(offset - len(cut), cut[0]) if cut and whole else None


def _not_utf8(offset: int, found: int) -> Problem:
    fix = "convert it: iconv -f LATIN1 -t UTF-8 FILE > NEW (or whichever encoding it has)"
    return Problem("not_utf8", offset, f"byte 0x{found:02x} is no UTF-8", fix)


def is_plain(path: Path) -> bool:
    """Whether the file itself is one document: no rows, no compression."""
    return compression(path) is None and holds_one(path)


def holds_one(path: Path) -> bool:
    """Whether a file holds one document rather than rows, compressed or not."""
    return inner_suffix(path) not in readers or inner_suffix(path) == ".txt"


def _read_text(path: Path, text_field: str, skipped: Counter[str] | None) -> Iterator[Document]:
    with decompressing(path) as stream:
        yield Document(stream.read(), str(path))


def _read_jsonl(path: Path, text_field: str, skipped: Counter[str] | None) -> Iterator[Document]:
    broken: list[tuple[int, str]] = []
    rows = offset = 0
    with decompressing(path) as stream:
        for number, line in enumerate(stream, start=1):
            offset, before = offset + len(line), offset
            if not line.strip():
                continue
            rows += 1
            try:
                row = json.loads(line.decode("utf-8"))
            except UnicodeDecodeError as error:
                broken.append((number, f"byte {before + error.start} is no UTF-8"))
                continue
            except ValueError as error:
                broken.append((number, str(error)))
                continue
            if skipped is not None or not broken:  # else what follows is only counted
                place = f"{path}:{number}"
                yield Document(row_text(row, text_field, place), place)
    if broken and skipped is None:
        raise _broken_lines(path, broken, rows)
    if broken:
        cast("Counter[str]", skipped)[BROKEN_ROW] += len(broken)


def _broken_lines(path: Path, broken: list[tuple[int, str]], rows: int) -> BadCorpus:
    number, problem = broken[0]
    lines = ", ".join(str(line) for line, _ in broken[:SHOWN_LINES]) + (", …" if len(broken) > SHOWN_LINES else "")
    return BadCorpus(
        f"not JSON: {len(broken)} of {rows} lines are broken (line {lines}); the first: {problem}",
        place=f"{path}:{number}",
        fix=FIX_BROKEN_ROWS,
    )


def _read_csv(path: Path, text_field: str, skipped: Counter[str] | None) -> Iterator[Document]:
    csv.field_size_limit(LONGEST_FIELD)
    separator = "\t" if inner_suffix(path) == ".tsv" else ","
    with decompressing(path) as stream:
        rows = csv.DictReader(io.TextIOWrapper(stream, encoding="utf-8-sig", newline=""), delimiter=separator)
        try:
            for row in rows:
                place = f"{path}:{rows.line_num}"
                yield Document(row_text(row, text_field, place), place)
        except UnicodeDecodeError as error:
            problem = problem_of(read_blocks(path))
            raise (problem or _not_utf8(error.start, error.object[error.start])).at(str(path)) from error
        except csv.Error as error:
            raise BadCorpus(f"not CSV: {error}", place=str(path), fix="convert the table, or name others") from error


def _read_parquet(path: Path, text_field: str, skipped: Counter[str] | None) -> Iterator[Document]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with seekable(path) as stream, pq.ParquetFile(stream) as table:
            if text_field not in table.schema_arrow.names:
                raise _no_field(text_field, table.schema_arrow.names, str(path))
            batches = table.iter_batches(batch_size=1024, columns=[text_field])
            values = chain.from_iterable(batch.column(0).to_pylist() for batch in batches)
            for row, value in enumerate(values, start=1):
                place = f"{path}:{row}"
                yield Document(_encoded(_text(value, text_field, place), place), place)
    except pa.ArrowException as error:
        raise BadCorpus(f"not Parquet: {error}", place=str(path), fix="name a Parquet file") from error


def row_text(row: object, name: str, place: str) -> bytes:
    """Return the text of a row, in UTF-8. Raises BadCorpus naming the fields there are where `name` is none."""
    return _encoded(_field(row, name, place), place)


def _field(row: object, name: str, place: str) -> str:
    if isinstance(row, str):
        return row
    if not isinstance(row, dict):
        raise BadCorpus(f"found a {type(row).__name__}, expected an object or a text", place=place,
                        fix="give one JSON object a line")  # fmt: skip
    if name not in row:
        raise _no_field(name, [str(key) for key in row], place)
    return _text(row[name], name, place)


def _text(value: object, name: str, place: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadCorpus(f"field {name!r} holds a {type(value).__name__}, expected text", place=place,
                        fix=f"name the field that holds the text: {SET_TEXT_FIELD}")  # fmt: skip
    return value


def _no_field(name: str, known: list[str], place: str) -> BadCorpus:
    return BadCorpus(f"no field {name!r}", place=place, fix=f"set {SET_TEXT_FIELD}; {did_you_mean(name, known)}")


def _encoded(text: str, place: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise BadCorpus(f"a lone surrogate at character {error.start} has no UTF-8", place=place,
                        fix="repair or remove the row") from error  # fmt: skip


readers.add(".txt", _read_text)
for _suffix in (".jsonl", ".ndjson"):
    readers.add(_suffix, _read_jsonl)
for _suffix in (".csv", ".tsv"):
    readers.add(_suffix, _read_csv)
readers.add(".parquet", _read_parquet)
