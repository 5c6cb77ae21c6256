"""A model as a folder: `config.json` and `model.safetensors`, which for a llama are what transformers reads and writes.

Of other families the weights keep our own names, and `config.json` holds our own spec.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from isoloss.core import files
from isoloss.core.errors import BadModel, InputError
from isoloss.core.numbers import some
from isoloss.core.reading import json_in
from isoloss.models import empty
from isoloss.models.exchange import from_transformers, names_of, to_transformers
from isoloss.models.llama import Llama
from isoloss.models.parts import RMS_EPS
from isoloss.runs.spec import ModelSpec, Numerics

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
OURS = "isoloss"  # `model_type` of families that transformers does not know

# What a llama's config may ask for and ours does not have, with the values that ask for nothing.
_NOTHING: dict[str, tuple[object, ...]] = {
    "attention_bias": (False, None), "mlp_bias": (False, None), "hidden_act": ("silu", None),
    "attention_dropout": (0, None), "rope_scaling": (None,), "quantization_config": (None,),
}  # fmt: skip


def write_folder(model: Llama, folder: Path) -> None:
    """Write `model` to `folder`, weights first, each file atomically; a llama so that transformers loads it.

    Raises InputError where another model stands there already.
    """
    from safetensors.torch import save_file

    if (folder / CONFIG).exists():
        raise InputError("a model is already there", place=str(folder), fix="choose another folder")
    # Of a tied head the name of the embedding alone is there.
    state = to_transformers(model) if model.spec.family == "llama" else dict(model.named_parameters())
    content = {name: weight.detach().contiguous().cpu() for name, weight in state.items()}
    with files.replacing(folder / WEIGHTS) as temporary:
        save_file(content, temporary, {"format": "pt"})
    files.write_json(folder / CONFIG, config_of(model.spec))


def read_folder(folder: Path, numerics: Numerics = Numerics(), *, context: int | None = None) -> Llama:  # noqa: B008
    """Return the model in `folder`, its weights in float32; `context` shortens or lengthens its windows.

    Reads what `write_folder` writes and transformers' LlamaForCausalLM saves, in one file or several. Raises BadModel
    for anything else, naming what is there and what was expected. Nothing is unpickled.
    """
    spec = read_spec(folder)
    model = empty(spec if context is None else spec.model_copy(update={"context": context}), numerics)
    state = _read_weights(folder)
    unknown = sorted(set(state) - _expected(model) - {"lm_head.weight"})
    unknown = [name for name in unknown if not name.endswith("rotary_emb.inv_freq")]  # a constant that old files hold
    missing = sorted(_expected(model) - set(state))
    if unknown or missing:
        odd = {"unknown": unknown, "missing": missing}
        raise BadModel(
            "; ".join(f"{word} weights: {some(names, most=3)}" for word, names in odd.items() if names),
            place=str(folder), fix="give a folder of a plain LlamaForCausalLM, or one that isoloss wrote",
        )  # fmt: skip
    _fill(model, state, folder)
    return model.to(numerics.device)


def read_spec(folder: Path) -> ModelSpec:
    """Return the shape of the model in `folder`. Raises BadModel where it is none of ours."""
    path = folder / CONFIG
    try:
        config = json_in(files.regular(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BadModel(
            "no model here: config.json is missing", place=str(folder), fix="give a model's folder"
        ) from error
    except (OSError, ValueError) as error:
        raise BadModel(f"cannot be read: {error}", place=str(path), fix="copy the folder again") from error
    try:
        return ModelSpec.model_validate(_spec_fields(config, path))
    except (ValidationError, KeyError, TypeError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else f"{type(error).__name__} {error}"
        raise BadModel(
            f"not the shape of a llama model: {reason}", place=str(path), fix="correct config.json"
        ) from error


def _spec_fields(config: Mapping[str, Any], path: Path) -> dict[str, Any]:
    kind = config.get("model_type")
    if kind == OURS:
        return dict(config["spec"])
    if kind != "llama":
        fix = "only llama models and models that isoloss wrote can be read"
        raise BadModel(f"model_type {kind!r}, expected 'llama'", place=str(path), fix=fix)
    rope = config.get("rope_parameters") or {}
    asked = {name: config.get(name) for name in _NOTHING} | {"rope_type": rope.get("rope_type", "default")}
    nothing = _NOTHING | {"rope_type": ("default",)}
    if odd := {name: value for name, value in asked.items() if value not in nothing[name]}:
        fix = "a llama with plain rotary positions, silu and no biases can be read"
        raise BadModel(f"has unsupported options: {odd}", place=str(path), fix=fix)
    width, heads = config["hidden_size"], config["num_attention_heads"]
    if config.get("head_dim") not in (None, width // heads):
        fix = "heads must divide the width"
        raise BadModel(f"head_dim {config['head_dim']}, expected {width // heads}", place=str(path), fix=fix)
    kv_heads, eps = config.get("num_key_value_heads") or heads, config.get("rms_norm_eps", RMS_EPS)
    return {
        "width": width, "heads": heads, "depth": config["num_hidden_layers"], "ffn": config["intermediate_size"],
        "vocab_size": config["vocab_size"], "context": config.get("max_position_embeddings", 2048),
        "tied": config.get("tie_word_embeddings", False), "kv_heads": None if kv_heads == heads else kv_heads,
        "norm_eps": None if eps == RMS_EPS else eps,
        "rope_theta": rope.get("rope_theta") or config.get("rope_theta") or 10_000.0,
    }  # fmt: skip


def config_of(spec: ModelSpec) -> dict[str, Any]:
    """Return the content of `config.json`; for a llama that of transformers' LlamaConfig, old and new."""
    if spec.family != "llama":
        return {"model_type": OURS, "spec": spec.model_dump(mode="json", exclude_defaults=True)}
    return {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": spec.vocab_size,
        "hidden_size": spec.width, "intermediate_size": spec.ffn, "num_hidden_layers": spec.depth,
        "num_attention_heads": spec.heads, "num_key_value_heads": spec.kv_heads or spec.heads,
        "head_dim": spec.width // spec.heads, "hidden_act": "silu", "max_position_embeddings": spec.context,
        "rms_norm_eps": spec.norm_eps or RMS_EPS, "rope_theta": spec.rope_theta,
        "rope_parameters": {"rope_type": "default", "rope_theta": spec.rope_theta}, "attention_bias": False,
        "mlp_bias": False, "tie_word_embeddings": spec.tied, "torch_dtype": "float32", "bos_token_id": None,
        "eos_token_id": None, "pad_token_id": None,
    }  # fmt: skip


