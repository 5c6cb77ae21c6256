"""Measuring corpora, arrays and files."""

import gzip
import io
import os
import random
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from isoloss.complexity.base import Measure
from isoloss.complexity.measure import measure_corpus, measure_tokens
from isoloss.complexity.paths import measure_paths
from isoloss.complexity.sample import Pool, draw
from isoloss.complexity.text import Text
from isoloss.core.errors import BadCorpus, InputError, UnknownName
from isoloss.corpus.build import build
from isoloss.corpus.corpus import document_windows
from isoloss.corpus.sources import FilesSource, PcfgSource


def words(count: int, seed: int = 1) -> bytes:
    rng = random.Random(seed)
    vocabulary = [bytes(rng.choices(b"abcdefgh", k=rng.randint(2, 7))) for _ in range(300)]
    return b" ".join(rng.choices(vocabulary, weights=[1 / (i + 1) for i in range(300)], k=count))


def script(text: bytes) -> float:
    """Three lines of Python: the gzip ratio of a piece of bytes, 4 bytes each."""
    stream = io.BytesIO()
    with gzip.GzipFile(fileobj=stream, mode="wb") as file:
        file.write(b"".join(byte.to_bytes(4, "big", signed=True) for byte in text))
    return stream.tell() / (4 * len(text))


def pieces(text: bytes, length: int = 256) -> list[bytes]:
    return [text[i : i + length] for i in range(0, len(text) - length + 1, length)]


def test_a_file_gives_what_a_three_line_script_gives(tmp_path):
    text = words(50_000)
    (tmp_path / "a.txt").write_bytes(text)
    reference = [script(piece) for piece in pieces(text)]
    sampled = measure_paths([tmp_path / "a.txt"])[0].measures["gzip"]
    # 1,000 of 1,090 pieces: their mean differs from that of all by .1 of its standard error.
    assert sampled.mean == pytest.approx(statistics.mean(reference), abs=5e-4)
    assert sampled.median == pytest.approx(statistics.median(reference), abs=1e-3)
    every = measure_paths([tmp_path / "a.txt"], samples=10_000)[0].measures["gzip"]
    assert (every.median, every.sequences) == (statistics.median(reference), len(reference))
    assert every.mean == pytest.approx(statistics.mean(reference), rel=1e-12)
    assert every.std == pytest.approx(statistics.stdev(reference), rel=1e-12)


def test_a_folder_gives_what_a_script_over_its_files_gives(tmp_path):
    texts = [words(400, seed=i) for i in range(30)]
    for i, text in enumerate(texts):
        (tmp_path / f"{i}.txt").write_bytes(text)
    (tmp_path / "picture.bin").write_bytes(b"\0\1\2")
    reference = [script(piece) for text in texts for piece in pieces(text)]
    found = measure_paths([tmp_path])[0]
    assert found.measures["gzip"].median == statistics.median(reference)
    assert (found.documents, found.bytes, found.dropped) == (30, sum(map(len, texts)), {"binary": 1})
    printed = found.to_json()
    assert set(printed["measures"]["gzip"]) >= {"value", "low", "high", "median", "mean", "std", "sequences"}


def test_a_large_file_is_measured_without_being_read_whole(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_bytes(words(50_000))
    read = measure_paths([path])
    monkeypatch.setattr("isoloss.complexity.paths.MAPPED_BYTES", 1000)
    monkeypatch.setattr("isoloss.complexity.paths.texts", None)
    mapped = measure_paths([path])
    assert mapped == read


def test_token_ids_are_measured_as_they_are(tmp_path):
    ids = np.random.default_rng(0).integers(0, 300, (50, 256)).astype(np.uint16)
    np.save(tmp_path / "ids.npy", ids)
    found = measure_paths([tmp_path / "ids.npy"])[0]
    assert (found.bytes, found.tokens, found.documents) == (None, 50 * 256, 50)
    assert found.measures["gzip"].median == measure_tokens(ids, "gzip").median
    np.save(tmp_path / "bad.npy", ids.astype(float))
    with pytest.raises(BadCorpus, match="expected token ids"):
        measure_paths([tmp_path / "bad.npy"])


def test_standard_input_is_one_document(monkeypatch, tmp_path):
    text = words(5000)
    (tmp_path / "a.txt").write_bytes(text)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text)))
    assert measure_paths(["-"])[0].measures == {
        "gzip": measure_paths([tmp_path / "a.txt"])[0].measures["gzip"].model_copy(update={"corpus": "-"})
    }


