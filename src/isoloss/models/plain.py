"""The operations of a transformer in torch's own: on any device, in any dtype, under autocast and torch.compile.

Legend: B windows, T positions, H heads, K dimensions of a head, C width = H · K, F hidden size of the FFN,
V vocabulary, N = B · T rows.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from isoloss.models.rotary import Rotary

RMS_EPS = 1e-6  # transformers' LlamaConfig.rms_norm_eps


def rms_norm(x_NC: Tensor, gain_C: Tensor) -> Tensor:
    """Return gain · x / √(mean x² + 1e-6) over the last axis (Zhang & Sennrich 2019)."""
    return F.rms_norm(x_NC, gain_C.shape, gain_C, RMS_EPS)


def attention(qkv_BT3C: Tensor, rotary: Rotary, *, heads: int) -> Tensor:
    """Return causal self-attention of joint queries, keys and values, heads joined again: (B, T, C)."""
    windows, positions, joint = qkv_BT3C.shape
    split = qkv_BT3C.view(windows, positions, 3, heads, joint // 3 // heads)
    q_BHTK, k_BHTK, v_BHTK = split.permute(2, 0, 3, 1, 4)
    cos_TK, sin_TK = rotary.tables(positions, like=qkv_BT3C)
    attended_BHTK = F.scaled_dot_product_attention(
        _rotate(q_BHTK, cos_TK, sin_TK), _rotate(k_BHTK, cos_TK, sin_TK), v_BHTK, is_causal=True
    )
    return attended_BHTK.transpose(1, 2).reshape(windows, positions, joint // 3)


def _rotate(x_BHTK: Tensor, cos_TK: Tensor, sin_TK: Tensor) -> Tensor:
    first, second = x_BHTK.chunk(2, dim=-1)
    return torch.cat((first * cos_TK - second * sin_TK, second * cos_TK + first * sin_TK), dim=-1)


def swiglu(gate_up_N2F: Tensor) -> Tensor:
    """Return silu(gate) · up (Shazeer 2020)."""
    gate_NF, up_NF = gate_up_N2F.chunk(2, dim=-1)
    return F.silu(gate_NF) * up_NF


def token_nats(hidden_NC: Tensor, head_VC: Tensor, targets_N: Tensor) -> Tensor:
    """Return -ln p(target) of every row, 0 where the target is negative. No gradient is meant to flow."""
    return F.cross_entropy(F.linear(hidden_NC, head_VC).float(), targets_N, ignore_index=-1, reduction="none").double()


def summed_nats(hidden_NC: Tensor, head_VC: Tensor, targets_N: Tensor) -> Tensor:
    """Return the sum of -ln p(target) over the rows whose target is not negative."""
    return F.cross_entropy(F.linear(hidden_NC, head_VC).float(), targets_N, ignore_index=-1, reduction="sum")
