"""What people with tables of their own ask for: groups over columns, the best of several runs, a table that prints."""

import numpy as np
import pytest

from isoloss.core.errors import BadTable, did_you_mean
from isoloss.runs.observations import observations
from isoloss.runs.read_runs import read_runs

TABLE = {
    "n": [1e7, 1e7, 2e7, 2e7, 1e7, 2e7], "d": [1e9, 1e9, 1e9, 1e9, 1e9, 1e9], "l": [3.1, 3.0, 2.9, 2.8, 3.3, 2.7],
    "data": ["web", "web", "web", "web", "code", "code"], "tok": ["a", "a", "b", "a", "a", "a"],
}  # fmt: skip
NAMES = {"params": "n", "tokens": "d", "loss": "l"}


def test_groups_over_several_columns_are_their_combinations():
    runs = read_runs(TABLE, corpus="data, tok", **NAMES)
    assert runs.corpora == ["web / a", "web / b", "code / a"]
    with pytest.raises(BadTable, match="toc"):
        read_runs(TABLE, corpus="data,toc", **NAMES)


def test_a_column_with_a_comma_in_its_name_is_itself():
    assert read_runs({**TABLE, "data,tok": TABLE["data"]}, corpus="data,tok", **NAMES).corpora == ["web", "code"]


def test_the_best_run_of_every_corpus_size_and_token_count_stays():
    best = read_runs(TABLE, corpus="data", **NAMES).best()
    assert best.rows.tolist() == [2, 4, 5, 6]
    assert best.loss_nats.tolist() == [3.0, 2.8, 3.3, 2.7]
    assert best.best().fingerprint == best.fingerprint


@pytest.mark.parametrize("count", [3, 200])
def test_a_printed_table_shows_its_numbers_and_how_many_there_are(count):
    params = np.geomspace(1e6, 1e9, count)
    runs = observations(params=params, tokens=params * 20, loss_nats=np.linspace(4, 2, count), corpus="<web>")
    output = str(runs)
    assert f"{count} runs" in output
    assert "1e+06" in output
    assert len(output.splitlines()) < 15
    assert "&lt;web&gt;" in runs._repr_html_()
    assert repr(runs) == output


def test_of_many_columns_the_nearest_are_named():
    names = [f"metric/{i}/value" for i in range(80)] + ["eval/final_loss", "n_params"]
    output = did_you_mean("loss_nats", names)
    assert "eval/final_loss" in output
    assert len(output) < 600  # twenty names
    with pytest.raises(BadTable) as refused:
        read_runs({**{name: [1.0, 2.0] for name in names}, "n": [1.0, 2.0], "d": [1.0, 2.0]}, params="n", tokens="d")
    assert "eval/final_loss" in str(refused.value.fix)
    with pytest.raises(BadTable) as refused:
        read_runs({name: [1.0, 2.0] for name in names}, params="n_params", tokens="n_params", loss="n_params",
                  where="final_loss < 3")  # fmt: skip
    assert "eval/final_loss" in str(refused.value.fix)
