"""What a law is: one file and one class that name its parameters, its formula, its optimum and its kernel.

The engine works in *free* parameters: the law's own, transformed and centred on the data so that they are nearly
uncorrelated. A law translates between the two and never sees weights, objectives or resamples.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from isoloss.core.errors import InputError
from isoloss.runs.importers import Source, read_runs
from isoloss.runs.observations import Observations

if TYPE_CHECKING:
    from isoloss.laws.fitted import FittedLaw

Floats = NDArray[np.float64]
Objective = Literal["huber", "lad", "gaussian"]
StartsName = Literal["auto", "hoffmann"]
WeightsName = Literal["equal", "stderr"]


class Law(ABC):
    """A parametric law of ln loss. Subclass it, fill in the class attributes and methods, and register the class.

    Shapes: `values` (…, p) are natural parameters in the order of `parameters`; `features` (n, k) are the numbers of
    each row that the kernel reads; `free` (…, p) are free parameters; `origin` (k,) is the mean of the features.
    """

    name: ClassVar[str]
    formula: ClassVar[str]
    source: ClassVar[str]
    parameters: ClassVar[tuple[str, ...]]
    fixable: ClassVar[tuple[str, ...]]
    """Parameters that are free ones themselves, untransformed: these a fit can hold at a given value."""
    kernel: ClassVar[Any]
    """A function (free, features, log_loss_out, jacobian_out), decorated with `isoloss.laws.compiled`, that
    fills ln L̂ (n,) and its derivatives by the free parameters (p, n). Features arrive centred, transposed: (k, n)."""

    def __init__(
        self,
        *,
        objective: Objective = "huber",
        delta: float = 1e-3,
        starts: StartsName = "auto",
        fixed: Mapping[str, float] | None = None,
    ) -> None:
        self.objective: Objective = objective
        self.delta = delta
        self.starts: StartsName = starts
        self.fixed = dict(fixed or {})

    def fit(self, runs: Observations | Source, *, bootstrap: int = 0, seed: int = 0, **columns: Any) -> "FittedLaw":
        """Return this law fitted to one group of runs; see `isoloss.laws.fitting.fit`.

        `runs` are observations, or whatever `read_runs` reads: a file, a data frame of pandas or polars, a mapping of
        columns, a structured array of NumPy. `columns` name its columns then, as for `read_runs`.
        """
        # Fitting builds on laws, so it is imported where it is used.
        from isoloss.laws.fitting import fit

        if not isinstance(runs, Observations):
            runs = read_runs(runs, **columns)
        elif columns:
            raise InputError(
                f"found {', '.join(columns)} beside observations, whose columns have their names",
                fix="leave them out, or give the table itself",
            )
        return fit(
            runs, law=type(self), objective=self.objective, delta=self.delta, starts=self.starts,
            fixed=self.fixed, bootstrap=bootstrap, seed=seed,
        )  # fmt: skip

    @staticmethod
    @abstractmethod
    def features(*, params: Floats, tokens: Floats) -> Floats:
        """Return what the kernel reads of each row, (n, k), before centring."""

    @staticmethod
    @abstractmethod
    def to_free(values: Floats, origin: Floats) -> Floats:
        """Return free parameters (…, p) of natural ones."""

    @staticmethod
    @abstractmethod
    def to_values(free: Floats, origin: Floats) -> Floats:
        """Return natural parameters (…, p) of free ones."""

    @staticmethod
    @abstractmethod
    def bounds(features: Floats, log_loss: Floats) -> tuple[Floats, Floats]:
        """Return the lowest and the highest free parameters, (p,) each, for centred features."""

    @staticmethod
    @abstractmethod
    def automatic_starts(features: Floats, log_loss: Floats) -> Floats:
        """Return a small set of free starting points (s, p) that finds the optimum, for centred features."""

    @staticmethod
    @abstractmethod
    def published_starts(origin: Floats) -> Floats:
        """Return the grid of free starting points (s, p) that the law's paper used."""

    @staticmethod
    @abstractmethod
    def loss(values: Floats, *, params: Floats, tokens: Floats) -> Floats:
        """Return the loss in nats per token, broadcasting `values[..., i]` against params and tokens."""

    @staticmethod
    @abstractmethod
    def log_optimum(values: Floats, *, log_flops: float) -> Floats:
        """Return ln N of the least loss at C = 6 N D, shape (…); NaN where the law has no interior optimum."""

    @staticmethod
    @abstractmethod
    def exponent_a(values: Floats) -> Floats:
        """Return a of N_opt ∝ C^a, shape (…); NaN where the law has no interior optimum."""
