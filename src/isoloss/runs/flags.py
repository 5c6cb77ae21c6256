"""Flags that a run earns: reasons to keep its loss out of a law, each by a rule stated in `MEANINGS`."""

from collections.abc import Sequence

import numpy as np

from isoloss.core.errors import BelowFloor
from isoloss.runs.documents import DocumentLosses, DocumentMean, Floats, mean_by_document
from isoloss.runs.record import Loss
from isoloss.runs.rules import branch_step, lr_fraction, shape_fraction
from isoloss.runs.spec import RunSpec

MEANINGS = {
    "unconverged": "the loss is not below the unigram entropy by 2 standard errors and 2 %, so the model has "
    "learned token frequencies at most; or, at the end of the phase with the full learning rate, doubling the "
    "tokens still lowered the loss by over 29 % of its distance from the floor (from 0 if no floor is known), "
    "faster than D^−½. In both cases the loss reflects optimisation, not size or data",
    "saturated": "the loss is within 2 standard errors or 1 % of the floor, so nothing is left to gain and the loss "
    "only reflects the floor; if no floor is known, neither a larger model nor more tokens lowers the loss",
    "diverged": "training broke down: the loss is not finite, or half a nat above the loss of the first step",
}

STANDARD_ERRORS = 2.0
# One chance in three million a run; near the floor the differences are skewed, and half of all runs may lie there.
BELOW_ERRORS = 5.0
BELOW_NATS = 1e-4  # sums of a document's float32 losses round by some 1e-6 of it
# Below this share of the unigram entropy a gain may be the add-one smoothing's or a short context's, not learning's.
UNCONVERGED_MARGIN = 0.02
# Data exponents of language are .2 to .5 (Hestness et al. 2017, Kaplan et al. 2020, Hoffmann et al. 2022): what falls
# faster than D^-½, even were its limit the floor, is not on its power law yet. Annealing lowers the loss whatever was
# learnt, so the fall is read where the rate is at least half its peak, over tokens weighted by the rate.
FASTEST_EXPONENT = 0.5
FULL_RATE = 0.5
WINDOW = 0.2  # of the weighted tokens before the end, and before half of them: what is averaged
# Laws are fitted to residuals of a few percent of ln L; what lies within 1 % of the floor moves less than that.
SATURATED_MARGIN = 0.01


def flags_of(
    losses: DocumentLosses, *, unigram_nats: float, floor_nats: Floats | None = None, spec: RunSpec | None = None,
    step_losses: Sequence[float] = (),
) -> tuple[str, ...]:  # fmt: skip
    """Return the flags a finished run earns by itself.

    `unigram_nats` is the held-out entropy under the training side's token frequencies. `floor_nats` is the best
    possible loss of every held-out document of the corpus (indexed by `losses.document`), or None where it is unknown.
    `step_losses` are the training losses of the run's steps under `spec`.
    """
    floor_mean = 0.0 if floor_nats is None else losses.mean().value - losses.excess(floor_nats).value
    falling = spec is not None and still_falling(spec, step_losses, floor_nats=floor_mean)
    flags = []
    if falling or is_unconverged(losses, unigram_nats=unigram_nats):
        flags.append("unconverged")
    if floor_nats is not None and is_at_floor(losses, floor_nats=floor_nats):
        flags.append("saturated")
    return tuple(flags)


def still_falling(spec: RunSpec, step_losses: Sequence[float], *, floor_nats: float = 0.0) -> bool:
    """Whether the training loss fell faster than D^-½, by 2 standard errors, over the last doubling at full rates.

    Two windows are compared, each a fifth of the rate-weighted tokens that lead up to it: those before the end of full
    rates and those before half of that. A power law falls between them by 1 − 2^-β of what is left, whatever its size.
    Runs of too few steps to tell are not flagged.
    """
    rates = np.array([lr_fraction(spec, step) for step in range(len(step_losses))])
    full = np.flatnonzero([shape_fraction(spec, step) >= FULL_RATE for step in range(len(step_losses))])
    steps = min(int(full[-1]) + 1 if len(full) else len(rates), branch_step(spec) or len(rates))
    losses, passed = np.asarray(step_losses[:steps], dtype=float), np.cumsum(rates[:steps])
    if not steps:
        return False
    windows = [losses[(passed > (1 - WINDOW) * end) & (passed <= end)] for end in (passed[-1] / 2, passed[-1])]
    if min(map(len, windows)) < 2:
        return False
    before, after = (float(window.mean()) for window in windows)
    # Successive losses differ by their batches and little else: half a squared difference is a batch's variance.
    stderr = float(np.sqrt(sum(np.mean(np.diff(window) ** 2) / 2 / len(window) for window in windows)))
    steepest = (1 - 2**-FASTEST_EXPONENT) * (before - floor_nats)
    return before - after - STANDARD_ERRORS * stderr > steepest


def is_unconverged(losses: DocumentLosses, *, unigram_nats: float) -> bool:
    """Whether the loss has not beaten the unigram entropy by more than 2 standard errors and 2 %."""
    mean = losses.mean()
    return unigram_nats - mean.value <= max(STANDARD_ERRORS * mean.stderr, UNCONVERGED_MARGIN * unigram_nats)


def is_at_floor(losses: DocumentLosses, *, floor_nats: Floats) -> bool:
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
            f"the held-out loss is {-excess.value:.4g} ± {excess.stderr:.2g} nats per token below the lowest "
            "possible loss",
            fix="delete this corpus from the results folder and run again; if this message returns, please report "
            "it as a bug of isoloss",
        )


def loss_of(losses: DocumentLosses, *, floor_nats: Floats | None) -> Loss:
    """Return the loss of held-out documents, with what it has above their floor where that is known.

    `floor_nats` is as in `flags_of`. Raises BelowFloor as `require_above_floor` does.
    """
    mean = losses.mean()
    excess = None if floor_nats is None else losses.excess(floor_nats)
    if excess is not None:
        require_above_floor(excess)
    return Loss(
        nats=mean.value, stderr=mean.stderr, tokens=int(losses.tokens.sum()), documents=len(losses.document),
        excess_nats=excess.value if excess else None, excess_stderr=excess.stderr if excess else None,
    )  # fmt: skip


def saturated_by_neighbours(
    losses: DocumentLosses, *, larger_model: DocumentLosses, more_tokens: DocumentLosses
) -> bool:
    """Whether neither the next larger model at equal tokens nor more tokens at equal size lowers the loss.

    'Lowers' means by more than 2 standard errors of the paired difference. Both neighbours are needed: one that stalls
    alone shows a limit of size or of data, and the law is about those.
    """
    return not any(_lowers(losses, neighbour) for neighbour in (larger_model, more_tokens))


def _lowers(losses: DocumentLosses, neighbour: DocumentLosses) -> bool:
    if not np.array_equal(losses.document, neighbour.document):
        raise ValueError("the two runs were scored on different documents, so their losses cannot be paired")
    gain = mean_by_document(losses.nats - neighbour.nats, losses.tokens)
    return gain.value > STANDARD_ERRORS * gain.stderr
