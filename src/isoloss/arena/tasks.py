"""What a method is handed and what it is asked: tables of runs with names masked and N and D rescaled, and their keys.

Two tracks. `simulated` draws tables from five surfaces of known form (`isoloss.arena.truths`), so that the floor, the
best split and every loss are known exactly. `runs` are the runs that come with isoloss, a table a corpus: the method
sees the cheap ones and is asked for the dear ones. Nobody knows their floor or their best split, and neither is scored.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np

from isoloss.arena.truths import DESIGNS, FORMS, TRUNK_SDS, Truth, runs, truth
from isoloss.core.rng import derive_seed, stream
from isoloss.laws.law import Floats
from isoloss.planning.shipped import shipped_runs
from isoloss.runs.observations import Observations

Track = Literal["simulated", "runs"]
USED_DESIGNS = ("5 × 6", "staircase", "foreign")
AHEAD = (3.0, 10.0)  # times the largest compute of the table
SPREAD = (0.5, 1.0, 2.0)  # sizes asked for at each budget ahead, times the best one
WIDEST_SCALE = 30.0  # N and D are each multiplied by a factor between 1/30 and 30
SHARE_SEEN = 0.1  # of the largest compute of a corpus: real runs above it are held out


@dataclass(frozen=True, kw_only=True, eq=False)
class Shown:
    """What a method sees, in the units it sees: columns of runs, and the points and budgets that it is asked about."""

    params: Floats
    tokens: Floats
    loss_nats: Floats
    trunk: tuple[str, ...]
    seed: int
    asked_params: Floats
    asked_tokens: Floats
    budgets: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Key:
    """What is true: the loss at every point asked, and how many times the compute of the table each lies ahead.

    Of simulated tables also the surface, its floor (None for a form without one), and ln(D*/N*) of every budget;
    `scale` is what N and D of the surface were multiplied by before they were shown.
    """

    losses: Floats
    ahead: Floats
    floor: float | None = None
    log_ratios: tuple[float, ...] = ()
    surface: Truth | None = None
    scale: tuple[float, float] = (1.0, 1.0)

    def regret(self, budget: float, log_ratio: float, place: int) -> float:
        """Return what a split of `budget`, as shown, loses against the best one, in nats per token."""
        assert self.surface is not None
        flops = budget / (self.scale[0] * self.scale[1])
        own = log_ratio - float(np.log(self.scale[1] / self.scale[0]))
        best = self.log_ratios[place] - float(np.log(self.scale[1] / self.scale[0]))
        losses = [_loss_of_split(self.surface, flops, ratio) for ratio in (own, best)]
        return max(losses[0] - losses[1], 0.0)  # the best is known to 1e-4 of ln(D/N)


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """One table and its key. `kind` is the form of a simulated surface, or "runs"."""

    name: str
    track: Track
    kind: str
    shown: Shown
    key: Key


def simulated(*, repeats: int, seed: int) -> Iterator[Task]:
    """Yield a table for every form, design and repeat; noise of trunks is .5 % and 1 % in turn."""
    for form, design_name, repeat in product(FORMS, USED_DESIGNS, range(repeats)):
        design = DESIGNS[design_name]
        surface = truth(form, design)
        own = derive_seed(seed, "arena", form, design_name, repeat)
        table = runs(surface, design, trunk_sd=TRUNK_SDS[repeat % len(TRUNK_SDS)], seed=own)
        budgets = (design.flops, AHEAD[-1] * float(table.flops.max()))
        points = [_points_ahead(surface, ahead * float(table.flops.max())) for ahead in AHEAD]
        n, d = (np.concatenate([each[axis] for each in points]) for axis in (0, 1))
        scale = _scale(own)
        key = Key(
            losses=surface.loss(n, d), ahead=np.repeat(AHEAD, len(SPREAD)), floor=surface.floor, surface=surface,
            log_ratios=tuple(surface.log_ratio(flops) + float(np.log(scale[1] / scale[0])) for flops in budgets),
            scale=scale,
        )  # fmt: skip
        name = f"{form}, {design_name}, {repeat + 1}"
        shown = _shown(table, n, d, budgets, scale=scale, seed=own)
        yield Task(name=name, track="simulated", kind=form, shown=shown, key=key)


def real(*, seed: int) -> Iterator[Task]:
    """Yield a table for every corpus of the bundled runs: the cheapest decades are shown, the last one is held out."""
    table = shipped_runs()
    for corpus in table.corpora:
        own = table.select(table.corpus == corpus)
        seen = own.flops <= SHARE_SEEN * own.flops.max()
        unseen = own.select(~seen)
        if len(unseen) and seen.sum() > 5:
            numbers = derive_seed(seed, "arena runs", corpus)
            largest = float(own.select(seen).flops.max())
            shown = _shown(own.select(seen), unseen.params, unseen.tokens, (), scale=_scale(numbers), seed=numbers)
            key = Key(losses=unseen.loss_nats, ahead=unseen.flops / largest)
            yield Task(name=corpus, track="runs", kind="runs", shown=shown, key=key)


def all_tasks(*, repeats: int, seed: int) -> tuple[Task, ...]:
    """Return the tables of both tracks."""
    return (*simulated(repeats=repeats, seed=seed), *real(seed=seed))


def _points_ahead(surface: Truth, flops: float) -> tuple[Floats, Floats]:
    """Return sizes around the best one of a budget, and their tokens."""
    best = np.sqrt(flops / 6 / np.exp(surface.log_ratio(flops)))
    sizes = best * np.array(SPREAD)
    return sizes, flops / 6 / sizes


def _loss_of_split(surface: Truth, flops: float, log_ratio: float) -> float:
    size = np.array([np.exp((np.log(flops / 6) - log_ratio) / 2)])
    return float(surface.loss(size, flops / 6 / size)[0])


def _scale(seed: int) -> tuple[float, float]:
    """Return what N and D are multiplied by, so that a method cannot know a table by its sizes."""
    n, d = np.exp(stream(seed, "arena scale").uniform(-np.log(WIDEST_SCALE), np.log(WIDEST_SCALE), 2)).tolist()
    return n, d


def _shown(
    table: Observations, n: Floats, d: Floats, budgets: tuple[float, ...], *, scale: tuple[float, float], seed: int
) -> Shown:
    """Return the table in masked units, its trunks numbered in order of appearance, its rows shuffled."""
    order = stream(seed, "arena order").permutation(len(table))
    names = {name: f"t{place}" for place, name in enumerate(dict.fromkeys(table.trunk[order].tolist()))}
    return Shown(
        params=table.params[order] * scale[0], tokens=table.tokens[order] * scale[1], loss_nats=table.loss_nats[order],
        trunk=tuple(names[name] for name in table.trunk[order].tolist()), seed=seed % 2**31,
        asked_params=n * scale[0], asked_tokens=d * scale[1],
        budgets=tuple(budget * scale[0] * scale[1] for budget in budgets),
    )  # fmt: skip