@pytest.mark.parametrize(
    ("content", "keys", "error", "said"),
    [(b"", {}, BadCorpus, "empty"), (b"a" * 99, {}, InputError, "the longest document has 99"),
     (b"ab" * 999, {"measures": ["gzp"]}, UnknownName, "gzip"), (b"ab" * 999, {"token_bytes": 0}, InputError, "0"),
     (b"ab" * 999, {"tokenizer": "byts"}, UnknownName, "bytes")],
)  # fmt: skip
def test_what_cannot_be_measured_is_an_error_with_its_place(tmp_path, content, keys, error, said):
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    with pytest.raises(error) as caught:
        measure_paths([path], **keys)
    assert said in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_corpus_is_measured_on_its_training_side(tmp_path):
    (tmp_path / "texts").mkdir()
    for i in range(40):
        (tmp_path / "texts" / f"{i}.txt").write_bytes(words(300, seed=i))
    corpus = build(FilesSource(name="w", paths=(str(tmp_path / "texts"),)), root=tmp_path / "corpora", context=64)
    found = measure_corpus(corpus, "gzip")
    tokens, windows = corpus.train, corpus.windows("train", 256)
    reference = [script(row.astype(np.uint8).tobytes()) for row in windows.tokens(tokens)]
    assert (found.corpus, found.sequences) == (corpus.fingerprint, len(reference))
    assert found.value.value == statistics.median(reference)


def test_a_generated_document_gives_no_longer_sequences_than_it_has(tmp_path):
    grammar = {"family": "random", "nonterminals": 3, "terminals": 20, "max_rules": 2, "max_rhs": 2}
    source = PcfgSource.model_validate({"name": "g", "grammar": grammar, "tokens": 12_800, "heldout_tokens": 1280})
    corpus = build(source, root=tmp_path, context=128)
    with pytest.raises(InputError, match="sequence of 256 tokens: the longest document has 128"):
        measure_corpus(corpus, "gzip")


# Ratios of Pandey 2024, re-measured over 8 to 20 grammars each: mean and standard deviation between grammars.
@pytest.mark.parametrize(
    ("parameters", "ratio", "spread"),
    [((10, 150, 5, 3), 0.235, 0.011), ((20, 300, 10, 5), 0.362, 0.010), ((50, 500, 20, 15), 0.511, 0.004)],
)
def test_published_grammars_have_their_published_ratios(tmp_path, parameters, ratio, spread):
    names = ("nonterminals", "terminals", "max_rules", "max_rhs")
    grammar = {"family": "random", "seed": 5, **dict(zip(names, parameters, strict=True))}
    source = PcfgSource.model_validate({"name": "g", "grammar": grammar, "tokens": 256_000, "heldout_tokens": 2560})
    found = measure_corpus(build(source, root=tmp_path, context=256), "gzip")
    assert found.value.value == pytest.approx(ratio, abs=4 * spread)  # one grammar of the family


