"""The coefficients of a law that knows its corpus, and how each of them may follow a measure of complexity.

They are Chinchilla's, taken at the middle of the runs, where they are nearly uncorrelated and of plain meaning:

    L = E + A₀ (N/N₀)^−α + B₀ (D/D₀)^−β

with N₀ and D₀ the geometric means of all rows: A₀ and B₀ are the nats that the middle size and the middle amount of
data still cost. A coefficient is `shared` by all corpora, `linear` in the measure (as in Pandey 2024,
arXiv:2405.16684), or `log_linear`: its logarithm is linear in the measure.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from isoloss.core.errors import InputError, did_you_mean, require_known

Floats = NDArray[np.float64]
Form = Literal["shared", "linear", "log_linear"]
Method = Literal["joint", "two_stage"]
FORMS: tuple[Form, ...] = get_args(Form)

COEFFICIENTS = ("E", "A0", "B0", "alpha", "beta")
FORMULA = "L = E + A0 (N/N0)^-alpha + B0 (D/D0)^-beta"
# Corpora scatter around a shared coefficient by so many nats (E, which may be 0) or by a factor (all others).
SHARED_IN_LOGARITHMS = np.array([False, True, True, True, True])
# As published: every coefficient linear in the measure. A and B span orders of magnitude, so their logarithms are.
PUBLISHED_FORMS: dict[str, Form] = {
    "E": "linear", "A0": "log_linear", "B0": "log_linear", "alpha": "linear", "beta": "linear"
}  # fmt: skip
# A linear coefficient that would fall below zero bends to zero over about this much (nats; exponents).
BEND = np.array([0.01, 0.01, 0.01, 0.005, 0.005])
# Logarithms are taken of this much at least: E may be 0.
SMALLEST = np.array([0.01, 1e-9, 1e-9, 1e-9, 1e-9])


@dataclass(frozen=True, kw_only=True, eq=False)
class Scale:
    """Whether each coefficient (5,) is worked with as its logarithm, `η = ln θ`, or as it is, bent at zero."""

    logarithmic: NDArray[np.bool_]

    @classmethod
    def of(cls, forms: Mapping[str, Form]) -> "Scale":
        """Return the scale on which forms are straight lines."""
        chosen = [forms[name] for name in COEFFICIENTS]
        return cls(
            logarithmic=np.array([
                shared if form == "shared" else form == "log_linear"
                for form, shared in zip(chosen, SHARED_IN_LOGARITHMS, strict=True)
            ])
        )  # fmt: skip

    def coefficients(self, eta: Floats) -> Floats:
        """Return θ (…, 5) of η (…, 5)."""
        with np.errstate(over="ignore"):
            bent = BEND * np.logaddexp(0.0, eta / BEND)
            return np.asarray(np.where(self.logarithmic, np.exp(np.minimum(eta, 50.0)), bent))

    def slopes(self, eta: Floats, theta: Floats) -> Floats:
        """Return dθ/dη (…, 5)."""
        # dθ/dη of the bend is 1 / (1 + exp(−η/bend)) = 1 − exp(−θ/bend).
        return np.asarray(np.where(self.logarithmic, theta, -np.expm1(-theta / BEND)))

    def eta(self, theta: Floats) -> Floats:
        """Return η (…, 5) of θ (…, 5)."""
        bent = np.maximum(theta, 1e-3 * BEND)
        bent = bent + BEND * np.log(-np.expm1(-bent / BEND))
        return np.asarray(np.where(self.logarithmic, np.log(np.maximum(theta, SMALLEST)), bent))


def checked_forms(forms: Mapping[str, str]) -> dict[str, Form]:
    """Return a form for every coefficient, `shared` where none is named. Raises InputError for an unknown one."""
    found: dict[str, Form] = dict.fromkeys(COEFFICIENTS, "shared")
    for name, form in forms.items():
        require_known(name, COEFFICIENTS, what="coefficient")
        match = [known for known in FORMS if known == form]
        if not match:
            raise InputError(f"unknown form {form!r} of {name}", fix=did_you_mean(form, FORMS))
        found[name] = match[0]
    return found


def to_values(theta: Floats, origin: Floats) -> Floats:
    """Return (E, A, B, α, β) of centred coefficients (…, 5); `origin` is (ln N₀, ln D₀)."""
    E, A0, B0, alpha, beta = np.moveaxis(theta, -1, 0)
    with np.errstate(over="ignore", invalid="ignore"):  # a draw without an answer has NaN, and keeps it
        return np.stack([E, A0 * np.exp(alpha * origin[0]), B0 * np.exp(beta * origin[1]), alpha, beta], axis=-1)


def to_coefficients(values: Floats, origin: Floats) -> Floats:
    """Return centred coefficients (…, 5) of (E, A, B, α, β)."""
    E, A, B, alpha, beta = np.moveaxis(values, -1, 0)
    return np.stack([E, A * np.exp(-alpha * origin[0]), B * np.exp(-beta * origin[1]), alpha, beta], axis=-1)


def log_balance(theta: Floats, origin: Floats, *, log_flops: float | Floats) -> Floats:
    """Return ln(D*/N*) (…) at 6 N D = exp(`log_flops`) of centred coefficients (…, 5); not finite where a term
    is zero.

    α A₀ (N/N₀)^−α = β B₀ (D/D₀)^−β at the optimum (Hoffmann et al. 2022, eq. 4).
    """
    _, A0, B0, alpha, beta = np.moveaxis(theta, -1, 0)
    log_data = log_flops - np.log(6)
    with np.errstate(divide="ignore", invalid="ignore"):  # a line may take a term to zero: no optimum
        gain = np.log(alpha * A0) - np.log(beta * B0)
        log_params = (gain + alpha * origin[0] - beta * origin[1] + beta * log_data) / (alpha + beta)
    return np.asarray(log_data - 2 * log_params)
