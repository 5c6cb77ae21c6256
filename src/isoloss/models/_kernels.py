"""Compiled inner loops of the transformer on a CPU: what lies between the matrix products, in one pass over memory.

All arrays are float32 and C-contiguous; one thread. A NaN that comes in goes out: the compiler may reorder sums but
may not assume that numbers are finite.

Legend: B windows, T positions, H heads, K dimensions of a head, C width, F hidden size of the FFN, V vocabulary,
N = B · T rows, R query rows of one block of attention, S keys it sees, G = B · H.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Function = TypeVar("Function", bound=Callable[..., Any])

_OPTIONS: dict[str, Any] = {
    "cache": True,
    "nogil": True,
    "error_model": "numpy",
    # Reordered sums and fused multiply-adds let the loops vectorise; `nnan` and `ninf` stay out, for diverging runs.
    "fastmath": {"reassoc", "contract", "arcp", "nsz"},
    # No reference counts: the callers hold every array, nothing is allocated, and rows cost nothing to slice.
    "_nrt": False,
}

_one = np.float32(1)
_half = np.float32(0.5)
# Rows are padded to this many columns: the vectorised loops then leave no remainder.
_PAD = 32


def _kernel(function: Function) -> Function:
    return cast(Function, njit(**_OPTIONS)(function))


def _inlined(function: Function) -> Function:
    return cast(Function, njit(inline="always", **_OPTIONS)(function))


@_inlined
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


@_inlined
def _ordered(bits: Any) -> Any:
    """Map a float's bits to an integer of the same order, and back: a maximum of integers vectorises."""
    return bits ^ ((bits >> np.int32(31)) & np.int32(0x7FFFFFFF))


@_kernel
def _exponentiate(row: Floats) -> tuple[np.float32, np.float32]:
    """Replace a row by e^(row - max); return the max and the sum."""
    bits = row.view(np.int32)
    top = np.int32(-(2**31))
    for j in range(row.size):
        top = max(top, _ordered(bits[j]))
    highest = np.int32(_ordered(top)).view(np.float32)
    total = np.float32(0)
    for j in range(row.size):
        e = _exp(row[j] - highest)
        row[j] = e
        total += e
    return highest, total


@_kernel
def _scale(row: Floats, factor: np.float32) -> None:
    for j in range(row.size):
        row[j] *= factor


@_kernel
def _fill(row: Floats, value: np.float32) -> None:
    for j in range(row.size):
        row[j] = value


@_kernel
def _copy(source: Floats, target: Floats) -> None:
    for j in range(source.size):
        target[j] = source[j]


@_kernel
def rms_norm(x_NC: Floats, gain_C: Floats, eps: np.float32, y_NC: Floats, scale_N: Floats) -> None:
    """Write y = gain · x / rms(x), and 1 / rms(x) for the way back."""
    rows, width = x_NC.shape
    for i in range(rows):
        x, y = x_NC[i], y_NC[i]
        squares = np.float32(0)
        for j in range(width):
            squares += x[j] * x[j]
        scale = _one / np.sqrt(squares / np.float32(width) + eps)
        scale_N[i] = scale
        for j in range(width):
            y[j] = x[j] * scale * gain_C[j]


@_kernel
def rms_norm_backward(
    x_NC: Floats, gain_C: Floats, scale_N: Floats, dy_NC: Floats, dpast_NC: Floats, dx_NC: Floats, dgain_C: Floats
) -> None:
    """Write dx, with the gradient that went past the norm added, and add to dgain."""
    rows, width = x_NC.shape
    for i in range(rows):
        x, dy, dpast, dx, scale = x_NC[i], dy_NC[i], dpast_NC[i], dx_NC[i], scale_N[i]
        along = np.float32(0)
        for j in range(width):
            along += dy[j] * gain_C[j] * x[j]
        along *= scale * scale * scale / np.float32(width)
        for j in range(width):
            dgain_C[j] += dy[j] * x[j] * scale
        for j in range(width):
            dx[j] = dpast[j] + dy[j] * gain_C[j] * scale - x[j] * along


@_kernel
def swiglu(gate_up_N2F: Floats, y_NF: Floats) -> None:
    """Write y = silu(gate) · up."""
    rows, hidden = y_NF.shape
    for i in range(rows):
        gate, up, y = gate_up_N2F[i, :hidden], gate_up_N2F[i, hidden:], y_NF[i]
        for j in range(hidden):
            y[j] = gate[j] * up[j] / (_one + _exp(-gate[j]))


@_kernel
def swiglu_backward(gate_up_N2F: Floats, dy_NF: Floats, dgate_up_N2F: Floats) -> None:
    """Write the gradients of gate and up."""
    rows, hidden = dy_NF.shape
    for i in range(rows):
        gate, up, dy = gate_up_N2F[i, :hidden], gate_up_N2F[i, hidden:], dy_NF[i]
        dgate, dup = dgate_up_N2F[i, :hidden], dgate_up_N2F[i, hidden:]
        for j in range(hidden):
            sigmoid = _one / (_one + _exp(-gate[j]))
            silu = gate[j] * sigmoid
            dgate[j] = dy[j] * up[j] * (sigmoid + silu * (_one - sigmoid))
            dup[j] = dy[j] * silu


