"""`isoloss fit --complexity`: the comparison of predictors on a table from anywhere."""

import csv

import numpy as np
import pytest

SIZES, TOKENS = np.geomspace(1e6, 1e9, 4), np.geomspace(1e8, 1e11, 4)


def write_table(path, *, corpora=6, seed=0):
    """Each corpus twice, as it is and relabelled: E and B follow `gzip`, `shuffled` is gzip in another order."""
    generator = np.random.default_rng(seed)
    gzip = np.linspace(0.15, 0.65, corpora)
    shuffled = generator.permutation(gzip)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["n", "d", "val", "data", "made_of", "gzip", "shuffled"])
        for j, (h, other) in enumerate(zip(gzip, shuffled, strict=True)):
            for copy in ("plain", "relabelled"):
                for n in SIZES:
                    for d in TOKENS:
                        loss = 1 + h + 0.6 * (n / 3e7) ** -0.34 + 0.3 * np.exp(2 * h) * (d / 3e9) ** -0.36
                        loss *= np.exp(0.004 * generator.standard_normal())
                        writer.writerow([n, d, loss, f"{copy} {j}", f"text {j}", h + 0.002 * (copy == "plain"), other])


OPTIONS = ["--params", "n", "--tokens", "d", "--loss", "val", "--group", "data", "--complexity", "gzip, shuffled"]


def test_measures_compete_on_sources_and_the_winners_law_is_fitted(isoloss, tmp_path):
    write_table(tmp_path / "runs.csv")
    output = isoloss("fit", "runs.csv", *OPTIONS, "--source", "made_of", "--bootstrap", "40", "--json")
    assert output.code == 0
    gzip, shuffled = output.json["comparison"]
    assert [gzip["measure"], shuffled["measure"]] == ["gzip", "shuffled"]
    assert gzip["heldout_error"] < 0.3 * gzip["pooled_error"]
    assert gzip["p_adjusted"] < 0.05 < shuffled["p_adjusted"]
    assert {"measure", "heldout_error", "pooled_error", "p_value", "proxy_error", "difference", "against"} <= set(gzip)
    (comparison,) = output.json["contest"]
    assert comparison["winner"] == "gzip"
    assert comparison["sources"] == {f"text {j}": [f"plain {j}", f"relabelled {j}"] for j in range(6)}
    (joint,) = output.json["data_dependent"]
    assert (joint["measure"], joint["method"], joint["converged"]) == ("gzip", "joint", True)
    slope = joint["coefficients"]["E"]["slope"]
    assert joint["coefficients"]["E"]["form"] != "shared"
    assert slope["low"] < slope["value"] < slope["high"]


def test_without_a_column_of_sources_every_group_is_its_own(isoloss, tmp_path):
    write_table(tmp_path / "runs.csv")
    said = isoloss("fit", "runs.csv", *OPTIONS)
    assert said.code == 0
    assert "Among 12 sources and 2 measures (gzip, shuffled): gzip predicts the losses" in said.out
    assert "L = E + A0 (N/N0)^-alpha + B0 (D/D0)^-beta" in said.out


def test_a_corpus_of_two_sources_is_refused(isoloss, tmp_path):
    write_table(tmp_path / "runs.csv")
    output = isoloss("fit", "runs.csv", *OPTIONS, "--source", "d", "--json")
    assert output.code == 2
    assert "has 4 sources" in output.json["error"]["message"]


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [("--objective", "lad", "objective='lad'"), ("--delta", 0.1, "delta=0.1"), ("--starts", "hoffmann", "starts="),
     ("--fix", "E=1", "fixed={'E': 1.0}"), ("--floor", 0.5, "floor='hold'")],
)  # fmt: skip
def test_options_that_the_joint_law_does_not_use_are_refused(isoloss, tmp_path, option, value, said):
    write_table(tmp_path / "runs.csv", corpora=2)
    output = isoloss("fit", "runs.csv", *OPTIONS, option, value, "--json")
    assert output.code == 2
    error = output.json["error"]
    assert said in error["message"]
    assert error["place"]
    assert "--complexity" in error["fix"]


@pytest.mark.parametrize(("option", "value"), [("--starts", "hoffmann"), ("--fix", "alpha=0.34")])
def test_options_that_several_laws_cannot_share_are_refused(isoloss, tmp_path, option, value):
    write_table(tmp_path / "runs.csv", corpora=1)
    output = isoloss("fit", "runs.csv", *OPTIONS[:6], "--beyond", "--frontier", "1e20", option, value, "--json")
    assert output.code == 2
    assert f"{option} with --beyond" in output.json["error"]["fix"]
