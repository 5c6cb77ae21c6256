"""What the report says first, what it refuses, and what a paper takes from it."""

import re
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest

from isoloss.core.estimate import Estimate
from isoloss.core.numbers import si
from isoloss.fitting.domain import LawWarning
from isoloss.laws.law import Law
from isoloss.laws.registry import laws, open_law
from isoloss.optima.best_size import BestSize
from isoloss.optima.lack_of_fit import LackOfFit
from isoloss.report.answers import lines_title, split_lines, verdicts
from isoloss.report.checklist import UNRECORDED, algorithm, checklist_table
from isoloss.report.data import ReportData
from isoloss.report.drawings import residual_picture
from isoloss.report.paper import bibtex, methods_paragraph
from isoloss.report.refusals import misfit
from isoloss.report.sections import sections
from isoloss.report.tables import fit_table


class Power(Law):
    """A law that states its formula and no kernel."""

    name = "power"
    formula = "L = A/N^α"
    limits: ClassVar = {"A": (1e-3, 1e9), "alpha": (0, 3)}

    @staticmethod
    def loss_of_run(A, alpha, params):
        return A / params**alpha


def estimate(value: float, low: float, high: float) -> Estimate:
    return Estimate(value=value, low=low, high=high)


def weighed(corpus: str) -> BestSize:
    return BestSize(
        corpus=corpus, flops=1.6e11, inside=True, reason="", params=estimate(24e3, 2e4, 3e4),
        tokens=estimate(1.2e6, 1e6, 1.4e6), tokens_per_param=estimate(47, 38, 58), loss=estimate(2, 1.9, 2.1),
    )  # fmt: skip


def refusal(corpus: str, *, refused: bool) -> LackOfFit:
    return LackOfFit(corpus=corpus, form="chinchilla", misfit=0.027, probability=0.001 if refused else 0.4, shift=0.7,
                     flops=1.6e11, fitting=None, refused=refused)  # fmt: skip


def test_a_corpus_is_answered_by_all_forms_where_they_were_weighed(small_study: ReportData) -> None:
    data = replace(small_study, optima=[weighed("python")], budget_flops=1.6e11)
    python, grammar = split_lines(data)
    assert (python.split, python.ratio) == ("1.2M tokens on 24k parameters", "47 a parameter [38–58]")
    assert python.note == ""
    assert "1.6×10¹¹" in lines_title(data)
    # The other corpus has its law alone, and that is said.
    assert "chinchilla" in grammar.note


def test_a_law_says_its_own_best_split(small_study: ReportData) -> None:
    (python, _), best = split_lines(small_study), small_study.laws["python"].optimum(small_study.budget_flops)
    output = float(re.match(r"([\d.]+) a parameter", python.ratio)[1])
    assert output == pytest.approx(np.exp(best.log_ratio.value), rel=0.05)


def test_an_optimum_outside_the_runs_is_reported_by_its_reason(small_study: ReportData) -> None:
    outside = BestSize(
        corpus="python", flops=small_study.budget_flops, inside=False, reason="2 sizes have runs, three are needed"
    )
    line = split_lines(replace(small_study, optima=[outside]))[0]
    assert (line.missing, line.ratio) == ("2 sizes have runs, three are needed", "")


def test_too_few_corpora_are_no_headline(small_study: ReportData) -> None:
    assert {verdict.verdict for verdict in small_study.balance} == {"not_enough_corpora"}
    assert verdicts(small_study) == []
    assert len(split_lines(small_study)) == 2


def test_agreeing_starts_are_not_reported_of_a_law_that_misses_its_runs(small_study: ReportData) -> None:
    law = small_study.laws["python"]
    agreed = f"{law.convergence.starts_agreeing} of {law.convergence.starts}"

    def cells(data: ReportData) -> list[str]:
        return [cell.text for cell in fit_table(data).rows[0].cells]

    fits = replace(small_study, lack_of_fit=[refusal("python", refused=False)])
    assert agreed in cells(fits)
    refused = replace(small_study, lack_of_fit=[refusal("python", refused=True)])
    assert agreed not in cells(refused)
    assert "refused" in cells(refused)
    poor = replace(law, warnings=(LawWarning(code="poor_fit", message="It misses."),))
    warned = replace(small_study, laws={**small_study.laws, "python": poor})
    assert agreed not in cells(warned)
    # A test of the form decides, where there is one.
    assert misfit(replace(warned, lack_of_fit=[refusal("python", refused=False)]), "python", poor) is None


