"""Matrix products of numbers rounded to bfloat16, summed in float32, inside compiled code on a CPU.

Where the processor multiplies pairs of bfloat16 (AVX512-BF16) a product takes half the time of one in float32;
elsewhere the pairs are taken apart and multiplied as float32, which gives the same sums but for their order.

Two neighbours along the summed axis share an int32, a *pair*. Operands are packed once and read often:
`rows` (M, K / 2), pairs of neighbours in a row, for the left side; `panels`, for the right side and for transposed left
sides: 64 columns at a time (the last panel as many as there are, padded to 16), each (K / 2, 64) in one piece.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from isoloss.models._kernels import OPTIONS, Floats

Pairs = NDArray[np.int32]
Function = TypeVar("Function", bound=Callable[..., Any])

PANEL = 64  # columns of a panel
_LANES = 16
_ROWS = 6  # rows of a tile: with four vectors of columns it fills 24 of the 32 registers


class _BFloat(ir.Type):  # type: ignore[misc]
    """LLVM's bfloat, which llvmlite does not name."""

    def _to_string(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _BFloat)

    def __hash__(self) -> int:
        return hash(_BFloat)


_I16, _I32, _I64, _F32 = ir.IntType(16), ir.IntType(32), ir.IntType(64), ir.FloatType()
_FLOATS, _INTS, _SHORTS = (ir.VectorType(kind, _LANES) for kind in (_F32, _I32, _I16))
_MASK, _BFLOATS = ir.VectorType(ir.IntType(1), _LANES), ir.VectorType(_BFloat(), 2 * _LANES)
_LANE_NUMBERS = ir.Constant(_INTS, list(range(_LANES)))


def _every_lane(value: int) -> Any:
    return ir.Constant(_INTS, [value] * _LANES)


def _number(value: int) -> Any:
    return ir.Constant(_I64, value)


def pairs_in_hardware() -> bool:
    """Return whether this processor multiplies pairs of bfloat16."""
    return bool(llvm.get_host_cpu_features().get("avx512bf16", False))


class _Code:
    """What the intrinsics below are written with: vectors of 16 lanes at addresses."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder

    def function(self, name: str, result: Any, *parameters: Any) -> Any:
        """Return LLVM's own function of that name."""
        module = self.builder.module
        return module.globals.get(name) or ir.Function(module, ir.FunctionType(result, parameters), name)

    def splat(self, value: Any, kind: Any) -> Any:
        """Return a vector with `value` in every lane."""
        nothing = ir.Constant(kind, ir.Undefined)
        first = self.builder.insert_element(nothing, value, ir.Constant(_I32, 0))
        return self.builder.shuffle_vector(first, nothing, ir.Constant(_INTS, [0] * _LANES))

    def first(self, lanes: Any) -> Any:
        """Return the mask of the first `lanes` lanes."""
        return self.builder.icmp_signed("<", _LANE_NUMBERS, self.splat(self.builder.trunc(lanes, _I32), _INTS))

    def at(self, address: Any, offset: Any, kind: Any) -> Any:
        """Return a pointer."""
        if isinstance(offset, int):
            offset = ir.Constant(_I64, offset)
        return self.builder.inttoptr(self.builder.add(address, offset), kind.as_pointer())

    def load(self, pointer: Any, mask: Any) -> Any:
        """Return the floats under `mask`, 0 elsewhere."""
        load = self.function("llvm.masked.load.v16f32.p0", _FLOATS, _FLOATS.as_pointer(), _I32, _MASK, _FLOATS)
        return self.builder.call(load, [pointer, ir.Constant(_I32, 4), mask, ir.Constant(_FLOATS, None)])

    def store(self, value: Any, pointer: Any, mask: Any) -> None:
        """Write the floats under `mask`."""
        store = self.function("llvm.masked.store.v16f32.p0", ir.VoidType(), _FLOATS, _FLOATS.as_pointer(), _I32, _MASK)
        self.builder.call(store, [value, pointer, ir.Constant(_I32, 4), mask])

    def prefetch(self, address: Any, row_bytes: Any, vectors: int) -> None:
        """Fetch a tile of results to be written, while its products are summed: gradients lie in no near cache."""
        fetch = self.function("llvm.prefetch.p0", ir.VoidType(), _I32.as_pointer(), _I32, _I32, _I32)
        how = [ir.Constant(_I32, x) for x in (1, 3, 1)]  # to write, into all levels, as data
        for r in range(_ROWS):
            row = self.builder.add(address, self.builder.mul(_number(r), row_bytes))
            for v in range(vectors):
                self.builder.call(fetch, [self.at(row, 64 * v, _I32), *how])

    def rounded(self, floats: Any) -> Any:
        """Return each float's nearest bfloat16, ties to even, in the upper half of an int32; a NaN stays one."""
        b, constant = self.builder, _every_lane
        bits = b.bitcast(floats, _INTS)
        odd = b.and_(b.lshr(bits, constant(16)), constant(1))
        up = b.add(bits, b.add(odd, constant(0x7FFF)))
        return b.select(b.fcmp_unordered("uno", floats, floats), constant(0x7FC00000), up)

    def multiply_add(self, total: Any, left: Any, right: Any) -> Any:
        """Return total + the products of both halves of each lane's pairs."""
        b = self.builder
        if pairs_in_hardware():
            dot = self.function("llvm.x86.avx512bf16.dpbf16ps.512", _FLOATS, _FLOATS, _BFLOATS, _BFLOATS)
            return b.call(dot, [total, b.bitcast(left, _BFLOATS), b.bitcast(right, _BFLOATS)])
        fma = self.function("llvm.fmuladd.v16f32", _FLOATS, _FLOATS, _FLOATS, _FLOATS)
        for half, by in ((b.shl, _every_lane(16)), (b.and_, _every_lane(0xFFFF0000))):
            total = b.call(fma, [b.bitcast(half(left, by), _FLOATS), b.bitcast(half(right, by), _FLOATS), total])
        return total


