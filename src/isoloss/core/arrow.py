"""Arrow columns of numbers to and from arrays, without pyarrow's own ways: those import pandas where it is installed.

That takes a third of a second of every `isoloss fit`.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa


def floats_of(column: "pa.ChunkedArray") -> NDArray[np.float64]:
    """Return a column of numbers without gaps. Raises ArrowException where it has gaps or holds no numbers."""
    import pyarrow as pa

    if column.null_count:
        raise pa.ArrowInvalid(f"{column.null_count} gaps in a column of numbers")
    if column.type not in (pa.float64(), pa.int64()):  # a cast loads all of Arrow's functions, which takes a while
        column = column.cast(pa.float64(), safe=False)
    return np.concatenate([np.empty(0), *(np.from_dlpack(chunk) for chunk in column.chunks)])


def counted(rows: int) -> "pa.Array":
    """Return the numbers from 1 to `rows` as a column."""
    import pyarrow as pa

    return pa.Array.from_buffers(pa.int64(), rows, [None, pa.py_buffer(np.arange(1, rows + 1, dtype=np.int64))])
