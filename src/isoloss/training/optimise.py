"""AdamW over a model's weights, held in two long vectors: one for matrices, which decay, and one for norm gains."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, Protocol, cast

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

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

    The model's weights and their gradients become views into the two vectors, so they must not be replaced later. The
    functions of torch's optimiser are called, and not its class, which loads torch's compiler: two seconds a process.
    """

    def __init__(self, model: nn.Module, optimiser: Optimiser) -> None:
        weights = list(model.parameters())
        self.places, self.optimiser = places(model), optimiser
        self.matrices = _flattened([weight for weight in weights if weight.ndim > 1])
        self.gains = _flattened([weight for weight in weights if weight.ndim == 1])
        self.memory = [
            {"step": torch.zeros((), device=vector.device), **{name: torch.zeros_like(vector) for name in MOMENTS}}
            for vector in (self.matrices, self.gains)
        ]

    def gradients(self) -> list[Tensor]:
        """Return the two vectors that the weights' gradients are views into."""
        return [cast(Tensor, vector.grad) for vector in (self.matrices, self.gains)]

    def zero_gradients(self) -> None:
        """Forget the gradients, in place: those of the weights are views into them."""
        for gradient in self.gradients():
            gradient.zero_()

    @torch.no_grad()
    def step(self, *, learning_rate: float) -> float:
        """Clip, take one step, and return the gradient's norm before clipping."""
        # As `clip_grad_norm_`, to the last bit, in a quarter of its time: that counts where a step takes a millisecond.
        gradients = self.gradients()
        norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(one) for one in gradients]))
        factor = (self.optimiser.clip_norm / (norm + 1e-6)).clamp(max=1.0)
        for vector, gradient, memory, decay in zip(
            (self.matrices, self.gains), gradients, self.memory, (decay_of(self.optimiser), 0.0), strict=True
        ):
            adamw(
                [vector], [gradient.mul_(factor)], [memory["exp_avg"]], [memory["exp_avg_sq"]], [], [memory["step"]],
                fused=True, amsgrad=False, maximize=False, lr=learning_rate, beta1=self.optimiser.beta1,
                beta2=self.optimiser.beta2, eps=self.optimiser.eps, weight_decay=decay,
            )  # fmt: skip
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
        for name, vector, memory in zip(("matrices", "gains"), (self.matrices, self.gains), self.memory, strict=True):
            live[name] = vector
            live.update({f"{name}.{key}": tensor for key, tensor in memory.items()})
        return live


def decay_of(optimiser: Optimiser) -> float:
    """Return the decay of matrices as torch takes it: it multiplies it by the rate.

    Independent decay over the peak leaves the schedule's own fraction.
    """
    return optimiser.weight_decay / (optimiser.peak_lr if optimiser.independent_decay else 1.0)


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
