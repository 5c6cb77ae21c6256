"""The committed runs of the answer: every row whole, no run twice, within its size."""

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[2] / "studies" / "answer"


def read(name):
    with (FOLDER / name).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def runs():
    return read("runs.csv")


@pytest.fixture(scope="module")
def corpora():
    return {row["corpus"]: row for row in read("corpora.csv")}


def test_the_table_stays_small_and_holds_no_run_twice(runs):
    assert (FOLDER / "runs.csv").stat().st_size < 3_000_000
    assert max(Counter(row["run"] for row in runs).values()) == 1
    places = Counter((row["corpus"], row["seed"], row["params"], row["tokens"], row["peak_lr"]) for row in runs)
    assert max(places.values()) == 1


def test_finished_runs_have_a_loss_that_their_documents_make_up(runs, corpora):
    finished = [row for row in runs if row["status"] == "finished"]
    assert finished
    for row in finished:
        weights = np.array(corpora[row["corpus"]]["block_tokens"].split(), dtype=float)
        blocks = np.array(row["blocks"].split(), dtype=float)
        # Blocks are written with four decimals.
        assert float(row["loss_nats"]) == pytest.approx(float(blocks @ weights / weights.sum()), abs=1e-4)
        assert 0 < float(row["loss_nats"]) < np.log(int(row["vocab_size"])) + 0.5


def test_flops_are_what_sizes_and_tokens_make(runs):
    for row in runs:
        assert float(row["flops"]) == pytest.approx(6 * float(row["params"]) * float(row["tokens"]), rel=1e-5)
        assert float(row["flops_exact"]) > float(row["flops"])
