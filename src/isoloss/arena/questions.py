"""What a method is asked of one table, and what it says: its losses, floor, best splits and next runs as lists."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

HALF_SPAN, POINTS = 7.0, 701  # of ln N around an even split of the budget's logarithm
Numbers = NDArray[np.float64]
Triple = list[float | None]
"""A value with the ends of its 95 % interval, None where there is none."""


@dataclass(frozen=True)
class Table:
    """What `fit` gets: arrays of one row a run. N and D are in units of the arena's; losses are nats per token.

    Rows of one `trunk` share a training curve and part of their noise. `seed` is for what a method draws.
    """

    params: Numbers
    tokens: Numbers
    loss_nats: Numbers
    trunk: NDArray[np.str_]
    seed: int

    @property
    def flops(self) -> Numbers:
        """Training FLOPs, 6 · params · tokens."""
        return 6 * self.params * self.tokens


@np.errstate(all="ignore")
def answers(fit: Callable[[Table], Any], runs: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
    """Return what a method's `fit` says of a table to each question, None where it does not say.

    Raises what the method raises, and TypeError or ValueError for what is no answer.
    """
    n, d, losses = (np.array(runs[name], dtype=float) for name in ("params", "tokens", "loss_nats"))
    method = fit(Table(n, d, losses, np.array(runs["trunk"]), runs["seed"]))
    predicts = hasattr(method, "predict")
    if not predicts and not hasattr(method, "best"):
        raise TypeError("fit returned an object with neither `predict` nor `best`")
    return {
        "losses": _losses(method, np.array(asked["params"]), np.array(asked["tokens"])) if predicts else None,
        "floor": _floor(method) if asked["budgets"] else None,
        "splits": [_split(method, budget) for budget in asked["budgets"]],
        "chosen": _chosen(method, asked["candidates"]) if asked["candidates"] else None,
    }


def _chosen(method: Any, candidates: dict[str, Any]) -> list[int] | None:
    """Return which candidates the method would train next, by place; None where it does not say."""
    if not hasattr(method, "next"):
        return None
    n, d = np.array(candidates["params"]), np.array(candidates["tokens"])
    return [int(place) for place in method.next(n, d, candidates["flops"])]


def _losses(method: Any, n: Numbers, d: Numbers) -> list[Triple]:
    if not len(n):
        return []
    values = _at(method.predict, n, d)
    if values.shape != n.shape:
        raise ValueError(f"predict returned the shape {values.shape} for {n.shape} points")
    nothing = [None] * len(n)
    ends = _ends(_draws(method, n, d)) if hasattr(method, "draws") else (nothing, nothing)
    return [list(row) for row in zip(values.tolist(), *ends, strict=True)]


def _at(asked: Callable[[Numbers, Numbers], Any], n: Numbers, d: Numbers) -> Numbers:
    """Return what a method's function says at points: it gets arrays of its own, since it may change them."""
    return np.asarray(asked(n.copy(), d.copy()), dtype=float)


def _draws(method: Any, n: Numbers, d: Numbers) -> Numbers:
    drawn = _at(method.draws, n, d)
    if drawn.ndim != 2 or drawn.shape[1] != len(n):
        raise ValueError(f"draws returned the shape {drawn.shape}, expected (draws, {len(n)})")
    return drawn


def _ends(drawn: Numbers) -> Any:
    """Return both ends of the 95 % interval of draws (k, …): two numbers, or lists of them."""
    return np.quantile(drawn, [0.025, 0.975], axis=0).tolist()


def _floor(method: Any) -> Triple | None:
    """Return what the method says of the loss at unlimited size and data: its `floor`, or what `predict` tends to."""
    if hasattr(method, "floor"):
        return _triple(method.floor())
    endless = np.array([np.inf])
    if not hasattr(method, "predict") or not np.isfinite(_at(method.predict, endless, endless)).all():
        return None
    return _losses(method, endless, endless)[0]


def _split(method: Any, flops: float) -> Triple | None:
    """Return ln(D*/N*) of a budget: by the method's `best`, or where its `predict` is lowest."""
    if hasattr(method, "best"):
        found = _triple(method.best(flops))
        return None if found is None else [None if each is None else float(np.log(each)) for each in found]
    log_n = np.log(flops / 6) / 2 + np.linspace(-HALF_SPAN, HALF_SPAN, POINTS)
    n = np.exp(log_n)
    d = flops / 6 / n
    value = float(_lowest(_at(method.predict, n, d)[None], log_n, flops)[0])
    if not np.isfinite(value):
        return None
    ratios = _lowest(_draws(method, n, d), log_n, flops) if hasattr(method, "draws") else np.empty(0)
    inside = ratios[np.isfinite(ratios)]
    return [value, *(_ends(inside) if len(inside) else (None, None))]


def _lowest(losses: Numbers, log_n: Numbers, flops: float) -> Numbers:
    """Return ln(D/N) where rows of losses (k, points) are lowest, by a parabola of three points; NaN at an edge."""
    ratios = np.full(len(losses), np.nan)
    for row, loss in enumerate(losses):
        place = int(np.argmin(loss))
        if 0 < place < len(loss) - 1:
            left, middle, right = loss[place - 1 : place + 2]
            curvature = left - 2 * middle + right
            move = (left - right) / (2 * curvature) if curvature > 0 else 0.0
            ratios[row] = np.log(flops / 6) - 2 * (log_n[place] + move * (log_n[1] - log_n[0]))
    return ratios


def _triple(found: Any) -> Triple | None:
    """Return a number, or (value, low, high), as three; None for no answer."""
    if found is None:
        return None
    if np.ndim(found) == 0:
        return [float(found), None, None]
    value, low, high = found
    return [float(value), None if low is None else float(low), None if high is None else float(high)]
