"""The best size of a budget on any table of runs, whatever the form of the loss.

Several surfaces are fitted to a corpus's runs (`isoloss.optima.surfaces`) and searched along the budget's line. Forms
are weighted by how well they predict trunks that they have not seen: weight ∝ (mean square error)^(−n/2), the
likelihood of normal errors of unknown size, for n independent runs: rows of one trunk share noise and count for fewer.
The interval is that of all forms' draws together, so it holds run noise, trunk effects and the disagreement of the
forms.
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
    QuadraticSurface,
    Surface,
    law_surface,
    quadratic_surface,
)
from isoloss.runs.observations import Observations

DRAWS = 400
POINTS = 97
FEWEST_SIZES = 3
NEAR_TOKENS = 1.1  # a size whose tokens end within a tenth of a budget's counts as having runs on that side
EDGE = 2  # points of the search: an optimum nearer to an end than this lies at it
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

    A budget counts FLOPs as the table does: its own column, or 6 · params · tokens. Flagged runs are left out. Raises
    InputError for a budget that is no positive number.
    """
    if budgets is not None and not all(np.isfinite(budget) and budget > 0 for budget in budgets):
        raise InputError(f"budgets {list(budgets)}", fix="give FLOPs above zero, as 1e18")
    found = []
    for corpus in observations.corpora:
        used, _ = leave_out(observations.where(corpus=corpus), flags=EXCLUDED_FLAGS)
        found += _of_corpus(used, corpus, budgets, draws=draws, seed=seed)
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


def _of_corpus(
    table: Observations, corpus: str, budgets: Sequence[float] | None, *, draws: int, seed: int
) -> list[BestSize]:
    asked = usual_budgets(table) if budgets is None else tuple(budgets)
    held = {budget: covered_sizes(table, budget) if len(table) else np.zeros(0, dtype=bool) for budget in asked}
    if not any(reached.sum() >= FEWEST_SIZES for reached in held.values()) or len(table) < FEWEST_ROWS:
        reason = f"{len(table)} runs do not hold a budget: three sizes need runs on both sides of its tokens"
        return [BestSize(corpus=corpus, flops=budget, inside=False, reason=reason) for budget in asked or ()]
    laws = _laws(table, draws=draws, seed=seed)
    return [_at(table, corpus, budget, held[budget], laws, draws=draws, seed=seed) for budget in asked]


def _laws(table: Observations, *, draws: int, seed: int) -> list[Surface]:
    """Return the parametric surfaces that the rows determine."""
    found: list[Surface] = []
    sizes = len(distinct_sizes(table.params)[0])
    for form in (form for form, fewest in FEWEST_SIZES_OF.items() if sizes >= fewest):
        try:
            found.append(law_surface(table, form, draws=draws, seed=seed))
        except InputError:
            continue  # too few rows or sizes for this form: the others speak
    return found


def _at(
    table: Observations, corpus: str, budget: float, reached: NDArray[np.bool_], laws: Sequence[Surface],
    *, draws: int, seed: int,
) -> BestSize:  # fmt: skip
    if (count := int(reached.sum())) < FEWEST_SIZES:
        reason = f"{count} sizes have runs on both sides of this budget's tokens, three are needed"
        return BestSize(corpus=corpus, flops=budget, inside=False, reason=reason)
    sizes, _ = distinct_sizes(table.params)
    log_n = np.linspace(np.log(sizes[reached][0]), np.log(sizes[reached][-1]), POINTS)
    log_d = np.log(budget) - flops_per_token(table)(log_n)
    local = _quadratic(table, budget, log_n, log_d, draws=draws, seed=seed)
    surfaces = [*laws, local]
    searched = {surface.form: _least(surface.log_loss(log_n, log_d), log_n, log_d) for surface in surfaces}
    weights = _weights(surfaces, local.runs)
    return _mixed(corpus, budget, surfaces, searched, weights, draws=draws, seed=seed)


def _quadratic(
    table: Observations, budget: float, log_n: Floats, log_d: Floats, *, draws: int, seed: int
) -> QuadraticSurface:
    """Return the quadratic near the optimum: first around the middle of the sizes, then around its own valley."""
    generator = stream(seed, "quadratic", table.fingerprint, f"{budget:.6g}")
    log_flops = np.log(table.flops)
    ratio = float((log_d - log_n).mean())
    for rounds in (1, 1, draws):
        found = quadratic_surface(table, log_flops=log_flops, near=(float(np.log(budget)), ratio), draws=rounds,
                                  generator=generator)  # fmt: skip
        best = int(np.argmin(found.log_loss(log_n, log_d)[0]))
        ratio = float(log_d[best] - log_n[best])
    return found


