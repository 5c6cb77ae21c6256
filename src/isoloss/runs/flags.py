"""Flags that a run earns: reasons to keep its loss out of a law, each by a rule stated in `MEANINGS`."""

import numpy as np
from numpy.typing import NDArray

from isoloss.core.errors import BelowFloor
from isoloss.runs.documents import DocumentLosses, DocumentMean, mean_by_document

MEANINGS = {
    "unconverged": "the loss has not beaten the unigram entropy by 2 standard errors and 2 %: the model has learnt "
    "token frequencies at most, and its loss tells of optimisation, not of size or data",
    "saturated": "the loss is within 2 standard errors or 1 % of the best possible: nothing is left to gain, and the "
    "loss tells of the floor alone; where no floor is known, neither a larger model nor more tokens lowers the loss",
    "diverged": "training broke down: a loss that is not finite, or half a nat above that of the first step",
}

STANDARD_ERRORS = 2.0
# One chance in three million a run; near the floor the differences are skewed, and half of all runs may lie there.
BELOW_ERRORS = 5.0
BELOW_NATS = 1e-4  # sums of a document's float32 losses round by some 1e-6 of it
# Below this share of the unigram entropy a gain may be the add-one smoothing's or a short context's, not learning's.
UNCONVERGED_MARGIN = 0.02
# Laws are fitted to residuals of a few percent of ln L; what lies within 1 % of the floor moves less than that.
SATURATED_MARGIN = 0.01


def flags_of(
    losses: DocumentLosses, *, unigram_nats: float, floor_nats: NDArray[np.float64] | None = None
) -> tuple[str, ...]:
    """Return the flags a finished run earns by itself.

    `unigram_nats` is the held-out entropy under the training side's token frequencies. `floor_nats` is the best
    possible loss of every held-out document of the corpus (indexed by `losses.document`), or None where it is unknown.
    """
    flags = []
    if is_unconverged(losses, unigram_nats=unigram_nats):
        flags.append("unconverged")
    if floor_nats is not None and is_at_floor(losses, floor_nats=floor_nats):
        flags.append("saturated")
    return tuple(flags)


def is_unconverged(losses: DocumentLosses, *, unigram_nats: float) -> bool:
    """Whether the loss has not beaten the unigram entropy by more than 2 standard errors and 2 %."""
    mean = losses.mean()
    return unigram_nats - mean.value <= max(STANDARD_ERRORS * mean.stderr, UNCONVERGED_MARGIN * unigram_nats)


def is_at_floor(losses: DocumentLosses, *, floor_nats: NDArray[np.float64]) -> bool:
    """Whether the loss exceeds the floor of the same documents by at most 2 standard errors of that excess, or 1 %."""
    excess = losses.excess(floor_nats)
    floor_mean = losses.mean().value - excess.value
    return excess.value <= max(STANDARD_ERRORS * excess.stderr, SATURATED_MARGIN * floor_mean)


def require_above_floor(excess: DocumentMean) -> None:
    """Raise BelowFloor where a loss is better than the best possible one, by more than chance and round-off explain.

    The expected excess is a relative entropy, which is never negative: so either loss or floor was computed wrongly, or
    of other documents.
    """
    if excess.value < -max(BELOW_ERRORS * excess.stderr, BELOW_NATS):
        raise BelowFloor(
            f"the held-out loss is {-excess.value:.4g} ± {excess.stderr:.2g} nats per token below the best possible",
            fix="delete this corpus of the results folder and run again; if it comes back, the laboratory errs",
        )


def saturated_by_neighbours(
    losses: DocumentLosses, *, larger_model: DocumentLosses | None, more_tokens: DocumentLosses | None
) -> bool:
    """Whether neither the next larger model at equal tokens nor more tokens at equal size lowers the loss.

    'Lowers' means by more than 2 standard errors of the paired difference. Both neighbours are needed: one that stalls
    alone shows a limit of size or of data, and the law is about those.
    """
    if larger_model is None or more_tokens is None:
        return False
    return not any(_lowers(losses, neighbour) for neighbour in (larger_model, more_tokens))


def _lowers(losses: DocumentLosses, neighbour: DocumentLosses) -> bool:
    if not np.array_equal(losses.document, neighbour.document):
        raise ValueError("the two runs were scored on different documents: their losses cannot be paired")
    gain = mean_by_document(losses.nats - neighbour.nats, losses.tokens)
    return gain.value > STANDARD_ERRORS * gain.stderr
