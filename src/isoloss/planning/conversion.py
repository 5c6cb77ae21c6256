"""A plan given by another way of counting parameters.

No factor converts a size: what embedding, head and attention add depends on the shape. So a size is converted by the
real shape that a ladder has for it: N counted the other way is N times the ratio of that shape's two counts. The ends
of an interval are converted by the shapes at the ends. The law stays in its own convention, and so does the question.
"""

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast, get_args

from isoloss.core.errors import InputError
from isoloss.core.estimate import Estimate
from isoloss.core.plain_json import Plain
from isoloss.runs.ladders import ladder
from isoloss.runs.shapes import Counts, ParamsConvention, count


@dataclass(frozen=True, kw_only=True)
class Shapes:
    """What the real shapes of a plan share: `vocab_size`, `context`, `tied`, and how the law counts N.

    Where the vocabulary or the law's convention is not known there are no shapes, and a conversion is refused.
    """

    params_convention: str
    vocab_size: int | None
    context: int
    tied: bool


@dataclass(frozen=True, kw_only=True)
class Converted(Plain):
    """A plan's parameters, its FLOPs (6 · N · D) and ln(D/N), with N counted by `params_convention`."""

    params_convention: ParamsConvention
    params: Estimate
    flops: Estimate
    log_ratio: Estimate


def converted(
    to: ParamsConvention, *, params: Estimate, flops: Estimate, log_ratio: Estimate, shapes: Shapes
) -> Converted:
    """Return a plan's numbers with N counted by `to`. Raises InputError where no real shape can tell them.

    An end of N that no shape comes near has no counterpart. The ends of ln(D/N) go with the opposite ends of N: of one
    budget, the larger model has fewer tokens a parameter.
    """
    own = _own_convention(to, shapes)

    def ratio(size: float) -> float:
        counts = _counts(size, own, shapes)
        return counts.params(to) / counts.params(own)

    def ratio_at_end(size: float | None) -> float | None:
        try:
            return None if size is None else ratio(size)
        except InputError:
            return None

    ratios = replace(params, value=ratio(params.value), low=ratio_at_end(params.low), high=ratio_at_end(params.high))
    logs = replace(
        ratios, value=math.log(ratios.value), low=ratios.high and math.log(ratios.high),
        high=ratios.low and math.log(ratios.low),
    )  # fmt: skip
    return Converted(
        params_convention=to,
        params=_combined(params, ratios, operator.mul),
        flops=_combined(flops, ratios, operator.mul),
        log_ratio=_combined(log_ratio, logs, operator.sub),
    )


def _own_convention(to: ParamsConvention, shapes: Shapes) -> ParamsConvention:
    place = "--params-convention"
    if to not in (known := get_args(ParamsConvention)):
        raise InputError(f"unknown convention {to!r}", place=place, fix=f"known: {', '.join(known)}")
    if shapes.params_convention not in known:
        raise InputError(
            f"the law counts parameters in an unknown way ({shapes.params_convention}), which cannot be converted",
            place=place, fix=f"fit it with --params-convention {' | '.join(known)}",
        )  # fmt: skip
    if shapes.vocab_size is None:
        raise InputError(
            f"the vocabulary size is not known, and {to} differs from {shapes.params_convention} by an amount that "
            "depends on it",
            place=place, fix="name the tokenizer",
        )  # fmt: skip
    return cast(ParamsConvention, shapes.params_convention)


def _counts(size: float, own: ParamsConvention, shapes: Shapes) -> Counts:
    assert shapes.vocab_size is not None
    (model,) = ladder([size], vocab_size=shapes.vocab_size, context=shapes.context, tied=shapes.tied, convention=own)
    return count(model)


def _combined(estimate: Estimate, other: Estimate, by: Callable[[float, float], float]) -> Estimate:
    """Return value by value and end by end. Shapes come in steps, which may not turn the ends around."""
    value = by(estimate.value, other.value)
    low = None if estimate.low is None or other.low is None else min(by(estimate.low, other.low), value)
    high = None if estimate.high is None or other.high is None else max(by(estimate.high, other.high), value)
    return replace(estimate, value=value, low=low, high=high)
