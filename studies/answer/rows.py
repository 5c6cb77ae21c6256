"""Write the finished runs of a results folder as the compact table of the answer.

    python studies/answer/rows.py results/answer studies/answer

writes runs.csv, one row a run. Rows that stand there already and are not in the folder stay: the folder of another
machine may be gone. `blocks` are the mean losses of 20 groups of held-out documents, in nats per token; the head of
`block_tokens` in corpora.csv weighs them. Deleting one group at a time gives the error that the choice of documents
brings.
"""

import argparse
import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

from isoloss.core import files
from isoloss.corpus.corpus import Corpus
from isoloss.runs.archive import Archive
from isoloss.runs.documents import DocumentLosses
from isoloss.runs.record import RunRecord

GROUPS = 20
RUN = (
    "run", "corpus", "seed", "trunk", "params", "params_non_embedding", "width", "depth", "vocab_size", "tokens",
    "flops", "flops_exact", "peak_lr", "loss_nats", "stderr", "excess_nats", "flags", "status", "blocks",
)  # fmt: skip
CORPUS = (
    "corpus", "fingerprint", "train_tokens", "train_documents", "heldout_tokens", "heldout_documents", "vocab_size",
    "bytes_per_token", "floor", "block_tokens",
)  # fmt: skip
CONTEXT = 256


def main() -> None:
    """Merge the folder's rows into the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("out", type=Path)
    asked = parser.parse_args()
    archive = Archive(asked.results)
    names = corpus_names(asked.results)
    table = read(asked.out / "runs.csv")
    for record in archive.records():
        if record.spec.corpus in names:
            table[record.fingerprint] = row(record, archive, names[record.spec.corpus])
    ordered = sorted(table.values(), key=place)
    files.write_rows(asked.out / "runs.csv", RUN, ordered)
    described = corpora(asked.results, read(asked.out / "corpora.csv", key="corpus"))
    files.write_rows(asked.out / "corpora.csv", CORPUS, described)
    print(f"{len(ordered)} runs, {(asked.out / 'runs.csv').stat().st_size / 1e6:.2f} MB")


def place(found: dict[str, Any]) -> tuple[str, str, float, float]:
    """Return what rows are sorted by."""
    return found["corpus"], str(found["seed"]), float(found["params"]), float(found["tokens"])


def row(record: RunRecord, archive: Archive, corpus: str) -> dict[str, Any]:
    """Return one run as a row."""
    spec, counts, loss = record.spec, record.counts, record.loss
    documents = archive.document_losses(record.fingerprint) if record.status == "finished" else None
    return {
        "run": record.fingerprint, "corpus": corpus, "seed": spec.seed, "trunk": record.trunk.partition("-")[2][:10],
        "params": counts.params(), "params_non_embedding": counts.non_embedding, "width": spec.model.width,
        "depth": spec.model.depth, "vocab_size": spec.model.vocab_size, "tokens": spec.train_tokens,
        "flops": f"{counts.flops_per_token() * spec.train_tokens:.6g}",
        "flops_exact": f"{counts.flops_per_token('exact') * spec.train_tokens:.6g}",
        "peak_lr": spec.optimiser.peak_lr, "loss_nats": f"{loss.nats:.6g}" if loss else "",
        "stderr": f"{loss.stderr:.3g}" if loss else "",
        "excess_nats": f"{loss.excess_nats:.5g}" if loss and loss.excess_nats is not None else "",
        "flags": " ".join(record.flags), "status": record.status, "blocks": blocks(documents) if documents else "",
    }  # fmt: skip


def blocks(documents: DocumentLosses) -> str:
    """Return the mean loss of each group of documents."""
    group = documents.document % GROUPS
    tokens = np.bincount(group, weights=documents.tokens, minlength=GROUPS)
    nats = np.bincount(group, weights=documents.tokens * documents.nats, minlength=GROUPS)
    means = np.divide(nats, tokens, out=np.zeros(GROUPS), where=tokens > 0)
    return " ".join(f"{mean:.4f}" for mean in means)


def corpus_names(results: Path) -> dict[str, str]:
    """Return the names of corpora by fingerprint."""
    names = {}
    for path in (results / "corpora").glob("*/corpus.json"):
        content = json.loads(path.read_text(encoding="utf-8"))
        names[path.parent.name] = content["name"]
    return names


def corpora(results: Path, known: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one row a corpus, with the scored tokens of each group of its held-out documents."""
    for path in sorted((results / "corpora").glob("*/corpus.json")):
        corpus = Corpus.open(path.parent)
        windows = corpus.windows("heldout", CONTEXT)
        tokens = np.bincount(windows.document % GROUPS, minlength=GROUPS) * (CONTEXT - 1)
        known[corpus.name] = {
            "corpus": corpus.name, "fingerprint": corpus.fingerprint, "train_tokens": corpus.n_tokens,
            "train_documents": corpus.n_documents, "heldout_tokens": corpus.heldout_tokens,
            "heldout_documents": corpus.heldout_documents, "vocab_size": corpus.vocab_size,
            "bytes_per_token": corpus.bytes_per_token or "",
            "floor": corpus.floor.value if corpus.floor else "", "block_tokens": " ".join(map(str, tokens)),
        }  # fmt: skip
    return [{"train_documents": "", **known[name]} for name in sorted(known)]


def read(path: Path, *, key: str = "run") -> dict[str, dict[str, Any]]:
    """Return the rows that stand in a table, by their key."""
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as stream:
        return {row[key]: row for row in csv.DictReader(stream)}


if __name__ == "__main__":
    main()
