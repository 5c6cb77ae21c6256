"""Data as steps × batch: Kaplan's law of size and steps, with the batch size beyond which steps are not saved.

Kaplan et al. 2020 (arXiv:2001.08361), section 5 and eqs. 1.4 and 1.6, with an irreducible loss E (theirs is E = 0):

    L = E + (Nc/N)^αN + (Sc/S_min)^αS
    S_min = S/(1 + B_crit/B) = D/(B + B_crit)       the steps an enormous batch would have taken
    B_crit = B*/L^κ, κ = 1/αB                       after McCandlish et al. 2018 (arXiv:1812.06162)

B_crit is that of the loss reached, so L stands on both sides. The right side falls with L, so there is
one solution, and it always exists.
"""

from itertools import product
from typing import Any, ClassVar

import numpy as np
from numba import vectorize

from isoloss.laws._arithmetic import FAST, compiled
from isoloss.laws.law import Floats, OfLogarithms
from isoloss.laws.starts import linear_terms

# Nc = exp(a/α) stays in double precision with exponents from here and terms no smaller than e⁻⁵ of the mean loss.
LEAST_EXPONENT, MOST_EXPONENT, LEAST_LEVEL = 1e-2, 5.0, -5.0
MOST_KAPPA = 20.0  # Kaplan et al. found 1/.21 = 4.8
NEWTON_STEPS = 60
SETTLED = 1e-14  # of ln L
START_EXPONENTS = (0.1, 0.35, 0.9)
START_KAPPAS = (0.0, 4.0)


@compiled
def _solve_log_loss(floor: float, s: float, alpha_s: float, batch: float, c: float, kappa: float) -> float:
    """Return ℓ = ln L of L = floor + exp(s + αS ln(batch + exp(c − κ ℓ))).

    The right side's logarithm is convex in ℓ, so Newton's method from below rises to the solution without overshooting.
    """
    level: float = np.log(floor + np.exp(s + alpha_s * np.log(batch)))
    for _ in range(NEWTON_STEPS):
        critical = np.exp(c - kappa * level)
        total = batch + critical
        of_steps = np.exp(s + alpha_s * np.log(total))
        loss = floor + of_steps
        step = (np.log(loss) - level) / (1.0 + of_steps / loss * alpha_s * kappa * critical / total)
        level += step
        if abs(step) <= SETTLED:
            break
    return level


_log_losses: Any = vectorize(cache=True, fastmath=FAST)(_solve_log_loss.py_func)  # type: ignore[no-untyped-call]
"""The same over arrays."""


@compiled
def _critical_batch(free: Any, features: Any, log_loss: Any, jacobian: Any) -> None:
    """ln L and its derivatives by (E, a, s, αN, αS, c, κ), implicit in L. Features: centred ln N, ln D, ln B."""
    E, a, s, alpha_n, alpha_s, c, kappa = free[0], free[1], free[2], free[3], free[4], free[5], free[6]
    for i in range(log_loss.size):
        x, z, y = features[0, i], features[1, i], features[2, i]
        of_params = np.exp(a - alpha_n * x)
        batch = np.exp(y)
        level = _solve_log_loss(E + of_params, s - alpha_s * z, alpha_s, batch, c, kappa)
        critical = np.exp(c - kappa * level)
        total = batch + critical
        log_steps = z - np.log(total)
        loss = np.exp(level)
        of_steps = loss - E - of_params
        noise = of_steps * alpha_s * critical / total
        scale = 1.0 / (loss + noise * kappa)
        log_loss[i] = level
        jacobian[0, i] = scale
        jacobian[1, i] = scale * of_params
        jacobian[2, i] = scale * of_steps
        jacobian[3, i] = -scale * of_params * x
        jacobian[4, i] = -scale * of_steps * log_steps
        jacobian[5, i] = scale * noise
        jacobian[6, i] = -scale * noise * level


