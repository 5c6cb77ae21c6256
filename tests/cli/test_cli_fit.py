"""`isoloss fit` on published tables and on a sweep in somebody else's columns and units."""

from pathlib import Path

import numpy as np
import pytest

import isoloss as il

DATA = Path(__file__).parents[2].parent / "shared" / "data"
CHINCHILLA = DATA / "chinchilla2022" / "chinchilla_runs_245.csv"
GZIP = DATA / "gzip2024" / "gzip_pcfg_runs_150.csv"
COLUMNS = ["--params", "params", "--tokens", "tokens", "--loss", "loss"]

published = pytest.mark.skipif(not CHINCHILLA.exists(), reason="the published tables are not at hand")


def values(fit: dict) -> dict[str, float]:
    return {name: estimate["value"] for name, estimate in fit["params"].items()}


@published
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--where", "not epoch_outlier"], (1.81722, 477.83, 2143.42, 0.347311, 0.367172)),
        (["--where", "not epoch_outlier", "--objective", "lad"], (1.81686, 482.01, 2085.44, 0.347813, 0.365854)),
        ([], (1.89134, 495.73, 12845.6, 0.34931, 0.45305)),
    ],
)
def test_the_published_optima_come_out_of_the_command(isoloss, options, expected):
    output = isoloss("fit", CHINCHILLA, *COLUMNS, *options, "--json")
    assert output.code == 0
    # Besiroglu et al. 2024: five or six digits are published.
    assert list(values(output.json["fits"][0]).values()) == pytest.approx(expected, rel=2e-5)


@published
def test_the_published_bootstrap_intervals_come_out_of_the_command(isoloss):
    output = isoloss("fit", CHINCHILLA, *COLUMNS, "--where", "not epoch_outlier", "--bootstrap", 4000, "--json")
    (fit,) = output.json["fits"]
    published = {"A": (285, 744), "B": (1042, 5810), "E": (1.769, 1.871), "alpha": (0.317, 0.373),
                 "beta": (0.331, 0.415)}  # fmt: skip
    for name, ends in published.items():
        found = (fit["params"][name]["low"], fit["params"][name]["high"])
        # Two sets of 4,000 draws differ by 1 % in the ends of E, α, β and by 5 % in those of A and B.
        assert found == pytest.approx(ends, rel=0.06 if name in "AB" else 0.02)


@published
def test_the_gzip_papers_runs_give_five_exponents_and_their_warnings(isoloss):
    output = isoloss("fit", GZIP, "--params", "params", "--tokens", "tokens", "--loss", "train_loss_last5pct",
                   "--group", "dataset", "--vocab", "vocab", "--json")  # fmt: skip
    assert output.code == 0
    fits = sorted(output.json["fits"], key=lambda fit: fit["group"])
    # Which of the last losses is taken moves these by .03.
    assert [fit["exponent_a"]["value"] for fit in fits] == pytest.approx([0.562, 0.560, 0.552, 0.362, 0.243], abs=1e-3)
    warnings = {warning["code"]: warning for fit in fits for warning in fit["warnings"]}
    assert {"poor_fit", "unconverged_runs", "E_not_identified"} <= warnings.keys()
    assert warnings["unconverged_runs"]["rows"]
    # One run, of 4 M parameters after 13 steps, ended worse than a guess over its 32,001 entries.
    assert warnings["loss_above_uniform"]["rows"] == [76]


def test_a_foreign_sweep_is_fitted_by_its_own_columns_and_units(isoloss, tmp_path):
    sizes, data = (part.ravel() for part in np.meshgrid([70, 160, 410, 1000, 2800], [2.0, 8.0, 30.0, 120.0]))
    nats = 1.7 + 400 / (sizes * 1e6) ** 0.34 + 1900 / (data * 1e9) ** 0.37
    lines = [f"{n:g}M,{d},{y / np.log(2):.17g},web" for n, d, y in zip(sizes, data, nats, strict=True)]
    (tmp_path / "sweep.csv").write_text("\n".join(["model size,tokens (B),bits per token,data", *lines]))
    output = isoloss("fit", "sweep.csv", "--params", "model size", "--tokens", '"tokens (B)" * 1e9',
                   "--loss", '"bits per token" * ln(2)', "--group", "data", "--json")  # fmt: skip
    (fit,) = output.json["fits"]
    assert list(values(fit).values()) == pytest.approx([1.7, 400, 1900, 0.34, 0.37], rel=1e-6)
    assert fit["group"] == "web"
    assert fit["warnings"] == []


