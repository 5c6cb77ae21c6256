"""`chinchilla` 0.2.0 of PyPI: BFGS from a grid of starts, on its own loss that leans to the lower edge of the runs.

Its optimisation is its own. What differs here: starts are taken one after another, since the arena allows no pool of
processes; nothing is drawn or kept on disk; E starts between 0 and the least loss; and each parameter has three starts
instead of the five of its manual, 243 in all, to stay inside a minute. It gives no intervals.
"""

import sys
from contextlib import nullcontext
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

STARTS = 3


class NoFigures:
    """In place of the peer's figures, whose libraries read fonts of the system."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.plot = self.optim = lambda *_, **__: None


figures: Any = ModuleType("chinchilla.visualizer")
figures.Visualizer = NoFigures
sys.modules["chinchilla.visualizer"] = figures
import chinchilla.core as peer  # noqa: E402


class Fitted:
    """The peer's five parameters; every question is answered by its own formula."""

    def __init__(self, model: peer.Chinchilla) -> None:
        self.model = model

    def predict(self, params: Any, tokens: Any) -> Any:
        """Return the loss at points (n,)."""
        return np.asarray(self.model.predict_loss(params, tokens), dtype=np.float64)

    def best(self, flops: float) -> float:
        """Return the best tokens per parameter of a budget."""
        params, tokens = self.model.allocate_compute(flops)
        return float(tokens / params)


def fit(table: Any) -> Fitted:
    """Return the peer's fit of a table."""
    grid = {
        "E": np.linspace(0, table.loss_nats.min(), STARTS), "a": np.linspace(1, 10, STARTS),
        "b": np.linspace(1, 10, STARTS), "alpha": np.linspace(0.1, 0.7, STARTS), "beta": np.linspace(0.1, 0.7, STARTS),
    }  # fmt: skip
    model = peer.Chinchilla(project_dir=".", param_grid=grid, log_level=40)
    columns = {"C": table.flops, "N": table.params, "D": table.tokens, "loss": table.loss_nats}
    model.database.df = pd.DataFrame(columns)
    peer.multiprocessing.Pool = lambda *_: nullcontext()
    model.fit(parallel=False)
    return Fitted(model)
