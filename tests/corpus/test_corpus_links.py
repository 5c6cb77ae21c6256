"""What a folder leads to besides its files: links are not followed, no file counts twice, no pipe is waited for."""

import os
import random
import socket
from pathlib import Path

import pytest

from isoloss.complexity.paths import measure_paths
from isoloss.core.errors import BadCorpus, IsolossError
from isoloss.corpus.build import build
from isoloss.corpus.corpus import Corpus
from isoloss.corpus.paths import find_files
from isoloss.corpus.sources import FilesSource
from isoloss.fitting.fitted import FittedLaw
from isoloss.runs.archive import Archive
from isoloss.study.spec import load_study

RUN = "run1-0123456789abcdef0123"


@pytest.fixture
def tree(tmp_path) -> Path:
    """A folder of two texts with links to itself, to what lies next to it, and to one of its files."""
    inside, extra = tmp_path / "texts", tmp_path / "next to"
    (inside / "sub").mkdir(parents=True)
    extra.mkdir()
    (inside / "a.txt").write_text("a " * 400)
    (inside / "sub" / "b.txt").write_text("b " * 400)
    (extra / "secret.txt").write_text("s " * 400)
    (inside / "etc").symlink_to(extra)
    (inside / "loop").symlink_to("..")
    (inside / "sub" / "again").symlink_to("../sub")
    (inside / "sub" / "same.txt").symlink_to("b.txt")
    (inside / "nowhere.txt").symlink_to("missing")
    os.mkfifo(inside / "pipe.txt")
    return inside


@pytest.mark.parametrize("pattern", ["", "**", "**/*", "**/*.txt", "**/**/*.txt"])
def test_links_to_folders_are_not_followed_and_files_count_once(tree, pattern):
    found = find_files([str(tree / pattern)])
    assert [file.key for file in found.files] == ["a.txt", "sub/b.txt"]
    assert found.passed_over == {"linked_folder": 3, "same_file": 1, "no_file": 2}


def test_what_is_passed_over_is_said(tree, tmp_path):
    (measured,) = measure_paths([tree])
    assert (measured.documents, measured.bytes) == (2, 1600)
    said = {"linked_folder": 3, "same_file": 1, "no_file": 2}
    assert measured.dropped == said
    (tree / "loop").unlink()
    corpus = build(FilesSource(name="a", paths=(str(tree),)), root=tmp_path / "corpora", context=32)
    assert corpus.dropped.items() >= {**said, "linked_folder": 2}.items()


def test_what_is_named_by_itself_is_read_where_a_link_leads(tree, tmp_path):
    (tmp_path / "named").symlink_to(tree)
    assert [file.key for file in find_files([str(tmp_path / "named")]).files] == ["a.txt", "sub/b.txt"]
    assert [file.key for file in find_files([str(tree / "etc")]).files] == ["secret.txt"]
    both = find_files([str(tree), str(tmp_path / "named")])
    assert len(both.files) == 2
    assert both.passed_over["same_file"] == 4


def test_files_that_are_links_are_read_once_each(tmp_path):
    # A cache keeps its files elsewhere, and its folders hold links to them.
    (tmp_path / "blobs").mkdir()
    (tmp_path / "snapshot").mkdir()
    for i in range(4):
        (tmp_path / "blobs" / str(i)).write_text(f"{i} " * 200)
        (tmp_path / "snapshot" / f"{i}.txt").symlink_to(f"../blobs/{i}")
    assert len(find_files([str(tmp_path / "snapshot")]).files) == 4
    assert len(find_files([str(tmp_path)]).files) == 4


def tree_of_links(root: Path, seed: int) -> set[Path]:
    """Make folders, files and links to any of them at random; return the real files that lie below `root`."""
    rng = random.Random(seed)
    folders, files = [root], []
    for i in range(30):
        where, kind = rng.choice(folders), rng.randrange(4)
        path = where / f"{i}"
        if kind == 0:
            path.mkdir()
            folders.append(path)
        elif kind == 1:
            path.symlink_to(rng.choice(folders), target_is_directory=True)
        elif kind == 2 and files:
            path.symlink_to(rng.choice(files))
        else:
            path.write_text(f"text {i} " * 50)
            files.append(path)
    return {file.resolve() for file in files}


@pytest.mark.parametrize("seed", range(20))
def test_a_folder_is_its_files_whatever_links_stand_in_it(tmp_path, seed):
    root = tmp_path / "root"
    root.mkdir()
    there = tree_of_links(root, seed)
    found = find_files([str(root)]).files
    assert {file.path.resolve() for file in found} == there
    assert len(found) == len(there)


def make_socket(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path)


@pytest.mark.parametrize("make", [os.mkfifo, make_socket])
def test_a_pipe_or_socket_is_refused_and_not_waited_for(tmp_path, monkeypatch, make):
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    make("p.json")
    pipe = Path("p.json")
    for read in (
        lambda: measure_paths([pipe]),
        lambda: load_study(pipe),
        lambda: FittedLaw.load(pipe),
        lambda: measure_paths([__file__], tokenizer="p.json"),
    ):
        with pytest.raises(IsolossError) as caught:
            read()
        assert "p.json" in str(caught.value)


def test_a_pipe_in_an_archive_is_refused_and_not_waited_for(tmp_path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "archive.json").write_text('{"schema": 1, "kind": "isoloss archive"}')
    os.mkfifo(tmp_path / "runs" / f"{RUN}.json")
    with pytest.raises(IsolossError, match=RUN):
        list(Archive(tmp_path).records())


@pytest.mark.parametrize("name", ["corpus.json", "train.npy", "heldout_documents.npy"])
def test_a_pipe_in_a_corpus_is_refused_and_not_waited_for(tmp_path, name):
    (tmp_path / "texts").mkdir()
    for i in range(20):
        (tmp_path / "texts" / f"{i}.txt").write_text(f"text {i} " * 50)
    corpus = build(FilesSource(name="a", paths=(str(tmp_path / "texts"),)), root=tmp_path / "corpora", context=32)
    (corpus.folder / name).unlink()
    os.mkfifo(corpus.folder / name)
    with pytest.raises(IsolossError, match=name):
        Corpus.open(corpus.folder)


@pytest.mark.parametrize("device", ["/dev/null", "/dev/zero"])
def test_a_device_is_refused(device):
    if not Path(device).is_char_device():
        pytest.skip(f"no {device} here")
    with pytest.raises(BadCorpus, match="device"):
        measure_paths([device])