def _tile(vectors: int) -> Any:
    """Return c (+)= a b for up to 6 rows and up to 16 × `vectors` columns, all pairs summed, as an intrinsic."""

    def tile(
        typing: Any, a: Any, a_row: Any, a_pair: Any, b: Any, b_pair: Any, pairs: Any, c: Any, c_row: Any, rows: Any,
        last: Any, add: Any,
    ) -> Any:  # fmt: skip
        """Addresses, and strides in bytes; `last` lanes of the last vector of columns are written."""

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            a, a_row, a_pair, b, b_pair, pairs, c, c_row, rows, last, add = arguments
            code, number = _Code(builder), _number
            # Rows beyond the last repeat it, and are not written.
            starts = [a]
            for r in range(1, _ROWS):
                there = builder.icmp_signed("<", number(r), rows)
                row = builder.select(there, number(r), builder.sub(rows, number(1)))
                starts.append(builder.add(a, builder.mul(row, a_row)))
            code.prefetch(c, c_row, vectors)
            before, loop, done, end = builder.block, *(builder.append_basic_block(n) for n in ("loop", "done", "end"))
            builder.branch(loop)
            builder.position_at_end(loop)
            k = builder.phi(_I64)
            k.add_incoming(number(0), before)
            totals = [[builder.phi(_FLOATS) for _ in range(vectors)] for _ in range(_ROWS)]
            right_at, left_at = builder.add(b, builder.mul(k, b_pair)), builder.mul(k, a_pair)
            rights = [builder.load(code.at(right_at, 64 * v, _INTS), align=4) for v in range(vectors)]
            sums = []
            for row, start in zip(totals, starts, strict=True):
                left = code.splat(builder.load(code.at(start, left_at, _I32), align=4), _INTS)
                sums.append([code.multiply_add(t, left, right) for t, right in zip(row, rights, strict=True)])
            following = builder.add(k, number(1))
            k.add_incoming(following, loop)
            for row, new in zip(totals, sums, strict=True):
                for total, value in zip(row, new, strict=True):
                    total.add_incoming(ir.Constant(_FLOATS, None), before)
                    total.add_incoming(value, loop)
            builder.cbranch(builder.icmp_signed("<", following, pairs), loop, done)
            builder.position_at_end(done)
            every, tail = ir.Constant(_MASK, [1] * _LANES), code.first(last)
            adds = builder.icmp_signed("!=", add, number(0))
            for r, new in enumerate(sums):
                if r:
                    here = builder.append_basic_block(f"row{r}")
                    builder.cbranch(builder.icmp_signed("<", number(r), rows), here, end)
                    builder.position_at_end(here)
                row_at = builder.add(c, builder.mul(number(r), c_row))
                for v, value in enumerate(new):
                    mask, pointer = (tail if v == vectors - 1 else every), code.at(row_at, 64 * v, _FLOATS)
                    old = code.load(pointer, builder.select(adds, mask, ir.Constant(_MASK, None)))
                    code.store(builder.fadd(value, old), pointer, mask)
            builder.branch(end)
            builder.position_at_end(end)
            return context.get_dummy_value()

        address, number = types.uintp, types.int64
        return types.void(
            address, number, number, address, number, number, address, number, number, number, number
        ), generate

    tile.__name__ = f"tile{vectors}"
    return intrinsic(tile)


