"""The tests of the plan on θ of texts: slopes, scatter, left-out sources; and what sealed predictions came to."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from answer.between import holm, mean_between, scatter_between
from answer.estimates import Balance, per_compute
from answer.readings import Floats, Readings, as_observations, cell
from isoloss.core.estimate import Estimate
from isoloss.data_dependence.meta import MetaRegression, meta_regression
from isoloss.planning.beyond import look_beyond

CONFIRMATORY = "ngram"
SECONDARY = ("gzip", "gzip-bytes", "zstd-bytes-blocks", "ppmd-bytes-blocks", "unigram", "alpha_d", "spectrum")
PROXY = "loss of the cheapest run"
LEVEL = 0.95
FEWEST = 4  # texts of a line: with three, one degree of freedom is left
SMALL_SCATTER = 0.25  # stated in the plan: below it "data do not matter here"
SPLIT_SIZES = 5
RUN_NOISE = 0.01  # of ln L: what two seeds of one run differ by, about
BEYOND = "isoloss beyond the runs"
SAME_CELL = 0.03  # in ln N and ln D: a size of the ladder is within 5 % of the one asked for


@dataclass(frozen=True, kw_only=True)
class Slope:
    """The slope of θ on one measure over `texts` texts; `p_corrected` where measures were corrected for their number.

    `per_sd` is the slope times the standard deviation of the measure over the texts, so that measures compare.
    """

    measure: str
    texts: int
    slope: Estimate
    p: float
    p_corrected: float | None
    per_sd: float
    correlation: float
    line: MetaRegression

    def at(self, values: Floats) -> Floats:
        """Return θ of the line at values of the measure."""
        return np.array([self.line.at(float(value)) for value in values])


def slope_on(measure: str, balances: Sequence[Balance], values: Floats) -> Slope | None:
    """Return the slope over the texts that have a value; None of fewer than four."""
    known = np.isfinite(values)
    if known.sum() < FEWEST:
        return None
    theta, variances = _columns(balances)
    line = meta_regression(theta[known], variances[known], values[known], np.zeros(int(known.sum())))
    return Slope(
        measure=measure, texts=int(known.sum()), p=line.p_slope, p_corrected=None,
        slope=Estimate(value=line.slope, low=line.low, high=line.high),
        per_sd=line.slope * float(values[known].std(ddof=1)),
        correlation=float(stats.pearsonr(values[known], theta[known]).statistic), line=line,
    )  # fmt: skip


def corrected(slopes: Sequence[Slope]) -> list[Slope]:
    """Return slopes with p-values corrected for their number."""
    raised = holm(np.array([one.p for one in slopes]))
    return [Slope(**{**vars(one), "p_corrected": float(p)}) for one, p in zip(slopes, raised, strict=True)]


def scatter(balances: Sequence[Balance]) -> Estimate | None:
    """Return τ with its profile-likelihood interval; None of fewer than four texts."""
    return scatter_between(*_columns(balances)) if len(balances) >= FEWEST else None


def mean_theta(balances: Sequence[Balance]) -> Estimate | None:
    """Return the random-effects mean of θ, with the interval of Hartung & Knapp; None of fewer than four texts."""
    return mean_between(*_columns(balances)) if len(balances) >= FEWEST else None


def compute_slope(balances: Sequence[Balance]) -> Estimate | None:
    """Return the random-effects mean of dθ/d ln C; None of fewer than four texts."""
    if len(balances) < FEWEST:
        return None
    slopes, sds = np.array([per_compute(one) for one in balances]).T
    return mean_between(slopes, sds**2)


def difference(balances: Sequence[Balance], inside: Sequence[bool]) -> Slope | None:
    """Return how much higher θ is of the texts `inside` than of the others; None where either side has fewer than two.

    A meta-regression on an indicator.
    """
    indicator = np.array(inside, dtype=float)
    return None if min(indicator.sum(), (1 - indicator).sum()) < 2 else slope_on("kind", balances, indicator)


def form_ranges(balances: Sequence[Balance]) -> dict[str, list[float]]:
    """Return, by form, the largest over the smallest best tokens per parameter of the texts, at every budget."""
    found: dict[str, list[float]] = {}
    for points in zip(*(one.split.budgets for one in balances), strict=True):
        by_form: dict[str, list[float]] = {}
        for point in points:
            for one in point.forms:
                by_form.setdefault(one.form, []).append(one.tokens_per_param)
        for form, values in by_form.items():
            found.setdefault(form, []).append(max(values) / min(values))
    return found


def proxies(readings: Readings, corpora: Sequence[str]) -> Floats:
    """Return the loss of each corpus's cheapest run by exact FLOPs, over its seeds."""
    found = []
    for corpus in corpora:
        rows = readings.own(corpus)
        cheapest = min(float(row["flops_exact"]) for row in rows)
        found.append(np.mean([float(r["loss_nats"]) for r in rows if float(r["flops_exact"]) <= cheapest * 1.0001]))
    return np.array(found)


