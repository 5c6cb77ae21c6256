"""The best fit that gives a quantity a stated value: what a profile is made of.

Minimise Σ w ρ_δ(y − f(θ)) subject to g(θ) = c and the bounds of the search. Levenberg–Marquardt steps within the
constraint's tangent (the saddle-point system of the damped model and ∇g), then back onto the constraint along ∇g, so
that every point compared keeps it. `g` may be any smooth function of the law's parameters: a, ln N* of a budget, or a
loss.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isoloss.fitting._kernels import TAIL_CURVATURE, huber_sum
from isoloss.fitting.engine import Problem, width
from isoloss.laws.law import Floats

Quantity = Callable[[Floats], Floats]
"""Of free parameters (…, p), shape (…)."""

MOST_STEPS = 200
STEP = 1e-5  # of the free parameters, which are of the order of one: central differences of ∇g
ON_CONSTRAINT = 1e-8  # of the quantity's scale: the objective then errs by a millionth of a threshold
NEAR_CONSTRAINT = 1e-7  # … of one whose own digits end there: a thousandth of any interval's width, and less
LEAST_PROMISE = 1e-4  # of the objective over the rows: a thousandth of a profile's threshold or less
FIRST_DAMPING, MOST_DAMPING = 1e-3, 1e10


@dataclass(frozen=True, kw_only=True, eq=False)
class Constrained:
    """The best point found on the constraint, and its objective; infinite where the bounds do not reach the value."""

    free: Floats
    objective: float


def objective_at(problem: Problem, free: Floats) -> float:
    """Return Σ w ρ_δ(r)."""
    predicted, _ = problem.evaluate(free)
    return float(huber_sum(problem.targets - predicted, problem.weights, width(problem)))


def minimise_at(problem: Problem, quantity: Quantity, value: float, start: Floats) -> Constrained:
    """Return the best fit with `quantity` at `value`, from a point `start` (p,) near it."""
    scale = np.maximum(np.abs(start), 1e-2)
    free = _onto(problem, quantity, value, start, scale)
    if free is None:
        return Constrained(free=start, objective=float("inf"))
    objective, damping = objective_at(problem, free), FIRST_DAMPING
    (gradient, hessian, sizes), normal = _model(problem, free), gradient_of(quantity, free)
    for _ in range(MOST_STEPS):
        step, promise = _tangent_step(problem, free, gradient, hessian + damping * np.diag(sizes), normal)
        if promise <= LEAST_PROMISE / len(problem.targets) * objective:
            break
        trial = _onto(problem, quantity, value, np.clip(free + step, problem.low, problem.high), scale, normal=normal)
        found = np.inf if trial is None else objective_at(problem, trial)
        if trial is not None and found < objective:
            free, objective, damping = trial, found, max(damping / 5, 1e-12)
            (gradient, hessian, sizes), normal = _model(problem, free), gradient_of(quantity, free)
        else:
            damping *= 8
            if damping > MOST_DAMPING:
                break
    return Constrained(free=free, objective=objective)


def gradient_of(quantity: Quantity, free: Floats) -> Floats:
    """Return ∇g (p,) by central differences."""
    steps = STEP * np.maximum(np.abs(free), 1.0)
    return np.asarray((quantity(free + np.diag(steps)) - quantity(free - np.diag(steps))) / (2 * steps))


def _model(problem: Problem, free: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the direction of descent (p,), the curvature (p, p) and its diagonal's scale, as the engine takes them."""
    predicted, jacobian = problem.evaluate(free)
    residuals = problem.targets - predicted
    delta, size = width(problem), np.maximum(np.abs(residuals), np.finfo(float).tiny)
    inside = size <= delta
    psi = problem.weights * np.where(inside, residuals, np.sign(residuals) * min(delta, 1e300))
    curvature = problem.weights * np.where(inside, 1.0, TAIL_CURVATURE * min(delta, 1e300) / size)
    return jacobian @ psi, (jacobian * curvature) @ jacobian.T, (jacobian**2) @ problem.weights


def _tangent_step(
    problem: Problem, free: Floats, gradient: Floats, damped: Floats, normal: Floats
) -> tuple[Floats, float]:
    """Return the step that minimises the damped model along the constraint and within the bounds, and its promise.

    A parameter that would cross a bound is set onto it and the rest are solved again, at most p times.
    """
    p = len(free)
    step, moving = np.zeros(p), problem.high > problem.low
    for _ in range(p):
        index = np.flatnonzero(moving)
        if len(index) < 2 or not np.abs(normal[index]).max() > 0:
            break
        system = np.zeros((len(index) + 1, len(index) + 1))
        system[:-1, :-1] = damped[np.ix_(index, index)] + 1e-14 * np.eye(len(index))
        system[:-1, -1] = system[-1, :-1] = normal[index]
        fixed = ~moving
        right = np.append(gradient[index] - damped[np.ix_(index, fixed)] @ step[fixed], -normal[fixed] @ step[fixed])
        step[index] = _solved(system, right)[:-1]
        room = np.where(step < 0, problem.low - free, problem.high - free)
        over = moving & (np.abs(step) > np.abs(room))
        if not over.any():
            break
        step[over], moving = room[over], moving & ~over
    return step, float(step @ gradient - 0.5 * step @ damped @ step)


def _solved(system: Floats, right: Floats) -> Floats:
    try:
        return np.asarray(np.linalg.solve(system, right), dtype=np.float64)
    except np.linalg.LinAlgError:
        return np.asarray(np.linalg.lstsq(system, right, rcond=None)[0], dtype=np.float64)


def _onto(
    problem: Problem, quantity: Quantity, value: float, free: Floats, scale: Floats, *, normal: Floats | None = None
) -> Floats | None:
    """Return the point on the constraint that Newton's steps along ∇g reach from `free`, or None.

    `normal` is ∇g near there, if it is known: it serves as long as every step leaves a quarter of the way or less. A
    quantity that is itself found by search is known to so many digits: where they are used up, no step comes nearer.
    """
    unit, before = max(1.0, abs(value)), np.inf
    for _ in range(30):
        missing = value - float(quantity(free))
        if not np.isfinite(missing):
            return None
        if abs(missing) <= ON_CONSTRAINT * unit or before / 2 < abs(missing) <= NEAR_CONSTRAINT * unit:
            return free
        if normal is None or abs(missing) > before / 4:
            normal = gradient_of(quantity, free)
        before = abs(missing)
        along = np.where(_able(problem, free, normal * missing), normal * scale**2, 0.0)
        if not np.isfinite(along).all() or normal @ along <= 0:
            return None
        free = np.clip(free + along * (missing / (normal @ along)), problem.low, problem.high)
    return None


def _able(problem: Problem, free: Floats, direction: Floats) -> NDArray[np.bool_]:
    """Return which parameters may move in a direction."""
    up, down = (free < problem.high) & (direction > 0), (free > problem.low) & (direction < 0)
    return np.asarray((problem.high > problem.low) & (up | down))
