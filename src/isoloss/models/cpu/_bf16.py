"""Matrix products of numbers rounded to bfloat16, summed in float32, inside compiled code on a CPU.

Where the processor multiplies pairs of bfloat16 (AVX512-BF16) a product takes half the time of one in float32;
elsewhere the pairs are taken apart and multiplied as float32, which gives the same sums but for their order.

Two neighbours along the summed axis share an int32, a *pair*. Operands are packed once and read often:
`rows` (M, K / 2), pairs of neighbours in a row, for the left side; `panels`, for the right side and for transposed left
sides: 64 columns at a time (the last panel as many as there are, padded to 16), each (K / 2, 64) in one piece.
"""

import itertools
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from isoloss.core.kernels import Whole
from isoloss.core.machine import multiplies_bfloat16
from isoloss.models.cpu._compiled import kernel
from isoloss.models.cpu._kernels import Floats

Pairs = NDArray[np.int32]
Place = tuple[Whole, Whole]

PANEL = 64  # columns of a panel
_LANES = 16
_ROWS = 6  # rows of a tile: with four vectors of columns it fills 24 of the 32 registers
_HEIGHTS = (2, 4, 6)  # of the tiles that there are, for the last rows
_LINE = 64  # bytes of a line of the cache
_AHEAD = 4  # tiles of a panel that fetch the next one
# Arguments as numbers of 64 bits: a plain 0 or True would have what it is given to compiled once more, for it alone.
FIRST = np.int64(0)  # the first row
SET, ADD = np.int64(0), np.int64(1)  # what becomes of the numbers that a product is written over
NOTHING = (np.int64(0), np.int64(0))  # is read soon


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

    def fetch(self, pointer: Any, *, written: bool) -> None:
        """Fetch a line into all levels of the cache if it is to be written, else into the second."""
        fetch = self.function("llvm.prefetch.p0", ir.VoidType(), _I32.as_pointer(), _I32, _I32, _I32)
        how = (1, 3, 1) if written else (0, 2, 1)  # to write?; how near; as data
        self.builder.call(fetch, [pointer, *(ir.Constant(_I32, x) for x in how)])

    def prefetch(self, address: Any, row_bytes: Any, rows: int, vectors: int) -> None:
        """Fetch a tile of results to be written, while its products are summed: gradients lie in no near cache."""
        for r in range(rows):
            row = self.builder.add(address, self.builder.mul(_number(r), row_bytes))
            for v in range(vectors):
                self.fetch(self.at(row, 64 * v, _I32), written=True)

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
        if multiplies_bfloat16():
            dot = self.function("llvm.x86.avx512bf16.dpbf16ps.512", _FLOATS, _FLOATS, _BFLOATS, _BFLOATS)
            return b.call(dot, [total, b.bitcast(left, _BFLOATS), b.bitcast(right, _BFLOATS)])
        fma = self.function("llvm.fmuladd.v16f32", _FLOATS, _FLOATS, _FLOATS, _FLOATS)
        for half, by in ((b.shl, _every_lane(16)), (b.and_, _every_lane(0xFFFF0000))):
            total = b.call(fma, [b.bitcast(half(left, by), _FLOATS), b.bitcast(half(right, by), _FLOATS), total])
        return total


