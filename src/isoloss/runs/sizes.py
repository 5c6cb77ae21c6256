"""The distinct sizes of a table of runs: those within 2 % of each other are one."""

import numpy as np
from numpy.typing import NDArray

from isoloss.runs.columns import Floats

SAME_SIZE = 0.02  # in ln N


def distinct_sizes(params: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """Return the sizes of runs, those within 2 % merged (k,), and which one each run has (n,)."""
    order = np.argsort(params, kind="stable")
    member = np.zeros(len(params), dtype=np.int64)
    firsts: list[float] = []
    for row in order:
        if not firsts or np.log(params[row] / firsts[-1]) > SAME_SIZE:
            firsts.append(float(params[row]))
        member[row] = len(firsts) - 1
    means = [float(np.exp(np.log(params[member == place]).mean())) for place in range(len(firsts))]
    return np.array(means), member