_tile1, _tile2, _tile3, _tile4 = (_tile(vectors) for vectors in (1, 2, 3, 4))


def _round_row_code(typing: Any, source: Any, target: Any, lanes: Any) -> Any:
    """Write the first `lanes` of 16 floats as bfloat16, one beside the other."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, target, lanes = arguments
        code = _Code(builder)
        mask = code.first(lanes)
        upper = builder.lshr(code.rounded(code.load(code.at(source, 0, _FLOATS), mask)), _every_lane(16))
        store = code.function("llvm.masked.store.v16i16.p0", ir.VoidType(), _SHORTS, _SHORTS.as_pointer(), _I32, _MASK)
        short = builder.trunc(upper, _SHORTS)
        builder.call(store, [short, code.at(target, 0, _SHORTS), ir.Constant(_I32, 2), mask])
        return context.get_dummy_value()

    return types.void(types.uintp, types.uintp, types.int64), generate


def _round_pair_code(typing: Any, low: Any, high: Any, target: Any, low_lanes: Any, high_lanes: Any) -> Any:
    """Write 16 pairs of one row's floats and another's; lanes beyond those given count 0."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        low, high, target, low_lanes, high_lanes = arguments
        code = _Code(builder)
        lows, highs = (
            code.rounded(code.load(code.at(at, 0, _FLOATS), code.first(lanes)))
            for at, lanes in ((low, low_lanes), (high, high_lanes))
        )
        lows = builder.lshr(lows, _every_lane(16))
        pairs = builder.or_(lows, builder.and_(highs, _every_lane(0xFFFF0000)))
        builder.store(pairs, code.at(target, 0, _INTS), align=4)
        return context.get_dummy_value()

    return types.void(types.uintp, types.uintp, types.uintp, types.int64, types.int64), generate


_round_row: Any = intrinsic(_round_row_code)
_round_pair: Any = intrinsic(_round_pair_code)


def _kernel(function: Function) -> Function:
    return cast(Function, njit(**OPTIONS)(function))


def pairs_of(numbers: int) -> int:
    """Return how many pairs hold so many numbers."""
    return (numbers + 1) // 2


