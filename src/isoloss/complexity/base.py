"""What a measure is: a class that turns a sample of a text into one number with its interval."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, JsonValue

from isoloss.complexity.bootstrap import Summary, Unit, estimate, resampled_unit
from isoloss.complexity.sample import Sample
from isoloss.core.errors import InputError, require_known
from isoloss.core.estimate import Estimate
from isoloss.core.frozen import Frozen

Floats = NDArray[np.float64]
MeasureUnit = Literal["ratio", "nats_per_token", "exponent", "other"]


MOST_TOKENS = 1 << 24  # of a sequence or block


class MeasureSettings(Frozen):
    """What is measured: up to `samples` sequences of `sequence_tokens` tokens, each written in `token_bytes` bytes.

    Measures over long blocks read blocks of `block_tokens` tokens instead.
    """

    sequence_tokens: int = Field(default=256, gt=1, le=MOST_TOKENS)
    token_bytes: int = Field(default=4, ge=1, le=8)
    samples: int = Field(default=1000, gt=1, le=1_000_000)
    block_tokens: int = Field(default=1 << 16, ge=1 << 8, le=MOST_TOKENS)


class Curve(Frozen):
    """The curve behind a measure: `y` at each `x`, and which of the points its exponent was fitted to."""

    x_name: str
    y_name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    fitted: tuple[bool, ...]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a measure found: its value, and where it has them the statistics over sequences or the curve fitted."""

    value: Estimate
    sequences: int
    resampled: Unit | Literal["group"]
    median: float | None = None
    mean: float | None = None
    std: float | None = None
    curve: Curve | None = None


class BaseMeasure(ABC):
    """One number with an interval for a sample.

    `unit` says what the number is, and with it whether bits per byte follow from it. A measure that learns before it
    scores says with `learning_tokens` on how many tokens; the sample then brings them as `others`. One over long
    `blocks` is given blocks of consecutive tokens, whatever documents they cross, in place of sequences.
    """

    unit: ClassVar[MeasureUnit] = "other"
    learning_tokens: ClassVar[int] = 0
    blocks: bool = False

    def __init__(self, settings: MeasureSettings) -> None:
        self.settings = settings

    @abstractmethod
    def measure(self, sample: Sample, rng: np.random.Generator) -> Measured:
        """Return the value of the sample with its interval."""

    def details(self) -> dict[str, JsonValue]:
        """Return settings beyond the common ones, for the record."""
        return {}


class Measure(BaseMeasure):
    """One number for each sequence of a sample.

    A measure of your own derives from this class, gives `values`, and is named `module:Name` wherever a name is
    asked. `summary` says which statistic of the values is the measure's value.
    """

    summary: ClassVar[Summary] = "mean"

    @abstractmethod
    def values(self, sample: Sample) -> Floats:
        """Return one number for each of `sample.sequences`."""

    def measure(self, sample: Sample, rng: np.random.Generator) -> Measured:
        """Return the median or mean of the values; its interval resamples documents."""
        values = _one_each(self.values(sample), len(sample.sequences), place=place_of(type(self)))
        return summarised(values, sample.document, self.summary, rng)


class Floor(BaseMeasure):
    """The best possible loss, in nats per token: what a model that knew the source would pay. Known for grammars.

    The mean over the held-out documents of a generated corpus of the exact next-token loss at positions 2…n, by
    prefix probabilities (Jelinek & Lafferty 1991; Stolcke 1995). Relabelling ids does not move it.
    """

    unit: ClassVar[MeasureUnit] = "nats_per_token"

    def measure(self, sample: Sample, rng: np.random.Generator) -> Measured:
        """Return the mean floor of the held-out documents. Raises InputError where the source is not known."""
        if sample.floor is None:
            raise InputError(
                "the lowest possible loss is known only for generated corpora", place="measure floor",
                fix="leave the measure out, or measure a corpus that a grammar generated",
            )  # fmt: skip
        return summarised(sample.floor, np.arange(len(sample.floor)), "mean", rng)


def place_of(measure: type[BaseMeasure]) -> str:
    """Return how errors name the class of a measure."""
    return f"measure {measure.__module__}:{measure.__qualname__}"


def check_definition(measure: type[BaseMeasure]) -> None:
    """Raise InputError for a class of an unknown unit or summary."""
    require_known(str(measure.unit), get_args(MeasureUnit), what="unit", place=place_of(measure))
    if issubclass(measure, Measure):
        require_known(str(measure.summary), get_args(Summary), what="summary", place=place_of(measure))


def _one_each(values: object, sequences: int, *, place: str) -> Floats:
    """Return the values of a measure as floats. Raises InputError unless they are one finite number a sequence."""
    fix = "let values(sample) return an array of one finite number for each of sample.sequences"
    try:
        found = np.asarray(values)
    except ValueError as error:  # rows of several lengths
        raise InputError(f"values are no array: {error}", place=place, fix=fix) from error
    if found.shape != (sequences,) or found.dtype.kind not in "biuf":
        raise InputError(
            f"values are of shape {found.shape} and type {found.dtype}, expected {sequences} numbers", place=place,
            fix=fix,
        )  # fmt: skip
    if not (finite := np.isfinite(found)).all():
        at = int(np.flatnonzero(~finite)[0])
        raise InputError(
            f"the value of sequence {at + 1} is {found[at]}, expected a finite number", place=place, fix=fix
        )
    return found.astype(np.float64)


def summarised(values: Floats, document: NDArray[np.int64], summary: Summary, rng: np.random.Generator) -> Measured:
    """Return the `summary` of one value a sequence, with its interval and the other statistics."""
    return Measured(
        value=estimate(values, document, summary=summary, rng=rng),
        sequences=len(values),
        resampled=resampled_unit(document),
        median=float(np.median(values)),
        mean=float(values.mean()),
        std=float(values.std(ddof=1)) if len(values) > 1 else 0.0,
    )
