"""The coupled law: L = E + [(A/N^α)^(1/γ) + (B/D^β)^(1/γ)]^γ, between Chinchilla's and Kaplan's.

γ = 1 is Chinchilla's law (Hoffmann et al. 2022, arXiv:2203.15556); γ = β with E = 0 is Kaplan's of both (Kaplan et al.
2020, arXiv:2001.08361, eq. 1.5); γ → 0 takes the larger of the two terms, so that the scarcer of size and data alone
sets the loss.
"""

from itertools import product
from typing import Any

import numpy as np

from isoloss.laws._arithmetic import compiled, exponential, logarithm
from isoloss.laws.chinchilla import ByFormula, Chinchilla
from isoloss.laws.law import Floats
from isoloss.laws.starts import EXPONENTS, log_scales, spread

LEAST_COUPLING, MOST_COUPLING = 0.05, 2.0  # at .05 the sum is within 3.5 % of the larger term everywhere
START_COUPLINGS = (0.2, 0.5)
START_SHARES = (0.0, 0.5)  # of the least loss that E takes
EVENLY_SPREAD = 64


@compiled
def _coupled(free: Any, features: Any, log_loss: Any, jacobian: Any) -> None:
    """ln(E + e^s), s = γ ln(e^(u/γ) + e^(v/γ)), u = a − α x, v = b − β z, and derivatives by (E, a, b, α, β, γ).

    w is the share of the first term within the sum. Both are taken relative to the larger one: none overflows.
    """
    E, a, b, alpha, beta, gamma = free
    share, log_sum, term = jacobian[1], jacobian[5], jacobian[0]
    for i in range(log_loss.size):
        u, v = a - alpha * features[0, i], b - beta * features[1, i]
        share[i] = -abs(u - v) / gamma
    exponential(share)
    for i in range(log_loss.size):
        log_sum[i] = 1.0 + share[i]
    logarithm(log_sum)
    for i in range(log_loss.size):
        u, v = a - alpha * features[0, i], b - beta * features[1, i]
        term[i] = max(u, v) + gamma * log_sum[i]
    exponential(term)
    for i in range(log_loss.size):
        u, v = a - alpha * features[0, i], b - beta * features[1, i]
        smaller = share[i] / (1.0 + share[i])
        w = smaller if u < v else 1.0 - smaller
        loss = E + term[i]
        part = term[i] / loss
        log_loss[i] = loss
        jacobian[0, i] = 1.0 / loss
        jacobian[1, i] = part * w
        jacobian[2, i] = part * (1.0 - w)
        jacobian[3, i] = -part * w * features[0, i]
        jacobian[4, i] = -part * (1.0 - w) * features[1, i]
        jacobian[5, i] = part * (log_sum[i] + (max(u, v) - w * u - (1.0 - w) * v) / gamma)
    logarithm(log_loss)


class Coupled(ByFormula):
    """L = E + [(A/N^α)^(1/γ) + (B/D^β)^(1/γ)]^γ. Free: E, ln A − α·mean ln N, ln B − β·mean ln D, α, β, γ."""

    name = "coupled"
    formula = "L = E + [(A/N^α)^(1/γ) + (B/D^β)^(1/γ)]^γ"
    source = "between Hoffmann et al. 2022, arXiv:2203.15556, and Kaplan et al. 2020, arXiv:2001.08361"
    parameters = ("E", "A", "B", "alpha", "beta", "gamma")
    kernel = _coupled

    @staticmethod
    def bounds(features: Floats, log_loss: Floats) -> tuple[Floats, Floats]:
        """Return Chinchilla's bounds, and γ in [.05, 2]."""
        low, high = Chinchilla.bounds(features, log_loss)
        return np.append(low, LEAST_COUPLING), np.append(high, MOST_COUPLING)

    @staticmethod
    def automatic_starts(features: Floats, log_loss: Floats) -> Floats:
        """Return 384 starts: each of Chinchilla's with γ = 1; and for γ of .2 and .5, E of 0 and half the least loss
        and a grid of exponents, the terms that are best for (L − E)^(1/γ), in which they are linear; and 64 spread
        evenly over the bounds.
        """
        free = np.atleast_2d(Chinchilla.automatic_starts(features, log_loss))
        found = [np.column_stack([free, np.ones(len(free))])]
        found += [
            _starts_at(features, log_loss, gamma=gamma, floor=share * float(np.exp(log_loss.min())))
            for gamma, share in product(START_COUPLINGS, START_SHARES)
        ]
        return np.vstack([*found, spread(*Coupled.bounds(features, log_loss), EVENLY_SPREAD)])

    @staticmethod
    def loss(values: Floats, *, params: Floats, tokens: Floats) -> Floats:
        """Return E + [(A/N^α)^(1/γ) + (B/D^β)^(1/γ)]^γ, by logarithms: the powers themselves may overflow."""
        E, A, B, alpha, beta, gamma = np.moveaxis(values, -1, 0)
        with np.errstate(divide="ignore"):
            of_params = (np.log(A) - alpha * np.log(params)) / gamma
            of_tokens = (np.log(B) - beta * np.log(tokens)) / gamma
        return np.asarray(E + np.exp(gamma * np.logaddexp(of_params, of_tokens)))

    @classmethod
    def log_optimum(cls, values: Floats, *, log_flops: float | Floats, **given: Floats) -> Floats:
        """Return ln N_opt = [ln A − ln B + γ ln(α/β) + β ln(C/6)]/(α+β), NaN where a term does not fall."""
        _, A, B, alpha, beta, gamma = np.moveaxis(values, -1, 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            lean = np.log(A) - np.log(B) + gamma * (np.log(alpha) - np.log(beta))
            optimum = (lean + beta * (log_flops - np.log(6))) / (alpha + beta)
        return np.where(cls.falls(values), optimum, np.nan)


def _starts_at(features: Floats, log_loss: Floats, *, gamma: float, floor: float) -> Floats:
    """Return 64 starts (64, 6) with this γ and E = `floor`: exponents on a grid, the best terms of (L − E)^(1/γ)."""
    alpha, beta = np.array(list(product(EXPONENTS, repeat=2))).T
    target = np.log(np.exp(log_loss) - floor)
    middle = float(target.mean())
    relative = [
        (-e[:, None] * z - (target - middle)) / gamma for e, z in ((alpha, features[:, 0]), (beta, features[:, 1]))
    ]
    fixed = np.ones_like(alpha)
    return np.column_stack([floor * fixed, middle + gamma * log_scales(relative), alpha, beta, gamma * fixed])
