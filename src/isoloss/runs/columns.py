"""Columns of somebody's table: by name, or computed from others, with errors that name column and row."""

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from isoloss.core.arrow import floats_of
from isoloss.core.errors import BadTable, did_you_mean
from isoloss.core.numbers import some
from isoloss.core.shown import shown
from isoloss.runs.sql import ROW, query_table

if TYPE_CHECKING:
    import pyarrow as pa

Floats = NDArray[np.float64]

# Whatever holds none of these is a name, and a wrong one is answered with the nearest.
_OPERATORS = re.compile(r"[-+*/()\"]")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
# What a condition compares by order, and what it takes as text, next to a column's name.
_ORDER = r"(?:<=?(?!>)|(?<!<)>=?|\b(?:NOT\s+)?BETWEEN\b)"
_TEXT_TEST = r"(?:=|==|!=|<>|(?:NOT\s+)?(?:IN\s*\(|I?LIKE\b|SIMILAR\s+TO\b))"
# A logarithm that does not say its base: SQL takes 10, and most languages e. With two arguments the first is the base.
_LOG_OF_ONE = re.compile(r"(?<![\w.])log\s*\((?=(?:[^(),]|\([^()]*\))*\))", re.IGNORECASE)
LONGEST_NAME = 1_000
NAMED_BY = {
    name: f"name the column of {what} (on the command line: --{option} COLUMN; in plan: --column {option}=COLUMN)"
    for name, option, what in (
        ("params", "params", "model sizes"), ("tokens", "tokens", "training tokens"),
        ("loss_nats", "loss", "losses in nats per token"),
    )
}  # fmt: skip
"""What to do where a column is missing that is looked for by our own name."""
NO_NUMBERS = frozenset({"nan", "+nan", "-nan", "inf", "+inf", "-inf", "infinity", "+infinity", "-infinity"})
"""What stands for a number that is none, in lower case."""
# A number whose marks could stand between thousands or before decimals: 1.234, 12,345. A leading 0 speaks for decimals.
_ONE_GROUP = re.compile(r"[-+]?[1-9]\d{0,2}([.,])\d{3}")
_SUFFIXES = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9, "bn": 1e9, "g": 1e9, "t": 1e12}
_SUFFIXES |= {"thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12}
_WITH_SUFFIX = re.compile(
    rf"\s*([-+.\deE]+?)\s*({'|'.join(_SUFFIXES)})\s*(?:params?|parameters?|toks?|tokens?)?\s*", re.IGNORECASE
)


class Columns:
    """The columns of an Arrow table that has `__row__`. A name that is no column but a formula is computed by SQL."""

    def __init__(self, table: "pa.Table", *, place: str) -> None:
        self.table = table
        self.place = place
        self.rows: NDArray[np.int64] = floats_of(table[ROW]).astype(np.int64)

    @property
    def names(self) -> list[str]:
        """The columns of the source."""
        return [column for column in self.table.column_names if column != ROW]

    def holds(self, name: str) -> bool:
        """Whether the source has a column of this very name with anything in it."""
        return name in self.names and self.table[name].null_count < len(self.table)

    def has_values(self, name: str, *, numbers: bool = False) -> bool:
        """Whether a column of this very name has a value in every row; with `numbers`, a number."""
        import pyarrow as pa

        if name not in self.names or self.table[name].null_count:
            return False
        kind = self.table[name].type
        return not numbers or pa.types.is_integer(kind) or pa.types.is_floating(kind)

    def texts(self, name: str) -> NDArray[np.str_]:
        """Return a column as text, each different value written once, its control characters as `shown` writes them."""
        import pyarrow as pa

        column = self._column(name).combine_chunks()
        if pa.types.is_nested(column.type):
            fix = "name another column, or flatten it first"
            raise self._refused(name, f"holds {column.type}, expected text or numbers", fix)
        try:
            encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        except pa.ArrowException:
            fix = "name another column, or write it as text"
            raise self._refused(name, f"holds {column.type}, expected text or numbers", fix) from None
        texts = [self._text(name, value) for value in encoded.dictionary.to_pylist()]
        if (longest := max(map(len, texts), default=0)) > LONGEST_NAME:
            message = f"a name of {longest:,} characters; at most {LONGEST_NAME:,} are possible"
            raise self._refused(name, message, "use a column of shorter names")
        values = np.array([shown(text) for text in texts], dtype=np.str_)
        if len(set(values.tolist())) < len(set(texts)):
            message = "two names differ only in control characters"
            raise self._refused(name, message, "give names without control characters")
        return np.asarray(values[encoded.indices.to_numpy()], dtype=np.str_)

    def groups(self, name: str) -> NDArray[np.str_]:
        """Return what names the group of every row: a column, or several separated by commas, joined by " / "."""
        if name in self.names or "," not in name or is_formula(name):
            return self.texts(name)
        parts = [self.texts(part.strip()) for part in name.split(",") if part.strip()]
        return np.array(
            [" / ".join(row) for row in zip(*(part.tolist() for part in parts), strict=True)], dtype=np.str_
        )

    def _refused(self, column: str, message: str, fix: str) -> BadTable:
        return BadTable(message, place=f"{self.place}, column {column}", fix=fix)

    def _text(self, name: str, value: object) -> str:
        """Return a value as text. Raises BadTable for bytes that are no UTF-8, and for a lone surrogate."""
        try:
            text = value.decode("utf-8") if isinstance(value, bytes) else str(value)
            text.encode("utf-8")
        except UnicodeError:
            fix = "save the table in UTF-8 (for example with iconv -f latin1 -t utf-8)"
            raise self._refused(name, f"found {value!r}, which is not UTF-8", fix) from None
        return text

    def numbers(self, name: str) -> Floats:
        """Return a column, or a formula over columns, as numbers; text such as `1e9`, `70M` or `1.4T` is read."""
        import pyarrow as pa

        column = self._column(name)
        kind = column.type
        if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            return floats_of(column)
        return self._parsed(name, column.to_pylist())

    def numbers_or_one(self, given: str | float | None) -> Floats | float | None:
        """Return the column that a name means, or the number (or nothing) that was given in its place."""
        return self.numbers(given) if isinstance(given, str) else given

    def given(self, name: str) -> "pa.ChunkedArray":
        """Return a column, or a formula over columns, as it stands, empty cells and all."""
        if name in self.names:
            return self.table[name]
        if is_formula(name):
            return self.computed(name)
        raise self.no_column(name)

    def no_column(self, name: str, *, remedy: str = "") -> BadTable:
        """Return the error for a column that the source lacks; `remedy` says what else to do than name another."""
        known, remedy = did_you_mean(name, self.names), remedy or NAMED_BY.get(name, "")
        return BadTable(f"no column {name!r}", place=self.place, fix=f"{remedy}; {known}" if remedy else known)

    def _column(self, name: str) -> "pa.ChunkedArray":
        column = self.given(name)
        if column.null_count:
            at = np.flatnonzero(column.is_null().to_numpy())
            message = f"{len(at)} empty {'cell' if len(at) == 1 else 'cells'}, expected a value in every row"
            fix = f"fill the rows, or leave them out: --where '\"{name}\" IS NOT NULL'"
            raise self._refused(f"{name}, row {some(self.rows[at])}", message, fix)
        return column

    def computed(self, formula: str) -> "pa.ChunkedArray":
        """Return a SQL formula's value for every row, in the table's order."""
        for name in self._named_in(formula):
            self.refuse_doubt(name)
        if _log_of_one(formula):
            raise self._refused(formula, *_WHICH_LOG)
        query = f"SELECT {ROW}, ({formula}) AS found FROM runs ORDER BY {ROW}"
        try:
            found = query_table(self.table, query)
        except BadTable as error:  # eval/loss may be a formula, and a misspelt name
            try:
                found = query_table(self._with_numbers(self._named_in(formula)), query)
            except BadTable:
                raise BadTable(
                    f"{formula!r} is neither a column nor a formula over columns: {error.message}", place=self.place,
                    fix=did_you_mean(formula, self.names),
                ) from error  # fmt: skip
        if found.num_rows != len(self.rows) or found.column_names != [ROW, "found"]:
            fix = "write a formula with one value per row, such as n_millions * 1e6"
            raise self._refused(formula, f"{found.num_rows} values for {len(self.rows)} rows", fix)
        return found["found"].take(np.argsort(np.argsort(self.rows)))

    def matching(self, condition: str) -> "pa.Table":
        """Return what a SQL condition selects, with the column `__row__`; text such as `70M` is compared as a number.

        Raises BadTable for text that is no condition, and for such text in order next to text in quotes.
        """
        if _log_of_one(condition):
            raise BadTable(_WHICH_LOG[0], place=self.place, fix=_WHICH_LOG[1])
        query = f"SELECT * FROM runs WHERE {condition}"
        texts = [name for name in self._named_in(condition) if self._suffixed(name)]
        for name in texts:
            if quoted := _compared(name, _ORDER, r"'([^']*)'", condition):
                number = number_or_none(quoted)
                written = "30e6" if number is None else f"{number:g}"
                raise BadTable(
                    f"{name!r} holds numbers written as text, and {quoted!r} in quotes would be compared letter by "
                    "letter", place=self.place, fix=f"write a number without quotes, such as {written}",
                )  # fmt: skip
        # What a column equals in quotes, it equals as text.
        numbers = [name for name in texts if _compared(name, _TEXT_TEST, r"'([^']*)'", condition) is None]
        if any(_compared(name, _ORDER, r"(.?)", condition) is not None for name in numbers):
            return query_table(self._with_numbers(numbers), query, place=self.place)
        try:
            return query_table(self.table, query, place=self.place)
        except BadTable as error:
            try:
                return query_table(self._with_numbers(numbers), query)
            except BadTable:
                raise error from None

    def _suffixed(self, name: str) -> bool:
        """Whether a column is text whose every cell is a number, and some are written as `70M` is."""
        import pyarrow as pa

        if not pa.types.is_string(self.table[name].type):
            return False
        cells = [cell for cell in self.table[name].unique().to_pylist() if cell is not None]
        return all(number_or_none(cell) is not None for cell in cells) and not all(map(_is_plain_number, cells))

    def _with_numbers(self, names: Sequence[str]) -> "pa.Table":
        """Return the table with those of its columns that are text such as `70M` as numbers."""
        import pyarrow as pa

        table = self.table
        for name in names:
            if pa.types.is_string(table[name].type):
                cells = table[name].to_pylist()
                numbers = [number_or_none(cell) for cell in cells]
                if all(number is not None or cell is None for number, cell in zip(numbers, cells, strict=True)):
                    at = table.column_names.index(name)
                    table = table.set_column(at, name, pa.array(numbers, type=pa.float64()))
        return table

    def _named_in(self, formula: str) -> list[str]:
        return [name for name in self.names if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", formula)]

    def refuse_doubt(self, name: str) -> None:
        """Raise BadTable for a column of text whose numbers could be read in two ways."""
        import pyarrow as pa

        if name not in self.names or not pa.types.is_string(self.table[name].type):
            return
        if doubt := grouping_doubt(self.table[name].to_pylist()):
            fix = "write numbers without thousands separators and with a decimal point: 1234000 or 1.234"
            raise self._refused(name, doubt, fix)

    def _parsed(self, name: str, values: list[object]) -> Floats:
        self.refuse_doubt(name)
        numbers = np.empty(len(values))
        for i, value in enumerate(values):
            try:
                numbers[i] = number_in(value)
            except (ValueError, OverflowError):
                fix = "correct the row, leave it out with --where, or name another column"
                place = f"{name}, row {self.rows[i]}"
                raise self._refused(place, f"found {value!r}, expected a number", fix) from None
        return numbers


_WHICH_LOG = (
    "found log(…), which is to base 10 in SQL and natural elsewhere",
    "write ln(…) for the natural logarithm, log10(…) for the one to base 10",
)


def _log_of_one(formula: str) -> bool:
    """Whether SQL takes a logarithm whose base is not said."""
    return _LOG_OF_ONE.search(_QUOTED.sub("x", formula)) is not None


def _compared(name: str, comparison: str, other: str, condition: str) -> str | None:
    """Return what `other` captures where a condition compares a column with it, on either side; None where it never."""
    own = rf'(?<!\w)"?{re.escape(name)}"?(?!\w)'
    for pattern in (rf"{own}\s*{comparison}\s*{other}", rf"{other}\s*{comparison}\s*{own}"):
        if found := re.search(pattern, condition, re.IGNORECASE):
            return found[1]
    return None


def _is_plain_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def same_column(name: str, columns: Sequence[str]) -> str:
    """Return the column that a name means: itself, or `loss_nats`, our own name, where there is no `loss`."""
    return "loss_nats" if name == "loss" and name not in columns and "loss_nats" in columns else name


def is_formula(name: str) -> bool:
    """Whether a name that is no column can be a formula over columns."""
    return _OPERATORS.search(name) is not None


def number_in(value: object) -> float:
    """Return the number that a cell holds: `125M`, `125 million`, `125M params` are 1.25e8. Raises ValueError."""
    if isinstance(value, str) and (suffixed := _WITH_SUFFIX.fullmatch(value)):
        return float(suffixed[1]) * _SUFFIXES[suffixed[2].lower()]
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError
    return float(value)


def grouping_doubt(cells: Sequence[object]) -> str | None:
    """Return why a column's marks could mean thousands or decimals, or None.

    They could where every marked cell has one mark with three digits behind it, as in 1.234, and others have none:
    decimals are seldom written so, and thousands always. A comma is in doubt alone, for nobody's decimals are known by
    it here.
    """
    marks, first, has_plain = set(), "", False
    for text in (cell.strip() for cell in cells if isinstance(cell, str)):
        if match := _ONE_GROUP.fullmatch(text):
            first = first or text
            marks.add(match[1])
        elif text.lstrip("+-").isdigit():
            has_plain = True
        elif text.lower() not in NO_NUMBERS:
            return None
    if len(marks) != 1 or (marks == {"."} and not has_plain):
        return None
    return f"{first!r} is ambiguous: the separator could mark thousands or decimals in every such number here"


def number_or_none(value: object) -> float | None:
    """Return the number that a cell holds, words such as "NaN" and "Infinity" among them; None where it holds none."""
    try:
        return None if value is None else number_in(value)
    except (ValueError, OverflowError):
        return None


def whole_step(value: object) -> int | None:
    """Return the whole number that a cell holds; None for text, for fractions, and for what is no number."""
    number = number_or_none(value)
    return int(number) if number is not None and math.isfinite(number) and number == int(number) else None
