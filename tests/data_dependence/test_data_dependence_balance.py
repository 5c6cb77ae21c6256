"""The verdict on the balance, and the meta-regression beneath it."""

import numpy as np
import pytest
from scipy import stats

from isoloss.core.errors import InputError
from isoloss.core.estimate import Estimate
from isoloss.data_dependence.balance import common_budget, judge_balance
from isoloss.data_dependence.meta import meta_regression
from isoloss.fitting.fitting import fit
from laws_tables import DEMO_LAW, simulated


def shifted(log_ratio: float) -> dict[str, float]:
    """The demo law with its optimum moved by that much in ln(D*/N*), at every budget."""
    shift = log_ratio * (DEMO_LAW["alpha"] + DEMO_LAW["beta"]) / 4
    return DEMO_LAW | {"A": DEMO_LAW["A"] * np.exp(-shift), "B": DEMO_LAW["B"] * np.exp(shift)}


def study(log_ratios, *, seed=0, **noise):
    return [
        fit(simulated(law=shifted(ratio), seed=seed + i, corpus=f"corpus {i}", **noise), bootstrap=200)
        for i, ratio in enumerate(log_ratios)
    ]


def complexities(*values):
    return {f"corpus {i}": Estimate(value=v, low=v - 0.002, high=v + 0.002) for i, v in enumerate(values)}


def test_without_scatter_the_line_is_weighted_least_squares():
    x, y, v = np.array([0.0, 1.0, 2.0, 4.0]), np.array([1.0, 2.01, 2.99, 5.0]), np.array([0.1, 0.2, 0.1, 0.3])
    line = meta_regression(y, v, x, np.zeros(4))
    design = np.column_stack([np.ones(4), x])
    covariance = np.linalg.inv(design.T / v @ design)
    assert line.slope == pytest.approx((covariance @ design.T @ (y / v))[1])
    # The points lie nearer to the line than their noise: the error stays the known one.
    assert line.stderr == pytest.approx(np.sqrt(covariance[1, 1]))
    assert line.scatter == 0
    assert line.freedom == 2


def test_with_much_scatter_the_line_is_ordinary_regression():
    generator = np.random.default_rng(0)
    x, y = np.arange(8.0), generator.normal(size=8)
    line = meta_regression(y, np.full(8, 1e-6), x, np.zeros(8))
    ordinary = stats.linregress(x, y)
    assert line.slope == pytest.approx(ordinary.slope, rel=1e-6)
    assert line.stderr == pytest.approx(ordinary.stderr, rel=1e-4)
    assert line.p_slope == pytest.approx(ordinary.pvalue, rel=1e-4)
    assert line.p_equal < 1e-6


def test_uncertain_covariates_widen_the_slope():
    x, y, v = np.array([0.2, 0.3, 0.4]), np.array([1.0, 2.0, 3.0]), np.full(3, 0.01)
    known, blurred = (meta_regression(y, v, x, np.full(3, var)) for var in (0.0, 0.01**2))
    # Slope 10: each value gains (10 · 0.01)² of variance, as much as it had.
    assert blurred.stderr == pytest.approx(known.stderr * np.sqrt(2), rel=1e-6)


def test_smallest_detectable_slope_is_found_four_times_in_five():
    generator = np.random.default_rng(1)
    x, v = np.array([0.0, 0.5, 1.0, 1.5, 2.0]), np.full(5, 1e-8)
    line = meta_regression(generator.normal(size=5), v, x, np.zeros(5))
    slope = line.smallest_detectable(0.95) / line.stderr * np.sqrt(1 / 2.5)
    found = [
        meta_regression(slope * x + generator.normal(size=5), v, x, np.zeros(5)).p_slope < 0.05 for _ in range(600)
    ]
    # Two standard errors of 600 trials.
    assert np.mean(found) == pytest.approx(0.8, abs=0.035)


