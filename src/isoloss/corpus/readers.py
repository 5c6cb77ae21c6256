"""Documents in files: plain text, rows of JSON, CSV and Parquet, any of them compressed.

A reader yields the documents of one file as UTF-8 bytes. It is chosen by the file's suffix, once a compression suffix
is taken off; a file of another suffix is text: one file, one document.
"""

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

from isoloss.core.errors import BadCorpus
from isoloss.core.reading import LINES
from isoloss.corpus.compressed import (
    BLOCK,
    LONGEST_DOCUMENT,
    bounded_lines,
    compression,
    decompressing,
    inner_suffix,
    read_blocks,
    reading,
    seekable,
    too_long,
)
from isoloss.corpus.json_rows import (
    BrokenRow,
    NoRows,
    field_text,
    no_field,
    object_in,
    read_json,
    read_lines,
    row_text,
    skip_or_raise,
)

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

ARROW_FILE = b"ARROW1"
TEXT_FIELD = "text"  # what the field that holds the text is called unless somebody says so

LFS_POINTER = b"version https://git-lfs.github.com/spec/"
LONGEST_POINTER = 1 << 10  # bytes
OBJECT = re.compile(rb"\s*\{")

Reason = Literal["empty", "binary", "not_utf8", "pointer", "rows"]


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


EMPTY = Problem("empty", 0, "the document is empty", "name a file with text")
POINTER = Problem("pointer", 0, "this is a Git LFS pointer, not the file itself", "fetch the file: git lfs pull")
ROWS = Problem(
    "rows", 0, f"each line is a JSON object with a field {TEXT_FIELD!r}, but the file's name is that of a plain text",
    "rename the file to .jsonl; then the texts of its rows are read",
)  # fmt: skip

# (path, the field that holds the text, where to count broken rows: None where they are errors)
Reader = Callable[[Path, str, "Counter[str] | None"], Iterator[Document]]


def read_documents(path: Path, *, text_field: str = "text", skipped: Counter[str] | None = None) -> Iterator[Document]:
    """Yield the documents of a file; `text_field` is the column or key that holds the text where a file has rows.

    Rows that are no JSON or hold no text are counted in `skipped` and left out, where it is given; else they are an
    error. Raises BadCorpus naming file and row where the file is not what its suffix says, or cannot be read, and
    NoRows for a `.json` that holds none.
    """
    suffix = inner_suffix(path)
    reader = readers[suffix if suffix in readers else ".txt"]
    with reading(path):
        if path.stat().st_size <= LONGEST_POINTER and _is_pointer(path.read_bytes()):
            raise POINTER.at(str(path))
        yield from reader(path, text_field, skipped)


def _is_pointer(content: bytes) -> bool:
    """Whether a file's content is what Git LFS leaves in place of one that was not fetched."""
    return len(content) <= LONGEST_POINTER and content.startswith(LFS_POINTER)


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
        if offset == 0 and _is_pointer(block):
            return POINTER
        if offset == 0 and _begins_with_rows(block):
            return ROWS
        if offset == 0 and block[:2] in (b"\xff\xfe", b"\xfe\xff"):
            fix = "convert it: iconv -f UTF-16 -t UTF-8 FILE > NEW"
            return Problem("not_utf8", 0, "the text is UTF-16, expected UTF-8", fix)
        nul = block.find(b"\0")
        if nul >= 0:
            message = "holds a NUL byte: a binary file, expected text"
            return Problem("binary", offset + nul, message, "name text files only; unpack an archive first")
        pending = len(decoder.getstate()[0])
        try:
            decoder.decode(block)
        except UnicodeDecodeError as error:
            return _not_utf8(offset - pending + error.start, error.object[error.start])
        empty = empty and not block.strip()
        offset += len(block)
    cut = decoder.getstate()[0]
    if empty:
        return EMPTY
    return _not_utf8(offset - len(cut), cut[0]) if cut and whole else None


def _begins_with_rows(block: bytes) -> bool:
    """Whether the first two lines, or the only one, are JSON objects that hold a text."""
    if not OBJECT.match(block):  # most texts end here: a block is large
        return False
    lines = block.lstrip().split(b"\n", 2)[:2]
    rows = [object_in(line) for line in lines if line.strip()]
    return all(row is not None and isinstance(row.get(TEXT_FIELD), str) for row in rows)


def _not_utf8(offset: int, found: int) -> Problem:
    fix = "convert it: iconv -f LATIN1 -t UTF-8 FILE > NEW (or whichever encoding it has)"
    return Problem("not_utf8", offset, f"byte 0x{found:02x} is no UTF-8", fix)


def row_problem(content: bytes) -> Problem | None:
    """Return why a row's text cannot be taken, or None: it must hold something. It is UTF-8; NUL is a character."""
    return None if content.strip() else EMPTY


def is_plain(path: Path) -> bool:
    """Whether the file itself is one document: no rows, no compression."""
    return compression(path) is None and holds_one(path)


def holds_one(path: Path) -> bool:
    """Whether a file holds one document rather than rows, compressed or not."""
    return inner_suffix(path) not in readers or inner_suffix(path) == ".txt"


def require_rows(paths: Iterable[Path], text_field: str) -> None:
    """Raise BadCorpus where a field was named and no file has rows: the name would say nothing."""
    if text_field != TEXT_FIELD and all(map(holds_one, paths)):
        suffixes = ", ".join(sorted(set(readers) - {".txt"}))
        raise BadCorpus(
            f"no field {text_field!r}: none of the files has rows",
            place="text_field",
            fix=f"leave text_field out, or name files with rows: {suffixes}",
        )


