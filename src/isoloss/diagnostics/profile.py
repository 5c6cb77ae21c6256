"""Profile likelihood: every value of a quantity with the best fit that has it, and the values that the runs allow.

Fix a quantity, refit everything else, and see how much worse the objective gets. Where objective is least squares and
rows are independent, the values within a rise of σ² t²/2 are a confidence set (Meeker & Escobar 1995); it needs no
normality of the estimate, bends with the valley, and stays open where the runs set no limit, which no standard error
says. For Huber's objective and for trunk effects the rise is that of the quasi-likelihood: twice the rise is λ χ²₁ with

    λ = gᵀH⁻¹K H⁻¹g / gᵀH⁻¹g,   H = E[ψ′] JᵀWJ,   K = Cov(JᵀWψ)

(Kent 1982), with K the sum over rows, or over trunks, of squared influence: noise may differ from row to row. Where
rows or trunks are few, no such limit is near: with 20 rows and δ a quarter of the noise, λ holds the truth 80–86 % of
the time. There the threshold is what the truth costs in simulations of these very rows, with noise and trunk effects
over their posterior (`isoloss.fitting.noise`).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isoloss.core.errors import InputError, did_you_mean
from isoloss.core.estimate import LEVEL
from isoloss.core.plain_json import Plain
from isoloss.core.rng import stream
from isoloss.diagnostics.constrained import Quantity, gradient_of, minimise_at, objective_at
from isoloss.fitting.engine import Problem, best_ends, linearise, near, solve, width
from isoloss.fitting.fitted import FittedLaw
from isoloss.fitting.fitting import posed_again
from isoloss.fitting.intervals import choose_method, noise_around
from isoloss.fitting.noise import TrunkNoise
from isoloss.laws.law import Floats
from isoloss.runs.observations import Observations

DERIVED = ("a", "params", "tokens", "loss", "log_ratio")
SIMULATIONS = 200  # where rows are few: the threshold is then known to 10 %, an interval's width to 5 %
MOST_DOUBLINGS = 12  # of one standard error, on each side: beyond 4,000 of them a side counts as open
ROOT_STEPS = 10
CLOSE = 0.01  # of the threshold


@dataclass(frozen=True, kw_only=True)
class ProfilePoint:
    """The best fit with the quantity at `value`: `rise` is what its objective costs, over what 95 % of truths cost."""

    value: float
    rise: float


@dataclass(frozen=True, kw_only=True)
class Profile(Plain):
    """The values of a quantity that the runs allow at `level`: `low` to `high`, None on a side without a limit.

    A side ends at `low` where the rise reaches 1, or where the search's bounds or the law itself let the quantity go no
    further; `curve` are the points computed, by value.
    """

    quantity: str
    value: float
    low: float | None
    high: float | None
    level: float
    curve: tuple[ProfilePoint, ...]


def profile(
    law: FittedLaw, observations: Observations, quantity: str, *, flops: float | None = None, level: float = LEVEL
) -> Profile:
    """Return the profile of a parameter, or of `a`, `params`, `tokens`, `loss` or `log_ratio` at the best split.

    `flops` is the budget of the last five, by default the middle of the rows'. Raises InputError for an unknown or a
    fixed quantity, and where the table is not the one that the law was fitted to.
    """
    used, problem = posed_again(law, observations)
    natural, taken, back = _transformed(law, problem, quantity, flops)
    optimum = _polished(problem, problem.law.to_free(law.values, problem.origin))
    best = float(taken(optimum))
    if not np.isfinite(best):
        raise InputError(f"{quantity} is not defined at this law's optimum", fix="profile a parameter of the law")
    threshold, error = _threshold(law, used, problem, optimum, taken, level=level)
    walk = _Walk(problem=problem, quantity=taken, optimum=optimum, best=best, threshold=threshold)
    # Rows that follow the law without noise allow no other value.
    sides = [walk.end(sign * error) if threshold > 0 else best for sign in (-1.0, 1.0)]
    points = sorted([(best, 0.0), *walk.seen])
    return Profile(
        quantity=quantity,
        value=float(natural(optimum)),
        low=None if sides[0] is None else back(sides[0]),
        high=None if sides[1] is None else back(sides[1]),
        level=level,
        curve=tuple(ProfilePoint(value=back(value), rise=rise) for value, rise in points if np.isfinite(rise)),
    )


def _transformed(
    law: FittedLaw, problem: Problem, name: str, flops: float | None
) -> tuple[Quantity, Quantity, Callable[[float], float]]:
    """Return the quantity of free parameters, the same as it is profiled (N* and D* by their logarithms), and back."""
    if name in law.fixed:
        raise InputError(f"{name} is fixed", fix="profile a parameter that was fitted")
    natural = _quantity(law, problem, name, flops)
    if name not in ("params", "tokens"):
        return natural, natural, float
    return natural, lambda free: np.log(natural(free)), lambda value: float(np.exp(value))


def _quantity(law: FittedLaw, problem: Problem, name: str, flops: float | None) -> Quantity:
    definition = problem.law
    known = [*law.params, *(DERIVED if definition.has_frontier() else ())]
    if name not in known:
        raise InputError(f"no quantity {name!r} to profile", fix=did_you_mean(name, known))
    if name != "E":
        law.require_apart()
    log_flops = 0.0
    if name in DERIVED:
        log_flops = float(np.log((law.middle_flops if flops is None else flops) / law.flops_factor))

    def values(free: Floats) -> Floats:
        return np.asarray(definition.to_values(free, problem.origin))

    def log_params(free: Floats) -> Floats:
        return np.asarray(definition.log_optimum(values(free), log_flops=log_flops))

    def log_tokens(free: Floats) -> Floats:
        return np.asarray(log_flops - np.log(6) - log_params(free))

    def loss(free: Floats) -> Floats:
        columns = definition.complete({"params": np.exp(log_params(free)), "tokens": np.exp(log_tokens(free))})
        return np.asarray(definition.loss(values(free), **columns))

    if name in law.params:
        index = list(law.params).index(name)
        return lambda free: values(free)[..., index]
    derived: dict[str, Quantity] = {
        "a": lambda free: definition.exponent_a(values(free), log_flops=log_flops),
        "params": lambda free: np.exp(log_params(free)),
        "tokens": lambda free: np.exp(log_tokens(free)),
        "loss": loss,
        "log_ratio": lambda free: log_tokens(free) - log_params(free),
    }
    return derived[name]


def _polished(problem: Problem, free: Floats) -> Floats:
    """Return the optimum as the engine finds it from `free`: least absolute deviations are smoothed here."""
    ends = solve(problem, np.clip(free, problem.low, problem.high)[None])
    return ends.free[0] if near(ends.free, free)[0] or problem.objective == "lad" else free


def _threshold(
    law: FittedLaw, used: Observations, problem: Problem, optimum: Floats, quantity: Quantity, *, level: float
) -> tuple[float, float]:
    """Return the rise of the objective that `level` of truths stay below, and the quantity's standard error."""
    noise = noise_around(used, problem, optimum, others=law.evidence_of_others)
    method = choose_method(used, "auto") if law.interval_method == "none" else law.interval_method
    if method == "parametric_trunks":
        return _by_simulation(problem, optimum, quantity, noise, level=level, seed=law.seed)
    unit = np.arange(len(used)) if method == "rows" else noise.trunk_of
    return _by_units(problem, optimum, quantity, unit, noise.freedom, level=level)


