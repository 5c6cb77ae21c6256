"""The data of Porian et al. 2024, as published or as CSV, and its configurations as tables of runs."""

from dataclasses import dataclass

import numpy as np

from isoloss.published.folder import Columns, Origin, PublishedFile, where
from isoloss.published.porian.originals import SUMMARIES
from isoloss.runs.observations import Observations, observations

BUDGETS: tuple[float, ...] = tuple(1.25e16 * 2.0**i for i in range(12))
LARGEST = BUDGETS[-1]
CHINCHILLA_BUDGET = 5.88e23
DRAWS = 1000
FLOOR = 0.33  # the authors' least standard deviation, in gaps between two sizes
LOSS_DRAWS = 200
LOSS_BUDGETS = (1e16, 5e17)  # between these the authors fit the loss law

ORIGIN = Origin(
    title="Resolving Discrepancies in Compute-Optimal Scaling of Language Models",
    paper="Porian et al. 2024, arXiv:2406.19146",
    source="github.com/formll/resolving-scaling-law-discrepancies, commit 0dc60d9, data/summary_df*.pickle.xz",
    licence="MIT",
    how="read with an unpickler limited to the table classes of NumPy and pandas",
    originals="the folder data of a clone, with " + ", ".join(one.name for one in SUMMARIES),
    files=(
        PublishedFile(
            name="configs.csv", sha256="452303d7c4059c808a754e9d0f6098acea6e6966a909ab48e70f09fa08303c60",
            columns=("config", "label", "dataset", "hparams", "warmup", "decay", "rng_block", "noise_std_used"),
        ),
        PublishedFile(
            name="isoflop_points.csv", sha256="f5d4e11f7f0cafd4150126db079112173c908579d9ac56db8bc33f255b2fb92d",
            columns=("config", "flops", "n", "t", "loss"),
        ),
        PublishedFile(
            name="optimal_pairs.csv", sha256="86f7fd12865c35f44d59b484a2bc9ae02cf211ec36b100113a01c070e3d0f36e",
            columns=("config", "flops", "status", "n_star", "t_star", "loss_star", "log_std_n", "log_std_t"),
        ),
        PublishedFile(
            name="fits.csv", sha256="67738a9732986c7b2999c90d93e625f5211950e309b8d538d761781022ea3461",
            columns=("config", "fit", "quantity", "exponent", "coef", "r2", "offset_E"),
        ),
        PublishedFile(
            name="fit_summary.csv", sha256="f74cfe809ffe327d2f321930eaeddfe4a2f4858efe1340785b2dd8b4b8216869",
            columns=("config", "a", "a_lo", "a_hi", "a_r2", "b", "rho_range_lo", "rho_range_hi", "loss_A", "loss_E"),
        ),
    ),
    optional=(
        PublishedFile(
            name="raw_runs_rw_4_cosine_sample.csv",
            sha256="140c871fb09fbe5ee52555e1c4e60db33e944c0e8bcf02ead3220115f424f540",
            columns=("n", "lr", "bs", "max_step", "val_step_1", "val_loss_1", "val_step_2", "val_loss_2"),
        ),
        PublishedFile(
            name="smoothing_example_rw_4_cosine_w128_d4_1040steps.csv",
            sha256="22d3b496376635dbb7b4f842bee2a9506fe6cc43c8f6509aa043a46f8b1e2feb",
            columns=("step", "train_loss", "smoothed_position_tokens", "train_loss_smoothed"),
        ),
    ),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Config:
    """One configuration: data set, tuning, warm-up, decay, and what it counts as parameters and FLOPs."""

    key: str
    label: str
    dataset: str
    warmup: str
    rng_block: str
    noise: float


def configurations(tables: dict[str, Columns]) -> list[Config]:
    """Return the 15 configurations in the order in which the authors' noise was drawn."""
    table = tables["configs"]
    return [
        Config(
            key=str(table["config"][i]), label=str(table["label"][i]), dataset=str(table["dataset"][i]),
            warmup=str(table["warmup"][i]), rng_block=str(table["rng_block"][i]),
            noise=float(table["noise_std_used"][i]),
        )
        for i in range(len(table["config"]))
    ]  # fmt: skip


def isoflop_points(tables: dict[str, Columns], config: str) -> Observations:
    """Return the points of equal compute of one configuration."""
    rows = where(tables["isoflop_points"], config=config)
    return observations(
        params=rows["n"], tokens=rows["t"], loss_nats=rows["loss"], flops=rows["flops"], corpus=config,
        rows=np.flatnonzero(tables["isoflop_points"]["config"] == config) + 1,
    )  # fmt: skip
