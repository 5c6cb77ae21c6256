"""The data of Porian et al. 2024, as published or as CSV, and its configurations as tables of runs."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from isoloss.published.folder import Columns, origin_of, where
from isoloss.runs.observations import Observations, observations

BUDGETS: tuple[float, ...] = tuple(1.25e16 * 2.0**i for i in range(12))
LARGEST = BUDGETS[-1]
CHINCHILLA_BUDGET = 5.88e23
RANGE_POINTS = 20
DRAWS = 1000
FLOOR = 0.33  # the authors' least standard deviation, in gaps between two sizes
LOSS_DRAWS = 200
LOSS_BUDGETS = (1e16, 5e17)  # between these the authors fit the loss law

DATASETS = {"rw": "RefinedWeb", "owt2": "OpenWebText2"}
ORIGIN = origin_of("porian")


class Config(NamedTuple):
    """One configuration: data set, tuning, warm-up, decay, and what it counts as parameters and FLOPs."""

    key: str
    label: str
    dataset: str
    warmup: str
    rng_block: str
    noise: float


def configurations(tables: dict[str, Columns]) -> list[Config]:
    """Return the 15 configurations in the order in which the authors' noise was drawn."""
    names = ("config", "label", "dataset", "warmup", "rng_block", "noise_std_used")
    return [Config(*row) for row in zip(*(tables["configs"][name].tolist() for name in names), strict=True)]


def isoflop_points(tables: dict[str, Columns], config: str) -> Observations:
    """Return the points of equal compute of one configuration."""
    rows = where(tables["isoflop_points"], config=config)
    return observations(
        params=rows["n"], tokens=rows["t"], loss_nats=rows["loss"], flops=rows["flops"], corpus=config,
        rows=np.flatnonzero(tables["isoflop_points"]["config"] == config) + 1,
    )  # fmt: skip


def sweeps(tables: dict[str, Columns]) -> Iterator[Observations]:
    """Yield the points of equal compute of every configuration."""
    return (isoflop_points(tables, config.key) for config in configurations(tables))