def _by_units(
    problem: Problem, optimum: Floats, quantity: Quantity, unit: NDArray[Any], freedom: int, *, level: float
) -> tuple[float, float]:
    """Return threshold and error where every unit (row or trunk) brings its own squared influence on the quantity."""
    from scipy.special import stdtrit

    residuals, jacobian = linearise(problem, optimum)
    moving = (optimum > problem.low) & (optimum < problem.high)
    normal = gradient_of(quantity, optimum)[moving]
    information = (jacobian.T * problem.weights) @ jacobian
    along = np.linalg.pinv(information, hermitian=True) @ normal
    spread = max(float(normal @ along), np.finfo(float).tiny)  # gᵀ(JᵀWJ)⁻¹g
    delta = width(problem)
    slope = _share_inside(residuals, delta)
    influence = problem.weights * (jacobian @ along) * np.clip(residuals, -delta, delta)
    of_unit = np.bincount(unit, weights=influence)
    variance = float((of_unit**2).sum()) * len(residuals) / freedom
    moved = len(residuals) - freedom
    quantile = float(stdtrit(max(len(of_unit) - moved, 1), (1 + level) / 2))
    return 0.5 * quantile**2 * variance / (slope * spread), float(np.sqrt(variance)) / slope


def _by_simulation(
    problem: Problem, optimum: Floats, quantity: Quantity, noise: TrunkNoise, *, level: float, seed: int
) -> tuple[float, float]:
    """Return the rise that the truth costs in simulations of these very rows, and the quantity's spread over them."""
    generator = stream(seed, "profile", str(len(problem.targets)))
    deviations = noise.draw_deviations(generator, SIMULATIONS)
    targets = problem.evaluate(optimum)[0] + noise.draw_noise(generator, deviations)
    ends = best_ends(problem, np.tile(optimum, (SIMULATIONS, 1, 1)), targets=targets)
    truth, rises = float(quantity(optimum)), np.empty(SIMULATIONS)
    for i, row in enumerate(targets):
        simulated = replace(problem, targets=row)
        found = minimise_at(simulated, quantity, truth, optimum)
        # An end that is worse than the constrained one was no optimum.
        rises[i] = max(found.objective - min(objective_at(simulated, ends.free[i]), found.objective), 0.0)
    reached = quantity(ends.free)
    low, high = np.nanquantile(reached, [0.16, 0.84])
    return float(np.quantile(rises, level)), float(high - low) / 2


