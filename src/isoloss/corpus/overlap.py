"""Near duplicates that removing equal documents misses: held-out windows that stand verbatim in the training side."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from isoloss.corpus.corpus import Tokens

CHUNK = 1 << 16  # tokens hashed at a time: the arrays stay in the cache
BASE = (
    0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2**64; the golden ratio's bits, as in Fibonacci hashing
)
TABLE_BITS = 16


def stand_in(tokens: Tokens, windows: Tokens) -> NDArray[np.bool_]:
    """Return which rows of `windows` occur anywhere in `tokens`, by 64-bit polynomial hashes of every place.

    A false match among 10^8 places and 10^3 windows has a chance of 10^-8. Karp & Rabin 1987, IBM Journal of Research
    and Development 31.
    """
    length = windows.shape[1]
    wanted = np.concatenate([_hashes(row, length) for row in windows])
    likely = np.zeros(1 << TABLE_BITS, dtype=bool)
    likely[_top_bits(wanted)] = True
    found = np.zeros(len(windows), dtype=bool)
    for start in range(0, len(tokens) - length + 1, CHUNK):
        hashes = _hashes(tokens[start : start + CHUNK + length - 1], length)
        found |= np.isin(wanted, hashes[likely[_top_bits(hashes)]])
    return found


def _hashes(tokens: Tokens, length: int) -> NDArray[np.uint64]:
    """Return Σ t_i · BASE^i over the `length` tokens from each place, i counted from there, modulo 2^64."""
    powers = _powers(BASE, len(tokens))
    sums = np.cumsum(tokens * powers, dtype=np.uint64)
    windows = sums[length - 1 :].copy()
    windows[1:] -= sums[:-length]
    return windows * _powers(pow(BASE, -1, 2**64), len(windows))


@lru_cache(maxsize=8)
def _powers(base: int, count: int) -> NDArray[np.uint64]:
    """Return 1, base, base², … modulo 2^64."""
    factors = np.full(count, base, dtype=np.uint64)
    factors[0] = 1
    return np.multiply.accumulate(factors)


def _top_bits(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    return hashes >> np.uint64(64 - TABLE_BITS)
