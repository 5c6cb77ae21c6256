"""The `llama` family: a decoder with RMSNorm, rotary positions, SwiGLU and no biases (Touvron et al. 2023).

Weights and loss are those of transformers' LlamaForCausalLM; queries, keys and values are one matrix here, gate and up
another (`exchange` converts).

Legend: B windows, T positions, C width, F hidden size of the FFN, V vocabulary, N = B · T rows.
"""

import math
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from isoloss.models import plain
from isoloss.models.parts import RMS_EPS, BlockWeights, Geometry, Rotary, Summed, Weights
from isoloss.runs.spec import ModelSpec


class Operations(Protocol):
    """How a transformer is computed; `plain` and `fused` are the two ways."""

    TOKENS_AT_ONCE: dict[str, int]  # by type of device

    def summed_nats(
        self, tokens_BT: Tensor, weights: Weights, geometry: Geometry, *, z_loss: float, recompute: bool
    ) -> Summed:
        """Return objective and loss of positions 2…T of every window, summed."""

    def token_nats(self, tokens_BT: Tensor, weights: Weights, geometry: Geometry) -> Tensor:
        """Return the loss of every row, 0 for the last of each window."""


class Block(nn.Module):
    """Attention, then a gated FFN."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.attention_norm = nn.Parameter(torch.empty(spec.width))
        self.qkv = nn.Parameter(torch.empty(spec.width + 2 * spec.kv_width, spec.width))
        self.attention_out = nn.Parameter(torch.empty(spec.width, spec.width))
        self.ffn_norm = nn.Parameter(torch.empty(spec.width))
        self.gate_up = nn.Parameter(torch.empty(2 * spec.ffn, spec.width))
        self.down = nn.Parameter(torch.empty(spec.width, spec.ffn))

    def weights(self) -> BlockWeights:
        """Return the block's weights by name."""
        return BlockWeights(**dict(self.named_parameters()))

    def forward(self, x_NC: Tensor, geometry: Geometry, windows: int) -> Tensor:
        """Return the stream after the block, computed by `plain`; gains and biases as exact as the stream."""
        exact = {name: w.to(x_NC.dtype) if w.ndim == 1 else w for name, w in self.named_parameters()}
        return plain.block(x_NC, BlockWeights(**exact), geometry, windows)


class Llama(nn.Module):
    """A language model. Calling it returns the summed next-token loss of windows, in nats."""

    block: type[Block] = Block
    norm_eps = RMS_EPS

    def __init__(self, spec: ModelSpec, ops: Operations, *, recompute: bool = False) -> None:
        super().__init__()
        self.spec, self.ops, self.recompute = spec, ops, recompute
        self.embedding = nn.Parameter(torch.empty(spec.vocab_size, spec.width))
        self.blocks = nn.ModuleList(self.block(spec) for _ in range(spec.depth))
        self.norm = nn.Parameter(torch.empty(spec.width))
        self.head = self.embedding if spec.tied else nn.Parameter(torch.empty(spec.vocab_size, spec.width))
        self.rotary = Rotary(context=spec.context, head_dims=spec.width // spec.heads, theta=spec.rope_theta)

    @torch.no_grad()
    def initialise(self, generator: torch.Generator) -> None:
        """Draw every matrix from a normal of standard deviation √(2 / 5 width); set every norm gain to 1.

        SmallInit (Nguyen & Salazar 2019): at widths of a hundred and less it is .06 to .16, where GPT-2's .02 loses up
        to .3 nats after a hundred steps and breaks at high rates (docs/log). What a block adds to the stream starts
        smaller by √(2 depth) (Radford et al. 2019).
        """
        width = self.norm.numel()
        for name, weight in self.named_parameters():
            std = math.sqrt(2 / (5 * width))
            if name.endswith(("attention_out", "down")):
                std /= math.sqrt(2 * len(self.blocks))
            if weight.ndim == 1:
                weight.fill_(1.0)
            else:
                weight.copy_(torch.empty(weight.shape).normal_(0.0, std, generator=generator))

    def forward(self, tokens_BT: Tensor, z_loss: float = 0.0) -> Summed:
        """Return objective and loss of positions 2…T of every window, summed."""
        return self.ops.summed_nats(tokens_BT, self.weights(), self.geometry(), z_loss=z_loss, recompute=self.recompute)

    @torch.no_grad()
    def token_nats(self, tokens_BT: Tensor) -> Tensor:
        """Return the loss of positions 2…T of every window, (B, T - 1), float64."""
        nats_N = self.ops.token_nats(tokens_BT, self.weights(), self.geometry())
        return nats_N.view(tokens_BT.shape)[:, :-1]

    def logits(self, tokens_BT: Tensor) -> Tensor:
        """Return next-token logits at every position, (B, T, V)."""
        return plain.logits(tokens_BT, self.weights(), self.geometry()).view(*tokens_BT.shape, -1)

    def windows_at_once(self, micro_batch_tokens: int | None = None) -> int:
        """Return how many windows pass through at once, at most `micro_batch_tokens` if given.

        A batch of more is summed over passes.
        """
        usual = self.ops.TOKENS_AT_ONCE[self.embedding.device.type]
        return max(1, (micro_batch_tokens or usual) // self.spec.context)

    def weights(self) -> Weights:
        """Return the weights by name."""
        blocks = tuple(cast(Block, block).weights() for block in self.blocks)
        return Weights(self.embedding, self.norm, self.head, blocks)

    def geometry(self) -> Geometry:
        """Return how columns fall into heads, by which angles positions turn, and the norms' epsilon."""
        spec = self.spec
        return Geometry(
            heads=spec.heads, kv_heads=spec.kv_heads or spec.heads, cos_TK=self.rotary.cos_TK,
            sin_TK=self.rotary.sin_TK, norm_eps=spec.norm_eps or self.norm_eps,
        )  # fmt: skip
