"""Power laws of one quantity: Kaplan's L(N), L(D), L(C), and the same with an irreducible loss beneath.

Kaplan et al. 2020 (arXiv:2001.08361), eqs. 1.1–1.3; with the offset, Hestness et al. 2017 (arXiv:1712.00409), eq. 1 and
Henighan et al. 2020 (arXiv:2010.14701), eq. 1.1. What is not read is taken as unlimited: fit L(N) to runs with data to
spare, L(D) to large models stopped early, L(C) to the best run of each budget.
"""

from typing import Any, ClassVar

import numpy as np

from isoloss.laws._arithmetic import compiled, exponential, logarithm
from isoloss.laws.law import Floats, OfLogarithms
from isoloss.laws.starts import EXPONENTS, linear_terms

# Below it, and with a term at the centre of the data below e⁻⁵, the scale Nc = exp(a/α) leaves double precision.
LEAST_EXPONENT, LEAST_LEVEL = 1e-2, -5.0
MOST_EXPONENT = 5.0


@compiled
def _power(free: Any, features: Any, log_loss: Any, jacobian: Any) -> None:
    """a − α z and its derivatives by (a, α); z is the centred logarithm."""
    a, alpha = free
    for i in range(log_loss.size):
        log_loss[i] = a - alpha * features[0, i]
        jacobian[0, i] = 1.0
        jacobian[1, i] = -features[0, i]


@compiled
def _offset(free: Any, features: Any, log_loss: Any, jacobian: Any) -> None:
    """ln(E + exp(a − α z)) and its derivatives by (E, a, α)."""
    E, a, alpha = free
    term = jacobian[1]
    for i in range(log_loss.size):
        term[i] = a - alpha * features[0, i]
    exponential(term)
    for i in range(log_loss.size):
        loss = E + term[i]
        log_loss[i] = loss
        jacobian[0, i] = 1 / loss
        term[i] /= loss
        jacobian[2, i] = -term[i] * features[0, i]
    logarithm(log_loss)


class _Power(OfLogarithms):
    """L = (xc/x)^α. Free parameters: ln L at the centre of the data, α."""

    source = "Kaplan et al. 2020, arXiv:2001.08361"
    kernel = _power

    @staticmethod
    def bounds(features: Floats, log_loss: Floats) -> tuple[Floats, Floats]:
        """Return bounds around the losses seen; exponents lie in [.01, 5]."""
        return (
            np.array([log_loss.min() - 5, LEAST_EXPONENT]),
            np.array([log_loss.max() + 5, MOST_EXPONENT]),
        )

    @staticmethod
    def automatic_starts(features: Floats, log_loss: Floats) -> Floats:
        """Return least squares, which is the optimum but for the objective, and one start far from it."""
        z = features[:, 0]
        slope = -float((z * log_loss).sum() / (z * z).sum())
        middle = float(log_loss.mean())
        return np.array([[middle, slope], [middle, 1.0]])

    @staticmethod
    def loss(values: Floats, *args: Any, **columns: Any) -> Floats:
        """Return (xc/x)^α."""
        (column,) = columns.values()
        scale, alpha = np.moveaxis(values, -1, 0)
        return np.asarray(np.power(scale / column, alpha))


class KaplanParams(_Power):
    """L(N) = (Nc/N)^αN (eq. 1.1)."""

    name = "kaplan_params"
    formula = "L = (Nc/N)^αN"
    columns = ("params",)
    parameters = ("Nc", "alpha_N")
    scales: ClassVar = {"Nc": "alpha_N"}


class KaplanTokens(_Power):
    """L(D) = (Dc/D)^αD (eq. 1.2)."""

    name = "kaplan_tokens"
    formula = "L = (Dc/D)^αD"
    columns = ("tokens",)
    parameters = ("Dc", "alpha_D")
    scales: ClassVar = {"Dc": "alpha_D"}


class KaplanFlops(_Power):
    """L(C) = (Cc/C)^αC (eq. 1.3), for the best run of each budget."""

    name = "kaplan_flops"
    formula = "L = (Cc/C)^αC"
    columns = ("flops",)
    parameters = ("Cc", "alpha_C")
    scales: ClassVar = {"Cc": "alpha_C"}


class _Offset(OfLogarithms):
    """L = E + A/x^α. Free parameters: E, ln A − α·mean ln x, α."""

    source = "Henighan et al. 2020, arXiv:2010.14701"
    parameters = ("E", "A", "alpha")
    factors: ClassVar = {"A": "alpha"}
    kernel = _offset

    @staticmethod
    def bounds(features: Floats, log_loss: Floats) -> tuple[Floats, Floats]:
        """Return bounds as of Chinchilla's law: the term may vanish, and not exceed the losses seen."""
        middle, top = float(log_loss.mean()), float(log_loss.max())
        return np.array([0.0, middle - 20, 0.0]), np.array([np.exp(top), top + 2, MOST_EXPONENT])

    @staticmethod
    def automatic_starts(features: Floats, log_loss: Floats) -> Floats:
        """Return 8 starts: a grid of exponents, with the best E and A for each (they enter linearly)."""
        alpha = np.array(EXPONENTS)
        power = np.exp(-alpha[:, None] * features[:, 0])
        E, A = linear_terms([np.ones_like(power), power], log_loss).T
        return np.stack([np.exp(E), A, alpha], axis=1)

    @staticmethod
    def loss(values: Floats, *args: Any, **columns: Any) -> Floats:
        """Return E + A/x^α."""
        (column,) = columns.values()
        E, A, alpha = np.moveaxis(values, -1, 0)
        return np.asarray(E + A * np.power(column, -alpha))


class OffsetParams(_Offset):
    """L(N) = E + A/N^α."""

    name = "offset_params"
    formula = "L = E + A/N^α"
    columns = ("params",)


class OffsetTokens(_Offset):
    """L(D) = E + A/D^α."""

    name = "offset_tokens"
    formula = "L = E + A/D^α"
    columns = ("tokens",)


class OffsetFlops(_Offset):
    """L(C) = E + A/C^α, for the best run of each budget."""

    name = "offset_flops"
    formula = "L = E + A/C^α"
    columns = ("flops",)
