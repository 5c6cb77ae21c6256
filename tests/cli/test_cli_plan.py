"""`isoloss plan` from outside: keys of the contract, ways out of refusals, and a pilot that is really trained."""

import json
import random
import string

import numpy as np
import pytest

from isoloss.cli import run
from isoloss.fitting.fitting import fit
from isoloss.planning import shipped
from laws_tables import simulated

KEYS = {"params", "tokens", "loss", "shape", "batch_tokens", "peak_lr", "extrapolation", "warnings"}


@pytest.fixture
def law(tmp_path):
    fit(simulated(point_sd=0.002), bootstrap=50).save(tmp_path / "law.json")
    return str(tmp_path / "law.json")


@pytest.fixture
def corpus(tmp_path):
    (tmp_path / "corpus").mkdir()
    generator = np.random.default_rng(0)
    for number in range(12):
        words = generator.zipf(1.4, 9000) % 300
        (tmp_path / "corpus" / f"{number}.txt").write_text(" ".join(f"w{i}" for i in words))
    return str(tmp_path / "corpus")


def called(capsys, *arguments):
    code = run(["plan", *arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_a_budget_a_loss_and_a_size_are_answered_with_the_contract_keys(capsys, corpus, law):
    for question in (["--flops", "1e11"], ["--target-loss", "1.8"], ["--params", "5e4"]):
        code, output = called(capsys, corpus, "--law", law, *question)
        assert code == 0
        assert output.keys() >= KEYS
        assert output["params"]["low"] <= output["params"]["value"] <= output["params"]["high"]


def test_the_answer_is_reported_by_another_convention_where_the_law_knows_its_own(capsys, corpus, law, tmp_path):
    code, output = called(capsys, corpus, "--law", law, "--flops", "1e11", "--params-convention", "total")
    assert code == 2
    assert output["error"]["fix"].startswith("fit it with --params-convention")
    grid = simulated(point_sd=0.002).to_arrow().to_pandas()
    grid.to_csv(tmp_path / "runs.csv")
    counted = ["--params-convention", "non_embedding", "--out", str(tmp_path / "counted.json")]
    assert run(["fit", str(tmp_path / "runs.csv"), *counted]) == 0
    capsys.readouterr()
    question = [corpus, "--law", str(tmp_path / "counted.json"), "--flops", "1e11", "--params-convention", "total"]
    code, output = called(capsys, *question)
    assert code == 0
    assert output["params_convention"] == "non_embedding"
    # A vocabulary of 256 bytes, twice, and the norms.
    model = output["shape"]
    assert (
        output["counts"]["total"] == output["counts"]["non_embedding"] + (512 + 2 * model["depth"] + 1) * model["width"]
    )
    ratio = output["counts"]["total"] / output["counts"]["non_embedding"]
    assert output["converted"]["params"]["value"] == pytest.approx(output["params"]["value"] * ratio)
    assert run(["plan", *question]) == 0
    assert "parameters N (total)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--flops", "1e11", "--law", "LAW", "--pilot", "8s"], "both --law and --pilot"),
        (["--flops", "1e11", "--tokenizer", "other.json"], "not comparable"),
        (["--flops", "1e11", "--pilot", "8s", "--anchor", "porian"], "a pilot knows one"),
        (["--flops", "1e11", "--tokenizer", "bytes", "--anchor", "porian"], "subword tokens"),
        (["--flops", "1e30", "--law", "LAW"], "times the largest"),
        (["--law", "LAW"], "not one question"),
        (["--flops", "1e11", "--law", "nowhere.json"], "no such file"),
        (["--flops", "1e11", "--law", "LAW", "--anchor", "porian"], "needs a data-dependent law"),
        (["--flops", "1e11", "--law", "LAW", "--recipe", "porin"], "unknown recipe"),
        (["--flops", "1e11", "--pilot", "soon"], "expected a time"),
        (["--flops", "-1", "--law", "LAW"], "above zero"),
        (["--flops", "1e11", "--law", "LAW", "--bytes-per-token", "4"], "no frontier was named"),
    ],
)
def test_what_poses_no_question_is_refused_with_a_way_out(capsys, corpus, law, arguments, said):
    code, output = called(capsys, corpus, *[law if each == "LAW" else each for each in arguments])
    assert code == 2
    assert said in output["error"]["message"]
    assert output["error"]["fix"]