class CriticalBatch(OfLogarithms):
    """Kaplan's law of parameters, tokens and batch. Free: E, both terms at the centre of the data, αN, αS, ln B*, κ."""

    name = "critical_batch"
    formula = "L = E + (Nc/N)^αN + (Sc/S_min)^αS, S_min = D/(B + B*/L^κ)"
    source = "Kaplan et al. 2020, arXiv:2001.08361"
    parameters = ("E", "Nc", "Sc", "alpha_N", "alpha_S", "B_star", "kappa")
    columns = ("params", "tokens", "batch_tokens")
    fixable_with: ClassVar = {"Nc": ("alpha_N",), "Sc": ("alpha_S",)}
    kernel = _critical_batch

    @staticmethod
    def to_free(values: Floats, origin: Floats) -> Floats:
        """Return (E, a, s, αN, αS, ln B* − mean ln B, κ); steps are counted from mean D / mean B."""
        E, Nc, Sc, alpha_n, alpha_s, star, kappa = np.moveaxis(np.asarray(values, dtype=np.float64), -1, 0)
        a = alpha_n * (np.log(Nc) - origin[0])
        s = alpha_s * (np.log(Sc) - (origin[1] - origin[2]))
        return np.stack([E, a, s, alpha_n, alpha_s, np.log(star) - origin[2], kappa], axis=-1)

    @staticmethod
    def to_values(free: Floats, origin: Floats) -> Floats:
        """Return (E, Nc, Sc, αN, αS, B*, κ)."""
        E, a, s, alpha_n, alpha_s, c, kappa = np.moveaxis(np.asarray(free, dtype=np.float64), -1, 0)
        Nc, Sc = np.exp(origin[0] + a / alpha_n), np.exp(origin[1] - origin[2] + s / alpha_s)
        return np.stack([E, Nc, Sc, alpha_n, alpha_s, np.exp(c + origin[2]), kappa], axis=-1)

    @staticmethod
    def bounds(features: Floats, log_loss: Floats) -> tuple[Floats, Floats]:
        """Return bounds: B_crit from e⁻⁷ of the smallest batch to e⁷ of the largest, at the mean loss and κ = 0."""
        middle, top = float(log_loss.mean()), float(log_loss.max())
        batch = features[:, 2]
        reach = MOST_KAPPA * max(float(log_loss.max()), 0.0)
        return (
            np.array(
                [0.0, middle + LEAST_LEVEL, middle + LEAST_LEVEL, LEAST_EXPONENT, LEAST_EXPONENT, batch.min() - 7, 0.0]
            ),
            np.array(
                [np.exp(top), top + 2, top + 2, MOST_EXPONENT, MOST_EXPONENT, batch.max() + 7 + reach, MOST_KAPPA]
            ),
        )

    @staticmethod
    def automatic_starts(features: Floats, log_loss: Floats) -> Floats:
        """Return 54 starts: exponents, B_crit at the losses seen and κ on a grid, with E and both terms the best."""
        size, tokens, batch = features.T
        criticals = (batch.min() - 1, float(batch.mean()), batch.max() + 1)
        grid = product(START_EXPONENTS, START_EXPONENTS, criticals, START_KAPPAS)
        alpha_n, alpha_s, critical, kappa = (column[:, None] for column in np.array(list(grid)).T)
        c = critical + kappa * log_loss.mean()
        log_steps = tokens - np.logaddexp(batch, c - kappa * log_loss)
        terms = [np.ones_like(log_steps), np.exp(-alpha_n * size), np.exp(-alpha_s * log_steps)]
        E, a, s = linear_terms(terms, log_loss).T
        return np.column_stack([np.exp(E), a, s, alpha_n, alpha_s, c, kappa])

    @staticmethod
    def loss(values: Floats, *, params: Floats, tokens: Floats, batch_tokens: Floats) -> Floats:
        """Return the L that solves the law, by the kernel's iteration."""
        E, Nc, Sc, alpha_n, alpha_s, star, kappa = np.moveaxis(values, -1, 0)
        floor = E + np.power(Nc / params, alpha_n)
        s = alpha_s * (np.log(Sc) - np.log(tokens))
        return np.asarray(np.exp(_log_losses(floor, s, alpha_s, batch_tokens, np.log(star), kappa)))
