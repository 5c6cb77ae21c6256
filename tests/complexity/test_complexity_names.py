"""What the endings of a measure's name do: raw bytes, blocks, curves, the placebo."""

import gzip
from itertools import pairwise

import numpy as np
import pytest

from isoloss.complexity.base import MeasureSettings
from isoloss.complexity.measure import measure_corpus, measure_text, measure_tokens
from isoloss.complexity.measures import MEASURES, open_measure
from isoloss.complexity.paths import measure_paths
from isoloss.complexity.spectrum import contributions
from isoloss.complexity.text import Text
from isoloss.core.errors import InputError, UnknownName
from isoloss.corpus.build import build
from isoloss.corpus.sources import PcfgSource

COMPRESSORS = ("gzip", "zstd", "xz", "bz2", "brotli", "ppmd")


def chain(documents=200, length=256, vocab=40, seed=0):
    """Documents of a Markov chain whose tokens have few successors."""
    rng = np.random.default_rng(seed)
    table = rng.dirichlet(np.full(vocab, 0.1), size=vocab).cumsum(axis=1)
    state, rows = rng.integers(0, vocab, documents), []
    for _ in range(length):
        rows.append(state)
        state = (table[state] > rng.random((documents, 1))).argmax(axis=1)
    return np.stack(rows, axis=1).astype(np.uint16)


def words(rows) -> list[bytes]:
    return [b" ".join(b"w%d" % token for token in row) for row in rows]


@pytest.fixture(scope="module")
def text() -> Text:
    """Tokens that stand for the words of documents, with the bytes of both."""
    rows = chain()
    raw = [np.frombuffer(document, dtype=np.uint8) for document in words(rows)]
    return Text(
        name="words", tokens=[(rows.reshape(-1), np.arange(201) * 256)], vocab_size=40,
        raw=[(np.concatenate(raw), np.cumsum([0, *map(len, raw)]))],
        bytes_per_token=sum(map(len, raw)) / rows.size,
    )  # fmt: skip


@pytest.mark.parametrize("name", COMPRESSORS)
def test_every_compressor_measures_tokens_and_bytes_by_sequence_block_and_curve(text, name):
    settings = MeasureSettings(sequence_tokens=64, block_tokens=1024, samples=40)
    value = {
        ending: measure_text(text, name + ending, settings=settings)
        for ending in ("", "-bytes", "-blocks", "-bytes-blocks", "-curve", "-bytes-curve")
    }
    assert value["-blocks"].value.value < value[""].value.value  # what repeats is found in more text
    assert value["-bytes-blocks"].value.value < value["-bytes"].value.value
    assert value["-curve"].value.low > 0.02
    assert value["-curve"].curve.y[-1] == pytest.approx(value["-blocks"].mean)
    assert value["-bytes"].settings["sequence_tokens"] == 256
    assert value["-bytes"].settings["token_bytes"] == 1
    assert value["-bytes"].bits_per_byte.value == pytest.approx(8 * value["-bytes"].value.value)
    # Four bytes a token, some three bytes of text a token.
    factor = 32 / text.bytes_per_token
    assert value[""].bits_per_byte.high == pytest.approx(factor * value[""].value.high)
    assert value["-curve"].bits_per_byte is None


def test_raw_bytes_are_the_text_s_own(text):
    found = measure_text(text, "gzip-bytes", settings=MeasureSettings(sequence_tokens=64, samples=1000))
    tokens, offsets = text.raw[0]
    pieces = [
        tokens[start : start + 256].tobytes()
        for first, end in pairwise(offsets)
        for start in range(first, end - 255, 256)
    ]
    assert found.value.value == np.median([len(gzip.compress(piece, 9)) / 256 for piece in pieces])


@pytest.mark.parametrize("name", ["unigram", "trigram", "fivegram", "ngram", "entropy_decay", "heaps"])
def test_measures_that_read_ids_as_names_do_not_see_the_placebo(name):
    rows = chain(documents=400)
    settings = MeasureSettings(block_tokens=4096)
    plain, placebo = (measure_tokens(rows, name + ending, settings=settings).value for ending in ("", "-placebo"))
    assert placebo.value == pytest.approx(plain.value, rel=1e-9)
    assert placebo.low == pytest.approx(plain.low, rel=1e-9)


