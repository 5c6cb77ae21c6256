"""Parameter and FLOP counts from shapes alone, by every convention in use, and ladders of sensible shapes.

N is never bare: `total` counts every weight; `non_embedding` the matrices inside the blocks (Kaplan et al. 2020);
`with_head` adds the output head (the standard of Porian et al. 2024); `with_attention` adds to that the context ×
width × depth multiplications of the attention scores (Porian et al. 2024, appendix). Norm gains multiply no matrix:
only `total` has them.
"""

import math
from collections.abc import Sequence
from functools import cache
from typing import Literal, NamedTuple, get_args

from isoloss.core.errors import InputError
from isoloss.core.frozen import Frozen
from isoloss.runs.spec import Family, ModelSpec

ParamsConvention = Literal["total", "non_embedding", "with_head", "with_attention"]
FlopsConvention = Literal["total", "non_embedding", "with_head", "with_attention", "exact"]
PARAMS_CONVENTIONS: tuple[ParamsConvention, ...] = get_args(ParamsConvention)
DEFAULT_CONVENTION: ParamsConvention = "with_head"
EXACT: Literal["exact"] = "exact"

LADDER_TOLERANCE = 0.05


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
        match convention:
            case "total":
                return self.total
            case "non_embedding":
                return self.non_embedding
            case "with_head":
                return self.non_embedding + self.head
            case "with_attention":
                return self.non_embedding + self.head + self.attention

    def flops_per_token(self, convention: FlopsConvention = DEFAULT_CONVENTION) -> float:
        """Return training FLOPs per token: 6 × N by `convention`, or layer by layer for `exact`."""
        return self.exact_flops_per_token if convention == "exact" else 6.0 * self.params(convention)


def count(model: ModelSpec) -> Counts:
    """Return the counts of `model` without building it; equal to the built model's `numel`."""
    non_embedding = model.depth * (_attention_matrices(model) + 3 * model.width * model.ffn)
    embedding = model.vocab_size * model.width
    return Counts(
        total=non_embedding + _norm_vectors(model) * model.width + embedding * (1 if model.tied else 2),
        embedding=embedding,
        head=embedding,
        non_embedding=non_embedding,
        attention=model.context * model.width * model.depth,
        exact_flops_per_token=3.0 * sum(forward_flops(model)),
    )


def _attention_matrices(model: ModelSpec) -> int:
    return 2 * model.width * (model.width + model.kv_width)


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
    """Return what a token costs on its way forth, layer by layer; the way back costs twice that."""
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


def ladder(
    targets: Sequence[float],
    *,
    vocab_size: int,
    context: int,
    tied: bool,
    family: Family = "llama",
    qk_norm: bool = False,
    convention: ParamsConvention = DEFAULT_CONVENTION,
) -> list[ModelSpec]:
    """Return one sensible shape per target size, each within 5 % of it.

    Among the shapes that near, the one whose width and depth are most usual wins. Raises InputError where the
    vocabulary alone is larger than a target, or no shape comes near.
    """
    smallest = ModelSpec(
        family=family, width=8, depth=1, heads=1, ffn=1, vocab_size=vocab_size, context=context, tied=tied,
        qk_norm=qk_norm,
    )  # fmt: skip
    return [_nearest_shape(smallest, target, convention) for target in targets]


def _nearest_shape(like: ModelSpec, target: float, convention: ParamsConvention) -> ModelSpec:
    """Return the shape for one target, with all of `like` but width, depth, heads and FFN."""
    candidates = [
        _shape(like, width, depth, target, convention) for width in _widths(target) for depth in _depths(width)
    ]

    def miss(model: ModelSpec) -> float:
        return abs(math.log(count(model).params(convention) / target))

    close = [model for model in candidates if miss(model) <= math.log1p(LADDER_TOLERANCE)]
    if not close:
        best = min(candidates, key=miss)
        raise InputError(
            f"no {like.family} shape has {target:.3g} parameters ({convention}) at vocabulary {like.vocab_size}: "
            f"the nearest has {count(best).params(convention):.3g}",
            place="grid.params",
            fix="choose larger sizes, or a smaller vocabulary",
        )
    return min(close, key=lambda model: _oddness(model) + miss(model))


def _shape(like: ModelSpec, width: int, depth: int, target: float, convention: ParamsConvention) -> ModelSpec:
    chosen = {"width": width, "depth": depth, "heads": heads_for(width), "ffn": openlm_ffn(width)}
    if like.family == "llama":
        chosen["ffn"] = _fitting_ffn(like.model_copy(update=chosen), target, convention)
    return like.model_copy(update=chosen)


def _fitting_ffn(model: ModelSpec, target: float, convention: ParamsConvention) -> int:
    """Return the FFN size, within 2.2 to 3.4 widths and in aligned steps, that brings `model` nearest to `target`."""
    width = model.width
    step = 4 if width <= 64 else 8 if width <= 256 else 64
    least, most = math.ceil(2.2 * width / step) * step, math.floor(3.4 * width / step) * step
    smallest = count(model.model_copy(update={"ffn": least})).params(convention)
    lacking = (target - smallest) / (3 * width * model.depth)
    return min(max(least, least + round(lacking / step) * step), most)


@cache
def heads_for(width: int) -> int:
    """Return the number of heads nearest to one per 32 dimensions that splits `width` into even heads."""
    fitting = [h for h in range(1, width + 1) if width % h == 0 and (width // h) % 2 == 0]
    return min(fitting, key=lambda h: abs(math.log(width / h / 32)))


def _widths(target: float) -> list[int]:
    """Widths a model of `target` weights may have: finely spaced while small, multiples of 64 later."""
    # 12 w² weights a layer and w / 50 layers give w³ = 50 N / 12; twice that width leaves no sensible depth.
    largest = 16 + int(2 * (50 * target / 12) ** (1 / 3))
    fine = list(range(8, min(largest, 128) + 1, 4))
    coarse = list(range(144, min(largest, 512) + 1, 16))
    wide = list(range(576, largest + 1, 64))
    return fine + coarse + wide


def _depths(width: int) -> range:
    usual = _usual_depth(width)
    return range(max(1, round(usual / 2)), max(2, round(usual * 2)) + 1)


def _usual_depth(width: int) -> float:
    """Depth by the published ladders: 2 layers at width 64, 10 at 512, 20 at 1024; never under 2."""
    return max(2.0, width / 50)


def _oddness(model: ModelSpec) -> float:
    """How unusual a shape is: 0 for the usual depth and an FFN of 8/3 of the width.

    OpenLM's narrow models have FFNs of up to 32 widths, for it is a multiple of 256: width decides there, not depth.
    """
    return abs(math.log(model.depth / _usual_depth(model.width))) + abs(math.log(model.ffn / (8 / 3 * model.width)))
