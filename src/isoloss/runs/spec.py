"""What a run is: everything that changes its numbers, and nothing else.

Where a run executes, which other runs share its trunk and how often it is checkpointed are absent: they change no
number.
"""

from functools import cached_property
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from isoloss.core.fingerprint import fingerprint
from isoloss.core.frozen import Frozen

DECAY_TOKENS = 50_000
RUN_VERSION = 1  # raise when the same spec would train to other numbers


Family = Literal["llama", "openlm"]


class Blocks(Frozen):
    """The blocks of a model: all of its shape but vocabulary and context."""

    family: Family = "llama"
    width: int = Field(gt=0)
    depth: int = Field(gt=0)
    heads: int = Field(gt=0)
    ffn: int = Field(gt=0)
    qk_norm: bool = False


class ModelSpec(Blocks):
    """The shape of a decoder-only transformer. `family` names the builder in `isoloss.models`.

    `llama` is that of Touvron et al. 2023: RMSNorm, rotary positions, SwiGLU, no biases; `kv_heads` below `heads`
    shares keys and values among heads (Ainslie et al. 2023). `openlm` is that of Porian et al. 2024: LayerNorm with
    gain and bias in place of RMSNorm, `ffn` by `shapes.openlm_ffn`, and on request the same norm over all queries and
    all keys (`qk_norm`). `norm_eps` None is the family's own.
    """

    vocab_size: int = Field(gt=1)
    context: int = Field(gt=1)
    tied: bool = False
    kv_heads: int | None = Field(default=None, gt=0)
    norm_eps: float | None = Field(default=None, gt=0)
    rope_theta: float = Field(default=10_000.0, gt=0)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.width % self.heads or (self.width // self.heads) % 2:
            raise ValueError(f"width {self.width} does not split into {self.heads} heads of even size")
        if self.kv_heads is not None and self.heads % self.kv_heads:
            raise ValueError(f"{self.heads} heads do not share {self.kv_heads} heads of keys and values evenly")
        if self.family == "llama" and self.qk_norm:
            raise ValueError("qk_norm is an option of openlm; llama models do not normalise queries and keys")
        if self.family == "openlm" and self.kv_heads is not None:
            raise ValueError("kv_heads is an option of llama only; in openlm each head has its own keys and values")
        return self

    @property
    def kv_width(self) -> int:
        """Columns of the keys, and of the values."""
        return self.width // self.heads * (self.kv_heads or self.heads)


class Optimiser(Frozen):
    """AdamW with decoupled weight decay on matrices (not on norms) and clipping of the global gradient norm.

    `weight_decay` is multiplied by the learning rate, as in most libraries; with `independent_decay` by the schedule
    alone, so that the peak rate does not move it (Loshchilov & Hutter 2019; Wortsman et al. 2023, arXiv:2309.14322).
    `z_loss` times the mean of (ln Z)² over scored positions, Z the sum of a softmax, is added to what is minimised and
    to no loss that is reported (Chowdhery et al. 2022). OpenLM's own code squares the batch's mean of ln Z instead,
    which no batch that is summed over passes can reproduce.
    """

    peak_lr: float = Field(gt=0)
    beta1: float = Field(default=0.9, ge=0, lt=1)
    beta2: float = Field(default=0.95, ge=0, lt=1)
    eps: float = Field(default=1e-8, gt=0)
    weight_decay: float = Field(default=0.1, ge=0)
    independent_decay: bool = False
    clip_norm: float = Field(default=1.0, gt=0)
    z_loss: float = Field(default=0.0, ge=0)


class Schedule(Frozen):
    """The learning rate over a run.

    `cosine` falls from the peak to `final_fraction` of it at the run's own end, so every token count is a run of its
    own. `constant` and `wsd` (warmup-stable-decay, Hu et al. 2024, arXiv:2404.06395) share one trunk at the peak;
    under `wsd` a branch leaves the trunk and cools down linearly to `final_fraction` over the last `cooldown_fraction`
    of its tokens.

    With `decay_exponent` p the trunk's rate falls as (1 + t / `decay_tokens`)^-p after t tokens, so that a longer run
    ends its trunk at a lower rate although all runs share it: best rates fall with the horizon (Bjorck et al. 2024,
    arXiv:2409.19913). `wsd` and `constant` have it.
    """

    kind: Literal["cosine", "constant", "wsd"] = "wsd"
    warmup_tokens: int = Field(default=0, ge=0)
    cooldown_fraction: float = Field(default=0.2, gt=0, le=1)
    final_fraction: float = Field(default=0.0, ge=0, le=1)
    decay_exponent: float = Field(default=0.0, ge=0, le=1)
    decay_tokens: int = Field(default=DECAY_TOKENS, gt=0)

    @model_validator(mode="after")
    def _trunks_alone_decay(self) -> Self:
        if self.decay_exponent and not self.shares_trunk:
            raise ValueError(
                "decay_exponent applies to the trunk of wsd and constant schedules; a cosine schedule has no trunk"
            )
        # One way to say that nothing falls: two schedules of the same numbers would be two runs.
        if not self.decay_exponent and self.decay_tokens != DECAY_TOKENS:
            raise ValueError("decay_tokens says when the learning rate starts to fall: give decay_exponent too")
        return self

    @property
    def shares_trunk(self) -> bool:
        """Whether runs that differ in their token count alone can be branches of one trunk."""
        return self.kind in ("constant", "wsd")


class Numerics(Frozen):
    """How the arithmetic is done. All of it changes the last digits, so all of it is part of the identity.

    A batch passes through the model `micro_batch_tokens` at a time and its gradient is summed; None leaves the size of
    a pass to the device. `recompute` keeps only what enters each block and computes the rest again on the backward pass
    (Chen et al. 2016): memory for a third more work. Without `deterministic`, operations whose sums have no fixed order
    are allowed, which only a GPU has.
    """

    dtype: Literal["float32", "bfloat16"] = "float32"
    threads: int = Field(default=1, gt=0)
    compile: bool = False
    device: Literal["cpu", "cuda"] = "cpu"
    micro_batch_tokens: int | None = Field(default=None, gt=0)
    recompute: bool = False
    deterministic: bool = True


class RunSpec(Frozen):
    """One point of a grid: a model trained on `train_tokens` tokens of a corpus. Identity is `fingerprint`."""

    corpus: str
    model: ModelSpec
    train_tokens: int = Field(gt=0)
    batch_tokens: int = Field(gt=0)
    optimiser: Optimiser
    schedule: Schedule = Schedule()
    numerics: Numerics = Numerics()
    seed: int = 0

    @model_validator(mode="after")
    def _whole_batches(self) -> Self:
        if self.batch_tokens % self.model.context:
            raise ValueError(f"batch_tokens {self.batch_tokens} is not a multiple of the context {self.model.context}")
        if self.train_tokens % self.batch_tokens:
            raise ValueError(f"train_tokens {self.train_tokens} is not a multiple of batch_tokens {self.batch_tokens}")
        micro = self.numerics.micro_batch_tokens
        if micro is not None and micro % self.model.context:
            raise ValueError(f"micro_batch_tokens {micro} is not a multiple of the context {self.model.context}")
        return self

    @property
    def steps(self) -> int:
        """Optimiser steps from the first token to the last."""
        return self.train_tokens // self.batch_tokens

    @cached_property
    def _content(self) -> dict[str, Any]:
        return self.model_dump(exclude_defaults=True)

    @cached_property
    def fingerprint(self) -> str:
        """Identity of the run."""
        return fingerprint(self._content, kind="run", version=RUN_VERSION)

    @cached_property
    def trunk(self) -> str:
        """Identity of the trunk: runs with equal trunks share every step before their branches."""
        content = dict(self._content)
        if self.schedule.shares_trunk:
            del content["train_tokens"]
        if self.schedule.shares_trunk and "schedule" in content:
            of_branch = ("cooldown_fraction", "final_fraction")
            content["schedule"] = {key: said for key, said in content["schedule"].items() if key not in of_branch}
        return fingerprint(content, kind="trunk", version=RUN_VERSION)