class _Tile(NamedTuple):
    """Where a tile of results and its operands lie: addresses, and strides in bytes."""

    a: Any
    a_row: Any
    a_pair: Any
    b: Any
    b_pair: Any
    pairs: Any  # to be summed
    c: Any
    c_row: Any
    rows: Any
    last: Any  # lanes of the last vector of columns that are written
    add: Any  # to what `c` holds, if not 0
    ahead: Any  # what a later tile reads: a line is fetched from here for every pair
    ahead_step: Any

    def summed(self, code: "_Code", height: int, vectors: int) -> list[list[Any]]:
        """Return the sums of all products, for `height` rows and so many vectors of columns."""
        builder = code.builder
        # Rows beyond the last repeat it, and are not written.
        starts = [self.a]
        for r in range(1, height):
            there = builder.icmp_signed("<", _number(r), self.rows)
            row = builder.select(there, _number(r), builder.sub(self.rows, _number(1)))
            starts.append(builder.add(self.a, builder.mul(row, self.a_row)))
        before, loop, done = builder.block, builder.append_basic_block("loop"), builder.append_basic_block("done")
        builder.branch(loop)
        builder.position_at_end(loop)
        k = builder.phi(_I64)
        k.add_incoming(_number(0), before)
        totals = [[builder.phi(_FLOATS) for _ in range(vectors)] for _ in range(height)]
        code.fetch(code.at(builder.add(self.ahead, builder.mul(k, self.ahead_step)), 0, _I32), written=False)
        right_at, left_at = builder.add(self.b, builder.mul(k, self.b_pair)), builder.mul(k, self.a_pair)
        rights = [builder.load(code.at(right_at, 64 * v, _INTS), align=4) for v in range(vectors)]
        sums = []
        for row, start in zip(totals, starts, strict=True):
            left = code.splat(builder.load(code.at(start, left_at, _I32), align=4), _INTS)
            sums.append([code.multiply_add(t, left, right) for t, right in zip(row, rights, strict=True)])
        following = builder.add(k, _number(1))
        k.add_incoming(following, loop)
        for row, new in zip(totals, sums, strict=True):
            for total, value in zip(row, new, strict=True):
                total.add_incoming(ir.Constant(_FLOATS, None), before)
                total.add_incoming(value, loop)
        builder.cbranch(builder.icmp_signed("<", following, self.pairs), loop, done)
        builder.position_at_end(done)
        return sums

    def write(self, code: "_Code", sums: list[list[Any]], end: Any) -> None:
        """Write the rows that there are, and go to `end`."""
        builder = code.builder
        every, tail = ir.Constant(_MASK, [1] * _LANES), code.first(self.last)
        adds = builder.icmp_signed("!=", self.add, _number(0))
        for r, new in enumerate(sums):
            if r:
                here = builder.append_basic_block(f"row{r}")
                builder.cbranch(builder.icmp_signed("<", _number(r), self.rows), here, end)
                builder.position_at_end(here)
            row_at = builder.add(self.c, builder.mul(_number(r), self.c_row))
            for v, value in enumerate(new):
                mask, pointer = (tail if v == len(new) - 1 else every), code.at(row_at, 64 * v, _FLOATS)
                old = code.load(pointer, builder.select(adds, mask, ir.Constant(_MASK, None)))
                code.store(builder.fadd(value, old), pointer, mask)
        builder.branch(end)


