"""Where the search stops does not depend on the scale of the objective: a sum, a mean, half or double the losses."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isoloss.fitting.engine import MANY_ROWS, Problem, find_optimum, pose, solve, starting_points
from isoloss.laws.registry import laws
from isoloss.runs.observations import observations
from laws_tables import chinchilla_rows, simulated

OBJECTIVES = ("huber", "gaussian", "lad")


def posed(rows, objective: str) -> Problem:
    return pose(
        rows, law=laws["chinchilla"], objective=objective, delta=1e-3, weights=np.ones(len(rows)), fixed={}
    )  # fmt: skip


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("scale", [2.0, 1 / 240, 1e-9, 1e9])
def test_doubling_or_averaging_the_residual_losses_changes_nothing(objective, scale):
    problem = posed(chinchilla_rows(), objective)
    starts = starting_points(problem, "auto")[::4]
    plain, scaled = (find_optimum(p, starts) for p in (problem, replace(problem, weights=problem.weights * scale)))
    # The search stops at a gradient of 1e-9 of its scale: seven digits are the same.
    np.testing.assert_allclose(scaled.free, plain.free, rtol=1e-7)
    assert scaled.objective == pytest.approx(plain.objective * scale, rel=1e-9)
    assert scaled.convergence.converged == plain.convergence.converged
    assert scaled.convergence.starts_agreeing == plain.convergence.starts_agreeing


def test_the_mean_reaches_the_published_optimum_of_the_sum():
    # With a mean, a peer's default tolerances stop 9 % above the optimum and report success.
    problem = posed(chinchilla_rows(), "huber")
    mean = replace(problem, weights=problem.weights / 240)
    found = find_optimum(mean, starting_points(mean, "auto"))
    assert found.objective * 240 == pytest.approx(0.001018274018, rel=1e-9)


@settings(max_examples=15)
@given(scale=st.floats(-6, 6), objective=st.sampled_from(OBJECTIVES), seed=st.integers(0, 50))
def test_no_scale_moves_the_optimum_of_a_simulated_study(scale, objective, seed):
    problem = posed(simulated(seed=seed), objective)
    starts = starting_points(problem, "auto")[::8]
    plain = find_optimum(problem, starts)
    scaled = find_optimum(replace(problem, weights=problem.weights * 10**scale), starts)
    # Two of the best ends may tie to rounding; the objective they share is one.
    assert scaled.objective == pytest.approx(plain.objective * 10**scale, rel=1e-7)


def test_starts_that_descend_on_some_of_many_rows_find_the_optimum_of_all():
    rng = np.random.default_rng(4)
    n, d = 10 ** rng.uniform(6, 10, MANY_ROWS * 2), 10 ** rng.uniform(8, 11, MANY_ROWS * 2)
    rows = observations(
        params=n, tokens=d, loss_nats=(1.8 + 480 / n**0.35 + 2100 / d**0.37) * np.exp(rng.normal(0, 0.01, len(n)))
    )
    problem = posed(rows, "huber")
    starts = starting_points(problem, "auto")[::8]
    ends = solve(problem, starts)  # every start on every row
    found = find_optimum(problem, starts)
    # Both stop at a gradient of 1e-9 of its scale; the optimum is one.
    np.testing.assert_allclose(found.free, ends.free[ends.objective.argmin()], rtol=1e-6)
    assert found.convergence.converged
    assert found.convergence.starts_agreeing == found.convergence.starts == len(starts)
    assert found.convergence.iterations < ends.steps.sum() * 2
