"""A corpus out of a grammar: documents of one window, known floor, independent sides."""

import os
from hashlib import sha256

import numpy as np
import pytest

from isoloss.core.errors import BadGrammar, InputError
from isoloss.corpus.build import build
from isoloss.corpus.corpus import Corpus
from isoloss.corpus.sources import PcfgSource

CONTEXT = 64
GRAMMAR = {"family": "random", "nonterminals": 10, "terminals": 150, "max_rules": 5, "max_rhs": 3, "seed": 1}


def generated(tmp_path, *, grammar=GRAMMAR, seed=0, context=CONTEXT, **keys) -> Corpus:
    keys = {"tokens": 64_000, "heldout_tokens": 12_800, **keys}
    source = PcfgSource.model_validate({"name": "g", "grammar": grammar, **keys})
    return build(source, root=tmp_path / "corpora", context=context, seed=seed)


@pytest.fixture
def corpus(tmp_path) -> Corpus:
    return generated(tmp_path)


def test_a_document_is_exactly_one_window(corpus):
    assert (corpus.n_tokens, corpus.n_documents, corpus.heldout_documents) == (64_000, 1000, 200)
    windows = corpus.windows("heldout", CONTEXT)
    assert windows.starts.tolist() == list(range(0, 12_800, CONTEXT))
    assert windows.document.tolist() == list(range(200))
    assert corpus.token_budget(CONTEXT) == 64_000
    with pytest.raises(InputError, match="documents of 64 tokens; windows of 32"):
        corpus.windows("train", 32)
    with pytest.raises(InputError, match="context 64"):
        corpus.token_budget(128)


def test_the_floor_is_the_entropy_of_a_grammar_known_in_closed_form(tmp_path):
    # S → 'a' S [p] | 'b' [1 − p]: every token is a coin but the separator after 'b', which is certain.
    p = 0.7
    grammar = {"family": "explicit", "text": f"S -> 'a' S [{p}] | 'b' [{1 - p}]"}
    corpus = generated(tmp_path, grammar=grammar, heldout_tokens=64_000)
    coin, length = -(p * np.log(p) + (1 - p) * np.log(1 - p)), 1 / (1 - p)
    expected = coin * length / (length + 1)
    # The window starts at a sentence start, not in the stationary state: that is gone after some ten tokens.
    assert corpus.floor.value == pytest.approx(expected, rel=0.02)
    assert corpus.floor.low < corpus.floor.value < corpus.floor.high
    assert corpus.document_floor.shape == (1000,)
    assert corpus.document_floor.mean() == pytest.approx(corpus.floor.value, rel=1e-12)


def test_the_floor_lies_below_every_other_prediction(corpus):
    assert 0 < corpus.floor.high < corpus.unigram_nats < np.log(corpus.vocab_size)


def test_sides_and_seeds_are_independent_draws(tmp_path, corpus):
    train = {row.tobytes() for row in corpus.train.reshape(-1, CONTEXT)}
    assert not train & {row.tobytes() for row in corpus.heldout.reshape(-1, CONTEXT)}
    other = generated(tmp_path, seed=1)
    assert other.source["grammar"] == corpus.source["grammar"]  # the rules have a seed of their own
    assert other.fingerprint != corpus.fingerprint
    assert not train & {row.tobytes() for row in other.train.reshape(-1, CONTEXT)}


def test_held_out_documents_that_training_holds_too_are_counted_not_hidden(tmp_path):
    corpus = generated(tmp_path, grammar={"family": "explicit", "text": "S -> 'a' 'b' [1]"})
    assert corpus.heldout_in_train == 200
    assert corpus.floor.value == pytest.approx(0, abs=1e-12)


def test_the_same_grammar_and_seed_are_the_same_bytes_and_built_once(tmp_path, corpus):
    written = (corpus.folder / "train.npy").read_bytes()
    again = generated(tmp_path / "again")
    assert again.fingerprint == corpus.fingerprint
    assert (again.folder / "train.npy").read_bytes() == written
    before = (corpus.folder / "train.npy").stat().st_mtime_ns
    assert (generated(tmp_path).folder / "train.npy").stat().st_mtime_ns == before
    assert os.listdir(tmp_path / "corpora") == [corpus.fingerprint]


def test_fingerprint_of_a_known_grammar_is_held(corpus):
    # Golden: raise GENERATED_VERSION, or the grammar's version, where the same recipe gives other documents.
    assert corpus.fingerprint == "pcfg1-36390941afb11887367e"
    assert sha256(corpus.train.astype("<u2").tobytes()).hexdigest()[:16] == "60485f039cf1f26a"


def test_a_grammar_file_is_taken_from_the_study_s_folder(tmp_path):
    (tmp_path / "g.pcfg").write_text("S -> 'a' S [0.5] | 'b' [0.5]\n")
    source = PcfgSource.model_validate(
        {"name": "g", "grammar": {"family": "explicit", "file": "g.pcfg"}, "tokens": 6400, "heldout_tokens": 640}
    )
    corpus = build(source, root=tmp_path / "corpora", context=CONTEXT, base=tmp_path)
    assert corpus.vocab_size == 3
    with pytest.raises(BadGrammar):
        build(source, root=tmp_path / "corpora", context=CONTEXT, base=tmp_path / "elsewhere")
