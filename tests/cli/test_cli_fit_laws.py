"""`isoloss fit --law …`: every law by its options, from tables with names of their own."""

import sys

import numpy as np
import pytest

from isoloss.cli.fit_output import points_of
from isoloss.core.errors import InputError
from isoloss.laws.registry import laws


def write(path, **columns):
    rows = zip(*(np.broadcast_to(c, np.shape(columns["loss"])) for c in columns.values()), strict=True)
    path.write_text(",".join(columns) + "\n" + "".join(",".join(map(str, row)) + "\n" for row in rows))
    return path


@pytest.fixture
def fits(isoloss):
    def call(*arguments):
        output = isoloss("fit", *arguments, "--json")
        assert output.code == 0, output.out
        return output.json["fits"]

    return call


@pytest.fixture
def grid():
    return tuple(part.ravel() for part in np.meshgrid(np.geomspace(1e7, 1e10, 6), np.geomspace(1e9, 1e12, 6)))


def chinchilla(n, d):
    return 1.8 + 480 / n**0.35 + 2100 / d**0.37


def test_help_names_every_law(isoloss):
    output = isoloss("fit", "--help")
    words = output.out.replace("│", " ").split()
    assert [name for name in laws if f"{name}," not in words] == []


def test_repeated_data_by_epochs(tmp_path, grid, fits):
    n, unique = grid
    epochs = np.tile([1.0, 4.0, 16.0], 12)
    worth = unique * (1 + 15 * -np.expm1(-(epochs - 1) / 15))
    best = (480 * 0.35 / (2100 * 0.37) * unique**0.37) ** (1 / 0.35)
    size = np.where(n > best, best * (1 + 5 * -np.expm1(-(n / best - 1) / 5)), n)
    path = write(
        tmp_path / "runs.csv", n=n, d=unique * epochs, epochs=epochs, loss=1.8 + 480 / size**0.35 + 2100 / worth**0.37
    )
    (found,) = fits(
        path, "--law", "repeated", "--params", "n", "--tokens", "d", "--loss", "loss", "--unique-tokens", "d / epochs"
    )
    assert found["params"]["R_D"]["value"] == pytest.approx(15, rel=1e-4)
    assert found["params"]["R_N"]["value"] == pytest.approx(5, rel=1e-4)


def test_steps_times_batch(tmp_path, fits):
    n, steps, batch = (part.ravel() for part in np.meshgrid([1e7, 1e8, 1e9], [1e3, 1e4, 1e5], [1e5, 1e6, 1e7]))
    shortest = steps / (1 + 5e5 / batch)
    path = write(
        tmp_path / "runs.csv", n=n, steps=steps, batch=batch, loss=(1e13 / n) ** 0.08 + (2e3 / shortest) ** 0.7
    )
    (found,) = fits(
        path, "--law", "critical_batch", "--params", "n", "--tokens", "steps * batch", "--loss", "loss",
        "--batch-tokens", "batch", "--fix", "E=0,kappa=0",
    )  # fmt: skip
    assert found["params"]["B_star"]["value"] == pytest.approx(5e5, rel=1e-4)
    assert found["fixed"] == ["E", "kappa"]


def test_one_corpus_from_another(tmp_path, grid, fits, isoloss):
    n, d = (np.tile(part, 2) for part in grid)
    web = chinchilla(*grid)
    path = write(
        tmp_path / "runs.csv", params=n, tokens=d, data=np.repeat(["web", "code"], 36),
        loss=np.concatenate([web, 0.5 + 0.8 * (web - 1.8) ** 1.2]),
    )  # fmt: skip
    common = (path, "--law", "loss_to_loss", "--loss", "loss", "--group", "data", "--pair-with", "web")
    (found,) = fits(*common, "--fix", "E_other=1.8")
    assert found["group"] == "code"
    assert found["params"]["kappa"]["value"] == pytest.approx(1.2, rel=1e-4)
    assert found["params"]["E"]["value"] == pytest.approx(0.5, rel=1e-4)
    assert found["exponent_a"] is None
    refused = isoloss("fit", *common, "--law", "chinchilla")
    assert refused.code == 2
    assert "--law loss_to_loss" in refused.err


def test_a_floor_as_a_formula_held_or_scored(tmp_path, grid, fits):
    n, d = grid
    loss = chinchilla(n, d)
    path = write(tmp_path / "runs.csv", params=n, tokens=d, loss=loss, excess=loss - 1.8)
    (held,) = fits(path, "--loss", "loss", "--floor", "loss - excess")
    assert held["fixed"] == ["E"]
    assert held["floor"]["held"]
    assert held["params"]["E"]["value"] == pytest.approx(1.8)
    (scored,) = fits(path, "--loss", "loss", "--floor", "1.5", "--floor-use", "score", "--bootstrap", "20")
    assert scored["fixed"] == []
    assert scored["floor"]["inside"] is False


