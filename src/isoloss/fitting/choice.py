"""Which law a table follows: each is fitted without one training curve after the other, and predicts what was left out.

A law's score is s, its error of ln L on unseen curves less what the rows of a curve share; several corpora count
together, for they are compared under one law. A law that is no worse than the best by more than one standard error of
their difference over the curves counts as equal to it (the one-standard-error rule of Breiman et al. 1984), and of
equals the one with the fewest parameters is chosen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Unpack

import numpy as np

from isoloss.core.errors import BadTable, InputError
from isoloss.core.numbers import percent
from isoloss.core.plain_json import Plain
from isoloss.fitting.checks import leave_out, refuse_unfittable, root_mean_square
from isoloss.fitting.engine import find_optimum, linearise, pose, row_weights, starting_points
from isoloss.fitting.intervals import noise_around
from isoloss.fitting.known_floor import IRREDUCIBLE, floor_of
from isoloss.fitting.unseen import left_out, unseen_errors, whitened_squares
from isoloss.laws.law import Floats, Law
from isoloss.laws.registry import laws
from isoloss.laws.settings import USUAL, FitOptions, FitSettings
from isoloss.runs.observations import Observations
from isoloss.runs.sizes import distinct_sizes

AUTO = "auto"
"""The name that stands for the law that this module chooses."""

# The fewest sizes from which each form is fitted. Farseer's three functions of N have three parameters each: on five
# sizes its draws spread over a factor of four where the others agree within a tenth.
FEWEST_SIZES_OF = {"chinchilla": 3, "coupled": 4, "ceiling": 4, "farseer": 8}

# Smaller errors of ln L tell no laws apart: on losses without noise they are what the processor rounds.
RESOLUTION = 1e-9


@dataclass(frozen=True, kw_only=True)
class TriedLaw:
    """One law that was tried: its number of parameters, and its score, or the reason why it has none."""

    law: str
    parameters: int
    score: float | None = None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class LawChoice(Plain):
    """The law that was chosen, and all that were tried, the best score first; `equal` are those no worse than it.

    Scores are root mean square errors of ln L on `rows` rows of `curves` training curves that the fits did not see.
    """

    law: str
    equal: tuple[str, ...]
    tried: tuple[TriedLaw, ...]
    curves: int
    rows: int

    def sentence(self) -> str:
        """Return in plain English what was chosen, and why."""
        scored = ", ".join(f"{one.law} {percent(one.score)}" for one in self.tried if one.score is not None)
        others = [name for name in self.equal if name != self.law]
        why = f", the fewest parameters among equals (with {', '.join(others)})" if others else ""
        missing = "".join(f"; not {one.law}: {one.reason}" for one in self.tried if one.score is None)
        return (
            f"law chosen: {self.law}{why}, by the errors of ln L on {self.curves} training curves, each left out in "
            f"turn: {scored}{missing}"
        )


def choose_law(
    tables: Sequence[Observations],
    *,
    settings: FitSettings = USUAL,
    **options: Unpack[FitOptions],
) -> LawChoice:
    """Return the law of the registry that predicts unseen training curves of the corpora, a table each, best.

    Laws of both parameters and tokens are tried where the tables know both; else all that read their columns. Settings
    and options are those of `fit`. Raises BadTable where no law can be scored.
    """
    settings = replace(settings, **options)
    used = [leave_out(table, flags=settings.exclude_flags)[0] for table in tables]
    names = _candidates(used)
    reasons: dict[str, str] = {}
    found: dict[str, dict[int, _Errors]] = {name: {} for name in names}
    for place, table in enumerate(used):
        for name in names:
            try:
                found[name][place] = _errors(table, laws[name], settings)
            except InputError as error:
                reasons.setdefault(name, error.reason)
    # A law that half of the corpora cannot hold is none for all; the others meet where all of them are scored.
    most = max((len(own) for own in found.values()), default=0)
    scored = [name for name in names if most and 2 * len(found[name]) > most]
    places = sorted(set.intersection(*(set(found[name]) for name in scored))) if scored else []
    if not places:
        first = next(iter(reasons.values()), "its columns are those of no law")
        raise BadTable(
            f"no law can be chosen by left-out training curves: {first}", place="law",
            fix="name a law, or add runs of other curves",
        )  # fmt: skip
    tried = {name: [found[name][place] for place in places] for name in scored}
    return _chosen(tried, [used[place] for place in places], {n: reasons.get(n, "") for n in names if n not in scored})


@dataclass(frozen=True, kw_only=True, eq=False)
class _Errors:
    """One law on one corpus: its errors on unseen rows (n,), what it misses of all, the trunks' variance ratio."""

    unseen: Floats
    weights: Floats
    rmse: float
    ratio: float


