"""The best size of a budget on any table of runs, whatever the form of the loss.

Several surfaces are fitted to a corpus's runs (`isoloss.optima.surfaces`) and searched along the budget's line. Forms
are weighted by how well they predict trunks that they have not seen: weight ∝ Q^(−n/4), with Q = e′R⁻¹e the square of
those errors e less what the rows of a trunk share. Q^(−n/2) is the likelihood of n normal errors of unknown size; its
root is taken because errors of folds are noisy, and a form that wins by chance should not stand alone. The interval is
that of all forms' draws together, so it holds run noise, trunk effects and the disagreement of the forms.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isoloss.core.errors import InputError
from isoloss.core.estimate import Estimate
from isoloss.core.rng import stream
from isoloss.fitting.checks import EXCLUDED_FLAGS, leave_out
from isoloss.laws.law import Floats
from isoloss.optima.sizes import distinct_sizes
from isoloss.optima.surfaces import (
    FEWEST_ROWS,
    FEWEST_SIZES_OF,
    LocalSurface,
    Surface,
    law_surface,
    local_surface,
    trunk_evidence,
    whitened_square,
)
from isoloss.runs.observations import Observations

DRAWS = 400
POINTS = 97
FEWEST_SIZES = 3
NEAR_TOKENS = 1.1  # a size whose tokens end within a tenth of a budget's counts as having runs on that side
BEYOND = 0.7  # of ln N: draws are searched that far beyond the sizes, so that an interval may end outside
TEMPER = 0.5  # of a form's log likelihood by unseen trunks
FREEST_WEIGHT = 1e-3


@dataclass(frozen=True, kw_only=True)
class FormOptimum:
    """What one form says: its weight, its best tokens per parameter, its root mean square misfit in ln L."""

    form: str
    weight: float
    tokens_per_param: float
    misfit: float


@dataclass(frozen=True, kw_only=True)
class BestSize:
    """The best split of one budget on one corpus. Estimates are None where the optimum is not inside the runs."""

    corpus: str
    flops: float
    inside: bool
    reason: str
    params: Estimate | None = None
    tokens: Estimate | None = None
    tokens_per_param: Estimate | None = None
    loss: Estimate | None = None
    misfit: float | None = None
    forms: tuple[FormOptimum, ...] = ()
    log_ratio_draws: Floats | None = None

    def to_json(self) -> dict[str, Any]:
        """Return one element of `optima`."""
        estimates = {
            name: None if (found := getattr(self, name)) is None else found.to_json()
            for name in ("params", "tokens", "tokens_per_param", "loss")
        }
        forms = [
            {"form": f.form, "weight": f.weight, "tokens_per_param": f.tokens_per_param, "misfit": f.misfit}
            for f in self.forms
        ]
        return {"corpus": self.corpus, "flops": self.flops, **estimates, "inside": self.inside, "reason": self.reason,
                "misfit": self.misfit, "forms": forms}  # fmt: skip


def best_sizes(
    observations: Observations, *, budgets: Sequence[float] | None = None, draws: int = DRAWS, seed: int = 0
) -> list[BestSize]:
    """Return the best split of every budget on every corpus of a table; by default of three budgets inside its runs.

    A budget counts FLOPs as the table does: its own column, or 6 · params · tokens. Flagged runs are left out. Corpora
    of one table are taken as trained alike: what share of the noise is the trunks' is learnt from all of them. Raises
    InputError for a budget that is no positive number.
    """
    if budgets is not None and not all(np.isfinite(budget) and budget > 0 for budget in budgets):
        raise InputError(f"budgets {list(budgets)}", fix="give FLOPs above zero, as 1e18")
    tables = {
        corpus: leave_out(observations.where(corpus=corpus), flags=EXCLUDED_FLAGS)[0] for corpus in observations.corpora
    }
    shared = _evidence_of_others(tables)
    found = []
    for corpus, used in tables.items():
        found += _of_corpus(used, corpus, budgets, others=shared[corpus], draws=draws, seed=seed)
    return found


def usual_budgets(table: Observations) -> tuple[float, ...]:
    """Return three budgets inside the runs of a corpus, lower, middle and upper; none where none is inside."""
    if len(table) < FEWEST_SIZES:
        return ()
    grid = np.geomspace(table.flops.min(), table.flops.max(), 65)
    inside = [budget for budget in grid if covered_sizes(table, float(budget)).sum() >= FEWEST_SIZES]
    if not inside:
        return ()
    low, high = inside[0], inside[-1]
    # A tenth of the way in from either end in ln C: at the very ends sizes are fewest.
    return tuple(float(f"{low * (high / low) ** share:.3g}") for share in (0.1, 0.5, 0.9))


def covered_sizes(table: Observations, budget: float) -> NDArray[np.bool_]:
    """Return which of the table's sizes have runs on both sides of the budget's tokens, or within a tenth of them."""
    sizes, member = distinct_sizes(table.params)
    per_token = flops_per_token(table)
    wanted = np.log(budget) - per_token(np.log(sizes))
    margin = np.log(NEAR_TOKENS)
    reached = np.zeros(len(sizes), dtype=bool)
    for place in range(len(sizes)):
        own = np.log(table.tokens[member == place])
        reached[place] = own.min() <= wanted[place] + margin and own.max() >= wanted[place] - margin
    return reached


def flops_per_token(table: Observations) -> Callable[[Floats], Floats]:
    """Return ln(C/D) as a smooth function of ln N: a quadratic through the sizes' own, as 6 N where C is 6 N D."""
    sizes, member = distinct_sizes(table.params)
    own = np.log(table.flops) - np.log(table.tokens)
    rates = np.array([own[member == place].mean() for place in range(len(sizes))])
    degree = min(2, len(sizes) - 1)
    log_n = np.log(sizes)
    middle = log_n.mean()
    line = np.polynomial.Polynomial.fit(log_n - middle, rates - log_n, degree)
    return lambda at: np.asarray(at + line(at - middle))


