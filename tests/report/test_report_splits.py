"""One corpus at one budget has one best split, wherever the page says it."""

import re
from dataclasses import replace

import pytest
from report_studies import BUDGET

from isoloss.core.estimate import Estimate
from isoloss.optima.best_size import BestSize
from isoloss.optima.without_head import WithoutHead
from isoloss.report.answers import split_lines
from isoloss.report.blocks import Block, Column, Drawing, Table
from isoloss.report.data import ReportData
from isoloss.report.drawings import contour_pages, contour_sheet
from isoloss.report.paper import methods_paragraph
from isoloss.report.sections import sections
from isoloss.report.split_tables import best_splits_table, counting_table
from isoloss.report.tables import key_table

QUANTITIES = {"N*": "params", "D*": "tokens", "D*/N*": "tokens_per_param", "ln(D*/N*)": "log_ratio"}


def moved(one: BestSize, factor: float) -> BestSize:
    """Return another best size, with more tokens per parameter by a factor."""
    assert one.params is not None
    assert one.tokens is not None
    assert one.tokens_per_param is not None
    return replace(
        one, params=one.params.scaled(factor**-0.5), tokens=one.tokens.scaled(factor**0.5),
        tokens_per_param=one.tokens_per_param.scaled(factor),
    )  # fmt: skip


@pytest.fixture(scope="module")
def weighed(small_study: ReportData) -> ReportData:
    """A study whose several forms say twice as many tokens per parameter as its law alone, by every count otherwise."""
    optima = [moved(one, 2) for one in small_study.optima]
    common = [one for one in optima if one.flops == BUDGET]
    return replace(
        small_study, optima=optima,
        optima_unfiltered={one.corpus: moved(one, 1.1) for one in common},
        rate_arms={0.5: small_study.laws}, rate_optima={0.5: {one.corpus: moved(one, 1.2) for one in common}},
        optima_exact=[replace(moved(one, 1.3), flops=2 * BUDGET) for one in common],
        without_head=[
            WithoutHead(corpus=one.corpus, flops=BUDGET, params=one.params.scaled(0.5),
                        tokens_per_param=one.tokens_per_param.scaled(2))
            for one in common
        ],
    )  # fmt: skip


def blocks(data: ReportData) -> list[Block]:
    return [block for part in sections(data) for block in (*part.blocks, *part.folded)]


def said(data: ReportData, column: Column, corpus: str, flops: float) -> Estimate | None:
    """Return what a column of best splits has to say of a corpus, by its heading."""
    own = {(one.corpus, one.flops): one for one in data.optima}[corpus, flops]
    exact = {one.corpus: one for one in data.optima_exact}
    without = {one.corpus: one for one in data.without_head}
    sources = {
        "with": data.optima_unfiltered, "rate × 0.5": data.rate_optima[0.5], "C in exact FLOPs": exact,
        "without the output head": without, "N without the output head": without,
    }  # fmt: skip
    return getattr(sources.get(column.unit, {corpus: own})[corpus], QUANTITIES[column.title])


def test_every_best_split_of_a_table_is_the_studys_own(weighed: ReportData) -> None:
    seen = set()
    for table in (block for block in blocks(weighed) if isinstance(block, Table)):
        columns = [
            place
            for place, column in enumerate(table.columns)
            if column.title in QUANTITIES and column.unit != "% held"
        ]
        budgets = [place for place, column in enumerate(table.columns) if column.title == "budget"]
        for row in table.rows if columns else ():
            corpus = row.cells[0].text
            flops = row.cells[budgets[0]].sort if budgets else BUDGET
            for place in columns:
                expected = said(weighed, table.columns[place], corpus, flops)
                assert row.cells[place].sort == pytest.approx(expected.value), (table.name, table.columns[place])
                seen.add((table.name, table.columns[place].title))
    assert {name for name, _ in seen} == {"key", "counting", "optima", "unfiltered", "variants"}


def test_words_say_the_same_best_split_as_tables(weighed: ReportData) -> None:
    lines = {line.name: line for line in split_lines(weighed)}
    sheet, pages = contour_sheet(weighed), contour_pages(weighed)
    for one in weighed.common.values():
        line = lines[one.corpus]
        assert float(re.match(r"([\d.]+) a parameter", line.ratio)[1]) == pytest.approx(
            one.tokens_per_param.value, rel=0.05
        )
        assert line.note == ""
        assert f"{one.corpus}: {line.split}, {line.ratio}" in sheet.alt
        assert any(f"{line.split}, {line.ratio}" in page.alt for page in pages)


def test_what_one_form_says_is_called_its_own(weighed: ReportData) -> None:
    captions = {block.name: block.caption for block in blocks(weighed) if isinstance(block, Drawing | Table)}
    assert "by chinchilla alone" in captions["contours"]
    assert "by chinchilla alone" in captions["compute"]
    assert "by several forms of the loss" in captions["key"]
    assert "by several forms of the loss" in methods_paragraph(weighed)


def test_a_study_without_a_budget_inside_its_runs_says_that_one_form_answers(small_study: ReportData) -> None:
    alone = replace(small_study, optima=[])
    assert "by chinchilla alone" in key_table(alone).caption
    assert "by chinchilla alone" in methods_paragraph(alone)
    assert all("by chinchilla alone" in line.note for line in split_lines(alone))
    assert best_splits_table(alone) is None
    assert counting_table(alone) is None
    ratio = small_study.laws["python"].log_ratio(BUDGET)
    assert key_table(alone).rows[0].cells[8].sort == pytest.approx(ratio.value)
    for star in contour_sheet(alone).draw().axes[0].lines:
        assert star.get_marker() != "*"


def test_an_optimum_outside_the_runs_has_no_number_and_says_where_it_is(weighed: ReportData) -> None:
    outside = BestSize(corpus="python", flops=BUDGET, inside=False, side="below", reason="at or below the smallest")
    others = [one for one in weighed.optima if (one.corpus, one.flops) != ("python", BUDGET)]
    data = replace(weighed, optima=[*others, outside])

    def cells(table: Table | None) -> list[str]:
        """Return the corpus's row of the common budget, as text."""
        assert table is not None
        own = [row for row in table.rows if row.cells[0].text == "python"]
        return [cell.text for cell in (own[-1] if len(own) > 1 else own[0]).cells]

    # The budget outside is the last of the corpus here.
    assert cells(best_splits_table(data))[2:] == ["–"] * 4 + ["below the sizes trained"]
    assert cells(counting_table(data))[1] == "–"
    assert cells(key_table(data))[7:9] == ["–", "–"]
    assert "at or below the smallest" in contour_sheet(data).alt
