"""Farseer's law: the exponent and the coefficient of data depend on size (Li et al. 2025, arXiv:2506.10972).

    L = e^(a3 N^γ + b3) + e^(a2 N^β + b2) · D^(−A(N)),   A(N) = e^(a1 N^α + b1)

Each of the three functions of N is a stretched exponential; signs of a and of the exponents are free. The kernel writes
a N^γ + b as c + d·(x^(γ) − 1)/γ in the centred x = ln N (Box & Cox 1964), so that c and d are value and slope at the
centre and γ the curvature alone: at γ = 0 the function is a power of N.
"""

from typing import Any, ClassVar, NamedTuple

import numpy as np

from isoloss.laws._arithmetic import compiled
from isoloss.laws.chinchilla import Chinchilla
from isoloss.laws.law import Floats, Law
from isoloss.laws.optimum import stationary_on_budget
from isoloss.laws.starts import spread

MOST_CURVATURE = 1.5  # of N^γ; the paper's own fit has .12 to .17
LEAST_CURVATURE = 1e-4  # a = d/γ: at 0 itself the formula has no such numbers
MOST_SLOPE = 3.0
NARROW, WIDE = 20.0, 4.0  # around the mean loss: a term may vanish, and not exceed the losses by more than e⁴
# Half as many found what the dense set finds on every published table, on one of them (repeated data) twice.
EVENLY_SPREAD = 128
START_SLOPES = (-0.1, 0.0, 0.1)  # of ln A(N) in ln N


@compiled
def _stretched(x: float, curvature: float) -> tuple[float, float]:
    """Return φ = (e^(γx) − 1)/γ and its derivative by γ, by their series near γ = 0."""
    g = curvature * x
    if abs(g) < 1e-3:
        return x * (1.0 + g / 2.0 + g * g / 6.0), x * x * (0.5 + g / 3.0 + g * g / 8.0)
    power = np.exp(g)
    return (power - 1.0) / curvature, (x * power - (power - 1.0) / curvature) / curvature


@compiled
def _farseer(free: Any, features: Any, log_loss: Any, jacobian: Any) -> None:
    """ln L and its derivatives by (d3, c3, γ, s2, f2, β, d1, c1, α).

    Features: x = ln N and z = ln D, centred, and ln D as it is. f2 and s2 are value and slope in x of the logarithm of
    the data term at the centre of the data; c2 = f2 + A m and d2 = s2 + A d1 m, with m the mean of ln D and A its
    exponent at the centre.
    """
    d3, c3, gamma, s2, f2, beta, d1, c1, alpha = (
        free[0], free[1], free[2], free[3], free[4], free[5], free[6], free[7], free[8],
    )  # fmt: skip
    at_centre = np.exp(c1)
    for i in range(log_loss.size):
        x, log_data = features[0, i], features[2, i]
        mean = log_data - features[1, i]
        by3, dby3 = _stretched(x, gamma)
        by2, dby2 = _stretched(x, beta)
        by1, dby1 = _stretched(x, alpha)
        exponent = np.exp(c1 + d1 * by1)
        slope = s2 + at_centre * d1 * mean
        of_size = np.exp(c3 + d3 * by3)
        of_data = np.exp(f2 + at_centre * mean + slope * by2 - exponent * log_data)
        loss = of_size + of_data
        n, d = of_size / loss, of_data / loss
        log_loss[i] = np.log(loss)
        jacobian[1, i] = n
        jacobian[0, i] = n * by3
        jacobian[2, i] = n * d3 * dby3
        jacobian[4, i] = d
        jacobian[3, i] = d * by2
        jacobian[5, i] = d * slope * dby2
        jacobian[7, i] = d * (at_centre * mean * (1.0 + d1 * by2) - exponent * log_data)
        jacobian[6, i] = d * (at_centre * mean * by2 - exponent * by1 * log_data)
        jacobian[8, i] = -d * exponent * d1 * dby1 * log_data


