"""A best size counted without its output head: the same model, by the other way of counting N."""

from dataclasses import dataclass

import numpy as np

from isoloss.core.estimate import Estimate
from isoloss.core.plain_json import Plain
from isoloss.laws.law import Floats
from isoloss.optima.best_size import BestSize


@dataclass(frozen=True, kw_only=True)
class WithoutHead(Plain):
    """N of the best size of a budget without the output head, and its tokens per parameter.

    Both are None where the optimum is not inside the runs. `flops` is the budget as the best size counts it.
    """

    corpus: str
    flops: float
    params: Estimate | None
    tokens_per_param: Estimate | None


def without_head(best: BestSize, params: Floats, without: Floats) -> WithoutHead:
    """Return a best size without the head, from the sizes trained: N as the best size has it (n,), and without (n,).

    Between sizes, and beyond them, ln N without the head is a straight line in ln N.
    """
    if best.params is None or best.tokens is None:
        return WithoutHead(corpus=best.corpus, flops=best.flops, params=None, tokens_per_param=None)
    from scipy.interpolate import make_interp_spline

    sizes, first = np.unique(params, return_index=True)
    line = make_interp_spline(np.log(sizes), np.log(without[first]), k=1)
    counted = best.params.mapped(lambda size: float(np.exp(line(np.log(size)))))
    return WithoutHead(
        corpus=best.corpus, flops=best.flops, params=counted, tokens_per_param=_over(best.tokens, counted)
    )


def _over(tokens: Estimate, params: Estimate) -> Estimate:
    """Return tokens per parameter along one budget: the most tokens go with the fewest parameters."""
    low = None if tokens.low is None or params.high is None else tokens.low / params.high
    high = None if tokens.high is None or params.low is None else tokens.high / params.low
    return Estimate(value=tokens.value / params.value, low=low, high=high, level=tokens.level)
