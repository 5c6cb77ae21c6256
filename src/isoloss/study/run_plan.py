"""From a study to its runs: every size × token count × seed on every corpus, as specs, with what they will cost."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import product, repeat
from typing import NamedTuple

from pydantic import ValidationError

from isoloss.complexity.measures import open_measure
from isoloss.core.errors import InputError, UnknownName, did_you_mean
from isoloss.core.machine import multiplies_bfloat16
from isoloss.core.rng import derive_seed
from isoloss.corpus.corpus import Outline
from isoloss.corpus.sources import PcfgSource
from isoloss.execution import executor as open_executor
from isoloss.fitting.choice import AUTO
from isoloss.fitting.rehearsal import rehearse
from isoloss.laws.registry import laws, open_law
from isoloss.laws.settings import FitSettings
from isoloss.runs.observations import RUN_COLUMNS
from isoloss.runs.rules import HalfLife, PowerRule, Timescale, round_tokens, six_digits, whole_windows
from isoloss.runs.shapes import Counts, ParamsConvention, count
from isoloss.runs.spec import ModelSpec, Numerics, Optimiser, RunSpec, Schedule
from isoloss.study.designs import DesignSource
from isoloss.study.grid import FEWEST_SIZES, PASS_SIZES, Grid
from isoloss.study.spec import DATA_DEPENDENT, Study, Training
from isoloss.training.job import TrunkJob, check_enough_windows

# Measured on the demo: training seconds of its 48 longest runs (to 4 % on average), times 1.15 for evaluation,
# checkpoints and starts. A 2022 EPYC of 95 GFLOP/s a core, fp32, context 256, vocabularies of 13 to 1,601, batches of
# 1,024 tokens. What a step costs whatever its batch is the difference between batches of 256 and 1,024 at 25,000 and
# 80,000 parameters (docs/results/recipe.md). Untested above 1e6 parameters.
SECONDS_PER_STEP = 1.0e-3
SECONDS_PER_TOKEN = 4.2e-6 - SECONDS_PER_STEP / 1024
SECONDS_PER_TOKEN_AND_PARAM = 1.12e-10
# Training in bfloat16 over float32 where pairs are taken apart and multiplied as float32. Measured with kernels for
# AVX2 alone: CPU seconds of a step at (64, 128, 2) and (256, 512, 6), vocabulary 512, were 1.85 and 1.96 times as many.
SECONDS_WITHOUT_PAIRS = 1.9


HIGHEST_RATE = 10.0
MOST_RUNS = 100_000
USED_AT_MOST = 0.99  # of a corpus's tokens by a centred grid: a run is rounded to whole batches


class Variant(NamedTuple):
    """Multiples of what `[training]` says: of the peak rate and of the batch, at all horizons or the shortest alone."""

    rate: float = 1.0
    batch: float = 1.0
    shortest_alone: bool = False


GRID = Variant()


@dataclass(frozen=True, kw_only=True)
class PlannedRun:
    """One run of a study. `corpus` is the study's name for it; identity is the spec's fingerprint.

    `variant` holds the multiples of the study's own rate and batch that the run is trained at: both 1 but in sweeps.
    """

    corpus: str
    spec: RunSpec
    counts: Counts
    flops: float
    variant: Variant = GRID

    @property
    def exact_flops(self) -> float:
        """Training FLOPs counted layer by layer, attention and head included."""
        return self.counts.flops_per_token("exact") * self.spec.train_tokens


def require_runnable(study: Study, *, executor: str = "local") -> None:
    """Raise InputError for whatever can be seen to stop the study before anything is read: names, laws and lengths."""
    open_executor(executor)
    for measure in study.complexity.measures:
        open_measure(measure, study.complexity.settings)
    settings = study.fit.settings
    for law in study.fit.corpus_laws:
        if law != AUTO:
            _require_law(law, settings)
    generated = [source.name for source in study.corpus if isinstance(source, PcfgSource | DesignSource)]
    if generated and study.complexity.sequence_tokens > study.grid.context:
        raise InputError(
            f"sequences of {study.complexity.sequence_tokens} tokens are too long: documents of {generated[0]!r} have "
            f"only {study.grid.context} tokens (the context)",
            place="complexity.sequence_tokens",
            fix=f"set it to {study.grid.context} or less (one value serves all corpora)",
        )


def _require_law(name: str, settings: FitSettings) -> None:
    """Raise InputError for a law that cannot be fitted to the runs of a study, whatever their losses are."""
    try:
        law = open_law(name)
    except UnknownName as error:
        known = (AUTO, *laws, DATA_DEPENDENT)
        raise UnknownName(error.message, place="fit.laws", fix=did_you_mean(name, known)) from error
    if further := law.further_columns():
        raise InputError(
            f"{name} reads {', '.join(further)}, but runs of a study have only {', '.join(RUN_COLUMNS)}",
            place="fit.laws", fix="leave it out, or fit it to a table that has the column: isoloss fit",
        )  # fmt: skip
    try:
        rehearse(law, settings)
    except InputError as error:
        raise InputError(error.message, place=error.place or "fit", fix=error.fix) from error


def plan_runs(
    study: Study, corpora: Mapping[str, Outline], *, centres: Mapping[str, float] | None = None
) -> list[PlannedRun]:
    """Return every run of the study, corpus by corpus, size by size, in ascending tokens, variant by variant.

    Of a centred grid the first pass, and the second on the corpora of `centres`, the tokens per parameter around which
    it lies. Raises BadCorpus for a corpus smaller than the grid needs, and InputError where no shape fits a size.
    """
    planned: list[PlannedRun] = []
    _refuse_many(study, len(corpora))
    _refuse_seeds(study.grid.seeds)
    for name, corpus in corpora.items():
        runs = [
            point(study, name, corpus, model, seed, tokens, variant)
            for variant in variants(study)
            for model, seed, tokens in _places(study, name, corpus, variant, (centres or {}).get(name))
        ]
        if study.grid.centred:  # the passes may meet in a run
            runs = list({run.spec.fingerprint: run for run in runs}.values())
        specs = [run.spec for run in runs]
        check_enough_windows(specs, corpus)
        _refuse_repeats(specs, name)
        planned += runs
    return planned


def _places(
    study: Study, name: str, corpus: Outline, variant: Variant, centre: float | None
) -> list[tuple[ModelSpec, int, float]]:
    """Return model, seed and tokens of every run of a variant on a corpus: the grid's, and those outside it."""
    grid = [
        (model, seed, tokens)
        for each in _grids(study.grid, corpus, centre)
        for model, seed in product(_models(each, corpus, all_fit=not study.grid.centred), study.grid.seeds)
        for tokens in horizons(study, each, model)[: 1 if variant.shortest_alone else None]
    ]
    extra = study.further_runs(name)
    return [
        *grid,
        *((study.grid.near(one.params, vocab_size=corpus.vocab_size), one.seed, one.tokens) for one in extra),
    ]


