"""The computation of a transformer in torch's own operations: any device, any dtype, under autocast and torch.compile.

Legend: B windows, T positions, H heads, K dimensions of a head, C width = H · K, F hidden size of the FFN,
V vocabulary, N = B · T rows.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from isoloss.models.parts import BlockWeights, Geometry

RMS_EPS = 1e-6  # transformers' LlamaConfig.rms_norm_eps


def block(x_NC: Tensor, weights: BlockWeights, geometry: Geometry) -> Tensor:
    """Return the stream after attention and a gated FFN, each on normalised input and added to the stream."""
    qkv_N3C = F.linear(rms_norm(x_NC, weights.attention_norm), weights.qkv)
    x_NC = x_NC + F.linear(attention(qkv_N3C, geometry), weights.attention_out)
    gate_up_N2F = F.linear(rms_norm(x_NC, weights.ffn_norm), weights.gate_up)
    return x_NC + F.linear(swiglu(gate_up_N2F), weights.down)


def rms_norm(x_NC: Tensor, gain_C: Tensor) -> Tensor:
    """Return gain · x / √(mean x² + 1e-6) over the last axis (Zhang & Sennrich 2019)."""
    return F.rms_norm(x_NC, gain_C.shape, gain_C, RMS_EPS)


def attention(qkv_N3C: Tensor, geometry: Geometry) -> Tensor:
    """Return causal self-attention of joint queries, keys and values, heads joined again: (N, C)."""
    rows, joint = qkv_N3C.shape
    split = qkv_N3C.view(geometry.windows, -1, 3, geometry.heads, joint // 3 // geometry.heads)
    q_BHTK, k_BHTK, v_BHTK = split.permute(2, 0, 3, 1, 4)
    cos_TK, sin_TK = (table[: split.shape[1]].to(qkv_N3C.dtype) for table in (geometry.cos_TK, geometry.sin_TK))
    attended_BHTK = F.scaled_dot_product_attention(
        _rotate(q_BHTK, cos_TK, sin_TK), _rotate(k_BHTK, cos_TK, sin_TK), v_BHTK, is_causal=True
    )
    return attended_BHTK.transpose(1, 2).reshape(rows, joint // 3)


def _rotate(x_BHTK: Tensor, cos_TK: Tensor, sin_TK: Tensor) -> Tensor:
    first, second = x_BHTK.chunk(2, dim=-1)
    return torch.cat((first * cos_TK - second * sin_TK, second * cos_TK + first * sin_TK), dim=-1)


def swiglu(gate_up_N2F: Tensor) -> Tensor:
    """Return silu(gate) · up (Shazeer 2020)."""
    gate_NF, up_NF = gate_up_N2F.chunk(2, dim=-1)
    return F.silu(gate_NF) * up_NF


def logits(x_NC: Tensor, gain_C: Tensor, head_VC: Tensor) -> Tensor:
    """Return next-token logits of the stream after the last block: (N, V)."""
    return F.linear(rms_norm(x_NC, gain_C), head_VC)


def token_nats(x_NC: Tensor, gain_C: Tensor, head_VC: Tensor, targets_N: Tensor) -> Tensor:
    """Return -ln p(target) of every row in float64, 0 where the target is -1. No gradient is meant to flow."""
    nats_N = F.cross_entropy(logits(x_NC, gain_C, head_VC).float(), targets_N, ignore_index=-1, reduction="none")
    return nats_N.double()


def summed_nats(x_NC: Tensor, gain_C: Tensor, head_VC: Tensor, targets_N: Tensor) -> Tensor:
    """Return the sum of -ln p(target) over the rows whose target is not -1."""
    return F.cross_entropy(logits(x_NC, gain_C, head_VC).float(), targets_N, ignore_index=-1, reduction="sum")
