"""Data sets in and out, and mixtures: the rows are the documents, the weights are the tokens, the card tells all."""

import random
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from isoloss.core.errors import BadCorpus, WorkError
from isoloss.core.estimate import Estimate
from isoloss.corpus.build import build
from isoloss.corpus.corpus import Corpus
from isoloss.corpus.export import push
from isoloss.corpus.sources import CorpusSource

CONTEXT = 32


@pytest.fixture(autouse=True)
def no_network(monkeypatch, tmp_path):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def source(**keys):
    return TypeAdapter(CorpusSource).validate_python({"name": "corpus", **keys})


def texts(seed: int, count: int = 40, letters: str = "abcdef") -> list[str]:
    rng = random.Random(seed)
    return ["".join(rng.choices(f"{letters} ", k=rng.randint(60, 200))) for _ in range(count)]


def write_texts(folder: Path, contents: list[str]) -> Path:
    folder.mkdir()
    for i, text in enumerate(contents):
        (folder / f"{i}.txt").write_text(text)
    return folder


def documents(corpus: Corpus, side: str = "train") -> list[str]:
    tokens, offsets = corpus.tokens(side), corpus.documents(side)
    return [tokens[a:b].astype(np.uint8).tobytes().decode() for a, b in pairwise(offsets)]


@pytest.fixture
def saved(tmp_path) -> Path:
    import datasets

    rows = datasets.Dataset.from_dict({"text": texts(0), "number": list(range(40))})
    datasets.DatasetDict({"train": rows}).save_to_disk(str(tmp_path / "saved"))
    (tmp_path / "tables").mkdir()
    rows.to_parquet(str(tmp_path / "tables" / "train.parquet"))
    return tmp_path


@pytest.mark.parametrize("folder", ["saved", "tables"])
def test_rows_of_a_data_set_are_the_documents_of_the_same_files(saved, tmp_path, folder):
    built = build(source(source="datasets", dataset=folder), root=tmp_path / "corpora", context=CONTEXT, base=saved)
    from_files = build(
        source(source="files", paths=str(write_texts(tmp_path / "files", texts(0)))),
        root=tmp_path / "b",
        context=CONTEXT,
    )
    assert built.fingerprint == from_files.fingerprint
    assert set(documents(built)) == set(documents(from_files))
    assert built.source["rows_read"] == 40
    assert built.source["dataset"] == folder


def test_a_limited_data_set_is_shuffled_by_its_seed(saved, tmp_path):
    limited = [
        build(source(source="datasets", dataset="saved", tokens=1000, seed=seed), root=tmp_path / "corpora",
              context=CONTEXT, base=saved)
        for seed in (0, 0, 1)
    ]  # fmt: skip
    assert limited[0].fingerprint == limited[1].fingerprint != limited[2].fingerprint
    assert limited[0].source["rows_read"] < 25


@pytest.mark.parametrize(
    ("keys", "said"),
    [({"dataset": "nowhere/at-all"}, "no such data set"), ({"dataset": "saved", "split": "tset"}, "no such data set"),
     ({"dataset": "saved", "text_field": "txt"}, "did you mean 'text'.*number")],
)  # fmt: skip
def test_a_data_set_split_or_column_that_is_not_there_is_an_error(saved, tmp_path, keys, said):
    with pytest.raises(BadCorpus, match=f"(?s){said}") as caught:
        build(source(source="datasets", **keys), root=tmp_path / "corpora", context=CONTEXT, base=saved)
    assert keys["dataset"] in caught.value.place


@pytest.fixture
def generated(tmp_path) -> Corpus:
    grammar = {"family": "random", "nonterminals": 5, "terminals": 30, "max_rules": 3, "max_rhs": 3}
    said = source(source="pcfg", grammar=grammar, tokens=4000, heldout_tokens=640)
    return build(said, root=tmp_path / "corpora", context=CONTEXT, seed=7)


def test_a_pushed_corpus_is_read_back_by_the_library(generated, tmp_path):
    import datasets

    folder = tmp_path / "pushed"
    push(generated, folder, complexity={"gzip": Estimate(value=0.25, low=0.24, high=0.26, level=0.95)})
    for split, side in (("train", "train"), ("test", "heldout")):
        read = datasets.load_dataset(str(folder), split=split, streaming=True)
        rows = [row["input_ids"] for row in read]
        assert rows == generated.tokens(side).reshape(-1, 32).tolist()
    floors = [row["floor_nats"] for row in read]
    assert floors == generated.document_floor.tolist()
    assert np.mean(floors) == pytest.approx(generated.floor.value)


