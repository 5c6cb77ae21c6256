"""What a fit refuses, leaves out, warns of, remembers and derives."""

import json
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from isoloss.core.errors import BadTable, InputError, NewerArchive, Unidentified, UnknownName
from isoloss.core.estimate import Estimate
from isoloss.fitting.fitted import FittedLaw
from isoloss.fitting.fitting import fit, fit_groups, posed_again
from isoloss.laws import compiled
from isoloss.laws.chinchilla import Chinchilla
from isoloss.runs.observations import observations
from isoloss.runs.read_runs import read_runs
from laws_tables import DEMO_LAW, simulated


@pytest.fixture(scope="module")
def law() -> FittedLaw:
    return fit(simulated(seed=1), bootstrap=300, seed=7)


def codes(fitted: FittedLaw) -> set[str]:
    return {warning.code for warning in fitted.warnings}


def row_table(*, params, tokens, loss, **more):
    return observations(params=params, tokens=tokens, loss_nats=loss, **more)


def test_frontier_is_the_least_loss_on_its_budget(law):
    for point in law.frontier(flops=[1e10, 1e11, 1e13]):
        least = minimize_scalar(
            lambda log_n, flops=point.flops: float(law.predict(params=np.exp(log_n), tokens=flops / 6 / np.exp(log_n))),
            bracket=(5.0, 12.0),
        )
        # A minimum is known to the root of double precision.
        assert np.log(point.params.value) == pytest.approx(least.x, abs=1e-6)
        assert point.loss.value == pytest.approx(least.fun, rel=1e-12)
        assert 6 * point.params.value * point.tokens.value == pytest.approx(point.flops)
        assert point.log_ratio.value == pytest.approx(np.log(point.tokens.value / point.params.value))


def test_a_draw_whose_best_size_is_no_number_leaves_the_frontier_as_it_is(law):
    flat = np.array([law.values[0], 1e-3, 10.0, 1e-3, 1e-3])  # N* = (A/B)^(1/2e-3): no float is so small
    one = replace(law, draws=np.vstack([law.draws, flat]))
    point, before = one.frontier(flops=[1e10])[0], law.frontier(flops=[1e10])[0]
    assert point.params.value == before.params.value
    assert point.loss.value == before.loss.value


def test_a_frontier_of_sizes_is_the_one_of_their_budgets(law):
    by_budget = law.frontier(flops=[1e9, 1e12, 1e15])
    by_size = law.frontier(params=[point.params.value for point in by_budget])
    assert [point.flops for point in by_size] == pytest.approx([1e9, 1e12, 1e15], rel=1e-6)
    with pytest.raises(InputError, match="budgets or sizes"):
        law.frontier(flops=[1e9], params=[1e5])


def test_exponent_is_the_frontiers_slope(law):
    low, high = law.frontier(flops=[1e10, 1e12])
    slope = np.log(high.params.value / low.params.value) / np.log(100)
    assert law.exponent_a().value == pytest.approx(slope)


def test_intervals_of_derived_quantities_come_from_draws(law):
    ratio = law.log_ratio(1e11)
    draws = law.log_ratio_draws(1e11)
    assert (ratio.low, ratio.high) == pytest.approx(tuple(np.quantile(draws, [0.025, 0.975])))
    point = law.predict_estimate(params=1e5, tokens=1e6)
    assert point.low < point.value < point.high
    # The point lies on the grid: its loss is known about as well as the noise of .4 %.
    assert point.width < 0.02 * point.value


def test_extrapolation_says_how_far(law):
    inside, outside = law.frontier(flops=[1e11, 1e15])
    assert inside.interpolated
    assert inside.extrapolation == 1
    assert not outside.interpolated
    # 1e15 against the largest run, 6 · 2.5e5 · 1e6.
    assert outside.extrapolation == pytest.approx(1e15 / 1.5e12)
    assert outside.loss.width > inside.loss.width


def test_law_refuses_another_convention_and_unit(law):
    other = row_table(params=[1e5], tokens=[1e6], loss=[1.0], params_convention="total")
    with pytest.raises(InputError, match="'unstated', but the call as 'total'"):
        law.residuals(other)
    with pytest.raises(InputError, match="in tokens, the table in bytes"):
        law.residuals(row_table(params=[1e5], tokens=[1e6], loss=[1.0], data_unit="bytes"))
    with pytest.raises(InputError, match="convention|counts"):
        law.predict(params=1e5, tokens=1e6, convention="with_head")
    with pytest.raises(InputError, match="above zero"):
        law.predict(params=-1, tokens=1e6)
    with pytest.raises(InputError, match="budget"):
        law.optimum(-3)


