"""How much a loss differs between seeds: a rule by loss, and its measurement from runs of several seeds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from isoloss.core.errors import BadTable, InputError
from isoloss.laws.law import Floats
from isoloss.optima.curves import TrainingCurve
from isoloss.optima.power_line import fit_power_law


@dataclass(frozen=True, kw_only=True)
class SeedNoise:
    """Standard deviation of a loss between seeds, a power law of the loss between two losses and level outside.

    `low` nats at `loss_low` and below, `high` nats at `loss_high` and above.
    """

    low: float
    high: float
    loss_low: float
    loss_high: float

    def __post_init__(self) -> None:
        if not (self.low > 0 and self.high > 0 and 0 < self.loss_low < self.loss_high):
            raise InputError(
                f"seed noise from {self.low:g} at {self.loss_low:g} to {self.high:g} at {self.loss_high:g} nats",
                fix="give standard deviations above zero, and losses in ascending order",
            )

    def at(self, loss_nats: ArrayLike) -> Floats:
        """Return the standard deviation at losses, interpolated in logarithms."""
        at = np.log(np.asarray(loss_nats, dtype=np.float64))
        ends = np.log([self.loss_low, self.loss_high])
        return np.asarray(np.exp(np.interp(at, ends, np.log([self.low, self.high]))))


@dataclass(frozen=True, kw_only=True, eq=False)
class SeedSpread:
    """Mean and standard deviation (k,) between seeds of one size's loss, at the tokens that every seed logged."""

    params: float
    seeds: int
    mean: Floats
    std: Floats


def seed_spread(curves: Sequence[TrainingCurve]) -> list[SeedSpread]:
    """Return, for every size with several seeds, the spread of its loss where all its seeds logged.

    The standard deviation divides by seeds − 1. Raises BadTable where no size has two curves that share a position.
    Porian et al. 2024, appendix on seed noise.
    """
    found = []
    for params in sorted({curve.params for curve in curves}):
        own = [curve for curve in curves if curve.params == params]
        if len(own) < 2:
            continue
        shared = own[0].tokens
        for curve in own[1:]:
            shared = np.intersect1d(shared, curve.tokens)
        if not len(shared):
            continue
        losses = np.array([curve.loss_nats[np.isin(curve.tokens, shared)] for curve in own])
        found.append(
            SeedSpread(params=params, seeds=len(own), mean=losses.mean(axis=0), std=losses.std(axis=0, ddof=1))
        )
    if not found:
        raise BadTable(
            "no size has two runs that logged at the same tokens",
            fix="give at least two runs of one size that differ only in their seed",
        )
    return found


def noise_rule(spreads: Sequence[SeedSpread]) -> SeedNoise:
    """Return the power law of deviation in loss through all measured spreads, level beyond the losses seen.

    Raises BadTable where all losses are equal or no spread is above zero.
    """
    loss = np.concatenate([spread.mean for spread in spreads])
    std = np.concatenate([spread.std for spread in spreads])
    if not (std > 0).any():
        raise BadTable("the seeds' losses do not differ", fix="give runs whose seeds differ")
    line = fit_power_law(loss[std > 0], std[std > 0])
    ends = float(loss.min()), float(loss.max())
    low, high = line.values_at(ends)
    return SeedNoise(low=float(low), high=float(high), loss_low=ends[0], loss_high=ends[1])
