"""The study file: strict TOML to a frozen `Study`. An unknown key is an error that names its nearest neighbour."""

import re
from dataclasses import fields
from importlib.resources import files as package_files
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from isoloss.complexity.base import MeasureSettings
from isoloss.core.bounds import MOST_DRAWS
from isoloss.core.errors import BadStudy, did_you_mean
from isoloss.core.files import regular
from isoloss.core.frozen import Frozen
from isoloss.core.progress import QUIET, Progress
from isoloss.core.reading import toml_in
from isoloss.corpus.sources import CorpusSource
from isoloss.laws.settings import (
    EXCLUDED_FLAGS,
    USUAL,
    FitSettings,
    FlagName,
    FloorUse,
    MethodName,
    Objective,
    StartsName,
    WeightsName,
)
from isoloss.runs.rules import LEAST, MOST, Batch, Decay, HalfLife, PowerRule, Rate, Timescale, Warmup
from isoloss.runs.spec import DECAY_TOKENS, Numerics
from isoloss.study.designs import StudyCorpus, corpus_names, expand
from isoloss.study.explain import explain, first_misread
from isoloss.study.grid import MOST_CONTEXT, Grid, Ladder
from isoloss.training.job import CHECKPOINT_SECONDS

STUDY_SCHEMA = 1
SHIPPED = ("laptop",)
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"


class ComplexitySettings(MeasureSettings):
    """Which measures, and on what."""

    measures: tuple[str, ...] = Field(default=("gzip",), min_length=1)

    @property
    def settings(self) -> MeasureSettings:
        """What is measured, whatever the measure."""
        return MeasureSettings(**self.model_dump(exclude={"measures"}))


class Training(Numerics):
    """How every run of the grid is trained; what the rules give is recorded with each run.

    Rates, batches, warm-up and weight decay are numbers, published rules by name, or power laws in parameters and
    tokens (`isoloss.runs.rules`). `final_lr` is the rate at the end of a decay where `final_fraction` of the peak will
    not do. `decay_exponent` p lets the rate of a trunk fall as (1 + t / `decay_tokens`)^-p. `rate_arms` trains the
    whole grid again at these multiples of the peak rate, to be fitted next to it.
    """

    schedule: Literal["cosine", "constant", "wsd"] = "wsd"
    batch_tokens: Batch
    peak_lr: Rate
    warmup_tokens: Warmup = None
    cooldown_fraction: float = Field(default=0.2, gt=0, le=1)
    decay_exponent: float = Field(default=0.0, ge=0, le=1)
    decay_tokens: int = Field(default=DECAY_TOKENS, gt=0)
    final_fraction: float = Field(default=0.0, ge=0, le=1)
    final_lr: float | None = Field(default=None, gt=0)
    beta2: Annotated[float, Field(ge=0, lt=1)] | HalfLife = 0.95
    weight_decay: Decay = PowerRule(value=0.1)
    independent_decay: bool = False
    clip_norm: float = Field(default=1.0, gt=0)
    z_loss: float = Field(default=0.0, ge=0)
    checkpoint_seconds: float = Field(default=CHECKPOINT_SECONDS, gt=0)  # what a kill may cost; changes no number
    keep_weights: bool = False  # the final weights of every run, as a folder that `isoloss export` copies
    rate_arms: Ladder = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.decay_exponent and self.schedule == "cosine":
            raise ValueError(
                "decay_exponent applies to the trunk of wsd and constant schedules; a cosine schedule has no trunk"
            )
        if self.decay_tokens != DECAY_TOKENS and not self.decay_exponent:
            raise ValueError("decay_tokens says when the learning rate starts to fall: give decay_exponent too")
        if self.independent_decay and isinstance(self.weight_decay, Timescale):
            raise ValueError("timescale already accounts for the learning rate: leave independent_decay out")
        return self

    @property
    def numerics(self) -> Numerics:
        """How every run computes."""
        return Numerics(**self.model_dump(include=set(Numerics.model_fields)))

    @property
    def following_horizon(self) -> tuple[str, ...]:
        """The settings that differ between the token counts of one size, so that each has a trunk of its own."""
        rules = {"batch_tokens": self.batch_tokens, "peak_lr": self.peak_lr, "warmup_tokens": self.warmup_tokens,
                 "weight_decay": self.weight_decay}  # fmt: skip
        return tuple(
            name
            for name, rule in rules.items()
            if isinstance(rule, Timescale) or (isinstance(rule, PowerRule) and rule.follows_horizon)
        )


