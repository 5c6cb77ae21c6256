"""Chinchilla's law as most people fit it: L-BFGS on Huber's loss in log-sum-exp form, from a grid of starts.

Intervals: training curves drawn with replacement, each refit from the best values.
"""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import huber

from isoloss.arena.entries._sum import SumOfPowers, trunk_weights
from isoloss.laws.law import Floats

DELTA, DRAWS = 1e-3, 12
STARTS = tuple(product((-0.5,), (3.0, 12.0), (3.0, 12.0), (0.2, 0.5), (0.2, 0.5)))


def fit(table: Any) -> SumOfPowers:
    """Return the sum of powers fitted to a table."""
    x, z, y = np.log(table.params), np.log(table.tokens), np.log(table.loss_nats)
    whole = _objective(x, z, y, np.ones(len(y)))
    ends = [minimize(whole, start, jac=True, method="L-BFGS-B") for start in STARTS]
    best = min(ends, key=lambda end: end.fun).x
    generator = np.random.default_rng(table.seed)
    drawn = [
        minimize(_objective(x, z, y, trunk_weights(table.trunk, generator)), best, jac=True, method="L-BFGS-B").x
        for _ in range(DRAWS)
    ]
    return SumOfPowers(_plain(best), np.array([_plain(one) for one in drawn]))


def _objective(x: Floats, z: Floats, y: Floats, weights: Floats) -> Callable[[Floats], tuple[float, Floats]]:
    """Return the weighted sum of Huber's loss and its gradient, as a function of (ln E, ln A, ln B, α, β)."""

    def value(at: Floats) -> tuple[float, Floats]:
        e, a, b, alpha, beta = at
        terms = np.stack([np.full_like(y, e), a - alpha * x, b - beta * z])
        predicted = np.logaddexp.reduce(terms, axis=0)
        shares = np.exp(terms - predicted)
        miss = predicted - y
        slope = weights * np.clip(miss, -DELTA, DELTA)
        gradient = [slope @ shares[0], slope @ shares[1], slope @ shares[2], -slope @ (shares[1] * x),
                    -slope @ (shares[2] * z)]  # fmt: skip
        return float(weights @ huber(DELTA, miss)), np.array(gradient)

    return value


def _plain(found: Floats) -> Floats:
    return np.concatenate([np.exp(found[:1]), found[1:]])
