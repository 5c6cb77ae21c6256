"""A table needs the columns that the law reads, and no others; what nobody gave stays unknown."""

import importlib
import json

import numpy as np
import pandas as pd
import polars as pl
import pytest

from isoloss.core.errors import BadTable, InputError, NotApplicable
from isoloss.diagnostics.backtest import backtest
from isoloss.diagnostics.profile import profile
from isoloss.fitting.fitted import FittedLaw
from isoloss.fitting.fitting import fit
from isoloss.fitting.intervals import choose_method
from isoloss.fitting.table_checks import table_warnings
from isoloss.laws.chinchilla import Chinchilla
from isoloss.laws.loss_to_loss import pair_losses
from isoloss.laws.registry import APPROACHES, open_law
from isoloss.runs.observations import observations
from isoloss.runs.read_runs import read_runs
from isoloss.runs.replicates import count_replicates
from laws_zoo import CASES

OF_ONE = [name for name, case in CASES.items() if len(case.law.columns) == 1]


def bare(name: str, *, point_sd: float = 0.003) -> dict[str, np.ndarray]:
    """Return what the law reads and the losses alone, each place once: repeats of one size carry no other column."""
    case = CASES[name]
    (column,) = case.law.columns
    places, first = np.unique(case.columns[column], return_index=True)
    noise = np.random.default_rng(3).normal(0, point_sd, len(first))
    return {column: places, "loss_nats": case.loss()[first] * np.exp(noise)}


def test_laws_of_one_column_are_six_and_loss_to_loss():
    assert set(OF_ONE) == {
        "kaplan_params", "kaplan_tokens", "kaplan_flops", "offset_params", "offset_tokens", "offset_flops",
        "loss_to_loss",
    }  # fmt: skip


@pytest.mark.parametrize("name", OF_ONE)
def test_a_law_of_one_column_is_recovered_from_it_and_the_losses_alone(name):
    case = CASES[name]
    for table in (bare(name, point_sd=0.0), pd.DataFrame(bare(name, point_sd=0.0))):
        found = case.law().fit(table)
        # Noiseless: as in test_laws_zoo, rounding times the condition number.
        for parameter, value in case.truth.items():
            assert found.params[parameter].value == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize("name", OF_ONE)
def test_what_nobody_gave_is_unknown_to_the_law_on_disk_and_in_words(name, tmp_path):
    (column,) = CASES[name].law.columns
    law = fit(read_runs(bare(name), needs=(column,), extra={column: column} if column == "other_loss" else None),
              law=name, bootstrap=20)  # fmt: skip
    law.save(tmp_path / "law.json")
    domain = json.loads((tmp_path / "law.json").read_text())["domain"]
    unknown = {"params", "tokens", "flops"} - {column}
    assert all(domain[f"{other}_{end}"] is None for other in unknown for end in ("low", "high"))
    again = FittedLaw.load(tmp_path / "law.json")
    assert again.domain == law.domain
    assert set(again.domain.ranges) == {column}
    for other in unknown:
        with pytest.raises(NotApplicable, match=f"the {other} of the fitted runs are not known"):
            again.domain.span(other)
    text = law.summary()
    assert "not given" in text
    assert "does not split compute" in " ".join(text.split())
    far = float(bare(name)[column].max()) * 20
    assert law.predict_run(**{column: far}).extrapolation == pytest.approx(20)
    assert [w.code for w in law.predict_run(**{column: far}).warnings] == ["extrapolation"] * (column == "flops")
    parameter = "kappa" if column == "other_loss" else CASES[name].law.fixable[-1]
    table = read_runs(bare(name), needs=(column,), extra={column: column} if column == "other_loss" else None)
    assert profile(law, table, parameter).low < profile(law, table, parameter).high


def test_columns_of_a_table_alone_are_the_same_runs_with_the_others():
    case = CASES["kaplan_flops"]
    table = case.table(point_sd=0.003)
    alone = observations(flops=table.flops, loss_nats=table.loss_nats)
    assert not alone.has("params")
    assert not alone.has("tokens")
    assert fit(alone, law="kaplan_flops").params == fit(table, law="kaplan_flops").params
    assert alone.fingerprint != table.fingerprint


def test_every_container_holds_a_law_of_one_column():
    columns = bare("offset_params")
    home = CASES["offset_params"].law().fit(columns).params
    structured = np.rec.fromarrays(list(columns.values()), names=list(columns))
    for table in (structured, pd.DataFrame(columns), pl.DataFrame(columns)):
        assert CASES["offset_params"].law().fit(table).params == home, type(table)
    renamed = {"n": columns["params"], "val": columns["loss_nats"]}
    assert CASES["offset_params"].law().fit(renamed, params="n", loss="val").params == home
    other = bare("loss_to_loss")
    named = {"web": other["other_loss"], "loss_nats": other["loss_nats"]}
    of_losses = CASES["loss_to_loss"].law()
    assert of_losses.fit(named, extra={"other_loss": "web"}).params == of_losses.fit(other).params


