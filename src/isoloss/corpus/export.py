"""A corpus as a data set for others: Parquet with a card that states what it is, in a folder or on the hub."""

import tempfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import JsonValue

from isoloss.core import files
from isoloss.core.errors import WorkError
from isoloss.core.estimate import Estimate
from isoloss.core.numbers import fixed, in_brackets
from isoloss.core.optional import optional
from isoloss.corpus.corpus import Corpus, Side

SPLITS: dict[Side, str] = {"train": "train", "heldout": "test"}
BATCH_TOKENS = 1 << 22


def push(corpus: Corpus, target: str | Path, *, complexity: Mapping[str, Estimate] | None = None) -> None:
    """Write a corpus as a data set to a folder (a Path), or to the repository `owner/name` of the hub (a str).

    Each row holds the `input_ids` of a document, and for the held-out documents of a grammar their `floor_nats`; the
    held-out side is the split "test". `complexity` is stated on the card. The hub's token is that of its own client.
    Raises InputError where the client is not installed, WorkError where the hub refuses.
    """
    if isinstance(target, Path):
        _write(corpus, target, complexity or {})
        return
    hub = optional("huggingface_hub", extra="datasets", what="pushing to the hub", place="push")
    with tempfile.TemporaryDirectory(prefix="isoloss-push-") as folder:
        _write(corpus, Path(folder), complexity or {})
        try:
            hub.HfApi().create_repo(target, repo_type="dataset", exist_ok=True)
            hub.HfApi().upload_folder(repo_id=target, repo_type="dataset", folder_path=folder)
        except (OSError, ValueError) as error:  # the client's errors derive from these
            raise WorkError(
                f"the hub refused: {error}", place=target, fix="log in with `hf auth login`, and check owner and name"
            ) from error


def card(corpus: Corpus, *, complexity: Mapping[str, Estimate]) -> str:
    """Return the card: front matter that names the splits, then what the corpus is, its complexity and its floor."""
    configs = "".join(f"      - split: {split}\n        path: data/{split}.parquet\n" for split in SPLITS.values())
    rows = {
        "fingerprint": corpus.fingerprint,
        "kind": corpus.kind,
        "training tokens": f"{corpus.n_tokens:,} in {corpus.n_documents:,} documents",
        "held-out tokens": f"{corpus.heldout_tokens:,} in {corpus.heldout_documents:,} documents",
        "vocabulary": str(corpus.vocab_size),
        "tokenizer": corpus.tokenizer,
        "bytes per token": "–" if corpus.bytes_per_token is None else f"{corpus.bytes_per_token:.4g}",
        **_origin(corpus.source),
        "unigram loss, nats per token": f"{corpus.unigram_nats:.4f}",
        **{f"complexity: {measure}": _formatted(value) for measure, value in complexity.items()},
        "best possible loss (floor), nats per token": "unknown" if corpus.floor is None else _formatted(corpus.floor),
    }
    table = "".join(f"| {key} | {value} |\n" for key, value in rows.items())
    return (
        f"---\ntags:\n  - isoloss\nconfigs:\n  - config_name: default\n    data_files:\n{configs}---\n\n"
        f"# {corpus.name}\n\nA corpus of isoloss, as token ids; `corpus.json` is its whole record.\n\n"
        f"| | |\n| --- | --- |\n{table}"
    )


def _origin(source: Mapping[str, JsonValue]) -> dict[str, str]:
    """Return the grammar and the seed of a generated corpus, the source of any other."""
    parameters = source.get("parameters")
    if isinstance(parameters, dict):
        stated = ", ".join(f"{key} {value}" for key, value in parameters.items() if value is not None)
        return {"grammar": stated, "grammar fingerprint": str(source["grammar"]), "seed": str(source["seed"])}
    return {"source": _in_words(dict(source))}


def _in_words(value: JsonValue) -> str:
    """Return a record in a line that people read: what is empty left out, what is nested in brackets."""
    if isinstance(value, dict):
        pairs = (
            (key, f"({_in_words(one)})" if isinstance(one, dict) else _in_words(one)) for key, one in value.items()
        )
        return ", ".join(f"{key} {words}" for key, words in pairs if words not in ("", "()"))
    if isinstance(value, list):
        return "; ".join(map(_in_words, value))
    return str(value) if value else ""


_formatted = partial(in_brackets, write=partial(fixed, decimals=4))


def _write(corpus: Corpus, folder: Path, complexity: Mapping[str, Estimate]) -> None:
    import pyarrow.parquet as pq

    for side, split in SPLITS.items():
        tables = _tables(corpus, side)
        with files.replacing(folder / "data" / f"{split}.parquet") as temporary:
            first = next(tables)
            with pq.ParquetWriter(temporary, first.schema) as writer:
                writer.write_table(first)
                for table in tables:
                    writer.write_table(table)
    files.write_text(folder / "corpus.json", corpus.model_dump_json(indent=1) + "\n")
    files.write_text(folder / "README.md", card(corpus, complexity=complexity))


def _tables(corpus: Corpus, side: Side) -> Iterator[Any]:
    """Yield tables of documents, each of some million tokens."""
    import pyarrow as pa

    tokens, offsets = corpus.tokens(side), corpus.documents(side)
    floors = corpus.document_floor if side == "heldout" else None
    has_floor = corpus.floor is not None  # every split has the same columns
    first = 0
    while first < len(offsets) - 1:
        last = max(first + 1, int(np.searchsorted(offsets, offsets[first] + BATCH_TOKENS, side="right")) - 1)
        values = pa.array(np.ascontiguousarray(tokens[offsets[first] : offsets[last]]))
        ids = pa.LargeListArray.from_arrays(pa.array(offsets[first : last + 1] - offsets[first]), values)
        columns = {"input_ids": ids}
        if has_floor:
            known = floors[first:last] if floors is not None else [None] * (last - first)
            columns["floor_nats"] = pa.array(known, type=pa.float64())
        yield pa.table(columns)
        first = last
