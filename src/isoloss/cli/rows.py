"""Rows of a table as JSON can hold them: every type that a query may give, none as its Python text."""

import base64
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from math import isfinite
from typing import Any


def plain_rows(table: "Any") -> list[dict[str, Any]]:
    """Return an Arrow table as rows of plain JSON data.

    NaN and infinities become null; decimals numbers, whole ones exactly; dates and times ISO 8601 text; time spans
    seconds, or an object where months keep them from being seconds; maps objects; binary base64 text.
    """
    return [{name: plain(value) for name, value in row.items()} for row in _in_microseconds(table).to_pylist()]


def plain(value: object) -> object:
    """Return a value of a table as JSON can hold it."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if isfinite(value) else None
        case Decimal():
            return plain(int(value) if value == value.to_integral_value() else float(value))
        case datetime() | date() | time():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case bytes():
            return base64.b64encode(value).decode("ascii")
        case dict():
            return {str(key): plain(item) for key, item in value.items()}
        case tuple() if hasattr(value, "nanoseconds"):  # Arrow's MonthDayNano
            return _span(*value)
        case list() | tuple() if value and all(isinstance(item, tuple) and len(item) == 2 for item in value):
            return {str(plain(key)): plain(item) for key, item in value}  # a map arrives as pairs
        case list() | tuple():
            return [plain(item) for item in value]
        case _:
            return str(value)


def _span(months: int, days: int, nanoseconds: int) -> object:
    """Return a span of time: seconds, unless it counts months, which have no fixed length."""
    seconds = Decimal(nanoseconds) / 10**9
    if months:
        return {"months": months, "days": days, "seconds": plain(seconds)}
    return plain(days * 86_400 + seconds)


def _in_microseconds(table: "Any") -> "Any":
    """Return the table with times of nanoseconds cut to microseconds, the finest that Python's own types hold."""
    import pyarrow as pa

    for number, column in enumerate(table.schema):
        kind = column.type
        if pa.types.is_timestamp(kind) and kind.unit == "ns":
            finer: Any = pa.timestamp("us", tz=kind.tz)
        elif pa.types.is_time64(kind) and kind.unit == "ns":
            finer = pa.time64("us")
        else:
            continue
        table = table.set_column(number, column.name, table.column(number).cast(finer, safe=False))
    return table
