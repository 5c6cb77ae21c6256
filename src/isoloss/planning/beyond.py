"""Runs and splits far beyond a table's own: several forms, weighted by how each predicted the largest budgets.

The table is its own test: forms are fitted to the runs of at most half, a quarter … a thirty-second of the largest
budget, and predict those above. Each form is fitted to all runs below a cut and to its upper budgets alone; it counts
with its mean square error to the power −2, later cuts more. The prediction is the weighted mean of ln L; its standard
deviation has three parts: the misfit of the best form, the spread of the forms at the point, and the error that the
mixture made in the backtests, which grows with the logarithm of the distance in compute. The factor that turns it into
a 95 % interval was calibrated on published tables and scored on others (docs/results/beyond.md).

A form that rises with N or D on the way to the target, or leaves [E, ln V], is left out and named.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Unpack

import numpy as np
from numpy.typing import NDArray

from isoloss.core.errors import BadTable, InputError, Unidentified
from isoloss.core.estimate import Estimate
from isoloss.core.plain_json import Plain, fields_json
from isoloss.fitting.checks import leave_out
from isoloss.fitting.fitted import FittedLaw
from isoloss.fitting.fitting import fit
from isoloss.fitting.known_floor import IRREDUCIBLE
from isoloss.laws.law import Floats, Law
from isoloss.laws.settings import USUAL, FitOptions, FitSettings
from isoloss.runs.observations import Observations
from isoloss.runs.sizes import distinct_sizes

FORMS = ("chinchilla", "coupled", "ceiling", "farseer", "kaplan")
UPPER = 16.0  # the upper budgets: those within this factor of the largest
CUT, CUTS = 2.0, 5  # backtests leave out budgets above the largest over 2, 4 … 32
FEWEST_ROWS, FEWEST_SIZES = 10, 3
POWER = 2.0  # weight ∝ (mean square error)^(−2)
RECENT = 0.5  # a cut counts as (its budget over the largest) to this power
LEAST_ERROR, MOST_ERROR, ERROR_OF_NONE = 0.003, 1.0, 0.1  # of ln L; the last where a form could not be fitted
GROWTH_OF_NONE = 1.0  # of ln(D*/N*), where no step has a best split
AT_ONCE = 0.5  # errors grow as .5 + ln(distance in compute): some is there at the edge
# Half-widths of 95 % intervals over the standard deviation, of ln L and of ln(D*/N*): docs/results/beyond.md.
LOSS_FACTOR, RATIO_FACTOR = 1.8, 1.8
LEAST_RATIO_SD = 0.2  # of ln(D*/N*) at the edge of the runs
GRID = 9


class FormSaid(NamedTuple):
    """One form on one window of the runs ("all", "upper"): its weight and its error in the backtests, of ln L."""

    form: str
    window: str
    weight: float
    error: float

    @property
    def name(self) -> str:
        """The form, and its window where that is not all runs."""
        return self.form if self.window == "all" else f"{self.form} ({self.window} budgets)"


@dataclass(frozen=True, kw_only=True)
class BeyondRun(Plain):
    """One run that was not trained: `loss` holds it (nats); `distance` is its compute over the largest of the runs."""

    params: float
    tokens: float
    distance: float
    loss: Estimate


@dataclass(frozen=True, kw_only=True)
class BeyondSplit(Plain):
    """The best split of a budget: parameters, tokens, D/N and the loss of one run there, each with its interval."""

    flops: float
    distance: float
    params: Estimate
    tokens: Estimate
    tokens_per_param: Estimate
    loss: Estimate


@dataclass(frozen=True, kw_only=True, eq=False)
class Beyond:
    """What several forms say beyond the runs of one corpus.

    `forms` are those that count, the heaviest first; `left_out` says why others do not. `growth` is the error of ln L
    that the mixture makes a unit of .5 + ln(distance), `growth_of_ratio` that of ln(D*/N*); `noise` the misfit of the
    best form. `cuts` are the budgets that the backtests ended at.
    """

    group: str
    flops_high: float
    cuts: tuple[float, ...]
    noise: float
    growth: float
    growth_of_ratio: float
    forms: tuple[FormSaid, ...]
    left_out: Mapping[str, str]
    runs: tuple[BeyondRun, ...]
    splits: tuple[BeyondSplit, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return fields_json(self, without=("forms",)) | {"forms": [one._asdict() for one in self.forms]}


def look_beyond(
    observations: Observations,
    *,
    flops: Sequence[float] = (),
    runs: Sequence[tuple[float, float]] = (),
    forms: Sequence[str] = FORMS,
    settings: FitSettings = USUAL,
    **options: Unpack[FitOptions],
) -> Beyond:
    """Return what `runs` (params, tokens) will score and how budgets of `flops` are best split, with 95 % intervals.

    `observations` are the runs of one corpus; FLOPs count as they do there. Deterministic: nothing is drawn. Every form
    is fitted by `settings` (`options` change single ones); where E is held, forms without E are left out. Raises
    InputError for numbers that are not above zero and for settings that several forms cannot share (`starts`, and
    `fixed` of anything but E), BadTable where the runs are too few or span too little compute for a backtest,
    Unidentified where no form is left.
    """
    settings = _shared(replace(settings, **options))
    if not all(np.isfinite(value) and value > 0 for value in (*flops, *(each for run in runs for each in run))):
        raise InputError("a budget, a size or a length is not above zero", fix="give finite numbers above zero")
    table, _ = leave_out(observations, flags=settings.exclude_flags)
    settings = replace(settings, exclude_flags=())
    steps = _steps(table)
    place = _Place.of(table, flops=flops, runs=runs)
    fitted = [_fitted(table, step, forms, place, settings) for step in steps]
    mixture = _mixture(table, steps, fitted, place)
    return Beyond(
        group=table.group,
        flops_high=place.flops_high,
        cuts=tuple(step.top for step in steps[1:]),
        noise=mixture.noise,
        growth=mixture.growth,
        growth_of_ratio=mixture.growth_of_ratio,
        forms=tuple(sorted(mixture.said, key=lambda one: -one.weight)),
        left_out=fitted[0].faults,
        runs=tuple(_run(mixture, place, params, tokens) for params, tokens in runs),
        splits=tuple(_split(mixture, fitted[0], place, budget) for budget in flops),
    )


def _shared(settings: FitSettings) -> FitSettings:
    """Return the settings. Raises InputError for one that not all forms can take."""
    settings.refuse(
        "starts", by="a prediction beyond the runs by several laws",
        fix="leave it out: each law has its own starting points (on the command line: --starts with --beyond)",
    )  # fmt: skip
    if others := [name for name in settings.fixed if name != IRREDUCIBLE]:
        raise InputError(
            f"found {others[0]} fixed, expected nothing fixed but E: the laws that predict beyond the runs share no "
            "other parameter",
            place="fixed", fix="fix E alone, or leave it out (on the command line: --fix with --beyond)",
        )  # fmt: skip
    return settings


class _Step(NamedTuple):
    """The runs of budgets up to `top`, as a mask over the table."""

    top: float
    rows: NDArray[np.bool_]


def _steps(table: Observations) -> list[_Step]:
    """Return all runs, and those below each cut that holds enough of them. Raises BadTable without a cut."""
    found: list[_Step] = []
    for power in range(CUTS + 1):
        rows = table.flops <= table.flops.max() * (1 + 1e-9) / CUT**power
        enough = rows.sum() >= FEWEST_ROWS and len(distinct_sizes(table.params[rows])[0]) >= FEWEST_SIZES
        if enough and (not found or rows.sum() < found[-1].rows.sum()):
            found.append(_Step(top=float(table.flops[rows].max()), rows=rows))
    if len(found) < 2:
        raise BadTable(
            f"{len(table)} runs leave fewer than {FEWEST_ROWS} runs of {FEWEST_SIZES} sizes below half of the "
            "largest budget, so extrapolation cannot be tested",
            fix="train runs over a wider range of budgets",
        )
    return found


@dataclass(frozen=True, kw_only=True, eq=False)
class _Place:
    """The box from the runs to the targets, FLOPs over 6 N D as the table counts them, and ln V where it is known."""

    params: Floats
    tokens: Floats
    flops_high: float
    per_product: float
    ceiling: float

    @classmethod
    def of(cls, table: Observations, *, flops: Sequence[float], runs: Sequence[tuple[float, float]]) -> "_Place":
        high = float(table.flops.max())
        grown = np.sqrt(max([1.0, *(budget / high for budget in flops)]))
        params = max([float(table.params.max()) * grown, *(params for params, _ in runs)])
        tokens = max([float(table.tokens.max()) * grown, *(tokens for _, tokens in runs)])
        upper = table.flops >= high / UPPER
        return cls(
            params=np.geomspace(table.params.min(), params, GRID),
            tokens=np.geomspace(table.tokens.min(), tokens, GRID),
            flops_high=high,
            per_product=float(np.median(table.flops[upper] / (table.params[upper] * table.tokens[upper]))),
            ceiling=np.inf if table.vocab is None else float(np.log(table.vocab.max())),
        )  # fmt: skip

    def distance(self, flops: float) -> float:
        return max(1.0, flops / self.flops_high)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Fitted:
    """The sound forms of one step, by form and window, and why others are not."""

    laws: dict[tuple[str, str], FittedLaw]
    predicted: dict[tuple[str, str], Floats]
    faults: dict[str, str]


def _fitted(table: Observations, step: _Step, forms: Sequence[str], place: _Place, settings: FitSettings) -> _Fitted:
    laws, predicted, faults = {}, {}, {}
    for form in forms:
        for window, rows in _windows(table, step):
            name = FormSaid(form, window, 0.0, 0.0).name
            with np.errstate(all="ignore"):  # forms meet runs that they cannot follow: judged by what they predict
                try:
                    law = fit(table.select(rows), law=form, settings=settings)
                except InputError as error:
                    faults[name] = error.reason
                    continue
                if (fault := fault_of(law.definition, law.values, place.params, place.tokens, place.ceiling)) is None:
                    laws[form, window] = law
                    predicted[form, window] = np.log(law.predict(params=table.params, tokens=table.tokens))
                else:
                    faults[name] = fault
    return _Fitted(laws=laws, predicted=predicted, faults=faults)


def _windows(table: Observations, step: _Step) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    yield "all", step.rows
    upper = step.rows & (table.flops >= step.top / UPPER)
    if FEWEST_ROWS <= upper.sum() < step.rows.sum() and len(distinct_sizes(table.params[upper])[0]) >= FEWEST_SIZES:
        yield "upper", upper


def fault_of(definition: type[Law], values: Floats, params: Floats, tokens: Floats, ceiling: float) -> str | None:
    """Return why a form does not hold on the grid of ascending `params` and `tokens`, or None.

    A loss does not rise with parameters or tokens, stays finite, above the form's own E, and below `ceiling` at the
    largest of both.
    """
    columns = definition.complete({"params": params[:, None], "tokens": tokens[None, :]})
    with np.errstate(all="ignore"):
        loss = definition.loss(values, **columns)
    if not (np.isfinite(loss).all() and (loss > 0).all()):
        return "it does not predict a finite loss above zero"
    for axis, what in ((0, "parameters"), (1, "tokens")):
        if (np.diff(loss, axis=axis) > 1e-9 * loss.min()).any():
            return f"its loss rises with {what}"
    least = values[definition.parameters.index("E")] if "E" in definition.parameters else 0.0
    if loss.min() < least * (1 - 1e-9):
        return f"it falls below its own E of {least:.3g} nats"
    if loss[-1, -1] > ceiling:
        return f"its loss exceeds ln V = {ceiling:.3g} nats"
    return None


@dataclass(frozen=True, kw_only=True, eq=False)
class _Mixture:
    """Weighted forms: laws on all runs, weights of sum 1, and what their errors above the cuts say."""

    laws: dict[tuple[str, str], FittedLaw]
    said: tuple[FormSaid, ...]
    noise: float
    growth: float = 0.0
    growth_of_ratio: float = 0.0

    def mean(self, known: Mapping[tuple[str, str], Floats]) -> tuple[Floats, Floats]:
        """Return the weighted mean of what forms say, and their standard deviation."""
        own = np.array([one.weight for one in self.said if one[:2] in known])
        said = np.array([known[one[:2]] for one in self.said if one[:2] in known])
        middle = np.tensordot(own / own.sum(), said, axes=1)
        return middle, np.sqrt(np.tensordot(own / own.sum(), (said - middle) ** 2, axes=1))


def _mixture(table: Observations, steps: Sequence[_Step], fitted: Sequence[_Fitted], place: _Place) -> _Mixture:
    """Return the forms that hold on all runs, weighted by their errors above every cut."""
    laws = fitted[0].laws
    if not laws:
        raise Unidentified(
            "no law is usable beyond the runs: "
            + "; ".join(f"{name}: {reason}" for name, reason in fitted[0].faults.items()),
            fix="widen the grid in parameters and in tokens, and leave out unconverged runs",
        )
    log_loss = np.log(table.loss_nats)
    errors = {key: _error(key, log_loss, steps, fitted) for key in laws}
    raw = np.array(list(errors.values())) ** (-2 * POWER)
    said = tuple(FormSaid(*key, float(w), errors[key]) for key, w in zip(laws, raw / raw.sum(), strict=True))
    mixture = _Mixture(laws=laws, said=said, noise=min(law.rmse for law in laws.values()))
    return replace(
        mixture, growth=_growth(table, steps, fitted, mixture),
        growth_of_ratio=_growth_of_ratio(steps, fitted, mixture, place),
    )  # fmt: skip


def _growth(table: Observations, steps: Sequence[_Step], fitted: Sequence[_Fitted], mixture: _Mixture) -> float:
    """Return the error of ln L that the mixture made above the cuts, a unit of .5 + ln(distance)."""
    squares, shares = [], []
    for step, own in zip(steps[1:], fitted[1:], strict=True):
        above = steps[0].rows & ~step.rows
        known = {key: own.predicted[key][above] for key in mixture.laws if key in own.predicted}
        if known:
            missed = mixture.mean(known)[0] - np.log(table.loss_nats[above])
            reach = AT_ONCE + np.log(table.flops[above] / step.top)
            squares.append(float(np.mean((np.clip(missed, -MOST_ERROR, MOST_ERROR) / reach) ** 2)))
            shares.append((step.top / steps[0].top) ** RECENT)
    return float(np.sqrt(np.average(squares, weights=shares))) if squares else ERROR_OF_NONE


def _error(key: tuple[str, str], log_loss: Floats, steps: Sequence[_Step], fitted: Sequence[_Fitted]) -> float:
    """Return the root mean square error of ln L above the cuts, recent ones counting more."""
    squares, shares = [], []
    for step, own in zip(steps[1:], fitted[1:], strict=True):
        above = steps[0].rows & ~step.rows
        missed = own.predicted[key][above] - log_loss[above] if key in own.predicted else np.array([ERROR_OF_NONE])
        squares.append(float(np.mean(np.clip(missed, -MOST_ERROR, MOST_ERROR) ** 2)))
        shares.append((step.top / steps[0].top) ** RECENT)
    return float(np.sqrt(np.average(squares, weights=shares) + LEAST_ERROR**2))


def _run(mixture: _Mixture, place: _Place, params: float, tokens: float) -> BeyondRun:
    distance = place.distance(place.per_product * params * tokens)
    return BeyondRun(
        params=params, tokens=tokens, distance=distance, loss=_loss(mixture, place, params, tokens, distance)
    )


def _loss(mixture: _Mixture, place: _Place, params: float, tokens: float, distance: float) -> Estimate:
    """Return where one run's loss lies, at most at ln V: a uniform guess over the vocabulary loses no more."""
    said = {key: np.log(law.predict(params=params, tokens=tokens)) for key, law in mixture.laws.items()}
    middle, spread = (float(each) for each in mixture.mean(said))
    grown = mixture.growth * (AT_ONCE + float(np.log(distance)))
    half = LOSS_FACTOR * float(np.sqrt(mixture.noise**2 + spread**2 + grown**2))
    low, value, high = (min(float(np.exp(middle + step)), place.ceiling) for step in (-half, 0.0, half))
    return Estimate(value=value, low=low, high=high)