def test_without_a_law_the_one_that_comes_with_isoloss_plans_and_says_so(capsys, corpus):
    code, output = called(capsys, corpus, "--flops", "1e12")
    assert code == 0
    assert output.keys() >= KEYS
    assert output["shape"]["vocab_size"] == 256
    assert output["warnings"][0]["code"] == "shipped_law"
    assert f"{len(shipped.shipped_law().corpora)} real corpora" in output["warnings"][0]["message"]


def test_too_little_text_is_said(capsys, tmp_path):
    (tmp_path / "little.txt").write_text("to be or not to be, that is the question. " * 100)
    code, output = called(capsys, str(tmp_path / "little.txt"), "--flops", "1e12", "--no-repeat")
    assert code == 0
    assert "little_text" in {warning["code"] for warning in output["warnings"]}


def test_a_text_whose_letters_are_unlike_those_of_all_bundled_texts_is_warned_of(capsys, tmp_path):
    generator = random.Random(0)
    for letters, unlike in (("ACGT", True), (string.ascii_lowercase, False)):
        words = ["".join(generator.choices(letters, k=generator.randint(2, 9))) for _ in range(300)]
        text = tmp_path / f"{len(letters)}.txt"
        text.write_text(" ".join(generator.choices(words, weights=range(300), k=50_000)))
        code, output = called(capsys, str(text), "--flops", "1e11", "--no-repeat")
        assert code == 0
        assert ("unlike_the_texts" in {warning["code"] for warning in output["warnings"]}) == unlike


def test_far_beyond_it_prose_stands_for_the_text_of_a_reference_frontier(capsys, corpus):
    assert called(capsys, corpus, "--flops", "1e19")[0] == 2
    code, output = called(capsys, corpus, "--flops", "1e19", "--anchor", "porian", "--no-repeat")
    assert code == 0
    assert f"lies from {shipped.REFERENCE}" in output["reason"]


def test_a_reference_frontier_speaks_of_its_frontiers_tokens_and_refuses_a_text_read_to_rags(capsys, corpus):
    """The corpus counts in tokens of four bytes, and the budget that is named reads it four times."""
    question = [corpus, "--anchor", "porian", "--bytes-per-token", "4"]
    code, output = called(capsys, *question, "--flops", "1e19")
    assert code == 2
    assert "--no-repeat" in output["error"]["fix"]
    bearable = float(output["error"]["fix"].split("--flops ")[1].split(";")[0])
    code, output = called(capsys, *question, "--flops", f"{bearable},{bearable / 10}", "--no-repeat")
    assert code == 0
    assert output["epochs"]["value"] == pytest.approx(4, rel=0.1)  # the budget is printed with two digits
    assert "50,432" in output["data_of"]  # the frontier's own vocabulary, not that of bytes
    assert [one["flops"]["value"] for one in output["plans"]] == pytest.approx([bearable, bearable / 10])
    ratio = output["tokens_per_param"]
    assert ratio["value"] == pytest.approx(output["tokens"]["value"] / output["params"]["value"])
    assert ratio["low"] <= ratio["value"] <= ratio["high"]


@pytest.mark.slow
def test_a_pilot_trains_on_the_corpus_itself_and_is_not_trained_twice(capsys, corpus, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, output = called(capsys, corpus, "--flops", "4e9", "--pilot", "8s", "--no-repeat")
    assert code == 0
    assert output["corpus"] == "corpus"
    assert output["epochs"]["value"] > 0
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "results/pilot-corpus/runs").iterdir()}
    assert called(capsys, corpus, "--flops", "4e9", "--pilot", "8s", "--no-repeat") == (code, output)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "results/pilot-corpus/runs").iterdir()} == written


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "sweep.csv"
    simulated(point_sd=0.002).to_arrow().to_pandas().rename(columns={"params": "n", "tokens": "d"}).to_csv(path)
    return str(path)


OWN = ["--column", "params=n", "--column", "tokens=d"]


