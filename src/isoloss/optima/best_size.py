"""The best size of a budget on any table of runs, whatever the form of the loss.

Several surfaces are fitted to a corpus's runs (`isoloss.optima.surfaces`) and searched along the budget's line. Forms
are weighted by how well they predict trunks that they have not seen: weight ∝ Q^(−n/4), with Q = e′R⁻¹e the square of
those errors e less what the rows of a trunk share. Q^(−n/2) is the likelihood of n normal errors of unknown size; its
root is taken because errors of folds are noisy, and a form that wins by chance should not stand alone. The interval is
that of all forms' draws together, so it holds run noise, trunk effects and the disagreement of the forms.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from isoloss.core.display import Rows
from isoloss.core.errors import InputError
from isoloss.core.estimate import Estimate
from isoloss.core.plain_json import fields_json
from isoloss.core.rng import stream
from isoloss.fitting.checkpoints import with_curves
from isoloss.fitting.checks import leave_out
from isoloss.fitting.choice import FEWEST_SIZES_OF
from isoloss.fitting.noise import of_others
from isoloss.fitting.unseen import whitened_squares
from isoloss.laws.law import Floats
from isoloss.laws.settings import EXCLUDED_FLAGS
from isoloss.optima.inside import FEWEST_SIZES, POINTS, Reach, inside_range, usual_budgets
from isoloss.optima.surfaces import (
    FEWEST_ROWS,
    LocalSurface,
    Surface,
    law_surface,
    local_surface,
    trunk_evidence,
)
from isoloss.runs.observations import Observations

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DRAWS = 400
BEYOND = 0.7  # of ln N: draws are searched that far beyond the sizes, so that an interval may end outside
TEMPER = 0.5  # of a form's log likelihood by unseen trunks
FREEST_WEIGHT = 1e-3
MOST_OUTSIDE = 0.5  # of the weighted draws


Side = Literal["below", "above"]
SIDES: dict[Side, str] = {"below": "at or below the smallest size", "above": "at or above the largest size"}


def side_in_words(side: Side) -> str:
    """Return on which side of the sizes an optimum lies, in words."""
    return f"{side} the sizes trained"


@dataclass(frozen=True, kw_only=True)
class FormOptimum:
    """What one form says: its weight, its best tokens per parameter, its root mean square misfit in ln L."""

    form: str
    weight: float
    tokens_per_param: float
    misfit: float


@dataclass(frozen=True, kw_only=True)
class BestSize:
    """The best split of one budget on one corpus. Estimates are None where the optimum is not inside the runs.

    `side` says whether it then lies below or above the sizes that have runs at the budget, None where nothing shows.
    """

    corpus: str
    flops: float
    inside: bool
    reason: str
    params: Estimate | None = None
    tokens: Estimate | None = None
    tokens_per_param: Estimate | None = None
    loss: Estimate | None = None
    side: Side | None = None
    misfit: float | None = None
    forms: tuple[FormOptimum, ...] = ()
    log_ratio_draws: Floats | None = None

    @property
    def log_ratio(self) -> Estimate | None:
        """ln(D*/N*), or None where the optimum is not inside the runs."""
        return None if self.tokens_per_param is None else self.tokens_per_param.logarithm()

    @property
    def where(self) -> str:
        """Where the optimum lies in a few words; the reason where nothing shows."""
        if self.inside:
            return "inside the runs"
        return self.reason if self.side is None else side_in_words(self.side)

    def plot(self) -> "Figure":
        """Return the optimum drawn: tokens per parameter and loss. Raises InputError where it is not inside."""
        from isoloss.report.figures.answers import of_optima

        return of_optima([self])

    def cells(self) -> dict[str, object]:
        """Return what a table shows of it, by column."""
        return {
            "corpus": self.corpus, "FLOPs": self.flops, "parameters": self.params, "tokens": self.tokens,
            "tokens per parameter": self.tokens_per_param, "loss, nats": self.loss,
            "": "" if self.inside else self.reason,
        }  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """Return one element of `optima`."""
        return fields_json(self, without=("log_ratio_draws",))


class BestSizes(Rows[BestSize]):
    """The best splits of several budgets or corpora: a list, a table in a notebook, and a drawing."""

    def plot(self) -> "Figure":
        """Return all optima drawn: tokens per parameter and loss. Raises InputError where none is inside."""
        from isoloss.report.figures.answers import of_optima

        return of_optima(self)


def best_sizes(
    observations: Observations,
    *,
    budgets: Sequence[float] | None = None,
    pooled: bool = False,
    shifts: Floats | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> BestSizes:
    """Return the best split of every budget on every corpus of a table; by default of three budgets inside its runs.

    A budget counts FLOPs as the table does: its own column, or 6 · params · tokens. Flagged runs are left out. Where no
    trunk is named, rows that look like checkpoints of one curve a size are taken as such
    (`isoloss.fitting.checkpoints`). Corpora of one table are taken as trained alike: what share of the noise is the
    trunks' is learnt from all of them.
    `pooled` gives every corpus the same weights of the forms, the geometric mean of their own: where corpora are
    compared, a form's bias is then shared. `shifts` (any number, n) are what held-out documents drawn anew would change
    of every ln loss (`isoloss.optima.documents`). Raises InputError for a budget that is no positive number.
    """
    return search_sizes(observations, budgets=budgets, shifts=shifts, draws=draws, seed=seed).best(pooled=pooled)


def search_sizes(
    observations: Observations,
    *,
    budgets: Sequence[float] | None = None,
    shifts: Floats | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> "SearchedSizes":
    """Return what `best_sizes` finds, before the forms are weighted: it says the best sizes with several weights."""
    if budgets is not None and not all(np.isfinite(budget) and budget > 0 for budget in budgets):
        raise InputError(f"budgets {list(budgets)}", fix="give FLOPs above zero, such as 1e18")
    fittings = _fittings(observations, shifts, draws=draws, seed=seed)
    return SearchedSizes(tuple(one for fitting in fittings for one in _of_corpus(fitting, budgets)))


def _fittings(observations: Observations, shifts: Floats | None, *, draws: int, seed: int) -> "list[_Fitting]":
    """Return the runs of every corpus, flagged ones left out, with what all the others say of trunks."""
    tables, moved = [], []
    for corpus in observations.corpora:
        rows = _distinct(observations, np.flatnonzero(observations.corpus == corpus))
        own = observations.select(rows)
        used, _ = leave_out(own, flags=EXCLUDED_FLAGS)
        tables.append(with_curves(used))
        kept = rows[np.isin(own.rows, used.rows)]
        moved.append(None if shifts is None else shifts[np.ix_(np.arange(draws) % len(shifts), kept)])
    others = of_others([trunk_evidence(table) for table in tables])
    return [
        _Fitting(table=table, corpus=corpus, others=evidence, shifts=shift, draws=draws, seed=seed)
        for corpus, table, evidence, shift in zip(observations.corpora, tables, others, moved, strict=True)
    ]


def _distinct(observations: Observations, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return those of `rows` that repeat no other exactly: its twin would predict a row that is left out."""
    read = (observations.params, observations.tokens, observations.flops, observations.loss_nats)
    _, first = np.unique(np.column_stack(read)[rows], axis=0, return_index=True)
    return np.asarray(rows[np.sort(first)])


