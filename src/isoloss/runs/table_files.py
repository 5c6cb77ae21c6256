"""Files of runs as Arrow tables: CSV in whatever way it is written, JSON, Parquet."""

import codecs
import csv
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from isoloss.core.arrow import floats_of
from isoloss.core.errors import BadTable
from isoloss.core.reading import LINES, json_in
from isoloss.runs.columns import NO_NUMBERS, grouping_doubt

if TYPE_CHECKING:
    import pyarrow as pa

MOST_COLUMNS = 5_000
DELIMITERS = (",", ";", "\t", "|")
LARGEST_SPLIT = 1e6  # numbers beyond it are not those of one group of thousands
ROUND_OFF = 1e-15  # of a number read from its digits, and then times 1000
MOST_DIGITS = 18  # of a number that is kept whole
MOST_ROWS = 50_000_000  # a few bytes of Parquet can stand for any number of equal rows
LONGEST_CELL = 1 << 28  # bytes of text, as in documents
MOST_TEXT = 1 << 30  # bytes of a column of text: a few of Parquet can stand for any number of equal cells
LOOKED_AT = 1 << 16  # bytes from which the delimiter is read
KEEP_FEW = "keep only the columns of parameters, tokens, losses and names"
SAID_DELIMITER = re.compile(r"\ufeff?sep=([,;\t|])\r?\n")
MISSING = ["", "NA", "N/A", "n/a", "#N/A", "<NA>", "null", "NULL", "None"]
# Digits in groups of three, and a decimal comma: each unambiguous where there are two groups, or other than three
# digits behind the comma, or a leading 0, which no group of thousands has.
GROUPED_BY_DOTS = re.compile(r"[-+]?[1-9]\d{0,2}(\.\d{3})+(,\d+)?")
GROUPED_BY_COMMAS = re.compile(r"[-+]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?")
GROUPED_BY_MARKS = re.compile(r"[-+]?[1-9]\d{0,2}([ '’\u00a0\u2009\u202f]\d{3})+([.,]\d+)?")
DECIMAL_COMMA = re.compile(r"[-+]?\d*,\d+([eE][-+]?\d+)?")
WHOLE = re.compile(r"[-+]?\d+")
FORMS = (  # with what stands between groups, and before decimals
    (GROUPED_BY_MARKS, r"[ '’\u00a0\u2009\u202f]", ","),
    (GROUPED_BY_DOTS, r"\.", ","),
    (GROUPED_BY_COMMAS, ",", "."),
    (DECIMAL_COMMA, r"(?!)", ","),
)


def read_csv(path: Path) -> "pa.Table":
    """Return a table of values set apart by commas, semicolons, tabs or bars: by what its lines show.

    Numbers with a decimal comma, or with digits in groups, are numbers where that is the only way to read the column;
    a column that could be read in two ways stays text, and is refused by name where numbers are asked of it.
    """
    from pyarrow import csv as arrow_csv

    # 'nan' must stay visible: a missing value is distinguished from a number that is none.
    convert = {"null_values": MISSING, "strings_can_be_null": True}
    refuse_utf16(path)
    delimiter, skipped = _delimiter(path)
    parse = arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    _refuse_wide(path, delimiter)

    def read(**more: Any) -> "pa.Table":
        options = arrow_csv.ConvertOptions(**convert, **more)
        rows = arrow_csv.ReadOptions(skip_rows=skipped)
        return arrow_csv.read_csv(path, read_options=rows, convert_options=options, parse_options=parse)

    table = _with_named_columns(read(), path)
    if table.num_columns == 1 and _is_cut_wrongly(table):
        raise BadTable(
            f"only one column, {table.column_names[0]!r}", place=str(path),
            fix="separate columns by commas, semicolons or tabs, the same number of them in every line",
        )  # fmt: skip
    return _with_plain_names(_localised(table, read))


