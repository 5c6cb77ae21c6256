"""What a second run takes from the results folder, and what it computes anew."""

import json

import pytest

from isoloss.cli import run
from isoloss.report.page import HTML_NAME, MARKDOWN_NAME, ReportFiles
from isoloss.study import kept, lab
from isoloss.study.lab import Lab
from isoloss.study.spec import Study

TOML = """
schema = 1
name = "kept"
seed = 3

[[corpus]]
name = "language"
source = "pcfg"
tokens = 20_000
heldout_tokens = 4_096
grammar = { family = "random", nonterminals = 4, terminals = 10, max_rules = 8, max_rhs = 5, seed = 2 }

[complexity]
measures = ["gzip", "unigram"]
sequence_tokens = 64

[grid]
params = [6e3]
tokens = [8e3]
context = 64

[training]
batch_tokens = 512
peak_lr = 1e-2
"""


def measured(folder, toml=TOML):
    return Lab(folder).run(Study.parse(toml, place="kept.toml"), until="complexity").complexity["language"]


@pytest.fixture
def taken(monkeypatch):
    """The names of the measures that were taken, in order."""
    names = []

    def noting(corpus, measure, **keys):
        names.append(measure)
        return take(corpus, measure, **keys)

    take = kept.measure_corpus
    monkeypatch.setattr(kept, "measure_corpus", noting)
    return names


def test_measures_are_taken_once_and_are_the_same_afterwards(tmp_path, taken):
    first, again = measured(tmp_path), measured(tmp_path)
    assert taken == ["gzip", "unigram"]
    assert again == first


def test_other_settings_another_seed_and_another_program_are_measured_anew(tmp_path, taken, monkeypatch):
    measured(tmp_path)
    measured(tmp_path, TOML.replace("sequence_tokens = 64", "sequence_tokens = 32"))
    measured(tmp_path, TOML.replace("seed = 3", "seed = 4"))
    assert len(taken) == 6
    monkeypatch.setattr(kept, "_program", lambda: "another")
    measured(tmp_path)
    assert len(taken) == 8


def test_a_damaged_measure_is_taken_anew(tmp_path, taken):
    first = measured(tmp_path)
    for path in (tmp_path / "measures").iterdir():
        path.write_text(path.read_text().replace('"value": ', '"value": 1'))
    assert measured(tmp_path) == first
    assert len(taken) == 4


ANSWER = {"laws": [{"group": "a", "params": {"E": 1.5}}], "contest": []}


def written(root):
    folder, law = root / kept.REPORT, root / kept.LAWS / "a.json"
    files = ReportFiles(
        html=folder / HTML_NAME, markdown=folder / MARKDOWN_NAME, figures=(folder / "figures" / "a.svg",)
    )
    for path in (files.html, files.markdown, *files.figures, law):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(path.name)
    kept.keep_report(root, "report1-a", files, ANSWER)
    return files


def test_a_report_stands_while_it_is_whole_and_made_from_the_same(tmp_path):
    files = written(tmp_path)
    assert kept.standing_report(tmp_path, "report1-a") == kept.KeptReport(written=files, answer=ANSWER)
    assert kept.standing_report(tmp_path, "report1-b") is None


@pytest.mark.parametrize(
    "name", [f"report/{HTML_NAME}", "report/figures/a.svg", f"report/{kept.MADE_FROM}", "laws/a.json"]
)
@pytest.mark.parametrize("content", [None, b"", b"[]", b"{}"])
def test_a_report_with_a_damaged_file_does_not_stand(tmp_path, name, content):
    written(tmp_path)
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert kept.standing_report(tmp_path, "report1-a") is None


def test_an_answer_that_json_cannot_hold_is_not_kept_and_its_report_is(tmp_path):
    files = written(tmp_path)
    kept.keep_report(tmp_path, "report1-c", files, {"budget_flops": float("inf")})
    assert kept.standing_report(tmp_path, "report1-c") == kept.KeptReport(written=files, answer=None)


GRID = TOML.replace("params = [6e3]", "params = [6e3, 9e3, 1.3e4]").replace("[8e3]", "[4e3, 8e3, 1.6e4]")


def outcome(out, *flags, capsys):
    assert run(["run", str(out.parent / "grid.toml"), "--out", str(out), *flags]) == 0
    return capsys.readouterr().out


def test_a_second_run_fits_nothing_and_says_the_same(tmp_path, capsys, monkeypatch):
    (tmp_path / "grid.toml").write_text(GRID)
    out = tmp_path / "results"
    first, as_json = outcome(out, capsys=capsys), json.loads(outcome(out, "--json", capsys=capsys))
    fits = []

    def counted(*args, **keys):
        fits.append(1)
        return analyse(*args, **keys)

    analyse = lab.analyse
    monkeypatch.setattr(lab, "analyse", counted)
    assert outcome(out, capsys=capsys) == first
    again = json.loads(outcome(out, "--json", capsys=capsys))
    assert {**again, "seconds": 0} == {**as_json, "seconds": 0}
    assert not fits
    # In Python the fits themselves are wanted, and the report is not written again.
    page = out / "report" / HTML_NAME
    before = page.stat().st_mtime_ns
    assert Lab(out).run(Study.parse(GRID, place="grid.toml")).analysis is not None
    assert fits
    assert page.stat().st_mtime_ns == before
    (out / "laws" / "language.json").write_text("{}")
    assert outcome(out, capsys=capsys) == first
    assert len(fits) == 2
    assert page.stat().st_mtime_ns > before
