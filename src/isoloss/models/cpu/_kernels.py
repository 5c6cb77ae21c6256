"""Compiled inner loops of the transformer on a CPU: a block forward and backward, with the matrix products inside.

All arrays are float32 and C-contiguous; one thread. A NaN that comes in goes out: the compiler may reorder sums but
may not assume that numbers are finite.

Legend: B windows, T positions, H heads, K dimensions of a head, C width, F hidden size of the FFN, V vocabulary,
N = B · T rows, R query rows of one block of attention, S keys it sees.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isoloss.models.cpu._blas import sgemm
from isoloss.models.cpu._compiled import inlined, kernel
from isoloss.models.parts import RMS_EPS

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

_zero, _one = np.float32(0), np.float32(1)
_half = np.float32(0.5)
_EPS = np.float32(RMS_EPS)
# Rows are padded to this many columns: the vectorised loops then leave no remainder.
_PAD = 32


# Query rows that share one product with the keys before them: smaller blocks waste less above the diagonal, larger
# ones multiply faster.
BLOCK_ROWS = 32


class Block(NamedTuple):
    """The weights of one block, or their gradients."""

    attention_norm_C: Floats
    qkv_3CC: Floats
    attention_out_CC: Floats
    ffn_norm_C: Floats
    gate_up_2FC: Floats
    down_CF: Floats


class Kept(NamedTuple):
    """What a block keeps of its forward pass for its backward pass. What is cheap to compute again is not kept."""

    x_NC: Floats
    first_scale_N: Floats
    qkv_N3C: Floats
    weights: Floats
    attended_NC: Floats
    middle_NC: Floats
    second_scale_N: Floats
    gate_up_N2F: Floats


class Scratch(NamedTuple):
    """What a block needs for a while."""

    normed_NC: Floats
    small_NC: Floats
    dqkv_N3C: Floats
    scores: Floats
    hidden_NF: Floats


@inlined
def _exp(x: Any) -> Any:
    """Return e^x to 1.3e-7 relative, exactly 0 below about -87.7.

    Cephes expf (Moshier 1989): it vectorises, the C library's does not.
    """
    x = min(max(x, np.float32(-88)), np.float32(88))
    n = np.floor(x * np.float32(1.44269504088896341) + _half)
    r = x - n * np.float32(0.693359375) + n * np.float32(2.12194440e-4)
    p = np.float32(1.9875691500e-4)
    p = p * r + np.float32(1.3981999507e-3)
    p = p * r + np.float32(8.3334519073e-3)
    p = p * r + np.float32(4.1665795894e-2)
    p = p * r + np.float32(1.6666665459e-1)
    p = p * r + np.float32(5.0000001201e-1)
    p = p * r * r + r + _one
    # 2^n by its bits; n = -127 gives bits 0, so that no denormal number, slow in every product, is ever made.
    return p * np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)


@inlined
def _ordered(bits: Any) -> Any:
    """Map a float's bits to an integer of the same order, and back: a maximum of integers vectorises."""
    return bits ^ ((bits >> np.int32(31)) & np.int32(0x7FFFFFFF))


@kernel
def highest(row: Floats) -> np.float32:
    """Return the highest number of a row."""
    bits = row.view(np.int32)
    top = np.int32(-(2**31))
    for j in range(row.size):
        top = max(top, _ordered(bits[j]))
    return np.int32(_ordered(top)).view(np.float32)


@kernel
def exponentials(row: Floats, shift: np.float32) -> np.float32:
    """Replace a row by e^(row - shift); return the sum."""
    total = np.float32(0)
    for j in range(row.size):
        e = _exp(row[j] - shift)
        row[j] = e
        total += e
    return total


@kernel
def scale_row(row: Floats, factor: np.float32) -> None:
    """Multiply a row by `factor`, in place."""
    for j in range(row.size):
        row[j] *= factor


@kernel
def fill(row: Floats, value: np.float32) -> None:
    """Set every number of a row to `value`."""
    for j in range(row.size):
        row[j] = value


@kernel
def copy_rows(source_NC: Floats, target_NC: Floats) -> None:
    """Write the rows of `source` into `target`."""
    for i in range(source_NC.shape[0]):
        source, target = source_NC[i], target_NC[i]
        for j in range(source.size):
            target[j] = source[j]


