"""FloorBench: the languages are what the page says, the sealed file is the one that was promised, nobody reads it."""

import csv
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from isoloss.arena.floorbench import (
    FOLDER,
    LANGUAGES,
    OPEN,
    SEALED,
    TEST,
    TUNING,
    floorbench,
    languages,
    measured,
    open_runs,
    sealed_runs,
)
from isoloss.arena.referee import method_file, run_method
from isoloss.arena.scores import score

PAGE = Path(__file__).parents[2] / "docs" / "results" / "floorbench.md"
# Committed before any entry was tuned: whoever changes the sealed runs starts a new seal.
SEALED_SHA256 = "52181a116530e7193007fd23eac9279f7d8f025aac480703bde5c19be872bc25"


@pytest.fixture(scope="module")
def tasks():
    return tuple(floorbench(seed=0))


def test_the_sealed_file_is_the_one_that_was_promised():
    assert hashlib.sha256(SEALED.read_bytes()).hexdigest() == SEALED_SHA256
    assert SEALED_SHA256 in PAGE.read_text()


def test_every_floor_is_known_to_half_a_percent_and_no_open_run_comes_within_a_tenth_of_it():
    for language in languages():
        assert (language.floor.high - language.floor.low) / 2 <= 0.005 * language.floor.value
        own = open_runs().select(open_runs().corpus == language.name)
        assert own.loss_nats.min() > 1.1 * language.heldout_floor, language.name
    assert {one.name for one in languages()} == {*TUNING, *TEST}
    floors = [language.floor.value for language in languages()]
    assert 0.3 < min(floors) < 0.4
    assert 2.9 < max(floors) < 3
    assert min(language.vocabulary for language in languages()) < 20
    assert max(language.vocabulary for language in languages()) > 2000


def test_every_language_has_runs_of_all_seeds_and_sealed_ones_that_still_fall():
    for language in languages():
        own, sealed = (table.select(table.corpus == language.name) for table in (open_runs(), sealed_runs()))
        assert len(np.unique(own.column("seed"))) >= 3, language.name
        ahead = sealed.flops / own.flops.max()
        np.testing.assert_allclose(np.sort(ahead), [3, 10, 30], rtol=0.03)
        losses, errors = (column[np.argsort(ahead)] for column in (sealed.loss_nats, sealed.stderr))
        # All are over the same documents, so a difference has less error than either loss.
        assert (-np.diff(losses) > 2 * errors.max()).all(), language.name
        assert (losses > language.heldout_floor).all()


@pytest.mark.parametrize(
    ("one", "other"),
    [("tree-16-deep", "tree-16-wide"), ("tree-32-deep", "tree-32-wide"), ("rules-200", "zipf-330")],
)
def test_pairs_of_equal_gzip_have_floors_that_differ_by_a_quarter(one, other):
    known = {language.name: language for language in languages()}
    assert known[one].gzip == pytest.approx(known[other].gzip, abs=0.002)
    floors = sorted(known[name].floor.value for name in (one, other))
    assert floors[1] > 1.25 * floors[0]


@pytest.mark.parametrize(
    ("one", "other"), [("tree-16-deep", "zipf-1000"), ("tree-32-deep", "zipf-330"), ("rules-200", "rules-2000")]
)
def test_pairs_of_equal_floor_differ_in_gzip(one, other):
    known = {language.name: language for language in languages()}
    assert known[one].floor.value == pytest.approx(known[other].floor.value, rel=0.01)
    assert abs(known[one].gzip - known[other].gzip) > 0.09


def test_shown_tables_hold_no_sealed_run_and_questions_lie_ahead(tasks):
    sealed = set(sealed_runs().loss_nats.tolist())
    for task in tasks:
        assert not sealed & set(task.shown.loss_nats.tolist())
        if task.track == "floorbench":
            assert (task.key.ahead > 2.5).all()
            names = " ".join(task.shown.trunk)
            assert not any(language.name in names for language in languages())


