"""The computation of a transformer in torch's own operations: any device, any dtype, under autocast and torch.compile.

Legend: B windows, T positions, H heads, K dimensions of a head, C width = H · K, F hidden size of the FFN,
V vocabulary, N = B · T rows, R rows of logits at a time.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

from isoloss.models.parts import BlockWeights, Geometry, Summed, Weights, next_tokens

# Tokens that pass through the model at once. On a CPU the activations of 2,048 tokens at width 64 stay near a core; a
# GPU wants to be filled.
TOKENS_AT_ONCE = {"cpu": 2_048, "cuda": 65_536}
# Logits that exist at once: 32 MiB of float32 on a CPU, 1 GiB on a GPU, whatever the vocabulary.
LOGITS_AT_ONCE = {"cpu": 2**23, "cuda": 2**28}


def summed_nats(
    tokens_BT: Tensor, weights: Weights, geometry: Geometry, *, z_loss: float = 0.0, recompute: bool = False
) -> Summed:
    """Return objective and loss of positions 2…T of every window, summed, in nats."""
    hidden_NC = hidden(tokens_BT, weights, geometry, recompute=recompute)
    return summed_of_hidden(hidden_NC, weights.head, tokens_BT, z_loss)


def summed_of_hidden(hidden_NC: Tensor, head_VC: Tensor, tokens_BT: Tensor, z_loss: float) -> Summed:
    """Return objective and loss of what the head reads, summed."""
    objective, nats = _Head.apply(hidden_NC, head_VC, next_tokens(tokens_BT), z_loss)  # type: ignore[no-untyped-call]
    return Summed(objective, nats)


def token_nats(tokens_BT: Tensor, weights: Weights, geometry: Geometry) -> Tensor:
    """Return the loss of every row in float64, 0 for the last of each window: (N,). No gradient is meant to flow."""
    return nats_of_hidden(hidden(tokens_BT, weights, geometry), weights.head, tokens_BT)


def nats_of_hidden(hidden_NC: Tensor, head_VC: Tensor, tokens_BT: Tensor) -> Tensor:
    """Return the loss of every row of what the head reads, as `token_nats` does."""
    rows = _rows_at_once(hidden_NC, head_VC)
    parts = zip(torch.split(hidden_NC, rows), torch.split(next_tokens(tokens_BT), rows), strict=True)
    nats = [
        F.cross_entropy(F.linear(hidden_RC, head_VC).float(), targets_R, ignore_index=-1, reduction="none")
        for hidden_RC, targets_R in parts
    ]
    return torch.cat(nats).double()


class _Head(Function):
    """The loss of hidden rows, and its gradient while the logits are there: they exist for some rows at a time."""

    @staticmethod
    def forward(ctx: Any, hidden_NC: Tensor, head_VC: Tensor, targets_N: Tensor, z_loss: float) -> tuple[Tensor, ...]:
        """Return objective and loss, both summed."""
        wanted = ctx.needs_input_grad[0] or ctx.needs_input_grad[1]
        dhidden_NC = torch.empty_like(hidden_NC) if wanted else None
        dhead_VC = torch.zeros_like(head_VC) if wanted else None
        exact = torch.promote_types(hidden_NC.dtype, torch.float32)  # and double where the model is
        nats, penalty = (torch.zeros((), dtype=exact, device=hidden_NC.device) for _ in range(2))
        rows = _rows_at_once(hidden_NC, head_VC)
        for first in range(0, len(hidden_NC), rows):
            here = slice(first, min(first + rows, len(hidden_NC)))
            targets_R, hidden_RC = targets_N[here], hidden_NC[here]
            logits_RV = F.linear(hidden_RC, head_VC).to(exact)
            scored_R, at_R1 = (targets_R >= 0).to(exact), targets_R.clamp(min=0)[:, None]
            log_z_R = logits_RV.logsumexp(dim=1)
            nats += ((log_z_R - logits_RV.gather(1, at_R1)[:, 0]) * scored_R).sum()
            penalty += (log_z_R.square() * scored_R).sum()
            if dhidden_NC is None or dhead_VC is None:
                continue
            # d(ln Z)/dlogits = softmax: the loss takes it once, the penalty 2 z ln Z times.
            dlogits_RV = logits_RV.sub_(log_z_R[:, None]).exp_().mul_((scored_R * (1 + 2 * z_loss * log_z_R))[:, None])
            dlogits_RV.scatter_add_(1, at_R1, -scored_R[:, None])
            dhidden_NC[here] = torch.mm(dlogits_RV, head_VC)
            dhead_VC += torch.mm(dlogits_RV.T, hidden_RC)
        ctx.save_for_backward(dhidden_NC, dhead_VC)
        ctx.mark_non_differentiable(nats)
        return nats + z_loss * penalty, nats

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dsum: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients that were taken on the way, times that of the sum."""
        dhidden_NC, dhead_VC = ctx.saved_tensors
        return dhidden_NC * dsum.to(dhidden_NC.dtype), dhead_VC * dsum.to(dhead_VC.dtype), None, None


