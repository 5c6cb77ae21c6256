"""Corpora on the command line: measured by any tokenizer, and pushed."""

import random
from pathlib import Path

import pytest

from isoloss.corpus.build import build
from isoloss.corpus.sources import PcfgSource

tokenizers = pytest.importorskip("tokenizers")


@pytest.fixture
def texts(tmp_path) -> Path:
    rng, folder = random.Random(0), tmp_path / "texts"
    folder.mkdir()
    for i in range(20):
        (folder / f"{i}.txt").write_text(" ".join(rng.choices(["alpha", "beta", "gamma"], k=300)))
    return folder


def test_measure_takes_a_tokenizer_of_a_file(isoloss, texts, tmp_path):
    from isoloss.corpus.tokenizer_json import train_bpe

    (tmp_path / "t.json").write_bytes(
        train_bpe([path.read_bytes() for path in texts.iterdir()], vocab_size=262).content
    )
    output = isoloss("measure", texts, "--tokenizer", "t.json", "--sequence-tokens", 64, "--json")
    (corpus,) = output.json["corpora"]
    as_bytes = isoloss("measure", texts, "--sequence-tokens", 64, "--json").json["corpora"][0]
    assert corpus["bytes"] == as_bytes["bytes"] == as_bytes["tokens"] > 1.5 * corpus["tokens"]
    assert corpus["measures"]["gzip"]["value"] != as_bytes["measures"]["gzip"]["value"]


def test_measure_refuses_a_tokenizer_that_does_not_fit(isoloss, texts, tmp_path):
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel({"alpha": 0, "?": 1}, unk_token="?"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "t.json"))
    output = isoloss("measure", texts, "--tokenizer", "t.json", "--json")
    assert output.code == 2
    assert "does not fit" in output.json["error"]["message"]


def test_push_writes_a_data_set_with_its_card(isoloss, tmp_path):
    grammar = {"family": "random", "nonterminals": 5, "terminals": 30, "max_rules": 3, "max_rhs": 3}
    source = PcfgSource.model_validate({"name": "g", "grammar": grammar, "tokens": 4000, "heldout_tokens": 640})
    corpus = build(source, root=tmp_path / "corpora", context=32, seed=7)
    output = isoloss("push", corpus.folder, "--out", "pushed", "--measure", "gzip,unigram", "--json")
    assert output.code == 0
    assert output.json["corpus"] == corpus.fingerprint
    card = (tmp_path / "pushed" / "README.md").read_text()
    assert f"complexity: gzip | {output.json['measures']['gzip']['value']:.4f}" in card
    assert "complexity: unigram" in card
    assert f"corpora/{corpus.fingerprint} (g)" in isoloss("push", ".", "--out", "again").err


@pytest.mark.parametrize(
    ("options", "said"),
    [([], "exactly one"), (["--out", "a", "--hub", "b/c"], "exactly one"), (["--out", "a"], "corpus.json is missing")],
)
def test_push_says_what_it_lacks(isoloss, tmp_path, options, said):
    output = isoloss("push", tmp_path, *options, "--json")
    assert output.code == 2
    assert said in output.json["error"]["message"]
    assert output.json["error"]["fix"]