def _evidence_of_others(tables: Mapping[str, Observations]) -> dict[str, Floats | None]:
    """Return for each corpus what all the others say of the trunks' share of the noise; None where none does."""
    own = {corpus: trunk_evidence(table) for corpus, table in tables.items()}
    found: dict[str, Floats | None] = {}
    for corpus in tables:
        rest = [evidence for other, evidence in own.items() if other != corpus and evidence is not None]
        found[corpus] = np.sum(rest, axis=0) if rest else None
    return found


def _of_corpus(
    table: Observations, corpus: str, budgets: Sequence[float] | None, *, others: Floats | None, draws: int, seed: int
) -> list[BestSize]:
    asked = usual_budgets(table) if budgets is None else tuple(budgets)
    held = {budget: covered_sizes(table, budget) if len(table) else np.zeros(0, dtype=bool) for budget in asked}
    if not any(reached.sum() >= FEWEST_SIZES for reached in held.values()) or len(table) < FEWEST_ROWS:
        reason = f"{len(table)} runs do not hold a budget: three sizes need runs on both sides of its tokens"
        return [BestSize(corpus=corpus, flops=budget, inside=False, reason=reason) for budget in asked or ()]
    fitting = _Fitting(table=table, corpus=corpus, others=others, draws=draws, seed=seed)
    laws = fitting.laws()
    return [_at(fitting, budget, held[budget], laws) for budget in asked]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Fitting:
    """The runs of one corpus, and how its surfaces are drawn."""

    table: Observations
    corpus: str
    others: Floats | None
    draws: int
    seed: int

    def laws(self) -> list[Surface]:
        """Return the parametric surfaces that the rows determine."""
        found: list[Surface] = []
        sizes = len(distinct_sizes(self.table.params)[0])
        for form in (form for form, fewest in FEWEST_SIZES_OF.items() if sizes >= fewest):
            generator = stream(self.seed, "surface", form, self.table.fingerprint)
            try:
                found.append(law_surface(self.table, form, draws=self.draws, generator=generator, others=self.others))
            except InputError:
                continue  # too few rows or sizes for this form: the others speak
        return found

    def local(self, budget: float, log_n: Floats, log_d: Floats) -> LocalSurface:
        """Return the local surface near the optimum: first around the middle of the sizes, then its own valley."""
        log_flops, ratio = np.log(self.table.flops), float((log_d - log_n).mean())
        for drawn in (1, 1, self.draws):
            # The same stream at every budget: draws of several budgets then go together, as those of laws do.
            found = local_surface(
                self.table, log_flops=log_flops, near=(float(np.log(budget)), ratio), draws=drawn, others=self.others,
                generator=stream(self.seed, "surface", "local", self.table.fingerprint),
            )  # fmt: skip
            best = int(np.argmin(found.log_loss(log_n, log_d)[0]))
            ratio = float(log_d[best] - log_n[best])
        return found