def _tile_code(
    typing: Any, vectors: Any, a: Any, a_row: Any, a_pair: Any, b: Any, b_pair: Any, pairs: Any, c: Any, c_row: Any,
    rows: Any, last: Any, add: Any, ahead: Any, ahead_step: Any,
) -> Any:  # fmt: skip
    """Write c (+)= a b for up to 6 rows and 1 to 4 vectors of columns, all pairs summed. The others are a `_Tile`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vectors, *where = arguments
        code, tile = _Code(builder), _Tile(*where)
        # The fewest rows that there is code for: what is computed and not written is lost.
        height = builder.and_(builder.add(tile.rows, _number(1)), _number(-2))
        end = builder.append_basic_block("end")
        choice = builder.switch(builder.add(builder.mul(vectors, _number(8)), height), end)
        for high, wide in itertools.product(_HEIGHTS, range(1, PANEL // _LANES + 1)):
            block = builder.append_basic_block(f"tile{high}x{wide}")
            choice.add_case(_number(8 * wide + high), block)
            builder.position_at_end(block)
            code.prefetch(tile.c, tile.c_row, high, wide)
            tile.write(code, tile.summed(code, high, wide), end)
        builder.position_at_end(end)
        return context.get_dummy_value()

    address, number = types.uintp, types.int64
    return types.void(
        number, address, number, number, address, number, number, address, number, number, number, number, address,
        number,
    ), generate  # fmt: skip


def _round_row_code(typing: Any, source: Any, target: Any, lanes: Any) -> Any:
    """Write the first `lanes` of 16 floats as bfloat16, one next to the other."""

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


_tile: Any = intrinsic(_tile_code)
_round_row: Any = intrinsic(_round_row_code)
_round_pair: Any = intrinsic(_round_pair_code)


def pairs_of(numbers: int) -> int:
    """Return how many pairs hold so many numbers."""
    return (numbers + 1) // 2


def panel_size(summed: int, columns: int) -> int:
    """Return how many pairs the panels of a (summed, columns) matrix are."""
    return pairs_of(summed) * (-(-columns // _LANES) * _LANES)


@kernel
def pack_rows(x_MK: Floats, rows: Pairs) -> None:
    """Write the pairs of neighbours in each row: (M, K / 2)."""
    width = x_MK.shape[1]
    for i in range(x_MK.shape[0]):
        source, target = x_MK.ctypes.data + i * x_MK.strides[0], rows.ctypes.data + i * rows.strides[0]
        if width % 2:
            rows[i, width // 2] = 0
        for j in range(0, width, _LANES):
            _round_row(source + 4 * j, target + 2 * j, width - j)


@kernel
def pack_panels(x_KN: Floats, panels: Pairs, pairs: int, first: Whole, columns: int) -> None:
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


@kernel
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


@kernel
def _multiply(
    a: Whole, a_row: Whole, a_pair: Whole, rows: Whole, panels: Whole, stride: Whole, first: Whole,
    columns: Whole, pairs: Whole, c: Whole, c_row: Whole, width: Whole, add: Whole, soon: Whole,
    soon_bytes: Whole,
) -> Whole:  # fmt: skip
    """c (+)= a b: `a`, `panels` and `c` are addresses; of the panels' `stride` rows `pairs` from `first` on are taken.

    The next panel is fetched during the first tiles of one; during others, what lies at `soon`. Returns how many of its
    bytes were.
    """
    fetched = np.int64(0)
    for start in range(0, width, PANEL):
        wide = min(PANEL, width - start)
        b_pair = 4 * min(PANEL, (columns - start + _LANES - 1) // _LANES * _LANES)
        b, vectors = panels + 4 * start * stride + first * b_pair, (wide + _LANES - 1) // _LANES
        last = wide - _LANES * (vectors - 1)
        for m in range(0, rows, _ROWS):
            ahead, ahead_step = b, 0
            if m < _AHEAD * _ROWS and start + PANEL < width:
                ahead, ahead_step = b + 4 * PANEL * stride + m // _ROWS * _LINE * pairs, _LINE
            elif fetched < soon_bytes:
                ahead, ahead_step = soon + fetched, _LINE
                fetched += _LINE * pairs
            _tile(
                vectors, a + m * a_row, a_row, a_pair, b, b_pair, pairs, c + m * c_row + 4 * start, c_row,
                min(_ROWS, rows - m), last, add, ahead, ahead_step,
            )  # fmt: skip
    return fetched


@kernel
def place(array: Floats) -> Place:
    """Return address and size in bytes of what lies in one piece."""
    return np.int64(array.ctypes.data), np.int64(array.size * 4)


@kernel
def product(
    rows: Pairs, panels: Pairs, stride: int, first: Whole, columns: int, c_MN: Floats, add: Whole, soon: Place
) -> None:
    """c (+)= a b, of `rows` of a and rows `first` … of panels of b, which have `stride` rows and `columns` columns.

    c may have fewer columns than b. What is read `soon`, at that place, is fetched meanwhile.
    """
    _multiply(
        np.int64(rows.ctypes.data), np.int64(rows.strides[0]), np.int64(4), np.int64(rows.shape[0]),
        np.int64(panels.ctypes.data), np.int64(stride), np.int64(first), np.int64(columns), np.int64(rows.shape[1]),
        np.int64(c_MN.ctypes.data), np.int64(c_MN.strides[0]), np.int64(c_MN.shape[1]), np.int64(add), *soon,
    )  # fmt: skip


@kernel
def t_product(
    left: Pairs, right: Pairs, pairs: int, from_diagonal: np.bool_, c_MN: Floats, add: Whole, soon: Place
) -> None:
    """c (+)= aᵀ b, of panels of a and b, both of `pairs` rows.

    With `from_diagonal`, column j of a is taken to be 0 above row j of a square matrix: a lower triangle. What
    is read `soon`, at that place, is fetched meanwhile.
    """
    height, width = c_MN.shape
    soon_at, left_over = soon
    for start in range(0, height, PANEL):
        wide = min(PANEL, (height - start + _LANES - 1) // _LANES * _LANES)
        skipped = start // 2 if from_diagonal else 0
        fetched = _multiply(
            np.int64(left.ctypes.data + 4 * (start * pairs + skipped * wide)), np.int64(4), np.int64(4 * wide),
            np.int64(min(PANEL, height - start)), np.int64(right.ctypes.data), np.int64(pairs), np.int64(skipped),
            np.int64(width), np.int64(pairs - skipped), np.int64(c_MN.ctypes.data + start * c_MN.strides[0]),
            np.int64(c_MN.strides[0]), np.int64(width), np.int64(add), soon_at, left_over,
        )  # fmt: skip
        soon_at, left_over = soon_at + fetched, left_over - fetched