def test_the_law_that_needs_a_column_asks_for_it_by_name():
    rows = bare("kaplan_flops") | {"parms": bare("kaplan_flops")["flops"] ** 0.5}
    with pytest.raises(BadTable) as refused:
        Chinchilla().fit(rows)
    assert refused.value.message == "no column 'params'"
    assert refused.value.fix.endswith("did you mean 'parms'? known: flops, loss_nats, parms")
    with pytest.raises(BadTable, match="neither a column 'flops' nor both 'params' and 'tokens'"):
        CASES["kaplan_flops"].law().fit(bare("kaplan_params"))
    with pytest.raises(BadTable, match="no column 'flop'"):  # named, and not there
        CASES["kaplan_params"].law().fit(bare("kaplan_params"), flops="flop")
    lone = observations(params=[1e6, 1e7, 1e8], loss_nats=[3.0, 2.5, 2.2], corpus=["web", "code", "code"])
    for ask in (lambda: lone.tokens, lambda: fit(lone), lambda: pair_losses(lone, other="web")):
        with pytest.raises(BadTable, match="a column 'tokens' is needed, but the table has params"):
            ask()


def test_a_column_without_a_value_is_none_and_one_with_some_is_asked_for_the_rest():
    rows = bare("offset_params")
    empty = rows | {"tokens": [None] * len(rows["params"])}
    assert not read_runs(empty, needs=("params",)).has("tokens")
    with pytest.raises(BadTable, match="empty cells?"):
        read_runs(rows | {"tokens": [1e9, *[None] * (len(rows["params"]) - 1)]}, needs=("params",))


def test_compute_is_known_where_it_follows_and_a_column_of_it_where_not():
    n, d = np.array([1e6, 1e7]), np.array([1e8, 1e9])
    table = {"params": n, "tokens": d, "flops": 7 * n * d, "loss_nats": [3.0, 2.5]}
    np.testing.assert_allclose(read_runs(table).flops, 6 * n * d)
    lone = {name: column for name, column in table.items() if name != "tokens"}
    np.testing.assert_allclose(read_runs(lone, needs=("params",)).flops, 7 * n * d)
    in_bytes = read_runs(table, bytes_per_token=4.0)
    np.testing.assert_allclose(in_bytes.flops, 6 * n * d)
    np.testing.assert_allclose(in_bytes.tokens, 4 * d)


def test_checks_that_need_a_column_are_silent_without_it_and_the_others_speak():
    losses = np.array([3.0, 2.8, 2.8, 2.5, 13.0])
    table = observations(flops=[1e15, 1e16, 1e16, 1e17, 1e18], loss_nats=losses)
    codes = [warning.code for warning in table_warnings(table, law=CASES["kaplan_flops"].law)]
    assert codes == ["duplicate_rows", "loss_above_uniform"]
    # Equal compute may be another size: nothing says that these two are replicates.
    assert count_replicates(table) == 0
    assert choose_method(table, "auto") == "parametric_trunks"


def test_a_hardly_trained_plateau_is_seen_along_compute():
    flops = np.geomspace(1e15, 1e21, 12)
    loss = np.where(flops < 1e17, 10.37, 2.0 + 1e3 / flops**0.18)
    (found,) = [w for w in fit(observations(flops=flops, loss_nats=loss), law="kaplan_flops").warnings
                if w.code == "unconverged_runs"]  # fmt: skip
    assert found.rows == (1, 2, 3, 4)
    assert "although their FLOPs span" in found.message


def test_a_backtest_takes_the_laws_and_the_neighbours_that_the_table_allows():
    rows = bare("offset_flops", point_sd=0.002)
    found = backtest(observations(**rows), holdout="flops", bootstrap=0)
    assert {score.law for score in found.scores} == {"kaplan_flops", "offset_flops", "nearest run"}
    assert found.scores[0].law == "offset_flops"
    with pytest.raises(BadTable, match="a column 'params' is needed"):
        backtest(observations(**rows), holdout="params", bootstrap=0)


def test_an_archive_says_how_its_columns_count(monkeypatch):
    rows = {
        "run": ["a", "b"], "trunk": ["a", "b"], "corpus": ["c", "c"], "flags": [[], []], "stderr": [0.1, 0.1],
        "vocab_size": [256, 256], "params": [10, 20], "params_total": [30, 40], "tokens": [1e6, 2e6],
        "loss_nats": [3.0, 2.0], "params_convention": ["with_head", "with_head"],
    }  # fmt: skip
    monkeypatch.setattr("isoloss.runs.read_runs._is_archive", lambda source: True)
    table = pd.DataFrame(rows)
    assert read_runs(table).params_convention == "with_head"
    assert read_runs(table, params="params_total").params_convention == "total"
    assert read_runs(table, params="params_total * 2").params_convention == "unstated"
    assert read_runs(table, params_convention="with_head").params_convention == "with_head"
    with pytest.raises(InputError, match="count parameters as 'with_head', but the call says 'total'"):
        read_runs(table, params_convention="total")


@pytest.mark.parametrize("name", sorted(APPROACHES))
def test_chinchillas_first_approaches_are_named_where_somebody_looks_for_a_law(name):
    module, function = APPROACHES[name].rsplit(".", 1)
    assert callable(getattr(importlib.import_module(module), function))
    with pytest.raises(InputError) as refused:
        open_law(name)
    assert function in refused.value.fix