def areas(readings: Readings, corpora: Sequence[str], *, params: int = 18_816) -> Floats:
    """Return the area under each corpus's loss curve: mean held-out loss over ln D of the trunks of one size."""
    found = []
    for corpus in corpora:
        rows = [row for row in readings.own(corpus) if int(row["params"]) == params]
        found.append(np.mean([float(row["loss_nats"]) for row in rows]) if rows else math.nan)
    return np.array(found)


@dataclass(frozen=True, kw_only=True)
class SealedBalance:
    """θ as sealed next to θ as measured.

    `shift` is the mean of measured less sealed, `held` how many intervals held.
    """

    texts: tuple[str, ...]
    errors: Floats
    held: int
    shift: Estimate
    spread: float
    held_after_shift: int


def sealed_balances(readings: Readings, balances: Sequence[Balance]) -> SealedBalance | None:
    """Return the score of the first seal's θ; None of fewer than four texts."""
    names = [one.corpus for one in balances]
    sealed, low, high = (readings.measure(name, names) for name in ("theta", "theta_low", "theta_high"))
    known = np.isfinite(sealed)
    if known.sum() < FEWEST:
        return None
    theta, variances = _columns(balances)
    errors = (theta - sealed)[known]
    shift = mean_between(errors, variances[known])
    moved = theta[known] - shift.value
    return SealedBalance(
        texts=tuple(np.array(names)[known].tolist()), errors=errors, shift=shift, spread=float(errors.std(ddof=1)),
        held=int(((low <= theta) & (theta <= high))[known].sum()),
        held_after_shift=int(((low[known] <= moved) & (moved <= high[known])).sum()),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class SealedLoss:
    """One sealed loss next to the one measured (the mean of its runs); `low` and `high` where the seal had them."""

    corpus: str
    what: str
    sealed: float
    low: float | None
    high: float | None
    measured: float


def sealed_losses(readings: Readings, points: Mapping[str, tuple[float, float]]) -> list[SealedLoss]:
    """Return the first seal's losses that have been measured; `points` are their parameters and tokens."""
    found = []
    for corpus, measures in readings.measures.items():
        for name, point in points.items():
            if (value := measures.get(f"loss_{name}")) is not None:
                found += _measured(readings, corpus, name, point, value, None, None)
    return found


def second_seal(readings: Readings, path_rows: Sequence[Mapping[str, str]]) -> list[SealedLoss]:
    """Return the second seal's losses that have been measured: a row a corpus, form, size and token count."""
    found = []
    for row in path_rows:
        if row["quantity"] == "loss":
            low, high = (float(row[name]) if row[name] else None for name in ("low", "high"))
            point = float(row["params"]), float(row["tokens"])
            found += _measured(readings, row["corpus"], row["form"], point, float(row["value"]), low, high)
    return found


def predicted_beyond(readings: Readings, path_rows: Sequence[Mapping[str, str]]) -> list[SealedLoss]:
    """Return what isoloss predicts beyond the runs, where the second seal's losses have been measured.

    It is not sealed: it is computed with the runs of the grids alone, after the sealed runs.
    """
    points = {
        row["corpus"]: (float(row["params"]), float(row["tokens"])) for row in path_rows if row["quantity"] == "loss"
    }
    found = []
    for corpus, measured in {one.corpus: one for one in second_seal(readings, path_rows)}.items():
        said = look_beyond(as_observations(readings.own(corpus)), runs=[points[corpus]]).runs[0].loss
        found.append(replace(measured, what=BEYOND, sealed=said.value, low=said.low, high=said.high))
    return found


@dataclass(frozen=True, kw_only=True)
class MeasuredSplit:
    """The best ln(D/N) of a budget that runs of several sizes show.

    `sd` is what run-to-run noise of `RUN_NOISE` moves it by. `log_ratio` is None where it lies outside the sizes.
    """

    log_ratio: float | None
    sd: float


def sealed_splits(readings: Readings, path_rows: Sequence[Mapping[str, str]]) -> list[SealedLoss]:
    """Return the second seal's best ln(D/N) of the texts whose sealed sizes are all there, next to what those show."""
    measured = measured_splits(readings, path_rows)
    return [
        SealedLoss(
            corpus=row["corpus"], what=row["form"], sealed=float(row["value"]), low=float(row["low"]),
            high=float(row["high"]), measured=shown,
        )
        for row in path_rows
        if row["quantity"] == "split" and row["corpus"] in measured
        if (shown := measured[row["corpus"]].log_ratio) is not None
    ]  # fmt: skip


def measured_splits(readings: Readings, path_rows: Sequence[Mapping[str, str]]) -> dict[str, MeasuredSplit]:
    """Return the best split at the second seal's budget, of every text whose sealed sizes are all there."""
    budgets = {row["corpus"]: float(row["flops"]) for row in path_rows if row["quantity"] == "split"}
    found = {corpus: _measured_split(readings, corpus, budget) for corpus, budget in budgets.items()}
    return {corpus: split for corpus, split in found.items() if split is not None}


def _measured_split(readings: Readings, corpus: str, budget: float) -> MeasuredSplit | None:
    """Return the best split at 6 · N · D = `budget` by a parabola of ln L in ln N; None of fewer than five sizes."""
    there = [row for row in readings.beyond(corpus) if abs(math.log(float(row["flops"]) / budget)) < 2 * SAME_CELL]
    if len({row["params"] for row in there}) < SPLIT_SIZES:
        return None
    log_n = np.log([float(row["params"]) for row in there])
    log_loss = np.log([float(row["loss_nats"]) for row in there])
    noise = np.full(len(log_n), 1 / RUN_NOISE)
    (bend, slope, _), covariance = np.polyfit(log_n, log_loss, 2, w=noise, cov="unscaled")
    best = -slope / (2 * bend)
    inside = bend > 0 and log_n.min() < best < log_n.max()
    # The vertex moves by the slope there over twice the bend, and ln(D/N) by twice as much.
    slope_there = np.array([2 * best, 1, 0])
    sd = math.sqrt(slope_there @ covariance @ slope_there) / abs(bend)
    return MeasuredSplit(log_ratio=float(math.log(budget / 6) - 2 * best) if inside else None, sd=float(sd))


def _measured(
    readings: Readings, corpus: str, what: str, point: tuple[float, float], sealed: float, low: float | None,
    high: float | None,
) -> list[SealedLoss]:  # fmt: skip
    there = [*readings.own(corpus), *readings.beyond(corpus)] if corpus in readings.cells else []
    losses = [float(row["loss_nats"]) for row in there if _near(cell(row), point)]
    if not losses:
        return []
    return [SealedLoss(corpus=corpus, what=what, sealed=sealed, low=low, high=high, measured=float(np.mean(losses)))]


def _near(place: tuple[int, int], point: tuple[float, float]) -> bool:
    return all(abs(math.log(one / other)) < SAME_CELL for one, other in zip(place, point, strict=True))


def _columns(balances: Sequence[Balance]) -> tuple[Floats, Floats]:
    return np.array([one.theta.value for one in balances]), np.array([one.sd**2 for one in balances])
