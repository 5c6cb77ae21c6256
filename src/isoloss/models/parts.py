"""What a transformer is made of, and the shape of what passes through it.

Legend: B windows, T positions, K dimensions of a head, C width, F hidden size of the FFN, V vocabulary, N = B · T rows.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

RMS_EPS = 1e-6  # transformers' LlamaConfig.rms_norm_eps
LAYER_NORM_EPS = 1e-5  # OpenLM's, and torch's


class BlockWeights(NamedTuple):
    """The weights of one block; queries, keys and values stand in one matrix, gate and up in another.

    A norm with a bias is a LayerNorm, one without an RMSNorm. Where heads share keys and values, `qkv` has fewer rows.
    """

    attention_norm: Tensor  # (C,)
    qkv: Tensor  # (3 C, C)
    attention_out: Tensor  # (C, C)
    ffn_norm: Tensor  # (C,)
    gate_up: Tensor  # (2 F, C)
    down: Tensor  # (C, F)
    attention_norm_bias: Tensor | None = None  # (C,)
    ffn_norm_bias: Tensor | None = None
    q_norm: Tensor | None = None
    q_norm_bias: Tensor | None = None
    k_norm: Tensor | None = None
    k_norm_bias: Tensor | None = None


class Weights(NamedTuple):
    """The weights of a model; `head` is `embedding` itself where the two are tied."""

    embedding: Tensor  # (V, C)
    norm: Tensor  # (C,)
    head: Tensor  # (V, C)
    blocks: tuple[BlockWeights, ...]
    norm_bias: Tensor | None = None


class Geometry(NamedTuple):
    """How columns fall into heads, the angles by which positions turn, and what keeps a norm from dividing by zero."""

    heads: int
    kv_heads: int
    cos_TK: Tensor  # (context, K / 2)
    sin_TK: Tensor
    norm_eps: float


class Summed(NamedTuple):
    """What is minimised, summed over scored positions, and the loss alone, of which no gradient is taken; in nats."""

    objective: Tensor
    nats: Tensor


class Rotary(nn.Module):
    """Rotary position embedding (Su et al. 2021): cosines and sines of position × frequency, (context, K / 2) each."""

    cos_TK: Tensor
    sin_TK: Tensor

    def __init__(self, *, context: int, head_dims: int, theta: float) -> None:
        super().__init__()
        # Written as transformers writes it: the last bit of a frequency is 1e-5 of an angle at position 200.
        frequencies = 1.0 / theta ** (torch.arange(0, head_dims, 2, dtype=torch.float32) / head_dims)
        angles_TK = torch.outer(torch.arange(context, dtype=torch.float32), frequencies)
        # Constants, not weights: they stay out of the state.
        self.register_buffer("cos_TK", angles_TK.cos(), persistent=False)
        self.register_buffer("sin_TK", angles_TK.sin(), persistent=False)


def next_tokens(tokens_BT: Tensor) -> Tensor:
    """Return the target of every row, -1 for the last of each window: (N,)."""
    targets_BT = torch.full_like(tokens_BT, -1)
    targets_BT[:, :-1] = tokens_BT[:, 1:]
    return targets_BT.flatten()
