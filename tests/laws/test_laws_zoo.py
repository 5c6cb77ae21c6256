"""Every registered law: its kernel is its formula, its runs give it back, and it says what it can and cannot answer."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isoloss.core.errors import BadTable, InputError, NotApplicable, Unidentified
from isoloss.core.warned import IsolossWarning
from isoloss.fitting.engine import pose
from isoloss.fitting.fitted import FittedLaw
from isoloss.fitting.fitting import fit
from isoloss.laws.chinchilla import Chinchilla
from isoloss.laws.farseer import Farseer
from isoloss.laws.kaplan import Kaplan
from isoloss.laws.law import Law
from isoloss.laws.loss_to_loss import pair_losses
from isoloss.laws.optimum import SLOPE_STEP, least_loss_on_budget
from isoloss.laws.registry import laws
from isoloss.runs.observations import observations
from laws_tables import read_csv
from laws_zoo import CASES

EVERY = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
SPLITTING = [name for name, case in CASES.items() if case.law.has_frontier()]


def test_every_registered_law_is_tried_here():
    assert set(CASES) == set(laws)


def posed(case, table=None):
    rows = case.table() if table is None else table
    return pose(rows, law=case.law, objective="huber", delta=1e-3, weights=np.ones(len(rows)), fixed={})


@EVERY
def test_kernel_is_the_formula_and_its_derivatives(case):
    problem = posed(case)
    truth = case.law.to_free(case.values, problem.origin)
    columns = {name: case.columns[name] for name in case.law.columns}

    def log_loss(free):
        return np.log(case.law.loss(case.law.to_values(free, problem.origin), **columns))

    for seed in range(3):
        free = truth + np.random.default_rng(seed).normal(0, 0.03, len(truth))
        predicted, jacobian = problem.evaluate(free)
        np.testing.assert_allclose(predicted, log_loss(free), rtol=1e-12, atol=1e-13)
        # Central differences of step 1e-6 are good to about 1e-9 of the function's size.
        steps = 1e-6 * np.eye(len(free))
        numeric = np.array([(log_loss(free + step) - log_loss(free - step)) / 2e-6 for step in steps])
        np.testing.assert_allclose(jacobian, numeric, atol=1e-8)


@EVERY
def test_free_parameters_and_values_are_each_others_inverse(case):
    problem = posed(case)
    free = case.law.to_free(case.values, problem.origin)
    np.testing.assert_allclose(case.law.to_values(free, problem.origin), case.values, rtol=1e-12)
    assert ((problem.low <= free) & (free <= problem.high)).all()


@EVERY
def test_noiseless_runs_give_the_law_back(case):
    found = fit(case.table(), law=case.law)
    assert found.convergence.converged
    assert found.rmse < 1e-9
    # The sum of squares stops improving at rounding: parameters are then known to 1e-7 times the condition number.
    for name, value in case.truth.items():
        assert found.params[name].value == pytest.approx(value, rel=1e-6)


@EVERY
def test_a_fitted_law_predicts_by_its_columns_and_comes_back_from_disk(case, tmp_path):
    law = fit(case.table(point_sd=0.003), law=case.law, bootstrap=5)
    json.dumps(law.to_json(), allow_nan=False)
    law.save(tmp_path / "law.json")
    again = FittedLaw.load(tmp_path / "law.json")
    columns = {name: case.columns[name][:3] for name in case.law.columns}
    assert (again.predict(**columns) == law.predict(**columns)).all()
    assert again.predict_draws(**columns).shape == (5, 3)
    assert again.domain == law.domain
    assert max(len(line) for line in law.summary().splitlines()) <= 88
    if not case.law.defaults:
        first, *_ = case.law.columns
        columns.pop(first)
        with pytest.raises(InputError, match=f"found no {first}"):
            law.predict(**columns)
    with pytest.raises(InputError, match="does not read 'parms'"):
        law.predict(parms=1e9)


@pytest.mark.parametrize("name", sorted(set(CASES) - set(SPLITTING)))
def test_a_law_that_does_not_split_compute_says_so(name):
    law = fit(CASES[name].table(point_sd=0.003), law=name)
    for ask in (lambda: law.frontier(flops=[1e20]), law.exponent_a, lambda: law.log_ratio(1e20)):
        with pytest.raises(NotApplicable, match="does not split compute") as refused:
            ask()
        assert isinstance(refused.value, Unidentified)
        assert "chinchilla" in str(refused.value.fix)
    assert law.to_json()["exponent_a"] is None
    assert "no frontier" in law.summary()


def numeric_optimum(law: type[Law], values, log_flops):
    def loss(values, params, tokens):
        return law.loss(values, params=params, tokens=tokens)

    return least_loss_on_budget(loss, values, log_flops=log_flops)


@pytest.mark.parametrize("law", [Chinchilla, Kaplan])
@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), log_flops=st.floats(np.log(1e17), np.log(1e24)))
def test_numeric_frontier_is_the_closed_form(law, seed, log_flops):
    truth = CASES[law.name].values
    exact = law.log_optimum(truth, log_flops=log_flops)
    draws = truth * np.exp(np.random.default_rng(seed).normal(0, 0.1, (50, len(truth))))
    found = numeric_optimum(law, draws, log_flops)
    exact = law.log_optimum(draws, log_flops=log_flops)
    # A minimum is known to about 1e-9; an optimum outside one parameter … one token is none.
    inside = (exact > 1) & (exact < log_flops - np.log(6) - 1)
    np.testing.assert_allclose(found[inside], exact[inside], atol=2e-8)
    ahead, behind = (numeric_optimum(law, draws, log_flops + sign * SLOPE_STEP) for sign in (1, -1))
    slope = (ahead - behind) / (2 * SLOPE_STEP)
    np.testing.assert_allclose(slope[inside], law.exponent_a(draws, log_flops=log_flops)[inside], atol=2e-5)


@settings(max_examples=30, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1), log_flops=st.floats(np.log(1e18), np.log(1e24)))
def test_farseers_stationary_split_is_the_numeric_frontier(seed, log_flops):
    truth = CASES["farseer"].values
    draws = truth * np.exp(np.random.default_rng(seed).normal(0, 0.02, (20, len(truth))))
    found, numeric = Farseer.log_optimum(draws, log_flops=log_flops), numeric_optimum(Farseer, draws, log_flops)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(numeric))
    # Its terms are of the order of 1e4 where a curvature is near zero: the numeric minimum has fewer digits than usual.
    np.testing.assert_allclose(found, numeric, atol=1e-6)
    step = 1e-4
    ahead, behind = (Farseer.log_optimum(draws, log_flops=log_flops + sign * step) for sign in (1, -1))
    # A central difference errs by the square of its step.
    np.testing.assert_allclose(Farseer.exponent_a(draws, log_flops=log_flops), (ahead - behind) / (2 * step), atol=1e-6)


def test_numeric_frontier_knows_where_there_is_none():
    flat = np.array([1.8, 480.0, 0.0, 0.35, 0.37])  # nothing to gain from data
    assert np.isnan(numeric_optimum(Chinchilla, flat, np.log(1e20)))
    assert np.isnan(numeric_optimum(Chinchilla, CASES["chinchilla"].values, np.log(1.0)))


@pytest.mark.parametrize("name", SPLITTING)
def test_frontier_is_the_least_loss_on_its_budget(name):
    case = CASES[name]
    law = fit(case.table(point_sd=0.001), law=name, bootstrap=20)
    given = {"batch_tokens": 5e5} if name == "critical_batch" else {}
    (point,) = law.frontier(flops=[1e21], **given)
    log_params = np.log(point.params.value) + np.linspace(-0.3, 0.3, 61)
    around = law.predict(params=np.exp(log_params), tokens=1e21 / 6 / np.exp(log_params), **given)
    assert point.loss.value <= around.min() * (1 + 1e-12)
    assert 0 < law.exponent_a(1e21, **given).value < 1
    assert point.params.low < point.params.value < point.params.high


def test_a_frontier_that_depends_on_the_batch_asks_for_it():
    law = fit(CASES["critical_batch"].table(point_sd=0.001), law="critical_batch", bootstrap=2)
    with pytest.raises(NotApplicable, match="depends on batch_tokens") as refused:
        law.frontier(flops=[1e21])
    assert "batch_tokens=" in str(refused.value.fix)
    with pytest.raises(InputError, match="does not take 'batch'"):
        law.frontier(flops=[1e21], batch_tokens=1e6, batch=3)
    small, large = (law.optimum(1e21, batch_tokens=batch) for batch in (1e5, 1e8))
    # A batch far above the critical one wastes tokens: the loss of a budget is higher.
    assert large.loss.value > small.loss.value


def test_scarce_data_move_the_balance_towards_fewer_parameters_than_tokens_alone_would():
    law = fit(CASES["repeated"].table(point_sd=0.001), law="repeated")
    fresh, scarce = law.optimum(1e22), law.optimum(1e22, unique_tokens=1e9)
    # Without unique tokens nothing repeats: Chinchilla's frontier.
    plenty = law.optimum(1e22, unique_tokens=1e30)
    # The optimum is where parameters begin to be excess: there the curvature jumps, and the parabola that locates a
    # minimum is off by a part of its half-width, 1e-4.
    assert np.log(fresh.params.value) == pytest.approx(np.log(plenty.params.value), abs=1e-4)
    assert scarce.loss.value > fresh.loss.value
    # Muennighoff et al. 2023, section 6: repeats decay more slowly than excess parameters, so epochs come first.
    assert scarce.log_ratio.value > fresh.log_ratio.value


# The base law of Muennighoff et al. 2023 for C4, as their notebook has it (a, b, e are logarithms).
C4 = {"E": np.exp(0.6254804), "A": np.exp(6.255414), "B": np.exp(7.3049974), "alpha": 0.3526596, "beta": 0.3526596}


def repeated_rows():
    rows = read_csv("datablations2023/c4_repeat_runs_182.csv")
    columns = {name: [float(row[name]) for row in rows] for name in ("params", "tokens", "unique_tokens", "val_loss")}
    return observations(
        params=columns["params"], tokens=columns["tokens"], loss_nats=columns["val_loss"],
        extra={"unique_tokens": columns["unique_tokens"]},
    )  # fmt: skip


def test_repeated_data_has_the_published_point_and_better_ones():
    rows = repeated_rows()
    published = fit(rows, law="repeated", fixed=C4 | {"R_D": 15.387756, "R_N": 5.309743})
    assert published.objective_value == pytest.approx(0.015825935, rel=1e-7)
    better = fit(rows, law="repeated", fixed=C4 | {"R_D": 46.99, "R_N": 2.330})
    assert better.objective_value == pytest.approx(0.015807379, rel=1e-6)
    with_free_data = fit(rows, law="repeated", fixed=C4 | {"R_N": 2.330})
    assert with_free_data.params["R_D"].value == pytest.approx(46.99, rel=2e-3)


def test_repeated_data_are_fitted_best_by_a_longer_half_life_still():
    best = fit(repeated_rows(), law="repeated", fixed=C4)
    assert best.convergence.converged
    # Lower than at the published point and than the optimum above; a dense grid of starts finds nothing lower.
    assert best.objective_value == pytest.approx(0.0158046625, rel=1e-7)
    assert best.params["R_D"].value == pytest.approx(95.365, rel=1e-4)
    assert best.params["R_N"].value == pytest.approx(1.7059, rel=1e-4)


def test_parameters_held_together_need_each_other():
    table = CASES["chinchilla"].table()
    held = fit(table, fixed={"A": 480.0, "alpha": 0.35})
    assert held.params["A"].value == pytest.approx(480.0, rel=1e-12)
    assert held.params["B"].value == pytest.approx(2100.0, rel=1e-6)
    with pytest.raises(InputError, match="only together with alpha"):
        fit(table, fixed={"A": 480.0})
    with pytest.raises(InputError, match="cannot take the fixed values"):
        fit(table, fixed={"A": -1.0, "alpha": 0.35})


def test_a_column_that_the_law_reads_is_asked_for():
    with pytest.raises(BadTable, match="'unique_tokens'") as refused:
        fit(CASES["chinchilla"].table(), law="repeated")
    assert "--column unique_tokens" in str(refused.value.fix)


def test_losses_of_two_corpora_pair_by_size_and_tokens():
    case = CASES["chinchilla"]
    here, there = case.table(), case.table()
    table = observations(
        params=np.concatenate([here.params, there.params[:40]]),
        tokens=np.concatenate([here.tokens, there.tokens[:40]]),
        loss_nats=np.concatenate([here.loss_nats, 0.4 + 0.9 * (there.loss_nats[:40] - 1.0) ** 1.3]),
        corpus=["web"] * len(here) + ["code"] * 40,
    )  # fmt: skip
    paired = pair_losses(table, other="web")
    assert paired.corpora == ["code"]
    np.testing.assert_allclose(paired.column("other_loss"), here.loss_nats[:40])
    law = fit(paired, law="loss_to_loss", fixed={"E_other": 1.0})
    assert law.params["kappa"].value == pytest.approx(1.3, rel=1e-5)
    assert law.predict(other_loss=3.0) == pytest.approx(0.4 + 0.9 * 2**1.3)
    with pytest.warns(IsolossWarning, match="does not exceed E′ = 1") as warned:
        assert law.predict(other_loss=[3.0, 0.9])[1] == pytest.approx(0.4, rel=1e-4)
    assert [one.message.code for one in warned] == ["below_own_least"]
    assert [one.code for one in law.predict_run(other_loss=0.9).warnings][-1] == "below_own_least"  # and Python's none
    with pytest.raises(BadTable, match="no run has a partner"):
        pair_losses(table.where(corpus="web"), other="web")
