"""How corpora scatter around what a measure says of their coefficients.

Coefficients of a corpus do not deviate one by one: the level of one term goes with the other's, and α with β. What one
more corpus's balance is depends on their differences, so a draw deviates in all of them together.
"""

from collections.abc import Mapping

import numpy as np
from scipy.special import chdtri

from isoloss.core.rng import stream
from isoloss.data_dependence.coefficients import COEFFICIENTS, Floats, Form


def freedom(corpora: int, forms: Mapping[str, Form]) -> Floats:
    """Return the degrees of freedom that corpora leave around each function (5,), one at least."""
    return np.array([max(corpora - (1 if forms[name] == "shared" else 2), 1) for name in COEFFICIENTS], dtype=float)


def draw_deviations(
    deviations: Floats, scatter: Floats, left: Floats, shape: tuple[int, ...], *, seed: int, purpose: str
) -> Floats:
    """Return what further corpora deviate (draws, …, 5), as those known do: `deviations` (corpora, 5).

    Of standard deviations `scatter` (5,) and the correlation of `deviations`; Student's t of `left` degrees of freedom
    (5,), one factor a draw for all coefficients. Then what is said of any one combination of them, as of the balance at
    a budget, has the t interval of that combination, however few the corpora.
    """
    generator = stream(seed, "scatter of corpora", purpose)
    size = np.sqrt((deviations**2).sum(axis=0))
    unit = np.divide(deviations, size, out=np.zeros_like(deviations), where=size > 0)
    normal = generator.standard_normal((*shape[:-1], len(unit))) @ unit
    spread = np.sqrt(left / chdtri(left, 1 - generator.uniform(size=(shape[0], 1))))
    return np.asarray(normal * (scatter * spread).reshape(shape[0], *[1] * (len(shape) - 2), len(scatter)))
