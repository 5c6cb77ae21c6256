"""Exponents: a curve of means over sequences, fitted by least squares on logarithms, with the interval of a bootstrap.

The fit weighs every point alike and asks no more of the curve than its mean slope on logarithmic axes: a curve that
bends still has one, and the curve stands in the record to be looked at.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from isoloss.complexity.base import BaseMeasure, Curve, Floats, Measured, MeasureUnit
from isoloss.complexity.bootstrap import Unit, resampled_means, resampled_unit
from isoloss.complexity.sample import Sample
from isoloss.core.estimate import Estimate


@dataclass(frozen=True, kw_only=True, eq=False)
class Exponent:
    """A fitted exponent, its value in each resample, and the curve it was fitted to."""

    value: float
    draws: Floats
    curve: Curve
    sequences: int
    resampled: Unit | Literal["group"]

    def measured(self) -> Measured:
        """Return the exponent with its percentile interval."""
        value = Estimate.from_draws(self.draws, value=self.value)
        return Measured(value=value, sequences=self.sequences, resampled=self.resampled, curve=self.curve)


class ExponentMeasure(BaseMeasure):
    """An exponent of a power law that the text's statistics are fitted with."""

    unit: ClassVar[MeasureUnit] = "exponent"

    @abstractmethod
    def exponent(self, sample: Sample, rng: np.random.Generator) -> Exponent:
        """Return the exponent. Raises Unidentified where the text does not determine one."""

    def measure(self, sample: Sample, rng: np.random.Generator) -> Measured:
        """Return the exponent with its interval."""
        return self.exponent(sample, rng).measured()


class MeanCurve(ExponentMeasure):
    """The exponent of a mean over sequences of one curve each. `sign` is −1 for curves that fall, +1 for growth."""

    sign: ClassVar[Literal[-1, 1]] = -1
    x_name: ClassVar[str]
    y_name: ClassVar[str]

    @abstractmethod
    def curves(self, sample: Sample) -> tuple[Floats, Floats]:
        """Return x (points), and positive y of each sequence at them (sequences × points)."""

    def exponent(self, sample: Sample, rng: np.random.Generator) -> Exponent:
        """Return `sign` times the slope of the mean curve on logarithmic axes."""
        x, y = self.curves(sample)
        mean = y.mean(axis=0)
        return Exponent(
            value=self.sign * float(slopes(x, mean)),
            draws=self.sign * slopes(x, resampled_means(y, sample.document, rng=rng)),
            curve=curve(x, mean, x_name=self.x_name, y_name=self.y_name),
            sequences=len(y),
            resampled=resampled_unit(sample.document),
        )


def slopes(x: Floats, y: Floats) -> NDArray[np.float64]:
    """Return the least-squares slope of ln y (… × points) on ln x (points)."""
    centred = np.log(x) - np.log(x).mean()
    return np.asarray(np.log(y) @ centred / (centred @ centred))


def curve(x: Floats, y: Floats, *, x_name: str, y_name: str, fitted: NDArray[np.bool_] | None = None) -> Curve:
    """Return a curve for the record; all of its points fitted where not said."""
    used = np.ones(len(x), dtype=bool) if fitted is None else fitted
    return Curve(x_name=x_name, y_name=y_name, x=tuple(x.tolist()), y=tuple(y.tolist()), fitted=tuple(used.tolist()))
