"""What trainers leave behind as JSON, read as runs: states of Hugging Face's Trainer, and the gzip paper's lines."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from isoloss.core.errors import BadTable
from isoloss.core.files import regular
from isoloss.core.reading import json_in
from isoloss.runs.columns import number_or_none, whole_step
from isoloss.runs.logged import LoggedRun, joined, sessions
from isoloss.runs.observations import UNSTATED
from isoloss.runs.shapes import DEFAULT_CONVENTION, count
from isoloss.runs.spec import ModelSpec

STATE = "trainer_state.json"
TOKENS_SEEN = "num_input_tokens_seen"


def state_files(source: Path) -> list[Path]:
    """Return the trainer states at and below `source`, of every run the furthest."""
    if source.is_file():
        return [source] if source.name == STATE else []
    furthest: dict[Path, tuple[int, Path]] = {}
    for path in sorted(source.rglob(STATE)):
        folder = path.parent
        run = folder.parent if folder.name.startswith("checkpoint-") and folder != source else folder
        step = whole_step(_json_object(path).get("global_step")) or 0
        furthest[run] = max(furthest.get(run, (-1, path)), (step, path))
    return [path for _, path in sorted(furthest.values(), key=lambda found: found[1])]


def read_state(path: Path) -> LoggedRun:
    """Return the run of a trainer_state.json of transformers' Trainer, with the shape in its config.json."""
    state = _json_object(path)
    history = state.get("log_history")
    if not isinstance(history, list) or not all(isinstance(entry, dict) for entry in history):
        raise BadTable("no log_history", place=str(path), fix="give a trainer_state.json of transformers' Trainer")
    fields = {key: value for key, value in state.items() if isinstance(value, str | int | float | bool)}
    curves, notes = joined(sessions(_history(history, path)), place=str(path))
    guesses = {"loss": "eval_loss" if "eval_loss" in curves else "loss"}
    if TOKENS_SEEN in curves or fields.get(TOKENS_SEEN):
        guesses["tokens"] = TOKENS_SEEN
    shape = _llama_shape(path.with_name("config.json"))
    if shape is not None:
        fields |= {"params": count(shape).params(), **shape.model_dump(include={"width", "depth", "heads", "ffn"})}
        guesses["params"] = "params"
    run = path.parent.parent if path.parent.name.startswith("checkpoint-") else path.parent
    steps = fields.get("global_step")
    return LoggedRun(
        name=run.resolve().name, place=str(path), fields=fields, curves=curves, guesses=guesses, notes=notes,
        params_convention=DEFAULT_CONVENTION if shape else UNSTATED,
        steps=steps if isinstance(steps, int) and not isinstance(steps, bool) else None,
    )  # fmt: skip


def _history(history: Sequence[Mapping[str, Any]], path: Path) -> Iterator[tuple[str, int, float]]:
    """Yield the log of a Trainer as (tag, step, value). Words such as "NaN" are numbers; other text is passed over."""
    for entry in history:
        step = whole_step(entry.get("step", 0))
        if step is None:
            raise BadTable(
                f"step {entry['step']!r}, expected a whole number",
                place=str(path),
                fix="correct the entry, or remove it",
            )
        for tag, value in entry.items():
            number = number_or_none(value)
            if number is not None and tag != "step" and "step" in entry:
                yield tag, step, number


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
    except KeyError as error:
        raise _no_shape(f"no {error}", path) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise _no_shape(f"{first['loc'][0]}: {first['msg'].lower()}, found {first['input']!r}", path) from error


def _no_shape(reason: str, path: Path) -> BadTable:
    return BadTable(f"not the shape of a Llama: {reason}", place=str(path), fix="correct it, or remove it")


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
        content = json_in(regular(path).read_bytes())
    except PermissionError:
        raise
    except OSError as error:
        raise BadTable(f"cannot be read: {error.strerror}", place=str(path), fix="put the file itself there") from error
    except ValueError as error:
        raise BadTable(f"not JSON: {error}", place=str(path), fix="the file is damaged; give another") from error
    if not isinstance(content, dict):
        raise BadTable("not a JSON object", place=str(path), fix="give the file as its trainer wrote it")
    return content
