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
    """Return the weights under transformers' names: a state for `LlamaForCausalLM.load_state_dict`."""
    state: dict[str, Tensor] = {}
    for name, weight in model.named_parameters(remove_duplicate=False):
        theirs = _their_names(name)
        state.update(zip(theirs, weight.detach().clone().chunk(len(theirs)), strict=True))
    return state


@torch.no_grad()
def from_transformers(model: Llama, state: Mapping[str, Tensor]) -> None:
    """Fill `model` with a state of transformers' LlamaForCausalLM. Raises KeyError for a weight that is not there."""
    for name, weight in model.named_parameters(remove_duplicate=False):
        weight.copy_(torch.cat([state[theirs] for theirs in _their_names(name)]))


def _their_names(name: str) -> list[str]:
    if name in _WHOLE:
        return [_WHOLE[name]]
    found = re.fullmatch(r"blocks\.(\d+)\.(\w+)", name)
    assert found, f"no weight of a Llama: {name}"
    return [f"model.layers.{found[1]}.{part}.weight" for part in _BLOCK[found[2]]]