def _at(fitting: _Fitting, budget: float, reached: NDArray[np.bool_], laws: Sequence[Surface]) -> BestSize:
    if (count := int(reached.sum())) < FEWEST_SIZES:
        reason = f"{count} sizes have runs on both sides of this budget's tokens, three are needed"
        return BestSize(corpus=fitting.corpus, flops=budget, inside=False, reason=reason)
    sizes, _ = distinct_sizes(fitting.table.params)
    ends = float(np.log(sizes[reached][0])), float(np.log(sizes[reached][-1]))
    per_token = flops_per_token(fitting.table)
    within = np.linspace(*ends, POINTS)
    local = fitting.local(budget, within, np.log(budget) - per_token(within))
    log_n = np.linspace(ends[0] - BEYOND, ends[1] + BEYOND, POINTS)
    log_d = np.log(budget) - per_token(log_n)
    surfaces = [*laws, local]
    searched = {surface.form: _least(surface.log_loss(log_n, log_d), log_n, log_d) for surface in surfaces}
    weights = _weights(surfaces, local, fitting.table)
    return _mixed(fitting, budget, ends, surfaces, searched, weights)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Found:
    """The optimum of the best fit and of every draw: ln N, ln D, ln L (1 + S,)."""

    log_n: Floats
    log_d: Floats
    log_loss: Floats


def _least(log_loss: Floats, log_n: Floats, log_d: Floats) -> _Found:
    """Return the least loss along the line, by the parabola through the lowest point and its neighbours."""
    values = np.where(np.isfinite(log_loss), log_loss, np.inf)
    place = np.argmin(values, axis=1)
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


def _weights(surfaces: Sequence[Surface], local: LocalSurface, table: Observations) -> dict[str, float]:
    """Return each form's weight by its errors on unseen trunks; those below a thousandth count as none.

    Rows count as in the local surface, and share its trunk effects.
    """
    rows = float(local.row_weights.sum() ** 2 / (local.row_weights**2).sum())
    squares = [whitened_square(s.unseen, local.row_weights, table.trunk, local.ratio) for s in surfaces]
    logs = -0.5 * TEMPER * rows * np.log(squares)
    raw = np.exp(logs - logs.max())
    raw = np.where(raw / raw.sum() < FREEST_WEIGHT, 0.0, raw)
    return {surface.form: float(w) for surface, w in zip(surfaces, raw / raw.sum(), strict=True)}


def _mixed(
    fitting: _Fitting, budget: float, ends: tuple[float, float], surfaces: Sequence[Surface],
    searched: Mapping[str, _Found], weights: Mapping[str, float],
) -> BestSize:  # fmt: skip
    """Return the weighted answer with the draws of all forms together."""
    forms = tuple(
        FormOptimum(form=s.form, weight=weights[s.form], misfit=s.misfit,
                    tokens_per_param=float(np.exp(searched[s.form].log_d[0] - searched[s.form].log_n[0])))
        for s in surfaces
    )  # fmt: skip
    misfit = float(sum(f.weight * f.misfit for f in forms))
    below = sum(weights[form] * float((found.log_n[1:] < ends[0]).mean()) for form, found in searched.items())
    above = sum(weights[form] * float((found.log_n[1:] > ends[1]).mean()) for form, found in searched.items())
    if below + above > 0.5:
        side = "at or below the smallest size" if below > above else "at or above the largest size"
        return BestSize(corpus=fitting.corpus, flops=budget, inside=False, misfit=misfit, forms=forms,
                        reason=f"the optimum lies {side} that has runs at this budget")  # fmt: skip
    names = list(searched)
    generator = stream(fitting.seed, "mixture of forms", fitting.corpus)
    # By the same shares at every budget: the draws of several budgets are of the same forms, as far as weights agree.
    ladder = np.cumsum([weights[name] for name in names])
    chosen = np.searchsorted(ladder / ladder[-1], generator.random(fitting.draws), side="right")
    drawn = 1 + generator.permutation(fitting.draws)

    def mixture(quantity: Callable[[_Found], Floats]) -> tuple[float, Floats]:
        values = np.array([quantity(searched[name]) for name in names])
        return float(np.array([weights[name] for name in names]) @ values[:, 0]), values[chosen, drawn]

    def estimate(quantity: Callable[[_Found], Floats]) -> Estimate:
        centre, picked = mixture(quantity)
        return Estimate.from_draws(np.exp(picked), value=float(np.exp(centre)))

    _, ratios = mixture(lambda found: found.log_d - found.log_n)
    return BestSize(
        corpus=fitting.corpus, flops=budget, inside=True, reason="",
        params=estimate(lambda found: found.log_n), tokens=estimate(lambda found: found.log_d),
        tokens_per_param=estimate(lambda found: found.log_d - found.log_n),
        loss=estimate(lambda found: found.log_loss), misfit=misfit, forms=forms, log_ratio_draws=ratios,
    )  # fmt: skip
