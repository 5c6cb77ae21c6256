"""What a method is handed and what it is asked: tables of runs with names masked and N and D rescaled, and their keys.

Five tracks. `floorbench` and `next` are of runs on languages whose floor is known (`isoloss.arena.floorbench`).
`simulated` draws tables from five surfaces of known form (`isoloss.arena.truths`), so that the floor, the best split
and every loss are known exactly. `runs` are the runs that come with isoloss, a table a corpus, and `published` are
tables of published studies, where they are at hand: the method sees the cheap runs and is asked for those of more
compute. Nobody knows their floor or their best split, and neither is scored.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from isoloss.arena.truths import DESIGNS, FORMS, TRUNK_SDS, Truth, runs, truth
from isoloss.core.rng import derive_seed, stream
from isoloss.fitting.fitting import fit
from isoloss.laws.law import Floats
from isoloss.planning.shipped import shipped_runs
from isoloss.runs.observations import Observations

Track = Literal["floorbench", "next", "simulated", "runs", "published"]
USED_DESIGNS = ("5 × 6", "staircase", "foreign")
AHEAD = (3.0, 10.0, 30.0)  # times the largest compute of the table
PLANNED = 10.0  # times the largest compute of a simulated table: how far ahead a plan is judged
REFEREE = "coupled"  # the law that judges which runs a method chose: the same one for every method
SPREAD = (0.5, 1.0, 2.0)  # sizes asked for at each budget ahead, times the best one
WIDEST_SCALE = 30.0  # N and D are each multiplied by a factor between 1/30 and 30
SHARE_SEEN = 0.1  # of the largest compute of a table: real runs above it are held out
LEAST_SEEN = 6  # runs below that


@dataclass(frozen=True, kw_only=True, eq=False)
class Shown:
    """What a method sees, in the units it sees: columns of runs, and the points and budgets that it is asked about.

    `candidates` are N and D of runs to choose from, and the FLOPs that they may cost.
    """

    params: Floats
    tokens: Floats
    loss_nats: Floats
    trunk: tuple[str, ...]
    seed: int
    asked_params: Floats
    asked_tokens: Floats
    budgets: tuple[float, ...] = ()
    candidates: tuple[Floats, Floats, float] | None = None


class LossSurface(Protocol):
    """What knows the loss at any point, or nearly."""

    def loss(self, params: Floats, tokens: Floats) -> Floats:
        """Return the loss in nats per token at points (n,)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class NextRuns:
    """Runs to choose from: rows of `table` that were `seen`, and `candidates` in the order that they were shown.

    A choice may cost `flops`. It is worth how well a law fitted to what was seen and chosen predicts `wanted`.
    """

    table: Observations
    seen: NDArray[np.int64]
    candidates: NDArray[np.int64]
    wanted: Observations
    flops: float

    def pays(self, chosen: Sequence[int]) -> bool:
        """Whether `chosen`, by place among the candidates, names each run once and stays within the budget."""
        known = all(0 <= place < len(self.candidates) for place in chosen)
        return known and len(set(chosen)) == len(chosen) and self._cost(chosen) <= self.flops * (1 + 1e-9)

    def error(self, chosen: Sequence[int]) -> float:
        """Return the mean of |ln L̂ − ln L| at the wanted runs, of the law fitted to what was seen and `chosen`."""
        law = fit(self.table.select(np.concatenate([self.seen, self.candidates[list(chosen)]])), law=REFEREE)
        predicted = law.predict(params=self.wanted.params, tokens=self.wanted.tokens)
        return float(np.abs(np.log(predicted) - np.log(self.wanted.loss_nats)).mean())

    def _cost(self, chosen: Sequence[int]) -> float:
        return float(self.table.flops[self.candidates[list(chosen)]].sum())


