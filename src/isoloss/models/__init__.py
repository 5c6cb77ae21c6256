"""From a ModelSpec to a module: `build`. A family is a class and one line in `FAMILIES`."""

from collections.abc import Callable
from types import ModuleType
from typing import cast

import torch

from isoloss.core.fingerprint import fingerprint
from isoloss.core.registry import Registry
from isoloss.core.rng import derive_seed
from isoloss.models import fused, plain
from isoloss.models.llama import Llama, Operations
from isoloss.runs.spec import ModelSpec, Numerics

FAMILIES: Registry[Callable[[ModelSpec, Operations], Llama]] = Registry("model family")
FAMILIES.add("llama", Llama)


def build(spec: ModelSpec, numerics: Numerics, *, seed: int) -> Llama:
    """Return the model of `spec` with its initial weights, on the device of `numerics`.

    The weights follow from (seed, shape) alone: they are the same on every device and for every corpus.
    """
    model = FAMILIES[spec.family](spec, cast(Operations, operations(spec, numerics)))
    identity = fingerprint(spec, kind="model", version=1)
    model.initialise(torch.Generator().manual_seed(derive_seed(seed, "initial weights", identity)))
    return model.to(numerics.device)


def operations(spec: ModelSpec, numerics: Numerics) -> ModuleType:
    """Return `fused` where it holds (one CPU thread, float32, windows of 512 and less), else `plain`."""
    one_core = numerics.device == "cpu" and numerics.threads == 1 and spec.context <= fused.LONGEST
    return fused if one_core and numerics.dtype == "float32" and not numerics.compile else plain
