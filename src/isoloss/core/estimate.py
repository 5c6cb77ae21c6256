"""A value with its interval."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

LEVEL = 0.95
MOST_EXPONENT = 700.0  # e to larger powers is no number


def exponential(value: float) -> float:
    """Return e to the power of a number, infinite where it is too large for one."""
    return math.exp(value) if value < MOST_EXPONENT else math.inf


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """A number with an interval at `level`. `low` and `high` are None where nothing was resampled."""

    value: float
    low: float | None = None
    high: float | None = None
    level: float = LEVEL

    @classmethod
    def from_draws(cls, draws: ArrayLike, *, value: float | None = None, level: float = LEVEL) -> "Estimate":
        """Return `value` (the median where not given) with the percentile interval of the finite draws."""
        finite = np.asarray(draws, dtype=float)
        finite = finite[np.isfinite(finite)]
        centre = float(np.median(finite)) if value is None and finite.size else value
        if centre is None:
            raise ValueError("no finite draw and no value")
        if finite.size < 2:
            return cls(value=centre, level=level)
        low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
        return cls(value=centre, low=float(low), high=float(high), level=level)

    @classmethod
    def from_stderr(cls, value: float, stderr: float, *, level: float = LEVEL) -> "Estimate":
        """Return `value` with the normal interval of its standard error."""
        from statistics import NormalDist

        half = NormalDist().inv_cdf((1 + level) / 2) * stderr
        return cls(value=value, low=value - half, high=value + half, level=level)

    def __str__(self) -> str:
        """Return the value and its interval to four digits: 0.4467 [0.4125, 0.4826]."""
        ends = "" if self.low is None or self.high is None else f" [{self.low:.4g}, {self.high:.4g}]"
        return f"{self.value:.4g}{ends}"

    @property
    def width(self) -> float | None:
        """The interval's full width, or None without one."""
        return None if self.low is None or self.high is None else self.high - self.low

    @property
    def variance(self) -> float:
        """The variance of the normal distribution whose interval is as wide; 0 without an interval."""
        from statistics import NormalDist

        return ((self.width or 0.0) / (2 * NormalDist().inv_cdf((1 + self.level) / 2))) ** 2

    def holds(self, value: float) -> bool | None:
        """Return whether the interval holds a value, None without an interval."""
        return None if self.low is None or self.high is None else self.low <= value <= self.high

    def mapped(self, rule: Callable[[float], float]) -> "Estimate":
        """Return a monotone function of the estimate, its ends mapped too; of a falling one they change places."""
        ends = [None if end is None else rule(end) for end in (self.low, self.high)]
        if ends[0] is not None and ends[1] is not None and ends[0] > ends[1]:
            ends.reverse()
        return replace(self, value=rule(self.value), low=ends[0], high=ends[1])

    def scaled(self, factor: float) -> "Estimate":
        """Return the estimate in another unit, the value and the ends times `factor`: per cent of a share."""
        return self.mapped(lambda value: factor * value)

    def exponential(self) -> "Estimate":
        """Return e to the value and to the ends: tokens per parameter of ln(D/N)."""
        return self.mapped(exponential)

    def logarithm(self) -> "Estimate":
        """Return ln of the value and of the ends: ln(D/N) of tokens per parameter."""
        return self.mapped(math.log)

    def to_json(self) -> dict[str, float | None]:
        """Return the estimate as every `--json` prints one."""
        return {"value": self.value, "low": self.low, "high": self.high, "level": self.level}
