"""FloorBench: small models trained on a dozen languages whose best possible loss is known, as tables for methods.

The open part is a staircase of sizes and token counts; the sealed part, runs of more compute, is asked for and never
shown. The floor is that of the held-out documents that every loss is over, so
it is exact. The best split of a budget inside the runs is not known but measured, by a local surface of all runs of a
language (`isoloss.optima.surfaces`): a reference with an error of its own. `studies/floorbench.py` makes the tables;
docs/results/floorbench.md tells of them.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from isoloss.arena.tasks import Key, NextRuns, Task, masked, random_scale
from isoloss.core.estimate import Estimate
from isoloss.core.rng import derive_seed, stream
from isoloss.laws.law import Floats
from isoloss.optima.inside import usual_budgets
from isoloss.optima.surfaces import LocalSurface, local_surface
from isoloss.runs.observations import Observations
from isoloss.runs.read_runs import read_runs

FOLDER = Path(str(files("isoloss.arena"))) / "floorbench"
OPEN, SEALED, LANGUAGES = FOLDER / "runs.csv", FOLDER / "sealed.csv", FOLDER / "languages.csv"
TUNING = ("tree-16-deep", "tree-32-wide", "tree-64", "rules-100", "rules-200", "zipf-1000")
"""The languages that entries may be tuned on."""
TEST = ("tree-16-wide", "tree-32-deep", "topics-96", "rules-500", "rules-2000", "zipf-330")
"""Those that they are tested on."""
REFERENCE_POINTS = 601
FIRST_LEVELS = 2  # budgets of one seed that a method sees before it chooses the next runs
CHOICE_SHARE = 0.1  # of the compute of all runs of a language


@dataclass(frozen=True, kw_only=True)
class Language:
    """A language of FloorBench: its best possible loss in nats per token, over all documents and the held-out ones."""

    name: str
    family: str
    vocabulary: int
    floor: Estimate
    heldout_floor: float
    gzip: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """The measured surface of a language around the best split of a budget: a local surface of all its runs.

    `inside` says whether the best split lies between the sizes; else nobody knows it.
    """

    flops: float
    log_ratio: float
    inside: bool
    surface: LocalSurface

    def loss(self, params: Floats, tokens: Floats) -> Floats:
        """Return the loss in nats per token at points (n,)."""
        return np.asarray(np.exp(self.surface.log_loss(np.log(params), np.log(tokens))[0]))


@cache
def languages() -> tuple[Language, ...]:
    """Return the languages, by name."""
    with LANGUAGES.open(encoding="utf-8", newline="") as stream:
        return tuple(
            Language(
                name=row["language"], family=row["family"], vocabulary=int(row["vocabulary"]),
                floor=Estimate(value=float(row["floor_nats"]), low=float(row["floor_low"]),
                               high=float(row["floor_high"])),
                heldout_floor=float(row["heldout_floor_nats"]), gzip=float(row["gzip"]),
            )
            for row in csv.DictReader(stream)
        )  # fmt: skip


@cache
def open_runs() -> Observations:
    """Return the runs of the open part that have no flag."""
    return _runs(OPEN, where="coalesce(flags, '') = ''")


@cache
def sealed_runs() -> Observations:
    """Return all runs of the sealed part: what is asked for is what comes, whatever a run's flags."""
    return _runs(SEALED)


def _runs(path: Path, *, where: str | None = None) -> Observations:
    return read_runs(
        path, corpus="language", trunk="trunk", stderr="stderr", extra={"seed": "seed"}, where=where,
        params_convention="with_head",
    )  # fmt: skip