@dataclass(frozen=True, kw_only=True, eq=False)
class _Fitting:
    """The runs of one corpus, and how its surfaces are drawn."""

    table: Observations
    corpus: str
    others: Floats | None
    shifts: Floats | None
    draws: int
    seed: int

    @cached_property
    def reach(self) -> Reach:
        """Return what the runs reach."""
        return Reach.of(self.table)

    def stream(self, form: str) -> np.random.Generator:
        """Return the numbers of a form's draws, the same at every budget: draws of several budgets go together."""
        return stream(self.seed, "surface", form, self.table.fingerprint)

    def laws(self) -> list[Surface]:
        """Return the parametric surfaces that the rows determine."""
        found: list[Surface] = []
        sizes = len(self.reach.sizes)
        for form in (form for form, fewest in FEWEST_SIZES_OF.items() if sizes >= fewest):
            try:
                surface = law_surface(
                    self.table, form, draws=self.draws, generator=self.stream(form), others=self.others,
                    shifts=self.shifts,
                )  # fmt: skip
                found.append(surface)
            except InputError:
                continue  # too few rows or sizes for this form: the others speak
        return found

    def local(self, budget: float, log_n: Floats, log_d: Floats) -> LocalSurface:
        """Return the local surface near the optimum: first around the middle of the sizes, then its own valley."""
        log_flops, ratio = np.log(self.table.flops), float((log_d - log_n).mean())
        for drawn in (0, 0, self.draws):
            found = local_surface(
                self.table, log_flops=log_flops, near=(float(np.log(budget)), ratio), draws=drawn, others=self.others,
                shifts=None if self.shifts is None else self.shifts[:drawn], generator=self.stream("local"),
            )  # fmt: skip
            best = int(np.argmin(found.log_loss(log_n, log_d)[0]))
            ratio = float(log_d[best] - log_n[best])
        return found


