"""From a ModelSpec to a module: `build`. A family is a class and its name in `FAMILIES`."""

import torch

from isoloss.core.fingerprint import fingerprint
from isoloss.core.rng import derive_seed
from isoloss.models import plain
from isoloss.models.cpu import fused
from isoloss.models.cpu.compiling import compile_elsewhere
from isoloss.models.cpu.fused_bf16 import FUSED_BF16
from isoloss.models.llama import Llama, Operations
from isoloss.models.openlm import OpenLM
from isoloss.runs.spec import Family, ModelSpec, Numerics

FAMILIES: dict[Family, type[Llama]] = {"llama": Llama, "openlm": OpenLM}


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
    if isinstance(ops, fused.Compiled):
        compile_elsewhere(ops)
    return FAMILIES[spec.family](spec, ops, recompute=numerics.recompute)


def operations(spec: ModelSpec, numerics: Numerics) -> Operations:
    """Return FUSED or FUSED_BF16 where they hold (a llama on one CPU thread, windows up to 512), else `plain`."""
    one_core = numerics.device == "cpu" and numerics.threads == 1 and not (numerics.compile or numerics.recompute)
    if not (one_core and fused.holds(spec)):
        return plain
    return fused.FUSED if numerics.dtype == "float32" else FUSED_BF16
