"""The training loop: one model, one optimiser, one step after another; its whole state can be taken and put back.

Legend: B windows, T positions of a window.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from isoloss.models import build
from isoloss.models.cpu.fused import Compiled, MeanGradient
from isoloss.models.llama import Llama
from isoloss.runs.documents import DocumentLosses
from isoloss.runs.rules import lr_fraction
from isoloss.runs.spec import RunSpec
from isoloss.training.clock import Clock
from isoloss.training.data import HeldoutWindows, TrainingWindows
from isoloss.training.evaluate import heldout_losses
from isoloss.training.numerics import Arithmetic
from isoloss.training.optimise import AnyOptimiser, FlatAdamW, State

# A run has diverged when its training loss, averaged over so many steps, or its final held-out loss, stands so far
# above the loss of the first step, which is about a uniform guess: no healthy run is half a nat worse than that.
DIVERGENCE_STEPS = 16
DIVERGENCE_NATS = 0.5


class Diverged(Exception):
    """Training broke down; the text says how."""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The state after some steps: everything that the next step depends on, and the history a record needs."""

    step_losses: tuple[float, ...]
    heldout_nats: dict[int, float]
    train_seconds: float
    tensors: State

    @property
    def step(self) -> int:
        """Steps taken so far."""
        return len(self.step_losses)


class Trainer:
    """A model in training. The spec's schedule enters step by step, so that branches of a trunk can take over."""

    def __init__(self, spec: RunSpec, data: TrainingWindows) -> None:
        self.data = data
        self.arithmetic = Arithmetic(spec.numerics)
        self.model = build(spec.model, spec.numerics, seed=spec.seed)
        self.scored = spec.batch_tokens - spec.batch_tokens // spec.model.context
        self.z_loss = spec.optimiser.z_loss
        self.prepare(spec)
        self.windows_at_once = self.model.windows_at_once(spec.numerics.micro_batch_tokens)
        self.step_losses: list[float] = []
        self.heldout_nats: dict[int, float] = {}  # by step, where it was taken along the way
        self.train_seconds = 0.0
        self.clock = Clock()

    def prepare(self, spec: RunSpec) -> None:
        """Make what takes a step: the optimiser, and how the gradient is taken."""
        optimiser = FlatAdamW(self.model, spec.optimiser)
        self.optimiser: AnyOptimiser = optimiser
        ops = self.model.ops
        if isinstance(ops, Compiled):
            self.mean_gradient: Callable[[Tensor], float] = MeanGradient(
                self.model.weights(), self.model.geometry(), ops.passes, vectors=optimiser.gradients(),
                z_loss=self.z_loss, scored=self.scored,
            )  # fmt: skip
        else:
            self.summed_nats = torch.compile(self.model) if spec.numerics.compile else self.model
            self.mean_gradient = self.by_autograd

    @property
    def step(self) -> int:
        """Steps taken so far."""
        return len(self.step_losses)

    def advance(self, spec: RunSpec) -> None:
        """Take the next step of `spec`. Raises Diverged, with the loss of that step on record if it is a number."""
        with self.clock.step():
            loss = self.accumulate_gradients()
            with self.clock.timing("update"):
                norm = self.optimiser.step(learning_rate=spec.optimiser.peak_lr * lr_fraction(spec, self.step))
        self.train_seconds += self.clock.step_seconds[-1]
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise Diverged(f"loss {loss}, gradient norm {norm} at step {self.step + 1}")
        self.step_losses.append(loss)
        self._check_recent()

    def accumulate_gradients(self) -> float:
        """Take the gradient of the next batch, and return its mean loss."""
        with self.clock.timing("data"):
            tokens_BT = self.data.batch(self.step).to(self.arithmetic.device)
        with self.clock.timing("passes"):
            return self.mean_gradient(tokens_BT)

    def by_autograd(self, tokens_BT: Tensor) -> float:
        """Add up the gradient of a batch, some windows at a time, and return its mean loss."""
        self.optimiser.zero_gradients()
        total = 0.0
        for part_BT in torch.split(tokens_BT, self.windows_at_once):
            with self.arithmetic.autocast():
                objective, nats = self.summed_nats(part_BT, self.z_loss)
                objective = objective / self.scored
            objective.backward()
            total += float(nats) / self.scored
        return total

    def _check_recent(self) -> None:
        recent = self.step_losses[-DIVERGENCE_STEPS:]
        if len(recent) == DIVERGENCE_STEPS and np.mean(recent) > self.step_losses[0] + DIVERGENCE_NATS:
            raise Diverged(
                f"training loss {np.mean(recent):.3f} over {DIVERGENCE_STEPS} steps up to step {self.step}, "
                f"{self.step_losses[0]:.3f} at the first"
            )

    def whole_model(self) -> Llama:
        """Return the model with all its weights in this process."""
        return self.model

    def score(self, heldout: HeldoutWindows) -> DocumentLosses:
        """Return the loss of every held-out document that holds a window."""
        return heldout_losses(self.model, heldout, self.arithmetic)

    def check_final(self, heldout_nats: float) -> None:
        """Raise Diverged where the held-out loss is no number or far above the first step's loss."""
        if not heldout_nats <= self.step_losses[0] + DIVERGENCE_NATS:
            raise Diverged(
                f"held-out loss {heldout_nats:.3f} at the end, training loss {self.step_losses[0]:.3f} at the start"
            )

    def snapshot(self) -> Snapshot:
        """Return a copy of the state."""
        return Snapshot(
            step_losses=tuple(self.step_losses), heldout_nats=dict(self.heldout_nats),
            train_seconds=self.train_seconds, tensors=self.optimiser.state(),
        )  # fmt: skip

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a snapshot: the steps that follow are the same to the last bit."""
        self.step_losses = list(snapshot.step_losses)
        self.heldout_nats = dict(snapshot.heldout_nats)
        self.train_seconds = snapshot.train_seconds
        self.optimiser.restore(snapshot.tensors)
