"""Training curves as data: smoothing that moves nothing but noise, and points that are where they say."""

import numpy as np
import pytest

from isoloss.core.errors import BadTable, InputError
from isoloss.optima.curves import (
    TrainingCurve,
    finished_alone,
    halfway_since_last,
    loss_at,
    points_at_budgets,
    smooth_proportionally,
    smoothed,
)
from isoloss.optima.seed_noise import noise_rule, seed_spread

TOKENS = np.arange(1, 401) * 1e6


def curve(params: float = 1e7, *, run: str = "run", total: float | None = None, noise: float = 0, seed: int = 0):
    kept = TOKENS if total is None else TOKENS[total >= TOKENS]
    loss = 2 + 60 * kept**-0.2 + 300 * params**-0.4
    draws = np.random.default_rng(seed).normal(0, 1, len(kept))
    return TrainingCurve(run=run, params=params, tokens=kept, loss_nats=loss + noise * draws, total_tokens=total)


def test_smoothing_takes_noise_away_and_leaves_the_curve() -> None:
    noisy, clean = curve(noise=0.05), curve()
    smooth = smoothed(noisy, logged_means=False)
    late = smooth.tokens > 1e8
    off = smooth.loss_nats[late] - np.interp(smooth.tokens[late], clean.tokens, clean.loss_nats)
    # Windows of 11 points and more: the noise falls by √11 at least.
    assert off.std() < 0.05 / np.sqrt(11)
    assert abs(off.mean()) < 0.01


def test_a_straight_line_stays_and_moves_back_by_half_a_logging_interval() -> None:
    positions, values = smooth_proportionally(TOKENS, 5 - TOKENS / 1e9)
    np.testing.assert_allclose(values, 5 - positions / 1e9, rtol=1e-12)
    np.testing.assert_allclose(halfway_since_last(TOKENS), TOKENS - 5e5)
    with pytest.raises(InputError, match="share"):
        smooth_proportionally(TOKENS, TOKENS, share=1)


def test_a_budget_is_read_between_the_points_and_not_far_beyond_them() -> None:
    one = curve()
    flops = 6 * one.params * 1.5e8
    assert loss_at(one, flops) == pytest.approx(2 + 60 * 1.5e8**-0.2 + 300 * 1e7**-0.4, rel=1e-6)
    assert loss_at(one, float(one.flops[-1]) * 1.05) == pytest.approx(float(one.loss_nats[-1]))
    assert loss_at(one, float(one.flops[-1]) * 1.2) is None


def test_points_of_a_budget_come_from_every_curve_that_reaches_it() -> None:
    curves = [curve(n, run=f"{n:.0e}") for n in (5e6, 1e7, 2e7, 4e8)]
    table = points_at_budgets(curves, [6e15, 1.2e16])
    assert sorted(set(table.run.tolist())) == ["1e+07", "2e+07", "4e+08", "5e+06"]
    np.testing.assert_allclose(table.tokens, table.flops / 6 / table.params)
    with pytest.raises(BadTable, match="no curve comes within"):
        points_at_budgets(curves, [1e25])


def test_a_longer_runs_middle_is_distinguished_from_a_run_that_ends() -> None:
    curves = [curve(run="short", total=1e8), curve(run="long", total=4e8)]
    budget = 6 * 1e7 * 1e8
    assert points_at_budgets(curves, [budget]).run.tolist() == ["short", "long"]
    assert finished_alone(curves, [budget]).run.tolist() == ["short"]
    with pytest.raises(BadTable, match="length of run"):
        finished_alone([curve()], [budget])


def test_curves_that_do_not_ascend_are_refused() -> None:
    with pytest.raises(BadTable, match="do not ascend"):
        TrainingCurve(run="r", params=1e6, tokens=np.array([2.0, 1.0]), loss_nats=np.array([3.0, 3.0]))
    with pytest.raises(BadTable, match="one loss per position"):
        TrainingCurve(run="r", params=1e6, tokens=np.array([]), loss_nats=np.array([]))


def test_the_noise_between_seeds_is_measured_by_loss() -> None:
    """Twelve seeds a size whose noise is 0.02 at every loss: each spread is within 60 % (χ² of 11), the rule nearer."""
    curves = [curve(n, run=f"{n}/{s}", noise=0.02, seed=round(n) + s) for n in (5e6, 2e7) for s in range(12)]
    spreads = seed_spread(curves)
    assert [(spread.params, spread.seeds) for spread in spreads] == [(5e6, 12), (2e7, 12)]
    assert np.median(spreads[0].std) == pytest.approx(0.02, rel=0.1)
    rule = noise_rule(spreads)
    assert rule.at([3.5, 4.0]) == pytest.approx([0.02, 0.02], rel=0.1)
    with pytest.raises(BadTable, match="two runs"):
        seed_spread(curves[:1])
