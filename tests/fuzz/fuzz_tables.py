"""Tables of runs in every format, with something wrong in cells, names or bytes, and options that do not fit them."""

import csv
import io
import json
import random
from pathlib import Path

from fuzz_pieces import NUMBERS, TEXTS, damaged, value

CELLS = (
    "", "NA", "nan", "inf", "-1", "0", "1e-320", "1e400", "1.234", "1,234", "1.234.567", "70M", "1.4T", "1e6 ", "abc",
    "1;2", '"', "'",
    "\ufeff1", "0x10", "1_000", "１２", "True", "2020-01-01", "9" * 400, "1e6\n", "\x00", "\x1b[31m", "1/3", "−5",
)  # fmt: skip
NAMES = ("params", "tokens", "loss", "g", "", " ", "a b", 'a"b', "a\nb", "__row__", "loss_nats", "flops", "PARAMS",
"\x1b[31m", "x" * 3000,
         "é", "select", "\ud800")  # fmt: skip
FORMULAS = (
    "params * 1e6", "tokens / 0", "ln(loss)", "log(0)", "params; DROP TABLE runs", "(SELECT 1)",
    "read_csv('/etc/passwd')", "1 +", "(((",
    "'a' || loss", "sum(loss)", "loss AS x", "random()", "range(1000000000)",
    "params -- x",
    "repeat('x', 1000000000)", "\x1b[31m", "a\nb", '"loss"', "CAST(loss AS VARCHAR)", "[loss]", "{'a': loss}",
    "loss * 1e400", "-loss",
)  # fmt: skip
CONDITIONS = ("params > 1e6", "1", "loss > 'a'", "nope = 1", "params > 1e6; DROP TABLE runs", "true) --", "", "0 = 1",
"g = 'a'", "((", "\x1b",
              "loss IN (SELECT loss FROM runs)", "a\nb")  # fmt: skip


def runs(rng: random.Random) -> tuple[list[str], list[list[object]]]:
    """Return names and rows of a table that a law describes."""
    rows: list[list[object]] = []
    shape = rng.randrange(5)
    for i in range(rng.choice((0, 1, 3, 8, 20, 60, 60, 300))):
        n = 10 ** rng.uniform(6, 9) if shape else 10.0 ** (6 + i % 3)
        d = 10 ** rng.uniform(8, 11) if shape > 1 else 10.0 ** (8 + i % 4)
        loss = 1.8 + 480 / n**0.35 + 2100 / d**0.37 + rng.gauss(0, rng.choice((0, 0.01)))
        rows.append([n, d, loss, rng.choice("ab"), f"t{i // 3}"])
    return ["params", "tokens", "loss", "g", "t"], rows


def _written(rng: random.Random, names: list[str], rows: list[list[object]], kind: str) -> bytes:
    if kind in ("csv", "tsv"):
        out = io.StringIO()
        writer = csv.writer(out, delimiter=rng.choice(",,,;\t|") if kind == "csv" else "\t")
        writer.writerows([names, *rows])
        return out.getvalue().encode(rng.choice(("utf-8", "utf-8", "utf-8", "latin-1", "utf-16")), errors="replace")
    if kind == "jsonl":
        lines = [json.dumps(dict(zip(names, row, strict=False))) for row in rows]
        if lines and rng.random() < 0.2:
            lines[rng.randrange(len(lines))] = rng.choice(
                ("[" * 50_000, '{"a":' * 50_000, "null", "[]", "1", "{", '"x"', "9" * 5000)
            )
        return "\n".join(lines).encode("utf-8", errors="surrogatepass")
    return _parquet(rng, names, rows)