class Farseer(Law):
    """L = e^(a3 N^γ + b3) + e^(a2 N^β + b2) D^(−e^(a1 N^α + b1)). Free: slope, value and curvature of each function."""

    name = "farseer"
    formula = "L = e^(a3 N^γ + b3) + e^(a2 N^β + b2) · D^(−e^(a1 N^α + b1))"
    source = "Li et al. 2025, arXiv:2506.10972"
    parameters = ("a3", "b3", "gamma", "a2", "b2", "beta", "a1", "b1", "alpha")
    fixable_with: ClassVar = {
        "a1": ("alpha",), "b1": ("a1", "alpha"), "a3": ("gamma",), "b3": ("a3", "gamma"),
        "a2": ("beta", "a1", "b1", "alpha"), "b2": ("a2", "beta", "a1", "b1", "alpha"),
    }  # fmt: skip
    kernel = _farseer

    @staticmethod
    def features(*, params: Floats, tokens: Floats) -> Floats:
        """Return (ln N, ln D, ln D)."""
        return np.column_stack([np.log(params), np.log(tokens), np.log(tokens)])

    @staticmethod
    def origin(features: Floats) -> Floats:
        """Return the means of ln N and ln D, and 0: D^(−A) with A a function of N has no centre."""
        return np.array([features[:, 0].mean(), features[:, 1].mean(), 0.0])

    @staticmethod
    def to_free(values: Floats, origin: Floats) -> Floats:
        """Return (d3, c3, γ, s2, f2, β, d1, c1, α): slope, value and curvature of each function of N at the centre."""
        a3, b3, gamma, a2, b2, beta, a1, b1, alpha = np.moveaxis(np.asarray(values, dtype=np.float64), -1, 0)
        (c1, d1), (c2, d2), (c3, d3) = (
            (b + a * np.exp(g * origin[0]), a * np.exp(g * origin[0]) * g)
            for a, b, g in ((a1, b1, alpha), (a2, b2, beta), (a3, b3, gamma))
        )
        exponent = np.exp(c1)
        f2, s2 = c2 - exponent * origin[1], d2 - exponent * d1 * origin[1]
        return np.stack([d3, c3, gamma, s2, f2, beta, d1, c1, alpha], axis=-1)

    @staticmethod
    def to_values(free: Floats, origin: Floats) -> Floats:
        """Return (a3, b3, γ, a2, b2, β, a1, b1, α); a curvature of nearly zero counts as `LEAST_CURVATURE`."""
        d3, c3, gamma, s2, f2, beta, d1, c1, alpha = np.moveaxis(np.asarray(free, dtype=np.float64), -1, 0)
        exponent = np.exp(c1)
        c2, d2 = f2 + exponent * origin[1], s2 + exponent * d1 * origin[1]
        found = []
        for c, d, g in ((c3, d3, gamma), (c2, d2, beta), (c1, d1, alpha)):
            curvature = np.where(np.abs(g) < LEAST_CURVATURE, LEAST_CURVATURE, g)
            scale = d / curvature
            found += [scale * np.exp(-curvature * origin[0]), c - scale, curvature]
        return np.stack(found, axis=-1)

    @staticmethod
    def bounds(features: Floats, log_loss: Floats) -> tuple[Floats, Floats]:
        """Return bounds: values around the losses seen, exponents of D in [e⁻⁶, 5], slopes ±3, curvatures ±1.5."""
        middle = float(log_loss.mean())
        slope, curvature = (-MOST_SLOPE, MOST_SLOPE), (-MOST_CURVATURE, MOST_CURVATURE)
        term = [slope, (middle - NARROW, middle + WIDE), curvature]
        exponent = [slope, (-6.0, np.log(5.0)), curvature]
        low, high = np.array([*term, *term, *exponent]).T
        return low, high

    @staticmethod
    def automatic_starts(features: Floats, log_loss: Floats) -> Floats:
        """Return 320 starts: each of Chinchilla's, as the Farseer law with its value, slope and curvature at the
        centre, with an exponent of D that falls, stays or rises with N; and 128 spread evenly over the bounds.
        """
        found = Chinchilla.automatic_starts(features[:, :2], log_loss)
        E, a, b, alpha, beta = np.repeat(found, len(START_SLOPES), axis=0).T
        slope = np.tile(START_SLOPES, len(found))
        A = np.exp(a)
        flat = np.zeros_like(a)
        # ln(E + A e^(−αx)) has slope −αA/(E + A) and curvature −αE/(E + A), relative to that slope.
        near_chinchilla = np.column_stack(
            [-alpha * A / (E + A), np.log(E + A), -alpha * E / (E + A), flat, b, flat, slope, np.log(beta), flat]
        )
        return np.vstack([near_chinchilla, spread(*Farseer.bounds(features, log_loss), EVENLY_SPREAD)])

    @staticmethod
    def loss(values: Floats, *, params: Floats, tokens: Floats) -> Floats:
        """Return e^(a3 N^γ + b3) + e^(a2 N^β + b2) D^(−e^(a1 N^α + b1))."""
        a3, b3, gamma, a2, b2, beta, a1, b1, alpha = np.moveaxis(values, -1, 0)
        log_params, log_tokens = np.log(params), np.log(tokens)
        with np.errstate(over="ignore"):
            exponent = np.exp(a1 * np.exp(alpha * log_params) + b1)
            of_size = np.exp(a3 * np.exp(gamma * log_params) + b3)
            of_data = np.exp(a2 * np.exp(beta * log_params) + b2 - exponent * log_tokens)
        return np.asarray(of_size + of_data)

    @classmethod
    def log_optimum(cls, values: Floats, *, log_flops: float | Floats, **given: Floats) -> Floats:
        """Return ln N of the least loss at a budget, where its slope is zero: the search needs no differences."""

        def loss(values: Floats, params: Floats, tokens: Floats) -> Floats:
            return cls.loss(values, params=params, tokens=tokens)

        def slope(values: Floats, log_params: Floats, log_tokens: Floats) -> tuple[Floats, Floats]:
            found = _along_budget(values, log_params, log_tokens)
            return found.slope, found.curvature

        return stationary_on_budget(loss, slope, values, log_flops=log_flops)

    @classmethod
    def exponent_a(cls, values: Floats, *, log_flops: float, **given: Floats) -> Floats:
        """Return d ln N* / d ln C: where the slope stays zero, −(its change with ln C) over the curvature."""
        log_params = cls.log_optimum(values, log_flops=log_flops)
        with np.errstate(all="ignore"):
            found = _along_budget(values, log_params, log_flops - np.log(6) - log_params)
            return np.asarray(-found.by_budget / found.curvature)