@kernel
def rms_norm(x_NC: Floats, gain_C: Floats, y_NC: Floats, scale_N: Floats) -> None:
    """Write y = gain · x / rms(x), and 1 / rms(x) for the backward pass."""
    rows, width = x_NC.shape
    for i in range(rows):
        x, y = x_NC[i], y_NC[i]
        squares = np.float32(0)
        for j in range(width):
            squares += x[j] * x[j]
        scale = _one / np.sqrt(squares / np.float32(width) + _EPS)
        scale_N[i] = scale
        for j in range(width):
            y[j] = x[j] * scale * gain_C[j]


@kernel
def rms_norm_backward(
    x_NC: Floats, gain_C: Floats, scale_N: Floats, dy_NC: Floats, dx_NC: Floats, dgain_C: Floats
) -> None:
    """Add the gradient that comes through the norm to `dx`, where the one that went past it is, and to `dgain`."""
    rows, width = x_NC.shape
    for i in range(rows):
        x, dy, dx, scale = x_NC[i], dy_NC[i], dx_NC[i], scale_N[i]
        along = np.float32(0)
        for j in range(width):
            along += dy[j] * gain_C[j] * x[j]
        along *= scale * scale * scale / np.float32(width)
        for j in range(width):
            dgain_C[j] += dy[j] * x[j] * scale
        for j in range(width):
            dx[j] += dy[j] * gain_C[j] * scale - x[j] * along


@kernel
def swiglu(gate_up_N2F: Floats, y_NF: Floats) -> None:
    """Write y = silu(gate) · up."""
    rows, hidden = y_NF.shape
    for i in range(rows):
        gate, up, y = gate_up_N2F[i, :hidden], gate_up_N2F[i, hidden:], y_NF[i]
        for j in range(hidden):
            y[j] = gate[j] * up[j] / (_one + _exp(-gate[j]))


@kernel
def swiglu_backward(gate_up_N2F: Floats, y_NF: Floats) -> None:
    """Replace gate and up by their gradients, and the gradient of silu(gate) · up, in `y`, by that product itself."""
    rows, hidden = y_NF.shape
    for i in range(rows):
        gate, up, y = gate_up_N2F[i, :hidden], gate_up_N2F[i, hidden:], y_NF[i]
        for j in range(hidden):
            dy, rise = y[j], up[j]
            sigmoid = _one / (_one + _exp(-gate[j]))
            silu = gate[j] * sigmoid
            gate[j] = dy * rise * (sigmoid + silu * (_one - sigmoid))
            up[j] = dy * silu
            y[j] = silu * rise


@kernel
def turn(x_N3C: Floats, cos_TK: Floats, sin_TK: Floats, heads: int, scale: np.float32, way: np.float32) -> None:
    """Turn queries and keys by their positions, forward (`way` 1) or backward (-1), in place.

    Queries are also multiplied by `scale`. Gradients turn backward, because the transpose of a rotation is its inverse.
    """
    positions, half = cos_TK.shape
    for i in range(x_N3C.shape[0]):
        cos, sin = cos_TK[i % positions], sin_TK[i % positions]
        for g in range(2 * heads):
            factor = scale if g < heads else _one
            x_K = x_N3C[i, 2 * g * half : 2 * (g + 1) * half]
            for j in range(half):
                first, second = x_K[j], x_K[j + half]
                x_K[j] = (first * cos[j] - second * (way * sin[j])) * factor
                x_K[j + half] = (second * cos[j] + first * (way * sin[j])) * factor


