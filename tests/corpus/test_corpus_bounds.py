"""No document, row or line is held beyond a bound, however small the file that it is unpacked from."""

import gzip
import json
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from isoloss.complexity.paths import measure_paths
from isoloss.core.errors import BadCorpus
from isoloss.corpus import compressed, documents, json_rows, readers
from isoloss.corpus.documents import cut
from isoloss.corpus.readers import read_documents

BOUND = 1 << 16


@pytest.fixture(autouse=True)
def small_bound(monkeypatch):
    """Bound documents by 64 KiB: the tests need not write 256 MiB."""
    for module in (compressed, documents, json_rows, readers):
        monkeypatch.setattr(module, "LONGEST_DOCUMENT", BOUND)


LONG = "a" * (BOUND + 10)
FILES = {
    "text.txt.gz": LONG, "rows.jsonl.gz": json.dumps({"text": LONG}), "rows.csv.gz": f"text\n{LONG}\n",
    "rows.json.gz": json.dumps([{"text": LONG * 30}]),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_document_beyond_the_bound_is_refused_with_its_file(tmp_path, name):
    (tmp_path / name).write_bytes(gzip.compress(FILES[name].encode()))
    with pytest.raises(BadCorpus) as refused:
        measure_paths([str(tmp_path / name)])
    assert name in str(refused.value.place)
    assert refused.value.fix


def test_a_part_without_an_end_is_refused():
    blocks = (b"a" * 1000 for _ in iter(int, 1))  # without an end
    with pytest.raises(BadCorpus):
        list(cut(blocks, separator="<end>", piece_bytes=None))


def test_an_array_in_one_long_line_is_read_row_by_row(tmp_path):
    rows = [{"text": f"row {number} " + "b" * 1000} for number in range(200)]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    read = [document.content.decode() for document in read_documents(tmp_path / "rows.json", skipped=Counter())]
    assert read == [row["text"] for row in rows]


@pytest.mark.parametrize("before", [[], ["short"] * 3000], ids=["alone", "after_others"])
def test_a_row_of_parquet_beyond_the_bound_is_refused(tmp_path, before):
    pq.write_table(pa.table({"text": [*before, LONG]}), tmp_path / "rows.parquet")
    with pytest.raises(BadCorpus) as refused:
        measure_paths([str(tmp_path / "rows.parquet")])
    assert "rows.parquet" in str(refused.value.place)


def test_rows_of_parquet_within_the_bound_are_read(tmp_path):
    texts = [f"row {number} " + "b" * 5000 for number in range(200)]
    pq.write_table(pa.table({"text": texts, "other": [LONG] * 200}), tmp_path / "rows.parquet")
    assert [document.content.decode() for document in read_documents(tmp_path / "rows.parquet")] == texts
