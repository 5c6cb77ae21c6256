"""How kernels are compiled, and when what was compiled is out of date.

numba keeps machine code on the disk and throws it away when the file of that one function changes. Kernels hold the
code of those that they call, which lie in other files: here the sources of all of them count for each.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from numba import njit

from isoloss.core.kernels import NO_COUNTS, NO_POINTER, digest_of

Function = TypeVar("Function", bound=Callable[..., Any])

OPTIONS: dict[str, Any] = {
    "cache": True,
    "nogil": True,
    "error_model": "numpy",
    # Reordered sums and fused multiply-adds let the loops vectorise; `nnan` and `ninf` stay out, for diverging runs.
    "fastmath": {"reassoc", "contract", "arcp", "nsz"},
}
# Without reference counts rows cost nothing to slice.
OPTIONS |= NO_POINTER | NO_COUNTS


# Taken before any kernel is read, so that an edit meanwhile compiles once too often rather than not at all.
SOURCES = digest_of(Path(__file__).parent, Path(__file__).parents[1])


def kernel(function: Function, **options: Any) -> Function:
    """Return the function as it is compiled when it is first called, or loaded from the disk."""
    compiled: Any = njit(**options, **OPTIONS)(function)
    compiled._cache._cache_file._source_stamp = SOURCES
    return cast(Function, compiled)


def inlined(function: Function) -> Function:
    """Return the same, to be copied into every kernel that calls it."""
    return kernel(function, inline="always")