@dataclass(frozen=True, kw_only=True, eq=False)
class Key:
    """What is true: the loss at every point asked, and how many times the compute of the table each lies ahead.

    Also, where known, the floor, ln(D*/N*) of every budget and a surface around it; `scale` is what N and D of the
    surface were multiplied by before they were shown. `next_runs` are the runs to choose from, where a method may.
    """

    losses: Floats
    ahead: Floats
    floor: float | None = None
    log_ratios: tuple[float, ...] = ()
    surface: LossSurface | None = None
    scale: tuple[float, float] = (1.0, 1.0)
    next_runs: NextRuns | None = None

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
    """One table and its key. `kind` is the surface's form, the language's part ("tuning", "test") or the track."""

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
        budgets = (design.flops, PLANNED * float(table.flops.max()))
        points = [_points_ahead(surface, ahead * float(table.flops.max())) for ahead in AHEAD]
        n, d = (np.concatenate([each[axis] for each in points]) for axis in (0, 1))
        scale = random_scale(own)
        key = Key(
            losses=surface.loss(n, d), ahead=np.repeat(AHEAD, len(SPREAD)), floor=surface.floor, surface=surface,
            log_ratios=tuple(surface.log_ratio(flops) + float(np.log(scale[1] / scale[0])) for flops in budgets),
            scale=scale,
        )  # fmt: skip
        name = f"{form}, {design_name}, {repeat + 1}"
        shown = masked(table, n, d, budgets, scale=scale, seed=own)
        yield Task(name=name, track="simulated", kind=form, shown=shown, key=key)


def bundled() -> Iterator[tuple[str, Observations]]:
    """Yield a name and a table for every corpus of the runs that come with isoloss."""
    table = shipped_runs()
    return ((corpus, table.where(corpus=corpus)) for corpus in table.corpora)


def held_out(tables: Iterable[tuple[str, Observations]], track: Track, *, seed: int) -> Iterator[Task]:
    """Yield a task for every named table: the cheapest decades are shown, the last one is held out."""
    for name, table in tables:
        seen = table.flops <= SHARE_SEEN * table.flops.max()
        if seen.sum() < LEAST_SEEN:
            continue
        shown, unseen = table.select(seen), table.select(~seen)
        own = derive_seed(seed, f"arena {track}", name)
        key = Key(losses=unseen.loss_nats, ahead=unseen.flops / float(shown.flops.max()))
        asked = masked(shown, unseen.params, unseen.tokens, (), scale=random_scale(own), seed=own)
        yield Task(name=name, track=track, kind=track, shown=asked, key=key)


def _points_ahead(surface: Truth, flops: float) -> tuple[Floats, Floats]:
    """Return sizes around the best one of a budget, and their tokens."""
    best = np.sqrt(flops / 6 / np.exp(surface.log_ratio(flops)))
    sizes = best * np.array(SPREAD)
    return sizes, flops / 6 / sizes


def _loss_of_split(surface: LossSurface, flops: float, log_ratio: float) -> float:
    size = np.array([np.exp((np.log(flops / 6) - log_ratio) / 2)])
    return float(surface.loss(size, flops / 6 / size)[0])


def random_scale(seed: int) -> tuple[float, float]:
    """Return what N and D are multiplied by, so that a method cannot know a table by its sizes."""
    n, d = np.exp(stream(seed, "arena scale").uniform(-np.log(WIDEST_SCALE), np.log(WIDEST_SCALE), 2)).tolist()
    return n, d


def masked(
    table: Observations, n: Floats, d: Floats, budgets: tuple[float, ...], *, scale: tuple[float, float], seed: int,
    candidates: tuple[Floats, Floats, float] | None = None,
) -> Shown:  # fmt: skip
    """Return the table in masked units, its trunks numbered in order of appearance, its rows shuffled.

    `n` and `d` are the points asked, `candidates` those of `Shown`.
    """
    order = stream(seed, "arena order").permutation(len(table))
    names = {name: f"t{place}" for place, name in enumerate(dict.fromkeys(table.trunk[order].tolist()))}
    if candidates is not None:
        more_n, more_d, flops = candidates
        candidates = more_n * scale[0], more_d * scale[1], flops * scale[0] * scale[1]
    return Shown(
        params=table.params[order] * scale[0], tokens=table.tokens[order] * scale[1], loss_nats=table.loss_nats[order],
        trunk=tuple(names[name] for name in table.trunk[order].tolist()), seed=seed % 2**31,
        asked_params=n * scale[0], asked_tokens=d * scale[1],
        budgets=tuple(budget * scale[0] * scale[1] for budget in budgets), candidates=candidates,
    )  # fmt: skip
