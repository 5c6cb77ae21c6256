"""Parameter and FLOP counts from shapes alone, by every convention in use, and ladders of sensible shapes.

N is never bare: `total` counts every weight; `non_embedding` the matrices inside the blocks (Kaplan et al. 2020);
`with_head` adds the output head (the standard of Porian et al. 2024); `with_attention` adds to that the context ×
width × depth multiplications of the attention scores (Porian et al. 2024, appendix). Norm gains multiply no matrix:
only `total` has them.
"""

import math
from collections.abc import Sequence
from functools import cache
from typing import Literal, get_args

from isoloss.core.errors import InputError
from isoloss.core.frozen import Frozen
from isoloss.runs.spec import ModelSpec

ParamsConvention = Literal["total", "non_embedding", "with_head", "with_attention"]
FlopsConvention = Literal["total", "non_embedding", "with_head", "with_attention", "exact"]
PARAMS_CONVENTIONS: tuple[ParamsConvention, ...] = get_args(ParamsConvention)
DEFAULT_CONVENTION: ParamsConvention = "with_head"

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
    block_matrices = 4 * model.width**2 + 3 * model.width * model.ffn
    gains = (2 * model.depth + 1) * model.width
    embedding = model.vocab_size * model.width
    non_embedding = model.depth * block_matrices
    return Counts(
        total=non_embedding + gains + embedding * (1 if model.tied else 2),
        embedding=embedding,
        head=embedding,
        non_embedding=non_embedding,
        attention=model.context * model.width * model.depth,
        exact_flops_per_token=_exact_flops_per_token(model),
    )


def _exact_flops_per_token(model: ModelSpec) -> float:
    """Forward and backward FLOPs per token, term by term as Hoffmann et al. 2022, appendix F, with a gated FFN."""
    s, w = model.context, model.width
    embedding = 2 * model.vocab_size * w
    projections = 2 * 4 * w * w
    scores_and_reduction = 2 * 2 * s * w
    softmax = 3 * model.heads * s
    dense = 2 * 3 * w * model.ffn
    head = 2 * w * model.vocab_size
    forward = embedding + model.depth * (projections + scores_and_reduction + softmax + dense) + head
    return 3.0 * forward


def ladder(
    targets: Sequence[float],
    *,
    vocab_size: int,
    context: int,
    tied: bool,
    family: Literal["llama"] = "llama",
    convention: ParamsConvention = DEFAULT_CONVENTION,
) -> list[ModelSpec]:
    """Return one sensible shape per target size, each within 5 % of it.

    Among the shapes that near, the one whose width and depth are most usual wins. Raises InputError where the
    vocabulary alone is larger than a target, or no shape comes near.
    """
    return [_nearest_shape(t, vocab_size, context, tied, family, convention) for t in targets]


def _nearest_shape(
    target: float, vocab_size: int, context: int, tied: bool, family: Literal["llama"], convention: ParamsConvention
) -> ModelSpec:
    candidates = [
        ModelSpec(
            family=family, width=width, depth=depth, heads=heads_for(width), vocab_size=vocab_size, context=context,
            tied=tied, ffn=_fitting_ffn(target, width, depth, vocab_size, context, tied, convention),
        )
        for width in _widths(target)
        for depth in _depths(width)
    ]  # fmt: skip

    def miss(model: ModelSpec) -> float:
        return abs(math.log(count(model).params(convention) / target))

    close = [model for model in candidates if miss(model) <= math.log1p(LADDER_TOLERANCE)]
    if not close:
        best = min(candidates, key=miss)
        raise InputError(
            f"no {family} shape has {target:.3g} parameters ({convention}) at vocabulary {vocab_size}: "
            f"the nearest has {count(best).params(convention):.3g}",
            place="grid.params",
            fix="choose larger sizes, or a smaller vocabulary",
        )
    return min(close, key=lambda model: _oddness(model) + miss(model))


def _fitting_ffn(
    target: float, width: int, depth: int, vocab_size: int, context: int, tied: bool, convention: ParamsConvention
) -> int:
    """Return the FFN size, within 2.2 to 3.4 widths and in aligned steps, that brings the shape nearest to `target`."""
    step = 4 if width <= 64 else 8 if width <= 256 else 64
    least, most = math.ceil(2.2 * width / step) * step, math.floor(3.4 * width / step) * step
    smallest = ModelSpec(
        width=width, depth=depth, heads=1, ffn=least, vocab_size=vocab_size, context=context, tied=tied
    )
    lacking = (target - count(smallest).params(convention)) / (3 * width * depth)
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
    """How unusual a shape is: 0 for the usual depth and an FFN of 8/3 of the width."""
    return abs(math.log(model.depth / _usual_depth(model.width))) + abs(math.log(model.ffn / (8 / 3 * model.width)))
