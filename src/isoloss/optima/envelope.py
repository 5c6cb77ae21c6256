"""Approach 1: the lower envelope of training curves (Hoffmann et al. 2022, section 3.1).

At every one of many budgets the curve with the least loss names a size, and power laws through those sizes give
N* ∝ C^a and D* ∝ C^b. Budgets along one curve are not independent, so intervals come from whole curves drawn again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from isoloss.core.errors import BadTable, Unidentified
from isoloss.core.rng import stream
from isoloss.laws.law import Floats
from isoloss.optima.curves import TrainingCurve
from isoloss.optima.power_line import PowerLine, fit_power_law

BUDGETS = 1500  # as many as Hoffmann et al. look at
FEWEST_SIZES = 3
FEWEST_DRAWN = 2  # sizes on the envelope of curves drawn again, below which it has no slope


@dataclass(frozen=True, kw_only=True, eq=False)
class Envelope:
    """The curve of least loss at budgets (k,): its size, tokens and loss, and power laws through them.

    `inside` says where both a smaller and a larger size reach the budget and do worse: only there is the least loss an
    optimum, and only those budgets shape the laws.
    """

    flops: Floats
    params: Floats
    tokens: Floats
    loss_nats: Floats
    inside: NDArray[np.bool_]
    params_law: PowerLine
    tokens_law: PowerLine


def fit_envelope(
    curves: Sequence[TrainingCurve], *, budgets: int = BUDGETS, draws: int = 200, seed: int = 0
) -> Envelope:
    """Return the lower envelope of curves over `budgets` log-spaced budgets, with `draws` resamples of curves.

    A curve counts between its first and its last point, interpolated in logarithms; smooth it first. Raises BadTable
    for fewer than three sizes, Unidentified where the envelope never leaves the smallest and the largest size.
    """
    sizes = np.array([curve.params for curve in curves])
    if len(np.unique(sizes)) < FEWEST_SIZES:
        raise BadTable(
            f"{len(np.unique(sizes))} sizes, expected at least {FEWEST_SIZES} for an envelope",
            fix="give curves of more sizes",
        )
    flops = np.geomspace(
        min(float(curve.flops[0]) for curve in curves), max(float(curve.flops[-1]) for curve in curves), budgets
    )
    losses = np.array([_loss_over(curve, flops) for curve in curves])
    reached = np.isfinite(losses).any(axis=0)
    flops, losses = flops[reached], losses[:, reached]
    best = losses.argmin(axis=0)
    inside = _inside(sizes, losses, best)
    if len(np.unique(sizes[best][inside])) < FEWEST_DRAWN:
        raise Unidentified(
            "the lowest loss is always at the smallest or the largest size that reaches a budget",
            fix="add sizes between and beyond them",
        )
    lines = _resampled(sizes, flops, losses, draws=draws, seed=seed)
    params, tokens = sizes[best], flops / (6 * sizes[best])
    return Envelope(
        flops=flops, params=params, tokens=tokens, loss_nats=losses[best, np.arange(len(flops))], inside=inside,
        params_law=_law(flops[inside], params[inside], lines),
        tokens_law=_law(flops[inside], tokens[inside], _of_tokens(lines)),
    )  # fmt: skip


def _loss_over(curve: TrainingCurve, flops: Floats) -> Floats:
    """Return the loss of a curve at budgets, infinity where it does not reach."""
    loss = np.exp(np.interp(np.log(flops), np.log(curve.flops), np.log(curve.loss_nats)))
    return np.where((flops >= curve.flops[0]) & (flops <= curve.flops[-1]), loss, np.inf)


def _inside(sizes: Floats, losses: Floats, best: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return where both a smaller and a larger size than the best reach the budget."""
    reached = np.isfinite(losses)
    smaller = (reached & (sizes[:, None] < sizes[best])).any(axis=0)
    return np.asarray(smaller & (reached & (sizes[:, None] > sizes[best])).any(axis=0))


def _resampled(sizes: Floats, flops: Floats, losses: Floats, *, draws: int, seed: int) -> Floats:
    """Return slope and log coefficient (m, 2) of N* from curves drawn again; draws without a slope are left out."""
    generator = stream(seed, "envelope")
    found = []
    for _ in range(draws):
        drawn = np.unique(generator.integers(0, len(sizes), len(sizes)))
        best = losses[drawn].argmin(axis=0)
        usable = _inside(sizes[drawn], losses[drawn], best)
        if len(np.unique(best[usable])) >= FEWEST_DRAWN:
            line = fit_power_law(flops[usable], sizes[drawn][best[usable]])
            found.append((line.slope, line.log_coefficient))
    return np.array(found).reshape(-1, 2)


def _of_tokens(lines: Floats) -> Floats:
    """Return the lines of D* = C/(6·N*) from those of N*."""
    return np.column_stack([1 - lines[:, 0], -np.log(6) - lines[:, 1]])


def _law(flops: Floats, values: Floats, lines: Floats) -> PowerLine:
    return replace(fit_power_law(flops, values), draws=lines)
