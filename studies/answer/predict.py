"""Predict every text of the answer from measures alone, before its first run.

    isoloss run studies/answer/texts-new.toml --out results/answer --until complexity --json > new.json
    python studies/answer/predict.py new.json … --out docs/results/answer/sealed-measures.csv

Balance: a line through the ten corpora of the bundled runs, their mean ln(D*/N*) over three budgets against held-out
n-gram entropy, each by a quadratic surface of ln L in (ln N, ln D), budgets in exact FLOPs. Losses: the
law of those runs, the bundled one of that time. Both were made under another recipe of training, which is part of what
the seal tests.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from scipy.stats import t as student

from isoloss.core import files
from isoloss.data_dependence.data_dependent import DataDependent
from isoloss.planning import shipped
from isoloss.runs.ladders import ladder
from isoloss.runs.shapes import count

BUDGETS = (6e10, 2.5e11, 1e12)  # exact FLOPs: lower, middle, upper
POINTS = {"small": (1.1e4, 9.6e5), "middle": (3e4, 1.41e6), "large": (1.0e5, 8.5e6)}
SIZES = np.geomspace(5e3, 3e5, 60)
MEASURES = ("gzip", "gzip-bytes", "zstd-bytes-blocks", "ppmd-bytes-blocks", "unigram", "ngram", "alpha_d", "spectrum")


def main() -> None:
    """Write one row a corpus."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("measured", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    entropy, theta = old_balances()
    law = DataDependent(complexity=shipped.MEASURE, forms=shipped.FORMS).fit(shipped.shipped_runs())
    rows = []
    for source in asked.measured:
        for corpus in json.loads(source.read_text(encoding="utf-8"))["corpora"]:
            values = {name: (corpus["measures"].get(name) or {}).get("value") for name in MEASURES}
            centre, half = on_line(entropy, theta, values["ngram"])
            losses = {
                f"loss_{name}": float(law.at(values["ngram"]).predict(params=n, tokens=d))
                for name, (n, d) in POINTS.items()
            }
            rows.append({"corpus": corpus["name"], **values, "theta": centre, "theta_low": centre - half,
                         "theta_high": centre + half, **losses})  # fmt: skip
    texts = [{k: f"{v:.5g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows]
    files.write_rows(asked.out, list(rows[0]), texts)


def old_balances() -> tuple[np.ndarray, np.ndarray]:
    """Return n-gram entropy and mean ln(D*/N*) of the ten bundled corpora."""
    table = shipped.shipped_runs()
    exact = exact_flops(SIZES)
    entropy, theta = [], []
    for name in table.corpora:
        own = table.where(corpus=name)
        x, z = np.log(own.params), np.log(own.tokens)
        centre = x.mean(), z.mean()
        weights = np.linalg.lstsq(surface(x - centre[0], z - centre[1]), np.log(own.loss_nats), rcond=None)[0]
        found = []
        for budget in BUDGETS:
            tokens = np.log(budget) - exact
            loss = surface(np.log(SIZES) - centre[0], tokens - centre[1]) @ weights
            best = int(np.argmin(loss))
            found.append(tokens[best] - np.log(SIZES[best]))
        theta.append(float(np.mean(found)))
        entropy.append(float(own.complexity[shipped.MEASURE][0]))
    return np.array(entropy), np.array(theta)


def surface(x: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Return the columns of a quadratic surface."""
    return np.column_stack([np.ones_like(x), x, z, x * x, x * z, z * z])


def exact_flops(sizes: np.ndarray) -> np.ndarray:
    """Return ln of the exact FLOPs per token, smooth over the shapes of the ladder (vocabulary 256, context 256)."""
    shapes = ladder(np.geomspace(5e3, 3e5, 20).tolist(), vocab_size=256, context=256, tied=True)
    counts = [count(shape) for shape in shapes]
    log_n = np.log([one.params() for one in counts])
    log_f = np.log([one.flops_per_token("exact") for one in counts])
    return np.polyval(np.polyfit(log_n, log_f, 2), np.log(sizes))


def on_line(x: np.ndarray, y: np.ndarray, at: float) -> tuple[float, float]:
    """Return the line's value at a point, and half the 95 % interval for one more corpus."""
    slope, level = np.polyfit(x, y, 1)
    left = y - slope * x - level
    spread = np.sqrt(left @ left / (len(x) - 2))
    width = spread * np.sqrt(1 + 1 / len(x) + (at - x.mean()) ** 2 / ((x - x.mean()) @ (x - x.mean())))
    return float(slope * at + level), float(student.ppf(0.975, len(x) - 2) * width)


if __name__ == "__main__":
    main()
