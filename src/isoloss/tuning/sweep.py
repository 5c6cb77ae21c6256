"""Where a sweep of rate × batch has its least loss: one optimum a line of rates, one a cell of batches.

A *line* is the runs that differ in their rate alone, a *cell* the lines that differ in their batch alone. An optimum is
the vertex of a parabola in ln rate (or ln batch) through the runs near the least loss. Where the least loss stands on
the grid's edge, the optimum lies there or beyond: such optima are flagged and nothing is fitted to them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Literal, NamedTuple

import numpy as np

from isoloss.laws.law import Floats

Edge = Literal["lowest", "highest"]

# Runs within this of the least ln loss shape the parabola, and in any case the three around it: at twice the best rate
# losses rise by 1–10 %, and beyond that no longer as a square.
NEAR = 0.03
TOLERANCE = 0.01  # of ln loss; residuals of good laws are as large


@dataclass(frozen=True, kw_only=True)
class SweptRun:
    """One run of a sweep; `loss_nats` is None where it diverged."""

    params: int
    tokens: int
    seed: int
    peak_lr: float
    batch_tokens: int
    loss_nats: float | None


class Cell(NamedTuple):
    """One size at one horizon, under one seed."""

    params: int
    tokens: int
    seed: int


class Vertex(NamedTuple):
    """The bottom of a parabola: where, how deep (ln loss), and its second derivative."""

    place: float
    log_loss: float
    curvature: float


@dataclass(frozen=True, kw_only=True)
class _Optimum:
    """The least loss of one cell along a grid; where it stands on the grid's `edge`, the least of those tried.

    `curvature` is the second derivative of ln loss by the logarithm of what the grid varies, None on the edge.
    """

    params: int
    tokens: int
    seed: int
    loss_nats: float
    curvature: float | None = None
    edge: Edge | None = None

    @property
    def cell(self) -> Cell:
        """The cell that the optimum is of."""
        return Cell(self.params, self.tokens, self.seed)


@dataclass(frozen=True, kw_only=True)
class RateOptimum(_Optimum):
    """The best peak rate of one line: one batch of one cell."""

    batch_tokens: int
    peak_lr: float

    @property
    def within(self) -> tuple[float, float] | None:
        """The rates whose loss is within 1 % of the least, by the parabola; None on the edge."""
        return _within(self.peak_lr, self.curvature)


@dataclass(frozen=True, kw_only=True)
class BatchOptimum(_Optimum):
    """The best batch of one cell, each batch at its own best rate."""

    batch_tokens: float

    @property
    def within(self) -> tuple[float, float] | None:
        """The batches whose loss is within 1 % of the least, by the parabola; None on the edge."""
        return _within(self.batch_tokens, self.curvature)


def _within(value: float, curvature: float | None) -> tuple[float, float] | None:
    """Return the ends between which ln loss is at most `TOLERANCE` above a bottom of that curvature."""
    if curvature is None:
        return None
    factor = float(np.exp(np.sqrt(2 * TOLERANCE / curvature)))
    return value / factor, value * factor


def averaged(runs: Iterable[SweptRun]) -> list[SweptRun]:
    """Return the runs with those that differ in nothing made one, of their mean ln loss.

    A setting of which one run diverged counts by the others.
    """

    def setting(run: SweptRun) -> tuple[float, ...]:
        return run.params, run.tokens, run.seed, run.batch_tokens, run.peak_lr

    found = []
    for _, members in groupby(sorted(runs, key=setting), key=setting):
        same = list(members)
        losses = [run.loss_nats for run in same if run.loss_nats is not None]
        found.append(replace(same[0], loss_nats=float(np.exp(np.mean(np.log(losses)))) if losses else None))
    return found


def vertex(places: Floats, log_losses: Floats) -> Vertex | Edge:
    """Return the bottom of the loss along ascending `places`, or the edge on which its least value stands.

    Diverged runs carry an infinite loss: they bound the grid like any other run, and shape no parabola.
    """
    least = int(np.argmin(log_losses))
    if least == 0:
        return "lowest"
    if least == len(places) - 1:
        return "highest"
    around = np.abs(np.arange(len(places)) - least) <= 1
    finite = np.isfinite(log_losses)
    if not finite[around].all():
        return "highest" if finite[least - 1] else "lowest"
    for chosen in (finite & (around | (log_losses <= log_losses[least] + NEAR)), around):
        found = _parabola(places[chosen], log_losses[chosen], origin=float(places[least]))
        if found is not None and places[least - 1] <= found.place <= places[least + 1]:
            return found
    raise AssertionError("three points around a least one have a bottom between them")


def _parabola(places: Floats, log_losses: Floats, *, origin: float) -> Vertex | None:
    second, first, constant = np.polyfit(places - origin, log_losses, 2)
    if second <= 0:
        return None
    shift = -first / (2 * second)
    return Vertex(
        place=float(origin + shift), log_loss=float(constant - second * shift**2), curvature=float(2 * second)
    )


def rate_optima(runs: Iterable[SweptRun]) -> list[RateOptimum]:
    """Return the best rate of every line, ascending in size, tokens, seed and batch. All-diverged lines have none."""

    def line(run: SweptRun) -> tuple[int, int, int, int]:
        return run.params, run.tokens, run.seed, run.batch_tokens

    lines = groupby(sorted(runs, key=lambda run: (*line(run), run.peak_lr)), key=line)
    found = (_rate_optimum(list(members)) for _, members in lines)
    return [optimum for optimum in found if optimum is not None]


def _rate_optimum(line: Sequence[SweptRun]) -> RateOptimum | None:
    rates = np.array([run.peak_lr for run in line])
    losses = np.array([np.inf if run.loss_nats is None else run.loss_nats for run in line])
    if not np.isfinite(losses).any():
        return None
    first, (best, found) = line[0], _least(rates, losses)
    return RateOptimum(
        params=first.params, tokens=first.tokens, seed=first.seed, batch_tokens=first.batch_tokens, peak_lr=best,
        **found,
    )  # fmt: skip


def _least(places: Floats, losses: Floats) -> tuple[float, dict[str, Any]]:
    """Return where the loss is least along ascending `places`, and what an optimum says of it."""
    bottom, least = vertex(np.log(places), np.log(losses)), int(np.argmin(losses))
    if isinstance(bottom, str):
        return float(places[least]), {"loss_nats": float(losses[least]), "edge": bottom}
    found = {"loss_nats": float(np.exp(bottom.log_loss)), "curvature": bottom.curvature}
    return float(np.exp(bottom.place)), found


def batch_optima(optima: Sequence[RateOptimum]) -> list[BatchOptimum]:
    """Return the best batch of every cell, from the best rate of each batch.

    A batch whose own best rate stands on the edge is taken at the best loss tried, which is no better than its least.
    """

    ordered = sorted(optima, key=lambda optimum: (optimum.cell, optimum.batch_tokens))
    cells = groupby(ordered, key=lambda optimum: optimum.cell)
    return [_batch_optimum(list(members)) for _, members in cells]


def _batch_optimum(cell: Sequence[RateOptimum]) -> BatchOptimum:
    batches = np.array([optimum.batch_tokens for optimum in cell], dtype=float)
    losses = np.array([optimum.loss_nats for optimum in cell])
    first, (best, found) = cell[0], _least(batches, losses)
    return BatchOptimum(params=first.params, tokens=first.tokens, seed=first.seed, batch_tokens=best, **found)
