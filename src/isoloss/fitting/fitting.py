"""Fit a law to a table of runs: check, solve, warn, resample."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, Unpack

import numpy as np
from numpy.typing import NDArray

from isoloss.core.errors import InputError
from isoloss.core.estimate import LEVEL, Estimate
from isoloss.core.numbers import percent
from isoloss.core.progress import QUIET, Progress, Task
from isoloss.core.rng import stream
from isoloss.fitting.checks import (
    fit_warnings,
    leave_out,
    refuse_unfittable,
    root_mean_square,
    standard_error,
)
from isoloss.fitting.choice import AUTO, LawChoice, choose_law
from isoloss.fitting.domain import Domain, LawWarning
from isoloss.fitting.engine import (
    CONVERGED,
    Optimum,
    Problem,
    Solutions,
    best_ends,
    find_optimum,
    linearise,
    pose,
    row_weights,
    starting_points,
    warm,
)
from isoloss.fitting.evidence import Exclusion, IntervalMethod
from isoloss.fitting.fitted import FittedLaw
from isoloss.fitting.intervals import choose_method, noise_around, resample
from isoloss.fitting.known_floor import IRREDUCIBLE, KnownFloor, floor_of, floor_warnings, score_floor
from isoloss.fitting.noise import of_others
from isoloss.fitting.rehearsal import check_own
from isoloss.fitting.table_checks import table_warnings
from isoloss.laws.formula import check_definition
from isoloss.laws.law import Floats, Law
from isoloss.laws.registry import open_law
from isoloss.laws.settings import USUAL, FitOptions, FitSettings, WeightsName
from isoloss.runs.observations import Observations, of_group

FEW_FAILED_REFITS = 0.05
USUAL_DRAWS = 1000
MOST_ROWS = 10_000  # that are resampled unless asked for: more take seconds
FOLLOWS_FROM_LINE = ("bound_reached", "flat_direction", "flat_profile", "frontier_not_identified")


def fit(
    observations: Observations,
    *,
    law: str | type[Law] = "chinchilla",
    settings: FitSettings = USUAL,
    bootstrap: int = 0,
    seed: int = 0,
    trunk_evidence: Floats | None = None,
    **options: Unpack[FitOptions],
) -> FittedLaw:
    """Return a law fitted to one group of runs, with `bootstrap` draws.

    `options` change single `settings`: `fit(runs, objective="lad")`. `trunk_evidence` is what other corpora say of the
    noise (`fit_groups` gathers it). `law="auto"` chooses by how laws predict training curves left out
    (`isoloss.fitting.choice`). Raises BadTable where the rows cannot determine the law.
    """
    settings = replace(settings, **options)
    law, choice = _chosen(law, [observations], settings)
    definition = open_law(law) if isinstance(law, str) else law
    check_definition(definition)
    held = dict(settings.fixed)
    used, excluded = leave_out(observations, flags=settings.exclude_flags)
    known = floor_of(used, law=definition, use=settings.floor)
    if settings.floor == "hold" and known is not None:
        held[IRREDUCIBLE] = known
    refuse_unfittable(used, law=definition, fixed=held, excluded=excluded)
    if bootstrap < 0:
        raise InputError(f"{bootstrap} draws", fix="give the number of draws; 0 for none")
    warm(definition)
    started = time.perf_counter()
    problem = pose(
        used, law=definition, objective=settings.objective, delta=settings.delta,
        weights=row_weights(used, settings.weights), fixed=held,
    )  # fmt: skip
    points = starting_points(problem, settings.starts)
    check_own(problem, points, used)
    optimum = find_optimum(problem, points)
    seconds = time.perf_counter() - started
    point = replace(
        _at_optimum(used, problem, optimum, fixed=tuple(held), weights=settings.weights, excluded=excluded, seed=seed),
        choice=choice, fit_seconds=seconds,
        trunk_evidence=() if trunk_evidence is None else tuple(trunk_evidence.tolist()),
    )  # fmt: skip
    method = choose_method(used, settings.method)
    law_with_draws = _with_draws(point, used, problem, optimum, draws=bootstrap, method=method)
    return law_with_draws if known is None else _with_floor(law_with_draws, used, problem, optimum, known)


def draws_or_usual(asked: int | None, *, rows: int) -> int:
    """Return how many bootstrap draws a table of so many rows gets: as asked, else 1,000, and none of a large one."""
    if asked is not None:
        return asked
    return USUAL_DRAWS if rows <= MOST_ROWS else 0


class CorpusFits(NamedTuple):
    """A law for every corpus whose rows determine one, and why the others have none."""

    laws: dict[str, FittedLaw]
    errors: dict[str, InputError]

    @property
    def reasons(self) -> dict[str, str]:
        """Why a corpus has no law, in a sentence each."""
        return {corpus: error.reason for corpus, error in self.errors.items()}


def fit_corpora(
    observations: Observations,
    corpora: Iterable[str] | None = None,
    *,
    law: str | type[Law] = "chinchilla",
    settings: FitSettings = USUAL,
    floors: Mapping[str, float] | None = None,
    bootstrap: int = 0,
    seed: int = 0,
    task: Task | None = None,
) -> CorpusFits:
    """Return a law for each of `corpora`, by default for all of the table; see `fit`.

    Corpora of one table are taken as trained alike: with few trunks each, what share of the noise is the trunks' is
    learnt from all of them (`evidence_of_others`). With `floors`, by corpus, a floor counts for these corpora alone.
    """
    tables = observations.by_corpus()
    shared = evidence_of_others(list(tables.values()), law=law, settings=settings) if bootstrap else []
    evidence = dict(zip(tables, shared, strict=False))
    found = CorpusFits({}, {})
    for corpus in tables if corpora is None else corpora:
        if task is not None:
            task.advance(0, detail=corpus)
        try:
            rows, use = tables[corpus] if corpus in tables else observations.where(corpus=corpus), settings.floor
            if floors is not None:
                rows = replace(rows, floor=np.full(len(rows), floors[corpus]) if corpus in floors else None)
                use = use if corpus in floors else "ignore"
            found.laws[corpus] = fit(
                rows, law=law, settings=replace(settings, floor=use), bootstrap=bootstrap, seed=seed,
                trunk_evidence=evidence.get(corpus),
            )  # fmt: skip
        except InputError as error:
            found.errors[corpus] = error
        if task is not None:
            task.advance(1)
    return found


def fit_groups(
    observations: Observations,
    *,
    law: str | type[Law] = "chinchilla",
    settings: FitSettings = USUAL,
    bootstrap: int = 0,
    seed: int = 0,
    progress: Progress = QUIET,
    **options: Unpack[FitOptions],
) -> list[FittedLaw]:
    """Return one fitted law per corpus, in order of first appearance; see `fit_corpora`. Raises what `fit` raises.

    `law="auto"` chooses one law for all of them.
    """
    settings = replace(settings, **options)
    law, choice = _chosen(law, list(observations.by_corpus().values()), settings)
    with progress.task("fits", total=len(observations.corpora)) as task:
        found = fit_corpora(observations, law=law, settings=settings, bootstrap=bootstrap, seed=seed, task=task)
    for error in found.errors.values():
        raise error
    return [replace(fitted, choice=choice) for fitted in found.laws.values()]


def _chosen(
    law: str | type[Law], tables: Sequence[Observations], settings: FitSettings
) -> tuple[str | type[Law], LawChoice | None]:
    """Return the law to fit, chosen among the tables where that is asked for, and how it was chosen."""
    if law != AUTO:
        return law, None
    choice = choose_law(tables, settings=settings)
    return choice.law, choice


def evidence_of_others(
    tables: Sequence[Observations], *, law: str | type[Law] = "chinchilla", settings: FitSettings = USUAL
) -> list[Floats | None]:
    """Return, for each of several corpora trained alike, what all the others say of the trunks' share of the noise.

    None where no other says anything: its rows share no trunk, or are many enough to be resampled.
    """
    return of_others([_evidence(table, law, settings) for table in tables])


def _evidence(table: Observations, law: str | type[Law], settings: FitSettings) -> Floats | None:
    """Return what one corpus says of the trunks' share, or None; one that no law can be fitted to says nothing."""
    if choose_method(table, settings.method) != "parametric_trunks" or len(np.unique(table.trunk)) == len(table):
        return None
    try:
        used, problem = posed_again(fitted := fit(table, law=law, settings=settings), table)
    except InputError:
        return None
    return noise_around(used, problem, problem.law.to_free(fitted.values, problem.origin)).evidence


