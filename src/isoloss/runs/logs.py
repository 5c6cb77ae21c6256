"""What other trainers leave behind, read as runs: TensorBoard events, Hugging Face states, the gzip paper's JSONL.

A logged run is what its source says and no more: scalars by name, and curves by tag. What of it is N, D and the loss is
for `isoloss.runs.imports` to settle.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from isoloss.core.errors import BadTable, InputError
from isoloss.core.reading import json_in
from isoloss.runs.shapes import DEFAULT_CONVENTION, count
from isoloss.runs.spec import ModelSpec

Curve = list[tuple[int, float]]
Value = str | float | int | bool | None

STATE = "trainer_state.json"


@dataclass(frozen=True, kw_only=True)
class LoggedRun:
    """A run as its source tells it. `guesses` are columns for N, D and the loss where the caller names none."""

    name: str
    place: str
    fields: Mapping[str, Value]
    curves: Mapping[str, Curve] = field(default_factory=dict)
    guesses: Mapping[str, str] = field(default_factory=dict)
    params_convention: str = "unstated"

    def last(self, name: str) -> Value:
        """Return the field `name`, or the last value of the curve `name`; None where there is neither."""
        if name in self.fields:
            return self.fields[name]
        curve = self.curves.get(name)
        return max(curve)[1] if curve else None

    @property
    def last_step(self) -> int:
        """The last step of any curve, 0 without one."""
        return max((step for curve in self.curves.values() for step, _ in curve), default=0)


def event_folders(source: Path) -> list[Path]:
    """Return the folders at and below `source` that hold TensorBoard event files; `source` may be one such file."""
    if source.is_file():
        return [source] if "tfevents" in source.name else []
    return sorted({path.parent for path in source.rglob("*tfevents*") if path.is_file()})


def read_events(source: Path) -> list[LoggedRun]:
    """Return one run for every folder of event files: a curve a scalar tag. Raises InputError without tensorboard."""
    try:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    except ImportError as error:
        fix = "pip install 'isoloss[tensorboard]'"
        raise InputError("event files need tensorboard, which is not installed", place=str(source), fix=fix) from error
    runs = []
    for folder in event_folders(source):
        events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
        events.Reload()
        curves = {tag: [(point.step, point.value) for point in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
        curves |= _tensor_scalars(events)
        if not curves:
            raise BadTable("no scalar in these event files", place=str(folder), fix="give the folder of a training run")
        name = folder.name if folder == source else str(folder.relative_to(source))
        runs.append(LoggedRun(name=name, place=str(folder), fields={}, curves=curves, guesses=_event_guesses(curves)))
    return runs


def _tensor_scalars(events: Any) -> dict[str, Curve]:
    """Return the scalars that TensorFlow 2 writes as tensors of no dimension."""
    from tensorboard.util import tensor_util

    curves = {}
    for tag in events.Tags()["tensors"]:
        if events.SummaryMetadata(tag).plugin_data.plugin_name == "scalars":
            values = ((point.step, tensor_util.make_ndarray(point.tensor_proto)) for point in events.Tensors(tag))
            curves[tag] = [(step, float(value)) for step, value in values]
    return curves


def _event_guesses(curves: Mapping[str, Curve]) -> dict[str, str]:
    """Return which tag is the loss, if one alone looks like it: a held-out one before a training one."""
    losses = [tag for tag in curves if "loss" in tag.lower()]
    heldout = [tag for tag in losses if any(word in tag.lower() for word in ("eval", "val", "test", "heldout"))]
    for found in (heldout, losses):
        if len(found) == 1:
            return {"loss": found[0]}
    return {}


def state_files(source: Path) -> list[Path]:
    """Return the trainer states at and below `source`, of every run the furthest."""
    if source.is_file():
        return [source] if source.name == STATE else []
    furthest: dict[Path, tuple[int, Path]] = {}
    for path in sorted(source.rglob(STATE)):
        folder = path.parent
        run = folder.parent if folder.name.startswith("checkpoint-") and folder != source else folder
        step = int(_json_object(path).get("global_step", 0))
        furthest[run] = max(furthest.get(run, (-1, path)), (step, path))
    return [path for _, path in sorted(furthest.values(), key=lambda found: found[1])]


def read_states(source: Path) -> list[LoggedRun]:
    """Return one run for every trainer_state.json of transformers' Trainer, with the shape in config.json beside it."""
    runs = []
    for path in state_files(source):
        state = _json_object(path)
        history = state.get("log_history")
        if not isinstance(history, list) or not all(isinstance(entry, dict) for entry in history):
            raise BadTable("no log_history", place=str(path), fix="give a trainer_state.json of transformers' Trainer")
        curves: dict[str, Curve] = {}
        for entry in history:
            for tag, value in entry.items():
                if tag != "step" and isinstance(value, int | float) and "step" in entry:
                    curves.setdefault(tag, []).append((int(entry["step"]), float(value)))
        fields = {key: value for key, value in state.items() if isinstance(value, str | int | float | bool)}
        shape = _llama_shape(path.with_name("config.json"))
        guesses = {"loss": "eval_loss" if "eval_loss" in curves else "loss"}
        if fields.get("num_input_tokens_seen"):
            guesses["tokens"] = "num_input_tokens_seen"
        if shape is not None:
            fields |= {"params": count(shape).params(), **shape.model_dump(include={"width", "depth", "heads", "ffn"})}
            guesses["params"] = "params"
        run = path.parent.parent if path.parent.name.startswith("checkpoint-") else path.parent
        convention = DEFAULT_CONVENTION if shape else "unstated"
        runs.append(
            LoggedRun(
                name=run.resolve().name,
                place=str(path),
                fields=fields,
                curves=curves,
                guesses=guesses,
                params_convention=convention,
            )
        )
    return runs


