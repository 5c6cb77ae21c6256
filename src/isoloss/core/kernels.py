"""How kernels are compiled, and what was compiled on this machine: its sources, and the file that says so."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

# Ways into a kernel, which take longer to compile than a small one itself: for those who call it by address, and from
# Python.
NO_POINTER: dict[str, Any] = {"no_cfunc_wrapper": True}
NO_WAY_IN: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
# No reference counts of arrays, where nothing is allocated and the callers hold every array.
NO_COUNTS: dict[str, Any] = {"_nrt": False}

# An integer that a kernel is given: a plain 0 or 1 would have the kernel compiled once more, for that number alone.
Whole = int | np.int64


def digest_of(*folders: Path) -> str:
    """Return a digest of all Python files in `folders`."""
    found = hashlib.sha256()
    for path in sorted(path for folder in folders for path in folder.glob("*.py")):
        found.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()


def ready_file(kernel: Any, name: str, sources: str) -> Path:
    """Return the file that says that the kernels `name` are compiled: next to `kernel`'s machine code.

    It is named by their `sources` and the processor.
    """
    import numba
    from numba.core.registry import cpu_target

    said = repr((sources, numba.__version__, cpu_target.target_context.codegen().magic_tuple()))
    return Path(kernel._cache.cache_path) / f"{name}-{hashlib.sha256(said.encode()).hexdigest()[:16]}.ready"
