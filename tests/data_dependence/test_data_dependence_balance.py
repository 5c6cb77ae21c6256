"""The verdict on the balance, and the meta-regression beneath it."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from isoloss.core.errors import InputError
from isoloss.core.estimate import Estimate
from isoloss.data_dependence.balance import common_budget, judge_balance
from isoloss.data_dependence.meta import meta_regression
from isoloss.fitting.fitting import fit
from isoloss.optima.best_size import BestSize
from isoloss.optima.mean_split import MeanSplit
from laws_tables import simulated

BUDGETS = (1e10, 3e10, 1e11)


def study(log_ratios, *, sd=0.05):
    """Return corpora whose mean ln(D*/N*) is known to `sd`."""
    generator = np.random.default_rng(0)
    found = []
    for i, ratio in enumerate(log_ratios):
        draws = ratio + sd * generator.standard_normal(400)
        budgets = tuple(BestSize(corpus=f"corpus {i}", flops=flops, inside=True, reason="") for flops in BUDGETS)
        found.append(
            MeanSplit(corpus=f"corpus {i}", log_ratio=Estimate.from_draws(draws, value=ratio), sd=sd, draws=draws,
                      reason="", budgets=budgets)
        )  # fmt: skip
    return found


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


def test_a_prior_of_the_scatter_lets_three_corpora_say_something():
    x, v = np.array([0.25, 0.35, 0.45]), np.full(3, 0.05**2)
    y = np.array([-1.2, 0.0, 1.2]) + np.array([0.03, -0.05, 0.02])
    without, held = (meta_regression(y, v, x, np.zeros(3), prior=prior) for prior in (None, 0.15))
    assert without.p_slope > 0.01 > held.p_slope
    assert held.low < 12 < held.high
    assert held.high - held.low < 0.5 * (without.high - without.low)
    # Where nothing lies around the line, and the scale is none, the line is that of known variances.
    fixed = meta_regression(y, v, x, np.zeros(3), prior=1e-6)
    assert fixed.stderr == pytest.approx(0.05 / np.sqrt(0.02), rel=0.01)


def test_the_prior_of_the_scatter_keeps_its_promise_where_it_is_true():
    """Slopes from studies whose scatter is drawn from the prior lie in 95 % of the intervals."""
    generator = np.random.default_rng(2)
    x, v = np.array([0.0, 0.4, 1.0]), np.full(3, 0.05**2)
    held = 0
    for _ in range(400):
        scatter = 0.15 * abs(generator.standard_t(3))
        line = meta_regression(0.3 * x + generator.normal(0, np.hypot(scatter, 0.05), 3), v, x, np.zeros(3), prior=0.15)
        held += line.low < 0.3 < line.high
    assert 0.92 <= held / 400 <= 0.98


def test_strong_movement_moves_and_says_which_way():
    verdict = judge_balance(study([2.0, 3.2, 4.4]), complexities(0.25, 0.35, 0.45), kind="text")
    assert verdict.verdict == "moves"
    assert verdict.slope.low < 1.2 < verdict.slope.high
    said, _ = verdict.sentences()
    assert "7.4 to 81 tokens per parameter" in said
    assert "need more" in said
    assert "per 0.1 of gzip ratio" in said
    back = judge_balance(study([4.4, 3.2, 2.0]), complexities(0.25, 0.35, 0.45), kind="text")
    assert "need fewer" in back.sentences()[0]


def test_corpora_that_differ_without_order_differ():
    verdict = judge_balance(study([0.8, -0.8, 0.8]), complexities(0.25, 0.35, 0.45), kind="generated")
    assert verdict.verdict == "differs"
    assert verdict.scatter > 0.5


@pytest.mark.parametrize("prior", [None, 0.15])
def test_equal_corpora_are_not_shown_to_move_and_no_slope_is_printed(prior):
    verdict = judge_balance(
        study([0.0, 0.02, -0.02]), complexities(0.25, 0.35, 0.45), kind="text", measure="ngram", prior=prior
    )
    assert verdict.verdict == "not_identified"
    assert verdict.slope.low < 0 < verdict.slope.high
    assert "×" not in verdict.sentences()[0]
    if prior is None:
        # Four corpora would need 4.3 standard errors where three need 12.7.
        assert verdict.smallest_with_one_more < 0.5 * verdict.smallest_detectable
    assert verdict.to_json()["sentences"] == list(verdict.sentences())


def test_two_corpora_are_not_enough_and_two_alike_neither():
    splits = study([0.0, 1.0, 2.0])
    few = judge_balance(splits[:2], complexities(0.25, 0.35), kind="text")
    alike = judge_balance(splits, complexities(0.25, 0.25, 0.35), kind="text")
    assert few.verdict == alike.verdict == "not_enough_corpora"
    assert few.slope is None
    assert "3 corpora" in few.sentences()[0]


def test_a_corpus_without_a_balance_is_left_out_and_named():
    splits = study([0.0, 0.5, 1.0, 1.5])
    splits[3] = replace(splits[3], log_ratio=None, sd=None, draws=None, reason="its optimum is outside")
    verdict = judge_balance(splits, complexities(0.25, 0.35, 0.45, 0.55), kind="text")
    assert list(verdict.left_out) == ["corpus 3"]
    assert len(verdict.corpora) == 3
    assert "its optimum is outside" in verdict.sentences()[1]


def test_what_is_missing_is_asked_for():
    with pytest.raises(InputError, match="no complexity for corpus 'corpus 2'"):
        judge_balance(study([0.0, 0.5, 1.0]), complexities(0.2, 0.3), kind="text")
    with pytest.raises(InputError, match="no corpora to compare"):
        judge_balance([], complexities(0.2), kind="text")
    with pytest.raises(InputError, match="no fitted laws"):
        common_budget([])
    law = fit(simulated())
    apart = fit(simulated(sizes=np.geomspace(1e8, 1e9, 4), tokens=np.geomspace(1e9, 1e10, 5)))
    with pytest.raises(InputError, match="share no range"):
        common_budget([law, apart])


def test_common_budget_is_inside_every_range():
    laws = [fit(simulated()), fit(simulated(sizes=np.geomspace(3e4, 1e6, 4)))]
    budget = common_budget(laws)
    for law in laws:
        low, high = law.domain.span("flops")
        assert low < budget < high
