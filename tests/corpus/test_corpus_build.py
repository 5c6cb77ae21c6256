"""A corpus out of files: content is identity, nothing is built twice, every loss of text is counted."""

import multiprocessing
import os
import random
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from isoloss.core.errors import BadCorpus, DamagedArchive, InputError, NewerArchive
from isoloss.corpus.build import build
from isoloss.corpus.corpus import Corpus
from isoloss.corpus.sources import FilesSource

CONTEXT = 32


def write_texts(folder: Path, count: int = 40, seed: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(seed)
    for i in range(count):
        words = rng.choices(["alpha", "beta", "gamma", "delta", "é"], k=rng.randint(40, 200))
        (folder / f"{i:03}.txt").write_text(" ".join(words), encoding="utf-8")
    return folder


def files(*paths, **keys) -> FilesSource:
    return FilesSource(name=keys.pop("name", "words"), paths=tuple(map(str, paths)), **keys)


@pytest.fixture
def texts(tmp_path) -> Path:
    return write_texts(tmp_path / "texts")


@pytest.fixture
def corpus(texts, tmp_path) -> Corpus:
    return build(files(texts / "*.txt"), root=tmp_path / "corpora", context=CONTEXT)


def whole_documents(corpus: Corpus, side: str) -> list[bytes]:
    tokens, offsets = corpus.tokens(side), corpus.documents(side)
    return [tokens[a:b].astype(np.uint8).tobytes() for a, b in pairwise(offsets)]


def test_every_document_is_found_again_on_one_side_and_no_other(corpus, texts):
    written = {path.read_bytes() for path in texts.iterdir()}
    train = whole_documents(corpus, "train")
    assert set(train) <= written
    assert len(set(train)) == len(train) == corpus.n_documents
    left = written - set(train)
    assert len(left) == corpus.heldout_documents
    for span in whole_documents(corpus, "heldout"):
        assert any(span in document for document in left)
        assert len(span) % CONTEXT == 0


def test_windows_are_whole_and_never_cross_a_document(corpus):
    for side in ("train", "heldout"):
        windows, offsets = corpus.windows(side, CONTEXT), corpus.documents(side)
        assert np.all(windows.starts >= offsets[windows.document])
        assert np.all(windows.starts + CONTEXT <= offsets[windows.document + 1])
        assert np.bincount(windows.document).tolist() == (np.diff(offsets) // CONTEXT).tolist()
    assert corpus.token_budget(CONTEXT) == len(corpus.windows("train", CONTEXT)) * CONTEXT
    taken = corpus.windows("train", CONTEXT).tokens(corpus.train, index=np.array([0, 3]))
    start = corpus.windows("train", CONTEXT).starts[3]
    assert taken[1].tolist() == corpus.train[start : start + CONTEXT].tolist()


def test_the_same_text_elsewhere_under_other_names_is_the_same_corpus(corpus, texts, tmp_path):
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for i, path in enumerate(sorted(texts.iterdir(), reverse=True)):
        (moved / f"renamed-{i}.md").write_bytes(path.read_bytes())
    again = build(files(moved, name="other"), root=tmp_path / "corpora2", context=CONTEXT)
    assert again.fingerprint == corpus.fingerprint
    assert again.name == "other"
    for name in ("train.npy", "heldout.npy", "train_documents.npy", "heldout_documents.npy"):
        assert (again.folder / name).read_bytes() == (corpus.folder / name).read_bytes()


def test_one_changed_letter_is_another_corpus(corpus, texts, tmp_path):
    first = next(texts.iterdir())
    first.write_text(first.read_text() + "!")
    assert build(files(texts), root=tmp_path / "corpora", context=CONTEXT).fingerprint != corpus.fingerprint


@pytest.mark.parametrize(
    "change", [{"heldout_fraction": 0.2}, {"heldout_tokens": 256}, {"seed": 1}, {"tokens": 3000}, {"exclude": ("01*",)}]
)
def test_settings_that_change_the_split_change_the_identity(corpus, texts, tmp_path, change):
    changed = build(files(texts, **change), root=tmp_path / "corpora", context=CONTEXT)
    assert changed.fingerprint != corpus.fingerprint


def test_fingerprint_of_known_text_is_held(tmp_path):
    # Golden: identity must not move between versions, machines or days. Raise CORPUS_VERSION where it must.
    root = write_texts(tmp_path / "texts", count=12)
    built = build(files(root), root=tmp_path / "corpora", context=CONTEXT)
    assert built.fingerprint == "text1-b72f7348e7e4499aaf84"


def test_nothing_is_built_twice(corpus, texts, tmp_path):
    before = (corpus.folder / "train.npy").stat().st_mtime_ns
    again = build(files(texts, name="second name"), root=tmp_path / "corpora", context=CONTEXT)
    assert (again.folder / "train.npy").stat().st_mtime_ns == before
    assert (again.name, Corpus.open(corpus.folder).name) == ("second name", "words")
    assert os.listdir(tmp_path / "corpora") == [corpus.fingerprint]


def test_builders_at_work_at_once_end_with_one_corpus(texts, tmp_path):
    context = multiprocessing.get_context("spawn")
    with context.Pool(3) as pool:
        built = pool.starmap(build_in, [(texts, tmp_path / "corpora")] * 3)
    assert len(set(built)) == 1
    assert os.listdir(tmp_path / "corpora") == built[:1]
    Corpus.open(tmp_path / "corpora" / built[0])


def build_in(texts: Path, root: Path) -> str:
    return build(files(texts), root=root, context=CONTEXT).fingerprint


def test_what_is_left_out_is_counted(texts, tmp_path):
    copied = texts / "copy.txt"
    copied.write_bytes((texts / "000.txt").read_bytes())
    (texts / "empty.txt").write_text(" \n")
    (texts / "short.txt").write_text("a few words")
    (texts / "picture.png").write_bytes(b"\x89PNG\r\n\x00\x00")
    (texts / "latin.txt").write_bytes("é".encode("latin-1") * 99)
    corpus = build(files(texts), root=tmp_path / "corpora", context=CONTEXT)
    counted = {reason: corpus.dropped[reason] for reason in ("duplicate", "empty", "short", "binary", "not_utf8")}
    assert counted == {"duplicate": 1, "empty": 1, "short": 1, "binary": 1, "not_utf8": 1}
    assert corpus.source["files_read"] == 45


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "byte 0: the document is empty"), (b"ab\0c", "byte 2: holds a NUL"), (b"abc\xe9d", "byte 3: byte 0xe9"),
     (b"\xff\xfea\0", "UTF-16")],
)  # fmt: skip
def test_a_file_named_by_itself_that_is_no_text_is_an_error_naming_the_byte(tmp_path, content, said):
    path = tmp_path / "one.txt"
    path.write_bytes(content)
    with pytest.raises(BadCorpus, match=said) as caught:
        build(files(path), root=tmp_path / "corpora", context=CONTEXT)
    assert "one.txt" in str(caught.value)
    assert caught.value.fix


