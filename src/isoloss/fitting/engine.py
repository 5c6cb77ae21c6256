"""The fit engine: one problem, many starts, many resamples, both cores; and the proof that an optimum was reached."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import cache
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isoloss.core.errors import InputError, did_you_mean
from isoloss.core.machine import cores, over_cores
from isoloss.core.rng import stream
from isoloss.fitting import _kernels
from isoloss.fitting.evidence import Convergence
from isoloss.fitting.lad import descend_to_vertex
from isoloss.laws.formula import kernel_of
from isoloss.laws.law import Floats, Law
from isoloss.laws.settings import Objective, StartsName, WeightsName
from isoloss.runs.observations import RUN_COLUMNS, Observations, observations

TOLERANCE = 1e-9  # of the gradient norm, where the search stops
CONVERGED = 1e-5  # of the gradient norm, below which an optimum counts as reached
MOST_STEPS = 400  # the slowest of Hoffmann's 4,500 starts on the Chinchilla rows takes 160
AGREEING_OBJECTIVE = 1e-6
AGREEING_PARAMETERS = 1e-3
# Least absolute deviations are searched as Huber's loss with δ at this share of the spread of ln L (2e-4 on the
# Chinchilla rows, a twentieth of their median residual); `isoloss.fitting.lad` goes from there to the exact optimum.
# Resamples stay smoothed: their parameters then differ by 1e-3 of an interval's width.
LAD_WIDTH = 1e-3
# An end with a worse objective than this many times the best does not become the best of a resample.
RIVAL_OBJECTIVE = 2.0
# Jobs times rows from which threads pay: 200 refits of 30 rows take 3 ms, which starting threads would cost again.
FEWEST_PARALLEL = 20_000
MANY_ROWS = 5_000  # starts descend on so many rows of a longer table, and their ends on all of them


@dataclass(frozen=True, kw_only=True, eq=False)
class Problem:
    """Rows as the kernel reads them: `features` (k, n) centred on `origin`, `targets` ln L, `weights` of mean 1."""

    law: type[Law]
    features: Floats
    origin: Floats
    targets: Floats
    weights: Floats
    low: Floats
    high: Floats
    objective: Objective
    delta: float

    def evaluate(self, free: Floats) -> tuple[Floats, Floats]:
        """Return ln L̂ (n,) and its derivatives (p, n) at `free` (p,)."""
        n = self.features.shape[1]
        predicted, jacobian = np.empty(n), np.empty((len(free), n))
        kernel_of(self.law)(np.ascontiguousarray(free), self.features, predicted, jacobian)
        return predicted, jacobian


@dataclass(frozen=True, kw_only=True, eq=False)
class Solutions:
    """Where every job ended: `free` (jobs, p), and per job the objective, the gradient norm and the steps tried."""

    free: Floats
    objective: Floats
    gradient_norm: Floats
    steps: NDArray[np.int64]

    def taken(self, which: NDArray[np.int64]) -> "Solutions":
        """Return the ends of the jobs `which`, in their order."""
        return Solutions(**{name: column[which] for name, column in vars(self).items()})


@dataclass(frozen=True, kw_only=True, eq=False)
class Optimum:
    """The best end of all starts, and up to three other distinct ends, from which resamples are refitted too."""

    free: Floats
    objective: float
    convergence: Convergence
    others: Floats


def pose(
    observations: Observations,
    *,
    law: type[Law],
    objective: Objective,
    delta: float = 1.0,
    weights: Floats | None = None,
    fixed: Mapping[str, float] = MappingProxyType({}),
) -> Problem:
    """Return the problem of fitting `law` to a table; without `weights` rows count alike.

    Raises InputError for an unknown fixed parameter.
    """
    weights = np.ones(len(observations)) if weights is None else weights
    raw = law.features(**{name: observations.column(name) for name in law.columns})
    origin = law.origin(raw)
    targets = np.log(observations.loss_nats)
    low, high = (np.array(bound, dtype=np.float64) for bound in law.bounds(raw - origin, targets))
    _hold(law, fixed, origin, low, high)
    return Problem(
        law=law, features=np.ascontiguousarray((raw - origin).T), origin=origin, targets=targets,
        weights=weights / weights.mean(), low=low, high=high, objective=objective, delta=delta,
    )  # fmt: skip


def row_weights(observations: Observations, weights: WeightsName) -> Floats:
    """Return the weight of each row. Raises InputError for a table without the standard errors asked for."""
    if weights == "equal":
        return np.ones(len(observations))
    if observations.stderr is None:
        raise InputError(
            "weights='stderr' needs standard errors; the table has none",
            fix="name the column that holds them (on the command line: --stderr COLUMN), or use weights='equal'",
        )
    return np.asarray((observations.loss_nats / observations.stderr) ** 2)


def require_fixable(law: type[Law], fixed: Collection[str]) -> None:
    """Raise InputError for a parameter that a fit of the law cannot hold, or not without others."""
    for name in fixed:
        together = law.fixable_with.get(name, ())
        if name not in law.fixable and name not in law.fixable_with:
            known = [*law.fixable, *law.fixable_with]
            raise InputError(f"{law.name} cannot fix {name!r}", fix=did_you_mean(name, known))
        if missing := [other for other in together if other not in fixed]:
            raise InputError(
                f"{law.name} can fix {name!r} only together with {', '.join(together)}",
                fix=f"fix {missing[0]} too",
            )


def _hold(law: type[Law], fixed: Mapping[str, float], origin: Floats, low: Floats, high: Floats) -> None:
    """Close the bounds of fixed parameters on their values, in place."""
    require_fixable(law, fixed)
    values = np.array([fixed.get(name, 1.0) for name in law.parameters])
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        free = law.to_free(values, origin)
    held = np.array([name in fixed for name in law.parameters])
    if not np.isfinite(free[held]).all():
        raise InputError(
            f"{law.name} cannot take the fixed values {dict(fixed)}", fix="give values that the formula allows"
        )
    low[held] = high[held] = free[held]


def starting_points(problem: Problem, starts: StartsName) -> Floats:
    """Return the named set of free starting points."""
    if starts == "hoffmann":
        return problem.law.published_starts(problem.origin)
    few = _thinned(problem)
    return problem.law.automatic_starts(few.features.T, few.targets)


def solve(
    problem: Problem,
    starts: Floats,
    *,
    targets: Floats | None = None,
    weights: Floats | None = None,
    target_of: NDArray[np.int64] | None = None,
    weight_of: NDArray[np.int64] | None = None,
) -> Solutions:
    """Return where every job ends. Job i starts at `starts[i]` with `targets[target_of[i]]`, `weights[weight_of[i]]`.

    Without `targets` or `weights` the problem's own serve every job. The result is the same for any number of cores.
    """
    jobs, p = starts.shape
    none = np.zeros(jobs, dtype=np.int64)
    ends = Solutions(
        free=np.empty((jobs, p)), objective=np.empty(jobs), gradient_norm=np.empty(jobs), steps=np.zeros(jobs, np.int64)
    )
    T = np.ascontiguousarray(problem.targets[None] if targets is None else targets)
    W = np.ascontiguousarray(problem.weights[None] if weights is None else weights)
    target_index = none if target_of is None else target_of
    weight_index = none if weight_of is None else weight_of
    start_points = np.ascontiguousarray(starts, dtype=np.float64)

    def run(part: slice) -> None:
        _kernels.engine()(
            kernel_of(problem.law), problem.features, T, W, start_points[part], target_index[part], weight_index[part],
            problem.low, problem.high, width(problem), TOLERANCE, MOST_STEPS,
            ends.free[part], ends.objective[part], ends.gradient_norm[part], ends.steps[part],
        )  # fmt: skip

    _over_cores(run, jobs, rows=len(problem.targets))
    return ends


def find_optimum(problem: Problem, starts: Floats) -> Optimum:
    """Return the best end of all starts with the evidence that it is one."""
    ends = _ends(problem, starts)
    best = int(ends.objective.argmin())
    free, objective, norm = ends.free[best], float(ends.objective[best]), float(ends.gradient_norm[best])
    # Rows without noise leave rounding alone: no end is better than another then.
    rounding = 0.5 * problem.weights.sum() * (10 * _kernels.ROUNDING) ** 2
    agreeing = (ends.objective <= objective * (1 + AGREEING_OBJECTIVE) + rounding) & near(ends.free, free)
    others = _rivals(ends, free, keep=3)
    if problem.objective == "lad":
        vertices = [descend_to_vertex(problem, point) for point in (free, *others)]
        vertex = min(vertices, key=lambda found: found.objective)
        free, objective, norm = vertex.free, vertex.objective, vertex.promise
    # Of residuals that are rounding for the most part, so is the direction: it is no gradient to go on along.
    unclear = _kernels.ROUNDING * np.sqrt(problem.weights.sum() / (2 * objective)) if objective > 0 else 0.0
    convergence = Convergence(
        converged=bool(norm <= CONVERGED + unclear),
        starts=len(starts),
        starts_agreeing=int(agreeing.sum()),
        gradient_norm=norm,
        condition_number=condition_number(problem, free),
        active_bounds=active_bounds(problem, free),
        iterations=int(ends.steps.sum()),
    )
    return Optimum(free=free, objective=objective, convergence=convergence, others=others)


def _ends(problem: Problem, starts: Floats) -> Solutions:
    """Return where every start ends. On many rows starts descend on some of them first, then those that met as one."""
    few = _thinned(problem)
    if few is problem:
        return solve(problem, starts)
    led = solve(few, starts)
    first, member = _distinct(led.free)
    ends = solve(problem, led.free[first])
    steps = led.steps.copy()
    steps[first] += ends.steps
    return replace(ends.taken(member), steps=steps)


def _thinned(problem: Problem) -> Problem:
    """Return the problem posed by `MANY_ROWS` of its rows, drawn at random: a stride could meet a grid's own period."""
    n = len(problem.targets)
    if n <= MANY_ROWS:
        return problem
    rows = np.sort(stream(0, "rows that starts descend on").choice(n, MANY_ROWS, replace=False))
    return replace(
        problem, features=np.ascontiguousarray(problem.features[:, rows]), targets=problem.targets[rows],
        weights=problem.weights[rows],
    )  # fmt: skip