def test_the_refusal_opens_the_part_on_trust(small_study: ReportData) -> None:
    data = replace(small_study, lack_of_fit=[refusal("python", refused=True)])
    (trust,) = (part for part in sections(data) if part.name == "trust")
    assert trust.blocks[0].items[0].text == refusal("python", refused=True).sentence()


def test_the_residual_figure_holds_the_band_that_it_speaks_of(small_study: ReportData) -> None:
    """Even where every residual is far below one percent."""
    quiet = {
        name: replace(own, loss_nats=law.predict(params=own.params, tokens=own.tokens) * 1.001)
        for name, law in small_study.laws.items()
        for own in [small_study.observations.where(corpus=name)]
    }
    small_study = replace(
        small_study, laws={"python": small_study.laws["python"]}, observations=quiet["python"],
    )  # fmt: skip
    figure = residual_picture(small_study).draw()
    for axes in figure.axes:
        low, high = axes.get_ylim()
        assert low < -1.2
        assert high > 1.2
    assert "±1 %" in [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def test_the_checklist_is_answered_from_the_records(small_study: ReportData) -> None:
    output = {row.cells[0].text: row.cells[2].text for row in checklist_table(small_study).rows}
    law = small_study.laws["python"]
    assert law.definition.formula in output["form of the law"]
    assert str(law.convergence.starts) in output["initialisation"]
    assert "δ = 0.001" in output["objective"]
    assert output["how C is counted"] == "6 · N · D"
    left = {exclusion.run for each in small_study.laws.values() for exclusion in each.excluded}
    assert output["points left out"].startswith(f"{len(left)} (")
    assert "8 curves" in output["points of one training curve"]
    # The simulated study keeps no recipe: what is missing is said, and marked.
    assert output["recipe"] == UNRECORDED
    marked = [row.cells[0].text for row in checklist_table(small_study).rows if row.marked]
    assert marked == ["recipe"]
    assert output["rates and batches"] == "peak rates 0.005, batches of 1.02k tokens"


def test_the_paragraph_cites_what_the_bibliography_holds(small_study: ReportData) -> None:
    paragraph, entries = methods_paragraph(small_study), bibtex(small_study)
    keys = set(re.findall(r"^@\w+\{(\w+),", entries, re.M))
    cited = {key.strip() for group in re.findall(r"\[([a-z][\w, ]*)\]", paragraph) for key in group.split(",")}
    assert "hoffmann2022training" in cited
    assert "pandey2024gzip" in keys
    assert cited <= keys
    assert entries.count("{") == entries.count("}")
    assert str(len(small_study.observations)) in paragraph


def test_the_paragraph_cites_each_paper_where_it_is_used(small_study: ReportData) -> None:
    """The formula is Hoffmann's, the count of parameters Porian's, the measure Pandey's."""
    paragraph = methods_paragraph(small_study)
    formula = small_study.laws["python"].definition.formula
    assert f"{formula} [hoffmann2022training]" in paragraph
    assert paragraph.index("porian2024resolving") < paragraph.index(formula) < paragraph.index("pandey2024gzip")


def test_the_paragraph_spans_the_runs_of_all_corpora(small_study: ReportData) -> None:
    """Not those of the first law alone, which fits one corpus and leaves flagged runs out."""
    runs = small_study.observations
    last = runs.corpus == runs.corpora[-1]
    wider = replace(runs, known={**runs.known, "params": np.where(last, 10 * runs.params, runs.params)})
    assert f"{si(runs.params.min())} to {si(10 * runs.params.max())} parameters" in methods_paragraph(
        replace(small_study, observations=wider)
    )


def test_derivatives_of_a_law_without_a_kernel_are_called_numeric(small_study: ReportData) -> None:
    assert "analytic" in algorithm(small_study.laws["python"])
    own = replace(small_study.laws["python"], definition=Power)
    assert "analytic" not in algorithm(own)


@pytest.mark.parametrize("name", sorted(laws))
def test_every_bundled_laws_paper_is_in_the_bibliography(small_study: ReportData, name: str) -> None:
    """Known by name, or by its number with a place for authors and title."""
    definition = open_law(name)
    studied = replace(small_study, laws={"python": replace(small_study.laws["python"], definition=definition)})
    numbers = re.findall(r"arXiv:(\d{4}\.\d{5})", definition.source)
    assert all(number in bibtex(studied) for number in numbers)
