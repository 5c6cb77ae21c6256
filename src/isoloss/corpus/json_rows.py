"""Documents in JSON: lines of JSON, an array of rows, or whole objects one after another.

Only \\n ends a line, and a byte order mark is passed over. What a file called `.json` holds is seen from its beginning.
"""

import codecs
import json
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import IO

from isoloss.core.errors import BadCorpus, did_you_mean
from isoloss.core.reading import json_in
from isoloss.corpus.compressed import BLOCK, LONGEST_DOCUMENT, bounded_lines, decompressing, too_long

BROKEN_ROW = "broken_row"
NO_ROWS = "not_rows"
SHOWN_LINES = 5
MOST_FIELDS = 20
LINES_LOOKED_AT = 10  # at the beginning of a .json file: one whole object among them makes it a file of lines
LONGEST_LOOKED_AT = 1 << 24  # bytes of each of them
SET_TEXT_FIELD = "text_field in a study, isoloss measure --text-field"
FIX_BROKEN_ROWS = (
    'write one JSON object per line, or leave broken lines out: broken_rows = "skip", isoloss measure --broken-rows '
    f"skip; if another field has the text: {SET_TEXT_FIELD}"
)
FIX_NO_ROWS = (
    "write one JSON object per line or an array of objects; to use the JSON itself as text, copy the file to a "
    ".txt; to leave it out, exclude it"
)

Row = tuple[bytes, str]
"""The text of a row in UTF-8, and its place in the file."""


class BrokenRow(Exception):
    """A row that is no JSON or holds no text."""


class NoField(BadCorpus):
    """A row that lacks the field that holds the text."""


class NoRows(BadCorpus):
    """A file of JSON that holds no rows."""


def row_text(row: object, name: str, place: str) -> bytes:
    """Return the text of a row, in UTF-8. Raises BadCorpus naming the fields there are where `name` is none.

    Raises BrokenRow where the row is no object and no text, or its field holds no text.
    """
    if isinstance(row, str):
        return encoded(row)
    if not isinstance(row, dict):
        raise BrokenRow(f"found a {type(row).__name__}, expected an object or a text")
    if name not in row:
        raise no_field(name, [str(key) for key in row], place)
    return field_text(row[name], name)


def field_text(value: object, name: str) -> bytes:
    """Return the text that a field holds, in UTF-8: none for null. Raises BrokenRow where it is no text."""
    if value is None:
        return b""
    if not isinstance(value, str):
        raise BrokenRow(f"field {name!r} is a {type(value).__name__}, expected text")
    return encoded(value)


def encoded(text: str) -> bytes:
    """Return a text in UTF-8. Raises BrokenRow where it has none."""
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise BrokenRow(f"a lone surrogate at character {error.start} has no UTF-8") from error


def no_field(name: str, known: list[str], place: str) -> BadCorpus:
    """Return the error for a row that lacks the field."""
    return NoField(f"no field {name!r}", place=place, fix=f"set {SET_TEXT_FIELD}; {did_you_mean(name, known)}")