def _log_ratio(mixture: _Mixture, own: _Fitted, place: _Place, budget: float) -> tuple[float, float] | None:
    """Return mean and spread of ln(D*/N*) over the forms that have a best split of a budget; None without any."""
    product = float(np.log(budget / place.per_product))
    said: dict[tuple[str, str], Floats] = {}
    for key in mixture.laws:
        if key in own.laws:
            law = own.laws[key]
            with np.errstate(all="ignore"):
                log_params = law.definition.log_optimum(law.values[None], log_flops=product + np.log(6))[0]
            if np.isfinite(log_params):
                said[key] = product - 2 * log_params
    if not said:
        return None
    middle, spread = mixture.mean(said)
    return float(middle), float(spread)


def _growth_of_ratio(steps: Sequence[_Step], fitted: Sequence[_Fitted], mixture: _Mixture, place: _Place) -> float:
    """Return how far ln(D*/N*) at the largest budget moved as runs came in, a unit of .5 + ln(distance)."""
    now = _log_ratio(mixture, fitted[0], place, place.flops_high)
    squares, shares = [], []
    for step, own in zip(steps[1:], fitted[1:], strict=True):
        before = _log_ratio(mixture, own, place, place.flops_high)
        if now is not None and before is not None:
            squares.append(((now[0] - before[0]) / (AT_ONCE + np.log(place.flops_high / step.top))) ** 2)
            shares.append((step.top / steps[0].top) ** RECENT)
    return float(np.sqrt(np.average(squares, weights=shares))) if squares else GROWTH_OF_NONE


def _split(mixture: _Mixture, own: _Fitted, place: _Place, budget: float) -> BeyondSplit:
    found = _log_ratio(mixture, own, place, budget)
    if found is None:
        raise Unidentified(
            f"no law has a best split of {budget:.3g} FLOPs", fix="widen the grid in parameters and in tokens"
        )
    middle, spread = found
    distance = place.distance(budget)
    grown = mixture.growth_of_ratio * (AT_ONCE + np.log(distance))
    half = RATIO_FACTOR * float(np.sqrt(LEAST_RATIO_SD**2 + spread**2 + grown**2))
    product = budget / place.per_product

    def estimate(value: float, share: float) -> Estimate:
        by = float(np.exp(share * half))
        return Estimate(value=value, low=value / by, high=value * by)

    params, tokens = float(np.sqrt(product * np.exp(-middle))), float(np.sqrt(product * np.exp(middle)))
    return BeyondSplit(
        flops=float(budget), distance=float(distance), params=estimate(params, 0.5), tokens=estimate(tokens, 0.5),
        tokens_per_param=estimate(float(np.exp(middle)), 1.0), loss=_loss(mixture, place, params, tokens, distance),
    )  # fmt: skip
