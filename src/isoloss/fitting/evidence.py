"""What a fit says of itself: which rows it left out, how its intervals were made, and that it reached an optimum."""

from dataclasses import dataclass
from typing import Literal

IntervalMethod = Literal["rows", "trunks", "parametric_trunks", "none"]


@dataclass(frozen=True, kw_only=True)
class Exclusion:
    """A row that a fit left out, and why. `row` is its 1-based position in the source."""

    row: int
    run: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Outlier:
    """A row that lies far off a law: ln L − ln L̂, and how many robust standard deviations of the rows that is."""

    row: int
    run: str
    residual: float
    deviations: float


@dataclass(frozen=True, kw_only=True)
class Convergence:
    """The proof that an optimum was reached.

    `starts_agreeing` of `starts` ended within relative 1e-6 of the best objective. `gradient_norm` is the largest
    cosine between the residuals' influence and a column of the Jacobian, a number without scale: 0 at an optimum, 1
    far away. `condition_number` is that of the Jacobian with columns of unit length, in coordinates centred on the
    data.
    """

    converged: bool
    starts: int
    starts_agreeing: int
    gradient_norm: float
    condition_number: float
    active_bounds: tuple[str, ...]
    iterations: int
