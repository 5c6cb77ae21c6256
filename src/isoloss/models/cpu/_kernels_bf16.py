"""The inner loops of `_kernels` with every matrix product in bfloat16: a block forward and backward, and the head.

Weights, the stream, norms, softmax and sums are float32; operands are rounded where a product takes them. A backward
product of attention goes over the whole triangle at once: sums of many terms, each result written once.

Legend: as in `_kernels`.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from isoloss.core.kernels import Whole
from isoloss.models.cpu._bf16 import (
    ADD,
    FIRST,
    NOTHING,
    SET,
    Pairs,
    Place,
    pack_panels,
    pack_rows,
    pack_transposed,
    place,
    product,
    t_product,
)
from isoloss.models.cpu._compiled import kernel
from isoloss.models.cpu._kernels import (
    BLOCK_ROWS,
    Block,
    Floats,
    Ints,
    Kept,
    Scratch,
    causal_softmax,
    causal_softmax_backward,
    copy_rows,
    exponentials,
    fill,
    highest,
    rms_norm,
    rms_norm_backward,
    scale_row,
    shrink,
    swiglu,
    swiglu_backward,
    turn,
)

_zero, _one = np.float32(0), np.float32(1)
_NO, _YES = np.bool_(False), np.bool_(True)
_WHOLE, _TRIANGLE = _NO, _YES  # what a product takes of a matrix

# Columns of logits at a time: with 256 rows, what a chunk of them needs stays in a second-level cache of 1 MiB.
CHUNK = 256
# Exponentials are taken relative to the highest logit of the first chunk. A later one may lie above it, but a sum
# beyond e^60 starts over from the highest of all: below it nothing overflows.
_FAR = np.float64(1e26)


class Operand(NamedTuple):
    """A weight matrix (M, N) packed for both ways: panels of its transpose, and of itself."""

    forward: Pairs
    backward: Pairs


class Packed(NamedTuple):
    """The matrices of a block."""

    qkv: Operand
    attention_out: Operand
    gate_up: Operand
    down: Operand


class Packs(NamedTuple):
    """Room for packed activations."""

    narrow_rows: Pairs  # (N, C / 2)
    wide_rows: Pairs  # (N, F) for gate and up, or their hidden product
    joint_rows: Pairs  # (N, 3 C / 2)
    left: Pairs
    right: Pairs
    head_rows: Pairs  # (T, K / 2), of one head
    weight_rows: Pairs  # (BLOCK_ROWS, T / 2)
    keys: Pairs
    values: Pairs
    queries: Pairs
    upstream: Pairs
    triangle: Pairs  # (T / 2, T) in panels: attention weights
    dtriangle: Pairs


@kernel
def pack_weight(weight_MN: Floats, scratch: Pairs, operand: Operand) -> None:
    """Pack a weight matrix for both ways; `scratch` holds its rows."""
    rows, columns = weight_MN.shape
    pairs = (columns + 1) // 2
    pack_transposed(weight_MN, scratch[: rows * pairs].reshape(rows, pairs), operand.forward)
    pack_panels(weight_MN, operand.backward, (rows + 1) // 2, FIRST, columns)


@kernel
def _forward(x_NM: Floats, operand: Operand, rows: Pairs, y_NK: Floats, add: Whole) -> None:
    """y (+)= x wᵀ."""
    pack_rows(x_NM, rows)
    product(rows, operand.forward, rows.shape[1], FIRST, y_NK.shape[1], y_NK, add, NOTHING)


@kernel
def _backward(dy_NK: Floats, operand: Operand, rows: Pairs, dx_NM: Floats, soon: Place) -> None:
    """dx = dy w. What is read `soon` is fetched meanwhile."""
    pack_rows(dy_NK, rows)
    product(rows, operand.backward, rows.shape[1], FIRST, dx_NM.shape[1], dx_NM, SET, soon)


@kernel
def _weight_gradient(dy_NK: Floats, x_NM: Floats, packs: Packs, dw_KM: Floats, soon: Place) -> None:
    """dw += dyᵀ x. What is read `soon` is fetched meanwhile."""
    pairs = (dy_NK.shape[0] + 1) // 2
    pack_panels(dy_NK, packs.left, pairs, FIRST, dy_NK.shape[1])
    pack_panels(x_NM, packs.right, pairs, FIRST, x_NM.shape[1])
    t_product(packs.left, packs.right, pairs, _WHOLE, dw_KM, ADD, soon)


@kernel
def attend(qkv_N3C: Floats, positions: int, heads: int, kept: Floats, packs: Packs, attended_NC: Floats) -> None:
    """As `_kernels.attend`."""
    rows, width = attended_NC.shape
    dims, end, pairs = width // heads, 0, (positions + 1) // 2
    for start in range(0, rows, positions):
        for h in range(heads):
            here = slice(start, start + positions)
            q_TK, out_TK = qkv_N3C[here, h * dims : (h + 1) * dims], attended_NC[here, h * dims : (h + 1) * dims]
            pack_transposed(qkv_N3C[here, width + h * dims : width + (h + 1) * dims], packs.head_rows, packs.keys)
            pack_panels(
                qkv_N3C[here, 2 * width + h * dims : 2 * width + (h + 1) * dims], packs.values, pairs, FIRST, dims
            )
            pack_rows(q_TK, packs.head_rows)
            for first in range(0, positions, BLOCK_ROWS):
                last = min(positions, first + BLOCK_ROWS)
                begin, end = end, end + (last - first) * last
                weights_RS = kept[begin:end].reshape(last - first, last)
                product(packs.head_rows[first:last], packs.keys, dims // 2, FIRST, positions, weights_RS, SET, NOTHING)
                causal_softmax(weights_RS, first)
                rows_RS = packs.weight_rows[: last - first, : (last + 1) // 2]
                pack_rows(weights_RS, rows_RS)
                product(rows_RS, packs.values, pairs, FIRST, dims, out_TK[first:last], SET, NOTHING)


@kernel
def attend_backward(
    dattended_NC: Floats, qkv_N3C: Floats, positions: int, heads: int, kept: Floats, scratch: Floats, packs: Packs,
    dqkv_N3C: Floats,
) -> None:  # fmt: skip
    """As `_kernels.attend_backward`."""
    rows, width = dattended_NC.shape
    dims, end, pairs = width // heads, 0, (positions + 1) // 2
    for start in range(0, rows, positions):
        here = slice(start, start + positions)
        for h in range(heads):
            q, k, v = h * dims, width + h * dims, 2 * width + h * dims
            dout_TK = dattended_NC[here, q : q + dims]
            pack_panels(qkv_N3C[here, q : q + dims], packs.queries, pairs, FIRST, dims)
            pack_panels(qkv_N3C[here, k : k + dims], packs.keys, pairs, FIRST, dims)
            pack_transposed(qkv_N3C[here, v : v + dims], packs.head_rows, packs.values)
            pack_panels(dout_TK, packs.upstream, pairs, FIRST, dims)
            pack_rows(dout_TK, packs.head_rows)
            for first in range(0, positions, BLOCK_ROWS):
                last = min(positions, first + BLOCK_ROWS)
                begin, end = end, end + (last - first) * last
                weights_RS = kept[begin:end].reshape(last - first, last)
                dscores_RS = scratch[: (last - first) * last].reshape(last - first, last)
                following = kept[end : end + BLOCK_ROWS * min(positions, last + BLOCK_ROWS)]
                pack_panels(weights_RS, packs.triangle, pairs, first // 2, positions)
                product(
                    packs.head_rows[first:last], packs.values, dims // 2, FIRST, positions, dscores_RS, SET,
                    place(following),
                )  # fmt: skip
                causal_softmax_backward(weights_RS, dscores_RS, first)
                pack_panels(dscores_RS, packs.dtriangle, pairs, first // 2, positions)
                rows_RS = packs.weight_rows[: last - first, : (last + 1) // 2]
                pack_rows(dscores_RS, rows_RS)
                dq = dqkv_N3C[start + first : start + last, q : q + dims]
                product(rows_RS, packs.keys, pairs, FIRST, dims, dq, SET, NOTHING)
            t_product(packs.triangle, packs.upstream, pairs, _TRIANGLE, dqkv_N3C[here, v : v + dims], SET, NOTHING)
            t_product(packs.dtriangle, packs.queries, pairs, _TRIANGLE, dqkv_N3C[here, k : k + dims], SET, NOTHING)


@kernel
def block_forward(
    kept: Kept, w: Block, packed: Packed, cos_TK: Floats, sin_TK: Floats, heads: int, scratch: Scratch, packs: Packs,
    y_NC: Floats,
) -> None:  # fmt: skip
    """As `_kernels.block_forward`."""
    hidden_rows = packs.wide_rows[:, : (scratch.hidden_NF.shape[1] + 1) // 2]
    rms_norm(kept.x_NC, w.attention_norm_C, scratch.normed_NC, kept.first_scale_N)
    _forward(scratch.normed_NC, packed.qkv, packs.narrow_rows, kept.qkv_N3C, SET)
    turn(kept.qkv_N3C, cos_TK, sin_TK, heads, shrink(cos_TK), _one)
    attend(kept.qkv_N3C, cos_TK.shape[0], heads, kept.weights, packs, kept.attended_NC)
    copy_rows(kept.x_NC, kept.middle_NC)
    _forward(kept.attended_NC, packed.attention_out, packs.narrow_rows, kept.middle_NC, ADD)
    rms_norm(kept.middle_NC, w.ffn_norm_C, scratch.normed_NC, kept.second_scale_N)
    _forward(scratch.normed_NC, packed.gate_up, packs.narrow_rows, kept.gate_up_N2F, SET)
    swiglu(kept.gate_up_N2F, scratch.hidden_NF)
    copy_rows(kept.middle_NC, y_NC)
    _forward(scratch.hidden_NF, packed.down, hidden_rows, y_NC, ADD)


@kernel
def block_backward(
    dx_NC: Floats, w: Block, packed: Packed, cos_TK: Floats, sin_TK: Floats, heads: int, kept: Kept, scratch: Scratch,
    packs: Packs, dw: Block,
) -> None:  # fmt: skip
    """As `_kernels.block_backward`."""
    gate_up_rows = packs.wide_rows[:, : kept.gate_up_N2F.shape[1] // 2]
    _backward(dx_NC, packed.down, packs.narrow_rows, scratch.hidden_NF, place(kept.gate_up_N2F))
    swiglu_backward(kept.gate_up_N2F, scratch.hidden_NF)
    _weight_gradient(dx_NC, scratch.hidden_NF, packs, dw.down_CF, place(kept.middle_NC))
    rms_norm(kept.middle_NC, w.ffn_norm_C, scratch.normed_NC, kept.second_scale_N)
    _weight_gradient(kept.gate_up_N2F, scratch.normed_NC, packs, dw.gate_up_2FC, NOTHING)
    _backward(kept.gate_up_N2F, packed.gate_up, gate_up_rows, scratch.small_NC, place(kept.attended_NC))
    rms_norm_backward(kept.middle_NC, w.ffn_norm_C, kept.second_scale_N, scratch.small_NC, dx_NC, dw.ffn_norm_C)
    _weight_gradient(dx_NC, kept.attended_NC, packs, dw.attention_out_CC, place(kept.weights[: BLOCK_ROWS**2]))
    _backward(dx_NC, packed.attention_out, packs.narrow_rows, scratch.small_NC, place(kept.qkv_N3C))
    attend_backward(
        scratch.small_NC, kept.qkv_N3C, cos_TK.shape[0], heads, kept.weights, scratch.scores, packs, scratch.dqkv_N3C
    )
    turn(scratch.dqkv_N3C, cos_TK, sin_TK, heads, shrink(cos_TK), -_one)
    rms_norm(kept.x_NC, w.attention_norm_C, scratch.normed_NC, kept.first_scale_N)
    _weight_gradient(scratch.dqkv_N3C, scratch.normed_NC, packs, dw.qkv_3CC, NOTHING)
    _backward(scratch.dqkv_N3C, packed.qkv, packs.joint_rows, scratch.small_NC, NOTHING)
    rms_norm_backward(kept.x_NC, w.attention_norm_C, kept.first_scale_N, scratch.small_NC, dx_NC, dw.attention_norm_C)


class Head(NamedTuple):
    """Room for the head: a chunk of logits, and what is kept of all of them."""

    chunk: Floats  # CHUNK columns
    chunk_rows: Pairs
    probabilities: Pairs  # all of them in panels, before they are divided by their sums
    highest_N: Floats
    total_N: NDArray[np.float64]
    wanted_N: Floats


@kernel
def _write_logits(packed: Operand, rows: Pairs, start: int, vocab: int, logits_NV: Floats) -> None:
    """Write logits of the columns from `start` on."""
    pairs = rows.shape[1]
    product(rows, packed.forward[start * pairs :], pairs, FIRST, vocab - start, logits_NV, SET, NOTHING)


@kernel
def _find_highest(packed: Operand, rows: Pairs, vocab: int, room: Head) -> None:
    """Write the highest logit of every row."""
    fill(room.highest_N, np.float32(-np.inf))
    for start in range(0, vocab, CHUNK):
        width = min(CHUNK, vocab - start)
        logits = room.chunk[: rows.shape[0] * width].reshape(rows.shape[0], width)
        _write_logits(packed, rows, start, vocab, logits)
        for i in range(logits.shape[0]):
            room.highest_N[i] = max(room.highest_N[i], highest(logits[i]))


@kernel
def _pass_over_logits(
    packed: Operand,
    rows: Pairs,
    targets_N: Ints,
    vocab: int,
    room: Head,
    relative: np.bool_,
    dhidden_NC: Floats,
    backward: np.bool_,
) -> bool:
    """Write every row's sum of exponentials and target's logit, and with `backward` what the gradient needs of them.

    `relative` says that `highest_N` is known. Returns whether every sum can be used.
    """
    count = targets_N.size
    for start in range(0, vocab, CHUNK):
        width = min(CHUNK, vocab - start)
        logits = room.chunk[: count * width].reshape(count, width)
        _write_logits(packed, rows, start, vocab, logits)
        for i in range(count):
            row = logits[i]
            if start == 0:
                room.total_N[i] = 0.0
                if not relative:
                    room.highest_N[i] = highest(row)
            if start <= targets_N[i] < start + row.size:
                room.wanted_N[i] = row[targets_N[i] - start]
            room.total_N[i] += exponentials(row, room.highest_N[i])
        if backward:
            chunk_rows = room.chunk_rows[:, : (width + 1) // 2]
            pack_rows(logits, chunk_rows)
            product(
                chunk_rows,
                packed.backward,
                (vocab + 1) // 2,
                start // 2,
                dhidden_NC.shape[1],
                dhidden_NC,
                start,
                NOTHING,
            )
            pairs = (count + 1) // 2
            pack_panels(logits, room.probabilities[start * pairs :], pairs, FIRST, vocab - start)
    usable = True
    for i in range(count):
        usable &= room.total_N[i] < _FAR
    return usable


@kernel
def _losses(
    packed: Operand, rows: Pairs, targets_N: Ints, vocab: int, room: Head, nats_N: NDArray[np.float64],
    log_z_N: NDArray[np.float64], dhidden_NC: Floats, backward: np.bool_,
) -> None:  # fmt: skip
    if not _pass_over_logits(packed, rows, targets_N, vocab, room, _NO, dhidden_NC, backward):
        _find_highest(packed, rows, vocab, room)
        _pass_over_logits(packed, rows, targets_N, vocab, room, _YES, dhidden_NC, backward)
    for i in range(targets_N.size):
        nats_N[i] = log_z_N[i] = 0.0
        if targets_N[i] >= 0:
            log_total, shift = np.log(room.total_N[i]), np.float64(room.highest_N[i])
            log_z_N[i] = log_total + shift
            nats_N[i] = log_total + (shift - np.float64(room.wanted_N[i]))


@kernel
def head_forward(
    x_NC: Floats, gain_C: Floats, vocab: int, packed: Operand, targets_N: Ints, hidden_NC: Floats, scale_N: Floats,
    room: Head, packs: Packs, nats_N: NDArray[np.float64], log_z_N: NDArray[np.float64],
) -> None:  # fmt: skip
    """As `_kernels.head_forward`."""
    rms_norm(x_NC, gain_C, hidden_NC, scale_N)
    pack_rows(hidden_NC, packs.narrow_rows)
    _losses(packed, packs.narrow_rows, targets_N, vocab, room, nats_N, log_z_N, hidden_NC, _NO)


@kernel
def head_backward(
    x_NC: Floats, gain_C: Floats, head_VC: Floats, packed: Operand, targets_N: Ints, hidden_NC: Floats,
    scale_N: Floats, room: Head, packs: Packs, z_loss: np.float32, nats_N: NDArray[np.float64],
    log_z_N: NDArray[np.float64], dhidden_NC: Floats, dx_NC: Floats, dgain_C: Floats, dhead_VC: Floats,
) -> None:  # fmt: skip
    """As `_kernels.head_backward`.

    The gradient of a row's logits is its exponentials over their sum, less 1 at the target. The sum is known only at
    the end, so it divides what the exponentials were multiplied into; targets are added in float32.
    """
    count, vocab = targets_N.size, head_VC.shape[0]
    rms_norm(x_NC, gain_C, hidden_NC, scale_N)
    pack_rows(hidden_NC, packs.narrow_rows)
    _losses(packed, packs.narrow_rows, targets_N, vocab, room, nats_N, log_z_N, dhidden_NC, _YES)
    for i in range(count):
        target, dhidden, hidden = targets_N[i], dhidden_NC[i], hidden_NC[i]
        if target < 0:
            fill(dhidden, _zero)
            fill(hidden, _zero)
            continue
        share = np.float32((1.0 + 2.0 * np.float64(z_loss) * log_z_N[i]) / room.total_N[i])
        head, dhead = head_VC[target], dhead_VC[target]
        for j in range(dhidden.size):
            dhidden[j] = dhidden[j] * share - head[j]
            dhead[j] -= hidden[j]
        scale_row(hidden, share)
    pairs = (count + 1) // 2
    pack_panels(hidden_NC, packs.right, pairs, FIRST, hidden_NC.shape[1])
    t_product(room.probabilities, packs.right, pairs, _WHOLE, dhead_VC, ADD, NOTHING)
    for i in range(count):
        fill(dx_NC[i], _zero)
    rms_norm_backward(x_NC, gain_C, scale_N, dhidden_NC, dx_NC, dgain_C)