def training_in_words(training: Training) -> str:
    """Return the rules of rate and batch, and whether the token counts of a size share a trunk."""
    following = ", ".join(training.following_horizon)
    shared = training.schedule != "cosine" and not following
    trunks = "The token counts of a size share one trunk." if shared else "Every token count is a trunk of its own"
    why = "" if shared else f": {following or 'the schedule'} follows the horizon."
    falling = f" · (1 + t/{training.decay_tokens:,})^-{training.decay_exponent:g} after t tokens"
    return (
        f"Schedule {training.schedule}; peak rate {training.peak_lr.described()}"
        f"{falling if training.decay_exponent else ''}; batch "
        f"{training.batch_tokens.described()} tokens. {trunks}{why}"
    )


class Tune(Frozen):
    """A sweep of rate × batch around what `[training]` says, at every size and the grid's first and last token count.

    Factors multiply the peak rate and the batch. `rate_with_batch` moves the middle of the rates along with the batch:
    at factor f of the batch the rates are f ** rate_with_batch times higher. `short_rate_factors` are tried at the
    shortest horizon alone: best rates are often higher there, and its runs are cheap.
    """

    rate_factors: Annotated[Ladder, Field(min_length=3)] = (0.25, 0.5, 1.0, 2.0, 4.0)
    short_rate_factors: Ladder = ()
    batch_factors: Annotated[Ladder, Field(min_length=1)] = (0.5, 1.0, 2.0)
    rate_with_batch: float = Field(default=0.5, ge=0, le=1)


class GivenModel(Frozen):
    """A model to evaluate: a folder of transformers or of ours, or a results folder with kept weights.

    `tokens` and `trained_on` say how long and on what it was trained, where its folder does not.
    """

    path: str
    name: str | None = None
    tokens: int | None = Field(default=None, gt=0)
    trained_on: str | None = None


def _model_by_path(found: Any) -> Any:
    return {"path": found} if isinstance(found, str) else found


class Evaluate(Frozen):
    """Models to evaluate on the study's corpora; `cross` takes every run of the study on every corpus of it."""

    models: tuple[Annotated[GivenModel, BeforeValidator(_model_by_path)], ...] = ()
    cross: bool = False


class OnCorpora(Frozen):
    """What every study file says: its name, its question, its corpora and how they are measured."""

    schema_version: Literal[1] = Field(alias="schema")
    name: str = Field(pattern=NAME_PATTERN)
    question: str = ""
    seed: int = Field(ge=0)
    corpus: tuple[StudyCorpus, ...] = Field(min_length=1)
    complexity: ComplexitySettings = ComplexitySettings()

    @model_validator(mode="after")
    def _named_apart(self) -> Self:
        names = corpus_names(self.corpus)
        unfit = [name for name in names if not re.fullmatch(NAME_PATTERN, name)]
        if unfit:
            raise ValueError(f"corpus name {unfit[0]!r} is also a file name: use letters, digits, '.', '_' and '-'")
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"corpus names must differ; repeated: {', '.join(repeated)}")
        return self

    def sources(self, *, context: int, folder: Path, progress: Progress = QUIET) -> list[CorpusSource]:
        """Return the sources of all corpora, designs expanded; grammars they found are kept in `folder`."""
        return expand(
            self.corpus, folder=folder, context=context, settings=self.complexity.settings, seed=self.seed,
            progress=progress,
        )  # fmt: skip


