"""Whether a form misses the runs by more than their noise, and whether that matters for the best split.

What a form misses is asked for what a surface of third order would add to it, by an F ratio. Trunk effects look like
structure, so noise of trunks and of points is estimated together (from seeds, where there are any), both sides are
whitened by it, and what the ratio would be without misfit is simulated, with noise drawn from its posterior. A form is
refused only where fewer than 5 % of the simulated ratios are as large and its best split differs from the runs' by more
than .1 in ln(D*/N*) at one of the budgets: a misfit that moves nothing is no reason to doubt a split. Where no trunk is
named and sizes have many rows each, a form is refused only if the ratio is too large with a trunk a size as well.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isoloss.core.errors import InputError
from isoloss.core.numbers import percent, power_of_ten
from isoloss.core.plain_json import fields_json
from isoloss.core.rng import stream
from isoloss.fitting.checkpoints import as_if_curves, with_curves
from isoloss.fitting.checks import leave_out, root_mean_square
from isoloss.fitting.domain import LawWarning
from isoloss.fitting.engine import linearise
from isoloss.fitting.fitted import FittedLaw
from isoloss.fitting.fitting import left_out_of
from isoloss.fitting.noise import orthonormal, without
from isoloss.laws.law import Floats, Law
from isoloss.laws.settings import EXCLUDED_FLAGS
from isoloss.optima.best_size import BEYOND, BestSize, best_sizes
from isoloss.optima.flops_rate import flops_per_token
from isoloss.optima.surfaces import LOCAL, least_squares, noise_around_surface, third_order
from isoloss.runs.observations import Observations, of_group

REFUSAL = 0.05  # the share of true forms that is refused, at most
MOVED = 0.1  # of ln(D*/N*)
SIMULATIONS = 1000
FEW_DRAWS = 100  # of best sizes whose intervals are not asked for
MOST_ROWS = 5_000  # of a fit that is tested: on longer tables the forms alone take minutes
POINTS = 801  # along a budget's line: steps of .01 in ln N
SEEN = 1e-8  # of a column's length: what is left of it next to the others counts above this


@dataclass(frozen=True, kw_only=True)
class LackOfFit:
    """How one form misses one corpus: `probability` of a misfit as large by noise alone, and what it moves.

    `shift` is the largest difference in ln(D*/N*) between the form and all forms together, over budgets inside the
    runs, at `flops`; None without one. `fitting` names the form that predicts unseen trunks best of those not refused.
    Of a refused form `closest` is, of the others that were tested, the one that misses the runs least, by
    `closest_misfit`.
    """

    corpus: str
    form: str
    misfit: float
    probability: float
    shift: float | None
    flops: float | None
    fitting: str | None
    refused: bool
    closest: str | None = None
    closest_misfit: float | None = None

    @property
    def better(self) -> str | None:
        """The form to fit instead: the one that fits, or one that at least misses the runs by less."""
        if self.fitting or self.closest_misfit is None:
            return self.fitting
        return self.closest if self.closest_misfit < self.misfit else None

    def sentence(self) -> str:
        """Return the verdict in plain English."""
        if not self.refused or self.shift is None or self.flops is None:
            return f"{self.form} is not rejected{of_group(self.corpus, word='on')} (p = {self.probability:.2g})."
        return f"{self._misfit()} {self._of_others()}"

    def _misfit(self) -> str:
        """Return by how much the form is off, in losses and in the split, where it is refused."""
        assert self.shift is not None
        assert self.flops is not None
        return (
            f"{self.form} does not fit the runs{of_group(self.corpus)}: it misses their losses by "
            f"{percent(self.misfit)}, more than noise explains (p = {self.probability:.2g}). At "
            f"{power_of_ten(self.flops)} FLOPs its best tokens per parameter are {np.exp(self.shift):.2g} times those "
            "of all laws together."
        )

    def _of_others(self) -> str:
        if self.fitting:
            return f"The law {self.fitting} fits."
        if self.better is None or self.closest_misfit is None:
            return "No law here fits within noise, and none misses the runs by less."
        return (
            f"No law here fits within noise. {self.better} fits better, but it also misses the runs, by "
            f"{percent(self.closest_misfit)}."
        )

    def warning(self, *, chosen: bool = False) -> LawWarning:
        """Return the verdict as the coded warning of a fit, with the remedy.

        A form that was `chosen` among all predicts curves that it has not seen as well as any: then none is to be
        fitted instead because it merely misses the same runs by less.
        """
        why = (
            f" {self.form} was chosen because no other law predicts left-out training curves better beyond chance."
            if chosen
            else ""
        )
        better, several = self.fitting if chosen else self.better, "several laws with isoloss isoflop."
        use = f"The law {better} fits: use it" if self.fitting else f"{self._of_others()} Use {better}"
        remedy = f"{use} (on the command line: --law {better}), or weigh {several}"
        if not better:
            remedy = f"{self._of_others()} Weigh {several}"
        return LawWarning(code="lack_of_fit", message=f"{self._misfit()}{why} {remedy}")

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return fields_json(self) | {"sentence": self.sentence()}


def lack_of_fit(
    observations: Observations,
    *,
    form: str = "chinchilla",
    optima: Sequence[BestSize] | None = None,
    seed: int = 0,
) -> list[LackOfFit]:
    """Return, corpus by corpus, whether `form` is refused; corpora that it cannot be fitted to are left out.

    `optima` are the corpora's best sizes where they are known already; else those of three budgets inside the runs.
    Flagged runs are left out.
    """
    known = best_sizes(observations, seed=seed) if optima is None else optima
    found = []
    for corpus in observations.corpora:
        used, _ = leave_out(observations.where(corpus=corpus), flags=EXCLUDED_FLAGS)
        with suppress(InputError):  # of too few rows `fit` says so
            found.append(_test(with_curves(used), form, seed=seed))
    return [_judge(tested, known, seed) for tested in found]


def warned_of_misfit(laws: Sequence[FittedLaw], observations: Observations, *, seed: int = 0) -> list[FittedLaw]:
    """Return the laws, one a corpus of the table, those that the runs refuse with the warning `lack_of_fit`.

    Tested are laws of parameters and tokens alone, with nothing held, of at most `MOST_ROWS` rows, each on the rows
    that it was fitted to, whatever their flags. Best sizes are searched only where the noise does not explain what a
    law misses.
    """
    table = replace(observations, flags=None)
    rows = {
        place: (table.corpus == law.group) & ~left_out_of(law, table)
        for place, law in enumerate(laws)
        if law.group in table.corpora and _may_be_tested(law)
    }
    suspects: dict[int, _Tested] = {}
    for place, own in rows.items():
        with suppress(InputError):
            tested = _test(with_curves(table.select(own)), laws[place].law, seed=seed)
            if tested.probability < REFUSAL:
                suspects[place] = tested
    if not suspects:
        return list(laws)
    optima = best_sizes(table.select(np.any([*rows.values()], axis=0)), draws=FEW_DRAWS, seed=seed)
    found = list(laws)
    for place, tested in suspects.items():
        law, verdict = laws[place], _judge(tested, optima, seed)
        if verdict.refused:
            warning = verdict.warning(chosen=law.choice is not None)
            found[place] = replace(law, warnings=(*law.warnings, warning))
    return found


def _may_be_tested(law: FittedLaw) -> bool:
    free = not law.fixed and law.domain.line is None and law.rows_used <= MOST_ROWS
    return free and law.definition.has_frontier() and not law.definition.further_columns()


def _judge(tested: "_Tested", optima: Sequence[BestSize], seed: int) -> LackOfFit:
    own = [one for one in optima if one.corpus == tested.corpus]
    shift, flops = _largest_shift(tested, own)
    refused = bool(tested.probability < REFUSAL and shift is not None and abs(shift) > MOVED)
    others = [form for form in _by_weight(own) if form not in (tested.form, LOCAL)] if refused else []
    rivals: list[_Tested] = []
    for form in others:
        rivals.append(_test(tested.table, form, seed=seed))
        if rivals[-1].probability >= REFUSAL:
            break
    fits = bool(rivals) and rivals[-1].probability >= REFUSAL
    closest = min(rivals, key=lambda one: one.misfit, default=None)
    return LackOfFit(
        corpus=tested.corpus, form=tested.form, misfit=tested.misfit, probability=tested.probability, shift=shift,
        flops=flops, refused=refused, fitting=(rivals[-1].form if fits else None) if refused else tested.form,
        closest=None if closest is None else closest.form,
        closest_misfit=None if closest is None else closest.misfit,
    )  # fmt: skip


def _largest_shift(tested: "_Tested", optima: Sequence[BestSize]) -> tuple[float | None, float | None]:
    """Return the form's ln(D*/N*) less that of all forms where they differ most, and the budget."""
    found = [
        (tested.log_ratio(one.flops) - float(np.log(one.tokens_per_param.value)), one.flops)
        for one in optima
        if one.tokens_per_param is not None
    ]
    return max(found, key=lambda pair: abs(pair[0])) if found else (None, None)


