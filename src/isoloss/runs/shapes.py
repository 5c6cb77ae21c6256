"""Parameter and FLOP counts from shapes alone, by every convention in use.

N is never bare: `total` counts every weight; `non_embedding` the matrices inside the blocks (Kaplan et al. 2020);
`with_head` adds the output head (the standard of Porian et al. 2024); `with_attention` adds to that the context ×
width × depth multiplications of the attention scores (Porian et al. 2024, appendix). Norm gains multiply no matrix:
only `total` has them.
"""

import math
from functools import lru_cache
from typing import Literal, NamedTuple, get_args

from isoloss.core.frozen import Frozen
from isoloss.runs.spec import ModelSpec

ParamsConvention = Literal["total", "non_embedding", "with_head", "with_attention"]
FlopsConvention = Literal["total", "non_embedding", "with_head", "with_attention", "exact"]
PARAMS_CONVENTIONS: tuple[ParamsConvention, ...] = get_args(ParamsConvention)
DEFAULT_CONVENTION: ParamsConvention = "with_head"
EXACT: Literal["exact"] = "exact"


class Counts(Frozen):
    """Weights of a model by part. `head` is counted in `total` only where it is a matrix of its own (untied)."""

    total: int
    embedding: int
    head: int
    non_embedding: int
    attention: int
    exact_flops_per_token: float

    def params(self, convention: ParamsConvention = DEFAULT_CONVENTION) -> int:
        """Return N by `convention`."""
        return {
            "total": self.total,
            "non_embedding": self.non_embedding,
            "with_head": self.non_embedding + self.head,
            "with_attention": self.non_embedding + self.head + self.attention,
        }[convention]

    def flops_per_token(self, convention: FlopsConvention = DEFAULT_CONVENTION) -> float:
        """Return training FLOPs per token: 6 × N by `convention`, or layer by layer for `exact`."""
        return self.exact_flops_per_token if convention == "exact" else 6.0 * self.params(convention)


@lru_cache(maxsize=4096)
def count(model: ModelSpec) -> Counts:
    """Return the counts of `model` without building it; equal to the built model's `numel`."""
    attention = 2 * model.width * (model.width + model.kv_width)
    non_embedding = model.depth * (attention + 3 * model.width * model.ffn)
    embedding = model.vocab_size * model.width
    return Counts(
        total=non_embedding + _norm_vectors(model) * model.width + embedding * (1 if model.tied else 2),
        embedding=embedding,
        head=embedding,
        non_embedding=non_embedding,
        attention=model.context * model.width * model.depth,
        exact_flops_per_token=3.0 * sum(forward_flops(model)),
    )


def _norm_vectors(model: ModelSpec) -> int:
    """Vectors of `width` weights: an RMSNorm has a gain, a LayerNorm a gain and a bias."""
    norms = model.depth * (4 if model.qk_norm else 2) + 1
    return norms * (2 if model.family == "openlm" else 1)


class ForwardFlops(NamedTuple):
    """Forward FLOPs per token of each kind of layer, all blocks together, as in Hoffmann et al. 2022, appendix F.

    A multiplication and an addition count two. The embedding is a product with a one-hot vector there; norms,
    activations and the residual stream are left out.
    """

    embedding: float
    queries_keys_values: float
    attention_scores: float
    attention_softmax: float
    attention_reduction: float
    attention_out: float
    ffn: float  # three matrices, for it is gated; the appendix has two
    head: float


def forward_flops(model: ModelSpec) -> ForwardFlops:
    """Return what a token costs on the forward pass, layer by layer; the backward pass costs twice that."""
    s, w, layers = model.context, model.width, model.depth
    return ForwardFlops(
        embedding=2 * model.vocab_size * w,
        queries_keys_values=layers * 2 * w * (w + 2 * model.kv_width),
        attention_scores=layers * 2 * s * w,
        attention_softmax=layers * 3 * model.heads * s,
        attention_reduction=layers * 2 * s * w,
        attention_out=layers * 2 * w * w,
        ffn=layers * 2 * 3 * w * model.ffn,
        head=2 * w * model.vocab_size,
    )


def openlm_ffn(width: int) -> int:
    """Return the hidden size of OpenLM's gated FFN: 8/3 of the width, rounded down, then up to a multiple of 256."""
    return 256 * math.ceil(8 * width // 3 / 256)