def test_a_fit_that_did_not_converge_exits_1_and_still_writes(isoloss, tmp_path, monkeypatch):
    monkeypatch.setattr("isoloss.fitting.engine.MOST_STEPS", 1)
    sizes, data = (part.ravel() for part in np.meshgrid([1e5, 1e6, 1e7], [1e7, 1e8, 1e9]))
    rows = [f"{n},{d},{1 + (1e4 / n) ** 0.4 + (1e5 / d) ** 0.4}" for n, d in zip(sizes, data, strict=True)]
    (tmp_path / "runs.csv").write_text("\n".join(["params,tokens,loss", *rows]))
    output = isoloss("fit", "runs.csv", *COLUMNS, "--json", "--out", "law.json")
    assert output.code == 1
    (fit,) = output.json["fits"]
    assert not fit["converged"]
    assert "not_converged" in {warning["code"] for warning in fit["warnings"]}
    assert (tmp_path / "law.json").exists()


@published
def test_budgets_and_runs_that_were_not_trained_are_derived_from_the_draws(isoloss):
    asked = [
        "--where",
        "not epoch_outlier",
        "--bootstrap",
        500,
        "--frontier",
        "1e21,5.76e23",
        "--predict",
        "7e9,1.4e11",
    ]
    output = isoloss("fit", CHINCHILLA, *COLUMNS, *asked, "--json")
    (fit,) = output.json["fits"]
    near, far = fit["frontier"]
    # Besiroglu et al. 2024: some 20 tokens a parameter at Chinchilla's budget, 44 times beyond the largest run.
    assert near["warnings"] == []
    assert [warning["code"] for warning in far["warnings"]] == ["extrapolation"]
    assert far["tokens"]["value"] / far["params"]["value"] == pytest.approx(18, rel=0.05)
    (run,) = fit["predictions"]
    assert run["run"]["low"] < run["loss"]["low"] < run["loss"]["value"] < run["loss"]["high"] < run["run"]["high"]
    said = isoloss("fit", CHINCHILLA, *COLUMNS, *asked)
    assert "[extrapolation]" in said.out
    assert "--beyond" in said.out
    assert "one run, nats" in said.out
    for wrong in (["--frontier", "1e20,x"], ["--predict", "1e9"], ["--predict", "1e9,-2"]):
        assert isoloss("fit", CHINCHILLA, *COLUMNS, *wrong).code == 2


def test_a_backtest_holds_out_what_the_call_says(isoloss, tmp_path):
    sizes, data = (part.ravel() for part in np.meshgrid(np.geomspace(1e5, 1e8, 5), np.geomspace(1e7, 1e9, 5)))
    noise = np.random.default_rng(0).normal(0, 0.003, 25)
    loss = (1 + (1e4 / sizes) ** 0.4 + (1e5 / data) ** 0.4) * np.exp(noise)
    rows = [f"{n},{d},{y}" for n, d, y in zip(sizes, data, loss, strict=True)]
    (tmp_path / "runs.csv").write_text("\n".join(["params,tokens,loss", *rows]))
    output = isoloss("fit", "runs.csv", *COLUMNS, "--backtest", "flops", "--json")
    (test,) = output.json["backtest"]
    assert (test["group"], test["holdout"], test["level"]) == ("all", "flops", 0.95)
    by_law = {score["law"]: score for score in test["scores"]}
    assert by_law["chinchilla"]["rmse"] < by_law["nearest run"]["rmse"]
    assert 0 <= by_law["chinchilla"]["held"] <= 1
    said = isoloss("fit", "runs.csv", *COLUMNS, "--backtest", "params", "--bootstrap", 50)
    assert "params held out" in said.out
    assert "nearest run" in said.out
    assert isoloss("fit", "runs.csv", *COLUMNS, "--backtest", "corpus").code == 2
    assert isoloss("fit", "runs.csv", *COLUMNS, "--backtest", "sizes").code == 2


