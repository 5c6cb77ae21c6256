"""The law with a ceiling: L = E + (L0 − E) h/(1 + h), h = a/N^α + b/D^β (arXiv:2605.09189).

A model without size or data guesses, and guessing costs no more than ln V for a vocabulary of V entries: L0. Far below
the ceiling h is small and the law is Chinchilla's, with A = a (L0 − E) and B = b (L0 − E); near it both terms are felt
less, and size and data seem to interact.
"""

from typing import Any, ClassVar

import numpy as np

from isoloss.laws._arithmetic import compiled, exponential, logarithm
from isoloss.laws.chinchilla import ByFormula, Chinchilla
from isoloss.laws.law import Floats
from isoloss.laws.starts import spread

LOWEST_TERM, HIGHEST_TERM = -25.0, 5.0  # of ln h at the centre of the data: h = e⁵ lies within 1 % of the ceiling
FURTHEST_CEILING = 5.0  # in ln L0 above the highest loss: h is so small there that the law is Chinchilla's to .5 %
START_CEILINGS = (1.1, 1.5, 3.0)  # times the highest loss
EVENLY_SPREAD = 64


@compiled
def _ceiling(free: Any, features: Any, log_loss: Any, jacobian: Any) -> None:
    """ln(E + (L0 − E) h/(1 + h)), h = exp(p − α x) + exp(q − β z), and derivatives by (E, p, q, α, β, ln L0)."""
    E, p, q, alpha, beta = free[0], free[1], free[2], free[3], free[4]
    ceiling = np.exp(free[5])
    of_params, of_tokens = jacobian[1], jacobian[2]
    for i in range(log_loss.size):
        of_params[i] = p - alpha * features[0, i]
        of_tokens[i] = q - beta * features[1, i]
    exponential(of_params)
    exponential(of_tokens)
    for i in range(log_loss.size):
        h = of_params[i] + of_tokens[i]
        part = h / (1.0 + h)
        loss = E + (ceiling - E) * part
        slope = (ceiling - E) / ((1.0 + h) * (1.0 + h) * loss)
        log_loss[i] = loss
        of_params[i] *= slope
        of_tokens[i] *= slope
        jacobian[0, i] = (1.0 - part) / loss
        jacobian[3, i] = -of_params[i] * features[0, i]
        jacobian[4, i] = -of_tokens[i] * features[1, i]
        jacobian[5, i] = ceiling * part / loss
    logarithm(log_loss)


class Ceiling(ByFormula):
    """L = E + (L0 − E) h/(1 + h), h = a/N^α + b/D^β. Free: E, ln a − α·mean ln N, ln b − β·mean ln D, α, β, ln L0.

    L0 may be held at ln of the vocabulary. Free, it is a ceiling of the runs seen: models leave the loss of a uniform
    guess within few steps, and stay near that of token frequencies for long.
    """

    name = "ceiling"
    formula = "L = E + (L0 − E) h/(1 + h), h = a/N^α + b/D^β"
    source = "arXiv:2605.09189"
    parameters = ("E", "a", "b", "alpha", "beta", "L0")
    factors: ClassVar = {"a": "alpha", "b": "beta"}
    logarithms = ("L0",)
    kernel = _ceiling

    @staticmethod
    def bounds(features: Floats, log_loss: Floats) -> tuple[Floats, Floats]:
        """Return bounds: E up to the lowest loss, terms of h from e⁻²⁵ to e⁵, exponents in [0, 5], L0 from half the
        mean loss below the highest to e⁵ times it.
        """
        lowest, top = float(log_loss.min()), float(log_loss.max())
        return (
            np.array([0.0, LOWEST_TERM, LOWEST_TERM, 0.0, 0.0, (lowest + top) / 2]),
            np.array([np.exp(lowest), HIGHEST_TERM, HIGHEST_TERM, 5.0, 5.0, top + FURTHEST_CEILING]),
        )

    @staticmethod
    def automatic_starts(features: Floats, log_loss: Floats) -> Floats:
        """Return 256 starts: Chinchilla's 64 for h/(1 + h) made linear under each of three ceilings, 1.1, 1.5 and 3
        times the highest loss; and 64 spread evenly over the bounds.
        """
        top = float(np.exp(log_loss.max()))
        low, high = Ceiling.bounds(features, log_loss)
        free = Chinchilla.automatic_starts(features, log_loss)
        found = [_under(free, log_loss, ceiling=factor * top) for factor in START_CEILINGS]
        return np.clip(np.vstack([*found, spread(low, high, EVENLY_SPREAD)]), low, high)

    @staticmethod
    def loss(values: Floats, *, params: Floats, tokens: Floats) -> Floats:
        """Return E + (L0 − E) h/(1 + h), h = a/N^α + b/D^β."""
        E, a, b, alpha, beta, L0 = np.moveaxis(values, -1, 0)
        h = a * np.power(params, -alpha) + b * np.power(tokens, -beta)
        return np.asarray(E + (L0 - E) * (1 - 1 / (1 + h)))


def _under(free: Floats, log_loss: Floats, *, ceiling: float) -> Floats:
    """Return 64 starts (64, 6): Chinchilla's `free`, whose terms become h under a ceiling; h = (L − E)/(L0 − L)."""
    E = np.minimum(free[:, 0], 0.95 * np.exp(log_loss.min()))
    # At the middle of the data L − E is shared between the terms; h is that over the distance to the ceiling.
    room = np.log(ceiling - np.exp(log_loss.mean()))
    return np.column_stack([E, free[:, 1:3] - room, free[:, 3:], np.full(len(free), np.log(ceiling))])
