"""The computation of a transformer in torch's own operations: any device, any dtype, under autocast and torch.compile.

Legend: B windows, T positions, H heads, K dimensions of a head, C width = H · K, F hidden size of the FFN,
V vocabulary, N = B · T rows.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from isoloss.models.parts import RMS_EPS, BlockWeights, Geometry, Weights, next_tokens

# Tokens that pass through the model at once. On a CPU the activations of 2,048 tokens at width 64 stay near a core; a
# GPU wants to be filled.
TOKENS_AT_ONCE = {"cpu": 2_048, "cuda": 65_536}


def summed_nats(tokens_BT: Tensor, weights: Weights, geometry: Geometry) -> Tensor:
    """Return the summed loss of positions 2…T of every window, in nats."""
    logits_NV = logits(tokens_BT, weights, geometry).float()
    return F.cross_entropy(logits_NV, next_tokens(tokens_BT), ignore_index=-1, reduction="sum")


def token_nats(tokens_BT: Tensor, weights: Weights, geometry: Geometry) -> Tensor:
    """Return the loss of every row in float64, 0 for the last of each window: (N,). No gradient is meant to flow."""
    logits_NV = logits(tokens_BT, weights, geometry).float()
    return F.cross_entropy(logits_NV, next_tokens(tokens_BT), ignore_index=-1, reduction="none").double()


def logits(tokens_BT: Tensor, weights: Weights, geometry: Geometry) -> Tensor:
    """Return next-token logits at every position, (N, V)."""
    x_NC = F.embedding(tokens_BT.flatten(), weights.embedding)
    for block_weights in weights.blocks:
        x_NC = block(x_NC, block_weights, geometry, windows=len(tokens_BT))
    return F.linear(rms_norm(x_NC, weights.norm), weights.head)


def block(x_NC: Tensor, weights: BlockWeights, geometry: Geometry, *, windows: int) -> Tensor:
    """Return the stream after attention and a gated FFN, each on normalised input and added to the stream."""
    qkv_N3C = F.linear(rms_norm(x_NC, weights.attention_norm), weights.qkv)
    x_NC = x_NC + F.linear(attention(qkv_N3C, geometry, windows=windows), weights.attention_out)
    gate_up_N2F = F.linear(rms_norm(x_NC, weights.ffn_norm), weights.gate_up)
    return x_NC + F.linear(swiglu(gate_up_N2F), weights.down)


def rms_norm(x_NC: Tensor, gain_C: Tensor) -> Tensor:
    """Return gain · x / √(mean x² + 1e-6) over the last axis (Zhang & Sennrich 2019)."""
    return F.rms_norm(x_NC, gain_C.shape, gain_C, RMS_EPS)


def attention(qkv_N3C: Tensor, geometry: Geometry, *, windows: int) -> Tensor:
    """Return causal self-attention of joint queries, keys and values, heads joined again: (N, C)."""
    rows, joint = qkv_N3C.shape
    split = qkv_N3C.view(windows, -1, 3, geometry.heads, joint // 3 // geometry.heads)
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
