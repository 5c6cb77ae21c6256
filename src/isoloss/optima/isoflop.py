"""Approach 2: the best size of every budget from runs of equal compute (Hoffmann et al. 2022, section 3.2).

For each budget a curve is laid through loss against size, and its lowest point is the optimum; a power law through the
optima gives N* ∝ C^a and D* ∝ C^b. The curve is a parabola in ln N (Hoffmann et al.), or Akima's interpolation of
ln L on ln N (Porian et al. 2024, arXiv:2406.19146, appendix B), which needs no law of the valley's shape. Losses are
redrawn with seed noise: an optimum is the median of its draws, and a budget whose draws end at the edge has none.
Where the table's FLOPs are no constant multiple of N · D, D* is what the table's own FLOPs per token leave to N*.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from isoloss.core.errors import BadTable, InputError, Unidentified, require_known
from isoloss.core.estimate import Estimate
from isoloss.core.plain_json import Plain
from isoloss.core.rng import stream
from isoloss.laws.law import Floats
from isoloss.optima.flops_rate import Rate, own_flops_per_token
from isoloss.optima.isoflop_curves import PER_GAP, Valley, akima_valley, parabola_valley
from isoloss.optima.power_line import PowerLine, fit_power_law
from isoloss.optima.seed_noise import SeedNoise
from isoloss.runs.observations import Observations
from isoloss.runs.sizes import distinct_sizes

Interpolation = Literal["akima", "parabola"]
Status = Literal["ok", "too_few_sizes", "on_edge", "unstable"]
Normals = Callable[[tuple[int, int]], Floats]
"""Standard normal numbers of a shape: a generator's `standard_normal`, asked budget by budget, sizes before data."""

FEWEST_SIZES = 3
MOST_NOISE = 100.0  # nats: more than any loss
MOST_SPAN = 6  # tolerances that runs around one budget may span: those of Hoffmann et al. 2022 span up to 11 %
ROUNDING = 1e-9  # of ln C, by which equal budgets may differ
STATUS_WORDS: dict[Status, str] = {
    "ok": "an optimum inside the sizes",
    "too_few_sizes": f"fewer than {FEWEST_SIZES} sizes, or token counts, that differ by more than 2 %",
    "on_edge": "the lowest loss is at the smallest or the largest size",
    "unstable": "more than half of the redrawn curves are lowest at an edge",
}


class FewTokenCounts(BadTable):
    """Runs of enough sizes share a budget, but at too few token counts."""


