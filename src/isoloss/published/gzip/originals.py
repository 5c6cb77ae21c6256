"""The gzip paper's runs as they were published, JSON lines, made into this study's tables."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from isoloss.core.errors import BadTable
from isoloss.published.folder import Columns, stacked

RUNS, PILOT = "results_new.jsonl", "scaling_results.jsonl"
LAST_SHARE = 0.05  # of the steps, whose mean is a run's last loss

Losses = Annotated[tuple[float, ...], Field(min_length=1)]


class _Published(BaseModel):
    """What both files say of a run; further fields are left aside."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False, protected_namespaces=())


class _Shape(_Published):
    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    max_position_embeddings: int


class _Run(_Published):
    dataset_name: str
    dataset_gzip: tuple[float, float]
    token_ct: int
    model_stats: _Shape
    model_size: int
    num_epochs: int
    train_loss: Losses
    valid_loss: Losses


class _PilotRun(_Published):
    dataset_stats: tuple[int, int, int, int, bool]
    dataset_gzip: tuple[float, float]
    token_ct: int
    model_stats: _Shape
    model_size: int
    train_pplx: Losses
    valid_pplx: Losses


Line = TypeVar("Line", _Run, _PilotRun)


def tables_of(originals: Mapping[str, Path]) -> dict[str, Columns]:
    """Return one row a run, one row a step, and one row a pilot run and epoch."""
    runs = _lines(originals[RUNS], _Run)
    return {
        "gzip_pcfg_runs_150.csv": stacked([_run_row(i, run) for i, run in enumerate(runs)]),
        "gzip_pcfg_train_curves.parquet": {
            "run": np.concatenate([np.full(len(run.train_loss), i) for i, run in enumerate(runs)]),
            "step": np.concatenate([np.arange(1, len(run.train_loss) + 1) for run in runs]),
            "train_loss": np.concatenate([run.train_loss for run in runs]),
        },
        "pilot_runs_125_march2024.csv": stacked([
            row for run in _lines(originals[PILOT], _PilotRun) for row in _pilot_rows(run)
        ]),
    }  # fmt: skip


def _lines(path: Path, kind: type[Line]) -> list[Line]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise BadTable("not text", place=str(path), fix="fetch it anew") from error
    if not lines:
        raise BadTable("no runs", place=str(path), fix="fetch it anew")
    return [_line(line, kind, place=f"{path}, line {number}") for number, line in enumerate(lines, start=1)]


def _line(line: str, kind: type[Line], *, place: str) -> Line:
    try:
        return kind.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise BadTable(
            f"{field}: {first['msg']}" if field else first["msg"], place=place, fix="fetch it anew"
        ) from error


def _run_row(number: int, run: _Run) -> dict[str, object]:
    steps, shape = len(run.train_loss), run.model_stats
    last = max(1, round(LAST_SHARE * steps))
    return {
        "run": number, "dataset": run.dataset_name.lstrip("/"), "gzip_mean": run.dataset_gzip[0],
        "gzip_std": run.dataset_gzip[1], "tokens": run.token_ct, "params": run.model_size, "vocab": shape.vocab_size,
        "hidden": shape.hidden_size, "ffn": shape.intermediate_size, "layers": shape.num_hidden_layers,
        "heads": shape.num_attention_heads, "ctx": shape.max_position_embeddings, "epochs": run.num_epochs,
        "steps": steps, "train_loss_first": run.train_loss[0], "train_loss_last": run.train_loss[-1],
        "train_loss_last5pct": float(np.mean(run.train_loss[-last:])),
        "valid_loss_mean": float(np.mean(run.valid_loss)), "n_valid": len(run.valid_loss),
    }  # fmt: skip


def _pilot_rows(run: _PilotRun) -> list[dict[str, object]]:
    """Return a row an epoch."""
    nonterminals, terminals, max_rules, max_rhs, _ = run.dataset_stats
    shape = run.model_stats
    return [
        {
            "nonterminals": nonterminals, "terminals": terminals, "max_rules": max_rules, "max_rhs": max_rhs,
            "gzip_median": run.dataset_gzip[0], "gzip_std": run.dataset_gzip[1], "tokens": run.token_ct,
            "params": run.model_size, "hidden": shape.hidden_size, "ffn": shape.intermediate_size,
            "layers": shape.num_hidden_layers, "heads": shape.num_attention_heads, "vocab": shape.vocab_size,
            "epoch": epoch, "train_perplexity": train, "valid_perplexity": valid,
        }
        for epoch, (train, valid) in enumerate(zip(run.train_pplx, run.valid_pplx, strict=False), start=1)
    ]  # fmt: skip
