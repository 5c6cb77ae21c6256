"""Text in JSON: lines, arrays and single objects are rows whatever the file is called, and broken rows are counted."""

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isoloss.complexity.paths import measure_paths
from isoloss.core.errors import BadCorpus
from isoloss.corpus.build import build
from isoloss.corpus.documents import texts
from isoloss.corpus.json_rows import NoRows
from isoloss.corpus.paths import find_files
from isoloss.corpus.readers import read_documents
from isoloss.corpus.sources import FilesSource

CASES = Path(__file__).parents[3] / "shared" / "cases"
any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


def as_lines(rows, end="\n") -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + end for row in rows)


LAYOUTS = {
    "lines": as_lines,
    "lines with a byte order mark": lambda rows: "\ufeff" + as_lines(rows),
    "lines of Windows": lambda rows: as_lines(rows, "\r\n"),
    "array": lambda rows: json.dumps(rows),
    "array over many lines": lambda rows: json.dumps(rows, indent=2, ensure_ascii=False),
    "array of a row a line": lambda rows: "[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n",
    "objects over many lines": lambda rows: "\n".join(json.dumps(row, indent=1) for row in rows),
}


def documents(path: Path, **keys) -> list[str]:
    return [document.content.decode() for document in read_documents(path, **keys)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    found=st.lists(any_text, min_size=2, max_size=6),
    layout=st.sampled_from(sorted(LAYOUTS)),
    packed=st.booleans(),
)
def test_every_layout_of_json_gives_back_any_texts(tmp_path, found, layout, packed):
    content = LAYOUTS[layout]([{"id": [i, {"text": "no"}], "text": text} for i, text in enumerate(found)]).encode()
    path = tmp_path / ("rows.json.gz" if packed else "rows.json")
    path.write_bytes(gzip.compress(content) if packed else content)
    assert documents(path) == found


def test_only_a_newline_ends_a_line(tmp_path):
    found = ["a\u2028b", "c\u2029d", "e\x85f", "g\x0bh"]
    for name in ("rows.jsonl", "rows.ndjson", "rows.json"):
        (tmp_path / name).write_text(as_lines([{"text": text} for text in found]), encoding="utf-8")
        assert documents(tmp_path / name) == found


def test_an_array_larger_than_a_block_is_read_row_by_row(tmp_path, monkeypatch):
    monkeypatch.setattr("isoloss.corpus.json_rows.BLOCK", 7)
    found = ["word " * i for i in range(60)]
    (tmp_path / "a.json").write_text(json.dumps([{"text": text} for text in found]))
    assert documents(tmp_path / "a.json") == found
    (tmp_path / "b.json").write_text(json.dumps(found))
    assert documents(tmp_path / "b.json") == found


def test_a_folder_of_json_is_a_corpus_of_its_rows(tmp_path):
    rows = [{"text": f"{i} " + "some words of a document " * 9} for i in range(90)]
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "a.json").write_text(as_lines(rows[:30]))
    (folder / "b.json.gz").write_bytes(gzip.compress(json.dumps(rows[30:60]).encode()))
    for i, row in enumerate(rows[60:]):
        (folder / f"{i}.json").write_text(json.dumps(row, indent=1))
    corpus = build(FilesSource(name="rows", paths=(str(folder),)), root=tmp_path / "corpora", context=32)
    assert corpus.n_documents + corpus.heldout_documents == 90
    assert b"{" not in bytes(corpus.train.astype("uint8"))


@pytest.mark.parametrize(
    "content",
    ['{"name": "a", "version": 2}', '{\n"name": "a"\n}', "3", "true", '[{"text": "a"}', '[{"text": "a"}] 2', "<html>"],
)
def test_json_that_is_no_rows_is_refused(tmp_path, content):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(BadCorpus) as caught:
        documents(tmp_path / "a.json")
    assert "a.json" in str(caught.value.place)
    assert caught.value.fix


def test_json_next_to_text_that_is_no_rows_is_counted_and_left_out(tmp_path):
    (tmp_path / "package.json").write_text('{\n"name": "a"\n}')
    (tmp_path / "a.txt").write_text("some text")
    dropped: Counter[str] = Counter()
    found = [d for file in find_files([str(tmp_path)]).files for d in texts(file, dropped, text_field="text")]
    assert [document.content for document in found] == [b"some text"]
    assert dropped == {"not_rows": 1}
    (alone,) = find_files([str(tmp_path / "package.json")]).files
    with pytest.raises(NoRows):
        list(texts(alone, dropped, text_field="text"))


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_an_unknown_field_is_an_error(tmp_path, layout):
    (tmp_path / "a.json").write_text(LAYOUTS[layout]([{"text": "a"}, {"text": "b"}]), encoding="utf-8")
    with pytest.raises(BadCorpus, match="nosuch"):
        measure_paths([tmp_path / "a.json"], text_field="nosuch")
    with pytest.raises(BadCorpus):
        measure_paths([tmp_path], text_field="nosuch")


