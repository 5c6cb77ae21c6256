"""The compiled engine against plain NumPy, scipy, and the arithmetic's own library."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import approx_fprime, minimize

from isoloss.fitting import _kernels, engine
from isoloss.fitting.engine import Problem, find_optimum, pose, solve, starting_points
from isoloss.laws._arithmetic import exponential, logarithm
from isoloss.laws.chinchilla import Chinchilla
from isoloss.laws.farseer import Farseer
from laws_tables import simulated
from laws_zoo import random_case


def problem(observations, *, objective="huber", delta=1e-3, weights=None, fixed=None) -> Problem:
    return pose(
        observations, law=Chinchilla, objective=objective, delta=delta,
        weights=np.ones(len(observations)) if weights is None else weights, fixed=fixed or {},
    )  # fmt: skip


def huber_objective(posed: Problem, free) -> float:
    """Σ w ρ_δ(ln L − ln L̂) in plain NumPy, from the law's formula and not from its kernel."""
    values = Chinchilla.to_values(free, posed.origin)
    raw = np.exp(posed.features + posed.origin[:, None])
    r = np.abs(posed.targets - np.log(Chinchilla.loss(values, params=raw[0], tokens=raw[1])))
    return float((posed.weights * np.where(r <= posed.delta, r**2 / 2, posed.delta * (r - posed.delta / 2))).sum())


@given(arrays(np.float64, st.integers(1, 70), elements=st.floats(-600, 600)))
def test_exponential_is_numpys_to_a_few_units_in_the_last_place(values):
    found = values.copy()
    exponential(found)
    # Argument reduction loses |v| · 2⁻⁵³ / ln 2 at the far ends; near zero it is two units in the last place.
    np.testing.assert_allclose(found, np.exp(values), rtol=2e-15 + 2e-16 * np.abs(values).max())


@given(arrays(np.float64, st.integers(1, 70), elements=st.floats(1e-300, 1e300)))
def test_logarithm_is_numpys_to_a_few_units_in_the_last_place(values):
    found = values.copy()
    logarithm(found)
    np.testing.assert_allclose(found, np.log(values), rtol=4e-16, atol=4e-16)


def test_kernel_is_the_formula_and_its_derivatives():
    posed = problem(simulated())
    free = np.array([0.6, -0.5, -0.7, 0.3, 0.45])
    raw = np.exp(posed.features + posed.origin[:, None])

    def log_loss(point):
        return np.log(Chinchilla.loss(Chinchilla.to_values(point, posed.origin), params=raw[0], tokens=raw[1]))

    predicted, jacobian = posed.evaluate(free)
    np.testing.assert_allclose(predicted, log_loss(free), rtol=1e-13, atol=1e-14)
    # Forward differences of step 1e-7 are good to about 1e-6.
    np.testing.assert_allclose(jacobian.T, approx_fprime(free, log_loss, 1e-7), atol=2e-6)


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1))
def test_bounded_step_solves_the_quadratic_problem(seed):
    generator = np.random.default_rng(seed)
    root = generator.normal(size=(6, 3))
    hessian, gradient = root.T @ root + 0.1 * np.eye(3), generator.normal(size=3)
    free = generator.uniform(-1, 1, 3)
    bounds = _kernels.Bounds(np.full(3, -1.0), np.full(3, 1.0))
    model = _kernels.Quadratic(hessian, gradient, np.diag(hessian).copy())
    state = _kernels.State(free, np.zeros(1), np.zeros((3, 1)))
    system = _kernels.System(
        np.empty((3, 3)), np.empty((3, 3)), np.empty(3), np.empty(3), np.empty(3, dtype=np.bool_), np.empty(3)
    )
    assert _kernels.bounded_step(state, bounds, model, 0.0, system)
    inside = (free + system.step >= -1 - 1e-12) & (free + system.step <= 1 + 1e-12)
    assert inside.all()
    best = max(promise(hessian, gradient, step) for step in candidates(hessian, gradient, free))
    found = promise(hessian, gradient, system.step)
    # Releasing no bound again, the step may miss the box's exact optimum; it must keep most of what that promises.
    assert 0 <= found <= best + 1e-12
    assert found >= 0.5 * best


def promise(hessian, gradient, step) -> float:
    return float(step @ gradient - 0.5 * step @ hessian @ step)


