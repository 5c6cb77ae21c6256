"""Which runs to train next: those that shrink the interval of one quantity most per FLOP.

The draws of a fit say together how a quantity q and the losses of runs not yet trained vary: a run whose loss moves
with q tells about q. A loss y and the normal score of q's rank are taken as jointly normal. A run's result then narrows
the score by cov(q, y)² / (var y + noise), and every other run's worth changes by the same rule (Bayesian D-optimal
design of one contrast: Chaloner & Verdinelli 1995, section 2; here from draws instead of derivatives, so that any law
serves). Runs are chosen one after another, by gain per FLOP, until the budget is spent.

Noise is what the fit found: points of a trunk share an effect, replicates on another seed do not. Tokens that runs of
one trunk share are paid once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from isoloss.core.errors import InputError, Unidentified
from isoloss.core.estimate import LEVEL
from isoloss.core.numbers import percent
from isoloss.laws.law import Floats
from isoloss.runs.observations import Observations

# Draws of a law that is hardly identified have long tails, and a covariance is all tail then.
WINSORISED = 0.02
FEWEST_DRAWS = 100


class Drawn(Protocol):
    """What was fitted: a law, or several forms together."""

    def predict_draws(self, *, params: Floats, tokens: Floats) -> Floats:
        """Return the loss at points (m,) in every draw: (S, m)."""
        ...


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A run that could be trained: its size, its tokens and its trunk; runs of equal trunks share their steps."""

    params: float
    tokens: float
    trunk: str