@dataclass(frozen=True, kw_only=True, eq=False)
class _Found:
    """The optimum of the best fit and of every draw: ln N, ln D, ln L (1 + S,), and which lie at an end."""

    log_n: Floats
    log_d: Floats
    log_loss: Floats
    at_low: NDArray[np.bool_]
    at_high: NDArray[np.bool_]


def _least(log_loss: Floats, log_n: Floats, log_d: Floats) -> _Found:
    """Return the least loss along the line, by the parabola through the lowest point and its neighbours."""
    values = np.where(np.isfinite(log_loss), log_loss, np.inf)
    place = np.argmin(values, axis=1)
    inner = np.clip(place, 1, len(log_n) - 2)
    rows = np.arange(len(values))
    left, middle, right = values[rows, inner - 1], values[rows, inner], values[rows, inner + 1]
    with np.errstate(invalid="ignore", divide="ignore"):
        curve = left - 2 * middle + right
        shift = np.where(curve > 0, 0.5 * (left - right) / curve, 0.0)
    shift = np.clip(np.nan_to_num(shift), -1, 1)
    at = inner + shift
    whole = np.arange(len(log_n))
    return _Found(
        log_n=np.interp(at, whole, log_n), log_d=np.interp(at, whole, log_d),
        log_loss=middle - 0.25 * (left - right) * shift,
        at_low=place < EDGE, at_high=place > len(log_n) - 1 - EDGE,
    )  # fmt: skip


def _weights(surfaces: Sequence[Surface], runs: float) -> dict[str, float]:
    """Return each form's weight by its error on unseen trunks; those below a thousandth count as none."""
    logs = np.array([-0.5 * runs * np.log(surface.unseen) for surface in surfaces])
    raw = np.exp(logs - logs.max())
    raw = np.where(raw / raw.sum() < FREEST_WEIGHT, 0.0, raw)
    return {surface.form: float(w) for surface, w in zip(surfaces, raw / raw.sum(), strict=True)}


def _mixed(
    corpus: str, budget: float, surfaces: Sequence[Surface], searched: Mapping[str, _Found],
    weights: Mapping[str, float], *, draws: int, seed: int,
) -> BestSize:  # fmt: skip
    """Return the weighted answer with the draws of all forms together."""
    generator = stream(seed, "mixture of forms", corpus, f"{budget:.6g}")
    forms = tuple(
        FormOptimum(form=s.form, weight=weights[s.form], misfit=s.misfit,
                    tokens_per_param=float(np.exp(searched[s.form].log_d[0] - searched[s.form].log_n[0])))
        for s in surfaces
    )  # fmt: skip
    misfit = float(sum(f.weight * f.misfit for f in forms))
    low = sum(weights[form] * found.at_low.mean() for form, found in searched.items())
    high = sum(weights[form] * found.at_high.mean() for form, found in searched.items())
    if low + high > 0.5:
        side = "at or below the smallest size" if low > high else "at or above the largest size"
        return BestSize(corpus=corpus, flops=budget, inside=False, misfit=misfit, forms=forms,
                        reason=f"the optimum lies {side} that has runs at this budget")  # fmt: skip
    names = list(searched)
    chosen = generator.choice(len(names), size=draws, p=[weights[name] for name in names])
    drawn = generator.integers(1, 1 + draws, size=draws)

    def mixture(quantity: Callable[[_Found], Floats]) -> tuple[float, Floats]:
        values = {name: quantity(searched[name]) for name in names}
        centre = sum(weights[name] * float(values[name][0]) for name in names)
        picked = np.array(
            [values[names[k]][min(i, len(values[names[k]]) - 1)] for k, i in zip(chosen, drawn, strict=True)]
        )
        return centre, picked

    def estimate(quantity: Callable[[_Found], Floats]) -> Estimate:
        centre, picked = mixture(quantity)
        return Estimate.from_draws(np.exp(picked), value=float(np.exp(centre)))

    _, ratios = mixture(lambda found: found.log_d - found.log_n)
    return BestSize(
        corpus=corpus, flops=budget, inside=True, reason="",
        params=estimate(lambda found: found.log_n), tokens=estimate(lambda found: found.log_d),
        tokens_per_param=estimate(lambda found: found.log_d - found.log_n),
        loss=estimate(lambda found: found.log_loss), misfit=misfit, forms=forms, log_ratio_draws=ratios,
    )  # fmt: skip
