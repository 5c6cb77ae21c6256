"""Chinchilla's law: L = E + A/N^α + B/D^β (Hoffmann et al. 2022, arXiv:2203.15556, eq. 2 and approach 3)."""

from itertools import product
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from isoloss.laws._arithmetic import compiled, exponential, logarithm
from isoloss.laws.law import OfLogarithms
from isoloss.laws.starts import EXPONENTS, linear_terms

Floats = NDArray[np.float64]


@compiled
def _chinchilla(free: Any, features: Any, log_loss: Any, jacobian: Any) -> None:
    """ln(E + exp(a − α x) + exp(b − β z)) and its derivatives by (E, a, b, α, β); x, z are centred ln N, ln D."""
    E, a, b, alpha, beta = free
    of_params, of_tokens = jacobian[1], jacobian[2]
    for i in range(log_loss.size):
        of_params[i] = a - alpha * features[0, i]
        of_tokens[i] = b - beta * features[1, i]
    exponential(of_params)
    exponential(of_tokens)
    for i in range(log_loss.size):
        loss = E + of_params[i] + of_tokens[i]
        log_loss[i] = loss
        jacobian[0, i] = 1 / loss
        of_params[i] /= loss
        of_tokens[i] /= loss
        jacobian[3, i] = -of_params[i] * features[0, i]
        jacobian[4, i] = -of_tokens[i] * features[1, i]
    logarithm(log_loss)


class OfTwoTerms(OfLogarithms):
    """A law whose first parameters are those of Chinchilla's: E, A, B, α, β. Its others may follow."""

    factors: ClassVar = {"A": "alpha", "B": "beta"}

    @staticmethod
    def falls(values: Floats) -> NDArray[np.bool_]:
        """Return whether the loss falls both with N and with D: without both there is no interior optimum."""
        return np.asarray((values[..., 1:5] > 0).all(axis=-1))


class ByFormula(OfTwoTerms):
    """A law of two terms whose best split has Chinchilla's formula: what it adds rises with A/N^α + B/D^β."""

    @classmethod
    def log_optimum(cls, values: Floats, *, log_flops: float | Floats, **given: Floats) -> Floats:
        """Return ln N_opt = [ln(αA/βB) + β ln(C/6)]/(α+β), NaN where a term does not fall.

        Hoffmann et al. 2022, eq. 4.
        """
        A, B, alpha, beta = np.moveaxis(values[..., 1:5], -1, 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            optimum = (np.log(alpha * A) - np.log(beta * B) + beta * (log_flops - np.log(6))) / (alpha + beta)
        return np.where(cls.falls(values), optimum, np.nan)

    @classmethod
    def exponent_a(cls, values: Floats, *, log_flops: float = 0.0, **given: Floats) -> Floats:
        """Return a = β/(α+β), the same at every budget; NaN where a term does not fall."""
        alpha, beta = values[..., 3], values[..., 4]
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(cls.falls(values), beta / (alpha + beta), np.nan)


class Chinchilla(ByFormula):
    """L = E + A/N^α + B/D^β. Free parameters: E, ln A − α·mean ln N, ln B − β·mean ln D, α, β.

    E is free itself and not its logarithm: E = 0 is then a bound that a fit can reach, and not a valley without an end.
    """

    name = "chinchilla"
    formula = "L = E + A/N^α + B/D^β"
    source = "Hoffmann et al. 2022, arXiv:2203.15556"
    parameters = ("E", "A", "B", "alpha", "beta")
    kernel = _chinchilla

    @staticmethod
    def bounds(features: Floats, log_loss: Floats) -> tuple[Floats, Floats]:
        """Return bounds wide enough that a term may vanish (e⁻²⁰ of the loss) and none may exceed the losses seen.

        Exponents lie in [0, 5]: fits to solved grammars reach 3.5, and a law is no power law beyond that.
        """
        middle, top = float(log_loss.mean()), float(log_loss.max())
        return (
            np.array([0.0, middle - 20, middle - 20, 0.0, 0.0]),
            np.array([np.exp(top), top + 2, top + 2, 5.0, 5.0]),
        )

    @staticmethod
    def automatic_starts(features: Floats, log_loss: Floats) -> Floats:
        """Return 64 starts: a grid of exponents, with E, A and B the best for each (they enter linearly)."""
        alpha, beta = np.array(list(product(EXPONENTS, repeat=2))).T
        of_params, of_tokens = (np.exp(-e[:, None] * z) for e, z in ((alpha, features[:, 0]), (beta, features[:, 1])))
        E, a, b = linear_terms([np.ones_like(of_params), of_params, of_tokens], log_loss).T
        return np.stack([np.exp(E), a, b, alpha, beta], axis=1)

    @staticmethod
    def published_starts(origin: Floats) -> Floats:
        """Return the 4,500 starts of Hoffmann et al. 2022, appendix D.3 (a, b, e are logarithms of A, B, E)."""
        a, b, e, alpha, beta = np.array(
            list(
                product(
                    (0, 5, 10, 15, 20, 25), (0, 5, 10, 15, 20, 25), (-1, -0.5, 0, 0.5, 1), (0, 0.5, 1, 1.5, 2),
                    (0, 0.5, 1, 1.5, 2),
                )
            )
        ).T  # fmt: skip
        return Chinchilla.to_free(np.stack([np.exp(e), np.exp(a), np.exp(b), alpha, beta], axis=1), origin)

    @staticmethod
    def loss(values: Floats, *, params: Floats, tokens: Floats) -> Floats:
        """Return E + A/N^α + B/D^β."""
        E, A, B, alpha, beta = np.moveaxis(values, -1, 0)
        return np.asarray(E + A * np.power(params, -alpha) + B * np.power(tokens, -beta))
