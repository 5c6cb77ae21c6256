"""Matrix products inside compiled code: scipy's single-precision BLAS, called without a step through Python.

The library runs on as many threads as the process allows it (`OPENBLAS_NUM_THREADS`, `threadpoolctl`); training on one
core allows one.
"""

from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import get_cython_function_address, intrinsic

_SYMBOL = "isoloss_sgemm"
llvm.add_symbol(_SYMBOL, get_cython_function_address("scipy.linalg.cython_blas", "sgemm"))

# transa, transb (characters); m, n, k (integers); alpha (scalar); a (address), lda, b, ldb; beta, c, ldc.
_PARAMETERS = "cciiisaiaisai"
_OURS = {"c": types.int64, "i": types.int64, "s": types.float32, "a": types.uintp}
_POINTER, _THEIRS = ir.IntType(8).as_pointer(), {"c": ir.IntType(8), "i": ir.IntType(32)}


def _sgemm(
    typing: Any, transa: Any, transb: Any, m: Any, n: Any, k: Any, alpha: Any, a: Any, lda: Any, b: Any, ldb: Any,
    beta: Any, c: Any, ldc: Any,
) -> Any:  # fmt: skip
    """BLAS's sgemm on column-major matrices, with characters as their codes and matrices as addresses."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        def pointer(kind: str, value: Any) -> Any:
            """BLAS takes everything by reference."""
            if kind == "a":
                return builder.inttoptr(value, _POINTER)
            if kind in _THEIRS:
                value = builder.trunc(value, _THEIRS[kind])
            slot = cgutils.alloca_once_value(builder, value)  # type: ignore[no-untyped-call]
            return builder.bitcast(slot, _POINTER)

        kind = ir.FunctionType(ir.VoidType(), [_POINTER] * len(_PARAMETERS))
        function = cgutils.get_or_insert_function(builder.module, kind, _SYMBOL)  # type: ignore[no-untyped-call]
        builder.call(function, [pointer(*pair) for pair in zip(_PARAMETERS, arguments, strict=True)])
        return context.get_dummy_value()

    return types.void(*(_OURS[kind] for kind in _PARAMETERS)), generate


sgemm: Any = intrinsic(_sgemm)
