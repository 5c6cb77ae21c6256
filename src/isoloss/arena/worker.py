"""One method in a process of its own: reads tables, calls `fit`, writes the answers. Run by `isoloss.arena.referee`.

    python -m isoloss.arena.worker FOLDER INBOX FIRST

FOLDER holds settings.json and method.py; answers go to NNN.answer.json there, one at a time, from the table FIRST on.
INBOX gets one table at a time, NNN.json: its runs and what is asked of them.
"""

import json
import os
import sys
import time
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isoloss.arena.guard import Guard, leave_network, limit_memory

HALF_SPAN, POINTS = 7.0, 701  # of ln N around an even split of the budget's logarithm
LOOK_SECONDS = 0.002


@dataclass(frozen=True)
class Table:
    """What `fit` gets: arrays of one row a run. N and D are in units of the arena's; losses are nats per token.

    Rows of one `trunk` share a training curve and part of their noise. `seed` is for what a method draws.
    """

    params: Any
    tokens: Any
    loss_nats: Any
    trunk: Any
    seed: int

    @property
    def flops(self) -> Any:
        """Training FLOPs, 6 · params · tokens."""
        return 6 * self.params * self.tokens


def main(folder: Path, inbox: Path, first: int) -> None:
    """Answer the tables of `inbox` from `first` on."""
    settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    limit_memory(settings["memory_gb"], settings["cpu_seconds"])
    offline = leave_network()  # before any thread starts
    import numpy  # noqa: F401  # its own files are read before the guard stands

    source = (folder / "method.py").read_bytes()
    guard = Guard(folder, shown=inbox)
    guard.install()
    fit, fault = _load(source, settings["name"], guard)
    for place in range(first, settings["tables"]):
        table = _wait_for(inbox / f"{place:03}.json")
        answer = fault or _answer(fit, table["runs"], table["asked"], guard)
        _write(folder / f"{place:03}.answer.json", {**answer, "offline": offline})


def _wait_for(path: Path) -> dict[str, Any]:
    """Return the next table, as soon as it is there: files there are whole."""
    while not path.exists():
        time.sleep(LOOK_SECONDS)
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _load(source: bytes, name: str, guard: Guard) -> tuple[Any, dict[str, Any] | None]:
    """Return the method's `fit`, or what is wrong with the method."""
    module = types.ModuleType("method")
    sys.modules["method"] = module  # dataclasses look their module up
    try:
        exec(compile(source, name, "exec"), module.__dict__)
        return module.__dict__["fit"], None
    except BaseException as error:
        return None, _fault(error, guard)


def _answer(fit: Any, runs: dict[str, Any], asked: dict[str, Any], guard: Guard) -> dict[str, Any]:
    """Return what the method says of one table, or how it failed."""
    import numpy as np

    started = time.process_time()
    try:
        with np.errstate(all="ignore"):
            found = _asked(fit(_table(runs)), asked)
    except BaseException as error:
        return _fault(error, guard)
    if guard.refused:
        return _fault(PermissionError(), guard)
    return {"status": "ok", "seconds": time.process_time() - started, **found}


def _fault(error: BaseException, guard: Guard) -> dict[str, Any]:
    """Return the answer of a method that raised `error`."""
    if guard.refused:
        return {"status": "forbidden", "message": "; ".join(dict.fromkeys(guard.refused))}
    status = "memory" if isinstance(error, MemoryError) else "error"
    if isinstance(error, KeyError) and error.args == ("fit",):
        return {"status": status, "message": "the file defines no function `fit`"}
    return {"status": status, "message": f"{type(error).__name__}: {_words(error)}"}