def test_runs_alone_are_planned_by_without_any_corpus(capsys, table, tmp_path):
    """The split is the best size that several forms see inside the runs, and beyond them what several forms say."""
    inside, beyond = 1e11, 1e16
    figure = str(tmp_path / "plan.svg")
    asked = ["--runs", table, *OWN, "--flops", f"{inside},{beyond}", "--extrapolate", "--figure", figure]
    code, told = called(capsys, *asked)
    assert code == 0
    near, far = told["plans"]
    assert run(["isoflop", table, "--params", "n", "--tokens", "d", "--budgets", f"{inside}", "--json"]) == 0
    (best,) = json.loads(capsys.readouterr().out)["optima"]
    for key in ("params", "tokens", "tokens_per_param"):
        assert near[key]["value"] == pytest.approx(best[key]["value"], rel=1e-6)
        assert near[key]["low"] < near[key]["value"] < near[key]["high"]
    assert far["extrapolation"] > 100
    assert "several laws" in far["reason"]
    assert far["tokens_per_param"]["high"] / far["tokens_per_param"]["low"] > (
        near["tokens_per_param"]["high"] / near["tokens_per_param"]["low"]
    )
    assert near["epochs"] is None
    assert told["corpus"] == "sweep"
    assert (tmp_path / "plan.svg").read_text().startswith("<?xml")


def test_a_law_of_its_own_runs_needs_no_corpus(capsys, corpus, law):
    question = ["--law", law, "--flops", "1e11"]
    alone, beside = called(capsys, *question)[1], called(capsys, corpus, *question, "--no-repeat")[1]
    assert [alone[key] for key in ("params", "tokens", "loss")] == [beside[key] for key in ("params", "tokens", "loss")]
    assert alone["epochs"] is None
    assert alone["shape"] is None
    named = called(capsys, *question, "--tokenizer", "bytes")[1]
    assert {warning["code"] for warning in alone["warnings"]} >= {"no_shape"}
    assert named["params"] == alone["params"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--flops", "1e11"], "no corpus"),
        (["--flops", "1e11", "--pilot", "8s"], "no corpus"),
        (["--flops", "1e11", "--anchor", "porian"], "no corpus"),
        (["--flops", "1e11", "--runs", "TABLE", *OWN, "--anchor", "porian"], "these runs know one"),
        (["--flops", "1e11", "--runs", "TABLE", *OWN, "--law", "LAW"], "both --law and --runs"),
        (["--flops", "1e11", "--law", "LAW", "--where", "n > 1"], "without --runs"),
        (["--flops", "1e11", "--runs", "TABLE", "--column", "parms=n"], "parms"),
        (["--flops", "1e11", "--runs", "TABLE"], "no column 'params'"),
        (["--flops", "1e30", "--runs", "TABLE", *OWN], "times the largest"),
        (["--flops", "1e11", "--runs", "TABLE", *OWN, "--column", "group=run"], "expected one corpus"),
    ],
)
def test_a_plan_without_a_corpus_is_refused_where_it_needs_one(capsys, table, law, arguments, said):
    named = {"TABLE": table, "LAW": law}
    code, told = called(capsys, *[named.get(each, each) for each in arguments])
    assert code == 2
    assert said in told["error"]["message"]
    assert told["error"]["fix"]


def test_budgets_planned_without_a_corpus_speak_of_no_corpus(capsys, law):
    assert run(["plan", "--law", law, "--flops", "1e11,1e12"]) == 0
    output = capsys.readouterr().out
    assert "passes over" not in output
    assert "of all" not in output


@pytest.mark.parametrize("question", [["--flops", "1e3"], ["--target-loss", "6"]])
def test_no_plan_loses_more_than_a_uniform_guess(capsys, corpus, law, question):
    """A law far below its runs says losses that no run has: ln 256 is 5.55."""
    code, output = called(capsys, corpus, "--law", law, *question)
    assert code == 1
    assert "uniform guess" in output["error"]["message"]


def test_an_interval_of_loss_ends_at_a_uniform_guess(capsys, corpus):
    code, output = called(capsys, corpus, "--flops", "1e8")
    assert code == 0
    assert output["loss"]["high"] <= np.log(256)
    assert output["run_loss"]["high"] <= np.log(256)
