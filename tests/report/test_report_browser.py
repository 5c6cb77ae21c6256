"""The page as people meet it: opened from a folder in a browser, on a desk and on a phone."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from report_studies import HOSTILE, renamed

from isoloss.report.data import ReportData
from isoloss.report.page import write_report

pytestmark = pytest.mark.browser

DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def report(small_study: ReportData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report in which one corpus is called by a script that would mark the window."""
    hostile = renamed(small_study, "python", HOSTILE.replace('alert("owned")', "window.owned=1"))
    title = "<img src=x onerror=window.owned=1>"
    return write_report(replace(hostile, title=title), tmp_path_factory.mktemp("browser")).html


class Visit:
    """A page opened from the disk, with everything it asked for and complained of."""

    def __init__(self, browser: Browser, report: Path, viewport: dict[str, int], **context: str) -> None:
        # Without smooth scrolling, a click lands where its target was seen.
        self.page: Page = browser.new_context(viewport=viewport, reduced_motion="reduce", **context).new_page()
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(report.as_uri())


@pytest.fixture(params=["desk", "phone"])
def visit(request: pytest.FixtureRequest, browser: Browser, report: Path) -> Iterator[Visit]:
    opened = Visit(browser, report, DESK if request.param == "desk" else PHONE)
    yield opened
    opened.page.context.close()


@pytest.fixture
def desk(browser: Browser, report: Path) -> Iterator[Page]:
    opened = Visit(browser, report, DESK)
    yield opened.page
    assert opened.complaints == []
    opened.page.context.close()


def column(page: Page, index: int) -> list[float | None]:
    """Return what a column of the table of runs sorts by, in the order it stands."""
    cells = page.locator(f"table[data-table=runs] tbody tr > :nth-child({index + 1})")
    values = cells.evaluate_all("cells => cells.map(cell => cell.dataset.sort ?? null)")
    return [None if value is None else float(value) for value in values]


def test_nothing_is_fetched_and_nothing_complains(visit: Visit, report: Path) -> None:
    visit.page.wait_for_load_state("networkidle")
    assert visit.requests == [report.as_uri()]
    assert visit.complaints == []


def test_the_page_never_scrolls_sideways(visit: Visit) -> None:
    width = visit.page.evaluate("document.documentElement.scrollWidth")
    assert width <= visit.page.viewport_size["width"]


def test_a_name_that_is_a_script_does_nothing(visit: Visit) -> None:
    assert visit.page.evaluate("window.owned") is None
    assert "<script>" in visit.page.locator("table[data-table=key]").inner_text()
    assert visit.page.locator("h1").inner_text() == "<img src=x onerror=window.owned=1>"
    assert visit.page.locator("main script, main img").count() == 0


def test_even_a_script_that_got_in_would_not_run(browser: Browser, report: Path) -> None:
    """The page's policy names its own script by hash: any other is refused."""
    visit = Visit(browser, report, DESK)
    visit.page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.owned = 1'}))"
    )
    assert visit.page.evaluate("window.owned") is None
    assert "Content Security Policy" in visit.complaints[0]
    visit.page.context.close()


def test_a_phone_shows_narrow_figures_and_a_desk_wide_ones(visit: Visit) -> None:
    phone = visit.page.viewport_size["width"] < 800
    shown = visit.page.locator("#figure-contours .narrow svg" if phone else "#figure-contours .wide svg")
    hidden = visit.page.locator("#figure-contours .wide svg" if phone else "#figure-contours .narrow svg")
    assert shown.is_visible()
    assert not hidden.is_visible()


def test_the_first_screen_is_the_answer_and_the_picture(visit: Visit) -> None:
    """On a desk of 800 pixels' height and on a phone: every corpus's split, and the head of the first figure."""
    height = 800 if visit.page.viewport_size["width"] > 800 else 844
    for line in visit.page.locator(".splits li").all():
        box = line.bounding_box()
        assert box["y"] + box["height"] < height * 2 / 3
        assert "a parameter" in line.inner_text()
    wide = visit.page.viewport_size["width"] > 800
    picture = visit.page.locator(f"#figure-contours .{'wide' if wide else 'narrow'} svg").bounding_box()
    assert picture["y"] < height * 0.75


def test_every_table_fits_a_desk(desk: Page) -> None:
    for part in desk.locator("details").all():
        part.evaluate("part => { part.open = true; }")
    wide = desk.evaluate(
        """[...document.querySelectorAll(".scroll")].filter(box => box.scrollWidth > box.clientWidth)
             .map(box => [box.getAttribute("aria-label"), box.scrollWidth - box.clientWidth])"""
    )
    assert wide == []


def test_the_smallest_letters_of_a_figure_can_be_read(visit: Visit) -> None:
    """On either screen no letter of a figure is set under 9 CSS pixels."""
    sizes = visit.page.evaluate(
        """[...document.querySelectorAll("figure.picture svg")].filter(svg => svg.checkVisibility()).flatMap(svg => {
             const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
             return [...svg.querySelectorAll("text")].map(text => parseFloat(getComputedStyle(text).fontSize) * scale);
           })"""
    )
    assert len(sizes) > 100
    assert min(sizes) >= 9


def test_a_heading_sorts_its_table_up_then_down_with_the_missing_last(desk: Page) -> None:
    heading = desk.locator("table[data-table=runs] thead th", has_text="loss")
    index = heading.evaluate("head => head.cellIndex")
    for order in ("ascending", "descending"):
        heading.locator("button").click()
        assert heading.get_attribute("aria-sort") == order
        values = column(desk, index)
        known = [value for value in values if value is not None]
        assert known == sorted(known, reverse=order == "descending")
        assert values[len(known) :] == [None] * (len(values) - len(known)) != []


def test_a_search_narrows_the_table(desk: Page) -> None:
    rows = desk.locator("table[data-table=runs] tbody tr:not([hidden])")
    everything = rows.count()
    desk.locator("[data-search=runs]").fill("pcfg saturated")
    assert 0 < rows.count() < everything
    assert desk.locator("[data-count=runs]").inner_text() == f"{rows.count()} rows"
    desk.locator("[data-search=runs]").fill("")
    desk.locator("[data-marked=runs]").check()
    assert rows.count() == desk.locator("table[data-table=runs] tbody tr.marked").count() < everything


def test_a_point_says_what_it_is_and_leads_to_its_row(desk: Page) -> None:
    point = desk.locator("#figure-compute .wide svg a").first
    target = point.get_attribute("href")
    tip = desk.locator("#tip")
    for show in (lambda: point.hover(force=True), point.focus):
        show()
        expect(tip).to_be_visible()
        assert "loss" in tip.inner_text()
    desk.locator("[data-search=runs]").fill("no such run")
    row = desk.locator(target)
    assert not row.is_visible()
    point.click(force=True)
    expect(row).to_be_visible()


def test_the_dark_page_keeps_its_figures_legible(browser: Browser, report: Path) -> None:
    """Ink and paper change places: a figure's letters are light where the page is dark."""
    colours = {}
    for scheme in ("light", "dark"):
        visit = Visit(browser, report, DESK, color_scheme=scheme)
        colours[scheme] = visit.page.evaluate(
            """[getComputedStyle(document.body).backgroundColor,
                getComputedStyle(document.querySelector("#figure-contours .wide svg text")).fill]"""
        )
        visit.page.context.close()
    assert colours["light"] == ["rgb(255, 255, 255)", "rgb(29, 33, 38)"]
    assert colours["dark"] == ["rgb(20, 23, 27)", "rgb(231, 234, 238)"]
