"""The operations of a transformer on one CPU core in float32: matrix products in torch, all between them compiled.

Same functions as `plain`, same results to rounding, about twice the speed at widths below a hundred, where plain torch
spends its time on memory traffic and on calls. Gradients are written out by hand.

Legend: as in `plain`; G = B · H, R query rows of one block of attention.
"""

from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from isoloss.models import _kernels, plain
from isoloss.models.rotary import Rotary

# Query rows that share one product with the keys before them: smaller blocks waste less above the diagonal, larger
# ones call less. 64 and 128 are equal at width 16, 64 is 3 % better at width 96 (context 256).
BLOCK_ROWS = 64
# The weights are kept for the way back, context²/2 floats a head and window: beyond this, torch's flash attention.
LONGEST_KEPT = 512
# Floats of logits at a time, 1 MiB: they stay in the second-level cache between the product and the loss.
LOGITS_AT_ONCE = 2**18


class _RmsNorm(Function):
    @staticmethod
    def forward(ctx: Any, x_NC: Tensor, gain_C: Tensor) -> Tensor:
        y_NC, scale_N = torch.empty_like(x_NC), x_NC.new_empty(len(x_NC))
        _kernels.rms_norm(x_NC.numpy(), gain_C.numpy(), np.float32(plain.RMS_EPS), y_NC.numpy(), scale_N.numpy())
        ctx.save_for_backward(x_NC, gain_C, scale_N)
        return y_NC

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy_NC: Tensor) -> tuple[Tensor, Tensor]:
        x_NC, gain_C, scale_N = ctx.saved_tensors
        dx_NC, dgain_C = torch.empty_like(x_NC), torch.zeros_like(gain_C)
        _kernels.rms_norm_backward(
            x_NC.numpy(), gain_C.numpy(), scale_N.numpy(), dy_NC.contiguous().numpy(), dx_NC.numpy(), dgain_C.numpy()
        )
        return dx_NC, dgain_C


class _SwiGlu(Function):
    @staticmethod
    def forward(ctx: Any, gate_up_N2F: Tensor) -> Tensor:
        rows, joint = gate_up_N2F.shape
        y_NF = gate_up_N2F.new_empty(rows, joint // 2)
        _kernels.swiglu(gate_up_N2F.numpy(), y_NF.numpy())
        ctx.save_for_backward(gate_up_N2F)
        return y_NF

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy_NF: Tensor) -> Tensor:
        (gate_up_N2F,) = ctx.saved_tensors
        dgate_up_N2F = torch.empty_like(gate_up_N2F)
        _kernels.swiglu_backward(gate_up_N2F.numpy(), dy_NF.contiguous().numpy(), dgate_up_N2F.numpy())
        return dgate_up_N2F


class _Attention(Function):
    """Causal attention by blocks of query rows, each seeing the keys up to its own end."""

    @staticmethod
    def forward(ctx: Any, qkv_BT3C: Tensor, cos_TK: Tensor, sin_TK: Tensor, heads: int) -> Tensor:
        B, T, joint = qkv_BT3C.shape
        H, K = heads, joint // 3 // heads
        q, k, v = (qkv_BT3C.new_empty(B, H, T, K) for _ in range(3))
        scale = np.float32(K**-0.5)
        _kernels.split_and_rotate(
            qkv_BT3C.view(B, T, 3, H, K).numpy(), cos_TK.numpy(), sin_TK.numpy(), scale, q.numpy(), k.numpy(), v.numpy()
        )
        q_GTK, k_GTK, v_GTK = (x.view(B * H, T, K) for x in (q, k, v))
        attended_GTK, weights = torch.empty_like(q_GTK), []
        for first in range(0, T, BLOCK_ROWS):
            last = min(T, first + BLOCK_ROWS)
            weights_GRS = torch.bmm(q_GTK[:, first:last], k_GTK[:, :last].transpose(1, 2))
            _kernels.causal_softmax(weights_GRS.numpy(), first)
            attended_GTK[:, first:last] = torch.bmm(weights_GRS, v_GTK[:, :last])
            weights.append(weights_GRS)
        ctx.save_for_backward(q_GTK, k_GTK, v_GTK, cos_TK, sin_TK, *weights)
        ctx.heads, ctx.scale = heads, scale
        return attended_GTK.view(B, H, T, K).transpose(1, 2).reshape(B, T, H * K)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dattended_BTC: Tensor) -> tuple[Tensor, None, None, None]:
        q_GTK, k_GTK, v_GTK, cos_TK, sin_TK, *weights = ctx.saved_tensors
        B, T, C = dattended_BTC.shape
        H, K = ctx.heads, C // ctx.heads
        dattended_GTK = dattended_BTC.reshape(B, T, H, K).transpose(1, 2).reshape(B * H, T, K)
        dq_GTK = torch.empty_like(q_GTK)
        for first, weights_GRS in reversed([*zip(range(0, T, BLOCK_ROWS), weights, strict=True)]):
            last = min(T, first + BLOCK_ROWS)
            rows, seen = slice(first, last), slice(0, last)
            block_dv_GSK = torch.bmm(weights_GRS.transpose(1, 2), dattended_GTK[:, rows])
            dscores_GRS = torch.bmm(dattended_GTK[:, rows], v_GTK[:, seen].transpose(1, 2))
            _kernels.causal_softmax_backward(weights_GRS.numpy(), dscores_GRS.numpy(), first)
            dq_GTK[:, rows] = torch.bmm(dscores_GRS, k_GTK[:, seen])
            block_dk_GSK = torch.bmm(dscores_GRS.transpose(1, 2), q_GTK[:, rows])
            if last == T:  # the last block, which comes first here, sees every key
                dk_GTK, dv_GTK = block_dk_GSK, block_dv_GSK
            else:
                dk_GTK[:, seen] += block_dk_GSK
                dv_GTK[:, seen] += block_dv_GSK
        dq, dk, dv = (x.view(B, H, T, K).numpy() for x in (dq_GTK, dk_GTK, dv_GTK))
        dqkv_BT3C = dattended_BTC.new_empty(B, T, 3 * C)
        dqkv = dqkv_BT3C.view(B, T, 3, H, K).numpy()
        _kernels.split_and_rotate_backward(dq, dk, dv, cos_TK.numpy(), sin_TK.numpy(), ctx.scale, dqkv)
        return dqkv_BT3C, None, None, None


