"""How a form predicts training curves that its fit did not see: what is left out, and what errors weigh."""

import numpy as np
from numpy.typing import NDArray

from isoloss.fitting.engine import Problem, best_ends
from isoloss.laws.law import Floats

MOST_FOLDS = 24


def left_out(trunks: NDArray[np.str_]) -> NDArray[np.bool_]:
    """Return which rows (folds, n) each fold leaves out: a trunk each, or groups of trunks where there are many."""
    names, member = np.unique(trunks, return_inverse=True)
    groups = min(len(names), MOST_FOLDS)
    return np.asarray((member % groups)[None, :] == np.arange(groups)[:, None])


def unseen_errors(problem: Problem, best: Floats, trunks: NDArray[np.str_]) -> Floats:
    """Return ln L − ln L̂ of every row (n,), its trunk left out of the fit; refits start at `best` (p,)."""
    folds = left_out(trunks)
    held = best_ends(problem, np.tile(best, (len(folds), 1, 1)), weights=problem.weights * ~folds)
    errors = np.empty(len(problem.targets))
    for end, fold in zip(held.free, folds, strict=True):
        errors[fold] = (problem.targets - problem.evaluate(end)[0])[fold]
    return errors


def whitened_squares(errors: Floats, weights: Floats, trunks: NDArray[np.str_], ratio: float) -> Floats:
    """Return the part of each trunk (T,) of e′R⁻¹e, for errors (n,) of covariance ∝ R.

    R is diag(1/weights) + `ratio` within each trunk.
    """
    _, trunk_of = np.unique(trunks, return_inverse=True)
    squares = np.bincount(trunk_of, weights * errors**2)
    sums, sizes = np.bincount(trunk_of, weights * errors), np.bincount(trunk_of, weights)
    return np.asarray(squares - ratio / (1 + ratio * sizes) * sums**2)