def variants(study: Study) -> list[Variant]:
    """Return the multiples of rate and batch that the study trains its sizes at; the grid's own comes first."""
    if study.tune is None:
        return [GRID, *(Variant(rate=factor) for factor in study.training.rate_arms)]
    tune = study.tune
    return [
        Variant(six_digits(rate * batch**tune.rate_with_batch), batch, short)
        for batch in tune.batch_factors
        for rate, short in (*zip(tune.rate_factors, repeat(False)), *zip(tune.short_rate_factors, repeat(True)))
    ]


def _grids(grid: Grid, corpus: Outline, centre: float | None) -> list[Grid]:
    """Return the grid itself; of a centred one the passes, as far as the corpus has text for them."""
    if not grid.centred:
        return [grid]
    most = USED_AT_MOST * corpus.token_budget(grid.context)
    try:
        passes = [grid.first_pass(most_tokens=most)]
        return passes if centre is None else [*passes, grid.second_pass(centre, most_tokens=most)]
    except ValueError as error:
        raise InputError(
            f"{most:,.0f} tokens of {corpus.name!r} are too few for a centred grid: {error}",
            place="grid", fix="add text, lower flops or least_tokens, or expect fewer tokens_per_param",
        ) from error  # fmt: skip


def _models(grid: Grid, corpus: Outline, *, all_fit: bool) -> list[ModelSpec]:
    """Return the models of a grid; unless all have to fit, those sizes that the vocabulary leaves room for, once each.

    Raises InputError for a size that no shape fits, or where fewer than three are left.
    """
    if all_fit:
        return grid.models(vocab_size=corpus.vocab_size)
    found: dict[ModelSpec, None] = {}
    for target in grid.params:
        with suppress(InputError):
            found[grid.near(target, vocab_size=corpus.vocab_size)] = None
    if len(found) < FEWEST_SIZES:
        raise InputError(
            f"at vocabulary {corpus.vocab_size} of {corpus.name!r} {len(found)} of the sizes from {grid.params[0]:.3g} "
            f"to {grid.params[-1]:.3g} parameters have a shape, {FEWEST_SIZES} needed",
            place="grid.flops", fix="raise the budgets, or take a smaller vocabulary",
        )  # fmt: skip
    return list(found)