def test_rows_count_by_their_standard_errors_and_intervals_by_the_method_asked_for(tmp_path, grid, fits):
    n, d = grid
    loss, error = chinchilla(n, d) * np.where(n > 1e9, 1.2, 1.0), np.where(n > 1e9, 1e3, 1e-3)
    path = write(tmp_path / "runs.csv", params=n, tokens=d, loss=loss, sd=error)
    (found,) = fits(
        path, "--loss", "loss", "--stderr", "sd", "--weights", "stderr", "--method", "rows", "--bootstrap", "5"
    )
    assert found["weights"] == "stderr"
    assert found["params"]["alpha"]["value"] == pytest.approx(0.35, rel=1e-3)
    assert found["interval_method"] == "rows"


def test_bytes_by_a_ratio(tmp_path, grid, fits):
    n, d = grid
    path = write(tmp_path / "runs.csv", params=n, tokens=d, loss=chinchilla(n, d), ratio=4.0)
    common = (path, "--loss", "loss", "--frontier", "1e21")
    (in_tokens,), (in_bytes,) = fits(*common), fits(*common, "--bytes-per-token", "ratio")
    assert in_bytes["data_unit"] == "bytes"
    (one,), (other,) = in_tokens["frontier"], in_bytes["frontier"]
    assert other["tokens"]["value"] == pytest.approx(4 * one["tokens"]["value"], rel=1e-5)
    assert (one["data_unit"], other["data_unit"]) == ("tokens", "bytes")


def test_tables_of_a_law_in_bytes_are_headed_by_bytes(tmp_path, grid, isoloss):
    n, d = grid
    path = write(tmp_path / "runs.csv", params=n, tokens=d, loss=chinchilla(n, d), ratio=4.0)
    common = ("fit", path, "--loss", "loss", "--frontier", "1e21", "--predict", "1e9,1e11")
    for ratio, own, other in ((["--bytes-per-token", "ratio"], "bytes", "tokens"), ([], "tokens", "bytes")):
        shown = isoloss(*common, *ratio).out
        for heading in ("D* ({})", "{} per parameter", "D ({})"):
            assert heading.format(own) in shown
            assert heading.format(other) not in shown


def test_a_law_without_limits_is_named_before_the_table_is_read(tmp_path, monkeypatch, isoloss):
    (tmp_path / "unlimited.py").write_text(
        "from isoloss import Law\n"
        "class Unlimited(Law):\n"
        "    name = formula = 'unlimited'\n"
        "    @staticmethod\n"
        "    def loss_of_run(E, A, params): return E + A / params\n"
    )
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    refused = isoloss("fit", tmp_path / "no_such_table.csv", "--law", "unlimited:Unlimited", "--json")
    assert refused.code == 2
    assert "limits" in refused.json["error"]["fix"]
    assert refused.json["error"]["place"] == "law unlimited:Unlimited"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--law", "repeated"), "no column 'unique_tokens'"),
        (("--unique-tokens", "tokens"), "not unique_tokens"),
        (("--fix", "E"), "expected NAME=VALUE"),
        (("--fix", "E=high"), "expected a number"),
        (("--fix", "Q=1"), "cannot fix 'Q'"),
        (("--fix", "A=480"), "only together with alpha"),
        (("--floor", "lost"), "no column 'lost'"),
        (("--exclude-flags", "unconverge"), "unknown flag 'unconverge'"),
        (("--weights", "stderr"), "needs standard errors"),
        (("--floor", "1.5", "--fix", "E=1.8"), "floor"),
    ],
)
def test_wrong_options_are_answered_with_the_remedy(tmp_path, grid, isoloss, options, said):
    n, d = grid
    path = write(tmp_path / "runs.csv", params=n, tokens=d, loss=chinchilla(n, d))
    refused = isoloss("fit", path, "--loss", "loss", *options, "--json")
    assert refused.code == 2
    error = refused.json["error"]
    assert said in error["message"]
    assert error["fix"]
    if "--weights" in options:
        assert "--stderr" in error["fix"]


