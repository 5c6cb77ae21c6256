"""The 245 points of Hoffmann et al. 2022, figure 4, and what was published of them."""

from collections.abc import Iterator

import numpy as np

from isoloss.published.folder import Columns
from isoloss.runs.observations import Observations, observations

NAMES = ("E", "A", "B", "alpha", "beta")
# Hoffmann et al. 2022, appendix D.3, eq. 10, and the same with the digits of their LaTeX source.
HOFFMANN = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
# Besiroglu et al. 2024, table 1; their code minimises least absolute deviations in effect.
BESIROGLU = {"E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658}
# Optimum of the sum of Huber's losses (δ = 1e-3) over 240 rows, found by several programs with agreeing starts.
HUBER_240 = {"E": 1.81722, "A": 477.83, "B": 2143.42, "alpha": 0.347311, "beta": 0.367172}
HUBER_245 = {"E": 1.89134, "A": 495.73, "B": 12845.6, "alpha": 0.34931, "beta": 0.45305}
REFITTED = np.array(list(HUBER_240.values()))
LAD_240 = {"E": 1.81686, "A": 482.01, "B": 2085.44, "alpha": 0.347813, "beta": 0.365854}
OBJECTIVE_240 = 0.001018274018
INTERVALS_240 = {
    "A": (285, 744), "B": (1042, 5810), "E": (1.769, 1.871), "alpha": (0.317, 0.373), "beta": (0.331, 0.415),
}  # fmt: skip
# Hoffmann et al. 2022, table 2.
EXPONENTS = {"approach 1": (0.50, 0.488, 0.502), "approach 2": (0.49, 0.462, 0.534), "approach 3": (0.46, 0.454, 0.455)}
ISOFLOP_BUDGETS = (6e18, 1e19, 3e19, 6e19, 1e20, 3e20, 6e20, 1e21, 3e21)


def points(tables: dict[str, Columns], *, outliers: bool = False) -> Observations:
    """Return the points as a table of runs: 240, or all 245."""
    table = tables["chinchilla_runs_245"]
    kept = np.ones(len(table["loss"]), dtype=bool) if outliers else ~table["epoch_outlier"].astype(bool)
    return observations(
        params=table["params"][kept], tokens=table["tokens"][kept], loss_nats=table["loss"][kept],
        flops=table["flops"][kept], rows=np.flatnonzero(kept) + 1,
    )  # fmt: skip


def sweeps(tables: dict[str, Columns]) -> Iterator[Observations]:
    """Yield the runs that a law is fitted to."""
    yield points(tables)
