"""Repeated data: Chinchilla's law of what repeated tokens and excess parameters are still worth.

Muennighoff et al. 2023 (arXiv:2305.16264), section 3.1, eqs. 4–6. With U unique tokens and R = D/U − 1 repetitions,

    L = E + A/N′^α + B/D′^β
    D′ = U + U R_D* (1 − exp(−R_D/R_D*))          R_D = D/U − 1
    N′ = U_N + U_N R_N* (1 − exp(−R_N/R_N*))      R_N = N/U_N − 1, U_N = min(N, the best N for U tokens)

The best N for U tokens is where both terms trade evenly, α A/N^α = β B/U^β.
"""

from itertools import product
from typing import Any, ClassVar

import numpy as np

from isoloss.laws._arithmetic import compiled, exponential, logarithm
from isoloss.laws.chinchilla import Chinchilla, OfTwoTerms
from isoloss.laws.law import Floats
from isoloss.laws.starts import linear_terms

# Below it the best N for U tokens, a power 1/α, leaves double precision.
LEAST_EXPONENT = 0.02
# Half-lives in repetitions: .01 (the first repeat is worthless) to 10,000 (repeats are as good as new).
LEAST_HALF_LIFE, MOST_HALF_LIFE = 1e-2, 1e4
START_EXPONENTS = (0.1, 0.2, 0.35, 0.55, 0.9)
START_HALF_LIVES = (1.0, 10.0, 100.0)


@compiled
def _decayed(log_ratio: float, half_life: float) -> tuple[float, float, float]:
    """Return ln G of G = 1 + R*(1 − exp(−R/R*)), R = exp(log_ratio) − 1, and its derivatives by log_ratio and ln R*.

    Without repetition (log_ratio ≤ 0) G is the ratio itself.
    """
    if log_ratio <= 0:
        return log_ratio, 1.0, 0.0
    repeats = np.expm1(log_ratio)
    kept = np.exp(-repeats / half_life)
    worth = 1.0 - half_life * np.expm1(-repeats / half_life)
    return np.log(worth), kept * (repeats + 1.0) / worth, (worth - 1.0 - kept * repeats) / worth


@compiled
def _repeated(free: Any, features: Any, log_loss: Any, jacobian: Any) -> None:
    """ln L and its derivatives by (E, a, b, α, β, ln R_D*, ln R_N*).

    Features are x = ln N and u = ln U, centred, and ln(D/U) as it is.
    """
    E, a, b, alpha, beta = free[0], free[1], free[2], free[3], free[4]
    life_d, life_n = np.exp(free[5]), np.exp(free[6])
    balance = np.log(alpha) - np.log(beta) + a - b
    of_params, of_tokens = jacobian[1], jacobian[2]
    for i in range(log_loss.size):
        u = features[1, i]
        best = (balance + beta * u) / alpha
        excess, by_size, by_life_n = _decayed(features[0, i] - best, life_n)
        data, _, by_life_d = _decayed(features[2, i], life_d)
        of_params[i] = a - alpha * (best + excess)
        of_tokens[i] = b - beta * (u + data)
        jacobian[3, i], jacobian[4, i] = best + excess, u + data
        jacobian[5, i], jacobian[6, i] = by_life_d, by_life_n
        # What best moves of N′: none where there is no excess, for N′ is N then.
        jacobian[0, i] = 1.0 - by_size
    exponential(of_params)
    exponential(of_tokens)
    for i in range(log_loss.size):
        loss = E + of_params[i] + of_tokens[i]
        log_loss[i] = loss
        n, d, u, shift = of_params[i] / loss, of_tokens[i] / loss, features[1, i], jacobian[0, i]
        best = (balance + beta * u) / alpha
        jacobian[0, i] = 1 / loss
        jacobian[1, i] = n * (1.0 - shift)
        jacobian[2, i] = d + n * shift
        jacobian[3, i] = -n * (jacobian[3, i] + shift * (1.0 / alpha - best))
        jacobian[4, i] = -d * jacobian[4, i] - n * shift * (u - 1.0 / beta)
        jacobian[5, i] *= -beta * d
        jacobian[6, i] *= -alpha * n
    logarithm(log_loss)