def test_a_folder_without_text_is_an_error_that_counts(tmp_path):
    (tmp_path / "bin").mkdir()
    for i in range(3):
        (tmp_path / "bin" / str(i)).write_bytes(b"\0\1")
    with pytest.raises(BadCorpus, match="3 binary"):
        build(files(tmp_path / "bin"), root=tmp_path / "corpora", context=CONTEXT)


def test_a_token_limit_takes_a_random_part_and_keeps_as_much_as_was_asked(tmp_path):
    texts = write_texts(tmp_path / "texts", count=200)
    corpus = build(files(texts, tokens=20_000), root=tmp_path / "corpora", context=CONTEXT)
    assert 20_000 <= corpus.token_budget(CONTEXT) <= 22_000  # a document holds at most some 1,400
    assert corpus.source["documents_read"] == 200
    assert corpus.source["documents"] < 100
    train = set(whole_documents(corpus, "train"))
    numbers = [int(path.stem) for path in texts.iterdir() if path.read_bytes() in train]
    assert np.mean(numbers) == pytest.approx(99.5, abs=35)  # about 30 of 200: standard error 10; alphabetical gives 15


def test_a_token_limit_of_two_documents_is_kept_whichever_of_them_is_held_out(tmp_path):
    texts = write_texts(tmp_path / "texts", count=12)
    for seed in range(12):
        corpus = build(files(texts, tokens=1000, seed=seed), root=tmp_path / "corpora", context=CONTEXT)
        assert corpus.token_budget(CONTEXT) >= 1000