def _rows_at_once(hidden_NC: Tensor, head_VC: Tensor) -> int:
    return max(1, LOGITS_AT_ONCE[hidden_NC.device.type] // len(head_VC))


def logits(tokens_BT: Tensor, weights: Weights, geometry: Geometry) -> Tensor:
    """Return next-token logits at every position, (N, V)."""
    return F.linear(hidden(tokens_BT, weights, geometry), weights.head)


def hidden(tokens_BT: Tensor, weights: Weights, geometry: Geometry, *, recompute: bool = False) -> Tensor:
    """Return what the head reads, (N, C). `recompute` keeps only what enters each block until the backward pass."""
    x_NC = F.embedding(tokens_BT.flatten(), weights.embedding)
    for block_weights in weights.blocks:
        if recompute:
            x_NC = checkpoint(block, x_NC, block_weights, geometry, len(tokens_BT), use_reentrant=False)
        else:
            x_NC = block(x_NC, block_weights, geometry, len(tokens_BT))
    return norm(x_NC, weights.norm, weights.norm_bias, geometry)


def block(x_NC: Tensor, weights: BlockWeights, geometry: Geometry, windows: int) -> Tensor:
    """Return the stream after attention and a gated FFN, each on normalised input and added to the stream."""
    normed_NC = norm(x_NC, weights.attention_norm, weights.attention_norm_bias, geometry)
    attended_NC = attention(F.linear(normed_NC, weights.qkv), weights, geometry, windows=windows)
    x_NC = x_NC + F.linear(attended_NC, weights.attention_out)
    normed_NC = norm(x_NC, weights.ffn_norm, weights.ffn_norm_bias, geometry)
    return x_NC + F.linear(swiglu(F.linear(normed_NC, weights.gate_up)), weights.down)


def norm(x_NC: Tensor, gain_C: Tensor, bias_C: Tensor | None, geometry: Geometry) -> Tensor:
    """Return a LayerNorm over the last axis (Ba et al. 2016), or without a bias an RMSNorm (Zhang & Sennrich 2019)."""
    if bias_C is None:
        return F.rms_norm(x_NC, gain_C.shape, gain_C, geometry.norm_eps)
    return F.layer_norm(x_NC, gain_C.shape, gain_C, bias_C, geometry.norm_eps)


def attention(qkv_ND: Tensor, weights: BlockWeights, geometry: Geometry, *, windows: int) -> Tensor:
    """Return causal self-attention of joint queries, keys and values, heads joined again: (N, C)."""
    dims = weights.attention_out.shape[1] // geometry.heads
    kv_width = dims * geometry.kv_heads
    q_NC, k_ND, v_ND = torch.split(qkv_ND, [dims * geometry.heads, kv_width, kv_width], dim=1)
    if weights.q_norm is not None and weights.k_norm is not None:
        # Over all heads at once, as OpenLM does.
        q_NC = norm(q_NC, weights.q_norm, weights.q_norm_bias, geometry).to(qkv_ND.dtype)
        k_ND = norm(k_ND, weights.k_norm, weights.k_norm_bias, geometry).to(qkv_ND.dtype)
    q_BHTK, k_BHTK, v_BHTK = (x.view(windows, -1, x.shape[1] // dims, dims).transpose(1, 2) for x in (q_NC, k_ND, v_ND))
    positions = q_BHTK.shape[2]
    cos_TK, sin_TK = (table[:positions].to(qkv_ND.dtype) for table in (geometry.cos_TK, geometry.sin_TK))
    shared = geometry.heads // geometry.kv_heads
    attended_BHTK = F.scaled_dot_product_attention(
        _rotate(q_BHTK, cos_TK, sin_TK), _rotate(k_BHTK, cos_TK, sin_TK).repeat_interleave(shared, dim=1),
        v_BHTK.repeat_interleave(shared, dim=1), is_causal=True,
    )  # fmt: skip
    return attended_BHTK.transpose(1, 2).reshape(len(qkv_ND), -1)


def _rotate(x_BHTK: Tensor, cos_TK: Tensor, sin_TK: Tensor) -> Tensor:
    first, second = x_BHTK.chunk(2, dim=-1)
    return torch.cat((first * cos_TK - second * sin_TK, second * cos_TK + first * sin_TK), dim=-1)


def swiglu(gate_up_N2F: Tensor) -> Tensor:
    """Return silu(gate) · up (Shazeer 2020)."""
    gate_NF, up_NF = gate_up_N2F.chunk(2, dim=-1)
    return F.silu(gate_NF) * up_NF
