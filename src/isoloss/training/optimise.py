"""AdamW over a model's weights, held in two long vectors: one for matrices, which decay, and one for norm gains."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from isoloss.runs.spec import Optimiser

# Floats to a 64-byte line. Every weight starts on one: matrix products then take the same path in every process.
_LINE = 16

State = dict[str, Tensor]


class FlatAdamW:
    """AdamW (Loshchilov & Hutter 2019) with clipping of the global gradient norm, in a few calls a step at any depth.

    The model's weights and their gradients become views into the two vectors, so they must not be replaced later.
    """

    def __init__(self, model: nn.Module, optimiser: Optimiser) -> None:
        weights = list(model.parameters())
        self.matrices = _flattened([weight for weight in weights if weight.ndim > 1])
        self.gains = _flattened([weight for weight in weights if weight.ndim == 1])
        self.clip_norm = optimiser.clip_norm
        # torch multiplies the decay by the rate: over the peak, what is left is the schedule's own fraction.
        decay = optimiser.weight_decay / (optimiser.peak_lr if optimiser.independent_decay else 1.0)
        groups: list[dict[str, Any]] = [{"params": [self.matrices]}, {"params": [self.gains], "weight_decay": 0.0}]
        self.adamw = torch.optim.AdamW(
            groups, lr=optimiser.peak_lr, betas=(optimiser.beta1, optimiser.beta2), eps=optimiser.eps,
            weight_decay=decay, fused=True,
        )  # fmt: skip
        for vector in (self.matrices, self.gains):
            self.adamw.state[vector] = {
                "step": torch.zeros((), device=vector.device),
                "exp_avg": torch.zeros_like(vector),
                "exp_avg_sq": torch.zeros_like(vector),
            }

    def zero_gradients(self) -> None:
        """Forget the gradients, in place."""
        for vector in (self.matrices, self.gains):
            _gradient(vector).zero_()

    def step(self, *, learning_rate: float) -> float:
        """Clip, take one step, and return the gradient's norm before clipping."""
        norm = nn.utils.clip_grad_norm_([self.matrices, self.gains], self.clip_norm)
        for group in self.adamw.param_groups:
            group["lr"] = learning_rate
        self.adamw.step()
        return float(norm)

    def state(self) -> State:
        """Return copies of the weights and of the optimiser's memory of them."""
        return {name: tensor.detach().clone() for name, tensor in self._live().items()}

    def restore(self, state: State) -> None:
        """Go back to a `state`."""
        with torch.no_grad():
            for name, tensor in self._live().items():
                tensor.copy_(state[name])

    def _live(self) -> State:
        live: State = {}
        for name, vector in (("matrices", self.matrices), ("gains", self.gains)):
            live[name] = vector
            live.update({f"{name}.{key}": tensor for key, tensor in self.adamw.state[vector].items()})
        return live


def _flattened(weights: Sequence[nn.Parameter]) -> nn.Parameter:
    """Return one vector that holds `weights`, which become views into it, their gradients too."""
    ends, end = [], 0
    for weight in weights:
        end += -(-weight.numel() // _LINE) * _LINE
        ends.append(end)
    vector = nn.Parameter(torch.zeros(end, device=weights[0].device))
    vector.grad = torch.zeros_like(vector)
    for weight, start in zip(weights, [0, *ends], strict=False):
        here = slice(start, start + weight.numel())
        values = vector.data[here].view_as(weight)
        values.copy_(weight.data)
        weight.data = values
        weight.grad = vector.grad[here].view_as(weight)
    return vector


def _gradient(vector: nn.Parameter) -> Tensor:
    assert vector.grad is not None
    return vector.grad