class EvaluateStudy(OnCorpora):
    """Given models on given corpora, nothing trained: a study file with `[evaluate]` and without `[grid]`."""

    seed: int = Field(default=0, ge=0)
    evaluate: Evaluate
    context: int = Field(default=256, gt=1, le=MOST_CONTEXT)
    dtype: Literal["float32", "bfloat16"] = "float32"
    device: Literal["cpu", "cuda"] = "cpu"
    threads: int = Field(default=1, gt=0)

    @model_validator(mode="after")
    def _names_models(self) -> Self:
        if not self.evaluate.models:
            raise ValueError("evaluate.models is empty: name folders of models, or add [grid] and [training]")
        return self

    @property
    def numerics(self) -> Numerics:
        """How models compute."""
        return Numerics(dtype=self.dtype, device=self.device, threads=self.threads)


class Holdout(Frozen):
    """Runs that the fit never sees, predicted afterwards."""

    flops_above: float = Field(gt=0)


DATA_DEPENDENT = "data_dependent"
GENERATED = "generated"
# Keys that came later: written down where they are used alone, so that the identities of other studies stay.
LATER = ("starts", "fixed", "weights", "exclude_flags", "method")


class Fit(Frozen):
    """Which laws, by which settings (`isoloss.laws.settings`), with how many resamples.

    The first law that is fitted corpus by corpus is the one that frontier, balance and intervals' coverage are of.
    `auto` stands for the law that predicts training curves left out best, on all corpora together. `data_dependent` is
    no law of a corpus: it asks for the test on left-out corpora. A user's own law is `module:Name`.
    """

    laws: tuple[str, ...] = ("chinchilla", DATA_DEPENDENT)
    objective: Objective = "huber"
    delta: float = Field(default=1e-3, gt=0)
    bootstrap: int = Field(default=1000, ge=0, le=MOST_DRAWS)
    floor: FloorUse = "score"  # what E is to the exact floor of generated corpora
    starts: StartsName = "auto"
    fixed: dict[str, float] = Field(default_factory=dict)
    weights: WeightsName = "equal"
    exclude_flags: tuple[FlagName, ...] = EXCLUDED_FLAGS
    method: MethodName = "auto"
    # Scale of the prior of how far texts scatter in ln(D*/N*), for reasons that no measure tells. 0 is no prior.
    scatter_prior: float = Field(default=0.15, ge=0)
    holdout: Holdout | None = None

    @property
    def settings(self) -> FitSettings:
        """How every law of a corpus is fitted."""
        return FitSettings(**{each.name: getattr(self, each.name) for each in fields(FitSettings)})

    def prior_of(self, kind: str | None) -> float | None:
        """Return the scale of the prior of the scatter between corpora of a kind; None for none: grammars have none."""
        return None if kind == GENERATED else self.scatter_prior or None

    @property
    def corpus_laws(self) -> tuple[str, ...]:
        """The laws to fit to each corpus by itself, without repeats; Chinchilla's where none is named."""
        return tuple(dict.fromkeys(name for name in self.laws if name != DATA_DEPENDENT)) or ("chinchilla",)

    @model_serializer(mode="wrap")
    def _as_used(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = plain(self)
        unused = {name for name in LATER if getattr(self, name) == getattr(USUAL, name)}
        return {name: value for name, value in written.items() if name not in unused}


class FurtherRun(Frozen):
    """A run outside the grid, as `isoloss next` proposes them: a target size, tokens and a seed.

    It is trained on `corpus`; without a name on every corpus of the study.
    """

    corpus: str | None = None
    params: float = Field(ge=LEAST, le=MOST)
    tokens: float = Field(ge=LEAST, le=MOST)
    seed: int = 0


class Study(OnCorpora):
    """One question: corpora, measures, a grid, a way of training, laws to fit; or with `tune`, rates and batches.

    `run` lists runs outside the grid.
    """

    grid: Grid
    training: Training
    fit: Fit = Fit()
    tune: Tune | None = None
    evaluate: Evaluate | None = None
    run: tuple[FurtherRun, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        batch = self.training.batch_tokens
        is_number = not (batch.exponent or batch.tokens_exponent)
        if is_number and batch.value % self.grid.context:
            raise ValueError(
                f"training.batch_tokens {batch.value:g} is not a multiple of grid.context {self.grid.context}: "
                f"give {max(1, round(batch.value / self.grid.context)) * self.grid.context}"
            )
        if 1.0 in self.training.rate_arms:
            raise ValueError("training.rate_arms: 1 is the grid itself; name other factors, such as 0.5 and 2")
        if self.tune and self.grid.centred:
            raise ValueError('a [tune] study sweeps sizes that are given: leave grid.design = "centred" out')
        if self.tune and len(self.grid.tokens) < 2:
            raise ValueError("a [tune] study compares the first and the last of grid.tokens: give at least two")
        names = corpus_names(self.corpus)
        strangers = sorted({run.corpus for run in self.run if run.corpus is not None} - set(names))
        if strangers:
            raise ValueError(f"run: no corpus {strangers[0]!r}: {did_you_mean(strangers[0], names)}")
        if self.tune and self.run:
            raise ValueError("a [tune] study sweeps its grid: it takes no [[run]]")
        if self.tune and self.training.rate_arms:
            raise ValueError("training.rate_arms belong to a study of the grid, not to one with [tune]")
        return self

    def further_runs(self, corpus: str) -> list[FurtherRun]:
        """Return the runs outside the grid that a corpus is to have."""
        return [run for run in self.run if run.corpus in (None, corpus)]

    @classmethod
    def load(cls, path: Path | str) -> "Study":
        """Return the study in the TOML file at `path`. Raises BadStudy naming the place and the fix."""
        return cls.parse(_text(Path(path)), place=str(path))

    @classmethod
    def shipped(cls, name: str) -> "Study":
        """Return a study that comes with the package, by name."""
        return cls.parse(shipped_text(name), place=f"{name}.toml")

    @classmethod
    def parse(cls, text: str, *, place: str) -> "Study":
        """Return the study in `text`; `place` is named in errors."""
        return _validated(cls, _content(text, place=place), place=place)


def load_study(path: Path | str) -> Study | EvaluateStudy:
    """Return what the TOML file at `path` asks for: a study, or with `[evaluate]` and no `[grid]` evaluations alone.

    Raises BadStudy naming the place and the fix.
    """
    content = _content(_text(Path(path)), place=str(path))
    if "evaluate" in content and "grid" not in content:
        return _validated(EvaluateStudy, content, place=str(path))
    return _validated(Study, content, place=str(path))


def _text(path: Path) -> str:
    try:
        return regular(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        fix = "write one with `isoloss new NAME`, or check the path"
        raise BadStudy("no such study file", place=str(path), fix=fix) from error
    except (OSError, UnicodeDecodeError) as error:
        raise BadStudy(f"cannot be read: {error}", place=str(path), fix="give a TOML file in UTF-8") from error


def _content(text: str, *, place: str) -> dict[str, Any]:
    try:
        content = toml_in(text)
    except ValueError as error:
        raise BadStudy(f"not valid TOML: {error}", place=place, fix="correct the line named") from error
    _require_schema(content, place=place)
    return content


Kind = TypeVar("Kind", bound=Frozen)


def _validated(kind: type[Kind], content: dict[str, Any], *, place: str) -> Kind:
    try:
        found = kind.model_validate(content)
    except ValidationError as error:
        message, fix = explain(error, kind)
        raise BadStudy(message, place=place, fix=fix) from error
    if misread := first_misread(content, found):
        key, value = misread
        fix = "write it without quotes" if isinstance(value, str) else "write a number"
        raise BadStudy(f"{key}: found {value!r}, expected a number", place=place, fix=fix)
    return found


def shipped_text(name: str) -> str:
    """Return the TOML text of a shipped study."""
    if name not in SHIPPED:
        raise BadStudy(f"no shipped study {name!r}", fix=did_you_mean(name, SHIPPED))
    return (package_files("isoloss.study") / "studies" / f"{name}.toml").read_text(encoding="utf-8")


def _require_schema(content: dict[str, Any], *, place: str) -> None:
    found = content.get("schema", STUDY_SCHEMA)
    if type(found) is not int:
        raise BadStudy(
            f"schema: found {found!r}, expected a whole number", place=place, fix=f"write schema = {STUDY_SCHEMA}"
        )
    if found > STUDY_SCHEMA:
        raise BadStudy(
            f"written for study schema {found}; this version of isoloss reads up to {STUDY_SCHEMA}",
            place=place,
            fix="upgrade isoloss: pip install --upgrade isoloss",
        )
