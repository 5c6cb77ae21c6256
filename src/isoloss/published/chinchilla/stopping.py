"""Why a mean stops a search early: the same fit by a common optimiser, with its objective summed and averaged.

SciPy's L-BFGS-B stops where the largest derivative falls below 1e-5. Averaging n rows divides every derivative by n, so
that the default is met far from the optimum, and success is reported. Besiroglu et al. 2024 (arXiv:2404.10102),
appendix: this is how the published parameters of Hoffmann et al. came to fit worse than those found again.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from isoloss.laws.chinchilla import Chinchilla
from isoloss.laws.law import Floats
from isoloss.runs.observations import Observations

DELTA = 1e-3  # of Huber's loss, in ln L
Reduction = Literal["sum", "mean"]


@dataclass(frozen=True, kw_only=True)
class StoppedSearch:
    """Where the best of several searches ended. `objective` is the sum over rows whatever was searched; `successes`
    how many of the `starts` reported success."""

    reduction: Reduction
    objective: float
    values: tuple[float, ...]
    starts: int
    successes: int


def search_with(observations: Observations, starts: Floats, *, reduction: Reduction) -> StoppedSearch:
    """Return where L-BFGS-B with SciPy's default tolerances ends at best from Chinchilla parameters `starts` (s, 5).

    The objective is Huber's loss of ln L, summed or averaged, in ln E, ln A, ln B, α, β as Hoffmann et al. search.
    """
    from scipy.optimize import minimize
    from scipy.special import huber

    targets = np.log(observations.loss_nats)
    scale = 1.0 if reduction == "sum" else 1 / len(observations)

    def natural(free: Floats) -> Floats:
        return np.concatenate([np.exp(free[:3]), free[3:]])

    def total(free: Floats) -> float:
        loss = Chinchilla.loss(natural(free), params=observations.params, tokens=observations.tokens)
        return float(huber(DELTA, targets - np.log(loss)).sum())

    def searched(free: Floats) -> float:
        return scale * total(free)

    ended = [
        minimize(searched, np.concatenate([np.log(start[:3]), start[3:]]), method="L-BFGS-B")
        for start in np.asarray(starts, dtype=np.float64)
    ]
    best = min(ended, key=lambda end: total(end.x))
    return StoppedSearch(
        reduction=reduction, objective=total(best.x), values=tuple(natural(best.x).tolist()), starts=len(ended),
        successes=sum(bool(end.success) for end in ended),
    )  # fmt: skip
