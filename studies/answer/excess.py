"""Grammars: how the loss in excess of the exact floor falls with N and with D, and what fitted E says of the floor."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from answer.readings import Readings, is_excluded
from isoloss.core.estimate import Estimate
from isoloss.core.rng import stream
from isoloss.fitting.fitted import FittedLaw

FEWEST_RUNS, FEWEST_SIZES = 10, 3
RESAMPLES = 4000
SMALLEST_FLOOR = 0.01  # nats per token: E below it is no floor at all


@dataclass(frozen=True, kw_only=True)
class Excess:
    """A grammar's excess ∝ N^−`by_size` · D^−`by_tokens`; `misfit` is the root mean square error of its logarithm."""

    corpus: str
    runs: int
    by_size: Estimate
    by_tokens: Estimate
    misfit: float


def excesses(readings: Readings, corpora: Sequence[str]) -> list[Excess]:
    """Return the power law of the excess of every grammar that has enough runs without flags."""
    return [found for corpus in corpora if (found := _excess(readings, corpus)) is not None]


def _excess(readings: Readings, corpus: str) -> Excess | None:
    """Return a grammar's power law by least squares of ln excess; None of too few runs or sizes."""
    rows = [
        row for row in readings.own(corpus)
        if not is_excluded(row) and row["excess_nats"] and float(row["excess_nats"]) > 0
    ]  # fmt: skip
    if len(rows) < FEWEST_RUNS or len({row["params"] for row in rows}) < FEWEST_SIZES:
        return None
    log_n, log_d, log_excess = (np.log([float(row[n]) for row in rows]) for n in ("params", "tokens", "excess_nats"))
    columns = np.column_stack([np.ones(len(rows)), -log_n, -log_d])
    values, *_ = np.linalg.lstsq(columns, log_excess, rcond=None)
    left = log_excess - columns @ values
    freedom = len(rows) - 3
    stderr = np.sqrt(left @ left / freedom * np.diag(np.linalg.inv(columns.T @ columns)))
    half = stats.t.ppf(0.975, freedom) * stderr
    alpha, beta = (
        Estimate(value=float(values[k]), low=float(values[k] - half[k]), high=float(values[k] + half[k]))
        for k in (1, 2)
    )
    misfit = float(np.sqrt(left @ left / len(rows)))
    return Excess(corpus=corpus, runs=len(rows), by_size=alpha, by_tokens=beta, misfit=misfit)


def median(estimates: Sequence[Estimate]) -> Estimate:
    """Return the median over grammars, with an interval from drawing grammars anew."""
    values = np.array([one.value for one in estimates])
    drawn = stream(0, "median of grammars").integers(len(values), size=(RESAMPLES, len(values)))
    return Estimate.from_draws(np.median(values[drawn], axis=1), value=float(np.median(values)))


@dataclass(frozen=True, kw_only=True)
class FloorErrors:
    """A form's E less the exact floor over `grammars`, in nats per token.

    `nothing` of them have E = 0; of `intervals` intervals of E, `held` contain the floor.
    """

    grammars: int
    mean: float
    rmse: float
    nothing: int
    intervals: int
    held: int


def floor_errors(laws: Mapping[str, FittedLaw], floors: Mapping[str, float]) -> FloorErrors | None:
    """Return how far E of the `laws` is from the `floors` of their grammars; None of no grammar."""
    fitted = {name: laws[name].params["E"] for name in floors if name in laws}
    if not fitted:
        return None
    off = np.array([e.value - floors[name] for name, e in fitted.items()])
    ends = [(e.low, floors[name], e.high) for name, e in fitted.items()]
    return FloorErrors(
        grammars=len(fitted), mean=float(off.mean()), rmse=float(np.sqrt((off**2).mean())),
        nothing=sum(e.value < SMALLEST_FLOOR for e in fitted.values()),
        intervals=sum(low is not None and high is not None for low, _, high in ends),
        held=sum(low <= floor <= high for low, floor, high in ends if low is not None and high is not None),
    )  # fmt: skip