def test_the_card_states_grammar_seed_complexity_and_floor(generated, tmp_path):
    push(generated, tmp_path / "pushed", complexity={"gzip": Estimate(value=0.25, low=0.24, high=0.26, level=0.95)})
    output = (tmp_path / "pushed" / "README.md").read_text()
    for part in ("family random", "nonterminals 5", "terminals 30", "max_rules 3", "| seed | 7 |",
                 "| complexity: gzip | 0.2500 [0.2400, 0.2600] |", generated.fingerprint,
                 f"{generated.floor.value:.4f} [{generated.floor.low:.4f}, {generated.floor.high:.4f}]"):  # fmt: skip
        assert part in output
    record = Corpus.model_validate_json((tmp_path / "pushed" / "corpus.json").read_text())
    assert record.model_dump() == generated.model_dump()


def test_documents_are_written_in_batches_whatever_their_lengths(tmp_path, monkeypatch):
    import pyarrow.parquet as pq

    monkeypatch.setattr("isoloss.corpus.export.BATCH_TOKENS", 300)
    folder = write_texts(tmp_path / "files", texts(0))
    corpus = build(source(source="files", paths=str(folder)), root=tmp_path / "corpora", context=CONTEXT)
    push(corpus, tmp_path / "pushed")
    rows = pq.read_table(tmp_path / "pushed" / "data" / "train.parquet")["input_ids"].to_pylist()
    assert [bytes(row).decode() for row in rows] == documents(corpus)
    output = (tmp_path / "pushed" / "README.md").read_text()
    assert "unknown" in output
    assert f"| source | kind files, paths {folder}" in output
    assert "{'" not in output


def test_a_hub_that_cannot_be_reached_is_an_error_of_the_work(generated):
    with pytest.raises(WorkError, match="the hub refused") as caught:
        push(generated, "owner/name")
    assert caught.value.place == "owner/name"


@pytest.fixture
def halves(tmp_path) -> list[dict]:
    low, high = write_texts(tmp_path / "low", texts(1, 200)), write_texts(tmp_path / "high", texts(2, 200, "uvwxyz"))
    return [{"weight": 3, "of": {"name": "low", "source": "files", "paths": str(low)}},
            {"weight": 1, "of": {"name": "high", "source": "files", "paths": str(high)}}]  # fmt: skip


def mixture(halves: list[dict], tmp_path: Path, **keys) -> Corpus:
    said = source(source="mixture", **{"parts": halves, "tokens": 12_000, "heldout_tokens": 1024, **keys})
    return build(said, root=tmp_path / "corpora", context=CONTEXT)


def test_a_mixture_holds_tokens_by_weight_on_both_sides_in_a_mixed_order(halves, tmp_path):
    mixed = mixture(halves, tmp_path)
    for side in ("train", "heldout"):
        low = [set(text) <= set("abcdef ") for text in documents(mixed, side)]
        tokens = np.diff(mixed.documents(side))
        share = tokens[low].sum() / tokens.sum()
        assert share == pytest.approx(0.75, abs=0.03)  # a part ends with a whole document: 200 tokens of 3,000
    low = [set(text) <= set("abcdef ") for text in documents(mixed)]
    first = Counter(low[: len(low) // 2])
    assert first[True] > first[False] > 0
    assert mixed.heldout_in_train == 0
    assert mixed.bytes_per_token == 1.0
    assert [part["name"] for part in mixed.source["parts"]] == ["low", "high"]
    assert mixture(halves, tmp_path).fingerprint == mixed.fingerprint
    assert mixture(halves, tmp_path, seed=1).fingerprint != mixed.fingerprint
    # Only proportions matter.
    halves[0]["weight"], halves[1]["weight"] = 0.75, 0.25
    assert mixture(halves, tmp_path).fingerprint == mixed.fingerprint


def test_parts_that_do_not_fit_together_are_an_error(halves, tmp_path):
    halves[1]["of"]["compact"] = True
    with pytest.raises(BadCorpus, match="do not share one vocabulary"):
        mixture(halves, tmp_path)


def test_a_part_with_too_little_text_is_named(halves, tmp_path):
    with pytest.raises(BadCorpus, match="part 'low' has") as caught:
        mixture(halves, tmp_path, tokens=40_000)
    assert "weight" in caught.value.fix


def test_a_mixture_of_one_or_of_nothing_known_is_refused(halves):
    with pytest.raises(ValidationError):
        source(source="mixture", parts=halves[:1], tokens=100)
    with pytest.raises(ValidationError):
        source(source="mixture", parts=[{"weight": 0, "of": halves[0]["of"]}, halves[1]], tokens=100)
