"""The runs of "gzip Predicts Data-dependent Scaling Laws" (Pandey 2024), as its author left them."""

import numpy as np

from isoloss.optima.curves import TrainingCurve
from isoloss.published.folder import Columns, Origin, PublishedFile
from isoloss.runs.observations import Observations, observations

SEQUENCE_TOKENS = 32 * 256  # of a step
SYMBOLS = {"E": "E", "A": "A", "B": "B", "alpha": "α", "beta": "β"}
LOSSES = ("train_loss_last5pct", "valid_loss_mean", "train_loss_last")
ORIGIN = Origin(
    title="gzip Predicts Data-dependent Scaling Laws",
    paper="Pandey 2024, arXiv:2405.16684",
    source="github.com/IBM/ColPret, commit 16f23bb, raw_data/gzip/results_new.jsonl; "
    "github.com/KhoomeiK/complexity-scaling, commit e678b7e, scaling_results.jsonl",
    licence="MIT",
    how="one row a run and one row a step, written as CSV and Parquet",
    originals="a clone of it, or a folder with results_new.jsonl and scaling_results.jsonl",
    files=(
        PublishedFile(
            name="gzip_pcfg_runs_150.csv", sha256="7d780c8d9586ad5501908440b7d17101083aedacdf7c80a6a1931129e6acaac1",
            columns=("run", "dataset", "gzip_mean", "tokens", "params", "steps", *LOSSES),
        ),
        PublishedFile(
            name="gzip_pcfg_train_curves.parquet",
            sha256="404659341fac82362a6bdbf002cbadc8c0cc82d9eff1c3fb415beb5067f8dc0a",
            columns=("run", "step", "train_loss"),
        ),
        PublishedFile(
            name="pilot_runs_125_march2024.csv",
            sha256="1cf8eedb591a5c6bebea5e2a06c6fbb358a8216360e3b129bb8cbd40087f20c2",
            columns=("gzip_median", "tokens", "params", "epoch", "train_perplexity", "valid_perplexity"),
        ),
    ),
)  # fmt: skip

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