def test_a_field_is_an_error_where_no_file_has_rows(tmp_path):
    (tmp_path / "a.txt").write_text("some text " * 100)
    with pytest.raises(BadCorpus, match="nosuch"):
        measure_paths([tmp_path], text_field="nosuch")
    with pytest.raises(BadCorpus, match="nosuch"):
        build(FilesSource(name="a", paths=(str(tmp_path),), text_field="nosuch"), root=tmp_path / "c", context=32)


BROKEN = [
    b'{"text": "\\ud800"}', b'{"text": 7}', b"[1]", b'{"text": ', b"\xff", b"7", b"[" * 100_000,
    b'{"text": ' + b"[" * 100_000, b'{"text": ' + b"9" * 5000 + b"}",
]  # fmt: skip


@pytest.mark.parametrize("broken", BROKEN, ids=lambda line: str(line[:16]))
def test_a_row_without_text_is_named_or_counted(tmp_path, broken):
    for name in ("a.jsonl", "a.json"):
        (tmp_path / name).write_bytes(b'{"text": "a"}\n' + broken + b'\n{"text": "b"}\n')
        with pytest.raises(BadCorpus) as caught:
            documents(tmp_path / name)
        assert caught.value.place == f"{tmp_path / name}:2"
        skipped: Counter[str] = Counter()
        assert documents(tmp_path / name, skipped=skipped) == ["a", "b"]
        assert skipped == {"broken_row": 1}


def test_nul_is_a_character_of_a_row_and_of_no_plain_text(tmp_path):
    rows = [{"text": "a zero \0 byte " * 30}, {"text": "none " * 90}]
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "a.jsonl").write_text(as_lines(rows))
    (tmp_path / "rows" / "b.json").write_text(json.dumps([{"text": "c\0d" * 90}]))
    (tmp_path / "rows" / "plain.txt").write_bytes(b"a\0b")
    (measured,) = measure_paths([tmp_path / "rows"])
    assert measured.documents == 3
    assert measured.dropped == {"binary": 1}


def cases(folder: str) -> Path:
    if not (CASES / folder).is_dir():
        pytest.skip("the cases of public reports are not here")
    return CASES / folder


def test_cases_of_json_lines_named_json():
    folder = cases("01-json-lines-named-json")
    found = {path.name: len(documents(path)) for path in folder.iterdir()}
    assert found == {"shard-0000.json.gz": 400, "lines.json": 60, "array.json": 60}
    (whole,) = measure_paths([folder])
    assert whole.documents == 520


def test_cases_of_surrogates_and_nul():
    folder = cases("14-surrogate")
    skipped: Counter[str] = Counter()
    assert len(documents(folder / "lone.jsonl", skipped=skipped)) == 199
    assert skipped == {"broken_row": 1}
    (measured,) = measure_paths([folder / "nul.jsonl"])
    assert (measured.documents, measured.dropped) == (200, {})


def test_case_of_a_long_window_names_the_remedy():
    with pytest.raises(BadCorpus) as caught:
        documents(cases("08-zstd-long-window") / "long31.jsonl.zst")
    assert "window" in caught.value.message
    assert "zstd -dc --long=31" in str(caught.value.fix)


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json", "lines.json"])
def test_rows_without_the_field_are_skipped_and_counted_where_others_have_it(tmp_path, name):
    rows = [{"text": "one " * 20}, {"id": 2}, {"text": "three " * 20}, {}]
    whole = json.dumps(rows) if name == "rows.json" else "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / name).write_text(whole)
    skipped = Counter()
    read = [document.content for document in read_documents(tmp_path / name, skipped=skipped)]
    assert read == [row["text"].encode() for row in rows if "text" in row]
    assert skipped.total() == 2
    with pytest.raises(BadCorpus):
        list(read_documents(tmp_path / name))
    with pytest.raises(BadCorpus):
        list(read_documents(tmp_path / name, text_field="body", skipped=Counter()))
