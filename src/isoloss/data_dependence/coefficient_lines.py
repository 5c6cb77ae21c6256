"""How a law's coefficients follow a measure across corpora, one straight line each; blends and the frontier of values.

The second stage of "gzip Predicts Data-dependent Scaling Laws" (Pandey 2024, arXiv:2405.16684) as printed: every
coefficient regressed as it is. `isoloss.data_dependence.data_dependent` takes A and B as logarithms, which cannot turn
negative.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from isoloss.core.errors import BadTable, InputError
from isoloss.fitting.fitted import FittedLaw
from isoloss.laws.law import Floats

FEWEST_CORPORA = 3


@dataclass(frozen=True, kw_only=True)
class CoefficientLine:
    """coefficient = intercept + slope · measure, with Pearson's r and its two-sided p."""

    name: str
    intercept: float
    slope: float
    r: float
    p: float

    def at(self, measure: float) -> float:
        """Return the coefficient at a value of the measure."""
        return self.intercept + self.slope * measure


def regress_coefficients(laws: Sequence[FittedLaw], complexity: Mapping[str, float]) -> dict[str, CoefficientLine]:
    """Return one line a coefficient over the corpora of `laws`. Raises BadTable for fewer than three corpora."""
    from scipy.stats import linregress

    if len(laws) < FEWEST_CORPORA:
        raise BadTable(f"{len(laws)} corpora, expected at least {FEWEST_CORPORA}", fix="fit more corpora")
    x = np.array([complexity[law.group] for law in laws])
    lines = {}
    for i, name in enumerate(laws[0].params):
        line = linregress(x, np.array([law.values[i] for law in laws]))
        lines[name] = CoefficientLine(
            name=name, intercept=float(line.intercept), slope=float(line.slope), r=float(line.rvalue),
            p=float(line.pvalue),
        )  # fmt: skip
    return lines


def blend(values: Floats, reference: Floats, *, share: float) -> Floats:
    """Return share · values + (1 − share) · reference, coefficient by coefficient.

    Pandey 2024 so mixes the data-dependent coefficients with Chinchilla's, ε being the share. Raises InputError for a
    share outside 0 to 1.
    """
    if not 0 <= share <= 1:
        raise InputError(f"a share of {share:g}", fix="give a share from 0 (the reference) to 1 (the values)")
    return np.asarray(share * np.asarray(values) + (1 - share) * np.asarray(reference))


def frontier_log_tokens(values: Floats, log_params: Floats) -> Floats:
    """Return ln D of the best split at ln N, [ln(βB/αA) + α ln N]/β; NaN where a term does not fall.

    The first-order condition αA/N^α = βB/D^β of Chinchilla's law in logarithms, a straight line of slope α/β.
    """
    _, A, B, alpha, beta = np.moveaxis(np.asarray(values, dtype=np.float64), -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((np.log(beta * B) - np.log(alpha * A) + alpha * np.asarray(log_params)) / beta)
