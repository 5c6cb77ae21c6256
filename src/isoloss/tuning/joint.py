"""How the best rate and batch follow size, tokens and batch in any sweep, whatever its horizons.

`isoloss.tuning.tuning` judges a sweep laid out for that, every size at the same two horizons. Here every cell counts:
over lines, ln rate is linear in ln N, ln D and ln batch, over cells ln batch in ln N and ln D. Cells of one size share
its shape and its data, so intervals come from leaving out one size at a time (the jackknife of clusters, with Student's
t: MacKinnon, Nielsen & Webb 2023): whatever a shape has for itself does not pass for precision.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isoloss.core.errors import InputError
from isoloss.core.estimate import Estimate
from isoloss.core.numbers import percent, rounded
from isoloss.core.plain_json import Plain, fields_json
from isoloss.core.rng import stream
from isoloss.laws.law import Floats
from isoloss.runs.observations import NO_GROUP
from isoloss.tuning.sweep import BatchOptimum, RateOptimum, SweptRun, averaged, batch_optima, rate_optima
from isoloss.tuning.tuning import DRAWS, mostly_inside

FEWEST_SIZES = 3  # one is left out, and two still have a slope
# Of columns of unit length: below it they are as good as one, as ln N and ln D at 20 tokens a parameter.
APART = 0.05
SYMBOLS = {"params": "N", "tokens": "D", "batch_tokens": "B"}
IN_WORDS = {"params": "parameters", "tokens": "tokens", "batch_tokens": "the batch"}


@dataclass(frozen=True, kw_only=True, eq=False)
class JointPower:
    """A power law of a best setting: `level` at the point `at`, and an exponent for each column that varies.

    `optima` were fitted, of `sizes` sizes (of one size, of as many horizons); `scatter` is their standard deviation
    around the law, in ln. `draws` (n, 1 + columns) are of ln level and the exponents.
    """

    at: Mapping[str, float]
    level: Estimate
    exponents: Mapping[str, Estimate]
    optima: int
    sizes: int
    scatter: float
    draws: Floats

    def predict(self, **point: float) -> Estimate:
        """Return the setting at a point, by column; columns that the law does not follow are ignored.

        Raises InputError where one that it follows is missing.
        """
        if missing := [name for name in self.exponents if name not in point]:
            raise InputError(f"the law follows {missing[0]}", fix=f"give {missing[0]} too")
        steps = np.array([0.0, *(np.log(point[name] / self.at[name]) for name in self.exponents)])
        steps[0] = 1.0
        centre = np.array([np.log(self.level.value), *(one.value for one in self.exponents.values())])
        return Estimate.from_draws(np.exp(self.draws @ steps), value=float(np.exp(centre @ steps)))

    def formula(self) -> str:
        """Return the law in one line."""
        factors = [f"({SYMBOLS[name]}/{self.at[name]:.3g})^{one.value:.3g}" for name, one in self.exponents.items()]
        return " · ".join([f"{self.level.value:.3g}", *factors])

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data, without draws."""
        return fields_json(self, without=("draws",)) | {"formula": self.formula()}


@dataclass(frozen=True, kw_only=True)
class CellOptimum(Plain):
    """The best rate and batch of one size at one horizon.

    `rate_within` and `batch_within` are where the loss is within 1 % of the least, None on an edge of the grid. Edges
    say on which side the setting is the best of those tried, and its optimum there or beyond.
    """

    params: int
    tokens: int
    seed: int
    peak_lr: float
    batch_tokens: float
    loss_nats: float
    rate_within: tuple[float, float] | None
    batch_within: tuple[float, float] | None
    rate_edge: str | None
    batch_edge: str | None
    runs: int


