"""Ladders of models: one sensible shape for every size that is asked for.

Two rules say what is usual. Below 1e8 parameters: heads of 32 and width / 50 layers, by the published ladders of small
models (the gzip paper's six, Porian et al.'s sixteen). From there on as large models are shaped (Brown et al. 2020,
arXiv:2005.14165, table 2.1; Hoffmann et al. 2022, arXiv:2203.15556, table A9; Touvron et al. 2023, arXiv:2302.13971,
table 2; Llama 3, arXiv:2407.21783, table 3): heads of 64, later of 128, in fours where there are many, and a ratio of
width to depth that rises from 64 at a width of 768 to 128 at 4,096 and stays there. Within that range loss hardly
depends on it (Kaplan et al. 2020, arXiv:2001.08361, figure 5).
"""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import NamedTuple

from isoloss.core.errors import InputError
from isoloss.runs.shapes import DEFAULT_CONVENTION, ParamsConvention, count, openlm_ffn
from isoloss.runs.spec import Family, ModelSpec

LADDER_TOLERANCE = 0.05
LARGE_FROM = 1e8  # smaller shapes are part of the identity of runs that are archived
LONG_HEADS_FROM = 2560  # width: GPT-3 has heads of 64 at 2,048, of 80 at 2,560, of 128 from 4,096 on
FFN = 8 / 3  # of the width: as many weights as an ungated FFN of 4 widths (Shazeer 2020, arXiv:2002.05202)


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


class _Rule(NamedTuple):
    """What is usual at some scale, by width; `places` are the widths and depths worth a look for a target."""

    places: Callable[[ModelSpec, float, ParamsConvention], Iterator[tuple[int, int]]]
    usual_depth: Callable[[int], float]
    heads: Callable[[int], int]
    ffn_step: Callable[[int], int]


def _nearest_shape(like: ModelSpec, target: float, convention: ParamsConvention) -> ModelSpec:
    """Return the shape for one target, with all of `like` but width, depth, heads and FFN."""
    # A large model that is mostly vocabulary is narrow, as small ones are.
    rules = (LARGE, SMALL) if target >= LARGE_FROM else (SMALL,)
    seen: list[ModelSpec] = []

    def miss(model: ModelSpec) -> float:
        return abs(math.log(count(model).params(convention) / target))

    for rule in rules:
        candidates = [
            _shape(like, rule, width, depth, target, convention)
            for width, depth in rule.places(like, target, convention)
        ]
        scores = {
            i: _oddness(model, rule) + off
            for i, model in enumerate(candidates)
            if (off := miss(model)) <= math.log1p(LADDER_TOLERANCE)
        }
        if scores:
            return candidates[min(scores, key=scores.__getitem__)]
        seen += candidates
    best = min(seen, key=miss)
    raise InputError(
        f"no {like.family} shape has {target:.3g} parameters ({convention}) at vocabulary {like.vocab_size}: "
        f"the nearest has {count(best).params(convention):.3g}",
        place="grid.params",
        fix="choose larger sizes, or a smaller vocabulary",
    )


def _shape(
    like: ModelSpec, rule: _Rule, width: int, depth: int, target: float, convention: ParamsConvention
) -> ModelSpec:
    model = like.model_copy(
        update={"width": width, "depth": depth, "heads": rule.heads(width), "ffn": openlm_ffn(width)}
    )
    if like.family != "llama":
        return model
    return model.model_copy(update={"ffn": _fitting_ffn(model, rule.ffn_step(width), target, convention)})


def _fitting_ffn(model: ModelSpec, step: int, target: float, convention: ParamsConvention) -> int:
    """Return the FFN size, within 2.2 to 3.4 widths and in aligned steps, that brings `model` nearest to `target`."""
    width = model.width
    least, most = math.ceil(2.2 * width / step) * step, math.floor(3.4 * width / step) * step
    smallest = count(model.model_copy(update={"ffn": least})).params(convention)
    lacking = (target - smallest) / (3 * width * model.depth)
    return min(max(least, least + round(lacking / step) * step), most)