def _by_weight(optima: Sequence[BestSize]) -> list[str]:
    """Return the forms, those that predict unseen trunks best first."""
    weights: dict[str, float] = {}
    for one in optima:
        for each in one.forms:
            weights[each.form] = weights.get(each.form, 0.0) + each.weight
    return sorted(weights, key=lambda name: -weights[name])


@dataclass(frozen=True, kw_only=True, eq=False)
class _Tested:
    """A form fitted to a corpus's rows: what it misses, and the share of simulated F ratios that are as large."""

    table: Observations
    form: str
    law: type[Law]
    values: Floats
    misfit: float
    probability: float

    @property
    def corpus(self) -> str:
        """The corpus of the rows."""
        return self.table.corpora[0]

    def log_ratio(self, flops: float) -> float:
        """Return the form's own ln(D*/N*) at a budget counted as the table does, near the sizes of the runs."""
        table = self.table
        log_n = np.linspace(np.log(table.params.min()) - BEYOND, np.log(table.params.max()) + BEYOND, POINTS)
        log_d = np.log(flops) - flops_per_token(table)(log_n)
        with np.errstate(all="ignore"):
            loss = self.law.loss(self.values, params=np.exp(log_n), tokens=np.exp(log_d))
        best = int(np.argmin(np.where(np.isfinite(loss), loss, np.inf)))
        return float(log_d[best] - log_n[best])