@cache
def measured(name: str) -> Measured:
    """Return the reference of a language: the best split of the middle budget by a local surface of all its runs.

    The surface is laid twice: around the middle of the sizes, then around the optimum that this one has.
    """
    table = open_runs().where(corpus=name)
    budget = usual_budgets(table)[1]
    log_n = np.linspace(np.log(table.params.min()), np.log(table.params.max()), REFERENCE_POINTS)
    log_d = np.log(budget / 6) - log_n
    log_ratio = float((log_d - log_n).mean())
    for _ in range(2):
        surface = local_surface(
            table, log_flops=np.log(table.flops), near=(float(np.log(budget)), log_ratio), draws=1,
            generator=stream(0, "arena", "reference"),
        )  # fmt: skip
        best = int(surface.log_loss(log_n, log_d)[0].argmin())
        log_ratio = float(log_d[best] - log_n[best])
    inside = 0 < best < REFERENCE_POINTS - 1
    return Measured(flops=budget, log_ratio=log_ratio, inside=inside, surface=surface)


def floorbench(*, seed: int) -> Iterator[Task]:
    """Yield the tables of every language: runs to choose from, all but the most expensive budget, each seed, all runs.

    The fullest comes last, so that a method that remembers earlier tables gains little. A language without open runs
    has no table; one without sealed runs is asked for no loss and offers no choice.
    """
    for language in languages():
        own, sealed = (table.select(table.corpus == language.name) for table in (open_runs(), sealed_runs()))
        if not len(own):
            continue
        if len(sealed):
            yield _choice(language, own, sealed, seed=seed)
        for name, table in _parts(own):
            yield _task(language, table, sealed, name=f"{language.name}, {name}", seed=seed)


def _parts(own: Observations) -> Iterator[tuple[str, Observations]]:
    """Yield the tables that a language's runs give, by name."""
    yield "without the most expensive budget", own.select(_levels(own) < _levels(own).max())
    seeds = np.unique(own.column("seed"))
    if len(seeds) > 1:
        for place, one in enumerate(seeds):
            yield f"seed {place + 1}", own.select(own.column("seed") == one)
    yield "all runs", own


def _levels(own: Observations) -> NDArray[np.int64]:
    """Return which budget each run is of, from 0: they are a factor of two apart."""
    return np.asarray(np.round(np.log2(own.flops / own.flops.min())), dtype=np.int64)


def _kind(language: Language) -> str:
    return "tuning" if language.name in TUNING else "test"


def _task(language: Language, table: Observations, sealed: Observations, *, name: str, seed: int) -> Task:
    """Return a table of a language with its sealed runs, its floor and its reference as the key."""
    numbers = derive_seed(seed, "arena floorbench", name)
    reference, scale = measured(language.name), random_scale(numbers)
    log_ratio = reference.log_ratio + float(np.log(scale[1] / scale[0]))
    key = Key(
        losses=sealed.loss_nats, ahead=sealed.flops / float(table.flops.max()), floor=language.heldout_floor,
        log_ratios=(log_ratio,) if reference.inside else (), surface=reference, scale=scale,
    )  # fmt: skip
    shown = masked(table, sealed.params, sealed.tokens, (reference.flops,), scale=scale, seed=numbers)
    return Task(name=name, track="floorbench", kind=_kind(language), shown=shown, key=key)


def _choice(language: Language, own: Observations, sealed: Observations, *, seed: int) -> Task:
    """Return the cheapest budgets of the first seed as a table, and all other runs to choose from."""
    name = f"{language.name}, next runs"
    numbers = derive_seed(seed, "arena floorbench", name)
    first = (own.column("seed") == own.column("seed").min()) & (_levels(own) < FIRST_LEVELS)
    seen, others = np.flatnonzero(first), stream(numbers, "arena candidates").permutation(np.flatnonzero(~first))
    scale, flops, nothing = random_scale(numbers), CHOICE_SHARE * float(own.flops.sum()), np.empty(0)
    shown = masked(
        own.select(seen), nothing, nothing, (), scale=scale, seed=numbers,
        candidates=(own.params[others], own.tokens[others], flops),
    )  # fmt: skip
    runs = NextRuns(table=own, seen=seen, candidates=others, wanted=sealed, flops=flops)
    key = Key(losses=nothing, ahead=nothing, next_runs=runs)
    return Task(name=name, track="next", kind=_kind(language), shown=shown, key=key)
