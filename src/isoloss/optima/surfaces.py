"""Surfaces of ln L over (ln N, ln D): what a corpus's runs say of a loss, by several forms, with draws.

A surface answers two questions: what is ln L at a point, at its best fit and in every draw; and how does it predict
trunks that it has not seen. The forms are parametric laws of the registry, fitted by the engine, and a local surface,
which says nothing of shape beyond the runs: a quadratic whose third-order terms a prior holds near zero.
Legend: n rows, m points, S draws, T trunks, K coefficients.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from isoloss.fitting.checks import refuse_unfittable, root_mean_square
from isoloss.fitting.engine import Problem, best_ends, find_optimum, linearise, pose, starting_points
from isoloss.fitting.intervals import fitted_or_replicated
from isoloss.fitting.noise import TrunkNoise, trunk_noise
from isoloss.fitting.unseen import left_out, unseen_errors
from isoloss.laws.law import Floats, Law
from isoloss.laws.registry import open_law
from isoloss.runs.observations import Observations

LOCAL = "local"
FEWEST_ROWS = 9
# Rows count by how far their compute and their tokens per parameter lie from the place asked about: e-fold widths in
# ln C and in ln(D/N). The whole of a usual grid counts; of a table over many decades, the part around the optimum.
NEAR_FLOPS, NEAR_RATIO = 2.0, 3.5
LEAST_WEIGHT = 1e-3
# Standard deviation of the four third-order coefficients of ln L. Those of Chinchilla's, Kaplan's, Farseer's, the
# coupled and the ceiling form fitted to bundled texts are .0001 to .0016 (docs/decisions/23-optima.md).
THIRD_ORDER_SD = 1e-3
# Those of lower order are as good as free: the same texts have slopes of .1 and second-order ones of .01 to .04.
LOWER_ORDER_SD = (10.0, 10.0, 10.0, 0.3, 0.3, 0.3)
FIRST_THIRD_ORDER = 6
# Prior of the trunks' share of the noise, (1 − s)^p. Seeds put trunk effects at .5 to 1 % of the loss and points at
# .4 %, shares of .6 to .86. Four to six trunks say little; with this prior intervals hold the truth at both ends.
TRUNK_PRIOR = -0.6


@dataclass(frozen=True, kw_only=True, eq=False)
class LawSurface:
    """A law of the registry at its best fit and in every draw, `values` (1 + S, p).

    `misfit` is the root mean square of ln L − ln L̂, `unseen` the same differences of every row (n,), its trunk left out
    of the fit. `noise` holds the standard deviations of points and of trunks around it, in ln L.
    """

    form: str
    law: type[Law]
    values: Floats
    misfit: float
    unseen: Floats
    noise: tuple[float, float]

    def log_loss(self, log_n: Floats, log_d: Floats) -> Floats:
        """Return ln L of the best fit and of every draw at the points (m,): (1 + S, m)."""
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            loss = self.law.loss(self.values[:, None, :], params=np.exp(log_n), tokens=np.exp(log_d))
            return np.asarray(np.log(loss))


@dataclass(frozen=True, kw_only=True, eq=False)
class LocalSurface:
    """Ten coefficients of (ln N, ln D) around `origin`, (1 + S, 10); rows count by `row_weights` (n,).

    `misfit`, `unseen` and `noise` as in `LawSurface`.
    """

    form: str
    origin: Floats
    coefficients: Floats
    misfit: float
    unseen: Floats
    row_weights: Floats
    noise: tuple[float, float]

    @property
    def ratio(self) -> float:
        """The variance of trunks over that of points."""
        point_sd, trunk_sd = self.noise
        return (trunk_sd / point_sd) ** 2

    def log_loss(self, log_n: Floats, log_d: Floats) -> Floats:
        """Return ln L of the best fit and of every draw at the points (m,): (1 + S, m)."""
        return np.asarray(self.coefficients @ third_order(log_n - self.origin[0], log_d - self.origin[1]).T)


Surface = LawSurface | LocalSurface
"""One form fitted to one corpus."""


def least_squares(table: Observations, form: str) -> tuple[Problem, Floats]:
    """Return the problem of fitting a law of the registry to ln L by least squares, and its best free parameters.

    Raises InputError where the rows cannot determine it.
    """
    law = open_law(form)
    refuse_unfittable(table, law=law, fixed={})
    problem = pose(table, law=law, objective="gaussian")
    return problem, find_optimum(problem, starting_points(problem, "auto")).free


def law_surface(
    table: Observations, form: str, *, draws: int, generator: np.random.Generator, others: Floats | None = None,
    shifts: Floats | None = None,
) -> LawSurface:  # fmt: skip
    """Return a law fitted to a corpus's runs by least squares of ln L, with draws and its errors on trunks left out.

    Draws move the losses of the best fit by the noise of points and trunks around it, and by `shifts` (S, n) of ln L
    where given, and refit. `others` is what other corpora say of the trunks' share (`isoloss.fitting.noise`). Raises
    InputError where the rows cannot determine it.
    """
    problem, best = least_squares(table, form)
    residuals, jacobian = linearise(problem, best)
    noise = noise_around_surface(table, residuals, jacobian, problem.weights, others)
    moved = problem.evaluate(best)[0] + noise.draw_noise(generator, noise.draw_deviations(generator, draws))
    moved = moved if shifts is None else moved + shifts
    refits = best_ends(problem, np.tile(best, (draws, 1, 1)), targets=moved)
    return LawSurface(
        form=form, law=problem.law, values=problem.law.to_values(np.vstack([best, refits.free]), problem.origin),
        misfit=root_mean_square(residuals), unseen=unseen_errors(problem, best, table.trunk),
        noise=(noise.point_sd, noise.trunk_sd),
    )  # fmt: skip


def local_surface(
    table: Observations, *, log_flops: Floats, near: tuple[float, float], draws: int, generator: np.random.Generator,
    others: Floats | None = None, shifts: Floats | None = None,
) -> LocalSurface:  # fmt: skip
    """Return the local surface near (ln C, ln(D/N)) = `near`. `log_flops` (n,) are the rows', as the budget counts.

    The noise is that around a plain quadratic. Given it, coefficients have a normal posterior, by generalised least
    squares with the prior of the third order; draws take the noise from its own posterior first, and move ln L by
    `shifts` (S, n) where given. Without draws nothing is left out either, and `unseen` holds NaN.
    """
    x, z, y = np.log(table.params), np.log(table.tokens), np.log(table.loss_nats)
    distance = ((log_flops - near[0]) / NEAR_FLOPS) ** 2 + ((z - x - near[1]) / NEAR_RATIO) ** 2
    weights = np.maximum(np.exp(-0.5 * distance), LEAST_WEIGHT)
    origin = np.array([np.average(x, weights=weights), np.average(z, weights=weights)])
    X = third_order(x - origin[0], z - origin[1])
    plain, root = X[:, :FIRST_THIRD_ORDER], np.sqrt(weights)
    residuals = y - plain @ np.linalg.lstsq(plain * root[:, None], y * root, rcond=None)[0]
    noise = noise_around_surface(table, residuals, plain, weights, others)
    centre, drawn = noise.median_deviations(1), noise.draw_deviations(generator, draws)
    _, trunk_of = np.unique(table.trunk, return_inverse=True)
    moved = y[None] if shifts is None else y + np.vstack([np.zeros(len(y)), shifts])
    means, precisions = _posterior(_Sums.of(X, moved, weights, trunk_of), np.vstack([centre, drawn]))
    steps = np.linalg.solve(
        np.swapaxes(np.linalg.cholesky(precisions[1:]), 1, 2), generator.standard_normal((draws, X.shape[1], 1))
    )[..., 0]  # fmt: skip
    unseen = np.full(len(y), np.nan)
    for fold in left_out(table.trunk) if draws else ():
        kept = _Sums.of(X[~fold], y[None, ~fold], weights[~fold], trunk_of[~fold])
        unseen[fold] = y[fold] - X[fold] @ _posterior(kept, centre)[0][0]
    return LocalSurface(
        form=LOCAL, origin=origin, coefficients=np.vstack([means[:1], means[1:] + steps]),
        misfit=float(np.sqrt(np.average(residuals**2, weights=weights))), unseen=unseen, row_weights=weights,
        noise=(noise.point_sd, noise.trunk_sd),
    )  # fmt: skip


def trunk_evidence(table: Observations) -> Floats | None:
    """Return what a corpus's rows say of the trunks' share of the noise, around a quadratic of all rows, (cells,).

    None where its rows share no trunk.
    """
    if len(np.unique(table.trunk)) == len(table) or len(table) < FEWEST_ROWS:
        return None
    x, z, y = np.log(table.params), np.log(table.tokens), np.log(table.loss_nats)
    plain = third_order(x - x.mean(), z - z.mean())[:, :FIRST_THIRD_ORDER]
    residuals = y - plain @ np.linalg.lstsq(plain, y, rcond=None)[0]
    return noise_around_surface(table, residuals, plain, np.ones(len(y)), None).evidence


def plain_quadratic(table: Observations) -> Callable[[Floats, Floats], Floats]:
    """Return the least-squares quadratic of a table's ln L, as a function of points ln N and ln D (m,)."""
    x, z = np.log(table.params), np.log(table.tokens)
    columns = third_order(x - x.mean(), z - z.mean())[:, :FIRST_THIRD_ORDER]
    found = np.linalg.lstsq(columns, np.log(table.loss_nats), rcond=None)[0]

    def log_loss(log_n: Floats, log_d: Floats) -> Floats:
        return np.asarray(third_order(log_n - x.mean(), log_d - z.mean())[:, :FIRST_THIRD_ORDER] @ found)

    return log_loss


