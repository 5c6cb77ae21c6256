"""The folder of Porian et al. 2024 in open formats, and its configurations as tables of runs."""

from dataclasses import dataclass

import numpy as np

from isoloss.published.folder import Columns, Origin, PublishedFile, where
from isoloss.runs.observations import Observations, observations

BUDGETS: tuple[float, ...] = tuple(1.25e16 * 2.0**i for i in range(12))
LARGEST = BUDGETS[-1]
CHINCHILLA_BUDGET = 5.88e23
DRAWS = 1000
FLOOR = 0.33  # the authors' least standard deviation, in gaps between two sizes
LOSS_DRAWS = 200
LOSS_BUDGETS = (1e16, 5e17)  # between these the authors fit the loss law

ORIGIN = Origin(
    study="porian",
    title="Resolving Discrepancies in Compute-Optimal Scaling of Language Models",
    paper="Porian et al. 2024, arXiv:2406.19146",
    source="github.com/formll/resolving-scaling-law-discrepancies, commit 0dc60d9, data/summary_df*.pickle.xz",
    licence="MIT",
    how="read with an unpickler limited to numpy and pandas classes and written as CSV and Parquet",
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
        PublishedFile(
            name="fit_summary_v1_june2024.csv",
            sha256="e11a39a5b7d5da193568fdf7409a8c2c0432f5144a1a931c6d6d7bcf6f248e97", columns=("config", "a"),
        ),
        PublishedFile(
            name="published_values.csv", sha256="95c911b56a060dbe13e4323e50fc9137ece63283eef82b49fcc53b2d57886e8a",
            columns=("config", "quantity", "value", "ci_lo", "ci_hi"),
        ),
        PublishedFile(
            name="architectures.csv", sha256="ba4d7c32ed12e2ddf46db3323c4bf259ac0c2db1ea483c979b352cde823ce8a3",
            columns=("width", "depth", "d_ff", "n", "n_exact_repo", "n_no_head", "n_eff_attention"),
        ),
        PublishedFile(
            name="accuracy_vs_compute_rw_5_tuned.csv",
            sha256="8ebe168fae0b5c8b47ea541d73061e51e81d97be18dc9b81305a57fe7324c1d2",
            columns=("variant", "cost", "exponent", "exponent_lo", "exponent_hi", "rms_rel_boot_error_vs_0.5"),
        ),
        PublishedFile(
            name="noise_sensitivity.csv", sha256="fb9d7d7a601c5d493479cac463335c5ecc44b258c1e10f15a0de07eb94ad3a92",
            columns=("config", "variant", "a", "a_lo", "a_hi"),
        ),
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