def horizons(study: Study, grid: Grid, model: ModelSpec) -> tuple[float, ...]:
    """Return the token counts that the study trains a model on: for a sweep the shortest and the longest."""
    tokens = grid.horizons(count(model).params(grid.convention))
    return tokens if study.tune is None else (tokens[0], tokens[-1])


def _refuse_many(study: Study, corpora: int) -> None:
    """Raise InputError for more runs than are planned, before any is."""
    grid = study.grid
    lengths = len(grid.tokens) or len(grid.budgets)
    sizes = 2 * PASS_SIZES if grid.centred else len(grid.params or grid.shapes)
    runs = corpora * len(variants(study)) * sizes * lengths * len(grid.seeds)
    runs += sum(corpora if one.corpus is None else 1 for one in study.run)
    if runs > MOST_RUNS:
        raise InputError(
            f"{runs:,} runs; at most {MOST_RUNS:,} are possible",
            place="grid",
            fix="divide the study into several studies",
        )


def _refuse_seeds(seeds: Sequence[int]) -> None:
    """Raise InputError for a seed that is listed twice: every run of it would be the same twice."""
    repeated = next((seed for seed in seeds if seeds.count(seed) > 1), None)
    if repeated is not None:
        raise InputError(
            f"seed {repeated} is listed {seeds.count(repeated)} times, and a run of one seed is one run",
            place="grid.seeds", fix="list each seed once, such as seeds = [0, 1]",
        )  # fmt: skip


def _refuse_repeats(specs: Sequence[RunSpec], name: str) -> None:
    """Raise InputError where two targets of the grid give the same run."""
    if len({spec.fingerprint for spec in specs}) < len(specs):
        raise InputError(
            f"two entries of the study (sizes, token counts or variants) give the same run on corpus {name!r}",
            place="grid",
            fix="space grid.params by more than 10 %, grid.tokens by more than training.batch_tokens, and the batches "
            "of a sweep by whole windows",
        )


def point(
    study: Study, name: str, corpus: Outline, model: ModelSpec, seed: int, tokens: float, variant: Variant = GRID
) -> PlannedRun:
    """Return one run; rules see the token count that was asked for, before it is rounded to whole batches."""
    training, counts, convention = study.training, count(model), study.grid.convention
    batch = whole_windows(
        training.batch_tokens.of(counts, tokens, convention=convention) * variant.batch, context=model.context
    )
    peak_lr = six_digits(training.peak_lr.of(counts, tokens, convention=convention) * variant.rate)
    if peak_lr > HIGHEST_RATE:
        raise InputError(
            f"peak rate {peak_lr:g} at {counts.params(convention):,} parameters, at most {HIGHEST_RATE:g} expected",
            place="training.peak_lr", fix="correct the rule of rates: AdamW learns at 1e-5 to 1e-1",
        )  # fmt: skip
    try:
        spec = _spec(study, corpus, model, seed, tokens, batch, peak_lr, counts=counts)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise InputError(
            f"the rules give {place} = {first['input']!r}: {first['msg'][0].lower()}{first['msg'][1:]}",
            place=f"training, at {counts.params(convention):,} parameters and {tokens:g} tokens",
            fix="correct the rule",
        ) from error
    flops = counts.flops_per_token(convention) * spec.train_tokens
    return PlannedRun(corpus=name, spec=spec, counts=counts, flops=flops, variant=variant)