def test_residuals_are_those_of_ln_loss(law):
    table = simulated(seed=1)
    residuals = law.residuals(table)
    expected = np.log(table.loss_nats) - np.log(law.predict(params=table.params, tokens=table.tokens))
    np.testing.assert_allclose(residuals, expected)
    assert np.sqrt(np.mean(residuals**2)) == pytest.approx(law.rmse)


def test_saved_law_comes_back_whole(law, tmp_path):
    law.save(tmp_path / "law.json")
    again = FittedLaw.load(tmp_path / "law.json")
    assert again.to_json() == law.to_json()
    assert (again.draws == law.draws).all()
    assert again.convergence == law.convergence
    assert again.optimum(1e11) == law.optimum(1e11)


def test_damaged_and_foreign_files_are_refused(law, tmp_path):
    path = tmp_path / "law.json"
    with pytest.raises(InputError, match="no such file"):
        FittedLaw.load(path)
    path.write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        FittedLaw.load(path)
    path.write_text("[]")
    with pytest.raises(InputError, match="not a fitted law"):
        FittedLaw.load(path)
    law.save(path)
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"schema": 99}))
    with pytest.raises(NewerArchive, match="schema 99"):
        FittedLaw.load(path)
    path.write_text(json.dumps({key: value for key, value in content.items() if key != "domain"}))
    with pytest.raises(InputError, match="domain"):
        FittedLaw.load(path)
    path.write_text(json.dumps(content))
    (tmp_path / "law.draws.parquet").unlink()
    with pytest.raises(InputError, match="draws"):
        FittedLaw.load(path)


def test_summary_shows_everything_in_88_columns(law):
    text = law.summary()
    assert max(len(line) for line in text.splitlines()) <= 88
    for said in ("L = E + A/N^α + B/D^β", "agreeing", "alpha", "a (N* ∝ C^a)", "ln D/N"):
        assert said in text
    assert "std err" in text
    assert "noise of a run's loss" in text


class _Cells(HTMLParser):
    """The text of every cell of a page's tables, and the tags there are."""

    def __init__(self, page):
        super().__init__()
        self.cells, self.tags = [], set()
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_data(self, data):
        if self.cells:
            self.cells[-1] += data


def test_a_notebook_shows_tables_and_escapes_names(law):
    named = FittedLaw(**(vars(law) | {"group": "<script>alert(1)</script>"}))
    for page in (named._repr_html_(), named.summary()._repr_html_()):
        found = _Cells(page)
        assert {"table", "thead", "tr", "td"} <= found.tags
        assert "script" not in found.tags
        assert f"{law.params['alpha'].value:.6g}" in found.cells
        assert {"alpha", "estimate", "std err"} <= set(found.cells)
    assert repr(law.summary()) == str(law.summary())


def test_json_has_the_keys_of_the_command_line(law):
    assert {
        "group", "law", "params", "exponent_a", "objective_value", "converged", "starts_agreeing", "condition_number",
        "warnings", "rows_used", "excluded", "fit_seconds", "bootstrap_seconds",
    } <= law.to_json().keys()  # fmt: skip
    json.dumps(law.to_json(), allow_nan=False)


def test_same_inputs_give_the_same_bytes():
    table = simulated(seed=2)
    one, two = (fit(table, bootstrap=50, seed=3) for _ in range(2))
    assert (one.draws == two.draws).all()
    assert not (fit(table, bootstrap=50, seed=4).draws == one.draws).any()


