"""A web server on this machine that gives what a test puts there, and originals of studies made of their tables."""

import csv
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pyarrow.parquet as pq

HTTP = ("http",)


@dataclass
class Web:
    """What stands at which path: bytes, an address to go to instead, or nothing (404). `cut` bytes are left unsent."""

    address: str = ""
    content: dict[str, bytes] = field(default_factory=dict)
    elsewhere: dict[str, str] = field(default_factory=dict)
    cut: int = 0
    says_length: bool = True
    asked: list[str] = field(default_factory=list)


@contextmanager
def serving() -> Iterator[Web]:
    """Serve a `Web` on a free port while the block runs."""
    web = Web()

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            web.asked.append(self.path)
            if self.path in web.elsewhere:
                self.send_response(302)
                self.send_header("Location", web.elsewhere[self.path])
                self.end_headers()
                return
            if self.path not in web.content:
                self.send_error(404)
                return
            content = web.content[self.path]
            self.send_response(200)
            if web.says_length:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) - web.cut])

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        web.address = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield web
        server.shutdown()
        thread.join()


def rows_of(path: Path) -> list[dict[str, str]]:
    """Return a CSV file's rows."""
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def chinchilla_original(folder: Path) -> dict[str, bytes]:
    """Return the points under the columns of their first publication, with one more column and an unfinished row."""
    lines = ["x,Model Size,Training FLOP,loss"]
    lines += [f"1,{row['params']},{row['flops']},{row['loss']}" for row in rows_of(folder / "chinchilla_runs_245.csv")]
    return {"svg_extracted_data.csv": "\n".join([*lines, "1,5e9,,3.0", ""]).encode()}


def gzip_original(folder: Path) -> dict[str, bytes]:
    """Return runs and pilot runs as JSON lines. All validation losses of a run are its mean: theirs do not survive."""
    steps = pq.read_table(folder / "gzip_pcfg_train_curves.parquet").to_pydict()
    losses: dict[int, list[float]] = {}
    for run, loss in zip(steps["run"], steps["train_loss"], strict=True):
        losses.setdefault(run, []).append(loss)
    runs = [
        {"dataset_name": f"/{row['dataset']}", "dataset_gzip": [float(row["gzip_mean"]), float(row["gzip_std"])],
         "token_ct": int(row["tokens"]), "model_stats": _shape(row, context=int(row["ctx"])),
         "model_size": int(row["params"]), "num_epochs": int(row["epochs"]), "train_loss": losses[int(row["run"])],
         "valid_loss": [float(row["valid_loss_mean"])] * int(row["n_valid"])}
        for row in rows_of(folder / "gzip_pcfg_runs_150.csv")
    ]  # fmt: skip
    return {
        "results_new.jsonl": _lines(runs),
        "scaling_results.jsonl": _lines(_pilot_runs(rows_of(folder / "pilot_runs_125_march2024.csv"))),
    }


def _shape(row: dict[str, str], *, context: int) -> dict[str, int]:
    return {
        "vocab_size": int(row["vocab"]), "hidden_size": int(row["hidden"]), "intermediate_size": int(row["ffn"]),
        "num_hidden_layers": int(row["layers"]), "num_attention_heads": int(row["heads"]),
        "max_position_embeddings": context,
    }  # fmt: skip


def _pilot_runs(rows: list[dict[str, str]]) -> list[dict[str, object]]:
    found = []
    for start in range(0, len(rows), 10):
        epochs, first = rows[start : start + 10], rows[start]
        stats = [int(first[name]) for name in ("nonterminals", "terminals", "max_rules", "max_rhs")]
        found.append({
            "dataset_stats": [*stats, False], "dataset_gzip": [float(first["gzip_median"]), float(first["gzip_std"])],
            "token_ct": int(first["tokens"]), "model_stats": _shape(first, context=256),
            "model_size": int(first["params"]), "num_epochs": 10,
            "train_pplx": [float(row["train_perplexity"]) for row in epochs],
            "valid_pplx": [float(row["valid_perplexity"]) for row in epochs],
        })  # fmt: skip
    return found


def _lines(records: list[dict[str, object]]) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def datablations_original(folder: Path) -> dict[str, bytes]:
    """Return a notebook with both dictionaries, runs without an end and deduplicated ones among them."""
    everything, filtered = (rows_of(folder / name) for name in ("c4_repeat_runs.csv", "c4_repeat_runs_182.csv"))
    sizes = {re.match(r"\d+m|\d+b\d", row["run"]).group(): float(row["params"]) for row in everything}
    more = '    "220m200b1b5": 0,\n    "83m14b100mdedup": 3.9,\n'
    first = f"{_dictionary(everything, more)}\nTOKENS_MAP = {_TOKENS}\nPARAMS_MAP = {sizes!r}\n"
    cells = [
        {"cell_type": "markdown", "source": ["# runs"]},
        {"cell_type": "code", "source": first.splitlines(keepends=True)},
        {"cell_type": "code", "source": ["%pip install NAMES_TO_VAL_LOSSES\n"]},
        {"cell_type": "code", "source": _dictionary(filtered, more)},
    ]
    return {"parametric_fit.ipynb": json.dumps({"nbformat": 4, "cells": cells}).encode()}


_TOKENS = {"100m": 0.1, "200m": 0.2, "400m": 0.4, "800m": 0.8}


def _dictionary(rows: list[dict[str, str]], more: str) -> str:
    entries = "".join(f'    "{row["run"]}": {float(row["val_loss"]):.6E},\n' for row in rows)
    return f"NAMES_TO_VAL_LOSSES = {{\n{entries}{more}}}\n"
