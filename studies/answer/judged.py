"""What verdicts of claims have in common: when a thing is shown, and how numbers stand in them."""

from collections.abc import Sequence

from answer import verdicts
from answer.estimates import Balance
from answer.words import value
from isoloss.core.estimate import Estimate

OPEN = "not finished"
NOT_SHOWN, OPPOSITE = "not shown", "the opposite is shown"
SIGNIFICANT = 0.05
FEWEST = verdicts.FEWEST

Judged = tuple[str, str]
"""A verdict and the number that it rests on."""


def direction(slope: float, p: float) -> str:
    """Return whether a rise is shown, its opposite, or neither."""
    if p >= SIGNIFICANT:
        return NOT_SHOWN
    return "shown" if slope > 0 else OPPOSITE


def direction_of(change: Estimate) -> str:
    """Return whether a rise is shown, its opposite, or neither, by the interval of a change."""
    if change.low is None or change.high is None or change.low <= 0 <= change.high:
        return NOT_SHOWN
    return "shown" if change.value > 0 else OPPOSITE


def too_few(balances: Sequence[Balance], what: str) -> Judged:
    """Return that too few have a best split."""
    return OPEN, f"{len(balances)} {what} have a best split, {FEWEST} or more needed"


def interval(estimate: Estimate, *, scale: float = 1.0) -> str:
    """Return an estimate with its interval, in another unit where `scale` is given."""
    return value(estimate.scaled(scale))
