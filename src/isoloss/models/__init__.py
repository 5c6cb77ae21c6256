"""From a ModelSpec to a module: `build`. A family is a class and one line in `FAMILIES`."""

from functools import cache
from types import ModuleType
from typing import cast

import torch

from isoloss.core.fingerprint import fingerprint
from isoloss.core.machine import alone
from isoloss.core.registry import Registry
from isoloss.core.rng import derive_seed
from isoloss.models import fused, fused_bf16, plain
from isoloss.models.llama import Llama, Operations
from isoloss.models.openlm import OpenLM
from isoloss.runs.spec import ModelSpec, Numerics

FAMILIES: Registry[type[Llama]] = Registry("model family")
FAMILIES.add("llama", Llama)
FAMILIES.add("openlm", OpenLM)


def build(spec: ModelSpec, numerics: Numerics, *, seed: int) -> Llama:
    """Return the model of `spec` with its initial weights, on the device of `numerics`.

    The weights follow from (seed, shape) alone: they are the same on every device and for every corpus.
    """
    model = empty(spec, numerics)
    identity = fingerprint(spec, kind="model", version=1)
    model.initialise(torch.Generator().manual_seed(derive_seed(seed, "initial weights", identity)))
    return model.to(numerics.device)


def empty(spec: ModelSpec, numerics: Numerics) -> Llama:
    """Return the model of `spec` before anything is written into its weights."""
    ops = operations(spec, numerics)
    compile_alone(ops)
    return FAMILIES[spec.family](spec, cast(Operations, ops), recompute=numerics.recompute)


@cache
def compile_alone(operations: ModuleType) -> None:
    """Compile or load the kernels behind `operations`, one process of this machine at a time.

    Code that is compiled beside parts loaded from the disk may round otherwise than code compiled with all its parts.
    Two processes that compile at once leave such mixtures, each its own: runs would not be equal to the last bit.
    """
    if operations is plain:
        return
    with alone("kernels"):
        smallest = ModelSpec(width=64, depth=1, heads=2, ffn=64, vocab_size=64, context=64)
        model = Llama(smallest, cast(Operations, operations))
        model.initialise(torch.Generator().manual_seed(0))
        tokens_BT = torch.zeros((1, smallest.context), dtype=torch.int64)
        objective, _ = model(tokens_BT, 0.0)
        objective.backward()
        with torch.no_grad():
            model.token_nats(tokens_BT)


def operations(spec: ModelSpec, numerics: Numerics) -> ModuleType:
    """Return `fused` or `fused_bf16` where they hold (a llama on one CPU thread, windows up to 512), else `plain`."""
    one_core = numerics.device == "cpu" and numerics.threads == 1 and not (numerics.compile or numerics.recompute)
    if not (one_core and fused.holds(spec)):
        return plain
    return fused if numerics.dtype == "float32" else fused_bf16
