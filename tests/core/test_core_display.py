"""Tables in notebooks: every number is there, every text is text."""

import re

import pytest

from isoloss.core.display import as_cell, rows_table
from isoloss.core.estimate import Estimate
from isoloss.fitting.fitting import fit
from isoloss.optima.best_size import best_sizes
from isoloss.planning.shipped import shipped_runs
from isoloss.runs.observations import observations


def cells(html):
    """The rows of a table as text, the heading first."""
    rows = re.findall(r"<tr>(.*?)</tr>", html)
    return [re.findall(r"<t[hd]>(.*?)</t[hd]>", row) for row in rows]


def test_hostile_names_stay_text():
    html = rows_table([{"corpus": "<script>alert(1)</script>", "n": 1.0}], note="a < b & c")
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "a &lt; b &amp; c" in html


def test_a_table_without_rows_is_one_all_the_same():
    assert cells(rows_table([])) == []


def test_an_estimate_is_shown_with_its_interval():
    assert as_cell(Estimate(value=47.2, low=38.0, high=58.4)) == "47.2 [38, 58.4]"
    assert as_cell(Estimate(value=47.2)) == "47.2"
    assert Estimate(value=0.0, low=None, high=1.0).exponential().high == pytest.approx(2.718281828)
    assert Estimate(value=0.0, low=0.0, high=1e4).exponential().high == float("inf")


def test_runs_laws_optima_and_frontiers_are_tables():
    runs = shipped_runs().where(corpus="python")
    head, *rows = cells(runs._repr_html_())
    assert "params" in head
    assert len(rows) == 10
    assert f"{len(runs)} runs" in runs._repr_html_()
    law = fit(runs)
    assert {"E", "A", "B", "alpha", "beta"} <= {row[0] for row in cells(law._repr_html_())}
    frontier = law.frontier(flops=[1e10, 1e11])
    head, *rows = cells(frontier._repr_html_())
    assert len(rows) == 2
    ratio = float(rows[0][head.index("tokens per parameter")])
    assert ratio == pytest.approx(frontier[0].tokens.value / frontier[0].params.value, rel=5e-3)  # three digits
    best = best_sizes(runs, budgets=[1e11], draws=20)
    assert cells(best._repr_html_())[1][0] == "python"
    assert best == [*best]  # a list like any other


def test_a_table_of_losses_alone_is_shown():
    html = observations(loss_nats=[2.0, 1.5], flops=[1e9, 1e10])._repr_html_()
    assert len(cells(html)) == 3