def test_too_little_is_refused_with_the_remedy():
    few = simulated(sizes=(1e4, 1e5), tokens=(1e5, 1e6))
    with pytest.raises(BadTable, match="4 rows, expected at least 6") as refused:
        fit(few)
    assert refused.value.exit_code == 2
    assert "add runs" in str(refused.value.fix)
    with pytest.raises(BadTable, match="same parameters"):
        fit(simulated(sizes=(1e5,), tokens=np.geomspace(1e4, 1e6, 9)))
    with pytest.raises(BadTable, match="same tokens"):
        fit(simulated(sizes=np.geomspace(1e4, 1e6, 9), tokens=(1e5,)))
    with pytest.raises(BadTable, match="only 1 distinct combinations"):
        fit(row_table(params=[1e5] * 10, tokens=[1e6] * 10, loss=[2.0] * 10))
    with pytest.raises(BadTable, match="same loss"):
        fit(row_table(params=np.geomspace(1e4, 1e6, 9), tokens=np.geomspace(1e5, 1e7, 9), loss=[2.0] * 9))


def test_unknown_names_are_answered_with_the_nearest():
    table = simulated()
    with pytest.raises(UnknownName, match="chinchila") as unknown:
        fit(table, law="chinchila")
    assert "chinchilla" in str(unknown.value.fix)
    for wrong in ({"objective": "hubber"}, {"starts": "hofmann"}, {"method": "row"}, {"weights": "stder"}):
        with pytest.raises(InputError) as refused:
            fit(table, bootstrap=2, **wrong)
        assert "did you mean" in str(refused.value.fix)


def test_flagged_runs_are_left_out_and_listed():
    table = simulated(seed=6)
    flags = [("unconverged",) if i == 3 else ("saturated", "slow") if i == 9 else ("slow",) for i in range(len(table))]
    flagged = observations(
        params=table.params,
        tokens=table.tokens,
        loss_nats=table.loss_nats,
        flags=flags,
        run=[f"r{i}" for i in range(20)],
    )
    found = fit(flagged)
    assert [(e.row, e.run, e.reason) for e in found.excluded] == [
        (4, "r3", "flagged unconverged"), (10, "r9", "flagged saturated"),
    ]  # fmt: skip
    assert found.rows_used == 18
    assert fit(flagged, exclude_flags=()).rows_used == 20
    used, _ = posed_again(found, flagged)
    assert used.fingerprint == found.observations


def test_groups_are_fitted_apart():
    one, two = simulated(corpus="one"), simulated(corpus="two", seed=1)
    both = observations(
        params=np.concatenate([one.params, two.params]), tokens=np.concatenate([one.tokens, two.tokens]),
        loss_nats=np.concatenate([one.loss_nats, two.loss_nats]), corpus=[*one.corpus, *two.corpus],
    )  # fmt: skip
    fits = fit_groups(both)
    assert [law.group for law in fits] == ["one", "two"]
    assert fits[0].params == fit(one).params
    assert fit(both).group == "all"


def test_fixed_parameters_stay():
    found = fit(simulated(seed=8), fixed={"E": 0.7}, bootstrap=50)
    assert found.params["E"] == Estimate(value=0.7, low=0.7, high=0.7)
    assert found.fixed == ("E",)
    assert "E_not_identified" not in codes(found)
    with pytest.raises(InputError, match="fix 'A'"):
        fit(simulated(), fixed={"A": 1.0})


def test_weights_from_standard_errors_outweigh_a_bad_row():
    table = simulated(point_sd=1e-4, seed=9)
    loss, stderr = table.loss_nats.copy(), np.full(20, 1e-3)
    loss[7] *= 1.2
    stderr[7] = 1.0
    bad = observations(params=table.params, tokens=table.tokens, loss_nats=loss, stderr=stderr)
    weighted = fit(bad, objective="gaussian", weights="stderr")
    assert weighted.params["alpha"].value == pytest.approx(DEMO_LAW["alpha"], rel=0.02)
    assert fit(bad, objective="gaussian").params["alpha"].value != pytest.approx(DEMO_LAW["alpha"], rel=0.02)
    with pytest.raises(InputError, match="needs standard errors"):
        fit(table, weights="stderr")


def test_warnings_name_what_the_grid_cannot_show():
    assert codes(fit(simulated())) == set()
    narrow = fit(simulated(sizes=(1e5, 1.3e5, 1.7e5, 2.2e5)))
    assert "narrow_grid" in codes(narrow)
    without_floor = DEMO_LAW | {"E": 1e-9}
    assert "E_not_identified" in codes(fit(simulated(law=without_floor)))
    table = simulated()
    twice = table.select([*range(20), 3])
    assert "duplicate_rows" in codes(fit(twice))
    assert all(". " in warning.message for warning in narrow.warnings), "a warning ends with its remedy"


