"""The runs of "gzip Predicts Data-dependent Scaling Laws" (Pandey 2024), as its author left them."""

from collections.abc import Iterator

import numpy as np

from isoloss.optima.curves import TrainingCurve
from isoloss.published.folder import Columns
from isoloss.runs.observations import Observations, observations

SEQUENCE_TOKENS = 32 * 256  # of a step
SYMBOLS = {"E": "E", "A": "A", "B": "B", "alpha": "α", "beta": "β"}
LOSSES = ("train_loss_last5pct", "valid_loss_mean", "train_loss_last")

# a = β/(α+β) of the five grammars, easiest first, found by several programs on each loss column.
EXPONENTS = {
    "train_loss_last5pct": (0.562, 0.560, 0.552, 0.362, 0.243),
    "valid_loss_mean": (0.562, 0.553, 0.559, 0.358, 0.204),
    "train_loss_last": (0.543, 0.504, 0.531, 0.494, 0.260),
}
MEDIAN_ERRORS = (0.19, 0.13, 0.13, 0.22, 0.03)  # |L̂ − L|/L, on the first column


def runs(tables: dict[str, Columns], *, loss: str, flags: dict[str, tuple[str, ...]] | None = None) -> Observations:
    """Return the 150 runs with one of their loss columns."""
    table = tables["gzip_pcfg_runs_150"]
    names = [f"{run:.0f}" for run in table["run"]]
    return observations(
        params=table["params"], tokens=table["tokens"], loss_nats=table[loss], run=names,
        corpus=table["dataset"].tolist(), complexity={"gzip": table["gzip_mean"]},
        flags=None if flags is None else [flags.get(name, ()) for name in names],
    )  # fmt: skip


def curves(tables: dict[str, Columns]) -> list[TrainingCurve]:
    """Return the training curve of every run over the tokens of its steps."""
    table, steps = tables["gzip_pcfg_runs_150"], tables["gzip_pcfg_train_curves"]
    found = []
    for i, run in enumerate(table["run"]):
        own = steps["run"] == run
        order = np.argsort(steps["step"][own])
        found.append(
            TrainingCurve(
                run=f"{run:.0f}", params=float(table["params"][i]), corpus=str(table["dataset"][i]),
                tokens=steps["step"][own][order] * SEQUENCE_TOKENS, loss_nats=steps["train_loss"][own][order],
                total_tokens=float(table["tokens"][i]),
            )
        )  # fmt: skip
    return found


def sweeps(tables: dict[str, Columns]) -> Iterator[Observations]:
    """Yield the runs of all grammars."""
    yield runs(tables, loss=LOSSES[0])
