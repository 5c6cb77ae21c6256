"""Logs of training runs as other programs leave them, with something wrong in steps, values or bytes: imported."""

import functools
import json
import random
import tempfile
from pathlib import Path

from fuzz_pieces import NUMBERS, TEXTS, damaged, mutated, value

OFFLINE = Path(__file__).parents[1] / "runs" / "offline-run-20261129_090133-abc12345" / "run-abc12345.wandb"
LOSSES = ("eval/loss", "train/loss", "eval_loss", "val loss", "", "a\x1b[31m\n", "é")
STEPS = (0, 1, -1, 100, 100.5, "100", "ckpt-100", None, "", float("nan"), True, [], 2**63, 10**30, "1e400", "\ud800")
OPTIONS = {
    "--params": ("50M", "5e7", "params", "params * 1e6", "0", "-1", "nan", "1e400", "x", "", "evil:X", "\x1b[31m"),
    "--tokens": ("tokens", "1e9", "0", "tokens / 0", "nope", ""), "--loss": LOSSES,
    "--batch-tokens": ("131072", "0", "-1", "x", "9" * 30, "1"), "--sample-tokens": ("2048", "0", "9" * 30),
    "--unit": ("bits", "perplexity", "x"), "--flops": ("1e18", "flops", "0", "nan"), "--group": ("name", "nope", ""),
    "--corpus": ("web", "", "a\x1b[31m\n", "x" * 3000), "--run": ("run", "nope", ""), "--convention": ("total", "x"),
    "--step": ("step", "_step", "nope", ""), "--where": ("step > 100", "1 = 0", "; DROP TABLE runs", "(("),
}  # fmt: skip


def make(rng: random.Random, folder: Path) -> list[str]:
    """Write a log, or a folder of several, and import it."""
    source = folder / rng.choice(("log", "log", "a\x1b[31m\n", "[x]"))
    writers = (_write_events, _write_state, _write_curve, _write_offline)
    writer = rng.choice(writers)
    for number in range(rng.choice((1, 1, 1, 2, 3))):
        other = writer if rng.random() < 0.9 else rng.choice(writers)
        other(rng, source / rng.choice(("", "", f"run-{number}", f"checkpoint-{number}00")))
    if rng.random() < 0.1:
        (source / "loop").symlink_to(rng.choice((".", "..", "loop", "/dev/zero", "/etc")))
    files = sorted(path for path in source.rglob("*") if path.is_file() and not path.is_symlink())
    taken = rng.choice(files) if rng.random() < 0.5 else source
    given = {"--params": "50M", "--batch-tokens": "131072"} if rng.random() < 0.8 else {}
    given |= {"--step": "step"} if taken.suffix in (".jsonl", ".csv") and rng.random() < 0.8 else {}
    for name, choices in OPTIONS.items():
        if rng.random() < 0.08:
            given[name] = rng.choice(choices)
    json_ = ["--json"] if rng.random() < 0.3 else []
    options = [part for pair in given.items() for part in pair]
    return ["import", str(taken.relative_to(folder)), *options, "--out", "out", *json_]


def _points(rng: random.Random) -> list[dict[str, object]]:
    """Return rows of a curve, some of them without a loss, without a step, or with another that nobody expects."""
    rows = []
    loss = rng.choice(LOSSES[:3])
    start = 0
    for number in range(rng.choice((0, 1, 2, 10, 40))):
        start = 0 if rng.random() < 0.02 else start
        step: object = (number - start) * 100
        row: dict[str, object] = {"step": step, "tokens": 131072 * number * 100, "run": rng.choice("ab")}
        if rng.random() < 0.8:
            row[loss] = 4 + 1 / (number + 1)
        if rng.random() < 0.05:
            row[rng.choice(("step", "tokens", loss, "run", *LOSSES))] = rng.choice(
                (*STEPS, *TEXTS, *NUMBERS, "NaN", "Infinity", value(rng))
            )
        rows.append(row)
    return rows


def _put(rng: random.Random, path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(damaged(rng, content) if rng.random() < 0.25 else content)


def _write_curve(rng: random.Random, folder: Path) -> None:
    rows = _points(rng)
    if rng.random() < 0.7:
        text = "\n".join(json.dumps(row) for row in rows)
        _put(rng, folder / "curve.jsonl", text.encode("utf-8", errors="surrogatepass"))
        return
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [",".join(json.dumps(str(row.get(name, ""))) for name in names) for row in rows]
    _put(rng, folder / "curve.csv", "\n".join([",".join(names), *cells]).encode("utf-8", errors="surrogatepass"))


def _write_state(rng: random.Random, folder: Path) -> None:
    rows = _points(rng)
    tree: dict[str, object] = {
        "global_step": 100 * len(rows), "log_history": rows, "num_input_tokens_seen": 131072 * 100 * len(rows)
    }  # fmt: skip
    text = json.dumps(mutated(rng, tree, rng.choice((0, 1, 2))))
    _put(rng, folder / "trainer_state.json", text.encode("utf-8", errors="surrogatepass"))


def _write_offline(rng: random.Random, folder: Path) -> None:
    _put(rng, folder / f"run-{rng.choice(('abc12345', 'x', ''))}.wandb", damaged(rng, OFFLINE.read_bytes()))


def _write_events(rng: random.Random, folder: Path) -> None:
    tag, steps = rng.choice(LOSSES), rng.choice(((), (1,), (100, 200, 300), (100, 200, 100, 200), (-1, 2**62)))
    kind = rng.choice(("scalar", "scalar", "scalar", "text", "none"))
    _put(rng, folder / f"events.out.tfevents.{rng.randrange(10)}", _events(tag, steps, kind))


@functools.cache
def _events(tag: str, steps: tuple[int, ...], kind: str) -> bytes:
    """Return an event file with a value of a tag at each step, as the package tensorboard writes it."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    with tempfile.TemporaryDirectory() as folder:
        writer = EventFileWriter(folder)
        for number, step in enumerate(steps):
            held = {"simple_value": 4.0 / (number + 1)} if kind == "scalar" else {}
            held |= {"tensor": TensorProto(dtype=7, string_val=[b"text"])} if kind == "text" else {}
            writer.add_event(Event(step=step, summary=Summary(value=[Summary.Value(tag=tag, **held)])))
        writer.close()
        (path,) = Path(folder).iterdir()
        return path.read_bytes()
