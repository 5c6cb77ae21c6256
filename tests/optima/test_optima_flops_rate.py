"""FLOPs per token at any size: 6 N as it is, curves as they bend, shapes smoothed."""

import numpy as np
import pytest

from isoloss.optima.best_size import best_sizes
from isoloss.optima.flops_rate import flops_per_token, own_flops_per_token
from isoloss.runs.observations import observations

SIZES = 2e7 * 2.0 ** np.arange(7)
BETWEEN = np.log(np.geomspace(SIZES[0], SIZES[-1], 50))


def ladder(rates, sizes=SIZES):
    """Runs of six token counts a size, their FLOPs a size's rate times the tokens."""
    n, per = (np.repeat(each, 6) for each in (sizes, rates))
    tokens = n * np.tile(4 * 2.0 ** np.arange(6), len(sizes))
    loss = 1.8 + 500 / n**0.35 + 900 / tokens**0.32
    return observations(params=n, tokens=tokens, loss_nats=loss, flops=per * tokens)


def test_6n_is_6n():
    table = ladder(6 * SIZES)
    np.testing.assert_allclose(flops_per_token(table)(BETWEEN), np.log(6) + BETWEEN, rtol=0, atol=1e-12)
    assert own_flops_per_token(table) is None
    assert own_flops_per_token(ladder(9 * SIZES)) is None


@pytest.mark.parametrize("rate", [lambda n: 6 * n + 3e8, lambda n: 6 * n + 1e8, lambda n: 6 * n / (1 + n / 3e8)])
def test_rates_that_bend_one_way_are_interpolated(rate):
    table = ladder(rate(SIZES))
    found = flops_per_token(table)
    np.testing.assert_allclose(found(BETWEEN), np.log(rate(np.exp(BETWEEN))), atol=0.003)
    ends = np.log(SIZES[[0, -1]])
    outer = np.diff(found(np.array([ends[0] - 1, ends[0], ends[1], ends[1] + 1])))[[0, 2]]
    inner = np.diff(np.log(rate(SIZES)))[[0, -1]] / np.log(2)
    np.testing.assert_allclose(outer, inner)


def test_rates_that_go_up_and_down_with_shapes_are_smoothed():
    shapes = np.exp(0.05 * np.array([1, -1, 1, -1, 1, -1, 1]))
    found = flops_per_token(ladder(6 * SIZES * shapes))
    assert np.abs(found(BETWEEN) - np.log(6) - BETWEEN).max() < 0.04


@pytest.mark.parametrize(("budget", "truth"), [(3e18, 19.9), (1e19, 23.9)])
def test_best_splits_of_flops_with_an_offset_are_the_laws(budget, truth):
    """C = (6·N + 1e8)·D: a quadratic gave 18.2 and 22.6 tokens per parameter."""
    (found,) = best_sizes(ladder(6 * SIZES + 1e8), budgets=[budget], draws=20)
    assert found.tokens_per_param.value == pytest.approx(truth, rel=0.02)
