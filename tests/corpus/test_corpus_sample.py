"""A corpus with a token limit is a random sample of all the text, drawn by what it holds and by nothing else."""

import json
import random
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoloss.complexity.measure import measure_corpus
from isoloss.complexity.measures import MeasureSettings
from isoloss.complexity.paths import measure_paths
from isoloss.corpus.build import build
from isoloss.corpus.corpus import Corpus
from isoloss.corpus.readers import Document
from isoloss.corpus.sample import Pool, Share, piece_bytes
from isoloss.corpus.sources import FilesSource

CONTEXT = 32
ARRAYS = ("train.npy", "heldout.npy", "train_documents.npy", "heldout_documents.npy")


def words(rng: random.Random, count: int, kinds: int = 400) -> str:
    return " ".join(f"w{rng.randrange(kinds)}" for _ in range(count))


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """400 documents, most of them short, some forty times as long: as in folders of source code."""
    rng = random.Random(0)
    return [f"document {i}: " + words(rng, 40 * 60 // rng.randint(1, 60)) for i in range(400)]


def as_files(folder: Path, texts: list[str], *, names=lambda i: f"{i:04}.txt") -> Path:
    for i, text in enumerate(texts):
        path = folder / names(i)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def sampled(path: Path, root: Path, *, tokens: int = 20_000, **keys) -> Corpus:
    source = FilesSource(name="sampled", paths=(str(path),), tokens=tokens, **keys)
    return build(source, root=root, context=CONTEXT)


def content(corpus: Corpus) -> list[bytes]:
    return [(corpus.folder / name).read_bytes() for name in ARRAYS]


def test_the_sample_depends_on_seed_and_content_alone(texts, tmp_path):
    first = sampled(as_files(tmp_path / "a", texts), tmp_path / "ca")
    mixed = random.Random(1).sample(range(len(texts)), len(texts))
    elsewhere = as_files(
        tmp_path / "b", [texts[i] for i in mixed], names=lambda i: f"{'xyz'[i % 3]}/{9999 - i}/{i * 7919 % 400}.md"
    )
    rows = tmp_path / "rows"
    rows.mkdir()
    (rows / "1.jsonl").write_text("".join(json.dumps({"text": texts[i]}) + "\n" for i in mixed[:150]))
    (rows / "0.json").write_text(json.dumps([{"text": texts[i]} for i in mixed[150:]]))
    for path in (elsewhere, rows):
        again = sampled(path, tmp_path / f"c{path.name}")
        assert again.fingerprint == first.fingerprint
        assert content(again) == content(first)
    other = sampled(tmp_path / "a", tmp_path / "ca", seed=1)
    assert other.fingerprint != first.fingerprint
    assert content(other) != content(first)


def test_fingerprint_of_a_known_sample_is_held(texts, tmp_path):
    # Golden: identity must not move between versions, machines or days. Raise SAMPLE_VERSION where it must.
    corpus = sampled(as_files(tmp_path / "a", texts), tmp_path / "c")
    assert corpus.fingerprint == "text2-5e721a980a596f88e94f"


def test_a_sample_is_of_all_documents_and_holds_what_was_asked(texts, tmp_path):
    corpus = sampled(as_files(tmp_path / "a", texts), tmp_path / "c")
    assert corpus.source["documents_read"] == 400
    assert 20_000 <= corpus.token_budget(CONTEXT) <= 21_000
    whole = build(FilesSource(name="w", paths=(str(tmp_path / "a"),)), root=tmp_path / "c", context=CONTEXT)
    # Long documents give a part of themselves: more documents than so many tokens would hold of the whole text's.
    assert corpus.n_documents / whole.n_documents > 1.2 * corpus.n_tokens / whole.n_tokens


def test_every_token_is_as_likely_as_any_other(tmp_path):
    # A tenth of the text is one document; the mean of its share over 40 seeds is a tenth, to 3 standard errors.
    rng = random.Random(0)
    short = [words(rng, 60) for _ in range(300)]
    long = "L" + words(rng, 60 * 33, kinds=10).replace(" ", "L")  # nothing else holds an L
    folder = as_files(tmp_path / "a", [*short, long])
    total = len(long) + sum(map(len, short))
    shares = []
    for seed in range(40):
        corpus = sampled(folder, tmp_path / "c", tokens=20_000, seed=seed, heldout_fraction=0.01)
        tokens, offsets = corpus.train, corpus.documents("train")
        own = [b - a for a, b in pairwise(offsets) if ord("L") in tokens[a:b]]
        shares.append(sum(own) / len(tokens))
    assert np.mean(shares) == pytest.approx(len(long) / total, abs=3 * np.std(shares) / np.sqrt(len(shares)))


def test_windows_cross_no_gap_and_no_document_is_on_both_sides(texts, tmp_path):
    corpus = sampled(as_files(tmp_path / "a", texts), tmp_path / "c")
    found: dict[str, set[str]] = {}
    for side in ("train", "heldout"):
        windows = corpus.windows(side, CONTEXT).tokens(corpus.tokens(side))
        of = {bytes(window.astype(np.uint8)).decode() for window in windows}
        found[side] = {text for text in texts for window in of if window in text}
        assert all(any(window in text for text in texts) for window in of)
    assert not found["train"] & found["heldout"]


@pytest.mark.parametrize("tokens", [1_000_000, 10_000_000])
def test_a_limit_beyond_the_text_takes_all_of_it(texts, tmp_path, tokens):
    folder = as_files(tmp_path / "a", texts)
    corpus = sampled(folder, tmp_path / "c", tokens=tokens)
    whole = build(FilesSource(name="w", paths=(str(folder),)), root=tmp_path / "c", context=CONTEXT)
    assert content(corpus) == content(whole)


def test_the_ratio_of_a_sample_is_that_of_the_folder(tmp_path):
    # The longer a document, the fewer words it knows: a few long ones would say that the text compresses well.
    rng = random.Random(0)
    kinds = [rng.choice([4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048]) for _ in range(600)]
    folder = as_files(tmp_path / "a", [words(rng, 40 + 4000 // known, kinds=known) for known in kinds])
    (whole,) = measure_paths([folder], sequence_tokens=CONTEXT)
    corpora = [sampled(folder, tmp_path / "c", tokens=30_000, seed=seed) for seed in range(6)]
    settings = MeasureSettings(sequence_tokens=CONTEXT)
    found = np.mean([measure_corpus(corpus, "gzip", settings=settings).value.value for corpus in corpora])
    interval = whole.measures["gzip"].value
    assert interval.low <= found <= interval.high


@pytest.mark.parametrize("keys", [
    {"tokenizer": "bpe:300"}, {"interventions": [{"kind": "shuffle_lines"}]}, {"compact": True},
    {"interventions": [{"kind": "gzip_tercile", "tercile": 1}], "tokens": 5000}, {"near_duplicates": "remove"},
    {"piece_bytes": 300}, {"interventions": [{"kind": "noise", "rate": 0.1}, {"kind": "relabel"}]},
])  # fmt: skip
def test_whatever_is_done_to_the_text_a_sample_is_the_same_wherever_it_lies(texts, tmp_path, keys):
    if "near_duplicates" in keys:
        pytest.importorskip("rensa")
    if str(keys.get("tokenizer", "")).startswith("bpe"):
        pytest.importorskip("tokenizers")
    keys = {"tokens": 12_000, **keys}
    first = sampled(as_files(tmp_path / "a", texts), tmp_path / "c", **keys)
    again = sampled(as_files(tmp_path / "b", texts[::-1]), tmp_path / "d", **keys)
    assert (again.fingerprint, content(again)) == (first.fingerprint, content(first))
    assert first.token_budget(CONTEXT) >= keys["tokens"]


def test_a_pool_that_is_too_small_is_taken_larger(texts, tmp_path, monkeypatch):
    folder = as_files(tmp_path / "a", texts)
    first = sampled(folder, tmp_path / "c")
    monkeypatch.setattr("isoloss.corpus.gather.LEAST_KEPT", 1)
    monkeypatch.setattr("isoloss.corpus.gather.MOST_BYTES_PER_TOKEN", 0.01)
    again = sampled(folder, tmp_path / "d")
    assert (again.fingerprint, content(again)) == (first.fingerprint, content(first))


def test_files_beyond_what_is_read_are_chosen_by_what_they_hold(texts, tmp_path, monkeypatch):
    monkeypatch.setattr("isoloss.corpus.reading.SCANNED_BYTES", 60_000)
    first = sampled(as_files(tmp_path / "a", texts), tmp_path / "c", tokens=10_000)
    assert first.source["bytes_read"] < 80_000 < sum(map(len, texts))
    again = sampled(as_files(tmp_path / "b", texts[::-1]), tmp_path / "d", tokens=10_000)
    assert (again.fingerprint, content(again)) == (first.fingerprint, content(first))


@given(
    tokens=st.integers(0, 3000), context=st.integers(1, 64), of=st.integers(1, 40), picked=st.sets(st.integers(0, 39))
)
def test_the_pieces_of_a_document_are_a_division_of_it(tokens, context, of, picked):
    everything = [Share((number,), of).spans(tokens, context) for number in range(of)]
    taken = [token for spans in everything for span in spans for token in range(span.start, span.stop)]
    assert taken == list(range(tokens))
    assert Share(tuple(range(of)), of).length(tokens, context) == tokens
    some = Share(tuple(sorted(number for number in picked if number < of)), of)
    assert all(span.start % context == 0 for span in some.spans(tokens, context))
    assert some.length(tokens, context) == sum(Share((n,), of).length(tokens, context) for n in some.pieces)


@given(
    st.lists(st.integers(1, 400), min_size=1, max_size=40, unique=True), st.integers(1, 3000), st.integers(0, 9),
    st.randoms(use_true_random=False),
)  # fmt: skip
def test_a_pool_keeps_the_pieces_of_lowest_rank_whatever_the_order(tmp_path_factory, sizes, keep, seed, rng):
    documents = [Document(bytes([65 + i % 26]) * size, "here") for i, size in enumerate(sizes)]
    spool = tmp_path_factory.mktemp("pool") / "spool"

    def kept(order: list[Document], keep_bytes: int) -> list[tuple[int, bytes]]:
        with spool.open("w+b") as stream:
            pool = Pool(stream, seed=seed, piece_bytes=50, keep_bytes=keep_bytes)
            for document in order:
                pool.add(document)
            return [(piece.rank, pool.document(piece.digest).content) for piece in pool.pieces()]

    everything = kept(documents, 10**9)
    part = kept(documents, keep)
    assert part == everything[: len(part)]
    assert kept(rng.sample(documents, len(documents)), keep) == part
    assert len(part) == len(everything) or len(part) * 50 >= keep


def test_pieces_are_small_next_to_the_sample_and_large_next_to_a_window():
    assert piece_bytes(2_000_000, 256) <= 2_000_000 / 128
    assert piece_bytes(10_000, 256) >= 8 * 256
