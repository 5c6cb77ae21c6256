"""The training curve of a run: means of the training loss over intervals that grow with the step."""

from collections.abc import Mapping, Sequence
from itertools import count, pairwise, takewhile
from typing import Any

import numpy as np

from isoloss.runs.rules import branch_step, lr_fraction
from isoloss.runs.spec import RunSpec

# Each interval ends a quarter later than the one before: about 30 points to 1,000 steps. A cooldown adds 8 of its own,
# evenly spaced, because it changes the loss in few steps.
GROWTH = 1.25
COOLDOWN_POINTS = 8
# Held-out losses along a trunk may cost this share of its training, and are no more than so many.
HELDOUT_SHARE = 0.05
MOST_HELDOUT = 8


def trunk_marks(steps: int) -> list[int]:
    """Return the steps of a trunk after which an interval ends, ascending, up to `steps`."""
    return sorted(set(takewhile(lambda step: step <= steps, (round(GROWTH**k) for k in count()))))


def marks(spec: RunSpec, *, steps: int) -> list[int]:
    """Return the steps after which an interval of the first `steps` of a run ends, the last included."""
    start = branch_step(spec) if spec.schedule.kind == "wsd" else spec.steps
    cooldown = {start + round((spec.steps - start) * k / COOLDOWN_POINTS) for k in range(COOLDOWN_POINTS)}
    return sorted({step for step in {*trunk_marks(start), *cooldown} if 0 < step < steps} | {steps})


def heldout_marks(*, steps: int, batch_tokens: int, heldout_tokens: int) -> list[int]:
    """Return the steps of a trunk at which its held-out loss is cheap enough to take along: the latest marks.

    A forward pass costs a third of a training step.
    """
    affordable = int(HELDOUT_SHARE * 3 * steps * batch_tokens / heldout_tokens)
    return trunk_marks(steps)[::-1][: min(affordable, MOST_HELDOUT)]


def curve_columns(
    spec: RunSpec, step_losses: Sequence[float], heldout_nats: Mapping[int, float]
) -> dict[str, Sequence[Any]]:
    """Return the curve as columns: step, tokens, mean training loss since the mark before, rate, held-out loss or None.

    `heldout_nats` maps marks to the held-out loss of the model as it then was.
    """
    ends = marks(spec, steps=len(step_losses)) if step_losses else []
    return {
        "step": ends,
        "tokens": [step * spec.batch_tokens for step in ends],
        "train_nats": [float(np.mean(step_losses[first:last])) for first, last in pairwise([0, *ends])],
        "lr": [spec.optimiser.peak_lr * lr_fraction(spec, step - 1) for step in ends],
        "heldout_nats": [heldout_nats.get(step) for step in ends],
    }
