"""The runs of the bundled law are rows of the answer's table, each with the measure sealed for its text."""

import csv
from pathlib import Path

import pytest

from isoloss.planning import shipped

ROOT = Path(__file__).parents[2]
CELL = ("corpus", "seed", "params", "tokens")
SAME = ("flops", "loss_nats", "stderr")


def read(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def by_cell(rows):
    return {tuple(row[name] for name in CELL): row for row in rows}


def test_every_bundled_run_is_a_row_of_the_answers_table():
    table, bundled = by_cell(read(ROOT / "studies" / "answer" / "runs.csv")), read(shipped.TEXTS)
    assert len(by_cell(bundled)) == len(bundled)
    for row in bundled:
        there = table[tuple(row[name] for name in CELL)]
        assert not there["flags"]
        assert row["trunk"] == f"{row['corpus']} {there['trunk']}"
        assert [row[name] for name in SAME] == [there[name] for name in SAME]


def test_every_bundled_text_has_its_committed_measure():
    answer = ROOT / "docs" / "results" / "answer"
    measured = {
        row["corpus"]: float(row[shipped.MEASURE])
        for path in (ROOT / "studies" / "answer" / "measures.csv", answer / "sealed-measures.csv")
        for row in read(path)
    }
    for row in read(shipped.TEXTS):
        assert float(row[shipped.MEASURE]) == pytest.approx(measured[row["corpus"]], rel=1e-5)


def test_letters_of_the_bundled_texts_span_what_the_plan_takes_for_known():
    texts = set(shipped.shipped_law().corpora)
    measured = read(ROOT / "docs" / "results" / "answer" / "sealed-measures.csv")
    entropies = [float(row[shipped.LETTERS]) for row in measured if row["corpus"] in texts]
    low, high = shipped.LETTER_SPAN
    assert len(entropies) == len(texts)
    assert (low, high) == pytest.approx((min(entropies), max(entropies)), abs=0.01)
    assert low <= min(entropies) <= max(entropies) <= high
