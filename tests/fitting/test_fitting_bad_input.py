"""Tables that earn a warning, each next to a neighbour that does not; tables in other units and other containers."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from isoloss.core.errors import BadTable, InputError
from isoloss.fitting.domain import LawWarning
from isoloss.fitting.fitting import fit
from isoloss.laws.chinchilla import Chinchilla
from isoloss.runs.observations import Observations, observations
from isoloss.runs.read_runs import read_runs
from laws_tables import DATA, chinchilla_rows, gzip_rows, simulated


def warned(table: Observations) -> dict[str, LawWarning]:
    return {warning.code: warning for warning in fit(table).warnings}


def changed(rows: Observations, **columns) -> Observations:
    kept = {"params": rows.params, "tokens": rows.tokens, "loss_nats": rows.loss_nats, "rows": rows.rows + 1}
    return observations(**(kept | columns))


GRID = simulated()


def test_a_loss_above_the_vocabularys_logarithm_is_named_by_row():
    assert warned(changed(GRID, vocab=300)) == {}
    worse = GRID.loss_nats.copy()
    worse[[4, 9]] = np.log(300) + np.array([0.2, 0.1])
    found = warned(changed(GRID, loss_nats=worse, vocab=300))["loss_above_uniform"]
    assert found.rows == (6, 11)
    assert "300 entries" in found.message
    assert "loss_above_uniform" not in warned(changed(GRID, loss_nats=worse))


def test_perplexities_are_known_for_what_they_are_without_a_vocabulary():
    large = changed(GRID, loss_nats=np.exp(GRID.loss_nats + 2))
    assert set(warned(large)["loss_above_uniform"].rows) == set(large.rows[large.loss_nats > np.log(300_000)])


def test_flops_that_no_count_explains_are_named_by_row():
    flops = GRID.flops * 2.5  # attention and embeddings may explain this: the factor is named, and no row
    assert set(warned(changed(GRID, flops=flops))) == {"other_flops"}
    flops[7] = GRID.params[7]
    assert warned(changed(GRID, flops=flops))["impossible_flops"].rows == (9,)
    exchanged = warned(changed(GRID, params=GRID.flops, flops=GRID.params))
    assert len(exchanged["impossible_flops"].rows) == len(GRID)


def test_exact_repeats_are_named_by_row():
    twice = [*range(20), 3, 5]
    assert warned(GRID.select(twice))["duplicate_rows"].rows == (4, 6)
    other = GRID.loss_nats[twice] * np.where(np.arange(22) < 20, 1, 1.001)
    assert warned(changed(GRID.select(twice), loss_nats=other)) == {}


def test_tokenizers_that_do_not_compare_are_named_by_row():
    names = ["gpt2"] * 18 + ["llama"] * 2
    assert warned(changed(GRID, tokenizer=names))["mixed_tokenizers"].rows == (20, 21)
    assert warned(changed(GRID, tokenizer=["gpt2"] * 20)) == {}
    assert warned(changed(GRID, vocab=[50_257] * 18 + [32_000] * 2))["mixed_tokenizers"].rows == (20, 21)
    assert warned(changed(GRID, vocab=[50_257] * 18 + [50_304] * 2)) == {}


def test_hardly_trained_runs_are_named_by_row():
    loss = np.where(GRID.tokens < 3e5, np.log(300) * 0.999, GRID.loss_nats)
    found = warned(changed(GRID, loss_nats=loss))["unconverged_runs"]
    assert found.rows == tuple(GRID.rows[GRID.tokens < 3e5] + 1)


def test_hardly_trained_runs_are_known_by_their_vocabulary():
    loss = GRID.loss_nats.copy()
    loss[[2, 7]] = np.log(300) * np.array([0.97, 0.999])
    found = warned(changed(GRID, loss_nats=loss, vocab=300))["unconverged_runs"]
    assert found.rows == (4, 9)
    # Two rows are no plateau, and a corpus with nothing to teach has no other losses.
    assert "unconverged_runs" not in warned(changed(GRID, loss_nats=loss))
    noise = np.log(300) * np.random.default_rng(0).uniform(0.9, 1, len(GRID))
    assert "unconverged_runs" not in warned(changed(GRID, loss_nats=noise, vocab=300))


def test_a_law_of_one_variable_does_not_judge_who_is_trained():
    rows = chinchilla_rows()
    for law in ("kaplan_params", "kaplan_tokens", "offset_params", "offset_tokens", "kaplan_flops"):
        assert "unconverged_runs" not in {warning.code for warning in fit(rows, law=law).warnings}, law


def test_the_gzip_papers_hardly_trained_runs_are_named_in_every_group():
    gzip_rows()  # skips where the data are not at hand
    table = read_runs(DATA / "gzip2024" / "gzip_pcfg_runs_150.csv", loss="train_loss_last5pct", corpus="dataset")
    near = [warned(table.where(corpus=corpus))["unconverged_runs"].rows for corpus in table.corpora]
    assert near == [(1,), (26,), (51, 52), (76, 77, 78, 79, 80), (101, 102)]


def test_little_data_and_other_units_are_not_exchanged_columns():
    for corpus in (rows := gzip_rows()).corpora:
        assert "columns_swapped" not in warned(rows.where(corpus=corpus)), corpus
    right = chinchilla_rows(outliers=True)
    exchanged = changed(right, params=right.tokens, tokens=right.params)
    assert "columns_swapped" in warned(exchanged)
    assert "columns_swapped" not in warned(right)
    units = warned(changed(right, params=right.params / 1e6, tokens=right.tokens / 1e9))
    assert "small_units" in units
    assert "columns_swapped" not in units


FOREIGN = {
    "size_m": GRID.params / 1e6,
    "data_b": GRID.tokens / 1e9,
    "bits": GRID.loss_nats / np.log(2),
    "written": [f"{n / 1e6:.17g}M" for n in GRID.params],
}


def test_other_units_are_formulas_over_columns(tmp_path):
    pd.DataFrame(FOREIGN).to_csv(tmp_path / "sweep.csv", index=False)
    home = fit(GRID)
    for params in ("size_m * 1e6", "written"):
        foreign = read_runs(tmp_path / "sweep.csv", params=params, tokens="data_b * 1e9", loss="bits * ln(2)")
        np.testing.assert_allclose(foreign.params, GRID.params, rtol=1e-12)
        found = fit(foreign)
        # The same numbers up to rounding: the optimum is the same up to what rounding leaves.
        assert [v.value for v in found.params.values()] == pytest.approx(
            [v.value for v in home.params.values()], rel=1e-6
        )


def test_a_formula_keeps_rows_apart_and_reaches_nothing_else(tmp_path):
    table = pd.DataFrame(FOREIGN)
    kept = read_runs(table, params="size_m*1e6", tokens="data_b*1e9", loss="bits*ln(2)", where="size_m > 0.02")
    np.testing.assert_allclose(kept.params, GRID.params[GRID.params > 2e4])
    assert kept.rows.tolist() == GRID.rows[GRID.params > 2e4].tolist()
    named = {"tokens": "data_b*1e9", "loss": "bits"}
    for formula, said in (
        ("size_mm * 1e6", "did you mean 'size_m'"),
        ("max(size_m)", "GROUP BY"),
        ("size_m) FROM read_csv('/etc/passwd') --", "disabled"),
        ("size_m - size_m", "above zero"),
        ("sizem", "did you mean 'size_m'"),
    ):
        with pytest.raises(BadTable) as refused:
            read_runs(table, params=formula, **named)
        assert said in str(refused.value), formula
    table["written"] = ["12X"] + ["1e6"] * 19
    with pytest.raises(BadTable, match=r"column written, row 1: found '12X'"):
        read_runs(table, params="written", **named)


def test_a_law_fits_whatever_holds_columns():
    columns = {"params": GRID.params, "tokens": GRID.tokens, "loss_nats": GRID.loss_nats}
    home = fit(GRID).params
    structured = np.rec.fromarrays(list(columns.values()), names=list(columns))
    for table in (columns, structured, pd.DataFrame(columns), pl.DataFrame(columns), GRID.to_arrow(), GRID):
        assert Chinchilla().fit(table, bootstrap=0).params == home, type(table)
    renamed = {"n": GRID.params, "d": GRID.tokens, "val": GRID.loss_nats.tolist()}
    assert Chinchilla().fit(renamed, bootstrap=0, params="n", tokens="d", loss="val").params == home
    with pytest.raises(InputError, match="together with observations"):
        Chinchilla().fit(GRID, params="n")
    with pytest.raises(BadTable, match="n: 20, d: 3"):
        Chinchilla().fit({"n": GRID.params, "d": [1.0, 2.0, 3.0]}, params="n")
    with pytest.raises(InputError, match="expected a path"):
        Chinchilla().fit([1, 2, 3])


def test_a_bad_number_is_named_by_file_column_and_row(tmp_path):
    table = pd.DataFrame(FOREIGN)
    table.loc[4, "bits"] = np.inf
    table.loc[7, "bits"] = -1.0
    table.to_csv(tmp_path / "sweep.csv", index=False)
    named = {"params": "size_m * 1e6", "tokens": "data_b * 1e9"}
    with pytest.raises(BadTable) as refused:
        read_runs(tmp_path / "sweep.csv", loss="bits", **named)
    assert refused.value.place == f"{tmp_path / 'sweep.csv'}, column bits, row 5"
    assert refused.value.message == "found inf, expected a finite number"
    table.loc[4, "bits"] = 2.0
    with pytest.raises(BadTable, match="DataFrame, column bits, row 8: found -1, expected a number above zero"):
        read_runs(table, loss="bits", **named)


def test_counts_in_millions_are_named_by_row():
    assert "small_units" not in warned(GRID)
    found = warned(changed(GRID, params=GRID.params / 1e6))["small_units"]
    assert found.rows == tuple((GRID.rows + 1).tolist())
    assert '--params "… * 1e6", or 1e9' in found.message
    one = GRID.tokens.copy()
    one[3] /= 1e6
    assert warned(changed(GRID, tokens=one))["small_units"].rows == (5,)


def test_counts_that_were_multiplied_once_more_are_named_by_row():
    published = chinchilla_rows()
    for rows in (GRID, published):
        assert "large_units" not in warned(rows)
    scale = 2e14 / np.sort(GRID.params)[-3]  # of which the largest sizes alone lie above
    found = warned(changed(GRID, params=GRID.params * scale))["large_units"]
    assert found.rows == tuple((GRID.rows + 1)[GRID.params * scale > 1e14].tolist())
    assert 0 < len(found.rows) < len(GRID)
    assert "--params" in found.message
    one = GRID.tokens.copy()
    one[3] = 1e18
    assert warned(changed(GRID, tokens=one))["large_units"].rows == (5,)


def test_a_tables_own_columns_of_tokenizer_and_vocabulary_are_looked_at_unasked():
    table = pd.DataFrame({"params": GRID.params, "tokens": GRID.tokens, "loss_nats": GRID.loss_nats})
    mixed = read_runs(table.assign(tokenizer=["gpt2"] * 18 + ["llama"] * 2))
    assert warned(mixed)["mixed_tokenizers"].rows == (19, 20)
    assert warned(read_runs(table.assign(vocab_size=2)))["loss_above_uniform"].rows
    # Said of some rows, or not in numbers: nothing is known of the others.
    for column in ({"tokenizer": ["gpt2"] * 19 + [None]}, {"vocab_size": ["large"] * 20}):
        assert warned(read_runs(table.assign(**column))) == {}
