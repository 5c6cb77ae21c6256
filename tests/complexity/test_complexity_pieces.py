"""Documents of files too large to be read."""

import json
from collections import Counter

import numpy as np
import pytest

from isoloss.complexity import paths, pieces
from isoloss.complexity.paths import measure_paths
from isoloss.complexity.pieces import drawn_documents
from isoloss.core.errors import BadCorpus


@pytest.fixture
def small(monkeypatch):
    """Pieces of 256 bytes, ten of them; files from 1,000 bytes are large."""
    monkeypatch.setattr(pieces, "PIECE_BYTES", 256)
    monkeypatch.setattr(pieces, "PIECES", 10)
    monkeypatch.setattr(paths, "MAPPED_BYTES", 1000)


def rows(path, count=400):
    lengths = np.random.default_rng(0).integers(1, 700, count)
    texts = [f"{number} " + "é" * int(length) for number, length in enumerate(lengths)]
    path.write_text("".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts), encoding="utf-8")
    return texts


def test_every_row_is_as_likely_as_any_other(small, tmp_path):
    texts = rows(tmp_path / "a.jsonl", 100)
    drawn = Counter()
    for seed in range(300):
        found = [d.content.decode() for d in drawn_documents(tmp_path / "a.jsonl", text_field="text", seed=seed)]
        assert len(set(found)) == len(found)
        drawn.update(found)
    assert set(drawn) == set(texts)  # whole rows, the first and the last among them
    counts = np.array([drawn[text] for text in texts])
    share = 10 / -(-(tmp_path / "a.jsonl").stat().st_size // 256)
    assert np.all(np.abs(counts - 300 * share) < 4.5 * np.sqrt(300 * share * (1 - share)))
    lengths = np.array([len(text) for text in texts])
    assert abs(np.corrcoef(lengths, counts)[0, 1]) < 0.4  # four standard errors


def test_all_pieces_give_all_rows(small, monkeypatch, tmp_path):
    texts = rows(tmp_path / "a.jsonl")
    monkeypatch.setattr(pieces, "PIECES", 10**6)
    found = [d.content.decode() for d in drawn_documents(tmp_path / "a.jsonl", text_field="text", seed=0)]
    assert found == texts


def test_text_comes_in_whole_lines_and_without_line_ends_in_whole_characters(small, monkeypatch, tmp_path):
    monkeypatch.setattr(pieces, "PIECES", 10**6)
    lines = "".join(f"line {i * i}\n" for i in range(500))
    (tmp_path / "a.txt").write_text(lines)
    found = [d.content.decode() for d in drawn_documents(tmp_path / "a.txt", text_field="text", seed=0)]
    assert "".join(found) == lines
    (tmp_path / "b.txt").write_text("é€🦙" * 500, encoding="utf-8")
    *_, last = [d.content.decode() for d in drawn_documents(tmp_path / "b.txt", text_field="text", seed=0)]
    assert set(last) == set("é€🦙")


def test_a_large_table_is_measured_from_some_of_its_rows(small, tmp_path):
    rows(tmp_path / "a.jsonl", 3000)
    found = measure_paths([tmp_path / "a.jsonl"], sequence_tokens=32, samples=20)[0]
    assert found.bytes == (tmp_path / "a.jsonl").stat().st_size
    assert found.documents < 50
    (tmp_path / "b.jsonl").write_text('{"txt": "x"}\n' * 300)
    with pytest.raises(BadCorpus, match="did you mean 'txt'"):
        measure_paths([tmp_path / "b.jsonl"])
    (tmp_path / "c.jsonl").write_text("{text: 1}\n" * 300)
    with pytest.raises(BadCorpus, match=r"byte \d+: not JSON"):
        measure_paths([tmp_path / "c.jsonl"])


@pytest.mark.parametrize("kind", ["whole", "drawn"])
def test_a_field_is_named_and_broken_lines_are_left_out_on_request(kind, request, monkeypatch, tmp_path):
    if kind == "drawn":
        request.getfixturevalue("small")
        monkeypatch.setattr(pieces, "PIECES", 10**6)  # all of them, so that the broken lines are among them
    lines = [json.dumps({"body": f"row {i} says something of its own, {i * i} times over"}) for i in range(200)]
    (tmp_path / "a.jsonl").write_text("\n".join(["{broken", *lines, "{broken", ""]))
    with pytest.raises(BadCorpus, match="not JSON") as error:
        measure_paths([tmp_path / "a.jsonl"], text_field="body")
    assert "--broken-rows skip" in error.value.fix
    with pytest.raises(BadCorpus, match="no field 'text'") as error:
        measure_paths([tmp_path / "a.jsonl"], broken_rows="skip")
    assert "--text-field" in error.value.fix
    found = measure_paths([tmp_path / "a.jsonl"], sequence_tokens=8, text_field="body", broken_rows="skip")[0]
    assert found.documents == 200
    assert found.dropped == {"broken_row": 2}


def test_more_than_can_be_held_is_thinned_at_random(monkeypatch, tmp_path):
    (tmp_path / "texts").mkdir()
    for number in range(400):
        (tmp_path / "texts" / f"{number}.txt").write_bytes(bytes([97 + number % 26]) * 500)
    monkeypatch.setattr(paths, "HELD_BYTES", 20_000)
    found = measure_paths([tmp_path / "texts"], sequence_tokens=100)[0]
    assert found.bytes == 200_000
    assert 10 <= found.documents <= 41
    assert found.measures["gzip"].sequences == 5 * found.documents