def _spec(
    study: Study, corpus: Outline, model: ModelSpec, seed: int, tokens: float, batch: int, peak_lr: float, *,
    counts: Counts,
) -> RunSpec:  # fmt: skip
    training, convention = study.training, study.grid.convention
    warmup = training.warmup_tokens
    return RunSpec(
        corpus=corpus.fingerprint,
        model=model,
        train_tokens=round_tokens(tokens, batch_tokens=batch),
        batch_tokens=batch,
        optimiser=Optimiser(
            peak_lr=peak_lr,
            beta2=training.beta2.beta2(batch) if isinstance(training.beta2, HalfLife) else training.beta2,
            weight_decay=_weight_decay(training, counts, tokens, convention, peak_lr, steps=tokens / batch),
            independent_decay=training.independent_decay,
            clip_norm=training.clip_norm,
            z_loss=training.z_loss,
        ),
        schedule=Schedule(
            kind=training.schedule,
            warmup_tokens=round(warmup.of(counts, tokens, convention=convention)) if warmup else 0,
            cooldown_fraction=training.cooldown_fraction,
            final_fraction=_final_fraction(training, peak_lr),
            decay_exponent=training.decay_exponent,
            decay_tokens=training.decay_tokens,
        ),
        numerics=training.numerics,
        seed=derive_seed(study.seed, "run", str(seed)),
    )


def _weight_decay(
    training: Training, counts: Counts, tokens: float, convention: ParamsConvention, peak_lr: float, *, steps: float
) -> float:
    match training.weight_decay:
        case Timescale() as timescale:
            return timescale.weight_decay(peak_lr=1.0 if training.independent_decay else peak_lr, steps=steps)
        case PowerRule() as rule:
            return rule.of(counts, tokens, convention=convention)
        case None:
            return 0.0


def _final_fraction(training: Training, peak_lr: float) -> float:
    if training.final_lr is None:
        return training.final_fraction
    return min(1.0, six_digits(training.final_lr / peak_lr))


def core_seconds(jobs: Sequence[TrunkJob]) -> float:
    """Return a rough time for training on one core of a current server, without evaluations and start-up."""
    return sum(job.tokens * seconds_per_token(job) for job in jobs)


def seconds_per_token(job: TrunkJob) -> float:
    """Return a rough time per trained token of a job."""
    spec = job.specs[0]
    by_step = SECONDS_PER_STEP / spec.batch_tokens
    seconds = by_step + SECONDS_PER_TOKEN + SECONDS_PER_TOKEN_AND_PARAM * count(spec.model).params()
    return seconds * (SECONDS_WITHOUT_PAIRS if lacks_pairs(spec.numerics) else 1.0)


def lacks_pairs(numerics: Numerics) -> bool:
    """Return whether runs ask for bfloat16 on a processor that does not multiply pairs of it."""
    return numerics.dtype == "bfloat16" and numerics.device == "cpu" and not multiplies_bfloat16()


def arithmetic_warnings(numerics: Numerics) -> tuple[str, ...]:
    """Return what is to be said before anything is trained: what bfloat16 costs on a processor without it."""
    if not lacks_pairs(numerics):
        return ()
    return (
        f"this processor has no AVX512-BF16: training in bfloat16 takes about {SECONDS_WITHOUT_PAIRS:g} times as long "
        "here as in float32 (measured with one thread; several threads and openlm, which use torch's own operations, "
        'were not). Set training.dtype = "float32", which gives other runs, or train these on a processor that has it.',
    )
