"""What a new run will score, and what extrapolation is reported."""

import json

import numpy as np
import pytest

from isoloss.core.errors import InputError
from isoloss.fitting.fitted import FittedLaw
from isoloss.fitting.fitting import fit
from isoloss.fitting.prediction import run_intervals
from isoloss.laws.chinchilla import Chinchilla
from laws_tables import DEMO_LAW, simulated

TRUTH = np.array(list(DEMO_LAW.values()))


@pytest.fixture(scope="module")
def law() -> FittedLaw:
    return fit(simulated(seed=1, sizes=np.geomspace(1e4, 3e5, 6), trunk_sd=0.004), bootstrap=500, seed=7)


def test_a_run_scatters_more_than_the_law_is_uncertain(law):
    found = law.predict_run(params=1e5, tokens=5e5)
    assert found.run.low < found.loss.low < found.loss.value < found.loss.high < found.run.high
    assert found.loss == law.predict_estimate(params=1e5, tokens=5e5)
    # Point and trunk noise of .4 % each: a run scatters by .57 %, and six trunks know that to a third.
    half = np.log(found.run.high / found.run.low) / 2
    assert 1.96 * 0.0057 / 1.4 < half < 1.96 * 0.0057 * 2.5
    json.dumps(found.to_json(), allow_nan=False)


def test_the_interval_is_that_of_random_noise_around_every_draw(law):
    found = run_intervals(law, {"params": [1e5], "tokens": [5e5]})
    generator = np.random.default_rng(0)
    noise = np.hypot(*law.noise.T)[:, None] * generator.standard_normal((len(law.draws), 2000))
    drawn = law.predict_draws(params=1e5, tokens=5e5) * np.exp(noise)
    low, high = np.quantile(drawn, [0.025, 0.975])
    # A million random losses, 2,000 a draw, know these quantiles to .3 % of the width; twice that.
    assert (found.low[0], found.high[0]) == pytest.approx((low, high), abs=0.006 * (high - low))


def test_a_further_point_of_a_known_trunk_scatters_less(law):
    point = {"params": 1e5, "tokens": 5e5}
    own, further = run_intervals(law, point), run_intervals(law, point, trunk=False)
    assert own.low < further.low < further.high < own.high


def test_prediction_intervals_hold_new_runs_as_often_as_they_say():
    """Six trunks × five, and one run more: within the grid, and eight times beyond its compute."""
    trunk_sd = 0.004
    sizes = np.geomspace(1e4, 3e5, 6)
    points = {"params": np.array([7e4, 6e5]), "tokens": np.array([4e5, 4e6])}
    expected = np.log(Chinchilla.loss(TRUTH, **points))
    held = np.zeros(2)
    simulations = 200
    for seed in range(simulations):
        fitted = fit(simulated(sizes=sizes, trunk_sd=trunk_sd, seed=seed), bootstrap=200, seed=seed)
        generator = np.random.default_rng(10_000 + seed)
        new = expected + generator.normal(0, 0.004, 2) + generator.normal(0, trunk_sd, 2)
        held += run_intervals(fitted, points).hold(np.exp(new))
    # 95 % wanted; 200 simulations know a share to 1.5 points: two and a half below. Few trunks may cover more.
    assert (held / simulations >= 0.91).all(), held / simulations


def test_without_draws_there_is_a_value_and_no_interval():
    found = fit(simulated()).predict_run(params=1e5, tokens=5e5)
    assert found.run.low is None
    with pytest.raises(InputError, match="no draws"):
        run_intervals(fit(simulated()), {"params": 1e5, "tokens": 5e5})


def test_compute_ten_times_beyond_the_runs_is_warned_of(law):
    low, edge = law.domain.span("flops")
    for flops, expected in (
        (9.9 * edge, ()),
        (11 * edge, ("extrapolation",)),
        (low / 11, ("extrapolation",)),
    ):
        (point,) = law.frontier(flops=[flops])
        assert tuple(warning.code for warning in point.warnings) == expected
        run = law.predict_run(params=point.params.value, tokens=point.tokens.value)
        assert tuple(warning.code for warning in run.warnings) == expected
        assert [w["code"] for w in point.to_json()["warnings"]] == list(expected)
    assert "factor of 11" in law.optimum(11 * edge).warnings[0].message


def test_noise_travels_with_the_draws(law, tmp_path):
    law.save(tmp_path / "law.json")
    again = FittedLaw.load(tmp_path / "law.json")
    assert (again.noise == law.noise).all()
    assert again.noise.shape == (500, 2)
    assert again.predict_run(params=1e5, tokens=5e5) == law.predict_run(params=1e5, tokens=5e5)