def _is_cut_wrongly(table: "pa.Table") -> bool:
    """Whether the only column of a table is several: its name holds a delimiter, or it and all cells as many words."""
    import pyarrow as pa

    (name,), column = table.column_names, table.column(0)
    if any(mark in name for mark in DELIMITERS):
        return True
    words = len(name.split())
    cells = column.to_pylist() if words > 1 and pa.types.is_string(column.type) else []
    return bool(cells) and all(cell is not None and len(cell.split()) == words for cell in cells)


def _with_named_columns(table: "pa.Table", path: Path) -> "pa.Table":
    """Return the table without empty columns that have no name, as spreadsheets leave them at the end of a line.

    Raises BadTable where several columns with something in them have no name: then the first line is a title.
    """
    nameless = [at for at, name in enumerate(table.column_names) if not name.strip()]
    if len(nameless) > 1 and any(table.column(at).null_count < table.num_rows for at in nameless):
        first = next(filter(str.strip, table.column_names), "")
        raise BadTable(
            f"{len(nameless)} columns have no name: the first line is {first!r} and nothing else names them",
            place=str(path), fix="begin the file with the line that names the columns, without titles above it",
        )  # fmt: skip
    empty = [at for at in nameless if table.column(at).null_count == table.num_rows and table.num_rows]
    return table.select([at for at in range(table.num_columns) if at not in empty]) if empty else table


def refuse_utf16(path: Path) -> None:
    """Raise BadTable for a text in UTF-16, as Windows writes it: none of the readers takes it."""
    with path.open("rb") as stream:
        beginning = stream.read(2)
    if beginning in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        raise BadTable(
            f"cannot be read as {path.suffix[1:]}: it is UTF-16", place=str(path),
            fix="save it as UTF-8, or iconv -f utf-16 -t utf-8",
        )  # fmt: skip


def _with_plain_names(table: "pa.Table") -> "pa.Table":
    """Return the table without blanks around the names of its columns, where they stay different without them."""
    names = [name.strip() for name in table.column_names]
    return table.rename_columns(names) if len(set(names)) == len(names) else table


def _refuse_wide(path: Path, delimiter: str) -> None:
    """Raise BadTable for more columns than a table of runs has: reading them would take minutes."""
    with path.open("rb") as stream:
        header = stream.readline()
    columns = header.count(delimiter.encode()) + 1
    if columns > MOST_COLUMNS:
        raise _too_wide(columns, path)


def _too_wide(columns: int, path: Path) -> BadTable:
    """Return the error for a table of more columns than are read."""
    return BadTable(
        f"{columns:,} columns; at most {MOST_COLUMNS:,} are possible", place=str(path),
        fix=KEEP_FEW,
    )  # fmt: skip


def _localised(table: "pa.Table", read: Callable[..., "pa.Table"]) -> "pa.Table":
    """Return the table with numbers that are written as in other countries, and with doubtful ones as text."""
    import pyarrow as pa

    names = table.column_names
    if len(set(names)) < len(names):
        return table  # refused by whoever opens the table
    decimals = [name for name in names if pa.types.is_floating(table[name].type) and _thousandths(table[name])]
    as_text = {name: pa.string() for name in decimals}
    written = read(include_columns=decimals, column_types=as_text) if decimals else table
    for at, name in enumerate(names):
        if name in as_text:
            if grouping_doubt(written[name].to_pylist()):
                table = table.set_column(at, name, written[name])
        elif pa.types.is_string(table[name].type):
            numbers = _numbers(table[name].to_pylist())
            if numbers is not None:
                table = table.set_column(at, name, pa.array(numbers))
    return table


def _thousandths(column: "pa.ChunkedArray") -> bool:
    """Whether the numbers that may be in doubt are whole thousandths: most columns need no second look."""
    values = floats_of(column.drop_null() if column.null_count else column)
    scaled = values[np.abs(values) < LARGEST_SPLIT] * 1000
    return bool(len(scaled) and np.all(np.abs(scaled - np.round(scaled)) <= ROUND_OFF * np.abs(scaled)))