def _llama_shape(path: Path) -> ModelSpec | None:
    """Return the shape in a config.json of a Llama with as many key heads as query heads; None for any other."""
    config = _json_object(path) if path.exists() else {}
    heads = config.get("num_attention_heads")
    if config.get("model_type") != "llama" or config.get("num_key_value_heads", heads) != heads:
        return None
    try:
        return ModelSpec(
            width=config["hidden_size"], depth=config["num_hidden_layers"], heads=config["num_attention_heads"],
            ffn=config["intermediate_size"], vocab_size=config["vocab_size"],
            context=config["max_position_embeddings"], tied=config.get("tie_word_embeddings", False),
        )  # fmt: skip
    except (KeyError, ValueError) as error:
        raise BadTable(f"not the shape of a Llama: {error}", place=str(path), fix="correct it, or remove it") from error


def is_gzip_paper(row: Mapping[str, Any]) -> bool:
    """Whether a line is one of the gzip paper's results (Pandey 2024; `results_new.jsonl`, `scaling_results.jsonl`)."""
    return {"dataset_gzip", "token_ct", "model_stats", "model_size"} <= set(row)


def read_gzip_paper(rows: Sequence[Mapping[str, Any]], *, place: str) -> list[LoggedRun]:
    """Return the runs of the gzip paper's own files: a training loss a step and some held-out ones (its released runs),
    or a perplexity an epoch (its pilots). Tokens are those seen; `unique_tokens` those there were.
    """
    return [_gzip_run(row, number, place=f"{place}, line {number}") for number, row in enumerate(rows, 1)]


def _gzip_run(row: Mapping[str, Any], number: int, *, place: str) -> LoggedRun:
    try:
        return _released_run(row, number, place=place)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise BadTable(
            f"not a line of the gzip paper's results: {error!r}", place=place, fix="correct or remove the line"
        ) from error


def _released_run(row: Mapping[str, Any], number: int, *, place: str) -> LoggedRun:
    stats, (gzip, gzip_std), epochs = row["model_stats"], row["dataset_gzip"], int(row.get("num_epochs", 1))
    if "train_pplx" in row:
        train, heldout = ([math.log(x) for x in row[side]] for side in ("train_pplx", "valid_pplx"))
        last, grammar = heldout[-1], "-".join(str(value) for value in row["dataset_stats"])
    else:
        train, heldout = (list(map(float, row[side])) for side in ("train_loss", "valid_loss"))
        last, grammar = math.fsum(heldout) / len(heldout), str(row["dataset_name"]).rpartition("/")[2]
    tail = train[-max(1, round(len(train) / 20)) :]
    return LoggedRun(
        name=f"{grammar}-{number}", place=place,
        fields={
            "dataset": grammar, "gzip": float(gzip), "gzip_std": float(gzip_std), "epochs": epochs,
            "unique_tokens": int(row["token_ct"]), "tokens": int(row["token_ct"]) * epochs,
            "params": int(row["model_size"]), "width": stats["hidden_size"], "depth": stats["num_hidden_layers"],
            "heads": stats["num_attention_heads"], "ffn": stats["intermediate_size"],
            "vocab_size": stats["vocab_size"], "valid_loss": last, "train_loss_last": train[-1],
            "train_loss_last5pct": math.fsum(tail) / len(tail),
        },
        curves={"train_loss": list(enumerate(train, 1))},
        guesses={"params": "params", "tokens": "tokens", "loss": "valid_loss", "group": "dataset"},
        params_convention="total",
    )  # fmt: skip


def _json_object(path: Path) -> dict[str, Any]:
    try:
        content = json_in(path.read_bytes())
    except ValueError as error:
        raise BadTable(f"not JSON: {error}", place=str(path), fix="the file is damaged; give another") from error
    if not isinstance(content, dict):
        raise BadTable("not a JSON object", place=str(path), fix="give the file as its trainer wrote it")
    return content