def _share_inside(residuals: Floats, delta: float) -> float:
    """Return E[ψ′] over the residuals; the density at ±δ is smoothed, since few rows may lie inside."""
    if np.isinf(delta):
        return 1.0
    from scipy.special import ndtr

    spread = 1.4826 * float(np.median(np.abs(residuals)))
    bandwidth = 1.06 * max(spread, np.finfo(float).tiny) * len(residuals) ** -0.2
    return float((ndtr((delta - residuals) / bandwidth) - ndtr((-delta - residuals) / bandwidth)).mean())


class _Walk:
    """A walk along the profile away from the optimum, each point from the one before."""

    def __init__(self, *, problem: Problem, quantity: Quantity, optimum: Floats, best: float, threshold: float) -> None:
        self.problem, self.quantity, self.threshold = problem, quantity, threshold
        self.optimum, self.best = optimum, best
        self.least = objective_at(problem, optimum)
        self.seen: list[tuple[float, float]] = []

    def end(self, step: float) -> float | None:
        """Return where the rise reaches the threshold, in the direction of `step`; None where it never does."""
        inside, outside = (self.best, 0.0, self.optimum), None
        for _ in range(MOST_DOUBLINGS):
            value = inside[0] + step
            free, rise = self._rise(value, inside[2])
            if rise >= 1:
                outside = (value, rise)
                break
            inside, step = (value, rise, free), 2 * step
        if outside is None:
            return None
        for _ in range(ROOT_STEPS):
            value = _between(inside[0], inside[1], *outside)
            free, rise = self._rise(value, inside[2])
            if abs(rise - 1) < CLOSE:
                return value
            if rise < 1:
                inside = (value, rise, free)
            else:
                outside = (value, rise)
        return inside[0]

    def _rise(self, value: float, start: Floats) -> tuple[Floats, float]:
        found = minimise_at(self.problem, self.quantity, value, start)
        rise = (found.objective - self.least) / self.threshold
        self.seen.append((value, max(rise, 0.0)))
        return found.free, rise


def _between(inside: float, low_rise: float, outside: float, high_rise: float) -> float:
    """Return where the square root of the rise, nearly straight in the quantity, should be one."""
    if not np.isfinite(high_rise):
        return (inside + outside) / 2
    low, high = np.sqrt(max(low_rise, 0.0)), np.sqrt(high_rise)
    share = (1 - low) / (high - low)
    return inside + float(np.clip(share, 0.05, 0.95)) * (outside - inside)