def left_out_of(law: FittedLaw, observations: Observations) -> NDArray[np.bool_]:
    """Return which rows of its table a law was not fitted to (n,)."""
    return np.isin(observations.rows, [exclusion.row for exclusion in law.excluded])


def posed_again(law: FittedLaw, observations: Observations) -> tuple[Observations, Problem]:
    """Return the rows that a law used and the problem they posed. Raises InputError where the table is another."""
    used = observations.select(~left_out_of(law, observations))
    if used.fingerprint != law.observations:
        raise InputError(
            f"the law{of_group(law.group)} was fitted to table {law.observations}, not to this one "
            f"({used.fingerprint})",
            fix="give exactly the rows that it was fitted to",
        )
    fixed = {name: law.params[name].value for name in law.fixed}
    problem = pose(
        used, law=law.definition, objective=law.objective, delta=law.delta, weights=row_weights(used, law.weights),
        fixed=fixed,
    )  # fmt: skip
    return used, problem


def _at_optimum(
    used: Observations,
    problem: Problem,
    optimum: Optimum,
    *,
    fixed: tuple[str, ...],
    weights: WeightsName,
    excluded: tuple[Exclusion, ...],
    seed: int,
) -> FittedLaw:
    """Return the fit without draws."""
    values = problem.law.to_values(optimum.free, problem.origin)
    domain = Domain.of(used, columns=problem.law.columns)
    if fixed:  # what is held tells the two apart, if the caller is right
        domain = replace(domain, line=None)
    return FittedLaw(
        definition=problem.law,
        group=used.group,
        params={name: Estimate(value=float(v)) for name, v in zip(problem.law.parameters, values, strict=True)},
        draws=np.empty((0, len(values))),
        noise=np.empty((0, 2)),
        objective=problem.objective,
        delta=problem.delta,
        objective_value=optimum.objective,
        convergence=optimum.convergence,
        warnings=_warnings(used, problem, optimum, domain),
        domain=domain,
        rmse=root_mean_square(linearise(problem, optimum.free)[0]),
        rows_used=len(used),
        excluded=excluded,
        params_convention=used.params_convention,
        data_unit=used.data_unit,
        interval_method="none",
        observations=used.fingerprint,
        seed=seed,
        fixed=fixed,
        weights=weights,
        bytes_per_token=used.mean_bytes_per_token,
        flops_factor=used.flops_factor,
    )