def _expected(model: Llama) -> set[str]:
    own = [name for name, _ in model.named_parameters()]
    return set(own) if model.spec.family != "llama" else {theirs for name in own for theirs in names_of(name)}


def _read_weights(folder: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if (folder / INDEX).exists():
            index = json_in((folder / INDEX).read_text(encoding="utf-8"))["weight_map"]
            names = sorted({Path(str(name)).name for name in index.values()})
        else:
            names = [WEIGHTS]
        state: dict[str, Tensor] = {}
        for name in names:
            state.update(load_file(folder / name))
        return state
    except FileNotFoundError as error:
        pickled = sorted(path.name for path in folder.glob("*.bin"))
        hint = f"; {pickled[0]} is a pickle, which is not opened" if pickled else ""
        name = Path(error.filename).name if error.filename else WEIGHTS
        fix = "save it as safetensors: model.save_pretrained(folder, safe_serialization=True)"
        raise BadModel(f"{name} is missing{hint}", place=str(folder), fix=fix) from error
    except (SafetensorError, ValueError, KeyError, OSError) as error:
        raise BadModel(f"cannot be read: {error}", place=str(folder), fix="copy the folder again") from error


@torch.no_grad()
def _fill(model: Llama, state: Mapping[str, Tensor], folder: Path) -> None:
    source = from_transformers(model, state) if model.spec.family == "llama" else state
    for name, weight in model.named_parameters():
        if source[name].shape != weight.shape:
            raise BadModel(
                f"{name} has shape {tuple(source[name].shape)}, by config.json {tuple(weight.shape)}",
                place=str(folder), fix="copy both files again",
            )  # fmt: skip
        weight.copy_(source[name])