def line_text(line: bytes, name: str, place: str, *, offset: int = 0) -> bytes:
    """Return the text of a line of JSON, which starts at byte `offset`. Raises as `row_text`, BrokenRow for no JSON."""
    try:
        row = json_in(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise BrokenRow(f"not JSON: byte {offset + error.start} is no UTF-8") from error
    except ValueError as error:
        raise BrokenRow(f"not JSON: {error}") from error
    return row_text(row, name, place)


def read_lines(path: Path, name: str, skipped: Counter[str] | None) -> Iterator[Row]:
    """Yield the rows of a file of lines. Broken ones are counted in `skipped`, or one error names them all."""
    broken: list[tuple[int, str]] = []
    rows = offset = 0
    known = False
    with decompressing(path) as stream:
        for number, line in enumerate(bounded_lines(stream, path), start=1):
            offset, before = offset + len(line), offset
            line = line.removeprefix(codecs.BOM_UTF8)  # inside a file too, where files were put one after another
            if not line.strip():
                continue
            rows += 1
            place = f"{path}:{number}"
            try:
                text = line_text(line, name, place, offset=before)
                known = True
            except (BrokenRow, NoField) as problem:
                if isinstance(problem, NoField) and (skipped is None or not known):  # a wrong name, no broken row
                    raise
                broken.append((number, problem.args[0]))
                continue
            if skipped is not None or not broken:  # else what follows is only counted
                yield text, place
    if broken:
        if skipped is None:
            raise _broken_lines(path, broken, rows)
        skipped[BROKEN_ROW] += len(broken)


def read_json(path: Path, name: str, skipped: Counter[str] | None) -> Iterator[Row]:
    """Yield the rows of a `.json` file: lines, an array, or objects one after another.

    Raises NoRows where it is none of these.
    """
    with decompressing(path) as stream:
        beginnings = iter(lambda: stream.readline(LONGEST_LOOKED_AT), b"")  # an array may be one line of any length
        head = list(islice(filter(bytes.strip, beginnings), LINES_LOOKED_AT))
    if not head:
        return
    start = head[0].removeprefix(codecs.BOM_UTF8).lstrip()[:1]
    if start != b"[" and len(head) > 1 and any(object_in(line) is not None for line in head):
        yield from read_lines(path, name, skipped)
    elif start in (b"[", b"{"):
        yield from _read_values(path, name, skipped)
    else:
        raise _no_rows(path, "neither JSON objects line by line nor an array of objects")


def object_in(line: bytes) -> dict[str, object] | None:
    """Return the JSON object that a line holds, with or without a byte order mark; None where it holds none."""
    try:
        found = json_in(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _read_values(path: Path, name: str, skipped: Counter[str] | None) -> Iterator[Row]:
    """Yield the rows of an array, or of objects one after another; no more than one of them is held at a time."""
    with decompressing(path) as stream:
        values = _Values(stream, path)
        is_array = values.peek() == "["
        rows = values.elements() if is_array else values.sequence()
        known = False
        for number, row in enumerate(rows, start=1):
            place = f"{path}, row {number}"
            if known and skipped is not None and isinstance(row, dict) and name not in row:
                skipped[BROKEN_ROW] += 1
                continue
            if not is_array and isinstance(row, dict) and name not in row:
                raise _no_rows(path, f"object {number} of the file has no field {name!r}", known=list(map(str, row)))
            try:
                text = row_text(row, name, place)
                known = True
                yield text, place
            except BrokenRow as problem:
                skip_or_raise(problem, place, skipped)


def skip_or_raise(problem: BrokenRow, place: str, skipped: Counter[str] | None) -> None:
    """Count a broken row. Raises BadCorpus where none is to be skipped."""
    if skipped is None:
        raise BadCorpus(str(problem), place=place, fix=FIX_BROKEN_ROWS) from problem
    skipped[BROKEN_ROW] += 1


class _Values:
    """Values of JSON parsed one by one out of a stream."""

    def __init__(self, stream: IO[bytes], path: Path) -> None:
        self._stream = stream
        self._path = path
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._json = json.JSONDecoder()
        self._held = ""
        self._ended = False

    def peek(self) -> str:
        """Return the next character that is no white space; none at the end."""
        while True:
            self._held = self._held.lstrip(" \t\r\n")
            if self._held or not self._more():
                return self._held[:1]

    def sequence(self) -> Iterator[object]:
        """Yield values up to the end. Raises NoRows where there is something else."""
        while self.peek():
            yield self._value()

    def elements(self) -> Iterator[object]:
        """Yield the elements of an array. Raises NoRows where it is none."""
        self._take("[")
        if self.peek() != "]":
            yield self._value()
            while self.peek() == ",":
                self._take(",")
                yield self._value()
        self._take("]")
        if self.peek():
            raise _no_rows(self._path, "the file continues after the end of its array")

    def _take(self, character: str) -> None:
        if self.peek() != character:
            found = repr(self.peek()) if self.peek() else "the end of the file"
            raise _no_rows(self._path, f"not an array: expected {character!r}, found {found}")
        self._held = self._held[1:]

    def _value(self) -> object:
        self.peek()
        while True:
            try:
                value, end = self._json.raw_decode(self._held)
            except (ValueError, RecursionError) as error:
                if len(self._held) > LONGEST_DOCUMENT:
                    raise too_long(self._path) from error
                # A value may be cut at the end of what is held: twice as much is read before it is tried again.
                if not self._more(max(BLOCK, len(self._held))):
                    raise _no_rows(self._path, f"not JSON: {_reason(error)}") from error
                continue
            if end < len(self._held) or not self._more():  # a number may go on
                self._held = self._held[end:]
                return value

    def _more(self, size: int = BLOCK) -> bool:
        """Read on; whether there was anything."""
        if self._ended:
            return False
        content = self._stream.read(size)
        self._ended = not content
        try:
            self._held += self._decoder.decode(content, final=self._ended)
        except UnicodeDecodeError as error:
            raise _no_rows(self._path, f"not UTF-8: {error}") from error
        return not self._ended


def _reason(error: Exception) -> str:
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)


def _no_rows(path: Path, message: str, *, known: list[str] | None = None) -> NoRows:
    fields = f"its fields: {', '.join(known[:MOST_FIELDS])}; set {SET_TEXT_FIELD}; or " if known else ""
    return NoRows(message, place=str(path), fix=fields + FIX_NO_ROWS)


def _broken_lines(path: Path, broken: list[tuple[int, str]], rows: int) -> BadCorpus:
    number, problem = broken[0]
    lines = ", ".join(str(line) for line, _ in broken[:SHOWN_LINES]) + (", …" if len(broken) > SHOWN_LINES else "")
    return BadCorpus(
        f"{problem}; {len(broken)} of {rows} lines are broken (line {lines})",
        place=f"{path}:{number}",
        fix=FIX_BROKEN_ROWS,
    )