def test_a_plateau_of_hardly_trained_runs_is_named():
    table = simulated()
    loss = np.where(table.tokens < 3e5, np.log(300) * 0.999, table.loss_nats)
    found = fit(row_table(params=table.params, tokens=table.tokens, loss=loss))
    assert {"poor_fit", "unconverged_runs"} <= codes(found)


def test_a_law_that_does_not_fall_with_size_has_no_frontier():
    table = simulated(law=DEMO_LAW | {"A": 1e-12}, point_sd=0.0)
    found = fit(table)
    flat = FittedLaw(**{**vars(found), "params": found.params | {"alpha": Estimate(value=0.0)}})
    with pytest.raises(Unidentified, match="no optimum inside") as refused:
        flat.frontier(flops=[1e11])
    assert refused.value.exit_code == 1
    assert flat.to_json()["exponent_a"] is None
    assert "no frontier" in flat.summary()


def test_unreached_optimum_does_not_count_as_converged(monkeypatch):
    monkeypatch.setattr("isoloss.fitting.engine.MOST_STEPS", 1)
    found = fit(simulated())
    assert not found.convergence.converged
    assert {"not_converged", "few_agreeing_starts"} <= codes(found)


@compiled
def _power_law(free, features, log_loss, jacobian):
    for i in range(log_loss.size):
        log_loss[i] = free[0] - free[1] * features[1, i]
        jacobian[0, i] = 1.0
        jacobian[1, i] = -features[1, i]


class PowerOfTokens(Chinchilla):
    """L = B/D^β: a law of a user's own, by a kernel, two transformations, bounds and starts."""

    name = "power_of_tokens"
    formula = "L = B/D^β"
    parameters = ("B", "beta")
    fixable = ("beta",)
    kernel = _power_law

    @staticmethod
    def to_free(values, origin):
        return np.stack([np.log(values[..., 0]) - values[..., 1] * origin[1], values[..., 1]], axis=-1)

    @staticmethod
    def to_values(free, origin):
        return np.stack([np.exp(free[..., 0] + free[..., 1] * origin[1]), free[..., 1]], axis=-1)

    @staticmethod
    def bounds(features, log_loss):
        return np.array([-50.0, 0.0]), np.array([50.0, 5.0])

    @staticmethod
    def automatic_starts(features, log_loss):
        return np.array([[0.0, 0.1], [0.0, 1.0]])

    @staticmethod
    def loss(values, *, params, tokens):
        return values[..., 0] * tokens ** -values[..., 1]

    @staticmethod
    def log_optimum(values, *, log_flops):
        return np.full(values.shape[:-1], np.nan)

    @staticmethod
    def exponent_a(values, *, log_flops):
        return np.full(values.shape[:-1], np.nan)


class Shadow(Chinchilla):
    """Another class under a registered law's name."""


def test_a_law_of_ones_own_is_one_class(tmp_path):
    tokens = np.geomspace(1e5, 1e8, 12)
    table = row_table(params=np.geomspace(1e4, 1e6, 12), tokens=tokens, loss=20 * tokens**-0.15)
    found = PowerOfTokens().fit(table, bootstrap=20)
    assert found.params["beta"].value == pytest.approx(0.15)
    assert found.law == "test_fitting:PowerOfTokens"
    found.save(tmp_path / "law.json")
    again = FittedLaw.load(tmp_path / "law.json")
    assert again.predict(params=1e5, tokens=1e6) == pytest.approx(20 * 1e6**-0.15)
    assert fit(table, law="test_fitting:PowerOfTokens").params == fit(table, law=PowerOfTokens).params


def test_a_law_made_in_a_function_is_held_by_its_fit(tmp_path):
    class Local(PowerOfTokens):
        """As a notebook's cell makes one: nothing can import it again."""

        name = "local"

    tokens = np.geomspace(1e5, 1e8, 12)
    table = row_table(params=np.geomspace(1e4, 1e6, 12), tokens=tokens, loss=20 * tokens**-0.15)
    found = Local().fit(table, bootstrap=20)
    assert found.definition is Local
    assert found.predict(params=1e5, tokens=1e6) == pytest.approx(20 * 1e6**-0.15)
    assert "beta" in str(found.summary())
    assert found.to_json()["law"].endswith("Local")
    with pytest.raises(InputError, match="Local"):
        found.save(tmp_path / "law.json")
    assert not list(tmp_path.iterdir())


