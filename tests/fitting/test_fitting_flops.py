"""FLOPs that are a steady multiple of 6ND: said, and gone by wherever a budget is split."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from isoloss.diagnostics.profile import profile
from isoloss.fitting.fitted import FittedLaw
from isoloss.fitting.fitting import fit
from isoloss.optima.isoflop import fit_isoflop
from isoloss.planning.laws import PlanLaw
from isoloss.planning.splits import Question, split
from isoloss.runs.observations import Observations, observations
from isoloss.runs.read_runs import read_runs
from laws_tables import simulated

CASE = Path(__file__).parents[3] / "shared" / "cases" / "11-moe" / "moe.csv"
TRUTH = {"E": 1.7, "A": 400.0, "B": 410.0, "alpha": 0.34, "beta": 0.28}
BUDGETS = (1e18, 3e18, 1e19, 3e19)


def sparse(*, times: float, spread: float = 0.0) -> Observations:
    """Return runs at four budgets whose FLOPs are `times` 6ND, from `1 - spread` to `1 + spread` of it by size."""
    sizes = np.geomspace(3e7, 1e9, 6)
    params, flops = (each.ravel() for each in np.meshgrid(sizes, BUDGETS, indexing="ij"))
    own = times * (1 + spread * np.linspace(-1, 1, len(sizes)).repeat(len(BUDGETS)))
    tokens = flops / (6 * own * params)
    loss = TRUTH["E"] + TRUTH["A"] / params ** TRUTH["alpha"] + TRUTH["B"] / tokens ** TRUTH["beta"]
    noise = np.random.default_rng(0).normal(0, 0.001, len(loss))
    return observations(params=params, tokens=tokens, loss_nats=loss * np.exp(noise), flops=flops)


def codes(law: FittedLaw) -> set[str]:
    return {warning.code for warning in law.warnings}


def true_split(flops: float, times: float) -> tuple[float, float]:
    """Return N* and D* of the true law where C is `times` 6ND (Hoffmann et al. 2022, eq. 4)."""
    a, b = TRUTH["alpha"], TRUTH["beta"]
    g = (a * TRUTH["A"] / (b * TRUTH["B"])) ** (1 / (a + b))
    product = flops / (6 * times)
    return g * product ** (b / (a + b)), product ** (a / (a + b)) / g


@pytest.mark.parametrize("times", [0.04, 1.25])
def test_best_splits_cost_what_the_table_says(times):
    law = fit(sparse(times=times), bootstrap=100)
    (point,) = law.frontier(flops=[1e19])
    params, tokens = true_split(1e19, times)
    assert point.params.low < params < point.params.high
    assert point.tokens.low < tokens < point.tokens.high
    assert 6 * times * point.params.value * point.tokens.value == pytest.approx(1e19)
    assert law.flops_of(params=params, tokens=tokens) == pytest.approx(1e19)
    assert profile(law, sparse(times=times), "params", flops=1e19).value == pytest.approx(point.params.value, rel=1e-3)


def test_the_factor_is_named_and_kept_in_the_file(tmp_path):
    law = fit(sparse(times=0.04, spread=0.1))
    (warning,) = [each for each in law.warnings if each.code == "other_flops"]
    assert f"{law.flops_factor:.3g}" in warning.message
    law.save(tmp_path / "law.json")
    again = FittedLaw.load(tmp_path / "law.json")
    assert again.flops_factor == law.flops_factor
    assert again.optimum(1e19).params == law.optimum(1e19).params


def test_a_plan_spends_the_tables_flops():
    law = PlanLaw.of_fit(fit(sparse(times=0.04), bootstrap=50))
    for question in (Question(flops=1e19), Question(flops=1e19, params=2e8), Question(flops=1e19, tokens=3e10)):
        found = split(law, question)
        assert found.flops[0] == pytest.approx(1e19)
        assert 0.24 * found.params[0] * found.tokens[0] == pytest.approx(1e19)


def test_tokens_per_parameter_of_equal_budgets_go_by_the_tables_flops():
    laws = fit_isoflop(sparse(times=0.04)).laws()
    both = laws.tokens.at(1e19).value / laws.params.at(1e19).value
    assert laws.ratio.at(1e19).value == pytest.approx(both, rel=0.1)  # each has its own parabolas


def test_flops_that_are_6nd_or_no_one_multiple_move_nothing():
    plain = fit(sparse(times=1.0))
    assert plain.flops_factor == 1.0
    assert not {"other_flops", "unsteady_flops"} & codes(plain)
    uneven = fit(sparse(times=0.5, spread=0.6))
    assert uneven.flops_factor == 1.0
    assert "unsteady_flops" in codes(uneven)


def test_a_table_without_flops_is_counted_by_6nd():
    rows = simulated()
    assert rows.flops_ratios is None
    assert rows.flops_factor == 1.0
    in_bytes = replace(sparse(times=0.25), data_unit="bytes")  # bytes per token unknown: a quarter may be that
    assert in_bytes.flops_factor == 1.0


def test_a_mixture_of_experts_by_its_total_parameters_is_reported():
    if not CASE.exists():
        pytest.skip("the case is not at hand")
    rows = read_runs(CASE, params="total", tokens="tokens", loss="loss", flops="flops")
    law = fit(rows)
    assert "other_flops" in codes(law)
    assert 1 / 31 < law.flops_factor < 1 / 22
    best = law.optimum(1e19)
    assert law.flops_factor * 6 * best.params.value * best.tokens.value == pytest.approx(1e19)
    assert best.loss.value == pytest.approx(3.03, rel=0.01)  # what the law behind the rows has at that budget
