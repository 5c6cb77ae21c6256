"""Memory for what every pass writes and reads: large pages where the system has them, so that addresses stay near too.

A model of some millions of weights goes through fifty MiB a window: in pages of 4 KiB more than a processor remembers
the places of.
"""

import math
import mmap
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LARGE_PAGE = 2**21
_PIECE = 2**24  # bytes asked for at once: what is not touched costs nothing
_LINE = 64


@dataclass
class _Pieces:
    """Arrays are cut from one piece after another; a piece is given back with the last array cut from it."""

    rest: NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, dtype=np.uint8))

    def cut(self, size: int) -> NDArray[np.uint8]:
        # A line stays free between two arrays: those of equal size would meet in the same sets of the cache.
        used = -(-size // _LINE) * _LINE + _LINE
        if used > self.rest.size:
            self.rest = _new_piece(max(used, _PIECE))
        found, self.rest = self.rest[:size], self.rest[used:]
        return found


_pieces = _Pieces()


def _new_piece(size: int) -> NDArray[np.uint8]:
    """Return zeros that start on a large page."""
    memory = mmap.mmap(-1, size + _LARGE_PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        memory.madvise(mmap.MADV_HUGEPAGE)
    every = np.frombuffer(memory, dtype=np.uint8)
    start = -every.ctypes.data % _LARGE_PAGE
    return every[start : start + size]


def array(shape: tuple[int, ...], dtype: type[Any]) -> NDArray[Any]:
    """Return an array, of any content, that starts on a cache line, as torch's do and numpy's do not."""
    bytes_ = math.prod(shape) * np.dtype(dtype).itemsize
    found: NDArray[Any] = _pieces.cut(bytes_).view(dtype).reshape(shape)
    return found