def test_the_spectrum_does_not_see_the_placebo():
    rows = chain()
    label = np.random.default_rng(1).permutation(40).astype(np.uint16)
    np.testing.assert_allclose(contributions(label[rows]), contributions(rows), rtol=1e-9)


def test_correlations_do_not_see_the_placebo_and_gzip_does(text):
    rows = chain(documents=400)
    beta, relabelled = (measure_tokens(rows, f"correlation_decay{e}").value.value for e in ("", "-placebo"))
    assert relabelled == pytest.approx(beta, rel=1e-9)
    # Forty ids below forty hold three zero bytes each; scattered over a vocabulary of 2^18 they hold one.
    plain, placebo = (measure_tokens(rows.astype(np.uint32), f"gzip{e}", vocab_size=2**18) for e in ("", "-placebo"))
    assert placebo.settings["placebo"] is True
    assert placebo.value.low > plain.value.high


def test_the_order_of_an_n_gram_is_its_name():
    rows = chain(documents=2000)
    cost = [measure_tokens(rows, name).value.value for name in ("unigram", "bigram", "trigram", "fourgram", "fivegram")]
    orders = [measure_tokens(rows[:50], n).settings["order"] for n in ("unigram", "bigram", "fivegram")]
    assert orders == [1, 2, 5]
    assert cost[0] > 1.5 * cost[1]  # a chain of memory one: the second token of context adds nothing
    assert cost[1:] == pytest.approx([cost[1]] * 4, rel=0.12)


def test_the_floor_is_a_measure_where_a_grammar_is_the_source(tmp_path, text):
    grammar = {"family": "random", "nonterminals": 3, "terminals": 20, "max_rules": 2, "max_rhs": 2}
    source = PcfgSource.model_validate({"name": "g", "grammar": grammar, "tokens": 25_600, "heldout_tokens": 5120})
    corpus = build(source, root=tmp_path, context=256)
    floor = measure_corpus(corpus, "floor")
    assert floor.value.value == pytest.approx(corpus.floor.value)
    assert floor.value.low == pytest.approx(corpus.floor.low, rel=0.1)
    with pytest.raises(InputError, match="generated corpora"):
        measure_text(text, "floor")
    with pytest.raises(InputError, match="bytes of this text are not available"):
        measure_corpus(corpus, "gzip-bytes")


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [("gzip-byte", UnknownName, "bytes"), ("gzip-placebo-bytes", InputError, "gzip-bytes-placebo"),
     ("ngram-curve", InputError, "only compressors"), ("gzip-blocks-curve", InputError, "blocks or curve"),
     ("gzp-bytes", UnknownName, "gzip")],
)  # fmt: skip
def test_a_name_that_cannot_be_read_gets_its_neighbour_named(name, error, said):
    with pytest.raises(error) as caught:
        open_measure(name, MeasureSettings())
    assert said in str(caught.value)


@pytest.mark.parametrize("package", ["brotli", "pyppmd", "zstandard"])
def test_an_absent_compressor_names_its_extra(monkeypatch, package):
    monkeypatch.setitem(__import__("sys").modules, package, None)
    name = {"brotli": "brotli", "pyppmd": "ppmd", "zstandard": "zstd"}[package]
    with pytest.raises(InputError, match=r"isoloss\[compressors\]"):
        open_measure(name, MeasureSettings())


def test_a_measure_without_an_answer_does_not_take_the_others_with_it(tmp_path):
    (tmp_path / "noise.txt").write_bytes(np.random.default_rng(0).integers(97, 117, 200_000).astype(np.uint8).tobytes())
    found = measure_paths([tmp_path / "noise.txt"], measures=["correlation_decay", "unigram"])[0]
    assert set(found.measures) == {"unigram"}
    assert "their noise" in found.unidentified["correlation_decay"]
    assert found.measures["unigram"].bits_per_byte.value == pytest.approx(np.log2(20), rel=1e-3)


def test_every_measure_says_where_it_comes_from():
    assert all(MEASURES[name].__doc__ for name in MEASURES)
