"""Surfaces of ln L over (ln N, ln D): what a corpus's runs say of a loss, by several forms, with draws.

A surface answers two questions: what is ln L at a point, at its best fit and in every draw; and how well does it
predict trunks that it has not seen. The forms are parametric laws of the registry, fitted by the engine, and a local
quadratic, which says nothing of shape beyond the runs.
Legend: n rows, m points, S draws.
"""

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from isoloss.fitting.engine import best_ends
from isoloss.fitting.fitting import fit, posed_again
from isoloss.fitting.noise import trunk_noise
from isoloss.laws.law import Floats, Law
from isoloss.laws.registry import open_law
from isoloss.runs.observations import Observations

# The fewest sizes from which each form is fitted. Farseer's three functions of N have three parameters each: on five
# sizes its draws spread over a factor of four where the others agree within a tenth.
FEWEST_SIZES_OF = {"chinchilla": 3, "coupled": 4, "ceiling": 4, "farseer": 8}
# Rows count by how far their compute and their tokens per parameter lie from the place asked about: e-fold widths in
# ln C and in ln(D/N). Wide enough that a quadratic of six coefficients has rows to spare on grids of twenty runs.
NEAR_FLOPS, NEAR_RATIO = 1.6, 2.2
QUADRATIC = "quadratic"
FEWEST_ROWS = 9


class Surface(Protocol):
    """One form fitted to one corpus."""

    @property
    def form(self) -> str:
        """The form's name."""

    @property
    def misfit(self) -> float:
        """Root mean square of ln L − ln L̂."""

    @property
    def unseen(self) -> float:
        """Mean square of ln L − ln L̂ on trunks that were left out."""

    def log_loss(self, log_n: Floats, log_d: Floats) -> Floats:
        """Return ln L of the best fit and of every draw at the points (m,): (1 + S, m)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LawSurface:
    """A law of the registry."""

    form: str
    law: type[Law]
    values: Floats
    misfit: float
    unseen: float

    def log_loss(self, log_n: Floats, log_d: Floats) -> Floats:
        """Return ln L of the best fit and of every draw at the points (m,): (1 + S, m)."""
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            loss = self.law.loss(self.values[:, None, :], params=np.exp(log_n), tokens=np.exp(log_d))
            return np.asarray(np.log(loss))


@dataclass(frozen=True, kw_only=True, eq=False)
class QuadraticSurface:
    """Six coefficients of (ln N, ln D), weighted to a neighbourhood."""

    form: str
    origin: Floats
    coefficients: Floats
    misfit: float
    unseen: float
    runs: float
    """The independent runs that the rows are worth: n/(1 + (k − 1) ρ) k rows a trunk sharing ρ of their noise."""

    def log_loss(self, log_n: Floats, log_d: Floats) -> Floats:
        """Return ln L of the best fit and of every draw at the points (m,): (1 + S, m)."""
        return np.asarray(self.coefficients @ _quadratic(log_n - self.origin[0], log_d - self.origin[1]).T)


def law_surface(table: Observations, form: str, *, draws: int, seed: int) -> LawSurface:
    """Return a law fitted to a corpus's runs, with draws and its error on trunks left out.

    Raises InputError where the rows cannot determine it.
    """
    law = fit(table, law=form, objective="gaussian", bootstrap=draws, seed=seed, floor="ignore", exclude_flags=())
    used, problem = posed_again(law, table)
    free = problem.law.to_free(law.values, problem.origin)
    folds = left_out(used.trunk)
    ends = best_ends(problem, np.tile(free, (len(folds), 1, 1)), weights=problem.weights * ~folds)
    errors = np.concatenate([
        (problem.targets - problem.evaluate(end)[0])[fold] for end, fold in zip(ends.free, folds, strict=True)
    ])  # fmt: skip
    return LawSurface(
        form=form, law=open_law(form), values=np.vstack([law.values, law.draws]), misfit=law.rmse,
        unseen=float(np.mean(errors**2)),
    )  # fmt: skip


def quadratic_surface(
    table: Observations, *, log_flops: Floats, near: tuple[float, float], draws: int, generator: np.random.Generator
) -> QuadraticSurface:
    """Return the quadratic near (ln C, ln(D/N)) = `near`. `log_flops` (n,) are the rows', as the budget counts them.

    Draws move the losses by the noise of points and trunks around it (`isoloss.fitting.noise`). The error on trunks
    left out is that of the same rows with the same weights.
    """
    x, z = np.log(table.params), np.log(table.tokens)
    origin = np.array([x.mean(), z.mean()])
    y = np.log(table.loss_nats)
    distance = ((log_flops - near[0]) / NEAR_FLOPS) ** 2 + ((z - x - near[1]) / NEAR_RATIO) ** 2
    weights = np.exp(-0.5 * distance)
    X = _quadratic(x - origin[0], z - origin[1])
    solved = _solver(X, weights)
    best = solved @ y
    residuals = y - X @ best
    weights = weights * len(y) / weights.sum()
    noise = trunk_noise(residuals, X, table.trunk, np.clip(weights, 1e-3, None))
    noise = replace(noise, row_scale=np.ones(len(y)))  # weights say how near a row is, not how noisy
    moved = X @ best + noise.draw_noise(generator, noise.draw_deviations(generator, draws))
    errors, counts = [], []
    for fold in left_out(table.trunk):
        held = _solver(X, np.where(fold, 0.0, weights)) @ y
        errors.append((y - X @ held)[fold])
        counts.append(weights[fold])
    error, weight = np.concatenate(errors), np.concatenate(counts)
    return QuadraticSurface(
        form=QUADRATIC, origin=origin, coefficients=np.vstack([best, moved @ solved.T]),
        misfit=float(np.sqrt(np.average(residuals**2, weights=weights))),
        unseen=float(np.average(error**2, weights=weight)),
        runs=_independent(len(y), len(np.unique(table.trunk)), noise.trunk_sd, noise.point_sd),
    )  # fmt: skip


def left_out(trunks: NDArray[np.str_], *, most: int = 24) -> NDArray[np.bool_]:
    """Return which rows (folds, n) each fold leaves out: a trunk each, or groups of trunks where there are many."""
    names, member = np.unique(trunks, return_inverse=True)
    groups = min(len(names), most)
    return np.asarray((member % groups)[None, :] == np.arange(groups)[:, None])


def _independent(rows: int, trunks: int, trunk_sd: float, point_sd: float) -> float:
    shared = trunk_sd**2 / (trunk_sd**2 + point_sd**2) if trunk_sd else 0.0
    return rows / (1 + (rows / trunks - 1) * shared)


def _quadratic(x: Floats, z: Floats) -> Floats:
    return np.column_stack([np.ones_like(x), x, z, x * x, x * z, z * z])


def _solver(X: Floats, weights: Floats) -> Floats:
    """Return the matrix (6, n) that takes ln losses to weighted least squares."""
    root = np.sqrt(weights)[:, None]
    return np.asarray(np.linalg.pinv(root * X) * root.T)
