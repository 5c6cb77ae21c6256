"""The explorer in a browser: what its sliders say is what the library says, from a file, for everybody."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from explorer_sources import HOSTILE, TRUTHS, every_form, explored
from playwright.sync_api import Browser, Page

from isoloss.explorer.page import write_explorer
from isoloss.explorer.sources import PageLaw, Source, of_laws
from isoloss.fitting.estimated import FrontierPoint
from isoloss.fitting.fitted import FittedLaw
from isoloss.planning.shipped import shipped_law

pytestmark = pytest.mark.browser

DESK, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
BUDGETS = (9.3, 10.87, 12.41)  # powers of ten: below, inside and beyond the runs
SAME = 1e-6


@pytest.fixture(scope="module")
def laws() -> dict[str, FittedLaw]:
    return every_form(HOSTILE)


@pytest.fixture(scope="module")
def written(laws: dict[str, FittedLaw], tmp_path_factory: pytest.TempPathFactory) -> Path:
    sources = [explored(HOSTILE, laws), of_laws([shipped_law()], name="shipped")]
    return write_explorer(sources, tmp_path_factory.mktemp("explorer") / "explore.html")


class Visit:
    """The page opened from the disk, with everything it asked for and complained of."""

    def __init__(self, browser: Browser, page: Path, viewport: dict[str, int], **context: str) -> None:
        self.page: Page = browser.new_context(viewport=viewport, reduced_motion="reduce", **context).new_page()
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(page.as_uri())
        self.page.wait_for_selector("body[data-ready=yes]")

    @property
    def faults(self) -> list[str]:
        """What the page complained of; Bokeh says in the console when it is done."""
        return [text for text in self.complaints if not text.startswith(("info", "log"))]


@pytest.fixture(scope="module")
def desk(browser: Browser, written: Path) -> Iterator[Visit]:
    opened = Visit(browser, written, DESK)
    yield opened
    opened.page.context.close()


def move(page: Page, slider: str, value: float) -> None:
    """Put a slider where a hand would, and let the page answer."""
    page.locator(slider).evaluate(
        "(input, value) => { input.value = value; input.dispatchEvent(new Event('input', { bubbles: true })); }",
        str(value),
    )


def output(page: Page, key: str) -> dict[str, float]:
    """Return the numbers of a row, as exactly as the page computed them."""
    data = page.evaluate(
        "key => ({ ...[...document.querySelectorAll('.best li')].find(li => li.dataset.key === key).dataset })", key
    )
    numbers = {name: float(text) for name, text in data.items() if name != "key"}
    return numbers | {"flops": float(page.evaluate("document.body.dataset.flops"))}


def check(found: dict[str, float], expected: FrontierPoint) -> None:
    """Hold every number of a row against the library's."""
    for name, estimate in (("params", expected.params), ("tokens", expected.tokens), ("loss", expected.loss)):
        for end in ("value", "low", "high"):
            assert found[name + end] == pytest.approx(getattr(estimate, end), rel=SAME), (name, end)
    for end in ("value", "low", "high"):
        assert found["ratio" + end] == pytest.approx(np.exp(getattr(expected.log_ratio, end)), rel=SAME)
    assert found["extrapolation"] == pytest.approx(expected.extrapolation, rel=SAME)


def test_every_form_says_at_every_budget_what_the_library_says(desk: Visit, laws: dict[str, FittedLaw]) -> None:
    desk.page.locator("input[name=convention][value=with_head]").check()
    for form in TRUTHS:
        desk.page.locator(f"input[name=form][value={form}]").check()
        for power in BUDGETS:
            move(desk.page, "#budget", power)
            found = output(desk.page, f"0:c:{HOSTILE}")
            assert found["flops"] == pytest.approx(10**power, rel=0.02)  # the slider's step
            check(found, laws[form].optimum(found["flops"]))


def test_a_law_of_many_corpora_follows_the_measure(desk: Visit) -> None:
    law = shipped_law()
    for measure in (1.1, 1.65):
        for power in BUDGETS[1:]:
            move(desk.page, "#budget", power)
            move(desk.page, "[id='measure-1.0']", measure)
            found = output(desk.page, "1:j:0")
            value = float(desk.page.locator("[id='measure-1.0']").input_value())
            assert value == pytest.approx(measure)
            check(found, law.at(value).optimum(found["flops"]))


def test_the_address_brings_back_what_was_chosen(desk: Visit, browser: Browser) -> None:
    desk.page.locator("input[name=form][value=coupled]").check()
    move(desk.page, "#budget", 11.23)
    move(desk.page, "[id='measure-1.0']", 1.5)
    keys = (f"0:c:{HOSTILE}", "1:j:0")
    before = [output(desk.page, key) for key in keys]
    again = browser.new_context(viewport=DESK).new_page()
    again.goto(desk.page.url)
    again.wait_for_selector("body[data-ready=yes]")
    assert [output(again, key) for key in keys] == before
    again.context.close()