def _of_corpus(fitting: _Fitting, budgets: Sequence[float] | None) -> "list[BestSize | Searched]":
    table = fitting.table
    asked = tuple(dict.fromkeys(usual_budgets(table))) if budgets is None else tuple(budgets)
    held = {budget: int(fitting.reach.covered(budget).sum()) if len(table) else 0 for budget in asked}
    any_held = any(count >= FEWEST_SIZES for count in held.values())
    if len(table) < FEWEST_ROWS or not (any_held or inside_range(table)):
        lack = "too few: three sizes need runs on both sides of a budget (fewer, more tokens)"
        reason = f"{len(table)} usable runs, {lack}"
        return [BestSize(corpus=fitting.corpus, flops=budget, inside=False, reason=reason) for budget in asked or ()]
    laws = fitting.laws() if any_held else ()
    return [_at(fitting, budget, held[budget], laws) for budget in asked]


def _at(fitting: _Fitting, budget: float, count: int, laws: Sequence[Surface]) -> "BestSize | Searched":
    if count < FEWEST_SIZES:
        reason = f"{count or 'no'} sizes have runs on both sides of this budget (fewer, more tokens), three are needed"
        return BestSize(corpus=fitting.corpus, flops=budget, inside=False, reason=reason)
    ends, per_token = fitting.reach.ends(budget), fitting.reach.log_flops_per_token
    within = np.linspace(*ends, POINTS)
    local = fitting.local(budget, within, np.log(budget) - per_token(within))
    log_n = np.linspace(ends[0] - BEYOND, ends[1] + BEYOND, POINTS)
    log_d = np.log(budget) - per_token(log_n)
    surfaces = [*laws, local]
    return Searched(
        fitting=fitting, budget=budget, ends=ends, surfaces={surface.form: surface for surface in surfaces},
        optima={surface.form: _least(surface.log_loss(log_n, log_d), log_n, log_d, ends=ends) for surface in surfaces},
        scores=_scores(surfaces, local, fitting.table),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class _Found:
    """The optimum of the best fit and of every draw: ln N, ln D, ln L (1 + S,)."""

    log_n: Floats
    log_d: Floats
    log_loss: Floats


def _least(log_loss: Floats, log_n: Floats, log_d: Floats, *, ends: tuple[float, float]) -> _Found:
    """Return the least loss along the line, by the parabola through the lowest point and its neighbours.

    A form that has its lowest point between the sizes is taken at its word there, whatever it says beyond them. Only
    where the loss still falls at the outermost size is it followed further out, as long as it goes on falling.
    """
    values = np.where(np.isfinite(log_loss), log_loss, np.inf)
    within = np.flatnonzero((log_n >= ends[0]) & (log_n <= ends[1]))
    first, last = int(within[0]), int(within[-1])
    place = first + np.argmin(values[:, first : last + 1], axis=1)
    place = np.where(place == first, first - _downhill(values[:, first::-1]), place)
    place = np.where(place == last, last + _downhill(values[:, last:]), place)
    inner = np.clip(place, 1, len(log_n) - 2)
    rows = np.arange(len(values))
    left, middle, right = values[rows, inner - 1], values[rows, inner], values[rows, inner + 1]
    with np.errstate(invalid="ignore", divide="ignore"):
        curve = left - 2 * middle + right
        shift = np.where(curve > 0, 0.5 * (left - right) / curve, np.sign(left - right))
    shift = np.clip(np.nan_to_num(shift), -1, 1)
    at = inner + shift
    whole = np.arange(len(log_n))
    return _Found(
        log_n=np.interp(at, whole, log_n), log_d=np.interp(at, whole, log_d),
        log_loss=middle - 0.25 * (left - right) * shift,
    )  # fmt: skip


def _downhill(values: Floats) -> NDArray[np.int64]:
    """Return how many steps each row of values goes on falling from its first."""
    rises = np.diff(values, axis=1) >= 0
    return np.asarray(np.where(rises.any(axis=1), rises.argmax(axis=1), rises.shape[1]), dtype=np.int64)


def _scores(surfaces: Sequence[Surface], local: LocalSurface, table: Observations) -> dict[str, float]:
    """Return the logarithm of each form's weight, up to a constant, by its errors on unseen trunks.

    Rows count as in the local surface, and share its trunk effects.
    """
    rows = float(local.row_weights.sum() ** 2 / (local.row_weights**2).sum())
    squares = [whitened_squares(s.unseen, local.row_weights, table.trunk, local.ratio).sum() for s in surfaces]
    return {s.form: -0.5 * TEMPER * rows * float(np.log(square)) for s, square in zip(surfaces, squares, strict=True)}


def _weights(scores: Mapping[str, float]) -> dict[str, float]:
    """Return weights of sum 1; those below a thousandth count as none."""
    logs = np.array(list(scores.values()))
    raw = np.exp(logs - logs.max())
    raw = np.where(raw / raw.sum() < FREEST_WEIGHT, 0.0, raw)
    return dict(zip(scores, (raw / raw.sum()).tolist(), strict=True))


def _pooled(searched: "Sequence[Searched]") -> dict[str, float] | None:
    """Return the mean scores of the forms that every corpus and budget with an optimum inside has; None without any."""
    found = [one.scores for one in searched if not one.outside(_weights(one.scores))]
    shared = set.intersection(*map(set, found)) if found else set()
    return {form: float(np.mean([scores[form] - max(scores.values()) for scores in found])) for form in shared} or None


@dataclass(frozen=True, kw_only=True, eq=False)
class Searched:
    """One budget on one corpus: every form's surface, optimum and score; `ends` are ln N of the outermost sizes."""

    fitting: _Fitting
    budget: float
    ends: tuple[float, float]
    surfaces: Mapping[str, Surface]
    optima: Mapping[str, _Found]
    scores: Mapping[str, float]

    def outside(self, weights: Mapping[str, float]) -> Side | None:
        """Return on which side of the sizes most of the weighted draws lie, or None where most lie inside."""
        low, high = self.ends
        below = sum(w * float((self.optima[form].log_n[1:] < low).mean()) for form, w in weights.items())
        above = sum(w * float((self.optima[form].log_n[1:] > high).mean()) for form, w in weights.items())
        if below + above <= MOST_OUTSIDE:
            return None
        return "below" if below > above else "above"

    def mixed(self, pooled: Mapping[str, float] | None) -> BestSize:
        """Return the weighted answer with the draws of all forms together, by `pooled` scores instead of its own."""
        weights = self.weights if pooled is None else dict.fromkeys(self.optima, 0.0) | _weights(pooled)
        forms = tuple(
            FormOptimum(form=form, weight=weights[form], misfit=self.surfaces[form].misfit,
                        tokens_per_param=float(np.exp(found.log_d[0] - found.log_n[0])))
            for form, found in self.optima.items()
        )  # fmt: skip
        misfit = float(sum(f.weight * f.misfit for f in forms))
        if side := self.outside(weights):
            reason = f"the optimum is {SIDES[side]} that has runs at this budget"
            return BestSize(
                corpus=self.fitting.corpus, flops=self.budget, inside=False, side=side, reason=reason, misfit=misfit,
                forms=forms,
            )  # fmt: skip
        picked = self._picked(weights)

        def estimate(quantity: Callable[[_Found], Floats]) -> Estimate:
            values = np.array([quantity(found) for found in self.optima.values()])
            centre = float(np.array(list(weights.values())) @ values[:, 0])
            return Estimate.from_draws(np.exp(values[picked]), value=float(np.exp(centre)))

        ratios = np.array([found.log_d - found.log_n for found in self.optima.values()])
        return BestSize(
            corpus=self.fitting.corpus, flops=self.budget, inside=True, reason="",
            params=estimate(lambda found: found.log_n), tokens=estimate(lambda found: found.log_d),
            tokens_per_param=estimate(lambda found: found.log_d - found.log_n),
            loss=estimate(lambda found: found.log_loss), misfit=misfit, forms=forms, log_ratio_draws=ratios[picked],
        )  # fmt: skip

    @property
    def weights(self) -> dict[str, float]:
        """The weight of every form by the corpus's own runs."""
        return dict.fromkeys(self.optima, 0.0) | _weights(self.scores)

    def predict_draws(self, *, params: Floats, tokens: Floats) -> Floats:
        """Return the loss at points (m,) in the draws of all forms together: (S, m), in the order of the answer's."""
        log_n, log_d = np.log(params), np.log(tokens)
        losses = np.array([surface.log_loss(log_n, log_d) for surface in self.surfaces.values()])
        return np.asarray(np.exp(losses[self._picked(self.weights)]))

    @property
    def noise(self) -> tuple[float, float]:
        """The standard deviations of points and of trunks around the weighted forms, in ln L."""
        squares = np.square([self.surfaces[form].noise for form in self.weights])
        point_sd, trunk_sd = np.sqrt(np.array(list(self.weights.values())) @ squares).tolist()
        return point_sd, trunk_sd

    def _picked(self, weights: Mapping[str, float]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return which form's and which draw each draw of the mixture is, in the same order at every budget."""
        generator = stream(self.fitting.seed, "mixture of forms", self.fitting.corpus)
        ladder = np.cumsum(list(weights.values()))
        chosen = np.searchsorted(ladder / ladder[-1], generator.random(self.fitting.draws), side="right")
        return chosen, 1 + generator.permutation(self.fitting.draws)


@dataclass(frozen=True, eq=False)
class SearchedSizes:
    """Budgets on corpora, each searched by every form. Where there is nothing to search, the answer says why."""

    found: "tuple[BestSize | Searched, ...]"

    def best(self, *, pooled: bool = False) -> BestSizes:
        """Return the best sizes, by each corpus's own weights of the forms or by `pooled` ones."""
        shared = _pooled([one for one in self.found if isinstance(one, Searched)]) if pooled else None
        return BestSizes(one.mixed(shared) if isinstance(one, Searched) else one for one in self.found)
