"""Draws of a fit: what the parameters would have been had the same runs been repeated.

Three ways, chosen by what the rows are:

rows               many rows, each a training curve of its own: resample rows (Efron 1979)
trunks             many curves with several rows each: resample whole curves
parametric_trunks  few curves, or few rows: simulate from the law with the noise of `isoloss.fitting.noise`, and refit
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isoloss.fitting.engine import Problem, linearise
from isoloss.fitting.evidence import IntervalMethod
from isoloss.fitting.noise import TrunkNoise, trunk_noise
from isoloss.laws.law import Floats
from isoloss.laws.settings import MethodName
from isoloss.runs.observations import Observations
from isoloss.runs.replicates import count_replicates, replicate_cells

# Below these a resample may lose a whole side of the grid. At and above them resampled rows (5 × 5 grids and larger)
# and trunks (12 × 5 and larger) held the truth 93–99 % of the time, with trunk effects as large as the point noise too
# (benchmarks/coverage.py).
FEWEST_ROWS = 25
FEWEST_TRUNKS = 12
# Beyond these a column a cell would not fit into memory, and what a law misses at every seed hardly matters.
MOST_REPLICATED_ROWS = 2000
# Rows beyond the first of their size and token count: the degrees of freedom that replicates leave for noise.
FEWEST_REPLICATES = 6


@dataclass(frozen=True, kw_only=True, eq=False)
class Resamples:
    """What the runs might have been: new ln losses (draws, n), or new weights of the rows (draws, n).

    `noise` (draws, 2) are the standard deviations of point noise and trunk effects, in ln L, that go with each.
    """

    noise: Floats
    targets: Floats | None = None
    weights: Floats | None = None


def choose_method(observations: Observations, method: MethodName) -> IntervalMethod:
    """Return the method that `auto` stands for on this table, or the one asked for."""
    if method != "auto":
        return method
    trunks = len(np.unique(observations.trunk))
    if trunks == len(observations):
        return "rows" if trunks >= FEWEST_ROWS else "parametric_trunks"
    return "trunks" if trunks >= FEWEST_TRUNKS else "parametric_trunks"


def resample(
    observations: Observations,
    problem: Problem,
    free: Floats,
    *,
    method: IntervalMethod,
    draws: int,
    generator: np.random.Generator,
    targets: Floats | None = None,
    others: Floats | None = None,
) -> Resamples:
    """Return resamples by `method` of the rows around a fit that ended at `free`.

    `targets` replace the problem's ln losses, for a fit to simulated ones; `others` is what other corpora say of noise.
    """
    noise = noise_around(observations, problem, free, targets=targets, others=others)
    if method != "parametric_trunks":
        unit = observations.rows if method == "rows" else observations.trunk
        weights = problem.weights * counts_drawn(unit, draws, generator)
        return Resamples(weights=weights, noise=noise.draw_deviations(generator, draws))
    deviations = noise.draw_deviations(generator, draws)
    return Resamples(targets=problem.evaluate(free)[0] + noise.draw_noise(generator, deviations), noise=deviations)


def noise_around(
    observations: Observations,
    problem: Problem,
    free: Floats,
    *,
    targets: Floats | None = None,
    others: Floats | None = None,
) -> TrunkNoise:
    """Return the noise of the rows around a fit that ended at `free`; see `isoloss.fitting.noise.trunk_noise`.

    Where enough rows are replicates, theirs: what a law misses at every seed alike is no noise.
    """
    residuals, jacobian = linearise(problem, free, targets=targets)
    fitted = fitted_or_replicated(observations, jacobian)
    return trunk_noise(residuals, fitted, observations.trunk, problem.weights, others=others)


def fitted_or_replicated(observations: Observations, fitted: Floats) -> Floats:
    """Return the directions in which rows show no noise: a column a replicated size and token count, where enough are.

    Else those that a law was fitted along (n, parameters).
    """
    if len(observations) <= MOST_REPLICATED_ROWS and count_replicates(observations) >= FEWEST_REPLICATES:
        return replicate_cells(observations).astype(np.float64)
    return fitted


def counts_drawn(units: NDArray[Any], draws: int, generator: np.random.Generator) -> Floats:
    """Return how often each row (draws, n) occurs when as many units as there are are drawn with replacement."""
    kinds, member = np.unique(units, return_inverse=True)
    drawn = generator.multinomial(len(kinds), np.full(len(kinds), 1 / len(kinds)), size=draws)
    return drawn[:, member].astype(np.float64)
