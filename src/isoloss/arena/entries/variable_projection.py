"""Chinchilla's law by variable projection: solves for E, A, B ≥ 0 on a grid of exponents, then refines the grid.

Errors are relative to the loss. Intervals: training curves drawn with replacement, each on the whole grid.
"""

from typing import Any

import numpy as np

from isoloss.arena.entries._sum import SumOfPowers, trunk_weights
from isoloss.laws.law import Floats

EXPONENTS = np.geomspace(0.03, 2.0, 28)
FINER, STEPS, DRAWS = 0.35, 7, 60


def fit(table: Any) -> SumOfPowers:
    """Return the sum of powers fitted to a table."""
    generator = np.random.default_rng(table.seed)
    best = _solve(table, np.ones(len(table.params)))
    drawn = [_solve(table, trunk_weights(table.trunk, generator)) for _ in range(DRAWS)]
    return SumOfPowers(best, np.array(drawn))


def _solve(table: Any, weights: Floats) -> Floats:
    """Return (E, ln A, ln B, α, β) of least weighted squares: a grid, then two finer ones around its best."""
    alphas = betas = EXPONENTS
    step = float(np.log(EXPONENTS[1] / EXPONENTS[0]))
    best = np.empty(5)
    for _ in range(3):
        best = _on_grid(table, weights, alphas, betas)
        alphas, betas = (centre * np.exp(step * np.linspace(-1, 1, STEPS)) for centre in best[3:])
        step *= FINER
    return best


def _on_grid(table: Any, weights: Floats, alphas: Floats, betas: Floats) -> Floats:
    n, d = table.params / np.median(table.params), table.tokens / np.median(table.tokens)
    root = np.sqrt(weights) / table.loss_nats
    sizes = n ** -np.repeat(alphas, len(betas))[:, None]
    lengths = d ** -np.tile(betas, len(alphas))[:, None]
    columns = np.stack([np.ones_like(sizes), sizes, lengths], axis=2) * root[:, None]  # grid × rows × 3
    target = root * table.loss_nats
    found, missed = _non_negative(columns, target)
    place = int(missed.argmin())
    alpha, beta = alphas[place // len(betas)], betas[place % len(betas)]
    e, a, b = np.maximum(found[place], [0.0, 1e-300, 1e-300])
    return np.array([
        e, np.log(a) + alpha * np.log(np.median(table.params)), np.log(b) + beta * np.log(np.median(table.tokens)),
        alpha, beta,
    ])  # fmt: skip


def _non_negative(columns: Floats, target: Floats) -> tuple[Floats, Floats]:
    """Return non-negative coefficients (grid, 3) and the squares missed (grid,): the best of every set of columns."""
    gram, right = np.swapaxes(columns, 1, 2) @ columns, np.einsum("gnk,n->gk", columns, target)
    best, least = np.zeros((len(columns), 3)), np.full(len(columns), np.inf)
    for held in ((0, 1, 2), (1, 2), (0, 1), (0, 2), (1,), (2,)):
        own = np.array(held)
        square = gram[:, own[:, None], own] + 1e-12 * np.eye(len(own))
        part = np.linalg.solve(square, right[:, own, None])[..., 0]
        whole = np.zeros((len(columns), 3))
        whole[:, own] = part
        missed = target @ target - np.einsum("gk,gk->g", part, right[:, own])
        better = (part >= 0).all(axis=1) & (missed < least)
        best[better], least[better] = whole[better], missed[better]
    return best, least