@dataclass(frozen=True, kw_only=True, eq=False)
class TunedSweep:
    """What a sweep says: the optimum of every cell, and laws of the best rate and batch; None, with `reasons`, for one
    that the sweep does not determine. `rates` are the optima of every line, one batch of one cell."""

    group: str
    cells: tuple[CellOptimum, ...]
    rates: tuple[RateOptimum, ...]
    rate: JointPower | None
    batch: JointPower | None
    reasons: tuple[str, ...]

    def recipe(self, *, params: float, tokens: float) -> dict[str, Estimate]:
        """Return the best batch of a run, and the best rate at that batch. Raises InputError where no law says them.

        Both laws count as drawn apart: the interval of the rate holds the batch's too.
        """
        if self.rate is None:
            raise InputError("no law of the best rate", fix="; ".join(self.reasons))
        if "batch_tokens" not in self.rate.exponents:
            return {"peak_lr": self.rate.predict(params=params, tokens=tokens)}
        if self.batch is None:
            raise InputError("no law of the best batch", fix="; ".join(self.reasons))
        batch = self.batch.predict(params=params, tokens=tokens)
        point = {"params": params, "tokens": tokens, "batch_tokens": batch.value}
        return {"batch_tokens": batch, "peak_lr": self.rate.predict(**point)}

    def sentences(self) -> list[str]:
        """Return what the sweep says, in plain English."""
        edges = [cell for cell in self.cells if cell.rate_edge or cell.batch_edge]
        found = [_law_sentence("rate", self.rate, "")] if self.rate else []
        found += [_law_sentence("batch", self.batch, " tokens")] if self.batch else []
        found += [f"{reason[0].upper()}{reason[1:]}." for reason in self.reasons]
        if edges:
            found.append(
                f"{len(edges)} of {len(self.cells)} cells have their optimum on the edge of the grid: it is there "
                "or beyond, so the law does not use it. Widen those grids."
            )
        return found

    def to_json(self) -> dict[str, Any]:
        """Return one element of `sweeps`."""
        return fields_json(self, without=("rates",)) | {"sentences": self.sentences()}


def fit_sweep(runs: Iterable[SweptRun], *, group: str = NO_GROUP, seed: int = 0) -> TunedSweep:
    """Return every cell's best rate and batch, and how they follow parameters, tokens and batch.

    Optima on the edge of the grid are left out of the laws, and so are cells with most of theirs there. Runs that
    differ in nothing count as one, of their mean ln loss. Raises InputError for no runs.
    """
    swept = averaged(runs)
    if not swept:
        raise InputError("a sweep without runs", fix="give runs with learning rates and losses")
    rates = rate_optima(swept)
    batches = batch_optima(rates)
    inside = mostly_inside(rates)
    generator = stream(seed, "joint sweep", group)
    reasons: list[str] = []
    rate = _law(
        "rate", {name: np.array([getattr(o, name) for o in inside], dtype=float) for name in IN_WORDS},
        np.log([o.peak_lr for o in inside]), generator, reasons, tried=len(rates),
    )  # fmt: skip
    bottoms = [o for o in batches if o.edge is None]
    several = len({run.batch_tokens for run in swept}) > 1
    batch = None
    if several:
        batch = _law(
            "batch", {n: np.array([getattr(o, n) for o in bottoms], dtype=float) for n in ("params", "tokens")},
            np.log([o.batch_tokens for o in bottoms]), generator, reasons, tried=len(batches),
        )  # fmt: skip
    return TunedSweep(
        group=group, cells=tuple(_cell(best, rates, swept, several=several) for best in batches), rates=tuple(rates),
        rate=rate, batch=batch, reasons=tuple(reasons),
    )  # fmt: skip


def _cell(best: BatchOptimum, rates: Sequence[RateOptimum], runs: Sequence[SweptRun], *, several: bool) -> CellOptimum:
    """Return a cell's optimum: its best batch, and the rate there by the lines on both sides of it."""
    own = [o for o in rates if o.cell == best.cell]
    nearest = min(own, key=lambda o: abs(np.log(o.batch_tokens / best.batch_tokens)))
    places, levels = (np.log([getattr(o, name) for o in own]) for name in ("batch_tokens", "peak_lr"))
    return CellOptimum(
        params=best.params, tokens=best.tokens, seed=best.seed, batch_tokens=best.batch_tokens,
        peak_lr=float(np.exp(np.interp(np.log(best.batch_tokens), places, levels))), loss_nats=best.loss_nats,
        rate_within=nearest.within, batch_within=best.within, rate_edge=nearest.edge,
        batch_edge=best.edge if several else None,
        runs=sum((run.params, run.tokens, run.seed) == tuple(best.cell) for run in runs),
    )  # fmt: skip