@kernel
def causal_softmax(scores_RS: Floats, first: int) -> None:
    """Replace scores by attention weights in place: row r is position `first` + r and sees no key after itself."""
    rows, keys = scores_RS.shape
    for r in range(rows):
        seen = first + r + 1
        padded = min(keys, (seen + _PAD - 1) // _PAD * _PAD)
        row = scores_RS[r, :padded]
        fill(row[seen:], np.float32(-np.inf))
        total = exponentials(row, highest(row))
        scale_row(row, _one / total)
        fill(scores_RS[r, padded:], np.float32(0))


@kernel
def causal_softmax_backward(weights_RS: Floats, dweights_RS: Floats, first: int) -> None:
    """Replace the gradient of the weights by that of the scores, in place."""
    rows, keys = weights_RS.shape
    for r in range(rows):
        padded = min(keys, (first + r + _PAD) // _PAD * _PAD)
        _softmax_backward(weights_RS[r, :padded], dweights_RS[r, :padded])
        fill(dweights_RS[r, padded:], np.float32(0))


@kernel
def _softmax_backward(weights: Floats, dweights: Floats) -> None:
    along = np.float32(0)
    for j in range(weights.size):
        along += weights[j] * dweights[j]
    for j in range(weights.size):
        dweights[j] = weights[j] * (dweights[j] - along)


@kernel
def cross_entropy(
    logits_NV: Floats, targets_N: Ints, z_loss: np.float32, nats_N: NDArray[np.float64], log_z_N: NDArray[np.float64]
) -> None:
    """Write -ln p(target) and ln Z of each row, and replace logits by the gradient of the first + z (ln Z)².

    Rows with a negative target count 0.
    """
    for i in range(logits_NV.shape[0]):
        row, target = logits_NV[i], targets_N[i]
        if target < 0:
            fill(row, np.float32(0))
            nats_N[i] = log_z_N[i] = 0.0
            continue
        wanted = row[target]
        shift = highest(row)
        total = exponentials(row, shift)
        log_total = np.log(np.float64(total))
        log_z_N[i] = log_total + np.float64(shift)
        nats_N[i] = log_total + (np.float64(shift) - np.float64(wanted))
        # d(ln Z)/dlogits = softmax.
        scale_row(row, (_one + np.float32(2) * z_loss * np.float32(log_z_N[i])) / total)
        row[target] -= _one


# Codes of "N" and "T", as BLAS takes them.
_AS_IT_IS, _TRANSPOSED = 78, 84


@kernel
def product(a_MK: Floats, b_KN: Floats, beta: np.float32, c_MN: Floats) -> None:
    """c = a b + beta c. A row-major matrix is the transpose of a column-major one: BLAS is asked for cᵀ = bᵀ aᵀ."""
    sgemm(
        _AS_IT_IS, _AS_IT_IS, b_KN.shape[1], a_MK.shape[0], a_MK.shape[1], _one, b_KN.ctypes.data, b_KN.strides[0] // 4,
        a_MK.ctypes.data, a_MK.strides[0] // 4, beta, c_MN.ctypes.data, c_MN.strides[0] // 4,
    )  # fmt: skip


@kernel
def product_t(a_MK: Floats, b_NK: Floats, beta: np.float32, c_MN: Floats) -> None:
    """c = a bᵀ + beta c."""
    sgemm(
        _TRANSPOSED, _AS_IT_IS, b_NK.shape[0], a_MK.shape[0], a_MK.shape[1], _one, b_NK.ctypes.data,
        b_NK.strides[0] // 4, a_MK.ctypes.data, a_MK.strides[0] // 4, beta, c_MN.ctypes.data, c_MN.strides[0] // 4,
    )  # fmt: skip


@kernel
def t_product(a_KM: Floats, b_KN: Floats, beta: np.float32, c_MN: Floats) -> None:
    """c = aᵀ b + beta c."""
    sgemm(
        _AS_IT_IS, _TRANSPOSED, b_KN.shape[1], a_KM.shape[1], a_KM.shape[0], _one, b_KN.ctypes.data,
        b_KN.strides[0] // 4, a_KM.ctypes.data, a_KM.strides[0] // 4, beta, c_MN.ctypes.data, c_MN.strides[0] // 4,
    )  # fmt: skip


@kernel
def attend(qkv_N3C: Floats, positions: int, heads: int, kept: Floats, attended_NC: Floats) -> None:
    """Write causal attention of turned queries and keys, by blocks of query rows that see the keys up to their end.

    The weights stay in `kept`, one block after another, for the backward pass: `kept_floats` says how many they are.
    """
    rows, width = attended_NC.shape
    dims, end = width // heads, 0
    for start in range(0, rows, positions):
        for h in range(heads):
            q_TK = qkv_N3C[start : start + positions, h * dims : (h + 1) * dims]
            k_TK = qkv_N3C[start : start + positions, width + h * dims : width + (h + 1) * dims]
            v_TK = qkv_N3C[start : start + positions, 2 * width + h * dims : 2 * width + (h + 1) * dims]
            out_TK = attended_NC[start : start + positions, h * dims : (h + 1) * dims]
            for first in range(0, positions, BLOCK_ROWS):
                last = min(positions, first + BLOCK_ROWS)
                begin, end = end, end + (last - first) * last
                weights_RS = kept[begin:end].reshape(last - first, last)
                product_t(q_TK[first:last], k_TK[:last], _zero, weights_RS)
                causal_softmax(weights_RS, first)
                product(weights_RS, v_TK[:last], _zero, out_TK[first:last])


@kernel
def attend_backward(
    dattended_NC: Floats, qkv_N3C: Floats, positions: int, heads: int, kept: Floats, scratch: Floats,
    dqkv_N3C: Floats,
) -> None:  # fmt: skip
    """Write the gradient of turned queries and keys, and of values. `scratch` holds one block of weights."""
    rows, width = dattended_NC.shape
    dims, end = width // heads, 0
    for start in range(0, rows, positions):
        here = slice(start, start + positions)
        for h in range(heads):
            q, k, v = h * dims, width + h * dims, 2 * width + h * dims
            q_TK, k_TK, v_TK = qkv_N3C[here, q : q + dims], qkv_N3C[here, k : k + dims], qkv_N3C[here, v : v + dims]
            dq_TK, dk_TK = dqkv_N3C[here, q : q + dims], dqkv_N3C[here, k : k + dims]
            dv_TK, dout_TK = dqkv_N3C[here, v : v + dims], dattended_NC[here, q : q + dims]
            for first in range(0, positions, BLOCK_ROWS):
                last = min(positions, first + BLOCK_ROWS)
                begin, end = end, end + (last - first) * last
                weights_RS = kept[begin:end].reshape(last - first, last)
                dscores_RS = scratch[: (last - first) * last].reshape(last - first, last)
                # The keys of this block's own rows are seen for the first time: their gradients start here.
                for t in range(first, last):
                    fill(dk_TK[t], _zero)
                    fill(dv_TK[t], _zero)
                t_product(weights_RS, dout_TK[first:last], _one, dv_TK[:last])
                product_t(dout_TK[first:last], v_TK[:last], _zero, dscores_RS)
                causal_softmax_backward(weights_RS, dscores_RS, first)
                product(dscores_RS, k_TK[:last], _zero, dq_TK[first:last])
                t_product(dscores_RS, q_TK[first:last], _one, dk_TK[:last])


def kept_floats(positions: int) -> int:
    """Return how many attention weights `attend` keeps for one head of one window."""
    blocks = ((first, min(positions, first + BLOCK_ROWS)) for first in range(0, positions, BLOCK_ROWS))
    return sum((last - first) * last for first, last in blocks)


@kernel
def block_forward(
    kept: Kept, w: Block, cos_TK: Floats, sin_TK: Floats, heads: int, scratch: Scratch, y_NC: Floats
) -> None:
    """Write the stream after a block, `y`, from that before it, `kept.x_NC`, and what the backward pass needs."""
    rms_norm(kept.x_NC, w.attention_norm_C, scratch.normed_NC, kept.first_scale_N)
    product_t(scratch.normed_NC, w.qkv_3CC, _zero, kept.qkv_N3C)
    turn(kept.qkv_N3C, cos_TK, sin_TK, heads, shrink(cos_TK), _one)
    attend(kept.qkv_N3C, cos_TK.shape[0], heads, kept.weights, kept.attended_NC)
    copy_rows(kept.x_NC, kept.middle_NC)
    product_t(kept.attended_NC, w.attention_out_CC, _one, kept.middle_NC)
    rms_norm(kept.middle_NC, w.ffn_norm_C, scratch.normed_NC, kept.second_scale_N)
    product_t(scratch.normed_NC, w.gate_up_2FC, _zero, kept.gate_up_N2F)
    swiglu(kept.gate_up_N2F, scratch.hidden_NF)
    copy_rows(kept.middle_NC, y_NC)
    product_t(scratch.hidden_NF, w.down_CF, _one, y_NC)


@kernel
def block_backward(
    dx_NC: Floats, w: Block, cos_TK: Floats, sin_TK: Floats, heads: int, kept: Kept, scratch: Scratch, dw: Block
) -> None:
    """Replace the gradient of the stream after a block by that before it, and add to the gradients of the weights.

    What was kept is overwritten.
    """
    product(dx_NC, w.down_CF, _zero, scratch.hidden_NF)
    swiglu_backward(kept.gate_up_N2F, scratch.hidden_NF)
    t_product(dx_NC, scratch.hidden_NF, _one, dw.down_CF)
    rms_norm(kept.middle_NC, w.ffn_norm_C, scratch.normed_NC, kept.second_scale_N)
    t_product(kept.gate_up_N2F, scratch.normed_NC, _one, dw.gate_up_2FC)
    product(kept.gate_up_N2F, w.gate_up_2FC, _zero, scratch.small_NC)
    rms_norm_backward(kept.middle_NC, w.ffn_norm_C, kept.second_scale_N, scratch.small_NC, dx_NC, dw.ffn_norm_C)
    t_product(dx_NC, kept.attended_NC, _one, dw.attention_out_CC)
    product(dx_NC, w.attention_out_CC, _zero, scratch.small_NC)
    attend_backward(
        scratch.small_NC, kept.qkv_N3C, cos_TK.shape[0], heads, kept.weights, scratch.scores, scratch.dqkv_N3C
    )
    turn(scratch.dqkv_N3C, cos_TK, sin_TK, heads, shrink(cos_TK), -_one)
    rms_norm(kept.x_NC, w.attention_norm_C, scratch.normed_NC, kept.first_scale_N)
    t_product(scratch.dqkv_N3C, scratch.normed_NC, _one, dw.qkv_3CC)
    product(scratch.dqkv_N3C, w.qkv_3CC, _zero, scratch.small_NC)
    rms_norm_backward(kept.x_NC, w.attention_norm_C, kept.first_scale_N, scratch.small_NC, dx_NC, dw.attention_norm_C)


@inlined
def shrink(cos_TK: Any) -> Any:
    """Return the factor of attention's scores, one over the square root of a head's dimensions."""
    return _one / np.sqrt(np.float32(2 * cos_TK.shape[1]))


@kernel
def embed(tokens_N: Ints, embedding_VC: Floats, x_NC: Floats) -> None:
    """Write each token's row of the embedding."""
    for i in range(tokens_N.size):
        row, x = embedding_VC[tokens_N[i]], x_NC[i]
        for j in range(x.size):
            x[j] = row[j]


@kernel
def embed_backward(tokens_N: Ints, dx_NC: Floats, dembedding_VC: Floats) -> None:
    """Add each row's gradient to that of its token."""
    for i in range(tokens_N.size):
        drow, dx = dembedding_VC[tokens_N[i]], dx_NC[i]
        for j in range(dx.size):
            drow[j] += dx[j]


@kernel
def head_forward(
    x_NC: Floats, gain_C: Floats, head_VC: Floats, targets_N: Ints, hidden_NC: Floats, scale_N: Floats,
    logits_RV: Floats, z_loss: np.float32, nats_N: NDArray[np.float64], log_z_N: NDArray[np.float64],
) -> None:  # fmt: skip
    """Write the loss of every row, some rows at a time."""
    rms_norm(x_NC, gain_C, hidden_NC, scale_N)
    for first in range(0, x_NC.shape[0], logits_RV.shape[0]):
        last = min(x_NC.shape[0], first + logits_RV.shape[0])
        logits = logits_RV[: last - first]
        product_t(hidden_NC[first:last], head_VC, _zero, logits)
        cross_entropy(logits, targets_N[first:last], z_loss, nats_N[first:last], log_z_N[first:last])


@kernel
def head_backward(
    x_NC: Floats, gain_C: Floats, head_VC: Floats, targets_N: Ints, hidden_NC: Floats, scale_N: Floats,
    logits_RV: Floats, z_loss: np.float32, nats_N: NDArray[np.float64], log_z_N: NDArray[np.float64],
    dhidden_NC: Floats, dx_NC: Floats, dgain_C: Floats, dhead_VC: Floats,
) -> None:  # fmt: skip
    """Write the loss of every row and its gradient by the stream, and add to the gradients of the weights.

    Logits live some rows at a time, and their gradient is taken while they are there.
    """
    rms_norm(x_NC, gain_C, hidden_NC, scale_N)
    for first in range(0, x_NC.shape[0], logits_RV.shape[0]):
        last = min(x_NC.shape[0], first + logits_RV.shape[0])
        logits = logits_RV[: last - first]
        product_t(hidden_NC[first:last], head_VC, _zero, logits)
        cross_entropy(logits, targets_N[first:last], z_loss, nats_N[first:last], log_z_N[first:last])
        product(logits, head_VC, _zero, dhidden_NC[first:last])
        t_product(logits, hidden_NC[first:last], _one, dhead_VC)
    for i in range(x_NC.shape[0]):
        fill(dx_NC[i], _zero)
    rms_norm_backward(x_NC, gain_C, scale_N, dhidden_NC, dx_NC, dgain_C)