class Repeated(OfTwoTerms):
    """Chinchilla's law of effective parameters and data. Free: Chinchilla's, and the logarithms of R_D* and R_N*."""

    name = "repeated"
    formula = "L = E + A/N′^α + B/D′^β, D′ = U (1 + R_D*(1 − e^(−R_D/R_D*))), N′ alike"
    source = "Muennighoff et al. 2023, arXiv:2305.16264"
    parameters = ("E", "A", "B", "alpha", "beta", "R_D", "R_N")
    columns = ("params", "tokens", "unique_tokens")
    defaults: ClassVar = {"unique_tokens": "tokens"}
    may_be_constant = frozenset({"unique_tokens"})
    logarithms = ("R_D", "R_N")
    kernel = _repeated

    @staticmethod
    def features(*, params: Floats, tokens: Floats, unique_tokens: Floats) -> Floats:
        """Return (ln N, ln U, ln(D/U)); where fewer tokens were seen than there are, U is what was seen."""
        unique = np.minimum(unique_tokens, tokens)
        return np.column_stack([np.log(params), np.log(unique), np.log(tokens / unique)])

    @staticmethod
    def origin(features: Floats) -> Floats:
        """Return the means of ln N and ln U, and 0: repetitions are counted from none."""
        return np.array([features[:, 0].mean(), features[:, 1].mean(), 0.0])

    @staticmethod
    def bounds(features: Floats, log_loss: Floats) -> tuple[Floats, Floats]:
        """Return Chinchilla's bounds with exponents in [.02, 5], and half-lives of .01 to 10,000 repetitions."""
        low, high = Chinchilla.bounds(features, log_loss)
        low[3:] = LEAST_EXPONENT
        life = np.log([LEAST_HALF_LIFE, MOST_HALF_LIFE])
        return np.concatenate([low, [life[0]] * 2]), np.concatenate([high, [life[1]] * 2])

    @staticmethod
    def automatic_starts(features: Floats, log_loss: Floats) -> Floats:
        """Return 225 starts: exponents and half-lives on a grid, with E, A and B the best for each.

        The excess of parameters depends on A and B: they are solved twice, first as if there were none.
        """
        grid = product(START_EXPONENTS, START_EXPONENTS, START_HALF_LIVES, START_HALF_LIVES)
        alpha, beta, life_d, life_n = (column[:, None] for column in np.array(list(grid)).T)
        size, unique, ratio = features.T
        data = unique + _log_worth(ratio, life_d)
        effective = np.broadcast_to(size, data.shape)
        for _ in range(2):
            terms = [np.ones_like(data), np.exp(-alpha * effective), np.exp(-beta * data)]
            E, a, b = (column[:, None] for column in linear_terms(terms, log_loss).T)
            best = (np.log(alpha / beta) + a - b + beta * unique) / alpha
            effective = best + _log_worth(np.clip(size - best, -300, 300), life_n)
        return np.column_stack([np.exp(E), a, b, alpha, beta, np.log(life_d), np.log(life_n)])

    @classmethod
    def log_optimum(cls, values: Floats, *, log_flops: float | Floats, **given: Floats) -> Floats:
        """Return ln N of the least loss; where data are never scarce, Chinchilla's own, since nothing repeats."""
        if given:
            return super().log_optimum(values, log_flops=log_flops, **given)
        return Chinchilla.log_optimum(values, log_flops=log_flops)

    @staticmethod
    def loss(values: Floats, *, params: Floats, tokens: Floats, unique_tokens: Floats) -> Floats:
        """Return E + A/N′^α + B/D′^β."""
        E, A, B, alpha, beta, life_d, life_n = np.moveaxis(values, -1, 0)
        unique = np.log(np.minimum(unique_tokens, tokens))
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            best = (np.log(alpha * A) - np.log(beta * B) + beta * unique) / alpha
            effective = best + _log_worth(np.log(params) - best, life_n)
        data = unique + _log_worth(np.log(tokens) - unique, life_d)
        return np.asarray(E + A * np.exp(-alpha * effective) + B * np.exp(-beta * data))


def _log_worth(log_ratio: Floats, half_life: Floats) -> Floats:
    """Return ln of 1 + R*(1 − exp(−R/R*)) with R = exp(log_ratio) − 1, and the ratio itself where nothing repeats."""
    repeats = np.expm1(np.maximum(log_ratio, 0.0))
    return np.asarray(np.where(log_ratio <= 0, log_ratio, np.log1p(-half_life * np.expm1(-repeats / half_life))))
