"""Training curves as data: smoothed, read at a budget, and turned into points of equal compute."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from isoloss.core.errors import BadTable, InputError
from isoloss.core.numbers import percent
from isoloss.laws.law import Floats
from isoloss.runs.observations import NO_GROUP, Observations, observations

SMOOTHING = 0.05  # half the window, as a share of the points before (Porian et al. 2024)
BUDGET_TOLERANCE = 0.1
FASTEST_EXPONENT = 0.5  # data exponents of language are .2 to .5: what falls faster is not on its power law yet
FALL_WINDOW = 0.2
NEIGHBOURS = 5  # logged points on either side that an interpolation may use


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingCurve:
    """Loss in nats per token (k,) at tokens seen (k,), ascending, of one run; 6 · params · tokens are its FLOPs."""

    run: str
    params: float
    tokens: Floats
    loss_nats: Floats
    corpus: str = NO_GROUP
    total_tokens: float | None = None

    def __post_init__(self) -> None:
        if len(self.tokens) != len(self.loss_nats) or not len(self.tokens):
            raise BadTable(
                f"{len(self.tokens)} positions and {len(self.loss_nats)} losses", place=f"curve of {self.run}",
                fix="give one loss per position, at least one",
            )  # fmt: skip
        if not (np.diff(self.tokens) > 0).all():
            raise BadTable(
                "tokens do not ascend", place=f"curve of {self.run}", fix="sort it, with one loss per position"
            )

    @property
    def flops(self) -> Floats:
        """FLOPs spent at every position."""
        return 6 * self.params * self.tokens


def smooth_proportionally(positions: Floats, values: Floats, *, share: float = SMOOTHING) -> tuple[Floats, Floats]:
    """Return positions and values of a running mean whose window grows with the position.

    Point i averages points i − ⌊share·i⌋ to i + ⌊share·i⌋; where the window is cut at the end, the position moves to
    its middle. Porian et al. 2024, appendix on smoothing.
    """
    if not 0 <= share < 1:
        raise InputError(f"a share of {share:g}", fix="give a fraction from 0 to below 1, such as 0.05")
    index = np.arange(len(values))
    half = np.floor(share * index).astype(np.int64)
    upper, lower = np.minimum(index + half, len(values) - 1), index - half
    total = np.concatenate([[0.0], np.cumsum(values)])
    means = (total[upper + 1] - total[lower]) / (upper - lower + 1)
    return np.interp((upper + lower) / 2, index, positions), means


def halfway_since_last(positions: Floats) -> Floats:
    """Return the middle of the interval that each logged mean covers: half way back to the position before."""
    return np.asarray(positions - np.diff(positions, prepend=0.0) / 2)


def smoothed(curve: TrainingCurve, *, share: float = SMOOTHING, logged_means: bool = True) -> TrainingCurve:
    """Return the curve smoothed; `logged_means` says that a logged loss is a mean since the position before."""
    tokens, loss = smooth_proportionally(curve.tokens, curve.loss_nats, share=share)
    return replace(curve, tokens=halfway_since_last(tokens) if logged_means else tokens, loss_nats=loss)


def loss_at(curve: TrainingCurve, flops: float, *, tolerance: float = BUDGET_TOLERANCE) -> float | None:
    """Return the loss at a budget, or None where the nearest logged point is further than `tolerance` from it.

    Interpolated in logarithms of loss and FLOPs; the nearest point's own loss where the budget lies beyond the curve.
    """
    spent, loss = curve.flops, curve.loss_nats
    nearest = int(np.abs(np.log(spent / flops)).argmin())
    if np.exp(abs(np.log(spent[nearest] / flops))) - 1 > tolerance:
        return None
    near = slice(max(0, nearest - NEIGHBOURS), nearest + NEIGHBOURS)
    return float(np.exp(np.interp(np.log(flops), np.log(spent[near]), np.log(loss[near]))))


def area_under(curve: TrainingCurve) -> float:
    """Return the mean loss over the tokens seen, the area under the curve divided by its length: low is learnt soon.

    Trapezoids over tokens from the first logged point. Learnability as the gzip paper's to-do list asks for it.
    """
    if len(curve.tokens) == 1:
        return float(curve.loss_nats[0])
    return float(np.trapezoid(curve.loss_nats, curve.tokens) / (curve.tokens[-1] - curve.tokens[0]))


def still_falling(curve: TrainingCurve) -> bool:
    """Return whether the loss fell faster than 1/√D over the last doubling of tokens, even were its limit 0.

    Means over a fifth of the tokens before the end and before the middle are compared; a curve that logs fewer than two
    points in either is not said to fall.
    """
    end = curve.tokens[-1]
    means = []
    for stop in (end / 2, end):
        inside = (curve.tokens > (1 - FALL_WINDOW) * stop) & (curve.tokens <= stop)
        if inside.sum() < 2:
            return False
        means.append(float(curve.loss_nats[inside].mean()))
    return means[0] - means[1] > (1 - 2**-FASTEST_EXPONENT) * means[0]


def points_at_budgets(
    curves: Sequence[TrainingCurve], budgets: Sequence[float], *, tolerance: float = BUDGET_TOLERANCE
) -> Observations:
    """Return every curve's loss at every budget that it comes near: a table for `fit_isoflop`.

    A longer run's loss in the middle of its schedule counts as a run of that budget: `finished_alone` leaves such
    points out. Raises BadTable where no curve comes near a budget.
    """
    rows = [
        (curve, budget, loss)
        for budget in budgets
        for curve in curves
        if (loss := loss_at(curve, budget, tolerance=tolerance)) is not None
    ]
    if not rows:
        raise BadTable(
            f"no curve comes within {percent(tolerance, 2)} of a budget "
            f"({min(budgets):.2e} to {max(budgets):.2e} FLOPs)",
            fix="name budgets that the runs reach, or widen the tolerance",
        )
    return observations(
        params=[curve.params for curve, _, _ in rows],
        tokens=[budget / (6 * curve.params) for curve, budget, _ in rows],
        loss_nats=[loss for _, _, loss in rows],
        flops=[budget for _, budget, _ in rows],
        run=[curve.run for curve, _, _ in rows],
        trunk=[curve.run for curve, _, _ in rows],
        corpus=[curve.corpus for curve, _, _ in rows],
    )


def finished_alone(
    curves: Sequence[TrainingCurve], budgets: Sequence[float], *, tolerance: float = BUDGET_TOLERANCE
) -> Observations:
    """Return the points of `points_at_budgets` at which a run's schedule ends: no loss from mid-schedule.

    Raises BadTable for a curve without `total_tokens`, or where no run ends near a budget.
    """
    unknown = [curve.run for curve in curves if curve.total_tokens is None]
    if unknown:
        raise BadTable(f"the length of run {unknown[0]} is not known", fix="give total_tokens of every curve")
    points = points_at_budgets(curves, budgets, tolerance=tolerance)
    length = {curve.run: float(curve.total_tokens or 0) for curve in curves}
    ends = np.array([length[run] for run in points.run.tolist()])
    kept = np.abs(np.log(points.tokens / ends)) <= np.log1p(tolerance)
    if not kept.any():
        raise BadTable("no run ends near a budget", fix="name the budgets that the runs were planned for")
    return points.select(kept)