@dataclass(frozen=True, kw_only=True)
class NextRuns:
    """The chosen candidates by index, in the order of choice; widths of the quantity's interval now and afterwards.

    `widths[i]` is expected after the runs up to the i-th; `flops` what all of them cost.
    """

    chosen: tuple[int, ...]
    present_width: float
    widths: tuple[float, ...]
    flops: float

    @property
    def expected_width(self) -> float:
        """The expected width after all chosen runs."""
        return self.widths[-1] if self.widths else self.present_width


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Standard deviations of ln L: of a point, and of the effect that all points of a trunk share."""

    point_sd: float
    trunk_sd: float


def next_runs(
    drawn: Drawn,
    quantity: Floats,
    candidates: Sequence[Candidate],
    *,
    flops: float,
    noise: Noise,
    cooldown_fraction: float | None = None,
    trained: Observations | None = None,
) -> NextRuns:
    """Return which candidates to train for at most `flops`, given the quantity's value under each draw (S,).

    The present width is that of the draws' percentile interval; later ones are those of the share of it that the
    standard deviation of their normal scores keeps. `cooldown_fraction` is the share of its tokens that a run spends
    away from its trunk; None where every run is trained by itself. `trained` are the runs that were fitted: a candidate
    on one of their trunks has its effect, of which they tell already. Raises InputError without enough draws or where
    no candidate can be paid, Unidentified where the quantity does not exist under most draws.
    """
    known = _known(quantity)
    losses = np.log(drawn.predict_draws(
        params=np.array([c.params for c in candidates]), tokens=np.array([c.tokens for c in candidates])
    ))  # fmt: skip
    trunks = np.array([c.trunk for c in candidates])
    variances_left = np.full(len(candidates), noise.trunk_sd**2)
    if trained is not None:
        effects, variances_left = _trunk_effects(drawn, trained, trunks, noise)
        losses = losses + effects
    covariance = np.cov(np.column_stack([_scores(quantity[known]), _winsorised(losses[known])]), rowvar=False)
    covariance[1:, 1:] += variances_left * (trunks[:, None] == trunks)
    plans = [
        _greedy(covariance, candidates, flops, noise.point_sd, cooldown_fraction, worth=worth)
        # A budget filled with the cheapest runs can miss the one dear run that decides: both ways are tried.
        for worth in (lambda gain, cost: gain / cost, lambda gain, cost: gain)
    ]
    chosen, variances, cost = min(plans, key=lambda plan: plan[1][-1])
    if not chosen:
        cheapest = min(6 * c.params * c.tokens for c in candidates)
        raise InputError(
            f"{flops:.3g} FLOPs do not pay for any run: the cheapest costs {cheapest:.3g}",
            place="--flops",
            fix="raise the budget",
        )
    half = ndtri((1 + LEVEL) / 2) * np.sqrt(np.array(variances) / variances[0])
    low, high = np.quantile(quantity[known], ndtr([-half, half]))
    widths = (high - low).tolist()
    return NextRuns(chosen=chosen, present_width=widths[0], widths=tuple(widths[1:]), flops=cost)


def _trunk_effects(
    drawn: Drawn, trained: Observations, trunks: NDArray[np.str_], noise: Noise
) -> tuple[Floats, Floats]:
    """Return the effect of every candidate's trunk in each draw (S, m), and the variance left of it (m,).

    Of a trunk without runs it is 0 and the variance whole. Otherwise it is the mean of what the draw misses its k runs
    by, drawn towards 0: their best linear prediction (Henderson 1975).
    """
    missed = np.log(trained.loss_nats) - np.log(drawn.predict_draws(params=trained.params, tokens=trained.tokens))
    effects, left = np.zeros((len(missed), len(trunks))), np.full(len(trunks), noise.trunk_sd**2)
    for name in np.intersect1d(trunks, trained.trunk):
        rows, own = trained.trunk == name, trunks == name
        point_variance = noise.point_sd**2 / rows.sum()
        share = noise.trunk_sd**2 / (noise.trunk_sd**2 + point_variance)
        effects[:, own] = share * missed[:, rows].mean(axis=1, keepdims=True)
        left[own] = share * point_variance
    return effects, left


def _scores(values: Floats) -> Floats:
    """Return the normal score of every value's rank: as large a number of standard deviations from 0.

    Equal values share their mean rank, as in scipy.stats.rankdata, which takes half a second to import.
    """
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    ranks = np.cumsum(count) - (count - 1) / 2
    return np.asarray(ndtri((ranks[place] - 0.5) / len(values)))


def _known(quantity: Floats) -> NDArray[np.bool_]:
    """Return which draws have the quantity. Raises InputError for too few draws, Unidentified where most have none."""
    if len(quantity) < FEWEST_DRAWS:
        raise InputError(
            f"the law has {len(quantity)} draws, expected at least {FEWEST_DRAWS}", fix="fit it with bootstrap=1000"
        )
    known = np.isfinite(quantity)
    if known.mean() < 0.5:
        raise Unidentified(
            f"{percent(1 - known.mean(), 2)} of the bootstrap draws do not have this quantity, so no run can be "
            "chosen to determine it",
            fix="widen the grid in parameters and in tokens first, or ask for the loss",
        )
    return known


Worth = Callable[[Floats, Floats], Floats]


def _greedy(
    covariance: Floats,
    candidates: Sequence[Candidate],
    flops: float,
    point_sd: float,
    cooldown_fraction: float | None,
    *,
    worth: Worth,
) -> tuple[tuple[int, ...], list[float], float]:
    """Return the chosen candidates, the variance of the quantity before and after each, and the cost of all."""
    left = covariance.copy()
    bill = Bill(candidates, cooldown_fraction)
    chosen: list[int] = []
    variances = [float(left[0, 0])]
    while True:
        costs = bill.marginal_flops()
        affordable = (bill.flops + costs <= flops) & ~np.isin(np.arange(len(candidates)), chosen)
        gains = np.log(variances[-1]) - np.log(np.maximum(variances[-1] - _shrinkage(left, point_sd), 1e-300))
        best = int(np.where(affordable, worth(gains, costs), -np.inf).argmax())
        if not affordable[best] or gains[best] <= 0:
            return tuple(chosen), variances, bill.flops
        left -= np.outer(left[:, best + 1], left[best + 1]) / (left[best + 1, best + 1] + point_sd**2)
        bill.add(best)
        chosen.append(best)
        variances.append(max(float(left[0, 0]), 1e-300))


def _shrinkage(covariance: Floats, point_sd: float) -> Floats:
    """Return by how much each candidate's result would shrink the variance of the quantity."""
    return np.asarray(covariance[0, 1:] ** 2 / (np.diag(covariance)[1:] + point_sd**2))


class Bill:
    """What a set of runs costs: runs of a trunk share the steps before their cooldowns."""

    def __init__(self, candidates: Sequence[Candidate], cooldown_fraction: float | None) -> None:
        self.params = np.array([c.params for c in candidates])
        self.tokens = np.array([c.tokens for c in candidates])
        self.trunks = [c.trunk for c in candidates]
        self.own = 1.0 if cooldown_fraction is None else cooldown_fraction
        self.shared: dict[str, float] = {}
        self.flops = 0.0

    def marginal_flops(self) -> Floats:
        """Return what each candidate would add."""
        paid = np.array([self.shared.get(trunk, 0.0) for trunk in self.trunks])
        shared = np.maximum((1 - self.own) * self.tokens - paid, 0.0)
        return np.asarray(6 * self.params * (shared + self.own * self.tokens))

    def add(self, index: int) -> None:
        """Take one candidate onto the bill."""
        self.flops += float(self.marginal_flops()[index])
        trunk = self.trunks[index]
        self.shared[trunk] = max(self.shared.get(trunk, 0.0), (1 - self.own) * float(self.tokens[index]))


def _winsorised(values: Floats) -> Floats:
    low, high = np.quantile(values, [WINSORISED, 1 - WINSORISED], axis=0)
    return np.clip(values, low, high)