def test_strong_movement_moves_and_says_which_way():
    verdict = judge_balance(study([-1.2, 0.0, 1.2]), complexities(0.25, 0.35, 0.45), kind="real")
    assert verdict.verdict == "moves"
    assert verdict.slope.low < 1.2 < verdict.slope.high
    said, limits = verdict.sentences()
    assert "harder-to-compress corpora ask for more tokens per parameter: ×3" in said
    assert "per 0.1 of gzip ratio" in said
    assert "one degree of freedom" in limits
    back = judge_balance(study([1.2, 0.0, -1.2]), complexities(0.25, 0.35, 0.45), kind="real")
    assert "ask for fewer tokens" in back.sentences()[0]


def test_corpora_that_differ_without_order_differ():
    verdict = judge_balance(study([0.8, -0.8, 0.8]), complexities(0.25, 0.35, 0.45), kind="generated")
    assert verdict.verdict == "differs"
    assert verdict.scatter > 0.5
    assert "differ by more than run noise" in verdict.sentences()[0]


def test_equal_corpora_are_not_shown_to_move():
    verdict = judge_balance(study([0.0, 0.0, 0.0]), complexities(0.25, 0.35, 0.45), kind="real", measure="ngram")
    assert verdict.verdict == "not_identified"
    assert verdict.slope.low < 0 < verdict.slope.high
    assert "corpora of higher ngram" in verdict.sentences()[0]
    # Four corpora would need 4.3 standard errors where three need 12.7.
    assert verdict.smallest_with_one_more < 0.5 * verdict.smallest_detectable
    assert verdict.to_json()["sentences"] == list(verdict.sentences())


def test_two_corpora_are_not_enough_and_two_alike_neither():
    laws = study([0.0, 1.0, 2.0])
    few = judge_balance(laws[:2], complexities(0.25, 0.35), kind="real")
    alike = judge_balance(laws, complexities(0.25, 0.25, 0.35), kind="real")
    assert few.verdict == alike.verdict == "not_enough_corpora"
    assert few.slope is None
    assert "3 corpora" in few.sentences()[0]


def test_a_corpus_without_a_balance_is_left_out_and_named():
    laws = study([0.0, 0.5, 1.0, 1.5])
    barely_falls = DEMO_LAW | {"A": 0.02 * 1e5**0.05, "alpha": 0.05}
    laws[3] = fit(simulated(law=barely_falls, point_sd=0.01, corpus="corpus 3"), bootstrap=200)
    verdict = judge_balance(laws, complexities(0.25, 0.35, 0.45, 0.55), kind="real")
    assert verdict.left_out == ("corpus 3",)
    assert len(verdict.corpora) == 3
    assert "Left out, having no optimum: corpus 3." in verdict.sentences()[1]


def test_what_is_missing_is_asked_for():
    laws = study([0.0, 0.5, 1.0])
    with pytest.raises(InputError, match="no complexity for corpus 'corpus 2'"):
        judge_balance(laws, complexities(0.2, 0.3), kind="real")
    with pytest.raises(InputError, match="lies outside the runs"):
        judge_balance(laws, complexities(0.2, 0.3, 0.4), kind="real", budget=1e20)
    with pytest.raises(InputError, match="no draws"):
        judge_balance([fit(simulated(corpus="corpus 0"))], complexities(0.2), kind="real")
    with pytest.raises(InputError, match="no fitted laws"):
        common_budget([])
    apart = fit(simulated(sizes=np.geomspace(1e8, 1e9, 4), tokens=np.geomspace(1e9, 1e10, 5)))
    with pytest.raises(InputError, match="share no range"):
        common_budget([laws[0], apart])


def test_common_budget_is_inside_every_range():
    laws = [*study([0.0]), fit(simulated(sizes=np.geomspace(3e4, 1e6, 4)))]
    budget = common_budget(laws)
    assert all(law.domain.flops_low < budget < law.domain.flops_high for law in laws)
