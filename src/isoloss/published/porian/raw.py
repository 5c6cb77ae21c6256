"""The raw runs of Porian et al. 2024: their pickle as two plain tables, and the analyses that need curves.

`runs` has one row a run with every setting, `curves` one row a logged value. Any trainer's runs in this schema serve:
the analyses are those of `isoloss.optima` and `isoloss.tuning`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isoloss.core.errors import BadTable, require_columns
from isoloss.laws.law import Floats
from isoloss.optima.curves import TrainingCurve, smoothed
from isoloss.optima.power_line import PowerLine, fit_power_law
from isoloss.published.folder import Columns
from isoloss.published.porian.rows import porian_counts
from isoloss.published.unpickle import read_frame
from isoloss.tuning.sweep import BatchOptimum, RateOptimum, SweptRun, batch_optima, rate_optima

if TYPE_CHECKING:
    import pandas as pd

CURVES = (
    "train/loss", "val/loss", "val/loss_std", "train/batch_time", "train/data_time", "train/lr",
)  # fmt: skip
TEXTS = ("hparams", "warmup", "decay", "dataset", "optimizer", "precision")
NUMBERS = (
    "width", "depth", "warmup_tokens", "beta1", "beta2", "world_size", "lr", "seed", "seq_len", "vocab_size",
    "grad_clip_norm", "qk_norm", "z_loss_coefficient", "bs", "independent_wd", "max_step",
)  # fmt: skip
NEEDED = ("width", "depth", "seq_len", "vocab_size", "bs", "lr", *TEXTS[:4])
FIT_RANGE = (2.5e7, 1.1e8)  # sizes whose optima lie inside the sweep's grid
COUNTS = {"params": "N", "params_no_head": "N without head", "params_attention": "N with attention"}
HORIZON = 20.0  # tokens per parameter to which the sweep trained


@dataclass(frozen=True, kw_only=True, eq=False)
class RawRuns:
    """Settings (one row a run) and logged values (run, kind, step, value), both as columns."""

    runs: Columns
    curves: Columns

    def __len__(self) -> int:
        return len(self.runs["run"])

    def where(self, **wanted: str | float) -> NDArray[np.int64]:
        """Return the rows of runs whose settings are the wanted ones."""
        require_columns(wanted, self.runs)
        keep = np.ones(len(self), dtype=bool)
        for name, value in wanted.items():
            keep &= self.runs[name] == value
        return np.flatnonzero(keep)

    def training_curves(
        self, rows: Iterable[int], *, kind: str = "train/loss", smooth: bool = True
    ) -> list[TrainingCurve]:
        """Return the curves of some runs over tokens; runs that logged none of the kind are left out.

        Training losses are means since the step before and are smoothed; validation losses are taken as they are.
        """
        found = []
        for row in rows:
            own = (self.curves["run"] == self.runs["run"][row]) & (self.curves["kind"] == kind)
            if not own.any():
                continue
            order = np.argsort(self.curves["step"][own])
            step_tokens = self.runs["seq_len"][row] * self.runs["bs"][row]
            curve = TrainingCurve(
                run=str(self.runs["run"][row]), params=float(self.runs["params"][row]),
                corpus=str(self.runs["dataset"][row]), tokens=self.curves["step"][own][order] * step_tokens,
                loss_nats=self.curves["value"][own][order],
                total_tokens=float(self.runs["max_step"][row] * step_tokens) if "max_step" in self.runs else None,
            )  # fmt: skip
            found.append(smoothed(curve) if smooth and kind == "train/loss" else curve)
        return found


def convert(source: Path | str) -> RawRuns:
    """Return the tables of a pickled data frame in the study's schema; see `isoloss.published.unpickle.read_frame`."""
    return tables_of(read_frame(source), place=str(source))


def tables_of(frame: "pd.DataFrame", *, place: str = "data frame") -> RawRuns:
    """Return runs and curves of a data frame. Raises BadTable for a column that is missing or holds no numbers."""
    require_columns(NEEDED, map(str, frame.columns), place=place)
    runs: Columns = {"run": np.array([f"run {i}" for i in range(len(frame))])}
    for name in TEXTS:
        if name in frame.columns:
            runs[name] = np.array(["" if value is None else str(value) for value in frame[name]])
    for name in NUMBERS:
        if name in frame.columns:
            runs[name] = _numbers(frame[name].tolist(), place=f"{place}, column {name}")
    counts = [_counts(runs, i, place=place) for i in range(len(frame))]
    for column, name in COUNTS.items():
        runs[column] = np.array([float(own[name]) for own in counts])
    return RawRuns(runs=runs, curves=_curves(frame, runs["run"], place=place))


def _counts(runs: Columns, row: int, *, place: str) -> dict[str, int]:
    try:
        width, depth, vocabulary, context = (
            int(runs[name][row]) for name in ("width", "depth", "vocab_size", "seq_len")
        )
        return porian_counts(width, depth, vocabulary=vocabulary, context=context)
    except ValueError as error:
        raise BadTable(f"row {row + 1} is no model: {error}"[:200], place=place, fix="correct its sizes") from error


def _numbers(values: list[Any], *, place: str) -> NDArray[np.float64]:
    numbers = np.empty(len(values))
    for i, value in enumerate(values):
        try:
            numbers[i] = np.nan if value is None else float(value)
        except (TypeError, ValueError):
            raise BadTable(f"found {value!r}"[:80] + ", expected a number", place=f"{place}, row {i + 1}",
                           fix="give the published file") from None  # fmt: skip
    return numbers