class _AlongBudget(NamedTuple):
    """The loss at fixed N · D: dL/d ln N, d²L/d ln N², and how dL/d ln N changes with ln C."""

    slope: Floats
    curvature: Floats
    by_budget: Floats


def _along_budget(values: Floats, log_params: Floats, log_tokens: Floats) -> _AlongBudget:
    """Return the derivatives of e^p + e^u, p = a3 N^γ + b3, u = a2 N^β + b2 − A(N) ln D, with ln D = ln(C/6) − ln N."""
    a3, b3, gamma, a2, b2, beta, a1, b1, alpha = np.moveaxis(values, -1, 0)
    x, z = log_params, log_tokens
    p3, p2, p1 = (a * np.exp(g * x) for a, g in ((a3, gamma), (a2, beta), (a1, alpha)))
    A = np.exp(p1 + b1)
    A1 = A * alpha * p1
    A2 = A1 * (alpha + alpha * p1)
    u1 = beta * p2 - A1 * z + A
    u2 = beta**2 * p2 - A2 * z + 2 * A1
    of_size, of_data = np.exp(p3 + b3), np.exp(p2 + b2 - A * z)
    return _AlongBudget(
        slope=of_size * gamma * p3 + of_data * u1,
        curvature=of_size * gamma**2 * (p3 + p3**2) + of_data * (u2 + u1**2),
        by_budget=-of_data * (A * u1 + A1),
    )