def _distinct(points: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first of each group of points (m, p) that are near it, and the group of every point (m,)."""
    member = np.full(len(points), -1)
    firsts: list[int] = []
    while (left := np.flatnonzero(member < 0)).size:
        member[left[near(points[left], points[left[0]])]] = len(firsts)
        firsts.append(int(left[0]))
    return np.array(firsts), member


def best_ends(
    problem: Problem,
    points: Floats,
    *,
    targets: Floats | None = None,
    weights: Floats | None = None,
    target_of: NDArray[np.int64] | None = None,
) -> Solutions:
    """Return, for every case, the best end from its points (cases, points, p).

    Case i has `targets[target_of[i]]`, by default `targets[i]`, and `weights[i]`; without them the problem's own.
    """
    cases, each, p = points.shape
    index = np.arange(cases)
    case = np.repeat(index, each)
    target = case if target_of is None else target_of[case]
    ends = solve(
        problem, points.reshape(cases * each, p), targets=targets, weights=weights,
        target_of=None if targets is None else target, weight_of=None if weights is None else case,
    )  # fmt: skip
    best = ends.objective.reshape(cases, each).argmin(axis=1) + index * each
    return ends.taken(best)


def linearise(problem: Problem, free: Floats, *, targets: Floats | None = None) -> tuple[Floats, Floats]:
    """Return residuals ln L − ln L̂ (n,) and the Jacobian (n, moving parameters) at `free`.

    Parameters that are fixed or at a bound have no column: they cannot take up noise. `targets` replace the problem's
    own.
    """
    predicted, jacobian = problem.evaluate(free)
    moving = (free > problem.low) & (free < problem.high)
    return (problem.targets if targets is None else targets) - predicted, jacobian[moving].T


def condition_number(problem: Problem, free: Floats) -> float:
    """Return the condition number of the weighted Jacobian with unit columns; infinity where it is singular."""
    _, jacobian = linearise(problem, free)
    columns = jacobian * np.sqrt(problem.weights)[:, None]
    length = np.linalg.norm(columns, axis=0)
    if columns.size == 0 or not (length > 0).all():
        return float("inf")
    sizes = np.linalg.svd(columns / length, compute_uv=False)
    return float(sizes[0] / sizes[-1]) if sizes[-1] > 0 else float("inf")


def active_bounds(problem: Problem, free: Floats) -> tuple[str, ...]:
    """Return the names of parameters that ended at a bound of the search and were not fixed there."""
    held = ((free <= problem.low) | (free >= problem.high)) & (problem.high > problem.low)
    return tuple(name for name, at_bound in zip(problem.law.parameters, held, strict=True) if at_bound)


def near(points: Floats, point: Floats) -> NDArray[np.bool_]:
    """Return which free points (m, p) are the same as `point` within the tolerance that agreement asks for."""
    return np.asarray((np.abs(points - point) <= AGREEING_PARAMETERS * np.maximum(1, np.abs(point))).all(axis=1))


@cache
def warm(law: type[Law]) -> None:
    """Compile or load the engine and a law's kernel, so that no timing includes it."""
    columns = {name: (place + 1) * np.array([1e6, 1e7, 1e8]) for place, name in enumerate(law.columns)}
    known: dict[str, Any] = {name: columns.get(name) for name in RUN_COLUMNS}
    further = {name: columns[name] for name in law.further_columns()}
    table = observations(loss_nats=np.exp([1.2, 1.1, 1.0]), extra=further, **known)
    problem = pose(table, law=law, objective="gaussian")
    solve(problem, np.zeros((1, len(law.parameters))))
    problem.evaluate(np.clip(1.0, problem.low, problem.high))


def width(problem: Problem) -> float:
    """Return the δ that the kernel works with: infinite for least squares, small for least absolute deviations."""
    match problem.objective:
        case "huber":
            return problem.delta
        case "gaussian":
            return float("inf")
        case "lad":
            spread = float(np.median(np.abs(problem.targets - np.median(problem.targets))))
            return LAD_WIDTH * spread if spread > 0 else LAD_WIDTH


def _rivals(ends: Solutions, best: Floats, *, keep: int) -> Floats:
    """Return up to `keep` distinct ends (rivals, p) other than the best, the best first, with comparable objectives."""
    order = np.argsort(ends.objective, kind="stable")
    rest = ends.free[order][ends.objective[order] <= RIVAL_OBJECTIVE * ends.objective[order[0]]]
    rest = rest[~near(rest, best)]
    found: list[Floats] = []
    while len(rest) and len(found) < keep:
        found.append(rest[0])
        rest = rest[~near(rest, rest[0])]
    return np.array(found).reshape(-1, ends.free.shape[1])


def _over_cores(run: Callable[[slice], None], jobs: int, *, rows: int) -> None:
    """Run `run` over slices of the jobs, of so many rows each, on every core where there is enough to do."""
    workers = cores()
    if workers == 1 or jobs * rows < FEWEST_PARALLEL:
        run(slice(0, jobs))
        return
    # Eight parts a core: starts differ in how long they take.
    size = -(-jobs // (8 * workers))
    list(over_cores(run, [slice(first, first + size) for first in range(0, jobs, size)]))
