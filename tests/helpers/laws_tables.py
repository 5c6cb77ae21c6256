"""Tables of runs for the tests of laws: simulated grids, and the published ones where they are at hand."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from isoloss.runs.observations import Observations, observations

DATA = Path(__file__).parents[2].parent / "shared" / "data"

DEMO_SIZES = (1e4, 3e4, 1e5, 2.5e5)
DEMO_TOKENS = (6.25e4, 1.25e5, 2.5e5, 5e5, 1e6)
# A law like Python source in bytes on that grid: 0.7 + .5 (N/1e5)^-.35 + .4 (D/1e6)^-.4
DEMO_LAW = {"E": 0.7, "A": 0.5 * 1e5**0.35, "B": 0.4 * 1e6**0.4, "alpha": 0.35, "beta": 0.4}


def simulated(
    *,
    sizes: Sequence[float] = DEMO_SIZES,
    tokens: Sequence[float] = DEMO_TOKENS,
    law: dict[str, float] | None = None,
    point_sd: float = 0.004,
    trunk_sd: float = 0.0,
    seed: int = 0,
    corpus: str = "all",
    single: bool = False,
) -> Observations:
    """Return a full grid with one trunk a size (or one a row): noise is normal in ln L."""
    truth = law or DEMO_LAW
    generator = np.random.default_rng(seed)
    params, data = (grid.ravel() for grid in np.meshgrid(sizes, tokens, indexing="ij"))
    trunk = np.repeat(np.arange(len(sizes)), len(tokens))
    loss = truth["E"] + truth["A"] * params ** -truth["alpha"] + truth["B"] * data ** -truth["beta"]
    noise = generator.normal(0, point_sd, len(loss)) + generator.normal(0, trunk_sd, len(sizes))[trunk]
    names = None if single else [f"trunk {i}" for i in trunk]
    return observations(params=params, tokens=data, loss_nats=loss * np.exp(noise), trunk=names, corpus=corpus)


def chinchilla_rows(*, outliers: bool = False) -> Observations:
    """Return the points of Hoffmann et al. 2022, Figure 4: 240 of them, or all 245."""
    rows = [
        row for row in read_csv("chinchilla2022/chinchilla_runs_245.csv") if outliers or row["epoch_outlier"] == "False"
    ]
    return table(rows, params="params", tokens="tokens", loss="loss")


def gzip_rows(loss: str = "train_loss_last5pct") -> Observations:
    """Return the gzip paper's 150 runs, by grammar."""
    rows = read_csv("gzip2024/gzip_pcfg_runs_150.csv")
    found = table(rows, params="params", tokens="tokens", loss=loss)
    return observations(
        params=found.params, tokens=found.tokens, loss_nats=found.loss_nats, corpus=[row["dataset"] for row in rows],
        complexity={"gzip": [float(row["gzip_mean"]) for row in rows]},
    )  # fmt: skip


def table(rows: list[dict[str, str]], *, params: str, tokens: str, loss: str) -> Observations:
    columns = {name: [float(row[key]) for row in rows] for name, key in zip("ndl", (params, tokens, loss), strict=True)}
    return observations(params=columns["n"], tokens=columns["d"], loss_nats=columns["l"])


def read_csv(path: str) -> list[dict[str, str]]:
    source = DATA / path
    if not source.exists():
        pytest.skip(f"published data not at hand: {path}")
    with source.open(newline="") as file:
        return list(csv.DictReader(file))
