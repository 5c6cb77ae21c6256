"""The `llama` family: a decoder with RMSNorm, rotary positions, SwiGLU and no biases (Touvron et al. 2023).

Weights and loss are those of transformers' LlamaForCausalLM; queries, keys and values are one matrix here, gate and up
another (`exchange` converts).

Legend: B windows, T positions, C width, F hidden size of the FFN, V vocabulary, N = B · T rows.
"""

import math
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from isoloss.models.rotary import Rotary
from isoloss.runs.spec import ModelSpec


class Operations(Protocol):
    """What a transformer does between its matrix products; `plain` and `fused` are the two ways to do it."""

    def rms_norm(self, x_NC: Tensor, gain_C: Tensor) -> Tensor:
        """Return rows of unit root mean square, times a gain."""

    def attention(self, qkv_BT3C: Tensor, rotary: Rotary, *, heads: int) -> Tensor:
        """Return causal self-attention."""

    def swiglu(self, gate_up_N2F: Tensor) -> Tensor:
        """Return silu(gate) · up."""

    def token_nats(self, hidden_NC: Tensor, head_VC: Tensor, targets_N: Tensor) -> Tensor:
        """Return the loss of every row."""

    def summed_nats(self, hidden_NC: Tensor, head_VC: Tensor, targets_N: Tensor) -> Tensor:
        """Return the summed loss of all rows."""


class Block(nn.Module):
    """Attention, then a gated FFN, each on normalised input and added to the stream."""

    def __init__(self, spec: ModelSpec, ops: Operations) -> None:
        super().__init__()
        self.ops, self.heads = ops, spec.heads
        self.attention_norm = nn.Parameter(torch.empty(spec.width))
        self.qkv = nn.Parameter(torch.empty(3 * spec.width, spec.width))
        self.attention_out = nn.Parameter(torch.empty(spec.width, spec.width))
        self.ffn_norm = nn.Parameter(torch.empty(spec.width))
        self.gate_up = nn.Parameter(torch.empty(2 * spec.ffn, spec.width))
        self.down = nn.Parameter(torch.empty(spec.width, spec.ffn))

    def forward(self, x_NC: Tensor, rotary: Rotary, windows: int) -> Tensor:
        """Return the stream after the block."""
        qkv_N3C = F.linear(self.ops.rms_norm(x_NC, self.attention_norm), self.qkv)
        attended_BTC = self.ops.attention(qkv_N3C.view(windows, -1, qkv_N3C.shape[1]), rotary, heads=self.heads)
        x_NC = torch.addmm(x_NC, attended_BTC.flatten(0, 1), self.attention_out.t())
        gate_up_N2F = F.linear(self.ops.rms_norm(x_NC, self.ffn_norm), self.gate_up)
        return torch.addmm(x_NC, self.ops.swiglu(gate_up_N2F), self.down.t())


class Llama(nn.Module):
    """A language model. Calling it returns the summed next-token loss of windows, in nats."""

    def __init__(self, spec: ModelSpec, ops: Operations) -> None:
        super().__init__()
        self.ops = ops
        self.embedding = nn.Parameter(torch.empty(spec.vocab_size, spec.width))
        self.blocks = nn.ModuleList(Block(spec, ops) for _ in range(spec.depth))
        self.norm = nn.Parameter(torch.empty(spec.width))
        self.head = self.embedding if spec.tied else nn.Parameter(torch.empty(spec.vocab_size, spec.width))
        self.rotary = Rotary(context=spec.context, head_dims=spec.width // spec.heads)

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

    def hidden(self, tokens_BT: Tensor) -> Tensor:
        """Return the normalised stream before the head, (N, C)."""
        x_NC = F.embedding(tokens_BT.flatten(), self.embedding)
        for block in self.blocks:
            x_NC = block(x_NC, self.rotary, len(tokens_BT))
        return self.ops.rms_norm(x_NC, self.norm)

    def forward(self, tokens_BT: Tensor) -> Tensor:
        """Return the summed loss of positions 2…T of every window."""
        return self.ops.summed_nats(self.hidden(tokens_BT), self.head, next_tokens(tokens_BT))

    @torch.no_grad()
    def token_nats(self, tokens_BT: Tensor) -> Tensor:
        """Return the loss of positions 2…T of every window, (B, T - 1), float64."""
        nats_N = self.ops.token_nats(self.hidden(tokens_BT), self.head, next_tokens(tokens_BT))
        return nats_N.view(tokens_BT.shape)[:, :-1]

    def logits(self, tokens_BT: Tensor) -> Tensor:
        """Return next-token logits at every position, (B, T, V)."""
        return F.linear(self.hidden(tokens_BT), self.head).view(*tokens_BT.shape, -1)


def next_tokens(tokens_BT: Tensor) -> Tensor:
    """Return the target of every row, -1 for the last of each window: (N,)."""
    targets_BT = torch.full_like(tokens_BT, -1)
    targets_BT[:, :-1] = tokens_BT[:, 1:]
    return targets_BT.flatten()
