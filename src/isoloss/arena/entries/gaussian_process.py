"""A Gaussian process of ln L over (ln N, ln D): a plane, a smooth part, noise of runs and of training curves.

It says nothing of a floor: where the runs are far away it goes on as the plane.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

from isoloss.laws.law import Floats

DRAWS, PLANE = 200, 100.0  # prior variance of the plane's coefficients, in units of ln L's variance
SIZES = 201
STARTS = ((-0.5, 0.7, 0.7, -3.0, -3.0), (0.5, 1.2, 1.2, -4.0, -4.0))


@dataclass(frozen=True)
class Process:
    """The rows in standard units, (n, 2) and (n,), with hyperparameters and the Cholesky factor of the covariance."""

    rows: Floats
    values: Floats
    theta: Floats
    factor: tuple[Floats, bool]
    units: Floats
    seed: int

    def predict(self, params: Floats, tokens: Floats) -> Floats:
        """Return the loss at points (n,)."""
        at = self._at(params, tokens)
        return self._loss(_kernel(at, self.rows, self.theta) @ cho_solve(self.factor, self.values))

    def draws(self, params: Floats, tokens: Floats) -> Floats:
        """Return the loss of every draw at points: (draws, n)."""
        at = self._at(params, tokens)
        across = _kernel(at, self.rows, self.theta)
        mean = across @ cho_solve(self.factor, self.values)
        covariance = _kernel(at, at, self.theta) - across @ cho_solve(self.factor, across.T)
        values, vectors = np.linalg.eigh(covariance)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        normal = np.random.default_rng(self.seed).standard_normal((DRAWS, len(at)))
        return self._loss(mean + normal @ root.T)

    def best(self, flops: float) -> tuple[float, float | None, float | None] | None:
        """Return the best tokens per parameter of a budget among sizes like those seen: beyond them a plane falls."""
        sizes = self.units[0] + self.units[2] * self.rows[:, 0]
        log_n = np.linspace(sizes.min(), sizes.max(), SIZES)
        n = np.exp(log_n)
        lowest = np.vstack([self.predict(n, flops / 6 / n), self.draws(n, flops / 6 / n)]).argmin(axis=1)
        if not 0 < lowest[0] < SIZES - 1:
            return None
        ratios = np.exp(np.log(flops / 6) - 2 * log_n[lowest])
        low, high = np.quantile(ratios[1:], [0.025, 0.975]).tolist()
        return float(ratios[0]), low, high

    def floor(self) -> None:
        """Return nothing: a process has no floor."""

    def next(self, params: Floats, tokens: Floats, flops: float) -> tuple[int, ...]:
        """Return candidates one after another where the process knows least per FLOP."""
        at, cost = self._at(params, tokens), 6 * params * tokens
        across = _kernel(at, self.rows, self.theta)
        covariance = _kernel(at, at, self.theta) - across @ cho_solve(self.factor, across.T)
        noise = float(np.exp(2 * self.theta[3]) + np.exp(2 * self.theta[4]))
        chosen: list[int] = []
        left = flops
        while len(payable := [i for i in np.flatnonzero(cost <= left).tolist() if i not in chosen]):
            gain = (covariance[:, payable] ** 2).sum(axis=0) / (np.diag(covariance)[payable] + noise)
            place = payable[int(np.argmax(gain / cost[payable]))]
            column = covariance[:, place].copy()
            covariance = covariance - np.outer(column, column) / (column[place] + noise)
            chosen.append(place)
            left -= float(cost[place])
        return tuple(chosen)

    def _at(self, params: Floats, tokens: Floats) -> Floats:
        points = np.column_stack([np.log(params), np.log(tokens)])
        return np.asarray((points - self.units[:2]) / self.units[2:4])

    def _loss(self, values: Floats) -> Floats:
        return np.asarray(np.exp(self.units[4] + self.units[5] * values))


def fit(table: Any) -> Process:
    """Return the process given a table, its hyperparameters where the rows are likeliest."""
    points, y = np.column_stack([np.log(table.params), np.log(table.tokens)]), np.log(table.loss_nats)
    units = np.array([*points.mean(axis=0), *points.std(axis=0), y.mean(), y.std()])
    rows, values = (points - units[:2]) / units[2:4], (y - units[4]) / units[5]
    same = (table.trunk[:, None] == table.trunk[None, :]).astype(np.float64)

    def minus_evidence(theta: Floats) -> float:
        covariance = _covariance(rows, theta, same)
        try:
            factor = cho_factor(covariance, lower=True)
        except np.linalg.LinAlgError:
            return 1e10
        prior = 0.5 * float(((theta - np.array([-0.5, 0.7, 0.7, -3.0, -3.0])) ** 2 / 4).sum())
        return float(0.5 * values @ cho_solve(factor, values) + np.log(np.diag(factor[0])).sum()) + prior

    ends = [minimize(minus_evidence, start, method="L-BFGS-B", bounds=[(-6.0, 3.0)] * 5) for start in STARTS]
    theta = min(ends, key=lambda end: end.fun).x
    return Process(rows, values, theta, cho_factor(_covariance(rows, theta, same), lower=True), units, table.seed)


def _kernel(a: Floats, b: Floats, theta: Floats) -> Floats:
    """Return the covariance of the smooth part and the plane; `theta` is ln of height, both widths, both noises."""
    far = ((a[:, None, :] - b[None, :, :]) / np.exp(theta[1:3])) ** 2
    return np.asarray(np.exp(2 * theta[0] - far.sum(axis=2) / 2) + PLANE * (1 + a @ b.T))


def _covariance(rows: Floats, theta: Floats, same: Floats) -> Floats:
    noise = np.exp(2 * theta[3]) * np.eye(len(rows)) + np.exp(2 * theta[4]) * same
    return np.asarray(_kernel(rows, rows, theta) + noise + 1e-9 * np.eye(len(rows)))
