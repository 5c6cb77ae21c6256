"""The `openlm` family, as Porian et al. 2024 trained: a llama with LayerNorm, gain and bias, in place of RMSNorm.

`qk_norm` puts the same norm over all queries and over all keys, before they turn (Dehghani et al. 2023; OpenLM).
"""

import math

import torch
from torch import nn

from isoloss.models.llama import Block, Llama, Operations
from isoloss.models.parts import LAYER_NORM_EPS, Weights
from isoloss.runs.spec import ModelSpec


class OpenLMBlock(Block):
    """Attention, then a gated FFN, behind LayerNorms."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        names = ["attention_norm_bias", "ffn_norm_bias"]
        if spec.qk_norm:
            names += ["q_norm", "q_norm_bias", "k_norm", "k_norm_bias"]
        for name in names:
            self.register_parameter(name, nn.Parameter(torch.empty(spec.width)))


class OpenLM(Llama):
    """A language model. Calling it returns the summed next-token loss of windows, in nats."""

    block = OpenLMBlock
    norm_eps = LAYER_NORM_EPS

    def __init__(self, spec: ModelSpec, ops: Operations, *, recompute: bool = False) -> None:
        super().__init__(spec, ops, recompute=recompute)
        self.norm_bias = nn.Parameter(torch.empty(spec.width))

    @torch.no_grad()
    def initialise(self, generator: torch.Generator) -> None:
        """Draw every matrix from a normal cut off at 3 standard deviations, of 1 / √inputs; norms start as identities.

        What block l = 1, 2, … adds to the stream starts smaller by √(2 l) (Zhang et al. 2019, arXiv:1908.11365). As in
        OpenLM's code, embedding and head too start at 1 / √width.
        """
        for name, weight in self.named_parameters():
            if weight.ndim == 1:
                weight.fill_(0.0 if name.endswith("bias") else 1.0)
                continue
            std = 1 / math.sqrt(weight.shape[1])
            if name.endswith(("attention_out", "down")):
                std /= math.sqrt(2 * (int(name.split(".")[1]) + 1))
            nn.init.trunc_normal_(weight, std=std, a=-3 * std, b=3 * std, generator=generator)

    def weights(self) -> Weights:
        """Return the weights by name."""
        return super().weights()._replace(norm_bias=self.norm_bias)
