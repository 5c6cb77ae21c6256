"""What a fit leaves behind: the law at its optimum, its draws, and everything that is derived from them."""

import html
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from isoloss.core import files
from isoloss.core.errors import InputError, Unidentified
from isoloss.core.estimate import LEVEL, Estimate
from isoloss.core.schema import refuse_newer
from isoloss.laws.law import Floats, Law, Objective, WeightsName
from isoloss.laws.registry import open_law
from isoloss.runs.observations import DataUnit, Observations

IntervalMethod = Literal["rows", "trunks", "parametric_trunks", "none"]

LAW_SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class LawWarning:
    """Something about a fit that a reader must know: `code` for programs, `message` with the remedy for people.

    `rows` are the 1-based positions in the source of the runs that it is about, where it is about some of them.
    """

    code: str
    message: str
    rows: tuple[int, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return {"code": self.code, "message": self.message, "rows": list(self.rows)}


@dataclass(frozen=True, kw_only=True)
class Domain:
    """The ranges of parameters, data and FLOPs that the fitted rows span: outside them a law extrapolates."""

    params_low: float
    params_high: float
    tokens_low: float
    tokens_high: float
    flops_low: float
    flops_high: float

    @classmethod
    def of(cls, observations: Observations) -> "Domain":
        """Return the ranges of a table."""
        spans = [
            (float(c.min()), float(c.max())) for c in (observations.params, observations.tokens, observations.flops)
        ]
        (n_low, n_high), (d_low, d_high), (c_low, c_high) = spans
        return cls(
            params_low=n_low, params_high=n_high, tokens_low=d_low, tokens_high=d_high,
            flops_low=c_low, flops_high=c_high,
        )  # fmt: skip

    def extrapolation(self, *, params: float, tokens: float, flops: float) -> float:
        """Return the largest factor by which a point lies outside the ranges: 1 inside, 10 ten times beyond an edge."""
        return max(
            _beyond(params, self.params_low, self.params_high),
            _beyond(tokens, self.tokens_low, self.tokens_high),
            _beyond(flops, self.flops_low, self.flops_high),
        )


def _beyond(value: float, low: float, high: float) -> float:
    # A budget computed from its own range must not count as outside it by the last digit.
    factor = max(value / high, low / value, 1.0)
    return 1.0 if factor < 1 + 1e-9 else factor


@dataclass(frozen=True, kw_only=True)
class Exclusion:
    """A row that a fit left out, and why. `row` is its 1-based position in the source."""

    row: int
    run: str
    reason: str


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


@dataclass(frozen=True, kw_only=True)
class FrontierPoint:
    """The loss-minimising split of one budget. `log_ratio` is ln(tokens/params) there.

    `extrapolation` is the largest factor by which the budget, the parameters or the tokens lie outside the fitted
    ranges; `interpolated` means that none does.
    """

    flops: float
    params: Estimate
    tokens: Estimate
    loss: Estimate
    log_ratio: Estimate
    interpolated: bool
    extrapolation: float


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedLaw:
    """A law at its optimum. `draws` are (draws × parameters) refits in the order of `params`; there may be none.

    `objective_value` is the sum of the row losses; `rmse` the root mean square of ln L − ln L̂ over the rows used;
    `observations` the fingerprint of the fitted table; `group` the corpus, or "all" for a table of several; `fixed`
    names parameters that were held. Intervals on everything come from the draws.
    """

    law: str
    group: str
    params: dict[str, Estimate]
    draws: Floats
    objective: Objective
    delta: float
    objective_value: float
    convergence: Convergence
    warnings: tuple[LawWarning, ...]
    domain: Domain
    rmse: float
    rows_used: int
    excluded: tuple[Exclusion, ...] = ()
    params_convention: str
    data_unit: DataUnit
    interval_method: IntervalMethod
    observations: str
    seed: int
    fit_seconds: float = 0.0
    fixed: tuple[str, ...] = ()
    weights: WeightsName = "equal"
    bootstrap_seconds: float = 0.0

    @property
    def values(self) -> Floats:
        """The parameters at the optimum, in order."""
        return np.array([estimate.value for estimate in self.params.values()])

    @property
    def definition(self) -> type[Law]:
        """The law itself: its formula and its optimum."""
        return open_law(self.law)

    def predict(self, *, params: ArrayLike, tokens: ArrayLike, convention: str | None = None) -> Floats:
        """Return the loss in nats per token at the optimum's parameters, in the broadcast shape of the arguments.

        `convention` says how `params` counts, where the caller knows: a law refuses another than its own (InputError).
        """
        self._check_convention(convention, self.data_unit)
        size, data = np.broadcast_arrays(_positive("params", params), _positive("tokens", tokens))
        return self.definition.loss(self.values, params=size, tokens=data)

    def predict_draws(self, *, params: ArrayLike, tokens: ArrayLike, convention: str | None = None) -> Floats:
        """Return the loss of every draw: (draws × points). Points are the flattened broadcast of the arguments."""
        self._check_convention(convention, self.data_unit)
        size, data = np.broadcast_arrays(_positive("params", params), _positive("tokens", tokens))
        return self.definition.loss(self.draws[:, None, :], params=size.ravel(), tokens=data.ravel())

    def predict_estimate(self, *, params: float, tokens: float, convention: str | None = None) -> Estimate:
        """Return the loss at one point with the interval of its draws."""
        value = float(self.predict(params=params, tokens=tokens, convention=convention))
        return self._estimate(value, self.predict_draws(params=params, tokens=tokens)[:, 0])

    def residuals(self, observations: Observations) -> Floats:
        """Return ln L − ln L̂ of every row. Raises InputError where the table counts by another convention or unit."""
        self._check_convention(observations.params_convention, observations.data_unit)
        predicted = self.predict(params=observations.params, tokens=observations.tokens)
        return np.log(observations.loss_nats) - np.log(predicted)

    def frontier(self, *, flops: Sequence[float]) -> list[FrontierPoint]:
        """Return the loss-minimising parameters and tokens for each budget.

        `flops` counts training FLOPs as 6 · params · tokens. Raises Unidentified where the law has no interior optimum.
        Hoffmann et al. 2022, eq. 4.
        """
        return [self.optimum(budget) for budget in flops]

    def optimum(self, flops: float) -> FrontierPoint:
        """Return the loss-minimising split of one budget. Raises Unidentified where there is none."""
        log_params, log_ratio = self._optima(flops)
        params, tokens = np.exp(log_params), np.exp(log_params + log_ratio)
        loss = self.definition.loss(np.vstack([self.values, self.draws]), params=params, tokens=tokens)
        extrapolation = self.domain.extrapolation(params=params[0], tokens=tokens[0], flops=flops)
        return FrontierPoint(
            flops=float(flops),
            params=self._estimate_head(params),
            tokens=self._estimate_head(tokens),
            loss=self._estimate_head(loss),
            log_ratio=self._estimate_head(log_ratio),
            interpolated=extrapolation == 1.0,
            extrapolation=extrapolation,
        )

    def log_ratio(self, flops: float) -> Estimate:
        """Return ln(tokens/params) at the optimum of a budget. Raises Unidentified where there is none."""
        return self._estimate_head(self._optima(flops)[1])

    def log_ratio_draws(self, flops: float) -> Floats:
        """Return ln(tokens/params) at each draw's optimum; NaN where a draw has none."""
        return self._optima(flops)[1][1:]

    def exponent_a(self) -> Estimate:
        """Return a of N* ∝ C^a, for Chinchilla's form β/(α+β). Raises Unidentified where there is no optimum."""
        exponents = self.definition.exponent_a(np.vstack([self.values, self.draws]))
        if not np.isfinite(exponents[0]):
            raise self._unidentified()
        return self._estimate_head(exponents)

    def summary(self) -> str:
        """Return the fit as a page of text."""
        from isoloss.laws.summary import summary_text

        return summary_text(self)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.summary())}</pre>"

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data: one element of `fits`. `exponent_a` is null where no optimum exists."""
        try:
            exponent = self.exponent_a().to_json()
        except Unidentified:
            exponent = None
        convergence = asdict(self.convergence) | {"active_bounds": list(self.convergence.active_bounds)}
        condition = self.convergence.condition_number
        convergence["condition_number"] = condition if np.isfinite(condition) else None
        return {
            "group": self.group,
            "law": self.law,
            "params": {name: estimate.to_json() for name, estimate in self.params.items()},
            "exponent_a": exponent,
            "objective": self.objective,
            "delta": self.delta,
            "objective_value": self.objective_value,
            **convergence,
            "warnings": [warning.to_json() for warning in self.warnings],
            "domain": asdict(self.domain),
            "rmse": self.rmse,
            "rows_used": self.rows_used,
            "excluded": [asdict(exclusion) for exclusion in self.excluded],
            "params_convention": self.params_convention,
            "data_unit": self.data_unit,
            "interval_method": self.interval_method,
            "n_draws": len(self.draws),
            "observations": self.observations,
            "seed": self.seed,
            "fixed": list(self.fixed),
            "weights": self.weights,
            "fit_seconds": self.fit_seconds,
            "bootstrap_seconds": self.bootstrap_seconds,
        }

    def save(self, path: Path | str) -> None:
        """Write the law as JSON to `path` and its draws as Parquet beside it, atomically, the JSON last."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        target = Path(path)
        table = pa.table({name: pa.array(self.draws[:, i]) for i, name in enumerate(self.params)})
        with files.replacing(_draws_path(target)) as temporary:
            pq.write_table(table, temporary)
        files.write_json(target, {"schema": LAW_SCHEMA, "kind": "isoloss law", **self.to_json()})

    @classmethod
    def load(cls, path: Path | str) -> "FittedLaw":
        """Return the law that `save` wrote. Raises InputError for another file, NewerArchive for a newer version's."""
        source = Path(path)
        content = _read_law(source)
        try:
            return _from_json(content, draws=_read_draws(_draws_path(source), list(content["params"])))
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"not a fitted law: {error!r}", place=str(source), fix="write one with isoloss fit … --out LAW.json"
            ) from error

    def _optima(self, flops: float) -> tuple[Floats, Floats]:
        """Return ln params and ln(tokens/params) at the optimum of the law and of every draw, the law first."""
        if not (np.isfinite(flops) and flops > 0):
            raise InputError(f"a budget of {flops:g} FLOPs", fix="give a finite number above zero")
        log_params = self.definition.log_optimum(np.vstack([self.values, self.draws]), log_flops=float(np.log(flops)))
        if not np.isfinite(log_params[0]):
            raise self._unidentified()
        return log_params, np.log(flops / 6) - 2 * log_params

    def _unidentified(self) -> Unidentified:
        shown = ", ".join(f"{name} = {estimate.value:.4g}" for name, estimate in self.params.items())
        return Unidentified(
            f"the {self.law} law fitted to {self.group!r} has no interior optimum ({shown})",
            fix="widen the grid in parameters and in tokens, and leave out unconverged or saturated runs",
        )

    def _estimate_head(self, values: Floats) -> Estimate:
        return self._estimate(float(values[0]), values[1:])

    def _estimate(self, value: float, draws: Floats) -> Estimate:
        """Return the draws' interval, or none where more draws lack the quantity than a tail of it may hold."""
        missing = len(draws) - np.isfinite(draws).sum()
        if missing > (1 - LEVEL) / 2 * len(draws):
            return Estimate(value=value)
        return Estimate.from_draws(draws, value=value)

    def _check_convention(self, params_convention: str | None, data_unit: str) -> None:
        if params_convention is not None and params_convention != self.params_convention:
            raise InputError(
                f"the law counts parameters as {self.params_convention!r}, the call as {params_convention!r}",
                fix=f"count parameters as {self.params_convention!r}, or fit a law on the other count",
            )
        if data_unit != self.data_unit:
            raise InputError(
                f"the law counts data in {self.data_unit}, the table in {data_unit}",
                fix=f"give the data in {self.data_unit}, or fit a law on {data_unit}",
            )


