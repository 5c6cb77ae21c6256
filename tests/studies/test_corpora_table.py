"""The table of fetched corpora (studies/corpora.md) says what studies/corpora.toml asks for."""

import csv
import tomllib
from pathlib import Path

import pytest

STUDIES = Path(__file__).parents[2] / "studies"
ORIGIN, TAKEN = "licence of the texts", "sha256 of the documents"  # a column that only this table has


def tables():
    """The Markdown tables of the page, each as its rows by corpus."""
    found = []
    for line in (STUDIES / "corpora.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| corpus |"):
            found.append((cells, {}))
        elif line.startswith("| ") and not line.startswith("| ---"):
            head, rows = found[-1]
            rows[cells[0]] = dict(zip(head, cells, strict=True))
    return {column: rows for head, rows in found for column in (ORIGIN, TAKEN) if column in head}


@pytest.fixture(scope="module")
def asked():
    """What studies/corpora.toml says of each corpus, its package's part under `of`."""
    table = tomllib.loads((STUDIES / "corpora.toml").read_text(encoding="utf-8"))
    packages = {package["name"]: package for package in table["package"]}
    return {corpus["name"]: {**corpus, "of": packages[corpus["package"]]} for corpus in table["corpus"]}


def test_both_tables_have_every_corpus_in_its_order(asked):
    for rows in tables().values():
        assert list(rows) == list(asked)


def test_packages_and_licences_are_those_that_are_fetched(asked):
    for name, row in tables()[ORIGIN].items():
        package = asked[name]["of"]
        there = (package["name"], package["version"], package["licence"], package["licence_in"], package["source"])
        columns = ("package", "version", ORIGIN, "licence read in", "source")
        assert tuple(row[column] for column in columns) == there, name


def test_checksums_and_kinds_are_those_that_are_fetched(asked):
    for name, row in tables()[TAKEN].items():
        corpus = asked[name]
        assert row[TAKEN] == corpus["sha256"], name
        assert row["sha256 of the package"] == corpus["of"]["sha256"], name
        assert (row["kind"], row["pilot"]) == (corpus["kind"], "yes" if corpus.get("pilot") else "–"), name


def test_sizes_are_within_what_is_fetched_and_hold_what_was_trained_on(asked):
    with (STUDIES / "answer" / "corpora.csv").open(encoding="utf-8", newline="") as stream:
        trained = {row["corpus"]: row for row in csv.DictReader(stream)}
    for name, row in tables()[TAKEN].items():
        documents, size = int(row["documents"]), int(row["bytes"])
        assert 512 * documents <= size <= min(20_000_000, asked[name].get("largest", size) * documents), name
        if name in trained:
            own = trained[name]
            assert int(own["train_tokens"]) + int(own["heldout_tokens"]) <= size, name
            assert int(own["heldout_documents"]) < documents, name