def _numbers(cells: Sequence[str | None]) -> list[float | int | None] | None:
    """Return a column of text as numbers where it is one written with grouped digits or decimal commas, else None."""
    present = [cell.strip() for cell in cells if cell is not None]
    if not present or not any(form.fullmatch(present[0]) for form in (WHOLE, *(form for form, _, _ in FORMS))):
        return None
    if grouping_doubt(present):
        return None
    for form, group, point in FORMS:
        if all(form.fullmatch(cell) or WHOLE.fullmatch(cell) or cell.lower() in NO_NUMBERS for cell in present):
            plain = [None if cell is None else re.sub(group, "", cell.strip()).replace(point, ".") for cell in cells]
            whole = all(cell is None or (WHOLE.fullmatch(cell) and len(cell) < MOST_DIGITS) for cell in plain)
            return [None if cell is None else int(cell) if whole else float(cell) for cell in plain]
    return None


def _delimiter(path: Path) -> tuple[str, int]:
    """Return what sets columns apart, and how many lines stand before the names of the columns.

    It is the suffix's own sign, unless the first lines agree on another alone, or a line `sep=;` says it as in Excel.
    """
    own = "\t" if path.suffix.lower() == ".tsv" else ","
    with path.open("rb") as file:
        head = file.read(LOOKED_AT)
    text = head.decode("utf-8-sig", errors="replace")
    lines = text if len(head) < LOOKED_AT else text[: text.rfind("\n") + 1]
    if said := SAID_DELIMITER.match(lines):
        return said[1], 1
    candidates = (own, *(sign for sign in DELIMITERS if sign != own))
    return next((sign for sign in candidates if _divides(lines, sign)), own), 0


def _divides(lines: str, sign: str) -> bool:
    """Whether every line has the same number of columns, more than one, when cut at `sign`."""
    try:
        widths = {len(row) for row in csv.reader(io.StringIO(lines), delimiter=sign) if row}
    except csv.Error:
        return False
    return len(widths) == 1 and widths.pop() > 1


def json_lines(path: Path) -> list[dict[str, Any]]:
    """Return the objects of a file of lines of JSON. Only \\n ends a line; a byte order mark is passed over.

    Raises BadTable naming the line that is no object.
    """
    rows = []
    refuse_utf16(path)
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        line = line.removeprefix(codecs.BOM_UTF8)
        if not line.strip():
            continue
        try:
            row = json.loads(line.decode("utf-8"))  # takes the NaN that loggers write
        except RecursionError:
            raise _no_object(path, number, "not JSON: it is nested too deeply") from None
        except ValueError as error:  # UnicodeDecodeError too
            raise _no_object(path, number, f"not JSON: {error}") from error
        if not isinstance(row, dict):
            raise _no_object(path, number, f"a {type(row).__name__}, not a JSON object")
        rows.append(row)
    return rows


def _no_object(path: Path, number: int, message: str) -> BadTable:
    return BadTable(message, place=f"{path}, line {number}", fix="write one JSON object per line; correct this line")


def read_jsonl(path: Path) -> "pa.Table":
    """Return lines of JSON as a table, a column a key."""
    return _table_of(json_lines(path), path)


def read_json(path: Path) -> "pa.Table":
    """Return a `.json` file as a table: an array of objects, one object of columns, or lines of JSON.

    Columns are arrays, or objects by row as pandas writes them. Raises BadTable for anything else.
    """
    try:
        content = json_in(path.read_bytes().removeprefix(codecs.BOM_UTF8).decode("utf-8"))
    except ValueError:  # several objects, or no JSON
        return read_jsonl(path)
    if isinstance(content, dict):
        columns = [list(each.values()) if isinstance(each, dict) else each for each in content.values()]
        if columns and all(isinstance(each, list) and len(each) == len(columns[0]) for each in columns):
            content = [dict(zip(content, cells, strict=True)) for cells in zip(*columns, strict=True)]
        elif not any(isinstance(each, list | dict) for each in columns):
            content = [content]  # one line of JSON
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        raise BadTable(
            "neither an array of objects nor an object of columns", place=str(path),
            fix='write one object per run, [{"params": 1e8, …}, …]; logs of a Hugging Face trainer must be called '
            "trainer_state.json",
        )  # fmt: skip
    return _table_of(content, path)