def test_a_law_of_ones_own_reads_a_column_of_ones_own(tmp_path, monkeypatch, grid, fits):
    (tmp_path / "shifted.py").write_text(
        "from isoloss.laws.power import OffsetTokens\n"
        "class OfHours(OffsetTokens):\n"
        "    name = 'of_hours'\n"
        "    columns = ('hours',)\n"
    )
    monkeypatch.setattr(sys, "path", [*sys.path])
    n, d = grid
    path = write(tmp_path / "runs.csv", params=n, tokens=d, loss=1.8 + 480 / n**0.35, gpu_h=n)
    (found,) = fits(path, "--loss", "loss", "--law", "shifted:OfHours", "--column", "hours=gpu_h")
    assert found["params"]["alpha"]["value"] == pytest.approx(0.35, rel=1e-5)


@pytest.mark.parametrize(
    ("law", "column", "parameter"),
    [
        ("kaplan_flops", "flops", "alpha_C"),
        ("kaplan_params", "params", "alpha_N"),
        ("offset_tokens", "tokens", "alpha"),
    ],
)
def test_a_table_of_one_column_and_losses_fits_the_law_of_it(tmp_path, fits, isoloss, law, column, parameter):
    x = np.geomspace(1e8, 1e14, 12)
    path = write(tmp_path / "runs.csv", **{column: x}, loss=(1.5 if law == "offset_tokens" else 0) + 90 / x**0.2)
    (found,) = fits(path, "--loss", "loss", "--law", law, "--predict", "1e15", "--profile", parameter)
    assert found["params"][parameter]["value"] == pytest.approx(0.2, rel=1e-4)
    (predicted,) = found["predictions"]
    assert predicted[column] == 1e15
    assert predicted["extrapolation"] == pytest.approx(10)
    assert [name for name, end in found["domain"].items() if end is None and name != "line"] == [
        f"{other}_{end}" for other in ("params", "tokens", "flops") if other != column for end in ("low", "high")
    ]
    output = isoloss("fit", path, "--loss", "loss", "--law", law, "--predict", "1e15")
    assert output.code == 0
    refused = isoloss("fit", path, "--loss", "loss", "--json")
    assert refused.code == 2
    missing = "tokens" if column == "params" else "params"
    assert refused.json["error"]["message"] == f"no column '{missing}'"
    assert column in refused.json["error"]["fix"]


def test_one_number_predicts_by_a_law_of_one_column_alone(tmp_path, grid, isoloss):
    n, d = grid
    path = write(tmp_path / "runs.csv", params=n, tokens=d, loss=chinchilla(n, d))
    refused = isoloss("fit", path, "--loss", "loss", "--predict", "1e9", "--json")
    assert refused.code == 2
    assert refused.json["error"]["message"] == "found '1e9', expected two numbers"


def test_how_parameters_count_is_said_or_known_and_not_contradicted(tmp_path, grid, fits):
    n, d = grid
    path = write(tmp_path / "runs.csv", params=n, tokens=d, loss=chinchilla(n, d))
    (said,) = fits(path, "--loss", "loss", "--params-convention", "total")
    (unsaid,) = fits(path, "--loss", "loss")
    assert (said["params_convention"], unsaid["params_convention"]) == ("total", "unstated")


def test_auto_chooses_a_law_and_says_which_were_tried(fits, grid, tmp_path):
    n, d = grid
    path = write(tmp_path / "runs.csv", params=n, tokens=d, loss=chinchilla(n, d), size=n)
    (found,) = fits(path, "--loss", "loss", "--trunk", "size", "--law", "auto", "--predict", "1e9,1e11")
    assert found["law"] == found["choice"]["law"] == "chinchilla"
    tried = {one["law"]: one["score"] for one in found["choice"]["tried"]}
    assert tried["chinchilla"] < tried["kaplan"]
    assert found["predictions"][0]["loss"]["value"] == pytest.approx(chinchilla(1e9, 1e11), rel=1e-3)


def test_a_run_is_predicted_by_the_names_of_what_the_law_reads(tmp_path, grid, fits, isoloss):
    n, d = grid
    path = write(tmp_path / "runs.csv", params=n, tokens=d, loss=chinchilla(n, d))
    (placed,), (named,) = (
        fits(path, "--loss", "loss", "--predict", point) for point in ("1e9,2e10", "tokens=2e10, params=1e9")
    )
    assert placed["predictions"] == named["predictions"]
    refused = isoloss("fit", path, "--loss", "loss", "--json", "--predict", "params=1e9,token=2e10")
    assert refused.json["error"]["fix"].startswith("did you mean 'tokens'")


def test_two_numbers_are_too_few_for_a_law_of_three_columns():
    with pytest.raises(InputError) as refused:
        points_of(["1e9,2e10"], laws["critical_batch"])
    assert "batch_tokens=" in refused.value.fix
