"""What a run that was never trained will score: the law's own uncertainty, and the noise of one more run.

The interval of the law says where the mean over runs lies; a single run scatters around it by its trunk effect and its
point noise (`isoloss.fitting.noise`). Both come from the stored draws: each has parameters and the noise found with
them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from isoloss.core.bisection import bisected
from isoloss.core.errors import InputError
from isoloss.core.estimate import LEVEL, Estimate
from isoloss.core.plain_json import fields_json
from isoloss.fitting.domain import BELOW_OWN_LEAST, LawWarning, extrapolation_warnings, off_line_warnings
from isoloss.laws.law import Floats

if TYPE_CHECKING:
    from isoloss.fitting.estimated import EstimatedLaw

BISECTIONS = 40  # of a bracket of some standard deviations: to 1e-11 of one
FARTHEST = 10.0  # standard deviations of noise beyond the outermost draw


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """One run that was not trained: `loss` is the law's, `run` holds a single run's loss, noise and all (nats).

    `extrapolation` as in `FrontierPoint`; `warnings` say where the run lies more than ten times outside the compute of
    the fitted rows.
    """

    columns: dict[str, float]
    loss: Estimate
    run: Estimate
    extrapolation: float
    warnings: tuple[LawWarning, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data: one element of `predictions`."""
        return {**self.columns, **fields_json(self, without=("columns",))}


@dataclass(frozen=True, kw_only=True, eq=False)
class RunIntervals:
    """Where losses of new runs lie, a number a run: `value`, and the interval `low` to `high`, in nats."""

    value: Floats
    low: Floats
    high: Floats

    def hold(self, losses: Floats) -> Floats:
        """Return which of `losses` lie inside, as booleans."""
        return np.asarray((self.low <= losses) & (losses <= self.high))


def run_intervals(
    law: "EstimatedLaw", columns: Mapping[str, Any], *, level: float = LEVEL, trunk: bool = True
) -> RunIntervals:
    """Return the prediction interval of new runs, one for each point of the flattened broadcast of `columns`.

    A new run has a trunk of its own, so its effect is part of the interval; `trunk=False` leaves it out, for a further
    point of a trunk whose noise is known. Draws without a loss at some point do not count. Raises InputError for a law
    without draws.
    """
    drawn = law.predict_draws(**columns)
    answered = np.isfinite(drawn).all(axis=1)
    if answered.sum() < 2:
        raise InputError(f"the {law.title} has no draws", fix="fit it with bootstrap=1000")
    noise = law.noise[answered] if trunk else law.noise[answered] * (1.0, 0.0)
    spread = np.maximum(np.sqrt(noise[:, 0] ** 2 + noise[:, 1] ** 2), np.finfo(float).tiny)
    low, high = (
        np.exp(_mixture_quantile(np.log(drawn[answered]), spread, share))
        for share in ((1 - level) / 2, (1 + level) / 2)
    )
    return RunIntervals(value=np.ravel(law.predict_unwarned(**columns)), low=low, high=high)


def predict_run(law: "EstimatedLaw", columns: Mapping[str, Any], *, level: float = LEVEL) -> Prediction:
    """Return what one run will score; see `EstimatedLaw.predict_run`."""
    value = float(law.predict_unwarned(**columns))
    within, outside = Estimate(value=value), Estimate(value=value)
    off_line = off_line_warnings(law.domain, columns)
    drawn = law.predict_draws(**columns)[:, 0]
    if np.isfinite(drawn).sum() >= 2 and not off_line:
        within = Estimate.from_draws(drawn, value=value, level=level)
        found = run_intervals(law, columns, level=level)
        outside = Estimate(value=value, low=float(found.low[0]), high=float(found.high[0]), level=level)
    reason = law.silence(columns)
    silent = () if reason is None else (LawWarning(code=BELOW_OWN_LEAST, message=reason),)
    # A column that the law does not read and the caller does not give cannot lie outside.
    flops = columns.get("flops", law.flops_of(**columns) if {"params", "tokens"} <= set(columns) else None)
    compute = {} if flops is None else {"flops": float(flops)}
    return Prediction(
        columns={name: float(value) for name, value in columns.items()},
        loss=within,
        run=outside,
        extrapolation=law.domain.extrapolation(**(dict(columns) | compute)),
        warnings=(*extrapolation_warnings(law.domain, compute.get("flops")), *silent, *off_line),
    )


def _mixture_quantile(centres: Floats, spread: Floats, share: float) -> Floats:
    """Return the quantile (points,) of equal parts of normal distributions at `centres` (draws, points)."""
    from scipy.special import ndtr

    low = (centres - FARTHEST * spread[:, None]).min(axis=0)
    high = (centres + FARTHEST * spread[:, None]).max(axis=0)
    return bisected(
        lambda at: ndtr((at - centres) / spread[:, None]).mean(axis=0) < share, low, high, halvings=BISECTIONS
    )
