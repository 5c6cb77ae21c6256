"""The C4 runs of Muennighoff et al. 2023, and what was published of their fit."""

from collections.abc import Iterator

import numpy as np

from isoloss.published.folder import Columns
from isoloss.runs.observations import Observations, observations

# The base law for C4 that their notebook holds fixed; a, b, e are logarithms there.
BASE = {
    "E": float(np.exp(0.6254804)), "A": float(np.exp(6.255414)), "B": float(np.exp(7.3049974)),
    "alpha": 0.3526596, "beta": 0.3526596,
}  # fmt: skip
PUBLISHED = {"R_D": 15.387756, "R_N": 5.309743}
PUBLISHED_OBJECTIVE = 0.015825935
PUBLISHED_R2 = 0.7722046
# A lower optimum than the published one, found from other starts.
LOWER = {"R_D": 46.99, "R_N": 2.330}
LOWER_OBJECTIVE = 0.015807379


def runs(tables: dict[str, Columns], name: str) -> Observations:
    """Return the runs of one file as a table with its unique tokens."""
    table = tables[name]
    return observations(
        params=table["params"], tokens=table["tokens"], loss_nats=table["val_loss"], run=table["run"].tolist(),
        extra={"unique_tokens": table["unique_tokens"]},
    )  # fmt: skip


def sweeps(tables: dict[str, Columns]) -> Iterator[Observations]:
    """Yield the runs that saw no text twice, without those that hardly learnt."""
    found = runs(tables, "c4_repeat_runs")
    yield found.select((found.extra["unique_tokens"] >= 0.99 * found.tokens) & (found.loss_nats < 6))
