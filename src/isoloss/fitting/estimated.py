"""A law with its values, its draws and where its runs lie: what it predicts, and how it splits a budget."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from isoloss.core.display import Rows
from isoloss.core.errors import InputError, NotApplicable, Unidentified, did_you_mean
from isoloss.core.estimate import LEVEL, Estimate
from isoloss.core.plain_json import Plain
from isoloss.core.warned import IsolossWarning
from isoloss.fitting.domain import BELOW_OWN_LEAST, Domain, LawWarning, extrapolation_warnings, off_line_warnings
from isoloss.laws.law import Floats, Law
from isoloss.laws.registry import law_name
from isoloss.runs.observations import NO_GROUP, RUN_COLUMNS, DataUnit, of_group

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from isoloss.fitting.prediction import Prediction


@dataclass(frozen=True, kw_only=True)
class FrontierPoint(Plain):
    """The loss-minimising split of one budget. `log_ratio` is ln(tokens/params) there.

    `extrapolation` is the largest factor by which the budget, the parameters or the tokens lie outside the fitted
    ranges; `interpolated` means that none does. `data_unit` is what `tokens` counts.
    """

    flops: float
    params: Estimate
    tokens: Estimate
    loss: Estimate
    log_ratio: Estimate
    interpolated: bool
    extrapolation: float
    data_unit: DataUnit = "tokens"
    warnings: tuple[LawWarning, ...] = ()

    def cells(self) -> dict[str, object]:
        """Return what a table shows of it, by column."""
        return {
            "FLOPs": self.flops, "parameters": self.params, self.data_unit: self.tokens,
            f"{self.data_unit} per parameter": self.log_ratio.exponential(), "loss, nats": self.loss,
            "inside the runs": "yes" if self.interpolated else f"×{self.extrapolation:.3g} beyond",
        }  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class EstimatedLaw:
    """A law of one corpus. `draws` (draws × parameters) are in the order of `params`; there may be none.

    `definition` is the law's class: its formula and its optimum. `noise` (draws × 2) are the standard deviations of
    point noise and of trunk effects in ln L that go with each draw. `group` is the corpus, or "all" for a table of
    several; `observations` the fingerprint of the fitted table, of which `rows_used` rows count. Intervals on
    everything come from the draws. `bytes_per_token` relates D to FLOPs where `data_unit` is bytes, and `flops_factor`
    is what the table's FLOPs are of 6 · params · tokens, for all rows alike (1 where they are that).
    """

    definition: type[Law]
    group: str
    params: dict[str, Estimate]
    draws: Floats
    noise: Floats
    domain: Domain
    params_convention: str
    data_unit: DataUnit
    observations: str
    rows_used: int
    bytes_per_token: float | None = None
    flops_factor: float = 1.0

    @property
    def whose(self) -> str:
        """What the law was fitted to, in words: "24 runs of code", or "24 runs" of a table that names no corpus."""
        return f"{self.rows_used} runs{of_group(self.group)}"

    @property
    def title(self) -> str:
        """The law in words: "chinchilla law of code", or "chinchilla law" of a table that names no corpus."""
        return f"{self.law} law{of_group(self.group)}"

    @property
    def values(self) -> Floats:
        """The parameters at the optimum, in order."""
        return np.array([estimate.value for estimate in self.params.values()])

    @property
    def every(self) -> Floats:
        """The parameters of the law and of each draw (1 + draws, parameters), the law first."""
        return np.vstack([self.values, self.draws])

    @property
    def law(self) -> str:
        """The law's name: as registered, or `module:Name`."""
        return law_name(self.definition)

    @property
    def middle_flops(self) -> float:
        """The geometric middle of the FLOPs that the rows span: where a budget is needed and none is given."""
        low, high = self.domain.span("flops")
        return float(np.sqrt(low * high))

    def predict(self, *, convention: str | None = None, **columns: ArrayLike) -> Floats:
        """Return the loss in nats per token at the optimum's parameters, in the broadcast shape of the columns.

        Columns are those that the law reads, by name: `params` and `tokens` for most. Others of a run are accepted and
        ignored; FLOPs are 6 · params · tokens where the law reads them and they are not given. `convention` says how
        `params` counts, where the caller knows: a law refuses another than its own (InputError). Where the law says
        nothing at a point it warns (IsolossWarning), as `predict_run` does under `warnings`.
        """
        loss = self.predict_unwarned(convention=convention, **columns)
        if (reason := self.silence(columns)) is not None:
            warnings.warn(IsolossWarning(BELOW_OWN_LEAST, reason), stacklevel=2)
        return loss

    def predict_unwarned(self, *, convention: str | None = None, **columns: ArrayLike) -> Floats:
        """Return what `predict` does without a warning, for answers that carry their warnings themselves."""
        self._check_convention(convention, self.data_unit)
        return self.definition.loss(self.values, **self._columns(columns))

    def silence(self, columns: Mapping[str, ArrayLike]) -> str | None:
        """Return why the law says nothing at the first point where it does not; None where it speaks at all."""
        if self.definition.silence.__func__ is Law.silence.__func__:  # type: ignore[attr-defined]
            return None
        read = self._columns(columns)
        points = zip(*(column.ravel().tolist() for column in read.values()), strict=True)
        said = (self.definition.silence(self.values, **dict(zip(read, point, strict=True))) for point in points)
        return next((reason for reason in said if reason is not None), None)

    def predict_draws(self, *, convention: str | None = None, **columns: ArrayLike) -> Floats:
        """Return the loss of every draw: (draws × points). Points are the flattened broadcast of the columns."""
        self._check_convention(convention, self.data_unit)
        points = {name: column.ravel() for name, column in self._columns(columns).items()}
        with np.errstate(over="ignore", invalid="ignore"):  # a draw may have no loss
            return np.asarray(self.definition.loss(self.draws[:, None, :], **points))

    def predict_estimate(self, *, convention: str | None = None, **columns: float) -> Estimate:
        """Return the loss at one point with the interval of its draws.

        There is none off the line on which parameters and tokens move together, where they do.
        """
        value = float(self.predict(convention=convention, **columns))
        if off_line_warnings(self.domain, columns):
            return Estimate(value=value)
        return self._estimate(value, self.predict_draws(convention=convention, **columns)[:, 0])

    def predict_run(self, *, level: float = LEVEL, **columns: float) -> "Prediction":
        """Return what a run that was not trained will score, noise of point and trunk included.

        Columns are those that the law reads: `params` and `tokens` for most.
        """
        from isoloss.fitting.prediction import predict_run

        return predict_run(self, columns, level=level)

    def losses(self, **columns: ArrayLike) -> Floats:
        """Return the loss of the law and of each draw (1 + draws,), each at its own point of the columns.

        NaN where a draw has no answer.
        """
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            return np.asarray(self.definition.loss(self.every, **self.definition.complete(_floats(columns))))

    def best_params(self, log_flops: ArrayLike, **given: float) -> Floats:
        """Return ln N of the best split of the law and of each draw (1 + draws,), of one budget or of one each.

        NaN where there is none. `given` are the law's other columns.
        """
        # Laws split 6 N · D in their own unit of data.
        in_unit = np.asarray(log_flops) + np.log(self.data_per_flop())
        return np.asarray(self.definition.log_optimum(self.every, log_flops=in_unit, **_floats(given)))

    def flops_of(self, *, params: ArrayLike, tokens: ArrayLike, **columns: ArrayLike) -> Floats:
        """Return the training FLOPs of data in the law's own unit; other columns are ignored.

        They are 6 · params · tokens, times what the fitted table's FLOPs are of it (`flops_factor`).
        """
        six = 6 * self.flops_factor / self.data_per_token
        return np.asarray(six * np.asarray(params) * np.asarray(tokens))

    def frontier(
        self, *, flops: Sequence[float] | None = None, params: Sequence[float] | None = None, **given: float
    ) -> Rows[FrontierPoint]:
        """Return the loss-minimising parameters and tokens for each budget, or for each number of parameters.

        For `params` the budget is the one whose best split, by the law itself, has that size. `flops` counts training
        FLOPs as `flops_of` does; `given` are the law's other columns (unique_tokens, batch_tokens), held
        while parameters and tokens trade. Raises Unidentified where the law has no interior optimum,
        NotApplicable where it does not split compute. Hoffmann et al. 2022, eq. 4.
        """
        if (flops is None) == (params is None):
            raise InputError("a frontier needs budgets or sizes", fix="give either flops=[…] or params=[…]")
        budgets = [self._budget_of(size, given) for size in params] if params is not None else flops or []
        return Rows(self.optimum(budget, **given) for budget in budgets)

    def optimum(self, flops: float, **given: float) -> FrontierPoint:
        """Return the loss-minimising split of one budget; see `frontier`."""
        log_params, log_ratio = self._optima(flops, given)
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):  # a draw may have no split
            params, tokens = np.exp(log_params), np.exp(log_params + log_ratio)
        loss = self.losses(params=params, tokens=tokens, **given)
        extrapolation = self.domain.extrapolation(params=params[0], tokens=tokens[0], flops=flops, **given)
        return FrontierPoint(
            flops=float(flops),
            params=self._estimate_head(params),
            tokens=self._estimate_head(tokens),
            loss=self._estimate_head(loss),
            log_ratio=self._estimate_head(log_ratio),
            interpolated=extrapolation == 1.0,
            extrapolation=extrapolation,
            data_unit=self.data_unit,
            warnings=extrapolation_warnings(self.domain, flops),
        )

    def log_ratio(self, flops: float, **given: float) -> Estimate:
        """Return ln(tokens/params) at the optimum of a budget; raises as `frontier` does."""
        return self._estimate_head(self._optima(flops, given)[1])

    def log_ratio_draws(self, flops: float, **given: float) -> Floats:
        """Return ln(tokens/params) at each draw's optimum; NaN where a draw has none."""
        return self._optima(flops, given)[1][1:]

    def exponent_a(self, flops: float | None = None, **given: float) -> Estimate:
        """Return a of N* ∝ C^a, for Chinchilla's form β/(α+β); raises as `frontier` does.

        Where it changes with the budget, a is d ln N* / d ln C at `flops`, by default in the middle of the rows'.
        """
        self.require_frontier(given)
        # In the rows' middle FLOPs are 6 N D in the law's own unit where bytes per token are unknown.
        known = flops is not None or self.bytes_per_token is not None
        budget = self.middle_flops if flops is None else flops
        log_flops = float(np.log(budget * (self.data_per_flop() if known else 1 / self.flops_factor)))
        exponents = self.definition.exponent_a(self.every, log_flops=log_flops, **_floats(given))
        if not np.isfinite(exponents[0]):
            raise self._unidentified()
        return self._estimate_head(exponents)

    def plot(self, *, flops: Sequence[float] = ()) -> "Figure":
        """Return the frontier drawn over the budgets of the runs, and `flops` marked; raises as `frontier` does."""
        from isoloss.report.figures.answers import of_law

        return of_law(self, flops=flops)

    def _columns(self, columns: Mapping[str, ArrayLike]) -> dict[str, Floats]:
        """Return the columns that the law reads, checked and broadcast to one shape."""
        definition = self.definition
        unknown = [name for name in columns if name not in (*definition.columns, *RUN_COLUMNS)]
        if unknown:
            raise InputError(
                f"{definition.name} does not read {unknown[0]!r}", fix=did_you_mean(unknown[0], definition.columns)
            )
        found = {name: _positive(name, values) for name, values in columns.items()}
        if "flops" in definition.columns and "flops" not in found and {"params", "tokens"} <= found.keys():
            found["flops"] = 6 * found["params"] * found["tokens"] / self.data_per_flop()
        shape = np.broadcast_shapes(*(column.shape for column in found.values()))
        read = definition.complete(found)
        return {name: np.broadcast_to(column, shape) for name, column in read.items()}

    def _optima(self, flops: float, given: Mapping[str, float]) -> tuple[Floats, Floats]:
        """Return ln params and ln(tokens/params) at the optimum of the law and of every draw, the law first."""
        if not (np.isfinite(flops) and flops > 0):
            raise InputError(f"a budget of {flops:g} FLOPs", fix="give a finite number above zero")
        self.require_frontier(given)
        log_params = self.best_params(np.log(flops), **given)
        if not np.isfinite(log_params[0]):
            raise self._unidentified()
        return log_params, np.log(flops * self.data_per_flop() / 6) - 2 * log_params

    def require_apart(self) -> None:
        """Raise Unidentified where parameters and tokens move together in the rows: no budget has a best split."""
        self.domain.require_apart(None if self.group == NO_GROUP else self.group)

    def _budget_of(self, params: float, given: Mapping[str, float]) -> float:
        """Return the FLOPs whose best split has `params` parameters: N* grows with C."""
        from scipy.optimize import brentq

        if not (np.isfinite(params) and params > 0):
            raise InputError(f"{params:g} parameters", fix="give a finite number above zero")
        self.require_frontier(given)
        per_token, middle = float(np.log(self.data_per_flop())), 2 * np.log(params) + np.log(6)

        def excess(log_flops: float) -> float:
            """Return ln N* less ln N, of the law alone: its draws have no say in the budget."""
            best = self.definition.log_optimum(self.values[None], log_flops=log_flops + per_token, **_floats(given))[0]
            if not np.isfinite(best):
                raise self._unidentified()
            return float(best - np.log(params))

        for reach in (5.0, 20.0, 80.0):
            low, high = middle - reach, middle + reach
            if excess(low) <= 0 <= excess(high):
                return float(np.exp(brentq(excess, low, high, xtol=1e-12)))
        raise self._unidentified()

    @property
    def data_per_token(self) -> float:
        """How many units of D a token is: 1 where D counts tokens, or bytes whose ratio is unknown."""
        return (self.bytes_per_token or 1.0) if self.data_unit == "bytes" else 1.0

    def data_per_flop(self) -> float:
        """Return 6 · N · D of one of the table's FLOPs: 1, bytes a token, over `flops_factor`.

        Raises NotApplicable for data in bytes whose bytes per token are unknown.
        """
        if self.data_unit == "bytes" and self.bytes_per_token is None:
            raise NotApplicable(
                f"the {self.title} counts data in bytes but FLOPs count tokens, and the bytes per token are unknown",
                fix="fit it with bytes_per_token (on the command line: --bytes-per-token 4.2, or a column)",
            )
        return self.data_per_token / self.flops_factor

    def require_frontier(self, given: Mapping[str, float]) -> None:
        """Raise NotApplicable where the law does not split compute, or is not given a column that it reads.

        Raises Unidentified where the rows do not tell parameters and tokens apart.
        """
        law = self.definition
        if not law.has_frontier():
            raise NotApplicable(
                f"{law.name} reads {', '.join(law.columns)} and does not split compute into parameters and tokens",
                fix="use it only for predictions, or fit a law that reads both, such as chinchilla",
            )
        others = [name for name in law.columns if name not in RUN_COLUMNS]
        missing = [name for name in others if name not in given and name not in law.defaults]
        if missing:
            raise NotApplicable(
                f"the best split by {law.name} depends on {missing[0]}",
                fix=f"give it: frontier(flops=…, {missing[0]}=…)",
            )
        if unknown := [name for name in given if name not in others]:
            raise InputError(
                f"the frontier of {law.name} does not take {unknown[0]!r}", fix=did_you_mean(unknown[0], others)
            )
        for name, value in given.items():
            _positive(name, value)
        self.require_apart()

    def _unidentified(self) -> Unidentified:
        shown = ", ".join(f"{name} = {estimate.value:.4g}" for name, estimate in self.params.items())
        return Unidentified(
            f"the {self.title} has no optimum inside the grid ({shown})",
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
                f"the law counts parameters as {self.params_convention!r}, but the call as {params_convention!r}",
                fix=f"count parameters as {self.params_convention!r}, or fit a law with the other count",
            )
        if data_unit != self.data_unit:
            raise InputError(
                f"the law counts data in {self.data_unit}, the table in {data_unit}",
                fix=f"give the data in {self.data_unit}, or fit a law on {data_unit}",
            )


def _floats(given: Mapping[str, ArrayLike]) -> dict[str, Floats]:
    return {name: np.asarray(value, dtype=np.float64) for name, value in given.items()}


def _positive(name: str, values: ArrayLike) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if not (np.isfinite(array) & (array > 0)).all():
        raise InputError(f"{name} contain a value that is not above zero", fix=f"give finite {name} above zero")
    return array
