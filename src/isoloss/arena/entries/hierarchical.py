"""A coupled law with a prior on its floor, exponents and coupling, taken from other languages and texts.

L = E + [(A N^-α)^(1/γ) + (B D^-β)^(1/γ)]^γ. The prior says where E lies below the least loss seen, what exponents are
usual, and how coupled the terms are. The answer is the most probable law with normal draws around it; noise of training
curves is estimated from the residuals.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import least_squares
from scipy.special import expit

from isoloss.laws.law import Floats

DRAWS = 300
# Of logit(E / least loss), ln A′, ln B′ (in units of the least loss, at the middle of the runs), ln α, ln β, logit γ.
# The first: the true floors of five tuning languages over their least open losses are .22 to .85. The others, rounded:
# laws fitted to bundled English and Python (isoloss.arena.truths) have exponents of .22 to .42, couplings of .3 to .7.
PRIOR = np.array([0.3, 0.0, 0.0, np.log(0.35), np.log(0.35), 0.0])
SPREAD = np.array([1.1, 2.0, 2.0, 0.5, 0.5, 1.0])
LEAST_NOISE = 3e-3  # of ln L: seeds of small models differ by more


@dataclass(frozen=True)
class Hierarchical:
    """The most probable values (6,) and draws (k, 6), in units of the middle of the runs and their least loss."""

    values: Floats
    drawn: Floats
    units: tuple[float, float, float]

    def predict(self, params: Floats, tokens: Floats) -> Floats:
        """Return the loss at points (n,)."""
        return np.asarray(self._losses(self.values[None], params, tokens)[0])

    def draws(self, params: Floats, tokens: Floats) -> Floats:
        """Return the loss of every draw at points: (draws, n)."""
        return self._losses(self.drawn, params, tokens)

    def floor(self) -> tuple[float, float, float]:
        """Return E with its interval."""
        least = self.units[2]
        low, high = np.quantile(expit(self.drawn[:, 0]) * least, [0.025, 0.975]).tolist()
        return float(expit(self.values[0]) * least), low, high

    def _losses(self, values: Floats, params: Floats, tokens: Floats) -> Floats:
        x, z = np.log(params) - self.units[0], np.log(tokens) - self.units[1]
        return self.units[2] * _relative(values[:, None, :], x, z)


def fit(table: Any) -> Hierarchical:
    """Return the law of a table under the prior, its noise from a first fit without training curves."""
    x, z, y = np.log(table.params), np.log(table.tokens), np.log(table.loss_nats)
    units = float(x.mean()), float(z.mean()), float(table.loss_nats.min())
    x, z, y = x - units[0], z - units[1], y - np.log(units[2])
    root = np.eye(len(y)) / 0.01
    for _ in range(3):
        found = _most_probable(x, z, y, root)
        root = _whitening(np.log(_relative(found.x, x, z)) - y, table.trunk)
    covariance = np.linalg.inv(found.jac.T @ found.jac)
    drawn = np.random.default_rng(table.seed).multivariate_normal(found.x, covariance, DRAWS)
    return Hierarchical(found.x, drawn, units)


def _most_probable(x: Floats, z: Floats, y: Floats, root: Floats) -> Any:
    def residuals(values: Floats) -> Floats:
        return np.concatenate([root @ (np.log(_relative(values, x, z)) - y), (values - PRIOR) / SPREAD])

    starts = (PRIOR, PRIOR + SPREAD * np.array([1, 0, 0, 1, 1, -1]), PRIOR + SPREAD * np.array([-1, 0, 0, -1, -1, 1]))
    return min((least_squares(residuals, start) for start in starts), key=lambda end: end.cost)


def _relative(values: Floats, x: Floats, z: Floats) -> Floats:
    """Return the loss over the least one, of values (…, 6) at x = ln N and z = ln D from the middle of the runs."""
    e, a, b, alpha, beta, gamma = np.moveaxis(values, -1, 0)
    power = expit(gamma)
    with np.errstate(over="ignore"):
        of_n, of_d = (a - np.exp(alpha) * x) / power, (b - np.exp(beta) * z) / power
        return np.asarray(expit(e) + np.exp(power * np.logaddexp(of_n, of_d)))


def _whitening(residuals: Floats, trunk: Floats) -> Floats:
    """Return the matrix that makes noise of runs and of training curves white, from residuals."""
    _, member = np.unique(trunk, return_inverse=True)
    counts = np.bincount(member)
    means = np.bincount(member, residuals) / counts
    within = max(float((residuals - means[member]).std()), LEAST_NOISE)
    between = max(float((means**2).mean()) - within**2 / float(counts.mean()), 0.0)
    covariance = within**2 * np.eye(len(residuals)) + between * (member[:, None] == member[None, :])
    return np.asarray(np.linalg.inv(np.linalg.cholesky(covariance)))