def _law(
    what: str, columns: Mapping[str, Floats], place: Floats, generator: np.random.Generator, reasons: list[str], *,
    tried: int,
) -> JointPower | None:  # fmt: skip
    """Return the power law of ln optima (n,), or None with the reason added to `reasons`."""
    varying = {name: values for name, values in columns.items() if len(np.unique(values)) > 1}
    if "params" in varying:
        cluster, kind = columns["params"], "sizes"
    else:
        # One size: its horizons are what can be left out.
        cluster, kind = columns["tokens"], "horizons"
    clusters = np.unique(cluster)
    counted = f"{len(place)} of {tried} optima are inside their grids"
    if len(clusters) < FEWEST_SIZES:
        reasons.append(f"no law of the best {what}: {counted}, of {len(clusters)} {kind}, and it takes {FEWEST_SIZES}")
        return None
    middle = {name: float(np.exp(np.log(values).mean())) for name, values in varying.items()}
    design = np.column_stack([np.ones(len(place)), *(np.log(v / middle[n]) for n, v in varying.items())])
    left = [cluster != one for one in clusters]
    if not all(_determined(design[rows]) for rows in (np.ones(len(place), dtype=bool), *left)):
        moving = " and ".join(IN_WORDS[name] for name in varying)
        reasons.append(
            f"no law of the best {what}: {counted}, and with one of the {kind} left out {moving} move together there: "
            "sweep a size at several token counts, or more sizes"
        )
        return None
    found = _solved(design, place)
    drawn = _draws(found, design, place, left, generator)
    return JointPower(
        at=middle, level=Estimate.from_draws(np.exp(drawn[:, 0]), value=float(np.exp(found[0]))),
        exponents={name: Estimate.from_draws(drawn[:, i], value=float(found[i])) for i, name in enumerate(varying, 1)},
        optima=len(place), sizes=len(clusters), scatter=float(np.std(place - design @ found)), draws=drawn,
    )  # fmt: skip


def _determined(design: Floats) -> bool:
    """Whether rows (n, k) tell all columns apart: none, of unit length, is nearly a combination of the others."""
    centred = design[:, 1:] - design[:, 1:].mean(axis=0)
    lengths = np.linalg.norm(centred, axis=0)
    if len(design) <= design.shape[1] or not lengths.all():
        return False
    return bool(np.linalg.svd(centred / lengths, compute_uv=False).min() > APART)


def _solved(design: Floats, place: Floats) -> Floats:
    return np.asarray(np.linalg.lstsq(design, place, rcond=None)[0])


def _draws(
    found: Floats, design: Floats, place: Floats, left: Sequence[NDArray[np.bool_]], generator: np.random.Generator
) -> Floats:
    """Return draws (DRAWS, k) around `found` with the jackknife's covariance and Student's t of the clusters."""
    moved = np.array([_solved(design[rows], place[rows]) - found for rows in left])
    freedom = len(left) - 1
    steps = generator.standard_normal((DRAWS, len(left))) @ moved * np.sqrt(freedom / len(left))
    return np.asarray(found + steps / np.sqrt(generator.chisquare(freedom, size=(DRAWS, 1)) / freedom))


def _law_sentence(what: str, law: JointPower, unit: str) -> str:
    at = ", ".join(f"{value:.3g} {IN_WORDS[name].removeprefix('the ')}" for name, value in law.at.items())
    powers = ", ".join(f"{IN_WORDS[name]} to the power {rounded(one, 3)}" for name, one in law.exponents.items())
    kind = "sizes" if "params" in law.exponents else "horizons"
    return (
        f"The best {what} is {rounded(law.level, 3)}{unit} at {at}; it scales with {powers} ({law.optima} optima of "
        f"{law.sizes} {kind}, which scatter by {percent(law.scatter, 2)} around it)."
    )
