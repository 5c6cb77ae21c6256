"""Rules that turn a size or a step into a hyperparameter: plain arithmetic, no torch."""

import math

from pydantic import Field

from isoloss.core.frozen import Frozen
from isoloss.runs.spec import RunSpec, Schedule


class PowerRule(Frozen):
    """`value · (params / at_params) ** exponent`: a hyperparameter that follows model size; exponent 0 fixes it."""

    at_params: float = Field(default=1e5, gt=0)
    value: float = Field(gt=0)
    exponent: float = Field(default=0.0, ge=-2, le=2)

    def at(self, params: float) -> float:
        """Return the value for a model of `params` parameters, to six significant digits (specs are hashed)."""
        return float(f"{self.value * (params / self.at_params) ** self.exponent:.6g}")


def round_tokens(tokens: float, *, batch_tokens: int) -> int:
    """Return the whole number of batches nearest to `tokens`, at least one, in tokens."""
    return max(1, round(tokens / batch_tokens)) * batch_tokens


def cooldown_steps(spec: RunSpec) -> int:
    """Return how many of the run's last steps cool down: 0 except under `wsd`, where it is at least 1."""
    if spec.schedule.kind != "wsd":
        return 0
    return min(spec.steps, max(1, math.ceil(spec.schedule.cooldown_fraction * spec.steps)))


def branch_step(spec: RunSpec) -> int:
    """Return the step at which the run leaves its trunk: the steps before it are shared by every run of the trunk."""
    return spec.steps - cooldown_steps(spec) if spec.schedule.shares_trunk else 0


def lr_fraction(spec: RunSpec, step: int) -> float:
    """Return the learning rate of 0-based `step` as a fraction of the peak."""
    schedule = spec.schedule
    warm = warmup_fraction(schedule, step, batch_tokens=spec.batch_tokens)
    match schedule.kind:
        case "constant":
            return warm
        case "cosine":
            warmup = schedule.warmup_tokens / spec.batch_tokens
            progress = min(1.0, max(0.0, (step - warmup) / max(1.0, spec.steps - warmup)))
            floor = schedule.final_fraction
            return warm * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress)))
        case "wsd":
            start = branch_step(spec)
            if step < start:
                return warm
            # The rate would reach its end one step after the last, so that no step is spent at rate zero.
            remaining = (spec.steps - step) / (cooldown_steps(spec) + 1)
            return warm * (schedule.final_fraction + (1 - schedule.final_fraction) * remaining)


def warmup_fraction(schedule: Schedule, step: int, *, batch_tokens: int) -> float:
    """Return the linear warm-up's factor at 0-based `step`: 1 from the step that completes `warmup_tokens`."""
    if schedule.warmup_tokens == 0:
        return 1.0
    return min(1.0, (step + 1) * batch_tokens / schedule.warmup_tokens)
