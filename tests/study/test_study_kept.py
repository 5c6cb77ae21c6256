"""What a second run takes from the results folder, and what it computes anew."""

import pytest

from isoloss.report.page import HTML_NAME, MARKDOWN_NAME, ReportFiles
from isoloss.study import kept
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


def written(folder):
    folder.mkdir()
    files = ReportFiles(
        html=folder / HTML_NAME, markdown=folder / MARKDOWN_NAME, figures=(folder / "figures" / "a.svg",)
    )
    (folder / "figures").mkdir()
    for path in (files.html, files.markdown, *files.figures):
        path.write_text(path.name)
    kept.keep_report(folder, "report1-a", files)
    return files


def test_a_report_stands_while_it_is_whole_and_made_from_the_same(tmp_path):
    folder = tmp_path / "report"
    files = written(folder)
    assert kept.standing_report(folder, "report1-a") == files
    assert kept.standing_report(folder, "report1-b") is None


@pytest.mark.parametrize("name", [HTML_NAME, "figures/a.svg", kept.MADE_FROM])
@pytest.mark.parametrize("content", [None, b"", b"[]", b"{}"])
def test_a_report_with_a_damaged_file_does_not_stand(tmp_path, name, content):
    folder = tmp_path / "report"
    written(folder)
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    assert kept.standing_report(folder, "report1-a") is None
