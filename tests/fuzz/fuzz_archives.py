"""Results folders with something wrong in a record, a curve, a corpus, a study or a name."""

import functools
import io
import json
import random
import shutil
from contextlib import redirect_stdout
from pathlib import Path

from fuzz_pieces import damaged, mutated

QUERIES = (
    None, None, "SELECT * FROM runs", "SELECT corpus, min(loss_nats) FROM runs GROUP BY corpus", "SELEC 1",
    "SELECT 1; SELECT 2", "",
    "DROP TABLE runs", "SELECT * FROM '/etc/passwd'", "COPY runs TO 'x.csv'", "INSTALL httpfs",
    "SELECT 'a' || chr(27) || '[31m' AS x", "--",
    "SELECT 1 AS \"a\nb\"", "SELECT [1, NULL], {'a': 1}, 1e400, 'x'", "SELECT unnest(range(300))", "PRAGMA version",
    "SELECT ''::BLOB",
    "SELECT repeat('x', 100000)", "ATTACH 'x.db'", "SELECT chr(55296)",
    "SET threads = 1",
)  # fmt: skip
WORDS = ("a", "b\x1b[31m", "c\nd", "é", "")


def make(rng: random.Random, folder: Path) -> list[str]:
    """Write a results folder, spoil a file of it, and look at its runs."""
    results = folder / "results"
    for name, content in _archive().items():
        (results / name).parent.mkdir(parents=True, exist_ok=True)
        (results / name).write_bytes(content)
    for _ in range(rng.choice((0, 1, 1, 2, 3))):
        _spoil(rng, results)
    json_ = ["--json"] if rng.random() < 0.3 else []
    match rng.randrange(8):
        case 0:
            return [
                "fit",
                "results",
                *rng.choice(([], ["--group", "corpus"], ["--where", "status = 'finished'"])),
                *json_,
            ]
        case 1:
            return ["report", "results", *json_]
        case 2:
            return ["export", "results", rng.choice(("run1", "", "run1-0", "x")), "--out", "model", *json_]
        case 3:
            return ["push", rng.choice(("results", "results/corpora/text1-a")), "--out", "pushed", *json_]
        case _:
            sql = rng.choice(QUERIES)
            return ["runs", "results", *([] if sql is None else ["--sql", sql]), *json_]


def _spoil(rng: random.Random, results: Path) -> None:
    files = sorted(path for path in results.rglob("*") if path.is_file() and not path.is_symlink())
    path = rng.choice(files)
    match rng.randrange(9):
        case 0:
            path.write_bytes(damaged(rng, path.read_bytes()))
        case 1:
            path.unlink()
        case 2:
            path.rename(path.with_name(rng.choice(("x", "run1-x", "a\nb", "..x", "a\x1b[31m")) + path.suffix))
        case 3:
            shutil.copy(path, path.with_name(f"copy-{path.name}"))
        case 4:
            path.write_bytes(
                rng.choice((b"", b"null", b"[]", b"{}", b"[" * 100_000, b"\xff" * 10, b"PAR1" + bytes(50) + b"PAR1"))
            )
        case 5:
            path.unlink()
            rng.choice((lambda: path.mkdir(), lambda: path.symlink_to(path), lambda: path.symlink_to("/dev/zero")))()
        case _ if path.suffix == ".json":
            try:
                tree = json.loads(path.read_bytes())
                changed = mutated(rng, tree, rng.choice((1, 2)))
                if rng.random() < 0.7:
                    changed.pop("seal", None)  # as an older isoloss wrote it: believed
            except (ValueError, AttributeError):
                return
            path.write_bytes(json.dumps(changed).encode())
        case _:
            other = rng.choice(files)
            if other.exists():
                path.write_bytes(other.read_bytes())


@functools.cache
def _archive() -> dict[str, bytes]:
    """Return the files of a small results folder by name: runs, one under way, an import, a corpus, a study."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder)
        with redirect_stdout(io.StringIO()):
            _fill(results)
        return {
            str(path.relative_to(results)): path.read_bytes() for path in sorted(results.rglob("*")) if path.is_file()
        }


def _fill(results: Path) -> None:
    import numpy as np

    from isoloss import cli
    from isoloss.runs.archive import Archive
    from isoloss.runs.record import Loss, RunRecord
    from isoloss.runs.shapes import count
    from isoloss.runs.spec import ModelSpec, Optimiser, RunSpec
    from isoloss.runs.underway import TrunkProgress, note_job, note_progress

    archive = Archive(results)
    for width in (8, 16, 24, 32):
        for tokens in (320, 640, 1280):
            run = RunSpec(
                corpus="text1-a", model=ModelSpec(width=width, depth=1, heads=1, ffn=16, vocab_size=16, context=8),
                train_tokens=tokens,
                batch_tokens=32, optimiser=Optimiser(peak_lr=1e-2),
            )  # fmt: skip
            loss = 2 + 3 / width + 100 / tokens
            record = RunRecord(
                fingerprint=run.fingerprint, trunk=run.trunk, spec=run, counts=count(run.model), status="finished",
                loss=Loss(nats=loss, stderr=0.1, tokens=100, documents=4), wall_seconds=1.0,
            )  # fmt: skip
            curve = {
                "step": [1, 2],
                "tokens": [32, 64],
                "train_nats": [3.0, 2.5],
                "lr": [0.1, 0.1],
                "heldout_nats": [3.0, 2.5],
            }
            archive.write(
                record,
                curve=curve,
                documents={"document": np.arange(4), "tokens": np.full(4, 8), "nats": np.full(4, loss)},
            )
    checkpoints = archive.checkpoint_folder("trunk1-a")
    checkpoints.mkdir(parents=True)
    note_job(checkpoints, [run.model_copy(update={"seed": 5})])
    note_progress(checkpoints, TrunkProgress(tokens=5, total_tokens=10, loss_nats=2.0, tokens_per_second=3.0))
    (results / "table.csv").write_text(
        "params,tokens,loss\n" + "".join(f"{i}e6,1e8,{3 - i / 10}\n" for i in range(1, 9))
    )
    cli.run(["import", str(results / "table.csv"), "--loss", "loss", "--out", str(results), "--json"])
    (results / "table.csv").unlink()
    study = (
        'schema = 1\nname = "x"\nseed = 1\n[[corpus]]\nname = "a"\nsource = "pcfg"\ntokens = 20000\n'
        "heldout_tokens = 2048\n"
        "grammar = { family = \"explicit\", text = \"S -> 'a' S [0.7] | 'b' [0.3]\" }\n[grid]\nparams = [1e4, 3e4]\n"
        "tokens = [5e3, 1e4]\ncontext = 64\n[training]\nbatch_tokens = 256\npeak_lr = 5e-3\n"
        "[complexity]\nsequence_tokens = 64\n"
    )
    (results / "study.toml").write_text(study)
    cli.run(["run", str(results / "study.toml"), "--out", str(results), "--until", "corpora", "--json"])
