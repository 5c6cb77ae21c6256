"""Rules that turn a size, a horizon or a step into a hyperparameter: plain arithmetic, no torch.

A *horizon* is the number of tokens that a run is trained on. A setting that follows it differs between the token counts
of one size, so those runs share no step: each horizon has a trunk of its own.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from isoloss.core.errors import did_you_mean
from isoloss.core.frozen import Frozen
from isoloss.core.reading import packaged_toml
from isoloss.runs.shapes import DEFAULT_CONVENTION, Counts, ParamsConvention
from isoloss.runs.spec import RunSpec, Schedule

LEAST, MOST = 1e-30, 1e30  # of what a study may name: powers and products of such numbers stay finite


def six_digits(value: float) -> float:
    """Return `value` to six significant digits: what rules give goes into specs, and specs are hashed."""
    return float(f"{value:.6g}")


class PowerRule(Frozen):
    """`value · (params / at_params) ** exponent · (tokens / at_tokens) ** tokens_exponent`; exponents 0 fix it.

    `params` are counted by `params_convention`, or where it is None by the study's. `source` says where it comes from.
    """

    at_params: float = Field(default=1e5, ge=LEAST, le=MOST)
    value: float = Field(ge=LEAST, le=MOST)
    exponent: float = Field(default=0.0, ge=-2, le=2)
    at_tokens: float = Field(default=1e6, ge=LEAST, le=MOST)
    tokens_exponent: float = Field(default=0.0, ge=-2, le=2)
    params_convention: ParamsConvention | None = None
    source: str = ""

    def at(self, params: float, tokens: float | None = None) -> float:
        """Return the value for `params` parameters and a horizon of `tokens`, to six significant digits."""
        horizon = 1.0 if tokens is None else (tokens / self.at_tokens) ** self.tokens_exponent
        return six_digits(self.value * (params / self.at_params) ** self.exponent * horizon)

    def of(self, counts: Counts, tokens: float, *, convention: ParamsConvention = DEFAULT_CONVENTION) -> float:
        """Return the value for a model, its parameters counted by the rule's convention or else by `convention`."""
        return self.at(counts.params(self.params_convention or convention), tokens)

    @property
    def follows_horizon(self) -> bool:
        """Whether the value depends on the number of tokens."""
        return self.tokens_exponent != 0

    def described(self) -> str:
        """Return the rule as a formula, with where it comes from."""
        factors = [f"{self.value:g}"]
        if self.exponent:
            factors.append(f"(N/{self.at_params:g})^{self.exponent:.4g}")
        if self.tokens_exponent:
            factors.append(f"(D/{self.at_tokens:g})^{self.tokens_exponent:.4g}")
        return " · ".join(factors) + (f" ({self.source})" if self.source else "")


class HalfLife(Frozen):
    """β2 whose memory is halved every `half_life_tokens` tokens, at any batch: β2 = 2^(−batch / half-life).

    Marek et al. 2025, arXiv:2507.07101.
    """

    half_life_tokens: float = Field(ge=1, le=MOST)

    def beta2(self, batch_tokens: int) -> float:
        """Return β2 at a batch of `batch_tokens`, to six significant digits."""
        return six_digits(2 ** (-batch_tokens / self.half_life_tokens))


class Timescale(Frozen):
    """Weight decay that forgets over `timescale` of the run: λ = 1 / (rate · timescale · steps), at the peak rate.

    Wang & Aitchison 2024, arXiv:2405.13698: AdamW averages its updates over 1 / (rate · λ) steps.
    """

    timescale: float = Field(ge=LEAST, le=MOST)

    def weight_decay(self, *, peak_lr: float, steps: float) -> float:
        """Return λ for a run of `steps` steps, to six significant digits."""
        return six_digits(1 / (peak_lr * self.timescale * steps))


_PUBLISHED = packaged_toml("isoloss.runs", "rules.toml")


def _published(what: str) -> dict[str, PowerRule]:
    """Return the published rules for `what`, by name."""
    return {name: PowerRule(**said["alike"], **said[what]) for name, said in _PUBLISHED.items() if what in said}


RATES, BATCHES, WARMUPS = map(_published, ("rate", "batch", "warmup"))


def _rule_or(known: Mapping[str, PowerRule], *, zero_is_none: bool = False) -> BeforeValidator:
    """Return a validator that takes a number, the name of a known rule, or a rule written out."""

    def read(found: Any) -> Any:
        if isinstance(found, str):
            if found not in known:
                raise ValueError(f"no rule {found!r}: {did_you_mean(found, known)}")
            return known[found]
        if isinstance(found, int | float) and not isinstance(found, bool):
            return None if zero_is_none and found == 0 else {"value": found}
        return found

    return BeforeValidator(read)


Rate = Annotated[PowerRule, _rule_or(RATES)]
"""A rate: a number, `gzip_paper`, `porian`, `step_law`, or a power law written out."""
Batch = Annotated[PowerRule, _rule_or(BATCHES)]
"""Tokens a step, written as a rate is; rounded to whole windows where a rule gives it."""
Warmup = Annotated[PowerRule | None, _rule_or(WARMUPS, zero_is_none=True)]
"""Tokens of warm-up: 0 for none, a number, `porian` (as many as parameters), or a power law written out."""
Decay = Annotated[Timescale | PowerRule | None, _rule_or({}, zero_is_none=True)]
"""AdamW's weight decay: 0 for none, a number, a power law, or a time scale as a share of the run."""


def whole_windows(tokens: float, *, context: int) -> int:
    """Return the whole number of windows nearest to `tokens`, at least one, in tokens."""
    return max(1, round(tokens / context)) * context


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
    return shape_fraction(spec, step) * decay_fraction(spec.schedule, step, batch_tokens=spec.batch_tokens)


def decay_fraction(schedule: Schedule, step: int, *, batch_tokens: int) -> float:
    """Return the factor by which the trunk's rate has fallen at 0-based `step`: 1 without a decay exponent."""
    if schedule.decay_exponent == 0:
        return 1.0
    return float((1 + step * batch_tokens / schedule.decay_tokens) ** -schedule.decay_exponent)


def shape_fraction(spec: RunSpec, step: int) -> float:
    """Return warm-up times cooldown or cosine at 0-based `step`: the rate as a fraction of the trunk's."""
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