def test_a_law_made_in_a_function_has_the_frontier_of_the_same_law_of_a_module():
    class Local(Chinchilla):
        """The same formula in a class that nothing can import."""

        name = "local"

    table = simulated()
    own, registered = Local().fit(table, bootstrap=20), Chinchilla().fit(table, bootstrap=20)
    assert own.frontier(flops=[1e12, 1e15]) == registered.frontier(flops=[1e12, 1e15])
    assert own.frontier(params=[1e6])[0].flops == registered.frontier(params=[1e6])[0].flops
    assert own.exponent_a() == registered.exponent_a()


def test_a_class_of_a_running_script_cannot_be_saved_and_one_of_a_taken_name_is_saved_as_itself(tmp_path, monkeypatch):
    """`__main__` of whoever opens a file is another program. A registered name belongs to the registered law."""
    table = simulated()
    monkeypatch.setattr(Shadow, "__module__", "__main__")
    with pytest.raises(InputError, match="__main__"):
        Shadow().fit(table).save(tmp_path / "law.json")
    assert not list(tmp_path.iterdir())
    monkeypatch.undo()
    Shadow().fit(table).save(tmp_path / "law.json")
    assert FittedLaw.load(tmp_path / "law.json").definition is Shadow


def test_draws_without_an_optimum_take_the_interval_away():
    # A loss that falls with size by less than its noise: α reaches 0 in many draws, and with it the optimum goes.
    law = DEMO_LAW | {"A": 0.02 * 1e5**0.05, "alpha": 0.05}
    found = fit(simulated(law=law, point_sd=0.01, seed=0), bootstrap=200)
    assert np.mean(~np.isfinite(found.log_ratio_draws(1e11))) > 0.025
    assert "frontier_not_identified" in codes(found)
    assert found.exponent_a().low is None
    json.dumps(found.to_json(), allow_nan=False)


def test_exchanged_columns_are_warned_of_by_value_and_by_name(tmp_path):
    sizes, tokens = np.meshgrid(np.geomspace(1e7, 1e9, 5), np.geomspace(1e9, 1e11, 5))
    loss = 1.8 + 480 / sizes**0.35 + 2100 / tokens**0.37
    path = tmp_path / "runs.csv"
    rows = zip(sizes.ravel(), tokens.ravel(), loss.ravel(), strict=True)
    path.write_text("params,tokens,loss\n" + "".join(f"{n},{d},{y}\n" for n, d, y in rows))
    right = fit(read_runs(path, loss="loss"))
    assert "columns_swapped" not in codes(right)
    wrong = fit(read_runs(path, params="tokens", tokens="params", loss="loss"))
    # The law is alike in both: the optimum is as good, only the names and the ratio tell.
    assert wrong.objective_value == pytest.approx(right.objective_value, rel=1e-6, abs=1e-12)
    (warning,) = [warning for warning in wrong.warnings if warning.code == "columns_swapped"]
    assert "24 of 25 rows have fewer tokens than parameters" in warning.message
    assert "called 'tokens'" in warning.message


def test_names_alone_show_where_values_cannot():
    sizes, tokens = (part.ravel() for part in np.meshgrid(np.geomspace(1e7, 1e9, 4), np.geomspace(1e8, 1e10, 4)))
    loss = 1.8 + 480 / sizes**0.35 + 2100 / tokens**0.37
    for named, expected in (
        ({"params": "n_tokens", "tokens": "n_params"}, True),
        ({"params": "n", "tokens": "tokens_per_param"}, False),
        ({}, False),
    ):
        law = fit(observations(params=sizes, tokens=tokens, loss_nats=loss, named=named))
        assert ("columns_swapped" in codes(law)) == expected


def test_outliers_are_named_and_others_are_not():
    rows = simulated(point_sd=0.002, single=True, seed=5)
    assert fit(rows).outliers(rows) == []
    moved = rows.loss_nats.copy()
    moved[7] *= 1.1
    law = fit(replace(rows, loss_nats=moved))
    (found,) = law.outliers(replace(rows, loss_nats=moved))
    assert found.row == 8
    assert found.residual == pytest.approx(np.log(1.1), abs=0.01)  # five times the rows' noise
