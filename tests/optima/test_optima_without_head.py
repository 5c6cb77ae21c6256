"""The same best model without its output head: exact at a size that was trained, between its neighbours elsewhere."""

import numpy as np
import pytest

from isoloss.core.estimate import Estimate
from isoloss.optima.best_size import BestSize
from isoloss.optima.without_head import without_head

FLOPS = 6e10
SIZES = np.array([4e3, 4e3, 1e4, 3e4, 3e4])
WITHOUT = np.array([1e3, 1e3, 5e3, 2.4e4, 2.4e4])


def best(value: float, low: float, high: float) -> BestSize:
    params = Estimate(value=value, low=low, high=high)
    return BestSize(
        corpus="c", flops=FLOPS, inside=True, reason="", params=params,
        tokens=params.mapped(lambda size: FLOPS / 6 / size), tokens_per_param=params.mapped(lambda n: FLOPS / 6 / n**2),
    )  # fmt: skip


def test_a_size_that_was_trained_is_that_model_without_its_head():
    found = without_head(best(1e4, 4e3, 3e4), SIZES, WITHOUT)
    counted, ratio = found.params, found.tokens_per_param
    assert [counted.value, counted.low, counted.high] == pytest.approx([5e3, 1e3, 2.4e4])
    # The tokens are those of the same runs: C / 6N, with the head.
    assert [ratio.value, ratio.low, ratio.high] == pytest.approx(
        [FLOPS / 6 / 1e4 / 5e3, FLOPS / 6 / 3e4 / 2.4e4, FLOPS / 6 / 4e3 / 1e3]
    )


def test_between_sizes_the_head_takes_a_share_between_theirs():
    counted = without_head(best(2e4, 1.2e4, 2.8e4), SIZES, WITHOUT).params
    for with_it, size in ((2e4, counted.value), (1.2e4, counted.low), (2.8e4, counted.high)):
        assert 0.5 < size / with_it < 0.8


def test_an_optimum_outside_the_runs_has_no_size():
    outside = BestSize(corpus="c", flops=FLOPS, inside=False, reason="outside")
    found = without_head(outside, SIZES, WITHOUT)
    assert (found.params, found.tokens_per_param) == (None, None)
