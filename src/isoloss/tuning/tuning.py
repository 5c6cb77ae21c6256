"""How the best rate and batch follow size and tokens, and whether one trunk may serve every token count.

Optima come from `isoloss.tuning.sweep`. Over lines, the best rate moves with the batch inside a cell; over cells, the
best rate at a reference batch and the best batch are power laws in parameters N and tokens D. Cells of one size share
its shape and its data, so that tokens are judged inside sizes and parameters between them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isoloss.core.estimate import Estimate
from isoloss.core.numbers import rounded
from isoloss.core.plain_json import fields_json
from isoloss.core.rng import stream
from isoloss.laws.law import Floats
from isoloss.runs.rules import PowerRule, six_digits
from isoloss.tuning.sweep import TOLERANCE, BatchOptimum, Cell, RateOptimum, SweptRun, batch_optima, rate_optima

DRAWS = 4000
MOST_LOG = 50.0  # a factor of 5e21: as good as none
MOSTLY = 0.5  # of a cell's batches, whose best rate lies inside the grid
FEWEST_BATCHES = 3  # an optimum lies between others
FEWEST_SIZES, FEWEST_PAIRED = 3, 2  # one degree of freedom is left between sizes, and one within them

Verdict = Literal["one_trunk", "follow_horizon", "not_decided", "not_fitted"]


@dataclass(frozen=True, kw_only=True, eq=False)
class PowerFit:
    """`level` at (at_params, at_tokens) and the exponents of parameters and tokens.

    `cells` optima were fitted; `scatter` is their standard deviation around the fit, in ln. `draws` (n, 3) are of
    ln level and the two exponents.
    """

    at_params: float
    at_tokens: float
    level: Estimate
    params_exponent: Estimate
    tokens_exponent: Estimate
    cells: int
    scatter: float
    draws: Floats

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data, without draws."""
        return fields_json(self, without=("draws",))

    def rule(self, *, follow_tokens: bool, source: str) -> PowerRule:
        """Return the fit as a rule that a study takes; where tokens are not followed, at their middle."""
        return PowerRule(
            value=six_digits(self.level.value), at_params=six_digits(self.at_params),
            exponent=_rounded(self.params_exponent.value), at_tokens=six_digits(self.at_tokens),
            tokens_exponent=_rounded(self.tokens_exponent.value) if follow_tokens else 0.0, source=source,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class Tuning:
    """What a sweep says of one corpus.

    `rate` is fitted at `reference_batch`, the batch whose losses are least on average; `batch_exponent` is how the best
    rate follows the batch. `shift` is the factor on the best rate from the shortest horizon to the longest, `cost` what
    one rate for both would cost either of them, in ln loss. Fits are None where too few optima lie inside the grid:
    `reasons` say so.
    """

    corpus: str
    rates: tuple[RateOptimum, ...]
    batches: tuple[BatchOptimum, ...]
    horizons: tuple[int, int]
    reference_batch: int
    rate: PowerFit | None
    batch_exponent: Estimate | None
    batch: PowerFit | None
    shift: Estimate | None
    cost: Estimate | None
    verdict: Verdict
    reasons: tuple[str, ...]

    @property
    def rate_rule(self) -> PowerRule | None:
        """The best rate as a study's `peak_lr`: it follows the horizon where it must."""
        if self.rate is None:
            return None
        return self.rate.rule(follow_tokens=self.verdict == "follow_horizon", source=f"tuned on {self.corpus}")

    def sentences(self) -> tuple[str, str]:
        """Return whether one trunk may serve every token count, and what is known of the batch."""
        return _horizon_sentence(self), _batch_sentence(self)

    def training(self) -> str:
        """Return the lines of `[training]` that the sweep comes to, or nothing where it came to none."""
        rule = self.rate_rule
        if rule is None:
            return ""
        written = rule.model_dump(exclude_defaults=True, exclude={"source"})
        inside = ", ".join(f"{name} = {value:g}" for name, value in written.items())
        return f"batch_tokens = {self.reference_batch}\npeak_lr = {{ {inside} }}"

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return fields_json(self, without=("rates", "batches")) | {
            "rates": [fields_json(one, without=("curvature",)) | {"within": one.within} for one in self.rates],
            "batches": [fields_json(one, without=("curvature",)) for one in self.batches],
            "sentences": list(self.sentences()),
            "training": self.training(),
        }


def fit_tuning(corpus: str, runs: Iterable[SweptRun], *, seed: int) -> Tuning:
    """Return how the best rate and batch of a corpus follow size and tokens.

    Runs of one size carry one number of parameters, runs of one horizon one number of tokens. Optima on the edge are
    left out of the fits, and so are cells that have most of theirs there. The verdict: one trunk may serve every token
    count where the cost of one rate is 1 % of ln loss at most, by the upper end of its interval; the rate must follow
    the horizon where the lower end is more.
    """
    swept = list(runs)
    rates, generator = rate_optima(swept), stream(seed, "tuning", corpus)
    batches = batch_optima(rates)
    inside = mostly_inside(rates)
    horizons = min(run.tokens for run in swept), max(run.tokens for run in swept)
    reference = _reference_batch(rates)
    exponent, exponent_draws = _batch_exponent(inside, generator)
    reasons: list[str] = []
    at_reference = _at_reference(inside, reference, exponent)
    rate = _fitted(at_reference, horizons, generator, reasons, what="rates", tried=len(batches))
    tuned = {b.cell: float(np.log(b.batch_tokens)) for b in batches if b.edge is None}
    batch = _fitted(tuned, horizons, generator, reasons, what="batches", tried=len(batches))
    shift, cost = _horizon(rate, inside, horizons)
    return Tuning(
        corpus=corpus, rates=tuple(rates), batches=tuple(batches), horizons=horizons, reference_batch=reference,
        rate=rate,
        batch_exponent=None if exponent_draws is None else Estimate.from_draws(exponent_draws, value=exponent),
        batch=batch, shift=shift, cost=cost, verdict=_verdict(cost), reasons=tuple(reasons),
    )  # fmt: skip


def mostly_inside(rates: Sequence[RateOptimum]) -> list[RateOptimum]:
    """Return the optima inside the grid, of cells that have at least half of theirs there.

    Of a cell that the edge cuts through, those that remain would be the ones that chance drew inwards.
    """
    shares: dict[Cell, list[bool]] = {}
    for optimum in rates:
        shares.setdefault(optimum.cell, []).append(optimum.edge is None)
    return [o for o in rates if o.edge is None and np.mean(shares[o.cell]) >= MOSTLY]


def _reference_batch(rates: Sequence[RateOptimum]) -> int:
    """Return the batch whose ln loss at its best rate is least, on average over the cells that tried it."""
    best: dict[Cell, float] = {}
    for o in rates:
        best[o.cell] = min(best.get(o.cell, np.inf), o.loss_nats)
    excess: dict[int, list[float]] = {}
    for o in rates:
        excess.setdefault(o.batch_tokens, []).append(float(np.log(o.loss_nats / best[o.cell])))
    return min(excess, key=lambda batch: (-len(excess[batch]), float(np.mean(excess[batch]))))


def _batch_exponent(inside: Sequence[RateOptimum], generator: np.random.Generator) -> tuple[float, Floats | None]:
    """Return d ln rate / d ln batch inside cells and its draws, or 0 and None where batches do not vary."""
    if not inside:
        return 0.0, None
    _, cell = np.unique([o.cell for o in inside], axis=0, return_inverse=True)
    x, y = (np.log([getattr(o, name) for o in inside]) for name in ("batch_tokens", "peak_lr"))
    x, y = x - _mean_of(cell, x)[cell], y - _mean_of(cell, y)[cell]
    freedom = len(inside) - len(np.unique(cell)) - 1
    if freedom < 1 or not x.any():
        return 0.0, None
    line = _line(x, y, freedom=freedom, generator=generator)
    return line.slope, line.draws


def _at_reference(inside: Sequence[RateOptimum], reference: int, exponent: float) -> dict[Cell, float]:
    """Return each cell's ln rate at the reference batch: the mean over its batches, each moved there."""
    moved: dict[Cell, list[float]] = {}
    for o in inside:
        place = np.log(o.peak_lr) + exponent * np.log(reference / o.batch_tokens)
        moved.setdefault(o.cell, []).append(float(place))
    return {cell: float(np.mean(places)) for cell, places in moved.items()}


def _fitted(
    cells: Mapping[Cell, float], horizons: tuple[int, int], generator: np.random.Generator, reasons: list[str], *,
    what: str, tried: int,
) -> PowerFit | None:  # fmt: skip
    """Return the power law of the cells' ln optima, or None with the reason added to `reasons`."""
    sizes = {cell.params: {other.tokens for other in cells if other.params == cell.params} for cell in cells}
    paired = sum(tokens == set(horizons) for tokens in sizes.values())
    if len(sizes) < FEWEST_SIZES or paired < FEWEST_PAIRED:
        reasons.append(
            f"the best {what} are fitted to no power law: {len(cells)} of {tried} cells have one inside the grid, and "
            f"it takes {FEWEST_SIZES} sizes, {FEWEST_PAIRED} of them at both horizons"
        )
        return None
    return _power_fit(cells, generator)


def _power_fit(cells: Mapping[Cell, float], generator: np.random.Generator) -> PowerFit:
    """Return the power law of the cells' ln optima as a split plot: tokens inside sizes, parameters between them.

    The exponent of tokens has the cells' own noise, that of parameters the scatter of sizes, each with its Student's t
    (Cochran & Cox 1957, ch. 7): whatever a shape has for itself does not pass for precision.
    """
    params, tokens = (np.array([getattr(cell, name) for cell in cells], dtype=float) for name in ("params", "tokens"))
    place = np.array(list(cells.values()))
    middle = float(np.exp(np.log(np.unique(params)).mean())), float(np.exp(np.log(np.unique(tokens)).mean()))
    size_of = np.unique(params, return_inverse=True)[1]
    x = np.log(tokens / middle[1])
    beyond = x - _mean_of(size_of, x)[size_of], place - _mean_of(size_of, place)[size_of]
    within = _line(*beyond, freedom=len(cells) - len(set(size_of)) - 1, generator=generator)
    levels = _mean_of(size_of, place) - within.slope * _mean_of(size_of, x)
    logs = np.log(np.unique(params) / middle[0])
    between = _line(logs - logs.mean(), levels - levels.mean(), freedom=len(logs) - 2, generator=generator)
    centre = levels.mean() + between.sd / np.sqrt(len(logs)) * generator.standard_normal(DRAWS)
    return PowerFit(
        at_params=middle[0], at_tokens=middle[1],
        level=_exponential(centre, value=float(levels.mean())),
        params_exponent=Estimate.from_draws(between.draws, value=between.slope),
        tokens_exponent=Estimate.from_draws(within.draws, value=within.slope), cells=len(cells),
        scatter=float(np.std(place - levels.mean() - between.slope * logs[size_of] - within.slope * x)),
        draws=np.column_stack([centre, between.draws, within.draws]),
    )  # fmt: skip


class _Line(NamedTuple):
    """A slope, its draws, and draws of the residual standard deviation."""

    slope: float
    draws: Floats
    sd: Floats


def _line(x: Floats, y: Floats, *, freedom: int, generator: np.random.Generator) -> _Line:
    """Return the line of centred y on centred x, with the variance drawn too: slopes then follow Student's t."""
    slope = float(x @ y / (x @ x))
    sd = np.sqrt(((y - slope * x) ** 2).sum() / generator.chisquare(freedom, size=DRAWS))
    return _Line(slope, slope + sd / np.sqrt(x @ x) * generator.standard_normal(DRAWS), sd)


def _mean_of(group: NDArray[np.int64], values: Floats) -> Floats:
    """Return the mean of `values` in each group, ascending."""
    return np.asarray(np.bincount(group, weights=values) / np.bincount(group))


def _horizon(
    rate: PowerFit | None, inside: Sequence[RateOptimum], horizons: tuple[int, int]
) -> tuple[Estimate | None, Estimate | None]:
    """Return the factor on the best rate over the horizons, and the cost in ln loss of one rate for both.

    With curvatures h and h′ at the two ends and optima δ apart, the rate that costs both ends alike costs
    δ² hh′ / 2(√h + √h′)². Curvatures are geometric means over sizes and batches; their error is left out.
    """
    if rate is None:
        return None, None
    short, long = (
        float(np.exp(np.mean([np.log(o.curvature) for o in inside if o.curvature and o.tokens == tokens])))
        for tokens in horizons
    )
    stiffness = short * long / (2 * (np.sqrt(short) + np.sqrt(long)) ** 2)
    span = float(np.log(horizons[1] / horizons[0]))
    drawn, value = rate.draws[:, 2] * span, rate.tokens_exponent.value * span
    return (
        _exponential(drawn, value=value),
        _one_sided(stiffness * drawn**2, stiffness * value**2),
    )


def _exponential(draws: Floats, *, value: float) -> Estimate:
    """Return the estimate of e to the power of what was drawn; with one degree of freedom draws have no bounds."""
    return Estimate.from_draws(np.exp(np.clip(draws, -MOST_LOG, MOST_LOG)), value=float(np.exp(value)))


def _one_sided(draws: Floats, value: float) -> Estimate:
    """Return the estimate of a quantity that cannot be negative; its interval holds the value where that is least."""
    found = Estimate.from_draws(draws, value=value)
    assert found.low is not None
    return Estimate(value=value, low=min(found.low, value), high=found.high, level=found.level)


def _verdict(cost: Estimate | None) -> Verdict:
    if cost is None or cost.low is None or cost.high is None:
        return "not_fitted"
    if cost.high <= TOLERANCE:
        return "one_trunk"
    return "follow_horizon" if cost.low > TOLERANCE else "not_decided"


def _horizon_sentence(tuning: Tuning) -> str:
    if tuning.rate is None or tuning.shift is None or tuning.cost is None:
        return f"On {tuning.corpus} it is not known whether one trunk is enough: {'; '.join(tuning.reasons)}."
    short, long = tuning.horizons
    moved = (
        f"On {tuning.corpus} the best rate moves by a factor of {rounded(tuning.shift, 2)} from {short:,} to {long:,} "
        f"tokens (exponent {rounded(tuning.rate.tokens_exponent, 2)}); one rate for both costs "
        f"{rounded(tuning.cost.scaled(100), 2)} % of the loss at either end: "
    )
    match tuning.verdict:
        case "one_trunk":
            return moved + "one trunk is enough for every token count between them."
        case "follow_horizon":
            return moved + "the learning rate must follow the horizon, and every token count needs its own trunk."
        case _:
            return moved + "whether one trunk is enough for both is undecided at 1 %."


def _batch_sentence(tuning: Tuning) -> str:
    parts = []
    if tuning.batch_exponent is not None:
        parts.append(f"The best learning rate scales with the batch to the power {rounded(tuning.batch_exponent, 2)}.")
    edges = [optimum.edge for optimum in tuning.batches if optimum.edge is not None]
    if len({optimum.batch_tokens for optimum in tuning.rates}) < FEWEST_BATCHES:
        return f"Fewer than {FEWEST_BATCHES} batch sizes were tried, too few to say which is best."
    if tuning.batch is not None:
        parts.append(
            f"The best batch scales with parameters to the power {rounded(tuning.batch.params_exponent, 2)} and with "
            f"tokens to the power {rounded(tuning.batch.tokens_exponent, 2)}."
        )
    if edges:
        lowest = edges.count("lowest")
        parts.append(
            f"The best batch lies on the grid's edge in {len(edges)} of {len(tuning.batches)} cells ({lowest} at the "
            f"smallest, {len(edges) - lowest} at the largest tried): these are not used in fits."
        )
    return " ".join(parts)


def _rounded(exponent: float) -> float:
    return float(f"{exponent:.4g}")