@_kernel
def split_and_rotate(
    qkv_BT3HK: Floats, cos_TK: Floats, sin_TK: Floats, scale: np.float32, q_BHTK: Floats, k_BHTK: Floats, v_BHTK: Floats
) -> None:
    """Write queries and keys rotated by position (queries also times `scale`) and values, each head by itself."""
    windows, positions, _, heads, dims = qkv_BT3HK.shape
    half = dims // 2
    for b in range(windows):
        for t in range(positions):
            cos, sin = cos_TK[t], sin_TK[t]
            for h in range(heads):
                _rotate(qkv_BT3HK[b, t, 0, h], cos, sin, scale, half, q_BHTK[b, h, t])
                _rotate(qkv_BT3HK[b, t, 1, h], cos, sin, _one, half, k_BHTK[b, h, t])
                _copy(qkv_BT3HK[b, t, 2, h], v_BHTK[b, h, t])


@_kernel
def split_and_rotate_backward(
    dq_BHTK: Floats, dk_BHTK: Floats, dv_BHTK: Floats, cos_TK: Floats, sin_TK: Floats, scale: np.float32,
    dqkv_BT3HK: Floats,
) -> None:  # fmt: skip
    """Write the gradient of the joint projection: the rotation turned back."""
    windows, positions, _, heads, dims = dqkv_BT3HK.shape
    half = dims // 2
    for b in range(windows):
        for t in range(positions):
            cos, sin = cos_TK[t], sin_TK[t]
            for h in range(heads):
                _rotate_back(dq_BHTK[b, h, t], cos, sin, scale, half, dqkv_BT3HK[b, t, 0, h])
                _rotate_back(dk_BHTK[b, h, t], cos, sin, _one, half, dqkv_BT3HK[b, t, 1, h])
                _copy(dv_BHTK[b, h, t], dqkv_BT3HK[b, t, 2, h])


@_kernel
def _rotate(x_K: Floats, cos_K: Floats, sin_K: Floats, scale: np.float32, half: int, y_K: Floats) -> None:
    for j in range(half):
        first, second = x_K[j], x_K[j + half]
        y_K[j] = (first * cos_K[j] - second * sin_K[j]) * scale
        y_K[j + half] = (second * cos_K[j] + first * sin_K[j]) * scale


@_kernel
def _rotate_back(y_K: Floats, cos_K: Floats, sin_K: Floats, scale: np.float32, half: int, x_K: Floats) -> None:
    for j in range(half):
        first, second = y_K[j], y_K[j + half]
        x_K[j] = (first * cos_K[j] + second * sin_K[j]) * scale
        x_K[j + half] = (second * cos_K[j] - first * sin_K[j]) * scale


@_kernel
def causal_softmax(scores_GRS: Floats, first: int) -> None:
    """Replace scores by attention weights in place: row r is position `first` + r and sees no key after itself."""
    groups, rows, keys = scores_GRS.shape
    for g in range(groups):
        for r in range(rows):
            seen = first + r + 1
            padded = min(keys, (seen + _PAD - 1) // _PAD * _PAD)
            row = scores_GRS[g, r, :padded]
            _fill(row[seen:], np.float32(-np.inf))
            _, total = _exponentiate(row)
            _scale(row, _one / total)
            _fill(scores_GRS[g, r, padded:], np.float32(0))


@_kernel
def causal_softmax_backward(weights_GRS: Floats, dweights_GRS: Floats, first: int) -> None:
    """Replace the gradient of the weights by that of the scores, in place."""
    groups, rows, keys = weights_GRS.shape
    for g in range(groups):
        for r in range(rows):
            padded = min(keys, (first + r + _PAD) // _PAD * _PAD)
            _softmax_backward(weights_GRS[g, r, :padded], dweights_GRS[g, r, :padded])
            _fill(dweights_GRS[g, r, padded:], np.float32(0))


@_kernel
def _softmax_backward(weights: Floats, dweights: Floats) -> None:
    along = np.float32(0)
    for j in range(weights.size):
        along += weights[j] * dweights[j]
    for j in range(weights.size):
        dweights[j] = weights[j] * (dweights[j] - along)


@_kernel
def cross_entropy(logits_NV: Floats, targets_N: Ints, nats_N: NDArray[np.float64]) -> None:
    """Write -ln p(target) of each row, and replace logits by their gradient. Rows with a negative target count 0."""
    for i in range(logits_NV.shape[0]):
        row, target = logits_NV[i], targets_N[i]
        if target < 0:
            _fill(row, np.float32(0))
            nats_N[i] = 0.0
            continue
        wanted = row[target]
        highest, total = _exponentiate(row)
        nats_N[i] = np.log(np.float64(total)) + np.float64(highest) - np.float64(wanted)
        _scale(row, _one / total)
        row[target] -= _one