def _warnings(used: Observations, problem: Problem, optimum: Optimum, domain: Domain) -> tuple[LawWarning, ...]:
    """Return what there is to warn of. Where parameters and tokens move together that comes first, and stands for
    what follows from it."""
    found = table_warnings(used, law=problem.law) + fit_warnings(used, problem, optimum)
    if (together := domain.together) is None:
        return found
    return (together, *(warning for warning in found if warning.code not in FOLLOWS_FROM_LINE))


def _with_draws(
    point: FittedLaw, used: Observations, problem: Problem, optimum: Optimum, *, draws: int, method: IntervalMethod
) -> FittedLaw:
    """Return the fit with its draws and the intervals that they give."""
    if draws == 0:
        return point
    started = time.perf_counter()
    generator = stream(point.seed, "intervals", method, point.observations)
    resamples = resample(
        used, problem, optimum.free, method=method, draws=draws, generator=generator, others=point.evidence_of_others
    )
    points = np.vstack([optimum.free, optimum.others])
    ends = best_ends(problem, np.tile(points, (draws, 1, 1)), targets=resamples.targets, weights=resamples.weights)
    values = problem.law.to_values(ends.free, problem.origin)
    # Along the line exchanged terms would fit as well.
    unidentified = frozenset(point.params) - {IRREDUCIBLE} if point.domain.line else frozenset()
    return replace(
        point,
        params={
            name: estimate
            if name in unidentified
            else _drawn(values[:, i], estimate, at_bound=name in optimum.convergence.active_bounds)
            for i, (name, estimate) in enumerate(point.params.items())
        },
        draws=values,
        noise=resamples.noise,
        interval_method=method,
        warnings=(*point.warnings, *_draw_warnings(ends, _without_optimum(point, values))),
        bootstrap_seconds=time.perf_counter() - started,
    )


def _drawn(values: Floats, estimate: Estimate, *, at_bound: bool) -> Estimate:
    """Return a parameter with the interval of its draws; none where they all stand at the bound with it."""
    found = Estimate.from_draws(values, value=estimate.value)
    return estimate if at_bound and found.width == 0 else found


def _with_floor(law: FittedLaw, used: Observations, problem: Problem, optimum: Optimum, floor: float) -> FittedLaw:
    """Return the fit with what the known floor says of it."""
    place = problem.law.parameters.index(IRREDUCIBLE)
    if IRREDUCIBLE in law.fixed:
        found = KnownFloor(value=floor, held=law.params[IRREDUCIBLE].value == floor, E=law.params[IRREDUCIBLE])
    else:
        found = score_floor(
            floor, estimate=law.params[IRREDUCIBLE], draws=law.draws[:, place],
            stderr=standard_error(problem, optimum.free, place),
        )  # fmt: skip
    return replace(law, floor=found, warnings=(*law.warnings, *floor_warnings(found, used)))


def _without_optimum(point: FittedLaw, draws: Floats) -> float:
    """Return the share of draws without an interior optimum in the middle of the rows' FLOPs; 0 without a frontier."""
    law = point.definition
    if not law.has_frontier() or point.domain.line or set(law.further_columns()) - set(law.defaults):
        return 0.0
    log_params = law.log_optimum(draws, log_flops=float(np.log(point.middle_flops / point.flops_factor)))
    return float((~np.isfinite(log_params)).mean())


def _draw_warnings(ends: Solutions, without: float) -> Iterator[LawWarning]:
    failed = float((ends.gradient_norm > CONVERGED).mean())
    if without > (1 - LEVEL) / 2:
        yield LawWarning(
            code="frontier_not_identified",
            message=f"{percent(without, 2)} of the bootstrap draws have no optimum inside the grid, so the frontier "
            "has no interval. Widen the grid in parameters and in tokens, and leave out unconverged and "
            "saturated runs.",
        )
    if failed > FEW_FAILED_REFITS:
        yield LawWarning(
            code="refits_not_converged",
            message=f"{percent(failed, 2)} of the resampled fits did not converge, so the intervals are rough. Widen "
            "the grid, or use objective='huber' with a larger delta.",
        )
