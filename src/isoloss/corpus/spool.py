"""Arrays put one after another on disk, and read back from there: what is too much to hold."""

import tempfile
from typing import Any
from weakref import finalize

import numpy as np
from numpy.typing import NDArray


class Spool:
    """A temporary file of arrays of one type. It has no name, and goes when nothing refers to it any more."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self.lengths: list[int] = []
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the spool
        finalize(self, self._file.close)

    def append(self, array: NDArray[Any]) -> None:
        """Add an array."""
        self._file.write(np.ascontiguousarray(array, dtype=self.dtype).data)
        self.lengths.append(len(array))

    def mapped(self) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Return all arrays as one, mapped from the file, and the offsets where each starts."""
        self._file.flush()
        offsets = np.concatenate([[0], np.cumsum(self.lengths)]).astype(np.int64)
        if not offsets[-1]:
            return np.empty(0, dtype=self.dtype), offsets
        return np.memmap(self._file, dtype=self.dtype, mode="r", shape=(int(offsets[-1]),)), offsets