def test_the_reference_is_a_minimum_or_is_not_scored():
    references = {name: measured(name) for name in open_runs().corpora}
    assert sum(reference.inside for reference in references.values()) >= len(references) / 2
    for name, reference in references.items():
        if not reference.inside:
            continue
        own = open_runs().where(corpus=name)
        n = np.exp((np.log(reference.flops / 6) - reference.log_ratio) / 2)
        assert own.params.min() < n < own.params.max()
        ratios = np.array([-1.0, 0.0, 1.0]) + reference.log_ratio
        sizes = np.exp((np.log(reference.flops / 6) - ratios) / 2)
        losses = reference.loss(sizes, reference.flops / 6 / sizes)
        assert losses[1] < losses[0]
        assert losses[1] < losses[2]


THIEVES = {
    "opened": "open(SEALED).read()",
    "numpy": "np.loadtxt(SEALED, dtype=str)",
    "arrow": "import pyarrow.csv; pyarrow.csv.read_csv(SEALED)",
    "duckdb": "import duckdb; duckdb.sql(f\"select * from '{SEALED}'\").fetchall()",
    "library": "import isoloss.arena.floorbench as f; f.sealed_runs()",
}


@pytest.mark.parametrize("name", THIEVES)
def test_a_method_that_reads_the_sealed_file_gets_nothing_and_is_scored_as_such(tmp_path, tasks, name):
    code = (
        "import isoloss, numpy as np, os\n"
        "SEALED = os.path.join(os.path.dirname(isoloss.__file__), 'arena', 'floorbench', 'sealed.csv')\n"
        "class M:\n    def predict(self, n, d): return n * 0 + 1.0\n"
        f"def fit(table):\n    {THIEVES[name]}\n    return M()\n"
    )
    (tmp_path / "thief.py").write_text(code)
    (answer,) = run_method(tmp_path / "thief.py", tasks[:1])
    if not answer.offline and name in ("arrow", "duckdb"):
        pytest.skip("no namespace here: libraries in C are not watched")
    assert answer.status in ("forbidden", "error"), answer.message


CHOOSER = """
class M:
    def predict(self, n, d): return n * 0 + 1.0
    def next(self, n, d, flops): return {choice}
def fit(table): return M()
"""


@pytest.mark.parametrize(
    ("choice", "status"),
    [("[int((n * d).argmin())]", "ok"), ("range(len(n))", "nonsense"), ("[0, 0]", "nonsense"), ("[-1]", "nonsense")],
)
def test_a_choice_beyond_the_budget_or_of_no_run_is_nonsense(tmp_path, tasks, choice, status):
    task = next(task for task in tasks if task.track == "next")
    (tmp_path / "m.py").write_text(CHOOSER.format(choice=choice))
    answers = run_method(tmp_path / "m.py", [task])
    assert answers[0].status == status, answers[0].message
    assert (score("m", [task], answers).scores[0].next_error is not None) == (status == "ok")


def test_the_card_tells_of_every_file_and_column():
    card = json.loads((FOLDER / "croissant.json").read_text())
    files = {one["@id"]: one for one in card["distribution"]}
    assert set(files) == {OPEN.name, SEALED.name, LANGUAGES.name}
    for path in (OPEN, SEALED, LANGUAGES):
        assert files[path.name]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        with path.open(newline="") as stream:
            columns = next(csv.reader(stream))
        told = next(one for one in card["recordSet"] if one["@id"] == path.stem)
        assert [field["name"] for field in told["field"]] == columns
    assert sum(path.stat().st_size for path in (OPEN, SEALED)) < 2e6


def test_committed_scores_are_found_again(tasks):
    numbers = json.loads((PAGE.parent / "arena.json").read_text())
    every = {task.name: task for task in tasks}
    for method in ("approach_2", "variable_projection"):
        committed = next(one for one in numbers["entries"] if one["method"] == method)["tables"]
        assert {one["task"] for one in committed if one["track"] == "floorbench"} <= set(every)
        sample = [one for one in committed if one["status"] == "ok" and one["track"] == "floorbench"][:2]
        chosen = [every[one["task"]] for one in sample]
        found = score(method, chosen, run_method(method_file(method), chosen))
        for then, now in zip(sample, found.scores, strict=True):
            for name in ("floor_error", "split_error", "loss_error_10", "regret"):
                # Least squares of another processor; a grid's best may then be its neighbour.
                assert getattr(now, name) == (None if then[name] is None else pytest.approx(then[name], abs=1e-3))
