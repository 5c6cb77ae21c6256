"""`isoloss isoflop` from outside: a planted law comes back, and what has no optimum says why."""

import json

import numpy as np
import pytest

from isoloss.cli import run


@pytest.fixture
def sweep(tmp_path):
    """Five budgets of nine sizes from L = 1.7 + 400/N^.34 + 410/D^.28: a = .28/.62."""
    rows = ["n,t,c,val"]
    for flops in np.geomspace(1e18, 1e20, 5):
        best = (0.34 * 400 / (0.28 * 410)) ** (1 / 0.62) * (flops / 6) ** (0.28 / 0.62)
        for n in best * np.geomspace(0.2, 5, 9):
            t = flops / 6 / n
            rows.append(f"{n},{t},{flops},{1.7 + 400 * n**-0.34 + 410 * t**-0.28}")
    (tmp_path / "sweep.csv").write_text("\n".join(rows))
    return str(tmp_path / "sweep.csv")


COLUMNS = ("--params", "n", "--tokens", "t", "--loss", "val", "--flops", "c")


@pytest.mark.parametrize("curve", ["akima", "parabola"])
def test_the_exponent_of_the_planted_law_comes_back(capsys, sweep, curve):
    assert run(["isoflop", sweep, *COLUMNS, "--curve", curve, "--noise", "0.001", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["isoflop"]
    assert [budget["status"] for budget in found["budgets"]] == ["ok"] * 5
    for budget in found["budgets"]:
        ratio, size = budget["tokens_per_param"], budget["params"]
        assert ratio["value"] == pytest.approx(budget["flops"] / 6 / size["value"] ** 2)
        assert ratio["low"] <= ratio["value"] <= ratio["high"]
    exponent = found["laws"]["params"]["exponent"]
    assert exponent["low"] < 0.28 / 0.62 < exponent["high"]
    assert exponent["value"] == pytest.approx(0.28 / 0.62, abs=0.02)  # a grid step of ln N over the span of ln C


def test_budgets_whose_lowest_loss_is_at_an_edge_give_no_law_and_exit_1(capsys, sweep):
    where = "n < .9 * 1.32 * power(c / 6, .4516)"  # sizes below each budget's best
    assert run(["isoflop", sweep, *COLUMNS, "--where", where, "--json"]) == 1
    (found,) = json.loads(capsys.readouterr().out)["isoflop"]
    assert found["laws"] is None
    assert "smallest or the largest size" in found["no_law"]


def test_a_budget_without_an_optimum_shows_no_best_size(capsys, sweep):
    where = "n > 1.3 * 1.32 * power(c / 6, .4516) or c < 9e19"  # of the largest budget only sizes above its best
    assert run(["isoflop", sweep, *COLUMNS, "--where", where, "--noise", "0.001"]) == 0
    second, third = capsys.readouterr().out.split("approach 2:")[1].split("by approach 2")
    (edge,) = [line for line in second.splitlines() if line.startswith("10²⁰")]
    assert edge.split()[2:6] == ["–"] * 4
    (edge,) = [line for line in third.splitlines() if line.startswith("10²⁰")]
    assert edge.split()[1] == "–"


def test_flops_that_are_no_multiple_of_6nd_are_marked_at_approach_3(capsys, tmp_path, sweep):
    rows = ["n,t,c,val"]
    for c in np.geomspace(1e18, 1e20, 4):
        for n in np.geomspace(2e7, 2e9, 9):
            t = c / (6 * n + 3e8)
            rows.append(f"{n},{t},{c},{1.7 + 400 * n**-0.34 + 410 * t**-0.28}")
    (tmp_path / "own.csv").write_text("\n".join(rows))
    run(["isoflop", str(tmp_path / "own.csv"), *COLUMNS])
    output = capsys.readouterr().out
    assert "it counts C = 6ND, not the table's FLOPs" in " ".join(output.split())
    for table, counts in ((str(tmp_path / "own.csv"), "6ND"), (sweep, "table")):
        run(["isoflop", table, *COLUMNS, "--json"])
        (third,) = json.loads(capsys.readouterr().out)["approach_3"]
        assert third["counts"] == counts


def test_the_table_shows_a_person_what_was_found(capsys, sweep):
    assert run(["isoflop", sweep, *COLUMNS]) == 0
    output = capsys.readouterr().out
    assert output.count("inside") == 5
    assert "N* ∝ C^a: 0.45" in output


def test_approach_3_stands_next_to_approach_2(capsys, sweep):
    assert run(["isoflop", sweep, *COLUMNS, "--budgets", "1e19", "--json"]) == 0
    (third,) = json.loads(capsys.readouterr().out)["approach_3"]
    assert third["exponent_a"]["value"] == pytest.approx(0.28 / 0.62, abs=1e-3)  # the rows follow the form exactly
    assert 1e19 in [point["flops"] for point in third["frontier"]]


def test_runs_that_share_no_budgets_are_reported_what_would_let_them(capsys, tmp_path):
    rows = ["n,t,val"]
    generator = np.random.default_rng(0)
    for n in np.geomspace(1e7, 1e9, 6):
        for flops in (1e18, 1e19, 1e20):
            t = flops / 6 / n * np.exp(generator.uniform(-0.08, 0.08))
            rows.append(f"{n},{t},{1.7 + 400 * n**-0.34 + 410 * t**-0.28}")
    (tmp_path / "uneven.csv").write_text("\n".join(rows))
    run(["isoflop", str(tmp_path / "uneven.csv"), *COLUMNS[:6], "--tolerance", "0.001", "--json"])
    output = json.loads(capsys.readouterr().out)
    assert output["isoflop"] == []
    assert "--flops" in output["no_isoflop"]["all"]
    assert "--tolerance" in output["no_isoflop"]["all"]


def test_sizes_of_one_budget_at_two_token_counts_are_not_said_to_share_none(capsys, tmp_path):
    rows = ["n,t,c,val", "3e8,3e10,6e19,2.75", "5e8,2e10,6e19,2.65", "6e8,2e10,6e19,2.66"]
    (tmp_path / "two.csv").write_text("\n".join(rows))
    run(["isoflop", str(tmp_path / "two.csv"), *COLUMNS, "--json"])
    reason = json.loads(capsys.readouterr().out)["no_isoflop"]["all"]
    assert "3 sizes share the budget of 6e+19 FLOPs, but they have only 2 token counts" in reason
    assert "no three sizes" not in reason


def test_only_the_budgets_asked_for_are_listed_and_each_once(capsys, sweep):
    asked = ("--budgets", "1e19,1e23,1e19")
    assert run(["isoflop", sweep, *COLUMNS, *asked, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["flops"] for one in found["optima"]] == [1e19, 1e23]
    assert len(found["isoflop"][0]["budgets"]) == 5  # programs see all
    assert run(["isoflop", sweep, *COLUMNS, *asked]) == 0
    output = capsys.readouterr().out
    second, third = output.split("approach 2:")[1].split("by approach 2")
    assert second.count("inside") == 1
    assert "4 other budgets of the runs are not listed" in second
    rows = [line.split()[0] for line in third.splitlines() if line[:1].isdigit()]
    assert rows == ["10¹⁹", "10²³"]


def test_what_one_law_says_where_best_sizes_are_refused_is_marked(capsys, sweep):
    assert run(["isoflop", sweep, *COLUMNS, "--budgets", "1e19,1e23"]) == 0
    third = capsys.readouterr().out.split("by approach 2")[1]
    marked = {line.split()[0]: "extrapolation by one law" in line for line in third.splitlines() if line[:1].isdigit()}
    assert marked == {"10¹⁹": False, "10²³": True}


def test_checkpoints_without_a_trunk_are_said(capsys, tmp_path):
    rows = ["n,t,val"]
    for n in np.geomspace(1e8, 3e9, 5):
        rows += [f"{n},{t},{1.7 + 400 * n**-0.34 + 410 * t**-0.28}" for t in 5e9 * np.arange(1, 9)]
    (tmp_path / "even.csv").write_text("\n".join(rows))
    run(["isoflop", str(tmp_path / "even.csv"), *COLUMNS[:6], "--json"])
    (warning,) = json.loads(capsys.readouterr().out)["warnings"]
    assert "--trunk" in warning
