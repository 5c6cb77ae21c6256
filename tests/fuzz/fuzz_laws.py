"""Fitted laws as files, of one corpus and of several, with something wrong in the JSON or in the draws next to it."""

import functools
import io
import json
import random
import tempfile
from pathlib import Path

from fuzz_pieces import damaged, mutated
from fuzz_studies import write_texts

PLANS = (
    ["--flops", "1e12"], ["--flops", "1e11"], ["--params", "1e5"], ["--tokens", "1e7"], ["--target-loss", "2.5"],
    ["--flops", "nan"],
    ["--flops", "0"], ["--flops", "1e400"], ["--target-loss", "-1"], ["--flops", "1e12", "--params-convention",
    "total"], [],
    ["--flops", "1e300"], ["--flops", "1e300", "--extrapolate"], ["--params", "1e-9"], ["--flops", "1e12", "--params",
    "1e5"],
    ["--flops", "1e12", "--context", "2"], ["--flops", "1e12", "--throughput", "0"], ["--flops", "1e12", "--recipe",
    "x"],
    ["--flops", "1e12", "--anchor", "porian"], ["--flops", "1e12", "--reference", "nope"], ["--flops", "1e12",
    "--tokenizer", "evil:X"],
)  # fmt: skip


@functools.cache
def _laws() -> tuple[tuple[bytes, bytes], ...]:
    """Return JSON and draws of a law of one corpus, and of one of several."""
    import numpy as np

    import isoloss as il
    from isoloss.planning import shipped

    rng = np.random.default_rng(0)
    n, d = 10 ** rng.uniform(4, 6, 40), 10 ** rng.uniform(6, 8, 40)
    table = {"params": n, "tokens": d, "loss_nats": 1.2 + 40 / n**0.35 + 90 / d**0.37}
    with tempfile.TemporaryDirectory() as folder:
        one = Path(folder) / "one.json"
        il.Chinchilla().fit(il.read_runs(table), bootstrap=5).save(one)
        return tuple((path.read_bytes(), draws_path(path).read_bytes()) for path in (one, shipped.LAW))


def draws_path(path: Path) -> Path:
    """Return where the draws of a law lie."""
    return path.with_name(f"{path.stem}.draws.parquet")


def _draws(rng: random.Random, content: bytes) -> bytes | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(content))
    match rng.randrange(6):
        case 0:
            return None
        case 1:
            return damaged(rng, content)
        case 2:
            table = table.slice(0, rng.randrange(2))
        case 3:
            table = table.drop_columns([rng.choice(table.column_names)])
        case _:
            column = rng.choice(
                (
                    (["x"], pa.string()),
                    ([None], pa.float64()),
                    ([float("nan")], pa.float64()),
                    ([[1.0]], pa.list_(pa.float64())),
                )
            )
            filled = pa.array(column[0] * len(table), type=column[1])
            table = table.set_column(rng.randrange(table.num_columns), rng.choice(table.column_names), filled)
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def make(rng: random.Random, folder: Path) -> list[str]:
    """Write a law and a text, and ask for a plan."""
    content, draws = rng.choice(_laws())
    path = folder / rng.choice(("law.json", "law.json", "a\x1b[31m\n.json", "law"))
    tree = mutated(rng, json.loads(content), rng.choice((0, 1, 1, 1, 2, 3)))
    text = json.dumps(tree, ensure_ascii=rng.random() < 0.5).encode("utf-8", errors="surrogatepass")
    path.write_bytes(damaged(rng, text) if rng.random() < 0.15 else text if rng.random() < 0.98 else b"[" * 100_000)
    kept = draws if rng.random() < 0.7 else _draws(rng, draws)
    if kept is not None:
        draws_path(path).write_bytes(kept)
    write_texts(rng, folder / "text")
    json_ = ["--json"] if rng.random() < 0.3 else []
    return ["plan", "text", "--law", path.name, *rng.choice(PLANS), *json_]
