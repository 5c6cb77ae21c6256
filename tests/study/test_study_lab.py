"""A whole study, really trained: tiny, but every stage as in the demo."""

import json
from pathlib import Path

import numpy as np
import pytest

from isoloss.core.errors import BadCorpus, BadGrammar, InputError
from isoloss.runs.read_runs import read_runs
from isoloss.study.check import check_study
from isoloss.study.lab import Lab
from isoloss.study.run_plan import plan_runs
from isoloss.study.spec import Study

TOML = """
schema = 1
name = "tiny"
question = "Does every stage work?"
seed = 3

[[corpus]]
name = "text"
source = "files"
paths = ["words/*.txt"]
heldout_fraction = 0.2
heldout_tokens = 8_192

[[corpus]]
name = "language"
source = "pcfg"
tokens = 100_000
heldout_tokens = 8_192
grammar = { family = "random", nonterminals = 4, terminals = 10, max_rules = 8, max_rhs = 5, seed = 2 }

[complexity]
measures = ["gzip", "unigram"]
sequence_tokens = 64

[grid]
params = [6e3, 9e3, 1.4e4]
tokens = [8e3, 1.6e4, 3.2e4]
context = 64

[training]
batch_tokens = 512
warmup_tokens = 2048
peak_lr = { at_params = 1e4, value = 1e-2 }

[fit]
bootstrap = 50
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """Text of a Zipfian vocabulary: 12 documents."""
    folder = tmp_path_factory.mktemp("study")
    generator = np.random.default_rng(0)
    words = ["".join(generator.choice(list("abcdefghij"), generator.integers(2, 7))) for _ in range(200)]
    (folder / "words").mkdir()
    for number in range(12):
        drawn = generator.zipf(1.3, 3000) % len(words)
        (folder / "words" / f"{number}.txt").write_text(" ".join(words[i] for i in drawn))
    return folder


@pytest.fixture(scope="module")
def finished(base):
    """The study run to its report."""
    lab = Lab(base / "out", base=base)
    return lab, lab.run(Study.parse(TOML, place="tiny.toml"))


def test_a_damaged_corpus_is_built_anew_and_its_runs_come_out_the_same(base):
    study = Study.parse(TOML.replace("[6e3, 9e3, 1.4e4]", "[6e3]").replace("[8e3, 1.6e4, 3.2e4]", "[4e3]"), place="t")
    first = Lab(base / "damaged", base=base).run(study, until="train")
    for side in ("train", "heldout"):
        for file in (base / "damaged" / "corpora").glob(f"*/{side}.npy"):
            np.save(file, np.sort(np.load(file)))
    for record in (base / "damaged" / "runs").iterdir():
        record.unlink()
    again = Lab(base / "damaged", base=base).run(study, until="train")
    assert [run.loss for run in again.records] == [run.loss for run in first.records]
    assert "is rebuilt" in (base / "damaged" / "isoloss.log").read_text()


@pytest.mark.slow
class TestWholeStudy:
    def test_every_planned_run_ends_as_a_record(self, finished):
        _, result = finished
        assert len(result.planned) == len(result.records) == 18
        assert {record.status for record in result.records} == {"finished"}
        assert len({record.trunk for record in result.records}) == 6

    def test_no_loss_lies_below_the_floor_and_more_tokens_help(self, finished):
        _, result = finished
        floor = result.corpora["language"].floor
        language = [r for r, p in zip(result.records, result.planned, strict=True) if p.corpus == "language"]
        for record in language:
            # Scored on the very documents the floor is of: a loss below it is an error of the laboratory.
            assert record.loss.nats > floor.value
        assert language[2].loss.nats < language[0].loss.nats

    def test_the_report_stands_and_the_json_has_the_contract(self, finished):
        _, result = finished
        page = Path(result.report).read_text()
        assert page.startswith("<!doctype html>")
        assert "random grammar (" in page  # a corpus is described in words
        assert "{&#39;" not in page
        output = json.loads(json.dumps(result.to_json(), allow_nan=False))
        assert {"corpora", "runs", "laws", "comparison", "report", "seconds"} <= set(output)
        assert output["runs"]["planned"] == output["runs"]["finished"] == 18
        language = next(corpus for corpus in output["corpora"] if corpus["name"] == "language")
        assert language["floor"]["low"] < language["floor"]["value"] < language["floor"]["high"]
        assert {"value", "low", "high", "level"} <= set(language["measures"]["gzip"])

    def test_the_same_command_again_trains_nothing_and_says_the_same(self, finished, base):
        _, first = finished
        written = {path: path.stat().st_mtime_ns for path in (base / "out" / "runs").iterdir()}
        corpora = {path: path.stat().st_mtime_ns for path in (base / "out" / "corpora").rglob("*.npy")}
        report = {path: path.stat().st_mtime_ns for path in (base / "out" / "report").rglob("*")}
        again = Lab(base / "out", base=base).run(Study.parse(TOML, place="tiny.toml"))
        assert {path: path.stat().st_mtime_ns for path in (base / "out" / "report").rglob("*")} == report
        assert {path: path.stat().st_mtime_ns for path in (base / "out" / "runs").iterdir()} == written
        assert {path: path.stat().st_mtime_ns for path in (base / "out" / "corpora").rglob("*.npy")} == corpora
        for key in ("corpora", "runs", "comparison", "balance"):
            assert again.to_json()[key] == first.to_json()[key]

    def test_what_to_train_next_is_written_as_a_study_takes_it(self, finished):
        """The runs proposed are new, affordable, expected to narrow; read back, the study plans exactly them."""
        lab, result = finished
        budget = 20 * max(run.flops for run in result.planned)
        (proposal,) = lab.next(result.study, flops=budget, corpus="language")
        proposed = [run.planned.spec.fingerprint for run in proposal.runs]
        assert proposal.design.flops <= budget
        assert proposal.design.expected_width < proposal.design.present_width
        extended = Study.parse(TOML + proposal.toml(), place="more.toml")
        planned = [run.spec.fingerprint for run in plan_runs(extended, result.corpora)]
        assert sorted(planned) == sorted([*(run.spec.fingerprint for run in result.planned), *proposed])
        with pytest.raises(InputError, match="no finished run of a corpus 'nobody'"):
            lab.next(result.study, flops=budget, corpus="nobody")

    def test_the_report_can_be_written_again_without_the_sources(self, finished, base):
        lab = Lab.reopen(base / "out")
        lab.base = Path("/nowhere")
        files = lab.report(lab.remembered_study())
        assert files.html.exists()
        assert files.markdown.exists()

    def test_a_report_with_another_page_than_was_written_is_written_anew(self, finished, base):
        page = base / "out" / "report" / "report.html"
        page.write_text("not the report")
        Lab(base / "out", base=base).run(Study.parse(TOML, place="tiny.toml"))
        assert page.read_text().startswith("<!doctype html>")

    def test_runs_can_be_queried_by_the_names_of_corpora(self, finished, base):
        table = Lab.reopen(base / "out").query("SELECT corpus, count(*) AS n FROM runs GROUP BY corpus ORDER BY corpus")
        assert table.to_pylist() == [{"corpus": "language", "n": 9}, {"corpus": "text", "n": 9}]

    def test_an_archive_is_fitted_like_any_table_with_its_own_flags_and_names(self, finished, base):
        _, result = finished
        table = read_runs(base / "out")
        assert sorted(table.corpora) == ["language", "text"]
        assert table.params_convention == "with_head"
        assert len(set(table.trunk)) == 6
        recorded = {record.fingerprint: record.flags for record in result.records}
        assert all(set(flags) <= set(recorded[run]) for run, flags in zip(table.run, table.flags, strict=True))


def test_one_lab_keeps_two_studies_apart(base, tmp_path):
    lab = Lab(tmp_path, base=base)
    first = lab.corpora(Study.parse(TOML, place="a.toml"))["language"]
    other = lab.corpora(Study.parse(TOML.replace("seed = 2 }", "seed = 5 }"), place="b.toml"))["language"]
    assert first.fingerprint != other.fingerprint


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [('["gzip", ', '["gzp", ', "gzp"), ("sequence_tokens = 64", "sequence_tokens = 128", "sequence_tokens")],
)
def test_what_would_stop_a_study_is_reported_before_anything_is_read(base, tmp_path, old, new, said):
    wrong = Study.parse(TOML.replace(old, new), place="tiny.toml")
    with pytest.raises(InputError, match=said):
        Lab(tmp_path, base=base).run(wrong)
    with pytest.raises(InputError, match=said):
        check_study(wrong, base=base)
    assert not (tmp_path / "corpora").exists()


def test_a_check_plans_the_very_runs_without_drawing_what_a_grammar_says(base, tmp_path, monkeypatch):
    study, lab = Study.parse(TOML, place="tiny.toml"), Lab(tmp_path / "out", base=base)
    planned = [run.spec.fingerprint for run in lab.plan(study)]
    monkeypatch.setattr("isoloss.corpus.generate.sample_blocks", None)
    checked = check_study(study, base=base)
    assert [run.spec.fingerprint for run in checked.runs] == planned
    outline, corpus = checked.corpora["language"], lab.corpora(study)["language"]
    assert (outline.fingerprint, outline.vocab_size) == (corpus.fingerprint, corpus.vocab_size)
    assert outline.token_budget(64) == corpus.token_budget(64)
    assert outline.scored_documents(64) == corpus.scored_documents(64)


def test_what_stops_a_grammar_is_reported_by_the_check(base):
    endless = 'family = "explicit", text = "S -> S [0.5] | S S [0.5]" }'
    wrong = TOML[: TOML.index('family = "random"')] + endless + TOML[TOML.index("\n\n[complexity]") :]
    with pytest.raises(BadGrammar):
        check_study(Study.parse(wrong, place="tiny.toml"), base=base)


def test_a_corpus_too_small_for_the_grid_is_refused_before_training(base, tmp_path):
    greedy = Study.parse(TOML.replace("3.2e4]", "3.2e7]"), place="tiny.toml")
    with pytest.raises(BadCorpus, match=r"training tokens.*needs 32,") as error:
        Lab(tmp_path, base=base).run(greedy)
    assert "text" in error.value.place
    assert not (tmp_path / "runs").exists()


def test_sizes_that_come_to_one_shape_are_refused(base, tmp_path):
    twins = Study.parse(TOML.replace("9e3,", "9e3, 9.01e3,"), place="tiny.toml")
    with pytest.raises(InputError, match="same run"):
        Lab(tmp_path, base=base).run(twins, until="corpora")


def test_a_seed_that_is_listed_twice_is_named(base):
    twice = Study.parse(TOML.replace("context = 64\n", "context = 64\nseeds = [4, 0, 4]\n", 1), place="tiny.toml")
    with pytest.raises(InputError, match="seed 4 ") as refused:
        check_study(twice, base=base)
    assert refused.value.place == "grid.seeds"


@pytest.mark.parametrize(("above", "notes"), [(1e30, 1), (1.0, 1), (1e9, 0)])
def test_a_holdout_that_parts_nothing_is_a_note_of_the_check(base, above, notes):
    held = f"bootstrap = 50\nholdout = {{ flops_above = {above} }}"
    checked = check_study(Study.parse(TOML.replace("bootstrap = 50", held), place="tiny.toml"), base=base)
    assert min(run.flops for run in checked.runs) < 1e9 < max(run.flops for run in checked.runs)
    assert len([said for said in checked.warnings if "fit.holdout" in said]) == notes


def test_a_folder_without_a_study_is_no_results_folder(tmp_path):
    with pytest.raises(InputError, match="no results folder"):
        Lab.reopen(tmp_path)


def test_a_measure_that_a_corpus_does_not_determine_is_reported_and_the_others_go_on(base, tmp_path):
    # Sentences of one token alternate with separators for ever: correlations do not decay, alpha_d divides by that.
    text = TOML.replace('["gzip", ', '["alpha_d", "gzip", ').replace("max_rhs = 5", "max_rhs = 1")
    study, lab = Study.parse(text, place="tiny.toml"), Lab(tmp_path, base=base)
    result = lab.run(study, until="complexity")
    output = {corpus["name"]: corpus for corpus in json.loads(json.dumps(result.to_json()))["corpora"]}
    assert set(output["text"]["measures"]) == {"alpha_d", "gzip", "unigram"}
    assert output["text"]["unidentified"] == {}
    assert set(output["language"]["measures"]) == {"gzip", "unigram"}
    assert "cannot be distinguished from no decay; measure more text" in output["language"]["unidentified"]["alpha_d"]
    assert lab.unidentified(study) == result.unidentified