def candidates(hessian, gradient, free):
    """Every stationary point of the quadratic on a face of the box that lies inside the box."""
    for face in product((-1, 0, 1), repeat=3):
        at = np.array(face)
        step = np.where(at == 0, 0.0, at - free)
        moving = at == 0
        if moving.any():
            right = gradient[moving] - hessian[np.ix_(moving, ~moving)] @ step[~moving]
            step[moving] = np.linalg.solve(hessian[np.ix_(moving, moving)], right)
        if (np.abs(free + step) <= 1 + 1e-12).all():
            yield step


@pytest.mark.parametrize("seed", range(2))
def test_optimum_is_as_good_as_scipys_from_many_starts(seed):
    posed = problem(simulated(seed=seed))
    optimum = find_optimum(posed, starting_points(posed, "auto"))
    peers = [
        minimize(
            lambda free: 1e6 * huber_objective(posed, free), start, method="L-BFGS-B",
            bounds=list(zip(posed.low, posed.high, strict=True)), options={"maxiter": 500},
        ).fun / 1e6
        for start in starting_points(posed, "auto")[::13]
    ]  # fmt: skip
    assert optimum.objective <= min(peers) * (1 + 1e-9)
    assert optimum.objective == pytest.approx(huber_objective(posed, optimum.free), rel=1e-9)


def test_multiplying_the_weights_changes_nothing():
    rows = simulated(seed=3)
    posed = problem(rows)
    weights = np.random.default_rng(0).uniform(0.5, 2, (1, len(rows)))
    starts = starting_points(posed, "auto")
    one, tiny = solve(posed, starts, weights=weights), solve(posed, starts, weights=weights * 2.0**-30)
    # A power of two scales without rounding, so every step is the same to the last bit.
    assert (one.free == tiny.free).all()
    assert (one.objective == tiny.objective * 2.0**30).all()


def test_a_row_of_weight_two_counts_as_two_rows_and_of_weight_zero_as_none():
    rows = simulated(seed=4)
    doubled = rows.select([*range(1, len(rows)), 5])
    weights = np.ones(len(rows))
    weights[0], weights[5] = 0.0, 2.0
    posed, twice = problem(rows), problem(doubled)
    start = starting_points(posed, "auto")[:1]
    weighted = solve(posed, start, weights=weights[None])
    # The two tables have other centres, so free parameters differ and natural ones agree, to the stopping tolerance.
    expected = solve(twice, Chinchilla.to_free(Chinchilla.to_values(start, posed.origin), twice.origin))
    np.testing.assert_allclose(
        Chinchilla.to_values(weighted.free, posed.origin), Chinchilla.to_values(expected.free, twice.origin), rtol=1e-5
    )


def test_any_number_of_cores_gives_the_same_bytes(monkeypatch):
    posed = problem(simulated(seed=5))
    starts = starting_points(posed, "hoffmann")[::20]
    results = []
    for cores in (1, 2, 5):
        monkeypatch.setattr(engine, "cores", lambda cores=cores: cores)
        results.append(solve(posed, starts))
    assert all((found.free == results[0].free).all() for found in results)


def test_noiseless_runs_give_the_law_back():
    posed = problem(simulated(point_sd=0.0))
    optimum = find_optimum(posed, starting_points(posed, "auto"))
    assert optimum.convergence.converged
    # The sum of squares stops improving at rounding, which leaves parameters 1e-6 away along the flattest direction.
    np.testing.assert_allclose(
        Chinchilla.to_values(optimum.free, posed.origin), [0.7, 0.5 * 1e5**0.35, 0.4 * 1e6**0.4, 0.35, 0.4], rtol=1e-5
    )


def test_a_start_at_which_the_law_overflows_ends_there_and_leaves_the_others_alone():
    """Its median residual is infinite: bringing δ down from it once never ended."""
    table, _ = random_case("farseer", 8)
    posed = pose(table, law=Farseer, objective="huber", delta=1e-3, weights=np.ones(len(table)), fixed={})
    good = starting_points(posed, "auto")[:1]
    overflowing = good.copy()
    overflowing[0, [0, 2]] = posed.high[[0, 2]]  # slope and curvature of a function of N: e^(e^…) at the largest sizes
    assert np.isinf(posed.evaluate(overflowing[0])[0]).any()
    ends = solve(posed, np.vstack([overflowing, good]))
    assert ends.objective[0] == np.inf
    assert ends.gradient_norm[0] == 1.0
    assert ends.objective[1] == solve(posed, good).objective[0]
