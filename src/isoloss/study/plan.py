"""From a study to its runs: every size × token count × seed on every corpus, as specs, with what they will cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from isoloss.complexity.measures import open_measure
from isoloss.core.errors import InputError, UnknownName, did_you_mean
from isoloss.core.rng import derive_seed
from isoloss.corpus.corpus import Outline
from isoloss.corpus.sources import PcfgSource
from isoloss.execution import executor as open_executor
from isoloss.laws.registry import laws, open_law
from isoloss.runs.rules import round_tokens
from isoloss.runs.shapes import Counts, count
from isoloss.runs.spec import ModelSpec, Optimiser, RunSpec, Schedule
from isoloss.study.designs import DesignSource
from isoloss.study.spec import DATA_DEPENDENT, Study
from isoloss.training.job import TrunkJob, check_enough_windows

# Measured on the demo: training seconds of its 48 longest runs (to 4 % on average), times 1.15 for evaluation,
# checkpoints and starts. A 2022 EPYC of 95 GFLOP/s a core, fp32, context 256, vocabularies of 13 to 1,601. Untested
# above 1e6 parameters.
SECONDS_PER_TOKEN = 4.2e-6
SECONDS_PER_TOKEN_AND_PARAM = 1.12e-10


@dataclass(frozen=True, kw_only=True)
class PlannedRun:
    """One run of a study. `corpus` is the study's name for it; identity is the spec's fingerprint."""

    corpus: str
    spec: RunSpec
    counts: Counts
    flops: float


def require_runnable(study: Study, *, executor: str = "local") -> None:
    """Raise InputError for whatever can be seen to stop the study before anything is read: names and lengths."""
    open_executor(executor)
    for measure in study.complexity.measures:
        open_measure(measure, study.complexity.settings)
    for law in study.fit.corpus_laws:
        _require_law(law)
    generated = [source.name for source in study.corpus if isinstance(source, PcfgSource | DesignSource)]
    if generated and study.complexity.sequence_tokens > study.grid.context:
        raise InputError(
            f"sequences of {study.complexity.sequence_tokens} tokens are to be measured, and documents of corpus "
            f"{generated[0]!r} have {study.grid.context}, the context",
            place="complexity.sequence_tokens",
            fix=f"set it to {study.grid.context} or less, for every corpus alike",
        )


def _require_law(name: str) -> None:
    try:
        open_law(name)
    except UnknownName as error:
        known = (*laws, DATA_DEPENDENT)
        raise UnknownName(error.message, place="fit.laws", fix=did_you_mean(name, known)) from error


def plan_runs(study: Study, corpora: Mapping[str, Outline]) -> list[PlannedRun]:
    """Return every run of the study, corpus by corpus, size by size, in ascending tokens.

    Raises BadCorpus for a corpus smaller than the grid needs, and InputError where no shape fits a size.
    """
    planned = [
        run
        for name, corpus in corpora.items()
        for model in study.grid.models(vocab_size=corpus.vocab_size)
        for seed in study.grid.seeds
        for run in _points(study, name, corpus, model, seed)
    ]  # fmt: skip
    for name, corpus in corpora.items():
        specs = [run.spec for run in planned if run.corpus == name]
        check_enough_windows(specs, corpus)
        _refuse_repeats(specs, name)
    return planned


def _refuse_repeats(specs: Sequence[RunSpec], name: str) -> None:
    """Raise InputError where two targets of the grid come to the same run."""
    if len({spec.fingerprint for spec in specs}) < len(specs):
        raise InputError(
            f"two sizes or two token counts of the grid come to the same run on corpus {name!r}",
            place="grid",
            fix="space grid.params by more than 10 % and grid.tokens by more than training.batch_tokens",
        )


def _points(study: Study, name: str, corpus: Outline, model: ModelSpec, seed: int) -> list[PlannedRun]:
    training, counts = study.training, count(model)
    peak_lr = training.peak_lr.at(counts.params(study.grid.convention))
    points = []
    for tokens in study.grid.tokens:
        spec = RunSpec(
            corpus=corpus.fingerprint,
            model=model,
            train_tokens=round_tokens(tokens, batch_tokens=training.batch_tokens),
            batch_tokens=training.batch_tokens,
            optimiser=Optimiser(
                peak_lr=peak_lr, beta2=training.beta2, weight_decay=training.weight_decay,
                independent_decay=training.independent_decay, clip_norm=training.clip_norm, z_loss=training.z_loss,
            ),
            schedule=Schedule(
                kind=training.schedule, warmup_tokens=training.warmup_tokens,
                cooldown_fraction=training.cooldown_fraction, final_fraction=training.final_fraction,
            ),
            numerics=training.numerics,
            seed=derive_seed(study.seed, "run", str(seed)),
        )  # fmt: skip
        flops = counts.flops_per_token(study.grid.convention) * spec.train_tokens
        points.append(PlannedRun(corpus=name, spec=spec, counts=counts, flops=flops))
    return points


def core_seconds(jobs: Sequence[TrunkJob]) -> float:
    """Return a rough time for training on one core of a current server, without evaluations and start-up."""
    return sum(job.tokens * seconds_per_token(job) for job in jobs)


def seconds_per_token(job: TrunkJob) -> float:
    """Return a rough time per trained token of a job."""
    return SECONDS_PER_TOKEN + SECONDS_PER_TOKEN_AND_PARAM * count(job.specs[0].model).params()
