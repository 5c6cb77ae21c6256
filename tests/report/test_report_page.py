"""The report as files: whole, self-contained, the same twice, and honest where something is missing."""

import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from report_studies import HOSTILE, renamed, simulated_study, without_runs

from isoloss.core.errors import StorageError
from isoloss.core.estimate import Estimate
from isoloss.fitting.domain import LawWarning
from isoloss.laws.chinchilla import Chinchilla
from isoloss.report.blocks import Table
from isoloss.report.data import ReportData, RunRow
from isoloss.report.page import ReportFiles, markdown_text, write_report
from isoloss.report.predictor_picture import predictor_picture
from isoloss.report.predictor_tables import corpus_tables, predictor_tables
from isoloss.report.sections import sections
from isoloss.report.tables import fit_table, key_table, runs_table
from isoloss.report.verdicts import NOT_JUDGED
from isoloss.runs.evaluation import bits_per_byte

MEGABYTE = 1e6


@pytest.fixture(scope="module")
def written(small_study: ReportData, tmp_path_factory: pytest.TempPathFactory) -> ReportFiles:
    return write_report(small_study, tmp_path_factory.mktemp("report"))


class Strict(HTMLParser):
    """Checks that elements nest, and collects addresses and identifiers."""

    VOID = frozenset({"meta", "link", "input", "br", "img"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.identifiers: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        for key, value in attributes:
            if key in ("src", "href", "xlink:href", "action", "poster"):
                self.addresses.append(value or "")
            if key == "id":
                self.identifiers.append(value or "")

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def parsed(page: Path) -> Strict:
    parser = Strict()
    parser.feed(page.read_text(encoding="utf-8"))
    return parser


def test_the_page_is_whole_and_small(written: ReportFiles) -> None:
    page = parsed(written.html)
    assert page.open == []
    assert written.html.stat().st_size < 5 * MEGABYTE


def test_the_page_needs_nothing_but_itself(written: ReportFiles) -> None:
    """Every address leads into the page, or to a figure file offered next to it."""
    page = parsed(written.html)
    files = {f"figures/{path.name}" for path in written.figures}
    for address in page.addresses:
        assert address == "data:," or address.startswith("#") or address in files, address


def test_every_link_into_the_page_arrives(written: ReportFiles) -> None:
    page = parsed(written.html)
    targets = {address[1:] for address in page.addresses if address.startswith("#")}
    assert targets <= set(page.identifiers)


def test_identifiers_are_given_once(written: ReportFiles) -> None:
    identifiers = parsed(written.html).identifiers
    assert len(identifiers) == len(set(identifiers))


def test_every_figure_is_a_file_of_both_kinds(written: ReportFiles) -> None:
    names = {path.stem for path in written.figures}
    assert {"contours", "compute", "balance", "coefficients", "residuals", "excess", "curves"} <= names
    assert {path.suffix for path in written.figures} == {".svg", ".png"}
    for path in written.figures:
        if path.suffix == ".svg":
            assert ET.fromstring(path.read_text(encoding="utf-8")).tag.endswith("svg")
        else:
            assert path.read_bytes().startswith(b"\x89PNG")


def test_the_markdown_page_holds_the_same_tables_and_figures(written: ReportFiles) -> None:
    html, markdown = written.html.read_text(encoding="utf-8"), written.markdown.read_text(encoding="utf-8")
    assert html.count("<tr") == sum(line.startswith("|") for line in markdown.splitlines()) - html.count("<thead>")
    for path in re.findall(r"!\[[^\]]*\]\(([^)]*)\)", markdown):
        assert (written.markdown.parent / path).is_file()
    assert set(re.findall(r"<h2>([^<]*)</h2>", html.split("<main>")[1])) == set(
        re.findall(r"^## (.*)$", markdown, re.M)
    )


def test_every_markdown_row_has_its_tables_columns(written: ReportFiles) -> None:
    lines = written.markdown.read_text(encoding="utf-8").splitlines()
    bars = [len(re.findall(r"(?<!\\)\|", line)) for line in lines]
    for above, below, line in zip(bars, bars[1:], lines[1:], strict=False):
        if above and below:
            assert above == below, line


def test_the_same_study_is_the_same_bytes(small_study: ReportData, written: ReportFiles, tmp_path: Path) -> None:
    again = write_report(small_study, tmp_path)
    for first, second in zip(
        [written.html, written.markdown, *written.figures], [again.html, again.markdown, *again.figures], strict=True
    ):
        assert first.read_bytes() == second.read_bytes(), first.name


def test_a_name_that_is_markup_stays_a_name(tmp_path: Path) -> None:
    files = write_report(renamed(simulated_study(["python"], bootstrap=0), "python", HOSTILE), tmp_path)
    html, markdown = files.html.read_text(encoding="utf-8"), files.markdown.read_text(encoding="utf-8")
    assert parsed(files.html).open == []
    assert HOSTILE not in html
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(" in html
    # Text to paste stands as it is, in a block of code: lines indented by four spaces.
    assert "<script" not in "\n".join(line for line in markdown.splitlines() if not line.startswith("    "))
    assert all(re.fullmatch(r"[a-z0-9.-]+", path.name) for path in files.figures)
    for path in files.figures:
        if path.suffix == ".svg":
            assert "<script" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("text", ["a|b", "*x*", "<b>", "`c`", "# h", "[l](u)", "a\nb", "1_000_", "&amp;"])
def test_markdown_shows_a_name_as_it_is(text: str) -> None:
    """Nothing is left that Markdown would act on, and undoing CommonMark's escapes gives the text back."""
    import html

    shown = html.unescape(re.sub(r"\\([\\`*_\[\]|#~])", r"\1", markdown_text(text)))
    assert shown == " ".join(text.split())
    assert not re.search(r"[\n|`*_\[\]<>#]", re.sub(r"\\.", "", markdown_text(text)))


def test_a_study_without_a_loss_still_says_what_happened(small_study: ReportData, tmp_path: Path) -> None:
    files = write_report(without_runs(small_study), tmp_path)
    html = files.html.read_text(encoding="utf-8")
    assert parsed(files.html).open == []
    assert "No run ended with a loss" in html
    assert "see the errors in the archive" in html
    assert NOT_JUDGED.words in html
    assert files.figures == ()


def test_a_corpus_without_a_law_says_why(small_study: ReportData, tmp_path: Path) -> None:
    laws = {"python": small_study.laws["python"]}
    data = replace(small_study, laws=laws, no_law={"pcfg easy": "4 rows, expected at least 6: add runs"}, curves=())
    html = write_report(data, tmp_path).html.read_text(encoding="utf-8")
    assert "No law for pcfg easy" in html
    assert "4 rows, expected at least 6: add runs" in html


def test_a_place_that_cannot_be_written_is_named(small_study: ReportData, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file, not a folder")
    with pytest.raises(StorageError, match="needed folder"):
        write_report(without_runs(small_study), tmp_path / "taken")


def test_one_bit_per_byte_is_ln_2_nats_per_byte_token() -> None:
    assert bits_per_byte(np.log(2), 1.0) == pytest.approx(1.0)
    assert bits_per_byte(np.log(2), 4.0) == pytest.approx(0.25)
    assert bits_per_byte(1.0, None) is None
    assert bits_per_byte(None, 1.0) is None


def test_the_table_of_runs_holds_every_run_and_its_excess_over_the_floor(small_study: ReportData) -> None:
    table = runs_table(small_study)
    titles = [column.title for column in table.columns]
    assert len(table.rows) == len(small_study.runs)
    for row, run in zip(table.rows, small_study.runs, strict=True):
        excess = row.cells[titles.index("excess")].sort
        floor = small_study.floors.get(run.corpus)
        if floor is None or run.loss_nats is None:
            assert excess is None
        else:
            assert excess == pytest.approx(run.loss_nats - floor.value)
        assert row.marked == (bool(run.flags) or run.status != "finished")


def test_columns_that_no_run_fills_are_left_out(small_study: ReportData) -> None:
    text_only = [corpus for corpus in small_study.corpora if corpus.kind == "text"]
    rows: list[RunRow] = [row for row in small_study.runs if row.corpus == "python"]
    titles = [column.title for column in runs_table(replace(small_study, corpora=text_only, runs=rows)).columns]
    assert "bits" in titles
    assert "excess" not in titles


def test_the_key_table_goes_from_easy_to_hard_within_each_kind(study: ReportData) -> None:
    names = [row.cells[0].text for row in key_table(study).rows]
    assert names == ["cpp", "python", "english", "pcfg easy", "pcfg medium", "pcfg hard"]


def test_the_key_tables_balance_is_the_exponential_of_its_logarithm(study: ReportData) -> None:
    table = key_table(study)
    titles = [column.title for column in table.columns]
    for row in table.rows:
        logarithm, ratio = (row.cells[titles.index(title)].sort for title in ("ln(D*/N*)", "D*/N*"))
        assert isinstance(logarithm, float)
        assert ratio == pytest.approx(np.exp(logarithm))


def test_six_corpora_of_twenty_runs_stay_under_five_megabytes(study: ReportData, tmp_path: Path) -> None:
    files = write_report(study, tmp_path)
    assert files.html.stat().st_size < 5 * MEGABYTE


def test_measures_without_intervals_and_a_single_corpus_make_a_report(tmp_path: Path) -> None:
    data = simulated_study(["english"], bootstrap=0)
    bare = [replace(corpus, measures={"gzip": Estimate(value=0.5)}) for corpus in data.corpora]
    files = write_report(replace(data, corpora=bare), tmp_path)
    assert parsed(files.html).open == []


def test_left_out_corpora_are_judged_kind_by_kind(study: ReportData):
    real, generated = predictor_tables(study)
    assert "Real text" in real.caption
    assert "Generated" in generated.caption
    assert "p cannot fall below 0.17" in real.note
    # The measure, then its two rivals.
    assert [row.cells[0].text for row in real.rows] == ["gzip", "one law for all", "one run"]
    named = [{row.cells[0].text for row in table.rows} for table in corpus_tables(study)]
    for corpus in study.corpora:
        assert [corpus.name in names for names in named] == [corpus.kind == "text", corpus.kind == "generated"]


def test_the_comparison_of_predictors_is_drawn_measure_by_measure_with_its_rival(study: ReportData):
    picture = predictor_picture(study)
    assert picture is not None
    # Two kinds, losses and, where three sources have their optimum inside, balances; three sources can show nothing.
    balances = sum(comparison.measures[0].balance is not None for comparison in study.predictor_comparisons)
    assert picture.alt.count("one cheap run") == 2 + balances
    assert "(shown)" not in picture.alt
    assert "Real text: losses: gzip" in picture.alt
    assert len(picture.draw().axes) == 2 + balances
    assert predictor_picture(replace(study, predictor_comparisons=())) is None


def test_further_laws_are_listed_next_to_the_first(small_study: ReportData):
    further = [replace(law, definition=Chinchilla, warnings=()) for law in small_study.laws.values()]
    table = fit_table(replace(small_study, further_laws=further))
    assert [row.cells[0].text for row in table.rows] == [
        "python", "pcfg easy", "python (chinchilla)", "pcfg easy (chinchilla)"
    ]  # fmt: skip


def test_a_measure_that_a_corpus_does_not_determine_is_named_with_its_reason(small_study, tmp_path):
    first, *others = small_study.corpora
    output = replace(first, unidentified={"alpha_d": "correlations show at 2 lags; measure more text"})
    data = replace(small_study, corpora=[output, *others])
    page = write_report(data, tmp_path).markdown.read_text(encoding="utf-8")
    assert "not identified" in page
    assert "correlations show at 2 lags; measure more text" in page


def test_what_is_said_of_several_laws_stands_once_under_all_their_names(small_study: ReportData):
    same = LawWarning(code="flat_profile", message="Widen the grid.")
    laws = {name: replace(law, warnings=(same,)) for name, law in small_study.laws.items()}
    (trust,) = (part for part in sections(replace(small_study, laws=laws)) if part.name == "trust")
    notes = trust.blocks[0]
    assert [(note.title, note.text) for note in notes.items] == [("python, pcfg easy: flat profile", "Widen the grid.")]


def test_every_predictor_is_folded_where_there_are_more_than_the_studys_own(small_study: ReportData):
    def backtests(data: ReportData) -> list[Table]:
        (trust,) = (part for part in sections(data) if part.name == "trust")
        return [block for block in (*trust.blocks, *trust.folded) if getattr(block, "name", "").startswith("backtest")]

    (alone,) = backtests(small_study)
    own = {law.law for law in small_study.laws.values()}
    assert {row.cells[1].text for row in alone.rows} == own | {"nearest run"}
    # A third predictor, neither the best nor the study's own.
    more = [
        replace(test, scores=(*test.scores, replace(test.scores[-1], law="third"))) for test in small_study.backtest
    ]
    shown, every = backtests(replace(small_study, backtest=more))
    assert shown.rows == alone.rows
    assert len(every.rows) == len(shown.rows) + len(more)
