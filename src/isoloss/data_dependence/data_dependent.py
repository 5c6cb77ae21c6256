"""Laws that know their corpus: every coefficient a function of one measure of complexity.

Two ways to the same functions:

two_stage  a law for each corpus by itself, then lines through their coefficients, as in "gzip Predicts Data-dependent
           Scaling Laws" (Pandey 2024, arXiv:2405.16684); draw i of the result goes through draw i of every corpus
joint      all rows of all corpora at once, corpora scattered around the functions and drawn towards them
           (`isoloss.data_dependence.joint`); intervals from resampled training curves and from the scatter of corpora

Forms are given, as published, or chosen by how well they predict sources that were left out, never by how well they fit
(`isoloss.data_dependence.folds`). Whether the measure matters at all is another question:
`isoloss.data_dependence.predictors`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, Unpack, get_args

import numpy as np
from numpy.typing import NDArray

from isoloss.core.errors import InputError, did_you_mean, require_known
from isoloss.core.estimate import Estimate
from isoloss.core.numbers import percent, rounded
from isoloss.core.rng import stream
from isoloss.data_dependence.coefficients import (
    COEFFICIENTS,
    FORMULA,
    PUBLISHED_FORMS,
    Floats,
    Form,
    Method,
    Scale,
    checked_forms,
    to_coefficients,
    to_values,
)
from isoloss.data_dependence.covariates import corpus_complexity, refuse_few
from isoloss.data_dependence.folds import FirstStage, first_stage, law_of_all
from isoloss.data_dependence.joint import Design, JointFits, Rows, design_of, fit_jointly, log_loss, pull_of
from isoloss.data_dependence.pooled_split import PooledSplit
from isoloss.data_dependence.scatter import draw_deviations, freedom
from isoloss.fitting.checks import leave_out
from isoloss.fitting.domain import Domain
from isoloss.fitting.estimated import EstimatedLaw
from isoloss.fitting.evidence import Exclusion
from isoloss.fitting.fitted import FittedLaw
from isoloss.fitting.fitting import fit_groups
from isoloss.fitting.intervals import choose_method, counts_drawn
from isoloss.fitting.noise import trunk_noise
from isoloss.laws.chinchilla import Chinchilla
from isoloss.laws.settings import USUAL, FitSettings, SharedOptions
from isoloss.runs.observations import DataUnit, Observations

METHODS: tuple[Method, ...] = get_args(Method)
CHOOSE, PUBLISHED = "choose", "published"
# Fewer hold no line with a deviation from it once one is left out.
SOURCES_TO_CHOOSE = 4
# Of draws whose refit ended at no single optimum. They are kept where they ended, since those that vary most fail most;
# a 95 % interval has more draws than these in either tail (docs/decisions/20-joint-convergence.md).
MOST_UNCONVERGED = 0.02
# A law is no power law of larger exponents (the bound of a corpus's own law too): draws of a corpus end there.
LARGEST_EXPONENT, EXPONENTS = 5.0, slice(3, 5)


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedDataDependent:
    """Coefficients as functions of a measure: `functions` (5, 2) are intercept and slope of `COEFFICIENTS`.

    A coefficient of form `linear`, and a shared E, is intercept + slope · measure; of a `log_linear` one, and of a
    shared A0, B0, alpha or beta, that is its logarithm. `draws` (draws, 5, 2). `scatter` (5,) is the standard
    deviation of corpora around the functions on those scales, `scatter_draws` (draws, 5) what one more corpus deviates.
    A0 and B0 are taken at `origin`, (ln N₀, ln D₀). `corpora` holds the coefficients (5,) of every corpus, in a joint
    fit drawn towards the functions; `laws` are the first stage of two. `draws_converged` (draws,) says which refits
    ended at one optimum: None for two stages, and in files of versions that did not say. Where too many did not,
    `no_interval` says so and every Estimate is without an interval. `pooled` is the best split of one more corpus by
    several forms of the loss, where it was asked for: plans go by it, not by the split of these coefficients.
    """

    measure: str
    method: Method
    forms: dict[str, Form]
    functions: Floats
    draws: Floats
    scatter: Floats
    scatter_draws: Floats
    origin: Floats
    corpora: dict[str, Floats]
    complexity: dict[str, float]
    noise: float
    converged: bool
    domain: Domain
    rows_used: int
    excluded: tuple[Exclusion, ...]
    params_convention: str
    data_unit: DataUnit
    observations: str
    bytes_per_token: float | None = None
    flops_factor: float = 1.0
    laws: tuple[FittedLaw, ...] = ()
    draws_converged: NDArray[np.bool_] | None = None
    pooled: PooledSplit | None = None

    @property
    def no_interval(self) -> str | None:
        """Why nothing that the law says has an interval; None where it has one, or was fitted without draws."""
        ended = self.draws_converged
        if ended is None or (~ended).sum() <= MOST_UNCONVERGED * len(ended):
            return None
        return (
            f"{percent((~ended).mean())} of {len(ended)} resampled fits did not converge to one optimum; at most "
            f"{percent(MOST_UNCONVERGED)} may fail, because the failures vary most and an interval without them would "
            "be too narrow. Add corpora, or use a wider grid of sizes and token counts"
        )

    def coefficients(self) -> dict[str, tuple[Estimate, Estimate]]:
        """Return intercept and slope of every coefficient, with intervals from the draws."""
        draws = self._own_draws()
        return {
            name: (
                Estimate.from_draws(draws[:, i, 0], value=float(self.functions[i, 0])),
                Estimate.from_draws(draws[:, i, 1], value=float(self.functions[i, 1])),
            )
            for i, name in enumerate(COEFFICIENTS)
        }

    def at(self, complexity: float | Estimate, *, corpus: str = "one more corpus") -> EstimatedLaw:
        """Return the law of a new corpus of that complexity.

        Draws include how one more corpus deviates from the functions and, of an estimate, its uncertainty. There are
        none where the law has no intervals.
        """
        values, *draws = to_values(self._coefficients_at(complexity), self.origin)
        return self._law(corpus, values, np.reshape(draws, (-1, len(values))))

    def of(self, corpus: str) -> EstimatedLaw:
        """Return the law of a corpus that was fitted, shrunk towards its measure's. Raises InputError for another.

        Its draws are those of the functions at that measure, moved to its own coefficients.
        """
        if corpus not in self.corpora:
            raise InputError(f"no corpus {corpus!r} in this law", fix=did_you_mean(corpus, self.corpora))
        own, among = to_values(self.corpora[corpus], self.origin), self.at(self.complexity[corpus])
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            moved = np.where(among.values > 0, among.draws * (own / among.values), own)
        return self._law(corpus, own, moved)

    def save(self, path: Path | str) -> None:
        """Write the law as JSON to `path` and its draws as Parquet next to it, atomically, the JSON last."""
        from isoloss.data_dependence.storage import save_data_dependent

        save_data_dependent(self, path)

    @classmethod
    def load(cls, path: Path | str) -> "FittedDataDependent":
        """Return the law that `save`, a study or `isoloss fit --complexity` wrote. Raises InputError without it."""
        from isoloss.data_dependence.storage import load_data_dependent

        return load_data_dependent(cls, Path(path))[0]

    def to_json(self) -> dict[str, Any]:
        """Return one element of `data_dependent`."""
        return {
            "measure": self.measure,
            "method": self.method,
            "formula": FORMULA,
            "N0": float(np.exp(self.origin[0])),
            "D0": float(np.exp(self.origin[1])),
            "coefficients": {
                name: {
                    "form": self.forms[name],
                    "logarithmic": bool(self.scale.logarithmic[i]),
                    "intercept": intercept.to_json(),
                    "slope": slope.to_json() if self.forms[name] != "shared" else None,
                    "scatter": float(self.scatter[i]),
                }
                for i, (name, (intercept, slope)) in enumerate(self.coefficients().items())
            },
            "corpora": {
                name: {"complexity": self.complexity[name], **dict(zip(COEFFICIENTS, own.tolist(), strict=True))}
                for name, own in self.corpora.items()
            },
            "noise": self.noise,
            "converged": self.converged,
            "domain": self.domain.to_json(),
            "rows_used": self.rows_used,
            "excluded": [asdict(exclusion) for exclusion in self.excluded],
            "params_convention": self.params_convention,
            "data_unit": self.data_unit,
            "n_draws": len(self.draws),
            "unconverged_draws": None
            if self.draws_converged is None
            else np.flatnonzero(~self.draws_converged).tolist(),
            "no_interval": self.no_interval,
            "pooled_split": None if self.pooled is None else self.pooled.to_json(),
        }

    def summary(self) -> str:
        """Return the functions as a few lines of text."""
        middle = f"N0 = {np.exp(self.origin[0]):.3g}, D0 = {np.exp(self.origin[1]):.3g}"
        lines = [f"{FORMULA}, {middle}; {self.measure} = H, {len(self.corpora)} corpora, {self.rows_used} rows, "
                 f"{self.method.replace('_', '-')} fit" + ("" if self.converged else ": NOT CONVERGED")]  # fmt: skip
        for i, (name, (intercept, slope)) in enumerate(self.coefficients().items()):
            left = f"ln {name}" if self.scale.logarithmic[i] else name
            follows = "" if self.forms[name] == "shared" else f" + {rounded(slope, 4)} H"
            scatter = f"(corpora scatter by {self.scatter[i]:.2g})"
            lines.append(f"  {left:<9} = {rounded(intercept, 4)}{follows}   {scatter}")
        if self.no_interval:
            lines.append(f"  no intervals: {self.no_interval}.")
        return "\n".join(lines)

    @property
    def scale(self) -> Scale:
        """The scale on which the functions are straight."""
        return Scale.of(self.forms)

    def _law(self, corpus: str, values: Floats, draws: Floats) -> EstimatedLaw:
        return EstimatedLaw(
            definition=Chinchilla, group=corpus,
            params={
                name: Estimate.from_draws(drawn, value=float(value))
                for name, value, drawn in zip(Chinchilla.parameters, values, draws.T, strict=True)
            },
            draws=draws, noise=np.tile([self.noise, 0.0], (len(draws), 1)), domain=self.domain,
            params_convention=self.params_convention, data_unit=self.data_unit, observations=self.observations,
            rows_used=self.rows_used, bytes_per_token=self.bytes_per_token, flops_factor=self.flops_factor,
        )  # fmt: skip

    def _coefficients_at(self, complexity: float | Estimate) -> Floats:
        known = complexity if isinstance(complexity, Estimate) else Estimate(value=float(complexity))
        draws = self._own_draws()
        steps = stream(0, "complexity of a new corpus", self.observations).standard_normal(len(draws))
        values = known.value + np.sqrt(known.variance) * steps
        eta = draws[..., 0] + draws[..., 1] * values[:, None] + self.scatter_draws[: len(draws)]
        point = self.functions[:, 0] + self.functions[:, 1] * known.value
        theta = self.scale.coefficients(np.concatenate([point[None], eta]))
        theta[1:, EXPONENTS] = np.minimum(theta[1:, EXPONENTS], LARGEST_EXPONENT)
        return theta

    def _own_draws(self) -> Floats:
        return self.draws[:0] if self.no_interval else self.draws


def refuse_unused(settings: FitSettings) -> None:
    """Raise InputError for settings of a law of one corpus that a joint fit of all corpora does not use."""
    by, fix = (
        "the joint fit of all corpora",
        ('leave it out, or fit DataDependent(method="two_stage") (on the command line: fit without --complexity)'),
    )
    settings.refuse("objective", "delta", "starts", "fixed", "weights", "method", by=by, fix=fix)
    if settings.floor == "hold":
        settings.refuse("floor", by=by, fix=f"{fix}; --floor-use score leaves E free")


class DataDependent:
    """The data-dependent law by one measure, as `DataDependent(complexity="gzip").fit(observations)`.

    `forms` are one a coefficient (`E`, `A0`, `B0`, `alpha`, `beta`: `shared`, `linear`, `log_linear`), "published" for
    those of Pandey 2024, or "choose". `settings` (`options` change single ones) are of the first of two stages; a joint
    fit takes their flags alone, and counts large residuals by a smooth form of Huber's loss.
    """

    def __init__(
        self,
        *,
        complexity: str = "gzip",
        method: Method = "joint",
        forms: Mapping[str, str] | Literal["choose", "published"] = "choose",
        settings: FitSettings = USUAL,
        **options: Unpack[SharedOptions],
    ) -> None:
        require_known(method, METHODS, what="method")
        if isinstance(forms, str):
            require_known(forms, (CHOOSE, PUBLISHED), what="forms")
        self.complexity = complexity
        self.method: Method = method
        self.forms = forms if isinstance(forms, str) else checked_forms(forms)
        self.settings = replace(settings, **options)
        if method == "joint":
            refuse_unused(self.settings)

    def fit(
        self, observations: Observations, *, bootstrap: int = 0, seed: int = 0, stage: FirstStage | None = None
    ) -> FittedDataDependent:
        """Return the law fitted, with `bootstrap` draws.

        `stage` is that of a comparison of predictors on these rows, where one was made: forms are chosen by it. Raises
        InputError for fewer than three sources or distinct complexities, and for the stage of other rows, BadTable
        where the first of two stages cannot be fitted to a corpus.
        """
        used, excluded = leave_out(observations, flags=self.settings.exclude_flags)
        values = corpus_complexity(used, self.complexity)
        refuse_few(used, {self.complexity: values})
        stage = self._stage(used, stage)
        forms = self._forms(stage, values)
        if self.method == "joint":
            return fit_joint(
                used, values, self.complexity, forms, bootstrap=bootstrap, seed=seed, excluded=excluded,
                together=stage.together if stage else None,
            )  # fmt: skip
        laws = fit_groups(used, settings=self.settings, bootstrap=bootstrap, seed=seed)
        return from_laws(laws, used, values, measure=self.complexity, forms=forms, seed=seed, excluded=excluded)

    def _stage(self, used: Observations, known: FirstStage | None) -> FirstStage | None:
        """Return the first stage of these rows: the one that is known, or a new one where forms are chosen by it."""
        if known is not None:
            if known.observations != used.fingerprint:
                raise InputError("the stage is of other rows", fix="give the rows that were compared, or no stage")
            return known
        if self.forms != CHOOSE or len(set(used.sources.values())) < SOURCES_TO_CHOOSE:
            return None
        flops = float(np.sqrt(used.flops.min() * used.flops.max()))
        return first_stage(used, flops=flops, balance={})

    def _forms(self, stage: FirstStage | None, values: Mapping[str, float]) -> dict[str, Form]:
        if not isinstance(self.forms, str):
            return self.forms
        if stage is None or self.forms == PUBLISHED or len(stage.sources) < SOURCES_TO_CHOOSE:
            return dict(PUBLISHED_FORMS)
        return stage.forms_for(np.array([values[corpus] for corpus in stage.rows.corpora]))


def from_laws(
    laws: Sequence[FittedLaw],
    observations: Observations,
    complexity: Mapping[str, float],
    *,
    measure: str,
    forms: Mapping[str, Form] = PUBLISHED_FORMS,
    seed: int = 0,
    excluded: tuple[Exclusion, ...] = (),
) -> FittedDataDependent:
    """Return the second stage over laws of `observations` that are fitted already, one a corpus.

    Draw i of the result regresses draw i of every corpus; corpora are independent, so any pairing serves. Raises
    InputError for fewer than three sources or complexities that do not vary.
    """
    refuse_few(observations, {measure: complexity})
    scale = Scale.of(forms)
    origin = np.array([np.log(observations.params).mean(), np.log(observations.tokens).mean()])
    covariate = np.array([complexity[law.group] for law in laws])
    count = min(len(law.draws) for law in laws)
    theta = np.stack([to_coefficients(law.values, origin) for law in laws])
    drawn = np.stack([to_coefficients(law.draws[:count], origin) for law in laws], axis=1)
    points = scale.eta(theta)
    functions = _lines(covariate, points, forms)
    left = points - functions[:, 0] - functions[:, 1] * covariate[:, None]
    free = freedom(len(laws), forms)
    scatter = np.sqrt((left**2).sum(axis=0) / free)
    return FittedDataDependent(
        measure=measure,
        method="two_stage",
        forms=dict(forms),
        functions=functions,
        draws=_lines(covariate, scale.eta(drawn), forms),
        scatter=scatter,
        scatter_draws=draw_deviations(left, scatter, free, (count, 5), seed=seed, purpose=measure),
        origin=origin,
        corpora={law.group: own for law, own in zip(laws, theta, strict=True)},
        complexity=dict(complexity),
        noise=float(np.sqrt(np.average([law.rmse**2 for law in laws], weights=[law.rows_used for law in laws]))),
        converged=all(law.convergence.converged for law in laws),
        laws=tuple(laws),
        **_origins(observations, excluded),
    )


def fit_joint(
    observations: Observations,
    complexity: Mapping[str, float],
    measure: str,
    forms: Mapping[str, Form],
    *,
    bootstrap: int = 0,
    seed: int = 0,
    excluded: tuple[Exclusion, ...] = (),
    together: Floats | None = None,
) -> FittedDataDependent:
    """Return the joint fit of all rows, with `bootstrap` draws. `together` (5,) is the law of all rows, if known.

    A draw resamples the training curves of every corpus (or simulates them, where they are few: see
    `isoloss.fitting.intervals`), refits, and adds what other corpora of that scatter would have made of the functions.
    """
    rows, scale = Rows.of(observations), Scale.of(forms)
    covariate = np.array([complexity[corpus] for corpus in rows.corpora])
    follows = np.array([forms[name] != "shared" for name in COEFFICIENTS])
    design = design_of(follows, scale, covariate - covariate.mean())
    start = scale.eta(law_of_all(observations, rows) if together is None else together)
    point = fit_jointly(rows, design, start)
    refits = _refits(observations, rows, point, start, design, bootstrap, seed) if bootstrap else None
    functions = _functions(point.gamma, follows, float(covariate.mean()))[0]
    left = point.eta[0] - functions[:, 0] - functions[:, 1] * covariate[:, None]
    free, scatter = freedom(len(covariate), forms), point.scatter[0]
    gamma = np.empty((0, point.gamma.shape[1])) if refits is None else refits.gamma
    ended = np.empty(0, dtype=bool) if refits is None else refits.converged
    moved = draw_deviations(
        left, scatter, free, (bootstrap, len(covariate), 5), seed=seed, purpose=measure + " of these corpora"
    )
    gamma = gamma + np.einsum("jqk,bjk->bq", pull_of(rows, design, point)[0], moved)
    return FittedDataDependent(
        measure=measure,
        method="joint",
        forms=dict(forms),
        functions=functions,
        draws=_functions(gamma, follows, float(covariate.mean())),
        scatter=scatter,
        scatter_draws=draw_deviations(left, scatter, free, (bootstrap, 5), seed=seed, purpose=measure),
        origin=rows.origin,
        corpora=dict(zip(rows.corpora, scale.coefficients(point.eta[0]), strict=True)),
        complexity=dict(complexity),
        noise=float(point.noise[0]),
        converged=bool(point.converged[0]),
        draws_converged=ended,
        **_origins(observations, excluded),
    )


def _origins(observations: Observations, excluded: tuple[Exclusion, ...]) -> dict[str, Any]:
    return {
        "domain": Domain.of(observations),
        "rows_used": len(observations),
        "excluded": excluded,
        "params_convention": observations.params_convention,
        "data_unit": observations.data_unit,
        "observations": observations.fingerprint,
        "bytes_per_token": observations.mean_bytes_per_token,
        "flops_factor": observations.flops_factor,
    }


def _refits(
    observations: Observations, rows: Rows, point: JointFits, together: Floats, design: Design, draws: int, seed: int
) -> JointFits:
    """Return the refits to resampled runs: corpora are resampled each by itself, by the method its runs allow."""
    generator = stream(seed, "joint intervals", observations.fingerprint)
    scale = design.scale
    theta = scale.coefficients(point.eta[0])
    predicted, jacobian = log_loss(theta[None], rows)
    jacobian[0] *= scale.slopes(point.eta[0], theta).T[:, rows.corpus_of]
    targets, weights = np.tile(rows.y, (draws, 1)), np.ones((draws, len(rows.y)))
    for corpus, part in zip(rows.corpora, rows.slices, strict=True):
        method = choose_method(observations.where(corpus=corpus), "auto")
        trunks = observations.trunk[rows.index[part]]
        if method == "parametric_trunks":
            residuals = rows.y[part] - predicted[0, part]
            drawn = _simulated(residuals, jacobian[0][:, part].T, trunks, float(point.noise[0]), generator, draws)
            targets[:, part] = predicted[0, part] + drawn
        else:
            weights[:, part] = counts_drawn(trunks, draws, generator)
    return fit_jointly(
        rows, design, together, start=point.eta[0], targets=targets, weights=weights, scatter=point.scatter[0]
    )


def _simulated(
    residuals: Floats, jacobian: Floats, trunks: Any, sd: float, generator: np.random.Generator, draws: int
) -> Floats:
    """Return noise (draws, n) as a corpus's own residuals show it, or of deviation `sd` where its runs are too few."""
    if len(residuals) <= jacobian.shape[1]:
        return sd * generator.standard_normal((draws, len(residuals)))
    noise = trunk_noise(residuals, jacobian, trunks, np.ones(len(residuals)))
    return noise.draw_noise(generator, noise.draw_deviations(generator, draws))


def _functions(gamma: Floats, follows: Any, centre: float) -> Floats:
    """Return intercept at 0 and slope (…, 5, 2) of γ (…, q), whose intercepts are at `centre`."""
    slopes = np.zeros((*gamma.shape[:-1], 5))
    slopes[..., follows] = gamma[..., 5:]
    return np.stack([gamma[..., :5] - slopes * centre, slopes], axis=-1)


def _lines(covariate: Floats, points: Floats, forms: Mapping[str, Form]) -> Floats:
    """Return intercept and slope (…, 5, 2) of points (…, corpora, 5); a shared coefficient is their mean."""
    solution = np.linalg.pinv(np.column_stack([np.ones_like(covariate), covariate]))
    lines = np.einsum("lc,...cp->...pl", solution, points)
    for i, name in enumerate(COEFFICIENTS):
        if forms[name] == "shared":
            lines[..., i, 0], lines[..., i, 1] = points[..., i].mean(axis=-1), 0.0
    return np.asarray(lines)
