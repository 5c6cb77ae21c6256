"""AdamW over a model's weights, held in two long vectors: one for matrices, which decay, and one for norm gains."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol, cast

import torch
from torch import Tensor, nn

from isoloss.runs.spec import Optimiser

# Floats to a 64-byte line. Every weight starts on one: matrix products then take the same path in every process.
_LINE = 16

State = dict[str, Tensor]


class AnyOptimiser(Protocol):
    """What a trainer asks of its optimiser."""

    def zero_gradients(self) -> None:
        """Forget the gradients."""

    def step(self, *, learning_rate: float) -> float:
        """Clip, take one step, and return the gradient's norm before clipping."""

    def state(self) -> State:
        """Return copies of the weights and of the optimiser's memory of them."""

    def restore(self, state: State) -> None:
        """Go back to a `state`."""


class FlatAdamW:
    """AdamW (Loshchilov & Hutter 2019) with clipping of the global gradient norm, in a few calls a step at any depth.

    The model's weights and their gradients become views into the two vectors, so they must not be replaced later.
    """

    def __init__(self, model: nn.Module, optimiser: Optimiser) -> None:
        weights = list(model.parameters())
        self.places = places(model)
        self.matrices = _flattened([weight for weight in weights if weight.ndim > 1])
        self.gains = _flattened([weight for weight in weights if weight.ndim == 1])
        self.clip_norm = optimiser.clip_norm
        self.adamw = adamw([self.matrices], [self.gains], optimiser, fused=True)
        for vector in (self.matrices, self.gains):
            self.adamw.state[vector] = {
                "step": torch.zeros((), device=vector.device),
                "exp_avg": torch.zeros_like(vector),
                "exp_avg_sq": torch.zeros_like(vector),
            }

    def gradients(self) -> list[Tensor]:
        """Return the two vectors that the weights' gradients are views into."""
        return [cast(Tensor, vector.grad) for vector in (self.matrices, self.gains)]

    def zero_gradients(self) -> None:
        """Forget the gradients, in place: those of the weights are views into them."""
        self.adamw.zero_grad(set_to_none=False)

    def step(self, *, learning_rate: float) -> float:
        """Clip, take one step, and return the gradient's norm before clipping."""
        # As `clip_grad_norm_`, to the last bit, in a quarter of its time: that counts where a step takes a millisecond.
        gradients = self.gradients()
        norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(one) for one in gradients]))
        factor = (self.clip_norm / (norm + 1e-6)).clamp(max=1.0)
        for gradient in gradients:
            gradient.mul_(factor)
        for group in self.adamw.param_groups:
            group["lr"] = learning_rate
        self.adamw.step()
        return float(norm)

    def state(self) -> State:
        """Return copies of the weights and of the optimiser's memory of them."""
        return {name: tensor.detach().clone() for name, tensor in self._live().items()}

    def restore(self, state: State) -> None:
        """Go back to a `state`, which may be one by name, as processes that share a model write it."""
        if "matrices" not in state:
            state = flat(state, self.places, like=self._live())
        with torch.no_grad():
            for name, tensor in self._live().items():
                tensor.copy_(state[name])

    def _live(self) -> State:
        live: State = {}
        for name, vector in (("matrices", self.matrices), ("gains", self.gains)):
            live[name] = vector
            live.update({f"{name}.{key}": tensor for key, tensor in self.adamw.state[vector].items()})
        return live


def adamw(
    matrices: Sequence[Tensor], gains: Sequence[Tensor], optimiser: Optimiser, *, fused: bool
) -> torch.optim.AdamW:
    """Return AdamW in which matrices decay and norm gains do not."""
    # torch multiplies the decay by the rate: over the peak, what is left is the schedule's own fraction.
    decay = optimiser.weight_decay / (optimiser.peak_lr if optimiser.independent_decay else 1.0)
    groups: list[dict[str, Any]] = [{"params": list(matrices)}, {"params": list(gains), "weight_decay": 0.0}]
    return torch.optim.AdamW(
        groups, lr=optimiser.peak_lr, betas=(optimiser.beta1, optimiser.beta2), eps=optimiser.eps, weight_decay=decay,
        fused=fused,
    )  # fmt: skip


class Place(NamedTuple):
    """Where a weight lies in the two vectors."""

    vector: Literal["matrices", "gains"]
    start: int
    shape: torch.Size


def places(model: nn.Module) -> dict[str, Place]:
    """Return where FlatAdamW puts every weight of a model, by name."""
    found: dict[str, Place] = {}
    ends = {"matrices": 0, "gains": 0}
    for name, weight in model.named_parameters():
        vector: Literal["matrices", "gains"] = "matrices" if weight.ndim > 1 else "gains"
        found[name] = Place(vector, ends[vector], weight.shape)
        ends[vector] += _padded(weight)
    return found


MOMENTS = ("exp_avg", "exp_avg_sq")


def by_name(state: State, where: Mapping[str, Place]) -> State:
    """Return a state of FlatAdamW weight by weight: `weight.NAME`, `exp_avg.NAME`, `exp_avg_sq.NAME` and `step`.

    All are views into the state.
    """
    named = {"step": state["matrices.step"]}
    for name, place in where.items():
        here = slice(place.start, place.start + place.shape.numel())
        for kind, key in (("weight", place.vector), *((moment, f"{place.vector}.{moment}") for moment in MOMENTS)):
            named[f"{kind}.{name}"] = state[key][here].view(place.shape)
    return named


def flat(named: State, where: Mapping[str, Place], like: State) -> State:
    """Return a state that is given weight by weight as FlatAdamW holds it: `like` is one, for its sizes."""
    state = {name: torch.zeros_like(tensor) for name, tensor in like.items()}
    for name, view in by_name(state, where).items():
        view.copy_(named[name])
    state["gains.step"].copy_(named["step"])
    return state


def _padded(weight: Tensor) -> int:
    return -(-weight.numel() // _LINE) * _LINE


def _flattened(weights: Sequence[nn.Parameter]) -> nn.Parameter:
    """Return one vector that holds `weights`, which become views into it, their gradients too."""
    ends, end = [], 0
    for weight in weights:
        end += _padded(weight)
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