def _read_text(path: Path, text_field: str, skipped: Counter[str] | None) -> Iterator[Document]:
    with decompressing(path) as stream:
        yield Document(read_whole(stream, path), str(path))


def read_whole(stream: IO[bytes], place: Path | str) -> bytes:
    """Return all that a stream holds. Raises BadCorpus where it is longer than LONGEST_DOCUMENT."""
    content = stream.read(LONGEST_DOCUMENT + 1)
    if len(content) > LONGEST_DOCUMENT:
        raise too_long(place)
    return content


def _read_lines(path: Path, text_field: str, skipped: Counter[str] | None) -> Iterator[Document]:
    return (Document(text, place) for text, place in read_lines(path, text_field, skipped))


def _read_json(path: Path, text_field: str, skipped: Counter[str] | None) -> Iterator[Document]:
    begun = False
    try:
        for text, place in read_json(path, text_field, skipped):
            begun = True
            yield Document(text, place)
    except NoRows as problem:
        if begun:  # a file of rows that breaks off is damaged
            raise BadCorpus(problem.message, place=problem.place, fix=problem.fix) from problem
        raise


def _read_csv(path: Path, text_field: str, skipped: Counter[str] | None) -> Iterator[Document]:
    csv.field_size_limit(LONGEST_DOCUMENT)  # the standard library's 128 KiB are less than a long document
    separator = "\t" if inner_suffix(path) == ".tsv" else ","
    with decompressing(path) as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
        rows = csv.DictReader(bounded_lines(text, path), delimiter=separator)
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
                raise no_field(text_field, table.schema_arrow.names, str(path))
            if pa.types.is_string(table.schema_arrow.field(text_field).type):
                # As a dictionary, a text that stands in many rows is held once.
                table = pq.ParquetFile(stream, read_dictionary=[text_field])
            batches = table.iter_batches(batch_size=_batch_rows(table.metadata, text_field, path), columns=[text_field])
            values = chain.from_iterable(batch.column(0) for batch in batches)
            yield from _column_documents(values, path, text_field, skipped)
    except pa.ArrowException as error:
        raise BadCorpus(f"not Parquet: {error}", place=str(path), fix="name a Parquet file") from error


def _read_arrow(path: Path, text_field: str, skipped: Counter[str] | None) -> Iterator[Document]:
    """Yield the rows of a table as Arrow writes it, as a stream (Hugging Face's datasets on a disk) or a file."""
    import pyarrow as pa

    try:
        with seekable(path) as stream:
            is_file = stream.read(len(ARROW_FILE)) == ARROW_FILE
            stream.seek(0)
            table = pa.ipc.open_file(stream) if is_file else pa.ipc.open_stream(stream)
            if text_field not in table.schema.names:
                raise no_field(text_field, table.schema.names, str(path))
            batches = map(table.get_batch, range(table.num_record_batches)) if is_file else table
            yield from _column_documents(_values_of(batches, text_field), path, text_field, skipped)
    except pa.ArrowException as error:
        raise BadCorpus(f"not Arrow: {error}", place=str(path), fix="name a file that Arrow wrote") from error


def _values_of(batches: Iterable["pa.RecordBatch"], name: str) -> Iterator["pa.Scalar"]:
    """Yield a column's values, each batch checked first: one that is wrong could lead anywhere."""
    for batch in batches:
        batch.validate(full=True)
        yield from batch.column(name)


def _column_documents(
    values: Iterable["pa.Scalar"], path: Path, text_field: str, skipped: Counter[str] | None
) -> Iterator[Document]:
    """Yield the values of a column of Arrow's as documents. Raises BadCorpus as `read_documents`."""
    import pyarrow as pa

    for row, value in enumerate(values, start=1):
        place = f"{path}:{row}"
        if pa.types.is_dictionary(value.type):
            value = value.value
        if pa.types.is_string(value.type) and value.is_valid and len(value.as_buffer()) > LONGEST_DOCUMENT:
            raise too_long(place)
        try:
            yield Document(field_text(_plain(value), text_field), place)
        except BrokenRow as problem:
            skip_or_raise(problem, place, skipped)


def _batch_rows(metadata: "pq.FileMetaData", column: str, path: Path) -> int:
    """Return how many rows of a Parquet file's column are unpacked at once: no more than fill the longest document.

    Raises BadCorpus where a row is longer on average.
    """
    longest = 1.0
    for group in (metadata.row_group(number) for number in range(metadata.num_row_groups)):
        chunks = (group.column(number) for number in range(group.num_columns))
        size = sum(one.total_uncompressed_size for one in chunks if one.path_in_schema.split(".")[0] == column)
        longest = max(longest, size / max(group.num_rows, 1))
    if longest > LONGEST_DOCUMENT:
        raise too_long(path)
    return max(1, min(1024, int(LONGEST_DOCUMENT / longest)))


def _plain(value: Any) -> object:
    """Return a value of Arrow as Python's. Raises BrokenRow for text that is no UTF-8."""
    try:
        plain: object = value.as_py()
    except UnicodeDecodeError as error:
        raise BrokenRow(f"byte {error.start} of the text is no UTF-8") from error
    return plain


readers: dict[str, Reader] = {
    ".txt": _read_text, **dict.fromkeys(LINES, _read_lines), ".json": _read_json, ".csv": _read_csv, ".tsv": _read_csv,
    ".parquet": _read_parquet, ".arrow": _read_arrow, ".feather": _read_arrow,
}  # fmt: skip
"""By suffix."""
