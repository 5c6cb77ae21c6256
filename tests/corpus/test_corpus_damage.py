"""A corpus that is not what was written is never trained on: it is named, and where its source is, built anew."""

import json
import os
import random
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from isoloss.core.errors import DamagedArchive
from isoloss.core.progress import Quiet
from isoloss.corpus.build import build
from isoloss.corpus.corpus import Corpus
from isoloss.corpus.digests import STAMPS
from isoloss.corpus.sources import FilesSource, MixturePart, MixtureSource, PcfgSource
from isoloss.grammar.families import RandomGrammar

CONTEXT = 32


class Notes(Quiet):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def texts(tmp_path) -> Path:
    folder, rng = tmp_path / "texts", random.Random(0)
    folder.mkdir()
    for i in range(60):
        (folder / f"{i}.txt").write_text(" ".join(rng.choices(["alpha", "beta", "gamma"], k=60)))
    return folder


def sources(texts: Path) -> dict[str, object]:
    files = FilesSource(name="files", paths=(str(texts),))
    grammar = RandomGrammar(family="random", nonterminals=2, terminals=8, max_rules=6, max_rhs=5, seed=1)
    return {
        "files": files,
        "sample": files.model_copy(update={"tokens": 4000}),
        "compact": files.model_copy(update={"compact": True}),
        "pcfg": PcfgSource(name="pcfg", grammar=grammar, tokens=4000, heldout_tokens=1000),
        "mixture": MixtureSource(
            name="mixture", source="mixture", tokens=6000,
            parts=(MixturePart(weight=1, of=files), MixturePart(weight=1, of=files.model_copy(update={"seed": 1}))),
        ),
    }  # fmt: skip


def rest(folder: Path) -> None:
    """Let the files of a folder be an hour old, and be checked since."""
    for path in folder.iterdir():
        os.utime(path, (time.time() - 3600,) * 2)
    Corpus.open(folder)
    assert json.loads((folder / STAMPS).read_text())


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != STAMPS}


@pytest.mark.parametrize("kind", ["files", "sample", "compact", "pcfg", "mixture"])
def test_any_changed_byte_of_any_file_is_named_and_the_corpus_built_anew(texts, tmp_path, kind):
    root, rng = tmp_path / "corpora", random.Random(kind)
    source = sources(texts)[kind]
    corpus = build(source, root=root, context=CONTEXT)
    whole = content(corpus.folder)
    for name in sorted(whole):
        rest(corpus.folder)
        with (corpus.folder / name).open("r+b") as file:  # in place: the size stays
            at = rng.randrange(len(whole[name]))
            file.seek(at)
            file.write(bytes([whole[name][at] ^ (1 << rng.randrange(8))]))
        with pytest.raises(DamagedArchive) as caught:
            Corpus.open(corpus.folder)
        assert name in str(caught.value.place)
        notes = Notes()
        again = build(source, root=root, context=CONTEXT, progress=notes)
        assert content(again.folder) == whole
        assert any(name in line for line in notes.lines)
    assert sorted(path.name for path in root.iterdir() if path.name[0] == ".") == []


def test_tokens_changed_between_two_checks_of_one_second_are_seen(texts, tmp_path):
    corpus = build(sources(texts)["files"], root=tmp_path / "corpora", context=CONTEXT)
    stamped = (corpus.folder / "train.npy").stat()
    tokens = np.load(corpus.folder / "train.npy")
    np.save(corpus.folder / "train.npy", tokens[::-1])
    os.utime(corpus.folder / "train.npy", ns=(stamped.st_atime_ns, stamped.st_mtime_ns))
    with pytest.raises(DamagedArchive, match="train"):
        Corpus.open(corpus.folder)


def test_what_rests_is_not_read_again_and_what_was_copied_is(texts, tmp_path, monkeypatch):
    corpus = build(sources(texts)["files"], root=tmp_path / "corpora", context=CONTEXT)
    rest(corpus.folder)
    read: list[str] = []
    from isoloss.corpus import digests

    whole = digests.file_digest
    monkeypatch.setattr(digests, "file_digest", lambda path: read.append(path.name) or whole(path))
    Corpus.open(corpus.folder)
    assert read == []
    shutil.copytree(corpus.folder, tmp_path / "copied")
    Corpus.open(tmp_path / "copied")
    assert {"train.npy", "heldout.npy"} <= set(read)


@pytest.mark.parametrize("stamps", [b"", b"[1]", b'{"train.npy": 3}', b"\xff"])
def test_damaged_stamps_are_doubt(texts, tmp_path, stamps):
    corpus = build(sources(texts)["files"], root=tmp_path / "corpora", context=CONTEXT)
    rest(corpus.folder)
    (corpus.folder / STAMPS).write_bytes(stamps)
    Corpus.open(corpus.folder)
    np.save(corpus.folder / "heldout.npy", np.load(corpus.folder / "heldout.npy")[::-1])
    with pytest.raises(DamagedArchive, match="heldout"):
        Corpus.open(corpus.folder)


def test_a_corpus_without_digests_is_opened_and_where_its_source_is_built_anew(texts, tmp_path):
    source = sources(texts)["files"]
    corpus = build(source, root=tmp_path / "corpora", context=CONTEXT)
    record = json.loads((corpus.folder / "corpus.json").read_text())
    del record["seal"]
    (corpus.folder / "corpus.json").write_text(json.dumps(record))
    with pytest.raises(DamagedArchive):
        Corpus.open(corpus.folder)
    (corpus.folder / "corpus.json").write_text(json.dumps({**record, "schema": 1}))
    assert Corpus.open(corpus.folder).fingerprint == corpus.fingerprint
    notes = Notes()
    build(source, root=tmp_path / "corpora", context=CONTEXT, progress=notes)
    assert notes.lines
    assert "seal" in json.loads((corpus.folder / "corpus.json").read_text())


def test_another_corpus_in_its_folder_is_not_taken_for_it(texts, tmp_path):
    both = [build(sources(texts)[kind], root=tmp_path / "corpora", context=CONTEXT) for kind in ("files", "sample")]
    whole = content(both[0].folder)
    shutil.rmtree(both[0].folder)
    shutil.copytree(both[1].folder, both[0].folder)
    again = build(sources(texts)["files"], root=tmp_path / "corpora", context=CONTEXT)
    assert content(again.folder) == whole


def test_nothing_is_written_through_a_link(texts, tmp_path):
    corpus = build(sources(texts)["files"], root=tmp_path / "corpora", context=CONTEXT)
    for path in corpus.folder.iterdir():
        os.utime(path, (time.time() - 3600,) * 2)
    (tmp_path / "linked").symlink_to(corpus.folder)
    before = sorted(corpus.folder.iterdir())
    Corpus.open(tmp_path / "linked")
    assert sorted(corpus.folder.iterdir()) == before
