"""The interval of a median or mean over sequences that are not independent: resample the documents they come from."""

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from isoloss.core.estimate import Estimate

Floats = NDArray[np.float64]
Summary = Literal["median", "mean"]
Unit = Literal["document", "sequence"]

DRAWS = 1000  # a 95 % limit then stands on its 25 outermost draws
BLOCK = 1 << 22  # weights held at a time
# Below ten documents resamples are too few and too alike for a 95 % interval, so the sequences are resampled instead;
# the interval then says how well this text was measured, not how texts like it vary.
LEAST_DOCUMENTS = 10


def resampled_unit(document: NDArray[np.int64]) -> Unit:
    """Return what is resampled: documents where there are ten or more, else sequences."""
    return "document" if len(np.unique(document)) >= LEAST_DOCUMENTS else "sequence"


def estimate(
    values: Floats, document: NDArray[np.int64], *, summary: Summary, rng: np.random.Generator, draws: int = DRAWS
) -> Estimate:
    """Return the median or mean of `values` with the percentile interval of `draws` resamples of their documents.

    Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 13; for clusters Davison & Hinkley 1997, §3.8.
    """
    if summary == "mean":
        draw_means = resampled_means(values[:, None], document, rng=rng, draws=draws)[:, 0]
        return Estimate.from_draws(draw_means, value=float(values.mean()))
    order = np.argsort(values, kind="stable")
    blocks = resampled_weights(document[order], rng=rng, draws=draws)
    medians = np.concatenate([weighted_medians(values[order], weights) for weights in blocks])
    return Estimate.from_draws(medians, value=float(np.median(values)))


def resampled_means(
    values: Floats, document: NDArray[np.int64], *, rng: np.random.Generator, draws: int = DRAWS
) -> Floats:
    """Return the mean row of `values` (sequences × columns) in each of `draws` resamples: draws × columns."""
    blocks = resampled_weights(document, rng=rng, draws=draws)
    return np.concatenate([weights @ values / weights.sum(axis=1, keepdims=True) for weights in blocks])


def resampled_weights(
    document: NDArray[np.int64], *, rng: np.random.Generator, draws: int = DRAWS
) -> Iterator[NDArray[np.int64]]:
    """Yield how often each sequence occurs in each resample of the documents, some draws × sequences at a time."""
    clusters = document if resampled_unit(document) == "document" else np.arange(len(document))
    _, cluster = np.unique(clusters, return_inverse=True)
    count = int(cluster.max()) + 1
    rows = max(1, BLOCK // len(document))
    for done in range(0, draws, rows):
        times = rng.multinomial(count, np.full(count, 1 / count), size=min(rows, draws - done))
        yield times[:, cluster]


def weighted_medians(ascending: Floats, weights: NDArray[np.int64]) -> Floats:
    """Return the median of `ascending` values where value i occurs weights[draw, i] times, one for each draw."""
    reached = np.cumsum(weights, axis=1)
    total = reached[:, -1]
    lower = _at_rank(reached, (total - 1) // 2)
    upper = _at_rank(reached, total // 2)
    return np.asarray((ascending[lower] + ascending[upper]) / 2)


def _at_rank(reached: NDArray[np.int64], rank: NDArray[np.int64]) -> NDArray[np.intp]:
    """Return the position of the value of 0-based `rank` in each row of cumulated weights."""
    return np.asarray(np.argmax(reached > rank[:, None], axis=1))