def test_the_seed_decides_the_sample_and_nothing_else_does():
    sequences = np.random.default_rng(0).integers(0, 99, (3000, 64)).astype(np.uint16)
    first, again, other = (measure_tokens(sequences, "gzip", seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first.mean != other.mean
    assert first.settings["sequence_tokens"] == 64


def test_learning_and_scoring_share_no_document():
    offsets = np.cumsum([0, *np.random.default_rng(0).integers(1, 40, 100)]) * 8
    tokens = np.repeat(np.arange(100), np.diff(offsets)).astype(np.uint16)  # every token is its document's number
    pool = Pool(parts=[(tokens, document_windows(offsets, 8))], vocab_size=100)
    sample = draw(pool, samples=500, learning_tokens=8000, seed=0)
    assert len(sample.sequences) == 500
    assert 800 < len(sample.others) <= 1000  # half of some 2,000 windows, by whole documents
    assert np.all(sample.sequences == sample.document[:, None])
    assert not set(sample.sequences.ravel()) & set(sample.others.ravel())


def test_sequences_are_drawn_without_replacement_from_all_parts():
    tokens = np.arange(600).astype(np.uint16)
    parts = [(part, document_windows(np.array([0, len(part)]), 10)) for part in (tokens[:200], tokens[200:])]
    pool = Pool(parts=parts, vocab_size=600)
    sample = draw(pool, samples=59, learning_tokens=0, seed=0)
    assert len(np.unique(sample.sequences[:, 0])) == 59
    assert np.all(np.diff(sample.sequences, axis=1) == 1)


class Distinct(Measure):
    """How many different tokens a sequence has: a user's own measure."""

    def values(self, sample):
        return np.array([len(np.unique(row)) for row in sample.sequences], dtype=float)


def test_a_measure_of_one_s_own_is_named_by_module_and_class(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parent)
    sequences = np.tile(np.arange(64, dtype=np.uint16), (20, 1))
    found = measure_tokens(sequences, "test_complexity_measure:Distinct")
    assert (found.value.value, found.settings["summary"]) == (64, "mean")
    with pytest.raises(InputError, match="not a measure"):
        measure_tokens(sequences, "test_complexity_measure:words")


def test_a_thousand_documents_of_a_huge_file_read_a_few_megabytes(tmp_path):
    path = tmp_path / "huge.txt"
    block = words(20_000).ljust(1 << 17, b"x")[: 1 << 17]
    with path.open("wb") as file:
        for _ in range(2048):  # 256 MiB
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    # A process of its own: its page faults from the disk are counted by the system, with the file out of the cache.
    script = (
        "import os, sys, re\n"
        "from isoloss.complexity.paths import measure_paths\n"
        "measure_paths([sys.argv[2]])\n"  # kernels and modules are loaded
        "descriptor = os.open(sys.argv[1], os.O_RDONLY)\n"
        "os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)\n"
        "read = lambda: int(re.search(r'^read_bytes: (\\d+)', open('/proc/self/io').read(), re.M)[1])\n"
        "before = read()\n"
        "found = measure_paths([sys.argv[1]])[0]\n"
        "few = read() - before\n"
        "os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)\n"
        "before = read()\n"
        "while os.read(descriptor, 1 << 20): pass\n"
        "print(found.measures['gzip'].sequences, few, read() - before)\n"
    )
    (tmp_path / "small.txt").write_bytes(block)
    output = subprocess.run(
        [sys.executable, "-c", script, str(path), str(tmp_path / "small.txt")],
        capture_output=True,
        text=True,
        check=True,
    )
    sequences, few, whole = map(int, output.stdout.split())
    if whole < path.stat().st_size // 2:
        pytest.skip("this file system does not count what is read from it")
    assert sequences == 1000
    assert few < 12 << 20  # a page or two of 4 KiB for each sequence, and a megabyte of the beginning


def test_pieces_of_a_very_long_document_are_drawn_and_not_listed(monkeypatch):
    monkeypatch.setattr("isoloss.complexity.text.MOST_PIECES", 500)
    tokens = np.arange(100_000).astype(np.uint32)
    pool = Text(name="long", tokens=[(tokens, np.array([0, 100_000]))], vocab_size=None).sequences(10, seed=0)
    starts = pool.take(np.arange(len(pool)))[:, 0]
    assert len(np.unique(starts)) == len(pool) == 500
    assert np.all(starts % 10 == 0)
    assert abs(starts.mean() - 50_000) < 4 * 100_000 / np.sqrt(12 * 500)


def test_a_large_file_of_token_ids_is_not_read_whole(tmp_path, monkeypatch):
    ids = np.random.default_rng(0).integers(0, 300, (50, 256)).astype(np.uint16)
    np.save(tmp_path / "ids.npy", ids)
    small = measure_paths([tmp_path / "ids.npy"], measures=["gzip", "ngram"])[0]
    monkeypatch.setattr("isoloss.complexity.paths.MAPPED_BYTES", 1000)
    large = measure_paths([tmp_path / "ids.npy"], measures=["gzip", "ngram"])[0]
    assert (small.vocab_size, large.vocab_size) == (300, None)
    assert large.model_copy(update={"vocab_size": 300}) == small  # all ids are drawn here, so the measures are the same
    np.save(tmp_path / "ids.npy", np.where(ids == 7, -1, ids.astype(np.int32)))
    with pytest.raises(InputError, match="below 0"):
        measure_paths([tmp_path / "ids.npy"])
