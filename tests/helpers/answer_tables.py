"""Tables of the answer with planted best splits: the grid of a study, losses by a law, noise of trunks and points."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from isoloss.laws.law import Floats
from isoloss.runs.shapes import count
from isoloss.runs.spec import ModelSpec
from isoloss.study.spec import Study

E, ALPHA, BETA = 0.6, 0.42, 0.40
CENTRE_FLOPS = 1e11  # 6 · N · D at which N and D limit alike
TRUNK_SD, POINT_SD = 0.004, 0.003
GROUPS = 20


def planted_loss(balance: float, params: Floats, tokens: Floats) -> Floats:
    """Return the loss whose best ln(D/N) by 6 · N · D is `balance` at 1e11 FLOPs."""
    n = np.sqrt(CENTRE_FLOPS / 6 / np.exp(balance))
    d = n * np.exp(balance)
    return E + 0.5 * (params / n) ** -ALPHA + 0.5 * ALPHA / BETA * (tokens / d) ** -BETA


def write_planted(folder: Path, study: Path, corpora: Mapping[str, float]) -> None:
    """Write runs.csv and corpora.csv of a study's grid for corpora with those balances."""
    planned, generator = Study.load(study), np.random.default_rng(0)
    rows, described = [], []
    easy = generator.normal(0, 0.02, GROUPS)
    easy -= easy.mean()
    for corpus, balance in corpora.items():
        described.append({"corpus": corpus, "train_tokens": 18_000_000, "train_documents": 900,
                          "heldout_tokens": 262_144, "heldout_documents": 100, "vocab_size": 256,
                          "bytes_per_token": 1.0, "floor": "",
                          "block_tokens": " ".join(["13107"] * GROUPS)})  # fmt: skip
        for seed, model, lengths in trunks(planned, corpus):
            counts, shared = count(model), generator.normal(0, TRUNK_SD)
            for wanted in lengths:
                tokens = round(wanted / 256) * 256
                noise = np.exp(shared + generator.normal(0, POINT_SD))
                loss = float(planted_loss(balance, np.float64(counts.params()), np.float64(tokens)) * noise)
                rows.append({
                    "run": f"{corpus} {seed} {counts.params()} {tokens}", "corpus": corpus, "seed": seed,
                    "trunk": f"{seed} {counts.params()} {len(lengths)}", "params": counts.params(),
                    "params_non_embedding": counts.non_embedding, "tokens": tokens, "vocab_size": 256,
                    "flops": counts.flops_per_token() * tokens,
                    "flops_exact": counts.flops_per_token("exact") * tokens, "loss_nats": loss, "stderr": 0.01,
                    "flags": "", "status": "finished",
                    "blocks": " ".join(f"{loss * (1 + one):.6f}" for one in easy),
                })  # fmt: skip
    _write(folder / "runs.csv", rows)
    _write(folder / "corpora.csv", described)


def trunks(study: Study, corpus: str) -> Iterator[tuple[int, ModelSpec, Sequence[float]]]:
    """Yield seed, model and token counts of every trunk that a study trains on a corpus."""
    for seed in study.grid.seeds:
        for model in study.grid.models(vocab_size=256):
            yield seed, model, study.grid.horizons(count(model).params())
    for run in study.further_runs(corpus):
        yield run.seed, study.grid.near(run.params, vocab_size=256), [run.tokens]


def _write(path: Path, rows: list[dict[str, object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
