"""Intermediate checkpoints that a table lists as if each were a run of its own."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from isoloss.fitting.domain import LawWarning
from isoloss.laws.law import Floats, Law
from isoloss.runs.observations import Observations

FEWEST_CHECKPOINTS = 6  # rows of one size, evenly spaced in tokens: nobody plans runs so
EVEN = 0.03  # of their spacing
SAME_SIZE = 1e-6
MOST_OF = 0.5  # of the rows


def checkpoints_as_runs(observations: Observations, law: type[Law]) -> Iterator[LawWarning]:
    """Warn where most rows of a corpus lie evenly spaced along the tokens of sizes, and none names its curve."""
    if not observations.has("params", "tokens") or len(observations.corpora) > 1:
        return
    curves = [rows for rows in _sizes(observations.params) if _evenly_spaced(observations.tokens[rows])]
    count = sum(map(len, curves))
    if count <= MOST_OF * len(observations) or len(np.unique(observations.trunk)) < len(observations):
        return
    yield LawWarning(
        code="checkpoints_as_runs",
        message=f"{count} of {len(observations)} rows are evenly spaced in tokens at {len(curves)} sizes. They look "
        "like checkpoints of training curves, not like finished runs. Checkpoints of one curve share noise, "
        "which makes intervals too narrow; a learning rate that had not decayed makes losses too high. Name the "
        "curve (--trunk), or keep only the last row of each.",
        rows=tuple(np.sort(observations.rows[np.concatenate(curves)]).tolist()),
    )


def _sizes(params: Floats) -> list[NDArray[np.int64]]:
    """Return the rows of every size that has enough of them to be a curve."""
    order = np.argsort(params, kind="stable")
    ends = np.flatnonzero(np.diff(np.log(params[order]), append=np.inf) > SAME_SIZE) + 1
    starts = np.concatenate([[0], ends[:-1]])
    many = ends - starts >= FEWEST_CHECKPOINTS
    return [order[start:end] for start, end in zip(starts[many], ends[many], strict=True)]


def _evenly_spaced(tokens: Floats) -> bool:
    """Whether most steps between distinct token counts are one and the same."""
    steps = np.diff(np.unique(tokens))
    if len(steps) + 1 < FEWEST_CHECKPOINTS:
        return False
    return bool((np.abs(steps / np.median(steps) - 1) <= EVEN).mean() > MOST_OF)