def noise_around_surface(
    table: Observations, residuals: Floats, fitted: Floats, weights: Floats, others: Floats | None
) -> TrunkNoise:
    """Return the noise around a surface: that of replicates where enough rows are, what a form misses left out."""
    fitted = fitted_or_replicated(table, fitted)
    return trunk_noise(residuals, fitted, table.trunk, weights, others=others, prior_exponent=TRUNK_PRIOR)


class _Sums(NamedTuple):
    """Weighted sums of rows: X′WX (K, K), X′Wy (1 or S, K); of each trunk X (T, K), y (1 or S, T), weights (T,)."""

    gram: Floats
    right: Floats
    rows: Floats
    targets: Floats
    weights: Floats

    @classmethod
    def of(cls, X: Floats, y: Floats, weights: Floats, trunk_of: NDArray[np.int64]) -> "_Sums":
        """Return the sums for targets `y` (1 or S, n), in time linear in the rows."""
        trunks = trunk_of.max() + 1
        weighted, rows, targets = X * weights[:, None], np.zeros((trunks, X.shape[1])), np.zeros((trunks, len(y)))
        np.add.at(rows, trunk_of, weighted)
        np.add.at(targets, trunk_of, (weights * y).T)
        sizes = np.bincount(trunk_of, weights).astype(np.float64)
        return cls(weighted.T @ X, y @ weighted, rows, targets.T, sizes)


