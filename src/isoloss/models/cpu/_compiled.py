"""How kernels are compiled, and when what was compiled is out of date.

numba keeps machine code on the disk and throws it away when the file of that one function changes. Kernels hold the
code of those that they call, which lie in other files: here the sources of all of them count for each.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from numba import njit

Function = TypeVar("Function", bound=Callable[..., Any])

OPTIONS: dict[str, Any] = {
    "cache": True,
    "nogil": True,
    "error_model": "numpy",
    # Reordered sums and fused multiply-adds let the loops vectorise; `nnan` and `ninf` stay out, for diverging runs.
    "fastmath": {"reassoc", "contract", "arcp", "nsz"},
    # No reference counts: the callers hold every array, nothing is allocated, and rows cost nothing to slice.
    "_nrt": False,
}


def _digest(*folders: Path) -> str:
    found = hashlib.sha256()
    for path in sorted(path for folder in folders for path in folder.glob("*.py")):
        found.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()


# Taken before any kernel is read, so that an edit meanwhile compiles once too often rather than not at all.
SOURCES = _digest(Path(__file__).parent, Path(__file__).parents[1])


def kernel(function: Function, **options: Any) -> Function:
    """Return the function as it is compiled when it is first called, or loaded from the disk."""
    compiled: Any = njit(**options, **OPTIONS)(function)
    compiled._cache._cache_file._source_stamp = SOURCES
    return cast(Function, compiled)


def inlined(function: Function) -> Function:
    """Return the same, to be copied into every kernel that calls it."""
    return kernel(function, inline="always")