def _test(table: Observations, form: str, *, seed: int) -> _Tested:
    """Return a form at its best fit, tested. Raises InputError where the rows cannot determine it."""
    problem, best = least_squares(table, form)
    residuals, own = linearise(problem, best)
    probability = _probability(table, form, residuals, own, seed=seed)
    if probability < REFUSAL and (curves := as_if_curves(table)) is not table:
        # Rows of one size may be one curve although nothing shows it: what its noise explains is no misfit.
        shared = _probability(curves, form, residuals, own, seed=seed)
        probability = shared if shared >= REFUSAL else probability
    return _Tested(
        table=table, form=form, law=problem.law, values=problem.law.to_values(best, problem.origin),
        misfit=root_mean_square(residuals), probability=probability,
    )  # fmt: skip


def _probability(table: Observations, form: str, residuals: Floats, own: Floats, *, seed: int) -> float:
    """Return the share of simulated F ratios that are as large as the one of residuals (n,) next to columns (n, p)."""
    x, z = np.log(table.params), np.log(table.tokens)
    further = _in_addition(own, third_order((x - x.mean()) / x.std(), (z - z.mean()) / z.std()))
    left = len(residuals) - own.shape[1] - further.shape[1]
    if not further.shape[1] or left < 1:
        return 1.0
    noise = noise_around_surface(table, residuals, np.hstack([own, further]), np.ones(len(table)), None)
    generator = stream(seed, "lack of fit", form, table.fingerprint)
    simulated = noise.draw_noise(generator, noise.draw_deviations(generator, SIMULATIONS))
    ratio = (noise.trunk_sd / noise.point_sd) ** 2
    ratios = _ratios(np.vstack([residuals, simulated]), own, further, noise.trunk_of, ratio)
    return float((1 + (ratios[1:] >= ratios[0]).sum()) / (1 + SIMULATIONS))


def _ratios(rows: Floats, own: Floats, further: Floats, trunk_of: NDArray[np.int64], ratio: float) -> Floats:
    """Return the F ratio of each of `rows` (b, n): what `further` columns add to `own`, over what is left."""
    y, J, Z = (_whitened(each, trunk_of, ratio) for each in (rows.T, own, further))
    basis = orthonormal(J)
    y, extra = without(basis, y), orthonormal(without(basis, Z))
    added = ((extra.T @ y) ** 2).sum(axis=0)
    left = len(y) - basis.shape[1] - extra.shape[1]
    with np.errstate(divide="ignore", invalid="ignore"):  # losses without noise leave nothing over
        return np.asarray((added / extra.shape[1]) / (((y**2).sum(axis=0) - added) / left))


def _whitened(columns: Floats, trunk_of: NDArray[np.int64], ratio: float) -> Floats:
    """Return columns (n, k) less the part of their trunk's mean that trunk effects take up (Swamy & Arora 1972)."""
    counts = np.bincount(trunk_of)
    sums = np.zeros((len(counts), columns.shape[1]))
    np.add.at(sums, trunk_of, columns)
    kept = 1 - 1 / np.sqrt(1 + ratio * counts)
    return np.asarray(columns - (kept / counts)[trunk_of, None] * sums[trunk_of])


def _in_addition(own: Floats, columns: Floats) -> Floats:
    """Return an orthonormal basis of what `columns` have next to `own`."""
    return orthonormal(without(orthonormal(own), columns / np.linalg.norm(columns, axis=0)), least=SEEN)