def _words(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException:  # a stranger's class: its words may fail, too
        return "without words"


def _table(runs: dict[str, Any]) -> Table:
    import numpy as np

    n, d, losses = (np.array(runs[name], dtype=float) for name in ("params", "tokens", "loss_nats"))
    return Table(n, d, losses, np.array(runs["trunk"]), runs["seed"])


def _asked(method: Any, asked: dict[str, Any]) -> dict[str, Any]:
    """Return the answers to all questions as lists: [value, low, high] with None for what the method does not say."""
    import numpy as np

    n, d = np.array(asked["params"]), np.array(asked["tokens"])
    return {
        "losses": _losses(method, n, d),
        "floor": _floor(method) if asked["budgets"] else None,
        "splits": [_split(method, budget) for budget in asked["budgets"]],
        "chosen": _chosen(method, asked["candidates"]) if asked["candidates"] else None,
    }


def _chosen(method: Any, candidates: dict[str, Any]) -> list[int] | None:
    """Return which candidates the method would train next, by place; None where it does not say."""
    import numpy as np

    if not hasattr(method, "next"):
        return None
    n, d = np.array(candidates["params"]), np.array(candidates["tokens"])
    return [int(place) for place in method.next(n, d, candidates["flops"])]


def _losses(method: Any, n: Any, d: Any) -> list[list[float | None]] | None:
    import numpy as np

    if not hasattr(method, "predict"):
        if not hasattr(method, "best"):
            raise TypeError("fit returned an object with neither `predict` nor `best`")
        return None
    if not len(n):
        return []
    values = np.asarray(_at(method.predict, n, d), dtype=float)
    if values.shape != n.shape:
        raise ValueError(f"predict returned the shape {values.shape} for {n.shape} points")
    lows, highs = _ends(_draws(method, n, d)) if hasattr(method, "draws") else (None, None)
    return [
        [_plain(value), None if lows is None else _plain(lows[i]), None if highs is None else _plain(highs[i])]
        for i, value in enumerate(values)
    ]


def _at(asked: Any, n: Any, d: Any) -> Any:
    """Return what a method's function says at points: it gets arrays of its own, since it may change them."""
    return asked(n.copy(), d.copy())


def _draws(method: Any, n: Any, d: Any) -> Any:
    import numpy as np

    drawn = np.asarray(_at(method.draws, n, d), dtype=float)
    if drawn.ndim != 2 or drawn.shape[1] != len(n):
        raise ValueError(f"draws returned the shape {drawn.shape}, expected (draws, {len(n)})")
    return drawn


def _ends(drawn: Any) -> Any:
    """Return both ends of the 95 % interval of draws (k, n): two arrays (n,)."""
    import numpy as np

    return np.quantile(drawn, [0.025, 0.975], axis=0)


def _floor(method: Any) -> list[float | None] | None:
    """Return what the method says of the loss at unlimited size and data: its `floor`, or what `predict` tends to."""
    import numpy as np

    if hasattr(method, "floor"):
        return _triple(method.floor())
    if not hasattr(method, "predict"):
        return None
    endless = np.array([np.inf])
    value = float(np.asarray(_at(method.predict, endless, endless), dtype=float)[0])
    if not np.isfinite(value):
        return None
    if not hasattr(method, "draws"):
        return [value, None, None]
    low, high = _ends(_draws(method, endless, endless))[:, 0]
    return [value, _plain(low), _plain(high)]


def _split(method: Any, flops: float) -> list[float | None] | None:
    """Return ln(D*/N*) of a budget: by the method's `best`, or where its `predict` is lowest."""
    import numpy as np

    if hasattr(method, "best"):
        found = _triple(method.best(flops))
        return None if found is None else [None if each is None else _plain(np.log(each)) for each in found]
    log_n = np.log(flops / 6) / 2 + np.linspace(-HALF_SPAN, HALF_SPAN, POINTS)
    n = np.exp(log_n)
    d = flops / 6 / n
    value = _lowest(np.asarray(_at(method.predict, n, d), dtype=float)[None], log_n, flops)[0]
    if not np.isfinite(value):
        return None
    if not hasattr(method, "draws"):
        return [float(value), None, None]
    ratios = _lowest(_draws(method, n, d), log_n, flops)
    inside = ratios[np.isfinite(ratios)]
    return [float(value), *(map(_plain, _ends(inside)) if len(inside) else (None, None))]


def _lowest(losses: Any, log_n: Any, flops: float) -> Any:
    """Return ln(D/N) where rows of losses (k, points) are lowest, by a parabola of three points; NaN at an edge."""
    import numpy as np

    ratios = np.full(len(losses), np.nan)
    for row, loss in enumerate(losses):
        place = int(np.argmin(loss))
        if 0 < place < len(loss) - 1:
            left, middle, right = loss[place - 1 : place + 2]
            curvature = left - 2 * middle + right
            move = (left - right) / (2 * curvature) if curvature > 0 else 0.0
            ratios[row] = np.log(flops / 6) - 2 * (log_n[place] + move * (log_n[1] - log_n[0]))
    return ratios


def _triple(found: Any) -> list[float | None] | None:
    """Return a number, or (value, low, high), as three; None for no answer."""
    import numpy as np

    if found is None:
        return None
    if np.ndim(found) == 0:
        return [float(found), None, None]
    value, low, high = found
    return [float(value), None if low is None else float(low), None if high is None else float(high)]


def _plain(value: Any) -> float:
    return float(value)


def _write(target: Path, answer: dict[str, Any]) -> None:
    """Write an answer whole: it is renamed into place."""
    temporary = target.with_suffix(".part")
    temporary.write_text(json.dumps(answer), encoding="utf-8")
    os.replace(temporary, target)


if __name__ == "__main__":
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115  # what a method prints is nobody's
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
