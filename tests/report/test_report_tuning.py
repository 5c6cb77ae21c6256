"""A sweep on the page: its answer, its rules next to the published ones, and edges that are marked and not fitted."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from report_studies import simulated_runs

from isoloss.fitting.fitting import fit
from isoloss.report.data import ReportData
from isoloss.report.figures.rates import best_rates
from isoloss.report.page import write_report
from isoloss.report.tables import replicates_table, variants_table
from isoloss.report.tuning import WORDS, optima_table, rules_table
from isoloss.runs.observations import observations
from isoloss.runs.replicates import replicate_noise
from isoloss.tuning.tuning import fit_tuning
from sweeps import sweep


@pytest.fixture(scope="module")
def tuned(small_study: ReportData) -> ReportData:
    names = [corpus.name for corpus in small_study.corpora]
    tuning = {
        names[0]: fit_tuning(names[0], sweep(noise=0.003), seed=0),
        names[1]: fit_tuning(names[1], sweep(noise=0.003, centre=20.0), seed=0),
    }
    return replace(small_study, laws={}, laws_unfiltered={}, balance=[], coverage={}, tuning=tuning)


def test_the_page_of_a_sweep_answers_about_trunks_and_shows_no_law(tuned: ReportData, tmp_path: Path) -> None:
    written = write_report(tuned, tmp_path)
    html, markdown = written.html.read_text(), written.markdown.read_text()
    verdicts = [tuning.verdict for tuning in tuned.tuning.values()]
    assert verdicts == ["one_trunk", "not_fitted"]
    assert all(WORDS[verdict] in html for verdict in verdicts)
    assert 'id="figure-rates"' in html
    assert "Iso-loss contours" not in html
    assert "peak\\_lr = {" in markdown
    assert "Step Law" in markdown


def test_rules_stand_next_to_the_published_exponents(tuned: ReportData) -> None:
    rows = {row.cells[0].text: [cell.text for cell in row.cells] for row in rules_table(tuned).rows}
    fitted, unfitted = list(rows.values())[:2]
    assert float(fitted[3].replace("−", "-")) == pytest.approx(-0.5, abs=0.05)
    assert unfitted[3] == "not fitted"
    assert rows["Porian et al. 2024"][3:8] == ["−0.333", "0", "–", "0.667", "0"]
    assert rows["Step Law (Li et al. 2025)"][3:8] == ["−0.713", "0.307", "–", "0", "0.571"]


def test_edges_are_marked_in_the_table_and_hollow_in_the_figure(tuned: ReportData) -> None:
    table = optima_table(tuned)
    first, second = tuned.tuning
    edge_rows = [row for row in table.rows if row.cells[0].text == second]
    assert all(cell.text.startswith("≤ ") for row in edge_rows for cell in row.cells[3:8])
    figure = best_rates(tuned.tuning)
    hollow = [
        all(tuple(colour[:3]) == (1, 1, 1) for colour in points.get_facecolor())
        for points in figure.axes[1].collections
    ]
    assert hollow
    assert all(hollow)
    assert not any(tuple(points.get_facecolor()[0][:3]) == (1, 1, 1) for points in figure.axes[0].collections)
    assert best_rates(tuned.tuning, layout="narrow").axes[0].get_ylabel() == "best peak rate"
    assert first in figure.axes[0].get_title(loc="left")


def test_variants_stand_side_by_side_with_how_far_they_move(small_study: ReportData) -> None:
    slow = {name: fit(replace_losses(small_study, name, 1.05)) for name in small_study.laws}
    data = replace(small_study, rate_arms={0.5: slow, 2.0: dict(small_study.laws)})
    table = variants_table(data)
    assert [column.unit for column in table.columns[1:4]] == ["rate × 0.5", "rate × 1", "rate × 2"]
    for row in table.rows:
        moved = [float(part.replace("−", "-")) for part in row.cells[7].text.split(", ")]
        a = [cell.sort for cell in row.cells[1:4]]
        assert moved[0] == pytest.approx(min(a[0] - a[1], 0), abs=0.006)
        assert moved[1] == pytest.approx(max(a[0] - a[1], 0), abs=0.006)


def replace_losses(study: ReportData, name: str, exponent: float):
    runs = study.observations.where(corpus=name)
    return replace(runs, loss_nats=runs.loss_nats**exponent)


def test_noise_between_seeds_stands_next_to_the_laws_error(small_study: ReportData) -> None:
    runs = simulated_runs(["cpp"])
    twice = observations(
        params=np.tile(runs.params, 2), tokens=np.tile(runs.tokens, 2),
        loss_nats=np.concatenate([runs.loss_nats, runs.loss_nats * 1.01]), corpus="cpp",
        trunk=[f"{trunk}-{seed}" for seed in (0, 1) for trunk in runs.trunk],
    )  # fmt: skip
    (row,) = replicates_table(replace(small_study, replicates={"cpp": replicate_noise(twice)})).rows
    # Two seeds 1 % apart at every size: a deviation of 1 % / √2, and no branch noise.
    assert [cell.text for cell in row.cells[:3]] == ["cpp", "4", "8"]
    assert row.cells[3].sort == pytest.approx(100 * np.log(1.01) / np.sqrt(2), rel=1e-6)
    assert row.cells[4].sort == pytest.approx(0, abs=1e-6)