def test_the_keyboard_moves_the_budget(desk: Visit) -> None:
    slider = desk.page.locator("#budget")
    slider.focus()
    before = output(desk.page, "1:j:0")
    slider.press("ArrowRight")
    after = output(desk.page, "1:j:0")
    assert after["flops"] > before["flops"]
    assert after["paramsvalue"] > before["paramsvalue"]


def points(page: Page, source: str) -> int:
    return int(
        page.evaluate(
            """name => { for (const one of Bokeh.documents) {
                 const found = one.get_model_by_name(name);
                 if (found) return found.get_length() ?? 0; } }""",
            source,
        )
    )


def test_a_corpus_that_is_switched_off_leaves_the_figures(desk: Visit) -> None:
    desk.page.locator("[data-corpora=all]").click()
    assert points(desk.page, "runs") == 20
    assert points(desk.page, "stars") == 2
    desk.page.locator("#list-0 input[type=checkbox]").uncheck()
    assert points(desk.page, "runs") == 0
    assert points(desk.page, "stars") == 1
    desk.page.locator("[data-corpora=all]").click()
    assert points(desk.page, "stars") == 2


def test_another_way_of_counting_brings_its_own_law_and_runs(desk: Visit) -> None:
    desk.page.locator("input[name=form][value=chinchilla]").check()
    largest = "Math.max(...Bokeh.documents.map(d => d.get_model_by_name('runs')).find(Boolean).data.x)"
    sizes = []
    for convention in ("with_head", "total"):
        desk.page.locator(f"input[name=convention][value={convention}]").check()
        sizes.append(desk.page.evaluate(largest))
    assert sizes[1] == 2 * sizes[0]


def test_a_name_that_is_a_script_stays_a_name(desk: Visit) -> None:
    assert desk.page.evaluate("window.owned") is None
    assert HOSTILE in desk.page.locator("#list-0").inner_text()
    assert desk.page.locator("main script, main img").count() == 0


def test_nothing_is_fetched_and_nothing_complains(desk: Visit, written: Path) -> None:
    assert [url for url in desk.requests if not url.startswith(("data:", "blob:"))] == [written.as_uri()]
    assert desk.faults == []


def test_a_run_returns_its_record(desk: Visit) -> None:
    desk.page.evaluate("Bokeh.documents.map(d => d.get_model_by_name('runs')).find(Boolean).selected.indices = [4]")
    record = desk.page.locator("#record").inner_text()
    assert f"run1-{HOSTILE}-4" in record
    assert "nats ± 0.0060" in record


def test_a_phone_shows_it_in_the_dark(browser: Browser, written: Path) -> None:
    """No sideways scroll, and paper and ink change places in page and figures alike."""
    visit = Visit(browser, written, PHONE, color_scheme="dark")
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    colours = visit.page.evaluate(
        """[getComputedStyle(document.body).backgroundColor,
            Bokeh.documents[0].get_model_by_name('split-figure').background_fill_color]"""
    )
    assert colours == ["rgb(20, 23, 27)", "#14171b"]
    assert visit.faults == []
    visit.page.context.close()


def test_an_interval_that_says_nothing_is_not_written_out(
    browser: Browser, laws: dict[str, FittedLaw], tmp_path: Path
) -> None:
    """Half the draws with α near 0 stretch it over a factor of 200; a third with A = 0 leave none: as the library."""
    law = laws["chinchilla"]
    wide, none = law.draws.copy(), law.draws.copy()
    wide[::2, law.definition.parameters.index("alpha")] = 1e-9
    none[::3, law.definition.parameters.index("A")] = 0
    cases = {"tame": law, "wide": replace(law, draws=wide), "none": replace(law, draws=none)}
    sources = [Source(name="a", laws=tuple(PageLaw(base=replace(one, group=name)) for name, one in cases.items()))]
    visit = Visit(browser, write_explorer(sources, tmp_path / "page.html"), DESK)
    for name, one in cases.items():
        flops = float(visit.page.evaluate("document.body.dataset.flops"))
        ratio = one.optimum(flops).log_ratio.exponential()
        data = visit.page.evaluate(
            "key => ({ ...document.querySelector(`[data-key='${key}']`).dataset })", f"0:c:{name}"
        )
        ends = [None if data[f"ratio{end}"] == "null" else float(data[f"ratio{end}"]) for end in ("low", "high")]
        assert ends == [end if end is None else pytest.approx(end, rel=SAME) for end in (ratio.low, ratio.high)]
        shown = visit.page.locator(f"[data-key='0:c:{name}'] .interval").inner_text()
        assert ("–" in shown) == (name == "tame")
        assert shown
    visit.page.context.close()