def _posterior(sums: _Sums, deviations: Floats) -> tuple[Floats, Floats]:
    """Return means (S, K) and precisions (S, K, K) of the coefficients given noise (S, 2) of points and trunks.

    The inverse of a trunk's covariance is that of its points less a term of rank one (Sherman & Morrison 1950).
    """
    variance, ratio = deviations[:, 0] ** 2, (deviations[:, 1] / deviations[:, 0]) ** 2
    shared = ratio[:, None] / (1 + ratio[:, None] * sums.weights)
    squares = (sums.rows[:, :, None] * sums.rows[:, None, :]).reshape(len(sums.rows), -1)
    gram = sums.gram - (shared @ squares).reshape(-1, *sums.gram.shape)
    right = sums.right - (shared * sums.targets) @ sums.rows
    prior = np.array([*LOWER_ORDER_SD, *[THIRD_ORDER_SD] * (len(sums.gram) - FIRST_THIRD_ORDER)])
    precision = gram / variance[:, None, None] + np.diag(prior**-2.0)
    means = np.linalg.solve(precision, (right / variance[:, None])[..., None])[..., 0]
    return np.asarray(means), np.asarray(precision)


def third_order(x: Floats, z: Floats) -> Floats:
    """Return 1, x, z, x², xz, z² and the four products of third order (n, 10)."""
    return np.column_stack([np.ones_like(x), x, z, x * x, x * z, z * z, x**3, x * x * z, x * z * z, z**3])