def _candidates(tables: Sequence[Observations]) -> list[str]:
    """Return the laws to try, those with the fewest parameters first."""
    known = [name for name in laws if all(table.has(*laws[name].columns) for table in tables)]
    splitting = [name for name in known if laws[name].has_frontier()]
    return sorted(splitting or known, key=lambda name: len(laws[name].parameters))


def _errors(table: Observations, law: type[Law], settings: FitSettings) -> _Errors:
    """Return how a law predicts the curves of a corpus. Raises InputError where what is left determines no law."""
    fixed = dict(settings.fixed)
    if (known := floor_of(table, law=law, use=settings.floor)) is not None and settings.floor == "hold":
        fixed[IRREDUCIBLE] = known
    _require_sizes(table, law)
    for fold in left_out(table.trunk):
        refuse_unfittable(table.select(~fold), law=law, fixed=fixed)
    problem = pose(
        table, law=law, objective=settings.objective, delta=settings.delta,
        weights=row_weights(table, settings.weights), fixed=fixed,
    )  # fmt: skip
    best = find_optimum(problem, starting_points(problem, "auto")).free
    noise = noise_around(table, problem, best)
    unseen = unseen_errors(problem, best, table.trunk)
    if not np.isfinite(unseen).all():
        raise InputError(f"{law.name} does not predict a finite loss for a left-out curve")
    return _Errors(
        unseen=unseen, weights=problem.weights, rmse=root_mean_square(linearise(problem, best)[0]),
        ratio=(noise.trunk_sd / noise.point_sd) ** 2,
    )  # fmt: skip


def _require_sizes(table: Observations, law: type[Law]) -> None:
    fewest = FEWEST_SIZES_OF.get(law.name, 1)
    if table.has("params") and (sizes := len(distinct_sizes(table.params)[0])) < fewest:
        raise InputError(f"{sizes} sizes, {law.name} needs {fewest}")


def _chosen(
    tried: Mapping[str, Sequence[_Errors]], tables: Sequence[Observations], missing: Mapping[str, str]
) -> LawChoice:
    """Return the choice between laws that were all scored on the same tables."""
    squares = {name: [] for name in tried}  # type: dict[str, list[Floats]]
    for place, table in enumerate(tables):
        # Noise is what the closest form leaves: what another misses is no noise.
        ratio = min((own[place] for own in tried.values()), key=lambda one: one.rmse).ratio
        for name, own in tried.items():
            unseen = whitened_squares(own[place].unseen, own[place].weights, table.trunk, ratio)
            squares[name].append(np.maximum(unseen, RESOLUTION**2))
    rows = np.array([len(table) for table in tables])
    logs = {name: np.log([own.sum() for own in each]) for name, each in squares.items()}
    scores = {name: float(np.exp(rows @ (own - np.log(rows)) / 2 / rows.sum())) for name, own in logs.items()}
    order = sorted(scores, key=scores.__getitem__)
    equal = [name for name in order if _is_equal(squares[name], squares[order[0]], rows)]
    chosen = min(equal, key=lambda name: len(laws[name].parameters))
    return LawChoice(
        law=chosen,
        equal=tuple(equal),
        tried=(
            *(TriedLaw(law=name, parameters=len(laws[name].parameters), score=scores[name]) for name in order),
            *(TriedLaw(law=n, parameters=len(laws[n].parameters), reason=why) for n, why in missing.items()),
        ),
        curves=sum(len(own) for own in squares[order[0]]),
        rows=int(rows.sum()),
    )


def _is_equal(own: Sequence[Floats], best: Sequence[Floats], rows: Floats) -> bool:
    """Whether a law's squares by curve exceed the best one's by one standard error of their sum or less."""
    excess = np.concatenate([n * (a - b) / b.sum() for a, b, n in zip(own, best, rows, strict=True)])
    if len(excess) < 2:
        return bool(excess.sum() <= 0)
    return bool(excess.sum() <= np.sqrt(len(excess)) * excess.std(ddof=1))
