"""What automatic starts share: a grid of exponents, and the coefficients that are best for each."""

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# From nearly logarithmic to steeper than any published fit, evenly spread in the logarithm.
EXPONENTS = (0.05, 0.1, 0.2, 0.35, 0.55, 0.9, 1.5, 2.5)
TRIED, KEPT = 1 << 14, 64  # points of a formula alone
MOST_ROWS = 64  # that they are compared on
LEAST_TERM = 1e-3  # of the loss: a vanished term would have no gradient, so it starts this small instead


def nonnegative_fits(designs: Floats) -> Floats:
    """Return, for every design (m, n, k), the non-negative coefficients (m, k) whose sum of columns is nearest to ones.

    Every subset of the columns is solved; of those without a negative coefficient the nearest wins.
    """
    m, n, k = designs.shape
    best = np.zeros((m, k))
    least = np.full(m, np.inf)
    gram, right = np.swapaxes(designs, 1, 2) @ designs, designs.sum(axis=1)
    for subset in (list(s) for size in range(1, k + 1) for s in combinations(range(k), size)):
        own, towards = gram[:, subset][:, :, subset], right[:, subset]
        found = _least_squares(own, towards)
        # |Xc − 1|² = n − 2c′X′1 + c′X′Xc: from the sums, so that rows are read once.
        misfit = n + ((own @ found[..., None])[..., 0] * found - 2 * towards * found).sum(axis=1)
        better = (found >= 0).all(axis=1) & (misfit < least)
        least[better] = misfit[better]
        best[better] = 0
        best[np.ix_(better, subset)] = found[better]
    return best


def _least_squares(gram: Floats, right: Floats) -> Floats:
    """Return the shortest solutions (m, k) of normal equations: the matrices may be singular."""
    values, vectors = np.linalg.eigh(gram)
    seen = values > 1e-15 * values[:, -1:]
    inverse = np.divide(1.0, values, out=np.zeros_like(values), where=seen)
    along = (np.swapaxes(vectors, 1, 2) @ right[..., None])[..., 0]
    return np.asarray((vectors @ (inverse * along)[..., None])[..., 0])


def linear_terms(terms: Sequence[Floats], log_loss: Floats) -> Floats:
    """Return the logarithms of the coefficients (m, k) of `terms`, k of (m, n), that together come nearest to the loss.

    A coefficient of zero, and one too small for its term to be seen, is raised to `LEAST_TERM` of the mean loss.
    """
    designs = np.stack(terms, axis=2) / np.exp(log_loss)[:, None]
    found = nonnegative_fits(designs)
    return np.asarray(np.log(np.maximum(found, LEAST_TERM * np.exp(log_loss.mean()))))


def log_scales(exponents: Sequence[Floats]) -> Floats:
    """Return ln of the factors (m, 2) with which terms e^`exponents`, two of (m, n), together come nearest to one.

    A factor of zero is raised to `LEAST_TERM` of the other.
    """
    terms = [np.exp(np.clip(each, -300, 300)) for each in exponents]
    size = np.maximum(*terms).max(axis=1)
    found = nonnegative_fits(np.stack(terms, axis=2) / size[:, None, None])
    kept = np.maximum(found, LEAST_TERM * found.max(axis=1, keepdims=True) + 1e-300)
    return np.asarray(np.log(kept) - np.log(size)[:, None])


def spread(low: Floats, high: Floats, count: int) -> Floats:
    """Return `count` points (count, p) that fill the box from `low` to `high` evenly, always the same.

    Tables that follow no law (unconverged runs) have optima where no grid of sensible exponents leads. Additive
    recurrence with powers of the root of x^(p+1) = x + 1 (Roberts 2018), evenly spread in any dimension.
    """
    p = len(low)
    root = 1.5
    for _ in range(50):
        root = (1 + root) ** (1 / (p + 1))
    shares = (0.5 + np.outer(np.arange(1, count + 1), root ** -np.arange(1.0, p + 1))) % 1
    return np.asarray(low + shares * (high - low))


def best_of_many(
    loss: Callable[[Floats, Floats], Floats], low: Floats, high: Floats, *, rows: Floats, log_loss: Floats
) -> Floats:
    """Return 64 free starts: of 16,384 points that fill the box evenly, those that come nearest to the loss.

    `loss` takes points (m, p) and rows (n, k), and returns (m, n); `log_loss` is (n,).
    """
    seen = np.unique(np.linspace(0, len(rows) - 1, MOST_ROWS).round().astype(int))
    points = spread(low, high, TRIED)
    with np.errstate(all="ignore"):
        misfit = np.abs(np.log(loss(points, rows[seen])) - log_loss[seen]).sum(axis=1)
    order = np.argsort(np.where(np.isfinite(misfit), misfit, np.inf), kind="stable")
    return np.asarray(points[order[:KEPT]])