@published
def test_profiles_are_printed_with_their_curves(isoloss):
    asked = ["--where", "not epoch_outlier", "--profile", "alpha,a,log_ratio"]
    output = isoloss("fit", CHINCHILLA, *COLUMNS, *asked, "--json")
    profiles = output.json["fits"][0]["profiles"]
    assert [one["quantity"] for one in profiles] == ["alpha", "a", "log_ratio"]
    assert all(one["low"] < one["value"] < one["high"] for one in profiles)
    assert len(profiles[0]["curve"]) > 4
    said = isoloss("fit", CHINCHILLA, *COLUMNS, *asked)
    assert "rise of the objective" in said.out
    assert isoloss("fit", CHINCHILLA, *COLUMNS, "--profile", "gamma").code == 2


def test_a_form_that_misses_the_bundled_runs_is_named_with_one_that_fits(isoloss):
    from isoloss.planning.shipped import RUNS

    call = (
        "fit",
        RUNS,
        "--group",
        "corpus",
        "--trunk",
        "trunk",
        "--where",
        "corpus IN ('python', 'english')",
        "--json",
    )
    codes = {one["group"]: {w["code"] for w in one["warnings"]} for one in isoloss(*call).json["fits"]}
    assert "lack_of_fit" in codes["python"]
    alone = il.fit(il.read_runs(RUNS, corpus="corpus", trunk="trunk").where(corpus="python"))
    assert {warning.code for warning in alone.warnings} == codes["python"]
    better = isoloss(*call, "--law", "ceiling").json["fits"]
    assert "lack_of_fit" not in {warning["code"] for warning in better[0]["warnings"]}


def test_an_outlier_is_named_on_a_line_of_its_own_by_its_row(isoloss, tmp_path):
    sizes, data = (part.ravel() for part in np.meshgrid([7e7, 1.6e8, 4.1e8, 1e9, 2.8e9], [2e9, 8e9, 3e10, 1.2e11]))
    nats = 1.7 + 400 / sizes**0.34 + 1900 / data**0.37
    nats *= np.exp(np.random.default_rng(0).normal(0, 1e-3, len(nats)))
    nats[12] *= 1.05
    lines = [f"{n},{d},{loss}" for n, d, loss in zip(sizes, data, nats, strict=True)]
    (tmp_path / "sweep.csv").write_text("\n".join(["params,tokens,loss", *lines]))
    told = isoloss("fit", "sweep.csv", "--loss", "loss", "--outliers")
    (line,) = [line for line in told.out.splitlines() if line.startswith("  row ")]
    assert line.startswith("  row 13: +")
    (found,) = isoloss("fit", "sweep.csv", "--loss", "loss", "--outliers", "--json").json["fits"][0]["outliers"]
    assert found["row"] == 13


def test_a_fit_has_intervals_unless_it_is_told_not_to_or_has_very_many_rows(isoloss, tmp_path):
    generator = np.random.default_rng(0)
    for rows, options, has in ((30, [], True), (30, ["--bootstrap", 0], False), (10_001, [], False)):
        params, tokens = 10 ** generator.uniform(7, 9, rows), 10 ** generator.uniform(9, 11, rows)
        loss = (1.7 + 400 / params**0.34 + 400 / tokens**0.28) * np.exp(0.01 * generator.normal(size=rows))
        table = tmp_path / "runs.csv"
        np.savetxt(table, np.c_[params, tokens, loss], delimiter=",", header="params,tokens,loss_nats", comments="")
        (fit,) = isoloss("fit", table, *options, "--json").json["fits"]
        alpha = fit["params"]["alpha"]
        assert (alpha["low"] is not None) == has
        assert not has or alpha["low"] < 0.34 < alpha["high"]