@dataclass(frozen=True, kw_only=True, eq=False)
class BudgetOptimum:
    """The runs of one budget in ascending size (k,), and their valley over parameters and over data.

    Valleys are the curves as laid, None without enough sizes: their lowest points are an optimum only where `status` is
    ok. `flops_factor` is what the table's FLOPs are of 6 · params · tokens, `rate` ln(C/D) at ln N where they are no
    constant multiple of that.
    """

    flops: float
    params: Floats
    tokens: Floats
    loss_nats: Floats
    status: Status
    over_params: Valley | None = None
    over_tokens: Valley | None = None
    flops_factor: float = 1.0
    rate: Rate | None = None

    @property
    def best_params(self) -> Estimate | None:
        """The best size N*; None without an optimum."""
        return self.over_params.estimate if self.over_params and self.status == "ok" else None

    @property
    def best_tokens(self) -> Estimate | None:
        """The best tokens D*; None without an optimum."""
        return self.over_tokens.estimate if self.over_tokens and self.status == "ok" else None

    @property
    def loss(self) -> float | None:
        """The loss at the optimum, never below the lowest run's: a curve through few losses may dip below them all."""
        if self.over_params is None or self.status != "ok":
            return None
        return max(self.over_params.best_loss, float(self.loss_nats.min()))

    @property
    def tokens_per_param(self) -> Estimate | None:
        """Tokens per parameter at the best size, with the interval of N*: the budget over 6 N*² where C = 6 N D."""
        return self.best_params and self.best_params.mapped(self.ratio_at)

    def ratio_at(self, params: Any) -> Any:
        """Return D/N of the budget at sizes, by the table's FLOPs."""
        if self.rate is None:
            return self.flops / (6 * self.flops_factor * params**2)
        return self.flops / np.exp(self.rate(np.log(params))) / params

    def to_json(self) -> dict[str, Any]:
        """Return the optimum as plain data, or why there is none."""
        return {
            "flops": self.flops,
            "sizes": len(self.params),
            "status": self.status,
            "why": STATUS_WORDS[self.status],
            "params": self.best_params.to_json() if self.best_params else None,
            "tokens": self.best_tokens.to_json() if self.best_tokens else None,
            "tokens_per_param": self.tokens_per_param.to_json() if self.tokens_per_param else None,
            "loss": self.loss,
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class IsoFlop:
    """The optimum of every budget in ascending order. `interpolation` is what was laid through the losses.

    `flops_factor` is what the table's FLOPs are of 6 · params · tokens.
    """

    interpolation: Interpolation
    optima: tuple[BudgetOptimum, ...]
    flops_factor: float = 1.0

    @property
    def found(self) -> tuple[BudgetOptimum, ...]:
        """The budgets with an optimum."""
        return tuple(optimum for optimum in self.optima if optimum.status == "ok")

    def laws(self, *, weighted: bool = True) -> "IsoFlopLaws":
        """Return N* ∝ C^a, D* ∝ C^b and ρ* ∝ C^r through the optima, with intervals from their draws.

        `weighted` counts optima by the inverse variance of their draws; ρ*, which follows from N*, is never weighted
        (Porian et al. 2024). Raises Unidentified for fewer than two budgets with an optimum.
        """
        found = self.found
        if len(found) < 2:
            without = Counter(optimum.status for optimum in self.optima if optimum.status != "ok")
            reasons = "; ".join(f"{number} without: {STATUS_WORDS[status]}" for status, number in without.items())
            raise Unidentified(
                f"{len(found)} of {len(self.optima)} budgets have an optimum ({reasons})",
                fix="train more sizes per budget",
            )
        flops = np.array([o.flops for o in found])
        sizes = [o.over_params for o in found if o.over_params is not None]
        data = [o.over_tokens for o in found if o.over_tokens is not None]
        count = min(len(valley.draws) for valley in (*sizes, *data))
        return IsoFlopLaws(
            params=_through(flops, sizes, count, weighted),
            tokens=_through(flops, data, count, weighted),
            ratio=_ratio_law(found, count),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class IsoFlopLaws(Plain):
    """Power laws in compute of the optimal parameters (exponent a), tokens (b) and tokens per parameter (r)."""

    params: PowerLine
    tokens: PowerLine
    ratio: PowerLine


def fit_isoflop(
    observations: Observations,
    *,
    interpolation: Interpolation = "parabola",
    noise: float | SeedNoise | None = None,
    draws: int = 1000,
    budgets: Sequence[float] | None = None,
    tolerance: float = 0.02,
    floor: float | None = None,
    seed: int = 0,
    normals: Normals | None = None,
) -> IsoFlop:
    """Return the optimum of every budget in a table of runs at equal compute.

    `noise` is the standard deviation of a loss between seeds, in nats or by loss; without it the table's standard
    errors serve, and without those nothing is redrawn. `budgets` names the FLOPs, each taking the rows within
    `tolerance`; without it rows that near each other share one. A chain of them that spans more than `MOST_SPAN`
    tolerances is cut into pieces within `tolerance` of their middles. Of several runs of a size the lowest counts.
    `floor` is the least standard deviation of ln N* in gaps between two sizes, by default that of a uniform grid step
    (Porian et al. use .33). Raises BadTable where no budget has three sizes.
    """
    require_known(interpolation, ("akima", "parabola"), what="interpolation")
    if not 0 <= tolerance <= 1:
        raise InputError(f"the tolerance is {tolerance:g}", fix="give a share of a budget between 0 and 1")
    if isinstance(noise, int | float) and not 0 <= noise <= MOST_NOISE:
        raise InputError(f"the noise is {noise:g}", fix=f"give a standard deviation in nats, 0 to {MOST_NOISE:g}")
    least = 1 / (PER_GAP * np.sqrt(12)) if floor is None else floor
    groups, rate = _budgets(observations, budgets, tolerance), own_flops_per_token(observations)
    optima = []
    for flops, rows in groups:
        runs = observations.select(rows)
        runs = runs.select(_lowest_of_each(runs.params, runs.loss_nats))
        source = normals or stream(seed, "isoflop", f"{flops:.6e}").standard_normal
        deviation = _deviation(runs, noise)
        found = _optimum(runs, flops, interpolation, deviation, rate, draws=draws, floor=least, normals=source)
        optima.append(replace(found, flops_factor=observations.flops_factor))
    if all(optimum.status == "too_few_sizes" for optimum in optima):
        if (alike := _too_few_token_counts(optima)) is not None:
            raise FewTokenCounts(
                alike, fix="check the columns of tokens and FLOPs: at one budget every size has its own token count"
            )
        raise BadTable(
            f"none of {len(optima)} budgets has {FEWEST_SIZES} sizes: these runs do not share budgets",
            fix="name the column of FLOPs, give budgets with a wider tolerance, or fit the parametric law",
        )
    return IsoFlop(interpolation=interpolation, optima=tuple(optima), flops_factor=observations.flops_factor)


def _too_few_token_counts(optima: Sequence[BudgetOptimum]) -> str | None:
    """Return the first budget that has enough sizes, but at too few token counts, in words; None without one."""
    for one in optima:
        counts = len(distinct_sizes(one.tokens)[0])
        if len(one.params) >= FEWEST_SIZES > counts:
            return (
                f"{len(one.params)} sizes share the budget of {one.flops:.3g} FLOPs, but they have only "
                f"{counts} token count{'s' if counts > 1 else ''}: a curve needs {FEWEST_SIZES} of each"
            )
    return None


def _optimum(
    runs: Observations,
    flops: float,
    interpolation: Interpolation,
    deviation: Floats | None,
    rate: Rate | None,
    *,
    draws: int,
    floor: float,
    normals: Normals,
) -> BudgetOptimum:
    bare = BudgetOptimum(
        flops=flops, params=runs.params, tokens=runs.tokens, loss_nats=runs.loss_nats, status="too_few_sizes", rate=rate
    )
    if len(runs) < FEWEST_SIZES:
        return bare
    lay = akima_valley if interpolation == "akima" else parabola_valley
    valleys = []
    for x in (runs.params, runs.tokens):
        order = _lowest_of_each(x, runs.loss_nats)
        if len(order) < FEWEST_SIZES:
            return bare
        loss = runs.loss_nats[order]
        redrawn = None
        if deviation is not None and draws:
            redrawn = loss + deviation[order] * normals((draws, len(order)))
        valleys.append(lay(x[order], loss, redrawn, floor=floor))
    over_params, over_tokens = valleys
    if rate is not None:
        over_tokens = over_params.mapped(lambda params: flops / np.exp(rate(np.log(params))))
    status: Status = "ok"
    if not (over_params.interior and over_tokens.interior):
        status = "on_edge"
    elif not (over_params.stable and over_tokens.stable):
        status = "unstable"
    return replace(bare, status=status, over_params=over_params, over_tokens=over_tokens)


def _through(flops: Floats, valleys: Sequence[Valley], count: int, weighted: bool) -> PowerLine:
    return fit_power_law(
        flops, [valley.median for valley in valleys],
        log_std=[valley.log_std for valley in valleys] if weighted and count else None,
        draws=np.array([valley.draws[:count] for valley in valleys]),
    )  # fmt: skip


def _ratio_law(found: Sequence[BudgetOptimum], count: int) -> PowerLine:
    """Return ρ* over compute: tokens per parameter as the table's FLOPs have it from the size alone, C/(6·N*²)."""
    sizes = [(one, one.over_params) for one in found if one.over_params is not None]
    flops = np.array([one.flops for one, _ in sizes])
    if not count:
        return fit_power_law(flops, [one.ratio_at(valley.best) for one, valley in sizes])
    ratios = [one.ratio_at(valley.draws) for one, valley in sizes]
    return fit_power_law(
        flops, [np.median(ratio) for ratio in ratios], draws=np.array([ratio[:count] for ratio in ratios])
    )


def _budgets(
    observations: Observations, budgets: Sequence[float] | None, tolerance: float
) -> list[tuple[float, NDArray[np.int64]]]:
    """Return each budget, ascending, with its rows."""
    log_flops, near = np.log(observations.flops), float(np.log1p(tolerance))
    if budgets is not None:
        return [
            (float(budget), np.flatnonzero(np.abs(log_flops - np.log(budget)) <= near)) for budget in sorted(budgets)
        ]
    order = np.argsort(log_flops, kind="stable")
    starts = np.flatnonzero(np.diff(log_flops[order]) > near) + 1
    groups = [piece for chain in np.split(order, starts) for piece in np.split(chain, _cuts(log_flops[chain], near))]
    return [(float(np.exp(np.median(log_flops[rows]))), np.sort(rows)) for rows in groups]


def _cuts(ascending: Floats, near: float) -> list[int]:
    """Return where to cut ln C of a chain of neighbours that is too long for one budget: checkpoints are dense.

    No piece spans more than twice `near`, and each ends at the widest gap of the second half of that.
    """
    cuts: list[int] = []
    first, span = 0, 2 * near
    if ascending[-1] - ascending[0] <= MOST_SPAN * near:
        return cuts
    while ascending[-1] - ascending[first] > span + ROUNDING:
        half, end = np.searchsorted(ascending, ascending[first] + np.array([span / 2, span]) + ROUNDING, side="right")
        gaps = np.diff(ascending[half - 1 : end + 1])
        first = int(half + gaps.argmax())
        cuts.append(first)
    return cuts


def _lowest_of_each(x: Floats, loss: Floats) -> NDArray[np.int64]:
    """Return the row of least loss at each distinct x, in ascending x; those within 2 % are one."""
    sizes, member = distinct_sizes(x)
    order = np.lexsort((loss, member))
    return order[np.searchsorted(member[order], np.arange(len(sizes)))]


def _deviation(runs: Observations, noise: float | SeedNoise | None) -> Floats | None:
    if isinstance(noise, SeedNoise):
        return noise.at(runs.loss_nats)
    if noise is not None:
        return np.full(len(runs), float(noise))
    return runs.stderr