def panel_size(summed: int, columns: int) -> int:
    """Return how many pairs the panels of a (summed, columns) matrix are."""
    return pairs_of(summed) * (-(-columns // _LANES) * _LANES)


@_kernel
def pack_rows(x_MK: Floats, rows: Pairs) -> None:
    """Write the pairs of neighbours in each row: (M, K / 2)."""
    width = x_MK.shape[1]
    for i in range(x_MK.shape[0]):
        source, target = x_MK.ctypes.data + i * x_MK.strides[0], rows.ctypes.data + i * rows.strides[0]
        if width % 2:
            rows[i, width // 2] = 0
        for j in range(0, width, _LANES):
            _round_row(source + 4 * j, target + 2 * j, width - j)


@_kernel
def pack_panels(x_KN: Floats, panels: Pairs, pairs: int, first: int, columns: int) -> None:
    """Write the pairs of neighbours in each column, as rows `first` … of panels of `pairs` rows and `columns` columns.

    Columns that `x` lacks are 0, up to the end of its last panel.
    """
    summed, width = x_KN.shape
    for start in range(0, width, PANEL):
        wide = min(PANEL, (columns - start + _LANES - 1) // _LANES * _LANES)
        for k in range((summed + 1) // 2):
            low = x_KN.ctypes.data + 2 * k * x_KN.strides[0] + 4 * start
            # The partner of an odd last row counts 0, and is not read.
            both = 2 * k + 1 < summed
            target = panels.ctypes.data + 4 * (start * pairs + (first + k) * wide)
            for j in range(0, wide, _LANES):
                lanes = width - start - j
                _round_pair(
                    low + 4 * j, low + 4 * j + (x_KN.strides[0] if both else 0), target + 4 * j, lanes,
                    lanes if both else 0,
                )  # fmt: skip


@_kernel
def pack_transposed(x_NK: Floats, rows: Pairs, panels: Pairs) -> None:
    """Write the panels of the transpose of `x`; `rows` is scratch for its rows."""
    columns = x_NK.shape[0]
    pack_rows(x_NK, rows)
    pairs = rows.shape[1]
    for start in range(0, columns, PANEL):
        wide = min(PANEL, (columns - start + _LANES - 1) // _LANES * _LANES)
        panel = panels[start * pairs : (start + wide) * pairs].reshape(pairs, wide)
        for j in range(wide):
            if start + j < columns:
                for k in range(pairs):
                    panel[k, j] = rows[start + j, k]
            else:
                for k in range(pairs):
                    panel[k, j] = 0


@_kernel
def _multiply(
    a: int, a_row: int, a_pair: int, rows: int, panels: int, stride: int, first: int, columns: int, pairs: int,
    c_MN: Floats, add: int,
) -> None:  # fmt: skip
    """c (+)= a b: `a` and `panels` are addresses; of the `stride` rows of panels, `pairs` from `first` on are taken."""
    width = c_MN.shape[1]
    for start in range(0, width, PANEL):
        wide = min(PANEL, width - start)
        b_pair = 4 * min(PANEL, (columns - start + _LANES - 1) // _LANES * _LANES)
        b, vectors = panels + 4 * start * stride + first * b_pair, (wide + _LANES - 1) // _LANES
        last = wide - _LANES * (vectors - 1)
        for m in range(0, rows, _ROWS):
            some, left = min(_ROWS, rows - m), a + m * a_row
            c, c_row = c_MN.ctypes.data + m * c_MN.strides[0] + 4 * start, c_MN.strides[0]
            if vectors == 4:
                _tile4(left, a_row, a_pair, b, b_pair, pairs, c, c_row, some, last, add)
            elif vectors == 3:
                _tile3(left, a_row, a_pair, b, b_pair, pairs, c, c_row, some, last, add)
            elif vectors == 2:
                _tile2(left, a_row, a_pair, b, b_pair, pairs, c, c_row, some, last, add)
            else:
                _tile1(left, a_row, a_pair, b, b_pair, pairs, c, c_row, some, last, add)


@_kernel
def product(rows: Pairs, panels: Pairs, stride: int, first: int, columns: int, c_MN: Floats, add: int) -> None:
    """c (+)= a b, of `rows` of a and rows `first` … of panels of b, which have `stride` rows and `columns` columns.

    c may have fewer columns than b.
    """
    _multiply(
        rows.ctypes.data, rows.strides[0], 4, rows.shape[0], panels.ctypes.data, stride, first, columns, rows.shape[1],
        c_MN, add,
    )  # fmt: skip


@_kernel
def t_product(left: Pairs, right: Pairs, pairs: int, from_diagonal: bool, c_MN: Floats, add: int) -> None:
    """c (+)= aᵀ b, of panels of a and b, both of `pairs` rows.

    With `from_diagonal`, column j of a is taken to be 0 above row j of a square matrix: a lower triangle.
    """
    height, width = c_MN.shape
    for start in range(0, height, PANEL):
        wide = min(PANEL, (height - start + _LANES - 1) // _LANES * _LANES)
        skipped = start // 2 if from_diagonal else 0
        _multiply(
            left.ctypes.data + 4 * (start * pairs + skipped * wide), 4, 4 * wide, min(PANEL, height - start),
            right.ctypes.data, pairs, skipped, width, pairs - skipped, c_MN[start : start + PANEL], add,
        )  # fmt: skip