def _parquet(rng: random.Random, names: list[str], rows: list[list[object]]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = list(zip(*rows, strict=True)) if rows else [[] for _ in names]
    arrays = []
    for column in columns:
        try:
            arrays.append(pa.array(list(column)))
        except (pa.ArrowException, OverflowError, UnicodeEncodeError, TypeError):
            arrays.append(pa.array([repr(cell).encode("utf-8", errors="replace") for cell in column]))
    if arrays and len(rows) and rng.random() < 0.3:
        n = len(rows)
        arrays[rng.randrange(len(arrays))] = rng.choice((
            pa.array([[1, 2]] * n), pa.array([{"a": 1}] * n), pa.array([b"\xe9"] * n), pa.nulls(n),
            pa.array(["a"] * n).dictionary_encode(),
            pa.array([True] * n), pa.array([1] * n, type=pa.timestamp("ns")), pa.array([10**18] * n,
            type=pa.decimal128(38, 0)),
            pa.array([[("a", 1)]] * n, type=pa.map_(pa.string(), pa.int64())), pa.array([1.0] * n, type=pa.float16()),
            pa.array([1] * n, type=pa.duration("s")), pa.array([2**64 - 1] * n, type=pa.uint64()), pa.array([1] * n,
            type=pa.date32()),
        ))  # fmt: skip
    sink = io.BytesIO()
    safe = [name.encode("utf-8", errors="replace").decode() for name in names]
    pq.write_table(pa.Table.from_arrays(arrays, names=safe), sink, compression=rng.choice(("none", "snappy", "zstd")))
    return sink.getvalue()


def _spoilt(rng: random.Random, names: list[str], rows: list[list[object]], kind: str) -> None:
    for _ in range(rng.choice((0, 1, 1, 2, 4))):
        what = rng.randrange(6)
        if what == 0:
            names[rng.randrange(len(names))] = rng.choice(NAMES)
        elif rows and what < 4:
            cells = CELLS if kind in ("csv", "tsv") else (*CELLS, *NUMBERS, *TEXTS, None, True, value(rng))
            rows[rng.randrange(len(rows))][rng.randrange(len(names))] = rng.choice(cells)
        elif rows and what == 4:
            column, cell = rng.randrange(len(names)), rng.choice((*CELLS, 1.0, 1e60, 3))
            for row in rows:
                row[column] = cell
        elif rows and what == 5 and kind in ("csv", "tsv"):
            rows[rng.randrange(len(rows))].append("x")


def _options(rng: random.Random) -> list[str]:
    found = {"--loss": "loss"}
    for name, choices in {
        "--params": (*NAMES, *FORMULAS), "--tokens": (*NAMES, *FORMULAS), "--loss": (*NAMES, *FORMULAS),
        "--flops": (*NAMES, *FORMULAS),
        "--group": ("g", "g", "t", *NAMES), "--where": CONDITIONS, "--trunk": ("t", *NAMES),
    }.items():  # fmt: skip
        if rng.random() < (0.3 if name == "--group" else 0.08):
            found[name] = rng.choice(choices)
    return [part for pair in found.items() for part in pair]


def _fit_options(rng: random.Random) -> list[str]:
    many = {
        "--law": ("kaplan", "kaplan_params", "kaplan_flops", "offset_params", "repeated", "critical_batch", "farseer",
        "coupled", "ceiling",
                  "loss_to_loss", "nope", "evil:X", "os:abort", "chinchilla:X", ":", ""),
        "--objective": ("lad", "gaussian", "x"), "--delta": ("0", "-1", "1e-320", "nan", "1e300", "1e-9"),
        "--bootstrap": ("0", "5", "-1", "x"),
        "--fix": ("E=1.8", "E=nan", "E=1e400", "alpha=0", "A=1", "X=1", "E=", "=", "E=-5"), "--floor": ("1.5", "-1",
        "nan", "loss", "99", "x"),
        "--frontier": ("1e20", "1e20,1e21", "0", "-1", "nan", "1e400", "x", ",", ""), "--predict": ("1e9,1e10", "0,0",
        "1", "nan,1", "1e400,1"),
        "--profile": ("alpha", "a", "nope", "alpha,a", ""), "--backtest": ("flops", "params", "corpus", "x"),
        "--vocab": ("256", "0", "x", "-1"),
        "--complexity": ("loss", "tokens", "g", "nope", "params,tokens"), "--data-unit": ("bytes", "x"),
        "--bytes-per-token": ("4", "0", "nan"),
        "--out": ("law.json", "", ".", "a/b.json", "\x1b[31m.json"), "--seed": ("-1", "1", "9" * 30),
        "--pair-with": ("a", "z"),
        "--column": ("x=loss", "=", "unique_tokens=tokens"), "--unique-tokens": ("tokens", "tokens / 2"),
        "--starts": ("hoffmann", "x"),
    }  # fmt: skip
    return [part for name, choices in many.items() if rng.random() < 0.04 for part in (name, rng.choice(choices))]


def written_table(rng: random.Random, folder: Path) -> str:
    """Write a table with something wrong in it, and return its name."""
    kind = rng.choice(("csv", "csv", "tsv", "jsonl", "jsonl", "parquet", "parquet"))
    names, rows = runs(rng)
    _spoilt(rng, names, rows, kind)
    content = _written(rng, names, rows, kind)
    if rng.random() < 0.2:
        content = damaged(rng, content)
    name = rng.choice(("runs", "runs", "runs", "a\x1b[31m\n")) + "." + kind
    (folder / name).write_bytes(content)
    return name


def make(rng: random.Random, folder: Path) -> list[str]:
    """Write a table, and fit it, look for its best sizes, or import it."""
    name = written_table(rng, folder)
    json_ = ["--json"] if rng.random() < 0.3 else []
    match rng.randrange(10):
        case 0:
            return ["isoflop", name, *_options(rng), "--draws", "20", *json_]
        case 1 | 2:
            return ["import", name, *_options(rng)[: 2 * rng.randrange(4)], "--out", "out", *json_]
        case _:
            return ["fit", name, *_options(rng), *_fit_options(rng), *json_]
