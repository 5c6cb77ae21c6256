"""L = E + A/C^α: the least loss of a budget as a power law that saturates (Hoffmann et al.; Porian et al. 2024).

Fitted by least squares of ln L, optionally weighted by the inverse variance of ln L, to the loss at each budget's
optimum. Many redrawn losses are fitted at once.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from isoloss.core.errors import BadTable
from isoloss.core.estimate import LEVEL, Estimate
from isoloss.laws.law import Floats

FEWEST_BUDGETS = 4
EXPONENTS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.45)  # starts: from nearly logarithmic to steeper than any published fit
SHARES = (0.0, 0.3, 0.6, 0.9)  # starts: E as a share of the least loss
MOST_STEPS = 300
DAMPING, EASE, HINDER = 1e-3, 0.3, 4.0
SMALL_STEP = 1e-12


@dataclass(frozen=True, kw_only=True, eq=False)
class SaturatingFit:
    """L = E + A/C^α. `draws` (m, 3) are refits (E, A, α); `rmse` is of ln L; `flops` the range that was fitted."""

    E: float
    A: float
    alpha: float
    rmse: float
    flops: tuple[float, float]
    draws: Floats = field(default_factory=lambda: np.empty((0, 3)))

    def estimates(self) -> dict[str, Estimate]:
        """Return E, A and α with the percentile intervals of the draws."""
        values = {"E": self.E, "A": self.A, "alpha": self.alpha}
        return {
            name: Estimate.from_draws(self.draws[:, i], value=value) for i, (name, value) in enumerate(values.items())
        }

    def loss_at(self, flops: ArrayLike) -> Floats:
        """Return the least loss of budgets, in nats per token."""
        spent = np.atleast_1d(np.asarray(flops, dtype=np.float64))
        return np.asarray(_loss(np.array([[self.E, self.A, self.alpha]]), spent)[0])

    def band(self, flops: ArrayLike, *, level: float = LEVEL) -> tuple[Floats, Floats]:
        """Return both ends of the pointwise interval of the least loss at budgets. Needs draws."""
        losses = _loss(self.draws, np.atleast_1d(np.asarray(flops, dtype=np.float64)))
        low, high = np.quantile(losses, [(1 - level) / 2, (1 + level) / 2], axis=0)
        return low, high


def fit_saturating(
    flops: ArrayLike, loss_nats: ArrayLike, *, log_std: ArrayLike | None = None, draws: ArrayLike | None = None
) -> SaturatingFit:
    """Return L = E + A/C^α through (budgets,) losses; `draws` (budgets, m) are refitted from the optimum.

    `log_std` is the standard deviation of ln L at each budget: the weight is its inverse square. Raises BadTable for
    fewer than four budgets or losses that do not fall.
    """
    budget, loss = np.asarray(flops, dtype=np.float64), np.asarray(loss_nats, dtype=np.float64)
    if len(np.unique(budget)) < FEWEST_BUDGETS:
        raise BadTable(
            f"{len(np.unique(budget))} budgets, expected at least {FEWEST_BUDGETS} for three parameters",
            fix="add budgets, or fit a power law without an offset",
        )
    if loss[budget.argmax()] >= loss[budget.argmin()]:
        raise BadTable("the least loss does not fall with compute", fix="check the columns of FLOPs and loss")
    weights = np.ones_like(loss) if log_std is None else 1 / np.asarray(log_std, dtype=np.float64) ** 2
    weights = weights / weights.mean()
    centre = float(np.log(budget).mean())
    x = np.log(budget) - centre
    ends, misfits = _descend(_starts(loss, x), x, np.log(loss)[None], weights)
    best = ends[misfits.argmin()]
    values = _natural(best[None], centre)[0]
    redrawn = np.empty((0, 3))
    if draws is not None:
        targets = np.log(np.asarray(draws, dtype=np.float64)).T
        redrawn = _natural(_descend(np.tile(best, (len(targets), 1)), x, targets, weights)[0], centre)
    return SaturatingFit(
        E=float(values[0]), A=float(values[1]), alpha=float(values[2]),
        rmse=float(np.sqrt(misfits.min() / len(loss))), flops=(float(budget.min()), float(budget.max())), draws=redrawn,
    )  # fmt: skip


def _loss(values: Floats, flops: Floats) -> Floats:
    E, A, alpha = values.T[..., None]
    return np.asarray(E + A * flops**-alpha)


def _starts(loss: Floats, x: Floats) -> Floats:
    """Return starts (s, 3) in free parameters: E, ln A at the centre, α."""
    return np.array([
        (share * loss.min(), np.log(np.median(loss) - share * loss.min()), exponent)
        for share in SHARES
        for exponent in EXPONENTS
    ])  # fmt: skip


def _natural(free: Floats, centre: float) -> Floats:
    E, a, alpha = free.T
    return np.column_stack([E, np.exp(a + alpha * centre), alpha])


def _descend(free: Floats, x: Floats, targets: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Return the ends (jobs, 3) and their weighted sums of squares: Levenberg–Marquardt, all jobs at once, E ≥ 0."""
    free = free.copy()
    damping = np.full(len(free), DAMPING)
    misfit, residual, jacobian = _linearise(free, x, targets, weights)
    for _ in range(MOST_STEPS):
        gram = np.einsum("jni,jnk->jik", jacobian, jacobian)
        right = np.einsum("jni,jn->ji", jacobian, residual)
        # E at its bound that would be pushed below does not move.
        held = (free[:, 0] <= 0) & (right[:, 0] < 0)
        gram[held, 0, 1:] = gram[held, 1:, 0] = right[held, 0] = 0
        diagonal = np.einsum("jii->ji", gram)
        step = np.linalg.solve(gram + (damping[:, None] * diagonal + 1e-300)[..., None] * np.eye(3), right[..., None])[
            ..., 0
        ]
        trial = free + step
        trial[:, 0] = np.maximum(trial[:, 0], 0.0)
        new_misfit, new_residual, new_jacobian = _linearise(trial, x, targets, weights)
        better = new_misfit <= misfit
        moved = np.abs(np.where(better[:, None], trial - free, 0)).max()
        for kept, new in ((free, trial), (misfit, new_misfit), (residual, new_residual), (jacobian, new_jacobian)):
            kept[better] = new[better]
        damping = np.clip(np.where(better, damping * EASE, damping * HINDER), 1e-12, 1e12)
        if better.any() and moved < SMALL_STEP:
            break
    return free, misfit


def _linearise(free: Floats, x: Floats, targets: Floats, weights: Floats) -> tuple[Floats, Floats, Floats]:
    """Return sums of squares (jobs,), residuals (jobs, n) and derivatives of ln L (jobs, n, 3), weighted."""
    E, a, alpha = free.T[..., None]
    with np.errstate(over="ignore", invalid="ignore"):
        term = np.exp(a - alpha * x)
        loss = E + term
        root = np.sqrt(weights)
        residual = root * (targets - np.log(loss))
        jacobian = np.stack([1 / loss, term / loss, -x * term / loss], axis=2) * root[:, None]
        misfit = (residual**2).sum(axis=1)
    return np.where(np.isfinite(misfit), misfit, np.inf), residual, jacobian