def flattened(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a row with what its objects hold as columns of its own: `config.lr` of `{"config": {"lr": …}}`."""
    if not any(isinstance(value, dict) for value in row.values()):
        return row
    found: dict[str, Any] = {}
    stack = [iter(row.items())]
    names: list[str] = []
    while stack:
        for name, value in stack[-1]:
            if isinstance(value, dict) and value:
                stack.append(iter(value.items()))
                names.append(name)
                break
            found[".".join([*names, name])] = value
        else:
            stack.pop()
            if names:
                names.pop()
    return found


def _table_of(rows: Sequence[Mapping[str, Any]], path: Path) -> "pa.Table":
    import pyarrow as pa

    rows = [flattened(row) for row in rows]
    names = list(dict.fromkeys(name for row in rows for name in row))
    if len(names) > MOST_COLUMNS:
        raise _too_wide(len(names), path)
    columns = {}
    for name in names:
        try:
            columns[name] = column_of([row.get(name) for row in rows])
        except UnicodeEncodeError as error:
            raise BadTable(
                f"a lone surrogate, {error.object[error.start]!r}, which is not a character",
                place=f"{path}, column {name}", fix="write the text in UTF-8, or leave the column out",
            ) from error  # fmt: skip
    return pa.table(columns)


def column_of(values: Sequence[object]) -> "pa.Array":
    """Return one column: numbers where all are, words such as "NaN" among them; else text.

    A stray value in a column of text is named by its row when numbers are asked of it.
    """
    import pyarrow as pa

    numbers = [_number(value) for value in values]
    if all(number is not None or value is None for number, value in zip(numbers, values, strict=True)):
        return pa.array(numbers, type=pa.float64(), from_pandas=False)
    return pa.array(
        [None if value is None else value if isinstance(value, str) else json.dumps(value) for value in values]
    )


def _number(value: object) -> float | None:
    if isinstance(value, str) and value.strip().lower() in NO_NUMBERS:
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def read_parquet(path: Path) -> "pa.Table":
    """Return a Parquet file. Raises BadTable for more columns or rows than are read, ArrowException for damage."""
    import pyarrow as pa
    from pyarrow import parquet

    size = parquet.read_metadata(path)
    if size.num_columns > MOST_COLUMNS:
        raise _too_wide(size.num_columns, path)
    if size.num_rows > MOST_ROWS:
        raise BadTable(
            f"{size.num_rows:,} rows; at most {MOST_ROWS:,} are possible", place=str(path), fix="give one row per run"
        )
    texts = [field.name for field in parquet.read_schema(path) if _is_text(field.type)]
    table = parquet.read_table(path, read_dictionary=texts)  # a text that stands in many rows is held once
    table.validate(full=True)  # text that is no UTF-8 would be found by whoever reads it
    for at, name in enumerate(table.column_names):
        if name in texts:
            _refuse_long(table[name], place=f"{path}, column {name}")
            table = table.set_column(at, name, table[name].cast(pa.string()))
    return table


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind.value_type if pa.types.is_dictionary(kind) else kind))


def _refuse_long(column: "pa.ChunkedArray", *, place: str) -> None:
    """Raise BadTable for cells that are longer than those of other tables, one by one or all of them together."""
    import pyarrow.compute as pc

    total = 0
    for chunk in column.chunks:
        lengths = pc.cast(pc.binary_length(chunk.dictionary), "int64")
        total += pc.sum(lengths.take(chunk.indices)).as_py() or 0
        if (pc.max(lengths).as_py() or 0) > LONGEST_CELL or total > MOST_TEXT:
            raise BadTable(
                f"text of more than {LONGEST_CELL >> 20} MiB in a cell, or {MOST_TEXT >> 20:,} MiB in all", place=place,
                fix=KEEP_FEW,
            )  # fmt: skip


READERS: dict[str, Callable[[Path], "pa.Table"]] = {
    ".csv": read_csv, ".tsv": read_csv, ".json": read_json, **dict.fromkeys(LINES, read_jsonl),
    ".parquet": read_parquet,
}  # fmt: skip
