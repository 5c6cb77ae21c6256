"""What a measure is: a class that gives one number for each sequence of a sample."""

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, JsonValue

from isoloss.complexity.bootstrap import Summary
from isoloss.complexity.sample import Sample
from isoloss.core.frozen import Frozen

Floats = NDArray[np.float64]


class MeasureSettings(Frozen):
    """What is measured: up to `samples` sequences of `sequence_tokens` tokens, each written in `token_bytes` bytes."""

    sequence_tokens: int = Field(default=256, gt=1)
    token_bytes: int = Field(default=4, ge=1, le=8)
    samples: int = Field(default=1000, gt=1)


class Measure(ABC):
    """One number for each sequence of a sample.

    A measure of your own derives from this class, gives `values`, and is named `module:Name` wherever a name is
    asked. `summary` says which statistic of the values is the measure's value. A measure that learns before it scores
    says with `learning_tokens` on how many tokens; the sample then brings them as `others`.
    """

    summary: ClassVar[Summary] = "mean"
    learning_tokens: ClassVar[int] = 0

    def __init__(self, settings: MeasureSettings) -> None:
        self.settings = settings

    @abstractmethod
    def values(self, sample: Sample) -> Floats:
        """Return one number for each of `sample.sequences`."""

    def details(self) -> dict[str, JsonValue]:
        """Return settings beyond the common ones, for the record."""
        return {}
