"""Arrow columns to and from Python, without pyarrow's own ways: those import pandas where it is installed.

That takes a third of a second of every `isoloss fit` and `isoloss runs`.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa


def floats_of(column: "pa.ChunkedArray") -> NDArray[np.float64]:
    """Return a column of numbers without gaps. Raises ArrowException where it has gaps or holds no numbers."""
    import pyarrow as pa

    if column.null_count:
        raise pa.ArrowInvalid(f"{column.null_count} gaps in a column of numbers")
    if column.type == pa.bool_():
        return np.concatenate([np.empty(0), *map(_zeros_and_ones, column.chunks)])
    if column.type not in (pa.float64(), pa.int64()):  # a cast loads all of Arrow's functions, which takes a while
        column = column.cast(pa.float64(), safe=False)
    return np.concatenate([np.empty(0), *(np.from_dlpack(chunk) for chunk in column.chunks)])


def _zeros_and_ones(chunk: "pa.Array") -> NDArray[np.uint8]:
    """Return booleans without gaps as 0 and 1."""
    bits = np.unpackbits(np.frombuffer(chunk.buffers()[1], dtype=np.uint8), bitorder="little")
    return bits[chunk.offset : chunk.offset + len(chunk)]


def values_of(column: "pa.ChunkedArray") -> NDArray[Any]:
    """Return a column as an array, numbers without gaps in their own type."""
    import pyarrow as pa

    if column.null_count or not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        return np.asarray(column.to_numpy())
    return np.from_dlpack(column.combine_chunks())


def counted(rows: int) -> "pa.Array":
    """Return the numbers from 1 to `rows` as a column."""
    import pyarrow as pa

    return pa.Array.from_buffers(pa.int64(), rows, [None, pa.py_buffer(np.arange(1, rows + 1, dtype=np.int64))])


def reals(values: Sequence[float | None]) -> "pa.Array":
    """Return real numbers, None for a gap, as a column."""
    import pyarrow as pa

    numbers = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    return pa.Array.from_buffers(pa.float64(), len(values), [_held(values), pa.py_buffer(numbers)])


def wholes(values: Sequence[int | None]) -> "pa.Array":
    """Return whole numbers, None for a gap, as a column. Raises OverflowError for one beyond 64 bits."""
    import pyarrow as pa

    numbers = np.array([0 if value is None else value for value in values], dtype=np.int64)
    return pa.Array.from_buffers(pa.int64(), len(values), [_held(values), pa.py_buffer(numbers)])


def texts(values: Sequence[str | None]) -> "pa.Array":
    """Return texts, None for a gap, as a column. Raises UnicodeError for a lone surrogate."""
    import pyarrow as pa

    encoded = [b"" if value is None else value.encode() for value in values]
    buffers = [_held(values), _offsets(encoded), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.string(), len(values), buffers)


def lists_of_texts(values: Sequence[Sequence[str]]) -> "pa.Array":
    """Return lists of texts as a column."""
    import pyarrow as pa

    inner = texts([text for value in values for text in value])
    return pa.Array.from_buffers(pa.list_(pa.string()), len(values), [None, _offsets(values)], children=[inner])


def _held(values: Sequence[object]) -> "pa.Buffer | None":
    """Return the bits that say which values are none of the gaps; None where there are no gaps."""
    import pyarrow as pa

    held = np.array([value is not None for value in values], dtype=bool)
    return None if held.all() else pa.py_buffer(np.packbits(held, bitorder="little"))


def _offsets(values: Sequence[Sequence[object] | bytes]) -> "pa.Buffer":
    """Return where each value begins when all stand in a row, and where the last ends."""
    import pyarrow as pa

    return pa.py_buffer(np.array(list(accumulate(map(len, values), initial=0)), dtype=np.int32))