def _oddness(model: ModelSpec, rule: _Rule) -> float:
    """How unusual a shape is: 0 for the usual depth and an FFN of 8/3 of the width.

    OpenLM's narrow models have FFNs of up to 32 widths, for it is a multiple of 256: width decides there, not depth.
    """
    return abs(math.log(model.depth / rule.usual_depth(model.width))) + abs(math.log(model.ffn / (FFN * model.width)))


def _small_places(like: ModelSpec, target: float, convention: ParamsConvention) -> Iterator[tuple[int, int]]:
    """Yield every width, finely spaced while small, multiples of 64 later, with half to twice its usual depth."""
    # 12 w² weights a layer and w / 50 layers give w³ = 50 N / 12; twice that width leaves no sensible depth.
    largest = 16 + int(2 * (50 * target / 12) ** (1 / 3))
    fine = range(8, min(largest, 128) + 1, 4)
    coarse = range(144, min(largest, 512) + 1, 16)
    wide = range(576, largest + 1, 64)
    for width in (*fine, *coarse, *wide):
        usual = _small_depth(width)
        for depth in range(max(1, round(usual / 2)), max(2, round(usual * 2)) + 1):
            yield width, depth


def _small_depth(width: int) -> float:
    """Depth by the published ladders: 2 layers at width 64, 10 at 512, 20 at 1024; never under 2."""
    return max(2.0, width / 50)


@cache
def _small_heads(width: int) -> int:
    """Return the number of heads nearest to one per 32 dimensions that splits `width` into even heads."""
    fitting = [h for h in range(1, width + 1) if width % h == 0 and (width // h) % 2 == 0]
    return min(fitting, key=lambda h: abs(math.log(width / h / 32)))


def _small_ffn_step(width: int) -> int:
    return 4 if width <= 64 else 8 if width <= 256 else 64


def _large_places(like: ModelSpec, target: float, convention: ParamsConvention) -> Iterator[tuple[int, int]]:
    """Yield widths with the depths, of half to twice the usual one, that bring them to the target from both sides."""
    largest = 1.3 * (128 * target / 12) ** (1 / 3)  # 12 w² weights a layer, and w / 256 layers at least
    width = 256
    while width <= largest:
        ffn = openlm_ffn(width) if like.family == "openlm" else round(FFN * width)
        shape = {"width": width, "heads": width // 64, "ffn": ffn}
        one, two = (count(like.model_copy(update={**shape, "depth": depth})).params(convention) for depth in (1, 2))
        layers = 1 + (target - one) / (two - one)
        for depth in (math.floor(layers), math.ceil(layers)):
            if 0.5 <= depth / _large_depth(width) <= 2:
                yield width, depth
        width += _large_step(width)


def _large_step(width: int) -> int:
    """Return the distance of widths: two heads, later four, and more beyond 32,768: no octave has more than 32."""
    return max(128 if width < 1024 else 256 if width < LONG_HEADS_FROM else 512, 1 << max(width.bit_length() - 6, 0))


def _large_depth(width: int) -> float:
    """Depth by width / depth of 64 up to a width of 768, and 128 from 4,096 on; see the head of this file.

    Published: 768 × 12, 1536 × 24, 2048 × 24, 2560 × 32, 4096 × 32, 5120 × 40, 6656 × 60, 8192 × 80, 12288 × 96,
    16384 × 126: all within a third of this. Never under 2.
    """
    share = math.log(max(width / 768, 1)) / math.log(4096 / 768)
    return max(2.0, width / (64 * 2 ** min(share, 1)))


def _large_heads(width: int) -> int:
    """Heads of 64 dimensions, and of 128 in wide models (GPT-3's and Llama's largest have no others)."""
    return width // (64 if width < LONG_HEADS_FROM else 128)


def _large_ffn_step(width: int) -> int:
    return 128 if width < 2048 else 256


SMALL = _Rule(places=_small_places, usual_depth=_small_depth, heads=_small_heads, ffn_step=_small_ffn_step)
LARGE = _Rule(places=_large_places, usual_depth=_large_depth, heads=_large_heads, ffn_step=_large_ffn_step)