class _SummedNats(Function):
    """Head and loss together: logits live a slice at a time, and their gradient is taken while they are there."""

    @staticmethod
    def forward(ctx: Any, hidden_NC: Tensor, head_VC: Tensor, targets_N: Tensor) -> Tensor:
        dhidden_NC, dhead_VC = torch.empty_like(hidden_NC), torch.zeros_like(head_VC)
        nats_N = np.empty(len(hidden_NC))
        for rows, logits_NV in _logits(hidden_NC, head_VC):
            _kernels.cross_entropy(logits_NV.numpy(), targets_N[rows].numpy(), nats_N[rows])
            torch.mm(logits_NV, head_VC, out=dhidden_NC[rows])
            dhead_VC.addmm_(logits_NV.t(), hidden_NC[rows])
        ctx.save_for_backward(dhidden_NC, dhead_VC)
        return hidden_NC.new_tensor(nats_N.sum())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dsum: Tensor) -> tuple[Tensor, Tensor, None]:
        dhidden_NC, dhead_VC = ctx.saved_tensors
        return dhidden_NC * dsum, dhead_VC * dsum, None


def _logits(hidden_NC: Tensor, head_VC: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Yield slices of rows with their logits; the buffer is the same each time."""
    at_once = max(1, LOGITS_AT_ONCE // len(head_VC))
    buffer_NV = hidden_NC.new_empty(min(at_once, len(hidden_NC)), len(head_VC))
    for first in range(0, len(hidden_NC), at_once):
        rows = slice(first, min(first + at_once, len(hidden_NC)))
        yield rows, torch.mm(hidden_NC[rows], head_VC.t(), out=buffer_NV[: rows.stop - rows.start])


def rms_norm(x_NC: Tensor, gain_C: Tensor) -> Tensor:
    """As `plain.rms_norm`, for rows."""
    return _apply(_RmsNorm, x_NC, gain_C)


def attention(qkv_BT3C: Tensor, rotary: Rotary, *, heads: int) -> Tensor:
    """As `plain.attention`; windows longer than 512 go there."""
    if qkv_BT3C.shape[1] > LONGEST_KEPT:
        return plain.attention(qkv_BT3C, rotary, heads=heads)
    return _apply(_Attention, qkv_BT3C, rotary.cos_TK, rotary.sin_TK, heads)


def swiglu(gate_up_N2F: Tensor) -> Tensor:
    """As `plain.swiglu`, for rows."""
    return _apply(_SwiGlu, gate_up_N2F)


def token_nats(hidden_NC: Tensor, head_VC: Tensor, targets_N: Tensor) -> Tensor:
    """As `plain.token_nats`."""
    nats_N = np.empty(len(hidden_NC))
    for rows, logits_NV in _logits(hidden_NC, head_VC):
        _kernels.cross_entropy(logits_NV.numpy(), targets_N[rows].numpy(), nats_N[rows])
    return torch.from_numpy(nats_N)


def summed_nats(hidden_NC: Tensor, head_VC: Tensor, targets_N: Tensor) -> Tensor:
    """As `plain.summed_nats`."""
    return _apply(_SummedNats, hidden_NC, head_VC, targets_N)


def _apply(function: type[Function], *inputs: Any) -> Tensor:
    return cast(Tensor, function.apply(*inputs))  # type: ignore[no-untyped-call]  # torch leaves it untyped
