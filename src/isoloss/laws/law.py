"""What a law is: one file and one class. A formula and the limits of its parameters are enough.

The engine works in *free* parameters: the law's own, transformed and centred on the data so that they are nearly
uncorrelated. A law translates between the two and never sees weights, objectives or resamples. It says which columns of
a run it reads; a law that does not split compute into parameters and data has no frontier, and says so.

For a law that gives `loss_of_run` and `limits` alone the rest is derived, its kernel by `isoloss.laws.formula`. A law
that is fitted thousands of times states the rest itself: a kernel with its derivatives, starts, an optimum in closed
form.
"""

import inspect
from abc import ABC
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

import numpy as np
from numpy.typing import NDArray

from isoloss.core.errors import InputError
from isoloss.laws.optimum import SLOPE_STEP, least_loss_on_budget
from isoloss.laws.settings import FitOptions, FitSettings
from isoloss.laws.starts import best_of_many
from isoloss.runs.observations import RUN_COLUMNS, Observations
from isoloss.runs.read_runs import Source, read_runs

if TYPE_CHECKING:
    from isoloss.fitting.fitted import FittedLaw

Floats = NDArray[np.float64]


class Law(ABC):
    """A parametric law of ln loss. Derive a class from it that gives `name`, `formula`, `limits` and `loss_of_run`.

    Shapes: `values` (…, p) are natural parameters in the order of `parameters`; `features` (n, k) are the numbers of
    each row that the kernel reads; `free` (…, p) are free parameters; `origin` (k,) is what features are centred on.
    Columns of runs arrive by keyword, named as in `columns`. A parameter called "E" is the irreducible loss: free
    itself, in nats per token, and what a known floor replaces or is compared with.
    """

    name: ClassVar[str]
    formula: ClassVar[str]
    source: ClassVar[str] = ""
    loss_of_run: ClassVar[Callable[..., Any]]
    """The formula: the loss of one run from the parameters in the order of `limits`, then the columns, as numbers.

    Arithmetic and NumPy's functions of numbers, so that it compiles and also takes arrays."""
    limits: ClassVar[Mapping[str, tuple[float, float]]]
    """The lowest and the highest value of each parameter of `loss_of_run`, by name."""
    parameters: ClassVar[tuple[str, ...]]
    """Names of the parameters; those of `limits` where it is given."""
    columns: ClassVar[tuple[str, ...]] = ("params", "tokens")
    """What the law reads of a run: `params`, `tokens`, `flops`, or extra columns of the table by name."""
    defaults: ClassVar[Mapping[str, str]] = {}
    """Columns that a prediction may leave out, and the column that then stands for each."""
    may_be_constant: ClassVar[frozenset[str]] = frozenset()
    """Columns that need not vary between the rows of a fit."""
    may_be_narrow: ClassVar[frozenset[str]] = frozenset()
    """Columns that determine the law without spanning a factor of several."""
    fixable: ClassVar[tuple[str, ...]]
    """Parameters that a fit can hold at a given value, each by itself: those that `fixable_with` does not name."""
    fixable_with: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Parameters that a fit can hold together with others alone: those, because their free one contains them."""
    kernel: ClassVar[Any]
    """A function (free, features, log_loss_out, jacobian_out), decorated with `isoloss.laws.compiled`, that
    fills ln L̂ (n,) and its derivatives by the free parameters (p, n). Features arrive centred, transposed: (k, n).
    Without it one is derived from `loss_of_run`, with numeric derivatives."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = cls.__dict__
        if "limits" in own:
            cls.parameters = tuple(cls.limits)
        if "parameters" in own and "fixable" not in own:
            cls.fixable = tuple(name for name in cls.parameters if name not in cls.fixable_with)
        if "loss_of_run" in own and "columns" not in own:
            cls.columns = tuple(inspect.signature(cls.loss_of_run).parameters)[len(getattr(cls, "parameters", ())) :]

    def __init__(self, **options: Unpack[FitOptions]) -> None:
        self.settings = FitSettings(**options)

    def fit(
        self, runs: Observations | Source, *, bootstrap: int | None = None, seed: int = 0, **columns: Any
    ) -> "FittedLaw":
        """Return this law fitted to one group of runs, with `bootstrap` draws; see `isoloss.fitting.fitting.fit`.

        By default there are 1,000 draws; of more than 10,000 runs there are none.

        `runs` are observations, or whatever `read_runs` reads: a file, a data frame of pandas or polars, a mapping of
        columns, a structured array of NumPy. `columns` name its columns then, as for `read_runs`; those that the law
        does not read may be missing.
        """
        # Fitting builds on laws, so it is imported where it is used.
        from isoloss.fitting.fitting import draws_or_usual, fit

        if not isinstance(runs, Observations):
            further = {name: name for name in self.further_columns()} | columns.pop("extra", {})
            runs = read_runs(runs, extra=further, **({"needs": self.columns} | columns))
        elif columns:
            raise InputError(
                f"found {', '.join(columns)} together with observations, whose columns already have names",
                fix="leave them out, or give the table itself",
            )
        draws = draws_or_usual(bootstrap, rows=len(runs))
        return fit(runs, law=type(self), settings=self.settings, bootstrap=draws, seed=seed)

    @classmethod
    def features(cls, *args: Any, **columns: Any) -> Floats:
        """Return what the kernel reads of each row, (n, k), before centring. Takes the law's columns by keyword."""
        return np.column_stack([columns[name] for name in cls.columns]).astype(np.float64)

    @classmethod
    def origin(cls, features: Floats) -> Floats:
        """Return what `features` (n, k) are centred on, (k,): their mean, or zeros where `limits` state the law."""
        return np.zeros(features.shape[1]) if hasattr(cls, "limits") else np.asarray(features.mean(axis=0))

    @classmethod
    def to_free(cls, values: Floats, origin: Floats) -> Floats:
        """Return free parameters (…, p) of natural ones: the logarithms of those whose limits are above zero."""
        values = np.asarray(values, dtype=np.float64)
        return np.where(cls._by_logarithm(), np.log(np.where(cls._by_logarithm(), values, 1.0)), values)

    @classmethod
    def to_values(cls, free: Floats, origin: Floats) -> Floats:
        """Return natural parameters (…, p) of free ones."""
        free = np.asarray(free, dtype=np.float64)
        return np.where(cls._by_logarithm(), np.exp(np.where(cls._by_logarithm(), free, 0.0)), free)

    @classmethod
    def bounds(cls, features: Floats, log_loss: Floats) -> tuple[Floats, Floats]:
        """Return the lowest and the highest free parameters, (p,) each, for centred features."""
        low, high = np.array([cls.limits[name] for name in cls.parameters], dtype=np.float64).T
        return cls.to_free(low, cls.origin(features)), cls.to_free(high, cls.origin(features))

    @classmethod
    def automatic_starts(cls, features: Floats, log_loss: Floats) -> Floats:
        """Return a small set of free starting points (s, p) that finds the optimum, for centred features."""

        def loss(points: Floats, rows: Floats) -> Floats:
            columns = {name: rows[:, place] for place, name in enumerate(cls.columns)}
            return cls.loss(cls.to_values(points, cls.origin(rows))[:, None, :], **columns)

        return best_of_many(loss, *cls.bounds(features, log_loss), rows=features, log_loss=log_loss)

    @classmethod
    def _by_logarithm(cls) -> NDArray[np.bool_]:
        """Which parameters are searched by their logarithm; E never is, so that a known floor can be held."""
        return np.array([name != "E" and cls.limits[name][0] > 0 for name in cls.parameters])

    @classmethod
    def published_starts(cls, origin: Floats) -> Floats:
        """Return the grid of free starting points (s, p) that the law's paper used. Raises InputError without one."""
        raise InputError(f"{cls.name} has no published grid of starts", fix="use starts='auto'")

    @classmethod
    def loss(cls, values: Floats, *args: Any, **columns: Any) -> Floats:
        """Return the loss in nats per token, broadcasting `values[..., i]` against the columns."""
        parameters = np.moveaxis(np.asarray(values, dtype=np.float64), -1, 0)
        with np.errstate(over="ignore"):
            found = cls.loss_of_run(*parameters, *(columns[name] for name in cls.columns))
        return np.asarray(found, dtype=np.float64)

    @classmethod
    def complete(cls, columns: Mapping[str, Floats]) -> dict[str, Floats]:
        """Return the law's columns out of `columns`, defaults filled in. Raises InputError for one that is missing."""
        found = dict(columns)
        for name, other in cls.defaults.items():
            if name not in found and other in found:
                found[name] = found[other]
        missing = [name for name in cls.columns if name not in found]
        if missing:
            raise InputError(
                f"{cls.name} reads {', '.join(cls.columns)}; found no {missing[0]}", fix=f"give {missing[0]} too"
            )
        return {name: found[name] for name in cls.columns}

    @classmethod
    def silence(cls, values: Floats, **columns: float) -> str | None:
        """Return why the law says nothing at a point, or None where it speaks: a formula may end within its columns."""
        return None

    @classmethod
    def further_columns(cls) -> tuple[str, ...]:
        """Return the columns that the law reads in addition to those of every run."""
        return tuple(name for name in cls.columns if name not in RUN_COLUMNS)

    @classmethod
    def has_frontier(cls) -> bool:
        """Whether the law splits compute into parameters and data, so that a budget has a best split."""
        return {"params", "tokens"} <= set(cls.columns)

    @classmethod
    def log_optimum(cls, values: Floats, *, log_flops: float | Floats, **given: Floats) -> Floats:
        """Return ln N of the least loss at C = 6 N D, shape (…); NaN where the law has no interior optimum.

        `given` are the law's other columns, held while N and D trade. Found numerically unless a law knows better.
        """

        def loss(values: Floats, params: Floats, tokens: Floats) -> Floats:
            return cls.loss(values, **cls.complete({"params": params, "tokens": tokens, **given}))

        return least_loss_on_budget(loss, values, log_flops=log_flops)

    @classmethod
    def exponent_a(cls, values: Floats, *, log_flops: float, **given: Floats) -> Floats:
        """Return d ln N* / d ln C at a budget, shape (…), the a of N* ∝ C^a; NaN without an interior optimum."""
        beyond, before = (cls.log_optimum(values, log_flops=log_flops + s, **given) for s in (SLOPE_STEP, -SLOPE_STEP))
        return (beyond - before) / (2 * SLOPE_STEP)


