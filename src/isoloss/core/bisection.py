"""Where many rising functions cross a value, found all at once."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def bisected(below: Callable[[Floats], NDArray[np.bool_]], low: Floats, high: Floats, *, halvings: int) -> Floats:
    """Return where `below` turns false between `low` and `high`, element by element, after so many halvings."""
    for _ in range(halvings):
        middle = (low + high) / 2
        under = below(middle)
        low, high = np.where(under, middle, low), np.where(under, high, middle)
    return np.asarray((low + high) / 2)
