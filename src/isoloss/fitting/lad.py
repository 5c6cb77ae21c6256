"""Least absolute deviations: the exact optimum next to a smoothed one, by successive linear programs.

Σ w |r| has no gradient where it matters: its optimum passes through as many rows as parameters move. The engine solves
a smoothed problem from every start; from the best ends each step here solves the linearised problem exactly, within a
trust region (Fletcher 1987, section 14.4). Near such a vertex that converges as fast as Newton's method.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from isoloss.laws.law import Floats

if TYPE_CHECKING:
    from isoloss.fitting.engine import Problem

MOST_PROGRAMS = 40
STATIONARY = 1e-9  # of the objective: what the linearised problem may still promise at an optimum
FIRST_RADIUS = 0.1  # of the free parameters, which are of the order of one
LEAST_RADIUS = 1e-10


@dataclass(frozen=True, kw_only=True, eq=False)
class Vertex:
    """An optimum of Σ w |r|. `promise` is the relative decrease that the linearised problem still sees, 0 at one."""

    free: Floats
    objective: float
    promise: float


def descend_to_vertex(problem: "Problem", free: Floats) -> Vertex:
    """Return the local optimum of Σ w |r| that linear programs reach from `free`."""
    residuals, jacobian = _linearised(problem, free)
    objective = float(problem.weights @ np.abs(residuals))
    radius, promise = FIRST_RADIUS, 1.0
    for _ in range(MOST_PROGRAMS):
        step, predicted = _linear_step(problem, free, residuals, jacobian, radius)
        promise = max(objective - predicted, 0.0) / objective if objective > 0 else 0.0
        if promise < STATIONARY or radius < LEAST_RADIUS:
            break
        trial = np.clip(free + step, problem.low, problem.high)
        trial_residuals, trial_jacobian = _linearised(problem, trial)
        value = float(problem.weights @ np.abs(trial_residuals))
        if value < objective:
            # A step that keeps most of its promise trusts the linearisation further.
            radius *= 2.0 if objective - value > 0.75 * promise * objective else 1.0
            free, residuals, jacobian, objective = trial, trial_residuals, trial_jacobian, value
        else:
            radius = 0.25 * min(radius, float(np.abs(step).max()))
    return Vertex(free=free, objective=objective, promise=promise)


def _linearised(problem: "Problem", free: Floats) -> tuple[Floats, Floats]:
    predicted, jacobian = problem.evaluate(free)
    return problem.targets - predicted, jacobian


def _linear_step(
    problem: "Problem", free: Floats, residuals: Floats, jacobian: Floats, radius: float
) -> tuple[Floats, float]:
    """Return the step d that minimises Σ w |r − dᵀJ| within the radius and the bounds, and that minimum.

    Variables are (d, u) with u ≥ |r − dᵀJ|. The solver's tolerances are absolute: it is given residuals and weights of
    the order of one.
    """
    # SciPy's programs take longer to load than most fits take, and only this objective needs them.
    from scipy.optimize import linprog
    from scipy.sparse import csr_array, eye_array, hstack, vstack

    p, n = jacobian.shape
    scale, weight = max(float(np.abs(residuals).mean()), np.finfo(float).tiny), float(problem.weights.mean())
    residuals, columns, slack = residuals / scale, csr_array(jacobian.T / scale), eye_array(n)
    constraints: Any = vstack([hstack([-columns, -slack]), hstack([columns, -slack])])
    lowest, highest = np.maximum(problem.low - free, -radius), np.minimum(problem.high - free, radius)
    found = linprog(
        np.concatenate([np.zeros(p), problem.weights / weight]),
        A_ub=constraints,
        b_ub=np.concatenate([-residuals, residuals]),
        bounds=[*zip(lowest, highest, strict=True), *[(0.0, None)] * n],
        method="highs",
    )
    if found.x is None or found.fun is None:
        return np.zeros(p), float(problem.weights @ np.abs(residuals)) * scale
    return np.asarray(found.x[:p]), float(found.fun) * scale * weight