def _positive(name: str, values: ArrayLike) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if not (np.isfinite(array) & (array > 0)).all():
        raise InputError(f"{name} hold a value that is not above zero", fix=f"give finite {name} above zero")
    return array


def _draws_path(path: Path) -> Path:
    return path.with_name(f"{path.stem}.draws.parquet")


def _read_law(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"cannot be read as a law: {error}", place=str(path), fix="name a file that fit wrote"
        ) from error
    if not isinstance(content, dict) or content.get("kind") != "isoloss law":
        raise InputError("not a fitted law", place=str(path), fix="write one with isoloss fit … --out LAW.json")
    refuse_newer(content.get("schema"), LAW_SCHEMA, place=path)
    return content


def _read_draws(path: Path, names: list[str]) -> Floats:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"the draws cannot be read: {error}", place=str(path), fix="fit the law again") from error
    return np.column_stack([table[name].to_numpy().astype(np.float64) for name in names])


def _from_json(content: dict[str, Any], *, draws: Floats) -> FittedLaw:
    convergence = {key: content[key] for key in Convergence.__dataclass_fields__}
    convergence["active_bounds"] = tuple(convergence["active_bounds"])
    condition = convergence["condition_number"]
    convergence["condition_number"] = float("inf") if condition is None else condition
    parts: dict[str, Any] = {
        "params": {name: Estimate(**estimate) for name, estimate in content["params"].items()},
        "draws": draws,
        "convergence": Convergence(**convergence),
        "warnings": tuple(
            LawWarning(code=w["code"], message=w["message"], rows=tuple(w["rows"])) for w in content["warnings"]
        ),
        "domain": Domain(**content["domain"]),
        "excluded": tuple(Exclusion(**exclusion) for exclusion in content["excluded"]),
        "fixed": tuple(content["fixed"]),
    }
    fields: dict[str, Any] = {
        key: parts[key] if key in parts else content[key] for key in FittedLaw.__dataclass_fields__
    }
    return FittedLaw(**fields)
