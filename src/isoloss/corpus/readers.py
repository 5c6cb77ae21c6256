"""Documents in files: plain text, rows of JSONL, CSV and Parquet, any of them compressed.

A reader yields the documents of one file as UTF-8 bytes. It is chosen by the file's suffix, once a compression suffix
is taken off; a file nobody registered a reader for is text: one file, one document.
"""

import codecs
import csv
import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, Any, Literal, cast

from isoloss.core.errors import BadCorpus, InputError, did_you_mean
from isoloss.core.registry import Registry

LONGEST_FIELD = 1 << 30  # the standard library's 128 KiB are less than a long document

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


Reader = Callable[[Path, str], Iterator[Document]]
Opener = Callable[[Path], IO[bytes]]

readers: Registry[Reader] = Registry("reader")
openers: Registry[Opener] = Registry("compression")


def read_documents(path: Path, *, text_field: str = "text") -> Iterator[Document]:
    """Yield the documents of a file; `text_field` is the column or key that holds the text where a file has rows.

    Raises BadCorpus naming file and row where the file is not what its suffix says, or cannot be read.
    """
    suffix = inner_suffix(path)
    reader = readers[suffix if suffix in readers else ".txt"]
    try:
        yield from reader(path, text_field)
    except (OSError, EOFError) as error:
        raise BadCorpus(
            f"cannot be read: {error}", place=str(path), fix="check the file and its permissions"
        ) from error


def text_problem(content: bytes, *, whole: bool = True) -> Problem | None:
    """Return why `content` is not text, or None: it must hold something, no NUL byte, and decode as UTF-8.

    Where it is not the `whole` document, a character may be cut at its end.
    """
    if not content.strip():
        return Problem("empty", 0, "the document is empty", "name a file that holds text")
    nul = content.find(b"\0")
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        fix = "convert it: iconv -f UTF-16 -t UTF-8 FILE > NEW"
        return Problem("not_utf8", 0, "the text is UTF-16, expected UTF-8", fix)
    if nul >= 0:
        return Problem("binary", nul, "holds a NUL byte: a binary file, expected text", "name text files only")
    try:
        codecs.utf_8_decode(content, "strict", whole)
    except UnicodeDecodeError as error:
        found = content[error.start]
        fix = "convert it: iconv -f LATIN1 -t UTF-8 FILE > NEW (or whichever encoding it has)"
        return Problem("not_utf8", error.start, f"byte 0x{found:02x} is no UTF-8", fix)
    return None


def inner_suffix(path: Path) -> str:
    """Return the suffix that says what a file holds: `.jsonl` for `a.jsonl.gz`."""
    return (Path(path.stem).suffix if compression(path) else path.suffix).lower()


def is_plain(path: Path) -> bool:
    """Whether the file itself is one document: no rows, no compression."""
    return compression(path) is None and (inner_suffix(path) not in readers or inner_suffix(path) == ".txt")


def compression(path: Path) -> str | None:
    """Return the compression suffix of a file, or None."""
    suffix = path.suffix.lower()
    return suffix if suffix in openers else None


def open_bytes(path: Path) -> IO[bytes]:
    """Return the file opened for reading, decompressed on the way where its suffix says so."""
    suffix = compression(path)
    return openers[suffix](path) if suffix else path.open("rb")


def _read_text(path: Path, text_field: str) -> Iterator[Document]:
    with _decompressing(path) as stream:
        yield Document(stream.read(), str(path))


def _read_jsonl(path: Path, text_field: str) -> Iterator[Document]:
    with _decompressing(path) as stream:
        for number, line in enumerate(stream, start=1):
            if line.strip():
                place = f"{path}:{number}"
                yield Document(_encoded(_field(_json(line, place), text_field, place), place), place)


def _read_csv(path: Path, text_field: str) -> Iterator[Document]:
    csv.field_size_limit(LONGEST_FIELD)
    separator = "\t" if inner_suffix(path) == ".tsv" else ","
    with _decompressing(path) as stream:
        rows = csv.DictReader(io.TextIOWrapper(stream, encoding="utf-8-sig", newline=""), delimiter=separator)
        try:
            for row in rows:
                place = f"{path}:{rows.line_num}"
                yield Document(_encoded(_field(row, text_field, place), place), place)
        except (csv.Error, UnicodeDecodeError) as error:
            raise BadCorpus(
                f"not CSV in UTF-8: {error}", place=str(path), fix="convert the table, or name others"
            ) from error


def _read_parquet(path: Path, text_field: str) -> Iterator[Document]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as table:
            if text_field not in table.schema_arrow.names:
                raise _no_field(text_field, table.schema_arrow.names, str(path))
            batches = table.iter_batches(batch_size=1024, columns=[text_field])
            values = chain.from_iterable(batch.column(0).to_pylist() for batch in batches)
            for row, value in enumerate(values, start=1):
                place = f"{path}:{row}"
                yield Document(_encoded(_text(value, text_field, place), place), place)
    except pa.ArrowException as error:
        raise BadCorpus(f"not Parquet: {error}", place=str(path), fix="name a Parquet file") from error


@contextmanager
def _decompressing(path: Path) -> Iterator[IO[bytes]]:
    """Open a file; turn what each decompressor raises for damaged input into one BadCorpus."""
    import lzma
    import zlib

    with open_bytes(path) as stream:
        try:
            yield stream
        except (lzma.LZMAError, zlib.error, EOFError) as error:
            raise BadCorpus(f"damaged compressed file: {error}", place=str(path), fix="fetch it again") from error


def _json(line: bytes, place: str) -> object:
    try:
        return json.loads(line)
    except ValueError as error:
        raise BadCorpus(f"not JSON: {error}", place=place, fix="give one JSON object a line") from error


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
                        fix="name the field that holds the text with text_field")  # fmt: skip
    return value


def _no_field(name: str, known: list[str], place: str) -> BadCorpus:
    return BadCorpus(f"no field {name!r}", place=place, fix=f"set text_field; {did_you_mean(name, known)}")


def _encoded(text: str, place: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise BadCorpus(f"a lone surrogate at character {error.start} has no UTF-8", place=place,
                        fix="repair or remove the row") from error  # fmt: skip


def _open_gzip(path: Path) -> IO[bytes]:
    import gzip

    return cast(IO[bytes], gzip.open(path, "rb"))


def _open_xz(path: Path) -> IO[bytes]:
    import lzma

    return cast(IO[bytes], lzma.open(path, "rb"))


def _open_bz2(path: Path) -> IO[bytes]:
    import bz2

    return cast(IO[bytes], bz2.open(path, "rb"))


def _open_zstd(path: Path) -> IO[bytes]:
    return cast(IO[bytes], require_zstandard(place=str(path)).open(path, "rb"))


def require_zstandard(*, place: str) -> Any:
    """Return the optional zstandard module. Raises InputError naming the extra that brings it."""
    try:
        import zstandard  # type: ignore[import-not-found, unused-ignore]
    except ImportError as error:
        raise InputError(
            "Zstandard needs the package zstandard, which is not installed",
            place=place,
            fix="pip install 'isoloss[compressors]'",
        ) from error
    return zstandard


readers.add(".txt", _read_text)
for _suffix in (".jsonl", ".ndjson"):
    readers.add(_suffix, _read_jsonl)
for _suffix in (".csv", ".tsv"):
    readers.add(_suffix, _read_csv)
readers.add(".parquet", _read_parquet)
openers.add(".gz", _open_gzip)
openers.add(".xz", _open_xz)
openers.add(".bz2", _open_bz2)
openers.add(".zst", _open_zstd)
