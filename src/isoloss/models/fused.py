"""The computation of a transformer on one CPU core in float32: products in torch, all between them compiled.

Same functions as `plain`, same results to rounding, at 1.9 (width 16) to 1.4 (width 96) times the speed: there, plain
torch spends its time on memory traffic and on calls. Gradients are written out by hand, a block at a time.

Legend: as in `plain`; G = B · H, R query rows of one block of attention, S the keys they see.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from isoloss.models import _kernels, plain
from isoloss.models.parts import BlockWeights, Geometry

# Query rows that share one product with the keys before them: smaller blocks waste less above the diagonal, larger
# ones call less. 64 and 128 are equal, 32 is slower (widths 16 to 96, context 256).
BLOCK_ROWS = 64
# The weights are kept for the way back, context²/2 floats a head and window: beyond this, torch's flash attention.
LONGEST_KEPT = 512
# Floats of logits at a time, 1 MiB: they stay in the second-level cache between the product and the loss.
LOGITS_AT_ONCE = 2**18

EPS = np.float32(plain.RMS_EPS)

# Memory for what is written and read within one call: the same each time, it stays in the cache (5 % at width 64). A
# process that computes this way has one thread.
_scratch: dict[str, Tensor] = {}


def _buffer(name: str, *shape: int) -> Tensor:
    size = math.prod(shape)
    if name not in _scratch or _scratch[name].numel() < size:
        _scratch[name] = torch.empty(size)
    return _scratch[name][:size].view(shape)


def block(x_NC: Tensor, weights: BlockWeights, geometry: Geometry) -> Tensor:
    """As `plain.block`; windows longer than 512 go there."""
    if len(x_NC) // geometry.windows > LONGEST_KEPT:
        return plain.block(x_NC, weights, geometry)
    return _apply(_Block, geometry, x_NC, *weights)


def token_nats(x_NC: Tensor, gain_C: Tensor, head_VC: Tensor, targets_N: Tensor) -> Tensor:
    """As `plain.token_nats`."""
    hidden_NC, _ = _norm(x_NC, gain_C)
    nats_N = np.empty(len(x_NC))
    for rows, logits_NV in _logits(hidden_NC, head_VC):
        _kernels.cross_entropy(logits_NV.numpy(), targets_N[rows].numpy(), nats_N[rows])
    return torch.from_numpy(nats_N)


def summed_nats(x_NC: Tensor, gain_C: Tensor, head_VC: Tensor, targets_N: Tensor) -> Tensor:
    """As `plain.summed_nats`."""
    return _apply(_SummedNats, x_NC, gain_C, head_VC, targets_N)


def _apply(function: type[Function], *inputs: Any) -> Tensor:
    return cast(Tensor, function.apply(*inputs))  # type: ignore[no-untyped-call]  # torch leaves it untyped


class _Block(Function):
    @staticmethod
    def forward(ctx: Any, geometry: Geometry, x_NC: Tensor, *weights: Tensor) -> Tensor:
        w = BlockWeights(*weights)
        first_NC, first_scale_N = _norm(x_NC, w.attention_norm)
        qkv_N3C = torch.mm(first_NC, w.qkv.t(), out=_buffer("qkv", len(x_NC), len(w.qkv)))
        attended_NC, kept = _attend(qkv_N3C, geometry)
        middle_NC = torch.addmm(x_NC, attended_NC, w.attention_out.t())
        second_NC, second_scale_N = _norm(middle_NC, w.ffn_norm)
        gate_up_N2F = torch.mm(second_NC, w.gate_up.t())
        hidden_NF = x_NC.new_empty(len(x_NC), w.down.shape[1])
        _kernels.swiglu(gate_up_N2F.numpy(), hidden_NF.numpy())
        ctx.geometry = geometry
        ctx.save_for_backward(
            *w, x_NC, first_NC, first_scale_N, attended_NC, middle_NC, second_NC, second_scale_N, gate_up_N2F,
            hidden_NF, kept.q_GTK, kept.k_GTK, kept.v_GTK, *kept.weights,
        )  # fmt: skip
        return torch.addmm(middle_NC, hidden_NF, w.down.t())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dout_NC: Tensor) -> tuple[Tensor | None, ...]:
        w = BlockWeights(*ctx.saved_tensors[:6])
        (
            x_NC, first_NC, first_scale_N, attended_NC, middle_NC, second_NC, second_scale_N, gate_up_N2F, hidden_NF,
            q_GTK, k_GTK, v_GTK, *weights,
        ) = ctx.saved_tensors[6:]  # fmt: skip
        dout_NC = dout_NC.contiguous()
        dsmall_NC = _buffer("dsmall", *x_NC.shape)

        ddown = torch.mm(dout_NC.t(), hidden_NF)
        dhidden_NF = torch.mm(dout_NC, w.down, out=_buffer("dhidden", *hidden_NF.shape))
        dgate_up_N2F = _buffer("dgate_up", *gate_up_N2F.shape)
        _kernels.swiglu_backward(gate_up_N2F.numpy(), dhidden_NF.numpy(), dgate_up_N2F.numpy())
        dgate_up = torch.mm(dgate_up_N2F.t(), second_NC)
        torch.mm(dgate_up_N2F, w.gate_up, out=dsmall_NC)
        dmiddle_NC = _buffer("dmiddle", *x_NC.shape)
        dffn_norm = _norm_backward(middle_NC, w.ffn_norm, second_scale_N, dsmall_NC, dout_NC, dmiddle_NC)

        dattention_out = torch.mm(dmiddle_NC.t(), attended_NC)
        torch.mm(dmiddle_NC, w.attention_out, out=dsmall_NC)
        dqkv_N3C = _attend_backward(dsmall_NC, _Kept(q_GTK, k_GTK, v_GTK, weights), ctx.geometry)
        dqkv = torch.mm(dqkv_N3C.t(), first_NC)
        torch.mm(dqkv_N3C, w.qkv, out=dsmall_NC)
        dx_NC = torch.empty_like(x_NC)
        dattention_norm = _norm_backward(x_NC, w.attention_norm, first_scale_N, dsmall_NC, dmiddle_NC, dx_NC)
        return None, dx_NC, dattention_norm, dqkv, dattention_out, dffn_norm, dgate_up, ddown


def _norm(x_NC: Tensor, gain_C: Tensor) -> tuple[Tensor, Tensor]:
    """Return the normalised rows, and 1 / rms of each."""
    y_NC, scale_N = torch.empty_like(x_NC), x_NC.new_empty(len(x_NC))
    _kernels.rms_norm(x_NC.numpy(), gain_C.detach().numpy(), EPS, y_NC.numpy(), scale_N.numpy())
    return y_NC, scale_N


def _norm_backward(
    x_NC: Tensor, gain_C: Tensor, scale_N: Tensor, dy_NC: Tensor, dpast_NC: Tensor, dx_NC: Tensor
) -> Tensor:
    """Write the gradient of x, the one that went past the norm included; return that of the gain."""
    dgain_C = torch.zeros_like(gain_C)
    _kernels.rms_norm_backward(
        x_NC.numpy(), gain_C.detach().numpy(), scale_N.numpy(), dy_NC.numpy(), dpast_NC.numpy(), dx_NC.numpy(),
        dgain_C.numpy(),
    )  # fmt: skip
    return dgain_C


class _Kept(NamedTuple):
    """What attention keeps for its way back: rotated queries and keys, values, weights by block of query rows."""

    q_GTK: Tensor
    k_GTK: Tensor
    v_GTK: Tensor
    weights: list[Tensor]  # (G, R, S) each


def _attend(qkv_N3C: Tensor, geometry: Geometry) -> tuple[Tensor, _Kept]:
    """Return causal attention by blocks of query rows, each seeing the keys up to its own end: (N, C)."""
    N, joint = qkv_N3C.shape
    B, H, cos_TK, sin_TK = geometry
    T, K = N // B, joint // 3 // H
    q, k, v = (qkv_N3C.new_empty(B, H, T, K) for _ in range(3))
    _kernels.split_and_rotate(
        qkv_N3C.view(B, T, 3, H, K).numpy(), cos_TK.numpy(), sin_TK.numpy(), np.float32(K**-0.5), q.numpy(),
        k.numpy(), v.numpy(),
    )  # fmt: skip
    kept = _Kept(q.view(B * H, T, K), k.view(B * H, T, K), v.view(B * H, T, K), weights=[])
    attended_GTK = torch.empty_like(kept.q_GTK)
    for first in range(0, T, BLOCK_ROWS):
        last = min(T, first + BLOCK_ROWS)
        weights_GRS = torch.bmm(kept.q_GTK[:, first:last], kept.k_GTK[:, :last].transpose(1, 2))
        _kernels.causal_softmax(weights_GRS.numpy(), first)
        attended_GTK[:, first:last] = torch.bmm(weights_GRS, kept.v_GTK[:, :last])
        kept.weights.append(weights_GRS)
    return attended_GTK.view(B, H, T, K).transpose(1, 2).reshape(N, H * K), kept


def _attend_backward(dattended_NC: Tensor, kept: _Kept, geometry: Geometry) -> Tensor:
    """Return the gradient of the joint queries, keys and values: (N, 3 C), in a buffer."""
    N, C = dattended_NC.shape
    B, H, cos_TK, sin_TK = geometry
    T, K = N // B, C // H
    dattended_GTK = dattended_NC.view(B, T, H, K).transpose(1, 2).reshape(B * H, T, K)
    dq_GTK = _buffer("dq", *kept.q_GTK.shape)
    for first, weights_GRS in reversed([*zip(range(0, T, BLOCK_ROWS), kept.weights, strict=True)]):
        last = min(T, first + BLOCK_ROWS)
        rows, seen = slice(first, last), slice(0, last)
        block_dv_GSK = torch.bmm(weights_GRS.transpose(1, 2), dattended_GTK[:, rows])
        dscores_GRS = torch.bmm(dattended_GTK[:, rows], kept.v_GTK[:, seen].transpose(1, 2))
        _kernels.causal_softmax_backward(weights_GRS.numpy(), dscores_GRS.numpy(), first)
        dq_GTK[:, rows] = torch.bmm(dscores_GRS, kept.k_GTK[:, seen])
        block_dk_GSK = torch.bmm(dscores_GRS.transpose(1, 2), kept.q_GTK[:, rows])
        if last == T:  # the last block, which comes first here, sees every key
            dk_GTK, dv_GTK = block_dk_GSK, block_dv_GSK
        else:
            dk_GTK[:, seen] += block_dk_GSK
            dv_GTK[:, seen] += block_dv_GSK
    dq, dk, dv = (x.view(B, H, T, K).numpy() for x in (dq_GTK, dk_GTK, dv_GTK))
    dqkv_N3C = _buffer("qkv", N, 3 * C)
    dqkv = dqkv_N3C.view(B, T, 3, H, K).numpy()
    _kernels.split_and_rotate_backward(dq, dk, dv, cos_TK.numpy(), sin_TK.numpy(), np.float32(K**-0.5), dqkv)
    return dqkv_N3C


class _SummedNats(Function):
    """Last norm, head and loss: logits live a slice at a time, and their gradient is taken while they are there."""

    @staticmethod
    def forward(ctx: Any, x_NC: Tensor, gain_C: Tensor, head_VC: Tensor, targets_N: Tensor) -> Tensor:
        hidden_NC, scale_N = _norm(x_NC, gain_C)
        dhidden_NC, dhead_VC = _buffer("dhidden", *x_NC.shape), torch.zeros_like(head_VC)
        nats_N = np.empty(len(x_NC))
        for rows, logits_NV in _logits(hidden_NC, head_VC):
            _kernels.cross_entropy(logits_NV.numpy(), targets_N[rows].numpy(), nats_N[rows])
            torch.mm(logits_NV, head_VC, out=dhidden_NC[rows])
            dhead_VC.addmm_(logits_NV.t(), hidden_NC[rows])
        dx_NC, nothing_NC = torch.empty_like(x_NC), torch.zeros_like(x_NC)
        dgain_C = _norm_backward(x_NC, gain_C, scale_N, dhidden_NC, nothing_NC, dx_NC)
        ctx.save_for_backward(dx_NC, dgain_C, dhead_VC)
        return x_NC.new_tensor(nats_N.sum())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dsum: Tensor) -> tuple[Tensor | None, ...]:
        return *(gradient * dsum for gradient in ctx.saved_tensors), None


def _logits(hidden_NC: Tensor, head_VC: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Yield slices of rows with their logits, in a buffer."""
    at_once = max(1, LOGITS_AT_ONCE // len(head_VC))
    for first in range(0, len(hidden_NC), at_once):
        rows = slice(first, min(first + at_once, len(hidden_NC)))
        buffer_NV = _buffer("logits", rows.stop - rows.start, len(head_VC))
        yield rows, torch.mm(hidden_NC[rows], head_VC.t(), out=buffer_NV)