class OfLogarithms(Law):
    """A law that reads the logarithms of its columns. Parameters that none of its lists names are free as they are."""

    factors: ClassVar[Mapping[str, str]] = {}
    """A of every term A/x^α, with its α, in the order of the columns; free is the term at the data's centre, in ln."""
    scales: ClassVar[Mapping[str, str]] = {}
    """xc of every term (xc/x)^α, with its α, in the order of the columns; free is the term at the centre, in ln."""
    logarithms: ClassVar[tuple[str, ...]] = ()
    """Parameters whose logarithms are free."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        terms = {**cls.factors, **cls.scales} if hasattr(cls, "parameters") else {}
        cls.fixable_with = {**{name: (exponent,) for name, exponent in terms.items()}, **cls.fixable_with}
        super().__init_subclass__(**kwargs)

    @classmethod
    def to_free(cls, values: Floats, origin: Floats) -> Floats:
        """Return free parameters (…, p) of natural ones."""
        free, at = np.array(values, dtype=np.float64), cls.parameters.index
        for k, (name, exponent) in enumerate(cls.factors.items()):
            free[..., at(name)] = np.log(free[..., at(name)]) - free[..., at(exponent)] * origin[k]
        for k, (name, exponent) in enumerate(cls.scales.items()):
            free[..., at(name)] = free[..., at(exponent)] * (np.log(free[..., at(name)]) - origin[k])
        for name in cls.logarithms:
            free[..., at(name)] = np.log(free[..., at(name)])
        return free

    @classmethod
    def to_values(cls, free: Floats, origin: Floats) -> Floats:
        """Return natural parameters (…, p) of free ones."""
        values, at = np.array(free, dtype=np.float64), cls.parameters.index
        with np.errstate(over="ignore"):
            for k, (name, exponent) in enumerate(cls.factors.items()):
                values[..., at(name)] = np.exp(values[..., at(name)] + values[..., at(exponent)] * origin[k])
            for k, (name, exponent) in enumerate(cls.scales.items()):
                values[..., at(name)] = np.exp(origin[k] + values[..., at(name)] / values[..., at(exponent)])
            for name in cls.logarithms:
                values[..., at(name)] = np.exp(values[..., at(name)])
        return values

    @classmethod
    def features(cls, *args: Any, **columns: Any) -> Floats:
        """Return the logarithms of the law's columns, (n, k)."""
        return np.asarray(np.log(super().features(**columns)))
