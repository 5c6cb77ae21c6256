"""[evaluate] and [tune] studies, really trained: the matrix of corpora, foreign folders, and a sweep to its page."""

import json
import shutil

import numpy as np
import pytest

from isoloss import cli
from isoloss.core.errors import BadStudy, InputError
from isoloss.runs.read_runs import read_runs
from isoloss.study.lab import Lab
from isoloss.study.spec import Study, load_study

pytest.importorskip("torch")
pytestmark = pytest.mark.slow

CORPORA = """
schema = 1
name = "small"
seed = 3

[[corpus]]
name = "ones"
source = "files"
paths = ["ones/*.txt"]
heldout_fraction = 0.2
heldout_tokens = 4_096

[[corpus]]
name = "twos"
source = "files"
paths = ["twos/*.txt"]
heldout_fraction = 0.2
heldout_tokens = 4_096

[[corpus]]
name = "language"
source = "pcfg"
tokens = 20_000
heldout_tokens = 4_096
grammar = { family = "random", nonterminals = 4, terminals = 10, max_rules = 8, max_rhs = 5, seed = 2 }

[complexity]
measures = ["gzip"]
sequence_tokens = 64
"""
GRID = """
[grid]
params = [9e3]
tokens = [4e3, 1.6e4]
context = 64

[training]
batch_tokens = 512
warmup_tokens = 1024
peak_lr = { at_params = 1e4, value = 1e-2 }

[fit]
bootstrap = 0
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """Two texts of different words in the same letters."""
    folder = tmp_path_factory.mktemp("evaluate")
    for seed, name in enumerate(("ones", "twos")):
        generator = np.random.default_rng(seed)
        words = ["".join(generator.choice(list("abcdef"), generator.integers(2, 6))) for _ in range(30)]
        (folder / name).mkdir()
        for number in range(10):
            drawn = generator.integers(0, len(words), 1200)
            (folder / name / f"{number}.txt").write_text(" ".join(words[i] for i in drawn))
    return folder


@pytest.fixture(scope="module")
def crossed(base):
    lab = Lab(base / "out", base=base)
    study = Study.parse(CORPORA + GRID + "\n[evaluate]\ncross = true\n", place="small.toml")
    return lab, study, lab.run(study, until="train")


def test_one_option_evaluates_every_run_on_every_corpus(crossed):
    _, _, result = crossed
    found = {(one.run, one.corpus): one for one in result.evaluated.evaluations}
    own = {record.fingerprint: record for record in result.records}
    for run in result.planned:
        # On its own corpus a kept model gives the loss of its record, to float32's rounding.
        mine = found[run.spec.fingerprint, run.corpus]
        assert mine.loss.nats == pytest.approx(own[run.spec.fingerprint].loss.nats, abs=1e-6)
        assert mine.trained_on == run.corpus
    longest = [run for run in result.planned if run.spec.train_tokens > 1e4]
    for run, other in ((longest[0], "twos"), (longest[1], "ones")):
        # Bytes are bytes everywhere, and each text is foreign to the other's model: by five standard errors of .01.
        assert found[run.spec.fingerprint, other].loss.nats > found[run.spec.fingerprint, run.corpus].loss.nats + 0.05
    reasons = {(one.corpus, one.reason) for one in result.evaluated.refused}
    assert any(corpus == "language" and "the model was trained on" in reason for corpus, reason in reasons)
    assert any(corpus == "ones" and "256 token ids" in reason for corpus, reason in reasons)


def test_evaluations_are_observations_and_are_not_made_twice(crossed, monkeypatch):
    lab, study, result = crossed
    read = read_runs(lab.folder / "evaluations.csv", tokens="tokens", corpus="pair", stderr="stderr")
    assert "ones → twos" in read.corpora
    assert read.loss_nats.tolist() == [one.loss.nats for one in result.evaluated.evaluations]
    monkeypatch.setattr("isoloss.training.evaluate.folder_losses", None)
    assert lab.evaluate(study).evaluations == result.evaluated.evaluations


def test_given_models_are_evaluated_by_a_study_without_a_grid(crossed, base, capsys):
    lab, _, result = crossed
    weights = lab.archive.weights_folder(result.planned[1].spec.fingerprint)
    shutil.copytree(weights, base / "given")
    (base / "given.toml").write_text(
        CORPORA.replace("schema = 1", "schema = 1\ncontext = 64")
        + '\n[evaluate]\nmodels = ["given", { path = "given", name = "told", tokens = 16_384 }, "out"]\n'
    )
    assert cli.run(["run", str(base / "given.toml"), "--out", str(base / "given-out"), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    rows = {(row["model"], row["corpus"]): row for row in content["evaluations"]}
    own = next(one for one in result.evaluated.evaluations if one.run == result.planned[1].spec.fingerprint)
    for name in ("given", "told", own.run):
        assert rows[name, "ones"]["loss_nats"] == pytest.approx(own.loss.nats, abs=1e-6)
    assert rows["told", "ones"]["tokens"] == 16_384
    assert rows["given", "ones"]["tokens"] is None
    assert cli.run(["check", str(base / "given.toml")]) == 0
    assert "models on 3 corpora" in capsys.readouterr().out
    assert cli.run(["run", str(base / "given.toml"), "--out", str(base / "given-out")]) == 0
    assert "was not evaluated on" in capsys.readouterr().out


def test_what_is_no_model_is_refused(crossed, base, tmp_path):
    file = tmp_path / "none.toml"
    file.write_text(CORPORA + '\n[evaluate]\nmodels = ["ones"]\n')
    with pytest.raises(InputError, match="no model here"):
        Lab(tmp_path / "out", base=base).evaluate(load_study(file))
    file.write_text(CORPORA + "\n[evaluate]\n")
    with pytest.raises(BadStudy, match="evaluate.models is empty"):
        load_study(file)


def test_a_sweep_is_trained_fitted_and_reported(base):
    sweep = GRID.replace("params = [9e3]", "params = [6e3, 9e3, 1.35e4]") + (
        "\n[tune]\nrate_factors = [0.1, 0.5, 2.5]\nbatch_factors = [0.5]\n"
    )
    only_text = CORPORA[: CORPORA.index('[[corpus]]\nname = "twos"')] + CORPORA[CORPORA.index("[complexity]") :]
    lab = Lab(base / "sweep", base=base)
    study = Study.parse(only_text + sweep, place="sweep.toml")
    result = lab.run(study)
    assert len(result.planned) == 3 * 2 * 3
    output = json.loads(json.dumps(result.to_json(), allow_nan=False))
    (tuning,) = output["tune"]
    assert tuning["horizons"] == [4000, 16_000]
    assert {optimum["batch_tokens"] for optimum in tuning["rates"]} == {256}
    losses = {(r.spec.model, r.spec.train_tokens): [] for r in result.records}
    for record in result.records:
        losses[record.spec.model, record.spec.train_tokens].append(record.loss.nats)
    for optimum, tried in zip(tuning["rates"], (losses[key] for key in losses), strict=True):
        # A parabola through three points lies no higher than the least of them.
        assert optimum["loss_nats"] <= min(tried) + 1e-9
    assert "Which rate and batch" in result.report.read_text()
    again = Lab.reopen(base / "sweep")
    assert again.report(again.remembered_study()).html.exists()