def test_one_long_file_becomes_documents_by_separator_or_by_pieces(tmp_path):
    rng = random.Random(0)
    book = "\n\n".join(" ".join(rng.choices(["up", "down", "ünder"], k=60)) for _ in range(50))
    path = tmp_path / "book.txt"
    path.write_text(book, encoding="utf-8")
    with pytest.raises(BadCorpus, match="1 document") as caught:
        build(files(path), root=tmp_path / "corpora", context=CONTEXT)
    assert "separator" in caught.value.fix
    by_separator = build(files(path, separator="\n\n"), root=tmp_path / "corpora", context=CONTEXT)
    assert by_separator.source["documents"] == 50
    by_piece = build(files(path, piece_bytes=1000), root=tmp_path / "corpora", context=CONTEXT)
    assert 10 <= by_piece.source["documents"] <= 20


def test_text_repeated_under_other_headings_is_counted(tmp_path):
    rng, texts = random.Random(0), tmp_path / "texts"
    texts.mkdir()
    for i in range(40):
        (texts / f"{i}.txt").write_text(" ".join(str(rng.random()) for _ in range(30)))
    assert build(files(texts), root=tmp_path / "corpora", context=CONTEXT).heldout_in_train == 0
    for path in list(texts.iterdir()):
        (texts / f"copy-{path.name}").write_text("another heading\n" + path.read_text())
    doubled = build(files(texts), root=tmp_path / "corpora", context=CONTEXT)
    # Each of the 8 held-out documents has a twin, in training unless it is held out too (7 of 79).
    assert doubled.heldout_in_train > 0.5 * doubled.heldout_tokens / CONTEXT


def test_unigram_loss_is_the_cross_entropy_of_training_frequencies(corpus):
    counts = np.bincount(corpus.train, minlength=256) + 1
    nats = [-np.log(counts[token] / counts.sum()) for token in corpus.heldout]
    assert corpus.unigram_nats == pytest.approx(np.mean(nats), rel=1e-12)


@pytest.mark.parametrize("name", ["corpus.json", "train.npy", "heldout.npy", "train_documents.npy"])
def test_a_missing_or_damaged_file_is_named(corpus, name):
    path = corpus.folder / name
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DamagedArchive, match=name) as caught:
        Corpus.open(corpus.folder)
    assert "rebuilds" in caught.value.fix
    path.unlink()
    with pytest.raises(DamagedArchive, match=name):
        Corpus.open(corpus.folder)


def test_an_array_that_is_not_the_one_recorded_is_refused(corpus):
    np.save(corpus.folder / "train_documents.npy", np.arange(corpus.n_documents + 1))
    with pytest.raises(DamagedArchive, match="train_documents"):
        Corpus.open(corpus.folder)
    np.save(corpus.folder / "train.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(DamagedArchive, match=r"train\.npy"):
        Corpus.open(corpus.folder)


def test_a_newer_schema_is_refused(corpus):
    path = corpus.folder / "corpus.json"
    path.write_text(path.read_text().replace('"schema": 2', '"schema": 3'))
    with pytest.raises(NewerArchive, match="schema 3"):
        Corpus.open(corpus.folder)


def test_an_unknown_key_or_tokenizer_is_an_error():
    with pytest.raises(ValidationError, match="heldout_fractoin"):
        FilesSource.model_validate({"name": "a", "paths": ["x"], "heldout_fractoin": 0.1})


def test_an_unknown_tokenizer_names_the_known_ones(texts, tmp_path):
    with pytest.raises(InputError, match="bytes"):
        build(files(texts, tokenizer="byte"), root=tmp_path / "corpora", context=CONTEXT)


def test_an_interrupted_build_leaves_nothing_behind(texts, tmp_path, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("isoloss.corpus.store.save_side", interrupt)
    with pytest.raises(KeyboardInterrupt):
        build(files(texts), root=tmp_path / "corpora", context=CONTEXT)
    assert os.listdir(tmp_path / "corpora") == []