def _curves(frame: "pd.DataFrame", names: NDArray[Any], *, place: str) -> Columns:
    run, kind, step, value = [], [], [], []
    for column in (name for name in CURVES if name in frame.columns):
        for name, series in zip(names, frame[column], strict=True):
            if series is None or not len(series):
                continue
            # One run may have been logged in several parts: a step stands once, with its mean.
            logged = series.dropna().groupby(level=0).mean().sort_index()
            steps = _numbers(list(logged.index), place=f"{place}, column {column}")
            numbers = _numbers(list(logged), place=f"{place}, column {column}")
            run += [name] * len(steps)
            kind += [column] * len(steps)
            step.append(steps)
            value.append(numbers)
    empty = np.empty(0)
    return {
        "run": np.array(run, dtype=np.str_), "kind": np.array(kind, dtype=np.str_),
        "step": np.concatenate(step) if step else empty, "value": np.concatenate(value) if value else empty,
    }  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class SweepResult:
    """Best rates by size and batch, best batches by size, and power laws of both in N over the sizes fitted."""

    rates: list[RateOptimum]
    batches: list[BatchOptimum]
    batch_law: PowerLine
    rate_law: PowerLine


def sweep(raw: RawRuns, rows: Iterable[int], *, fit_range: tuple[float, float] = FIT_RANGE) -> SweepResult:
    """Return the optima of a sweep over rate × batch and their power laws in N; the best β2 of a point counts.

    Batches are in sequences. Raises BadTable where fewer than two sizes of `fit_range` have an optimum inside the grid.
    """
    rates = rate_optima(swept_runs(raw, rows))
    batches = batch_optima(rates)
    inside = [best for best in batches if best.edge is None and fit_range[0] < best.params < fit_range[1]]
    sizes = [float(best.params) for best in inside]
    return SweepResult(
        rates=rates, batches=batches, batch_law=fit_power_law(sizes, [best.batch_tokens for best in inside]),
        rate_law=fit_power_law(sizes, [_rate_at(rates, best) for best in inside]),
    )  # fmt: skip


def _rate_at(rates: Sequence[RateOptimum], best: BatchOptimum) -> float:
    """Return the best rate at a cell's best batch, between the batches tried, in logarithms."""
    line = sorted((one for one in rates if one.cell == best.cell), key=lambda one: one.batch_tokens)
    batches = np.log([one.batch_tokens for one in line])
    return float(np.exp(np.interp(np.log(best.batch_tokens), batches, np.log([one.peak_lr for one in line]))))


def swept_runs(raw: RawRuns, rows: Iterable[int]) -> list[SweptRun]:
    """Return the final validation loss of every run, the lowest over β2 at a size, rate and batch (in sequences)."""
    best: dict[tuple[int, float, int], float] = {}
    for row in rows:
        (curve,) = raw.training_curves([row], kind="val/loss") or (None,)
        if curve is None:
            continue
        key = int(raw.runs["params"][row]), float(raw.runs["lr"][row]), int(raw.runs["bs"][row])
        best[key] = min(best.get(key, np.inf), float(curve.loss_nats[-1]))
    return [
        SweptRun(
            params=params, tokens=round(HORIZON * params), seed=0, peak_lr=rate, batch_tokens=batch, loss_nats=loss
        )
        for (params, rate, batch), loss in best.items()
    ]


@dataclass(frozen=True, kw_only=True, eq=False)
class IdealTuning:
    """Per swept size, ascending (sizes,): compute, least loss over rate and batch, and loss by the power laws."""

    flops: Floats
    ideal: Floats
    by_laws: Floats


def ideal_tuning(found: SweepResult) -> IdealTuning:
    """Return what the power laws of rate and batch cost compared with tuning each size, at the sweep's horizon.

    By the laws a size is trained at the swept batch nearest to its law's, and at its law's rate by the parabola of that
    batch. Sizes whose optima stand on the grid's edge are left out.
    """
    flops, ideal, by_laws = [], [], []
    for best in sorted(found.batches, key=lambda one: one.params):
        lines = [line for line in found.rates if line.params == best.params and line.curvature is not None]
        if best.edge is not None or not lines:
            continue
        batch, rate = (float(law.values_at([best.params])[0]) for law in (found.batch_law, found.rate_law))
        line = min(lines, key=lambda one: abs(np.log(one.batch_tokens / batch)))
        flops.append(6 * HORIZON * best.params**2)
        ideal.append(best.loss_nats)
        by_laws.append(line.loss_nats * np.exp(0.5 * (line.curvature or 0.0) * np.log(rate / line.peak_lr) ** 2))
    if not flops:
        raise BadTable("no size has its optimum inside the sweep", fix="give the file with all runs")
    return IdealTuning(flops=np.array(flops), ideal=np.array(ideal), by_laws=np.array(by_laws))


def tuned_table(raw: RawRuns, rows: Iterable[int]) -> list[tuple[float, float, float, float]]:
    """Return (parameters, rate, batch in sequences, β2) of runs, each setting once, the largest first."""
    beta2 = raw.runs.get("beta2", np.full(len(raw), np.nan))
    settings = {
        (float(raw.runs["params"][i]), float(raw.runs["lr"][i]), float(raw.runs["bs"][i]), float(beta2[i]))
        for i in rows
    }
    return sorted(settings, reverse=True)
