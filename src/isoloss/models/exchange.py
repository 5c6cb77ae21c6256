"""Weights to and from transformers' LlamaForCausalLM, by its names."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from isoloss.models.llama import Llama

_WHOLE = {"embedding": "model.embed_tokens.weight", "norm": "model.norm.weight", "head": "lm_head.weight"}
# Ours, and theirs stacked in this order.
_BLOCK = {
    "attention_norm": ("input_layernorm",),
    "qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "attention_out": ("self_attn.o_proj",),
    "ffn_norm": ("post_attention_layernorm",),
    "gate_up": ("mlp.gate_proj", "mlp.up_proj"),
    "down": ("mlp.down_proj",),
}


def to_transformers(model: Llama) -> dict[str, Tensor]:
    """Return the weights under transformers' names; a head that is the embedding has none of its own."""
    state: dict[str, Tensor] = {}
    for name, weight in model.named_parameters():
        theirs = names_of(name)
        state.update(zip(theirs, torch.split(weight.detach().clone(), _rows(model, name)), strict=True))
    return state


def from_transformers(model: Llama, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state of transformers' LlamaForCausalLM under `model`'s names. Raises KeyError for one that lacks."""
    return {name: torch.cat([state[theirs] for theirs in names_of(name)]) for name, _ in model.named_parameters()}


def _rows(model: Llama, name: str) -> list[int]:
    """Return how many rows of a weight are each of theirs."""
    spec = model.spec
    if name.endswith("qkv"):
        return [spec.width, spec.kv_width, spec.kv_width]
    return [spec.ffn, spec.ffn] if name.endswith("gate_up") else [len(model.get_parameter(name))]


def names_of(name: str) -> list[str]:
    """Return transformers' names of what stands in our weight `name`, in that order."""
    if name in _WHOLE:
        return [_WHOLE[name]]
    found = re.fullmatch(r"blocks\.(\d+)\.(\w+)", name)
    assert found, f"not a weight of a Llama model: {name}"
    return [f"model.layers.{found[1]}.{part}.weight" for part in _BLOCK[found[2]]]
