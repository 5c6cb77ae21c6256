"""Kaplan's law of both: L = [(Nc/N)^(αN/αD) + Dc/D]^αD (Kaplan et al. 2020, arXiv:2001.08361, eq. 1.5)."""

from itertools import product
from typing import Any, ClassVar

import numpy as np

from isoloss.laws._arithmetic import compiled, exponential, logarithm
from isoloss.laws.law import Floats, OfLogarithms
from isoloss.laws.power import LEAST_EXPONENT, LEAST_LEVEL, MOST_EXPONENT
from isoloss.laws.starts import EXPONENTS, log_scales, spread

EVENLY_SPREAD = 32


@compiled
def _kaplan(free: Any, features: Any, log_loss: Any, jacobian: Any) -> None:
    """αD ln(exp(u/αD) + exp(v/αD)), u = a − αN x, v = b − αD z, and its derivatives by (a, b, αN, αD).

    w is the share of the first term. Both terms are taken relative to the larger one, so that none overflows.
    """
    a, b, alpha_n, alpha_d = free
    share, log_sum = jacobian[0], jacobian[3]
    for i in range(log_loss.size):
        u, v = a - alpha_n * features[0, i], b - alpha_d * features[1, i]
        share[i] = -abs(u - v) / alpha_d
    exponential(share)
    for i in range(log_loss.size):
        log_sum[i] = 1.0 + share[i]
    logarithm(log_sum)
    for i in range(log_loss.size):
        u, v = a - alpha_n * features[0, i], b - alpha_d * features[1, i]
        smaller = share[i] / (1.0 + share[i])
        w = smaller if u < v else 1.0 - smaller
        larger = max(u, v)
        log_loss[i] = larger + alpha_d * log_sum[i]
        jacobian[0, i] = w
        jacobian[1, i] = 1.0 - w
        jacobian[2, i] = -w * features[0, i]
        jacobian[3, i] = log_sum[i] + (larger - w * u - (1.0 - w) * v) / alpha_d - (1.0 - w) * features[1, i]


class Kaplan(OfLogarithms):
    """L = [(Nc/N)^(αN/αD) + Dc/D]^αD. Free parameters: ln L of each term alone at the centre of the data, αN, αD.

    It has no irreducible loss: with unlimited parameters and data the loss goes to zero.
    """

    name = "kaplan"
    formula = "L = [(Nc/N)^(αN/αD) + Dc/D]^αD"
    source = "Kaplan et al. 2020, arXiv:2001.08361"
    parameters = ("Nc", "Dc", "alpha_N", "alpha_D")
    scales: ClassVar = {"Nc": "alpha_N", "Dc": "alpha_D"}
    kernel = _kaplan

    @staticmethod
    def bounds(features: Floats, log_loss: Floats) -> tuple[Floats, Floats]:
        """Return bounds: either term may vanish compared with the other; exponents lie in [.01, 5]."""
        middle, top = float(log_loss.mean()), float(log_loss.max())
        return (
            np.array([middle + LEAST_LEVEL, middle + LEAST_LEVEL, LEAST_EXPONENT, LEAST_EXPONENT]),
            np.array([top + 2, top + 2, MOST_EXPONENT, MOST_EXPONENT]),
        )

    @staticmethod
    def automatic_starts(features: Floats, log_loss: Floats) -> Floats:
        """Return 96 starts: a grid of exponents, and for each the scales that are best for L^(1/αD), in which both
        terms are linear; and 32 spread evenly over the bounds.
        """
        alpha_n, alpha_d = np.array(list(product(EXPONENTS, repeat=2))).T
        exponents = (-(alpha_n / alpha_d)[:, None] * features[:, 0], np.tile(-features[:, 1], (len(alpha_d), 1)))
        relative = [e - (log_loss - log_loss.mean()) / alpha_d[:, None] for e in exponents]
        levels = log_loss.mean() + alpha_d[:, None] * log_scales(relative)
        return np.vstack(
            [np.column_stack([levels, alpha_n, alpha_d]), spread(*Kaplan.bounds(features, log_loss), EVENLY_SPREAD)]
        )

    @staticmethod
    def loss(values: Floats, *, params: Floats, tokens: Floats) -> Floats:
        """Return [(Nc/N)^(αN/αD) + Dc/D]^αD, by logarithms: the terms themselves may overflow."""
        Nc, Dc, alpha_n, alpha_d = np.moveaxis(values, -1, 0)
        with np.errstate(divide="ignore"):
            of_params = alpha_n / alpha_d * (np.log(Nc) - np.log(params))
            of_tokens = np.log(Dc) - np.log(tokens)
        return np.asarray(np.exp(alpha_d * np.logaddexp(of_params, of_tokens)))

    @staticmethod
    def log_optimum(values: Floats, *, log_flops: float | Floats, **given: Floats) -> Floats:
        """Return ln N_opt = [r ln Nc + ln r − ln Dc + ln(C/6)]/(1 + r), r = αN/αD: where both terms trade evenly."""
        Nc, Dc, alpha_n, alpha_d = np.moveaxis(values, -1, 0)
        # A draw may lack a term (Nc or Dc zero, an exponent zero): it has no optimum then.
        with np.errstate(all="ignore"):
            r = alpha_n / alpha_d
            found = (r * np.log(Nc) + np.log(r) - np.log(Dc) + log_flops - np.log(6)) / (1 + r)
        return np.where(np.isfinite(found), found, np.nan)

    @staticmethod
    def exponent_a(values: Floats, *, log_flops: float = 0.0, **given: Floats) -> Floats:
        """Return a = αD/(αN + αD), the same at every budget."""
        alpha_n, alpha_d = values[..., 2], values[..., 3]
        return np.asarray(alpha_d / (alpha_n + alpha_d))
