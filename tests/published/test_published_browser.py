"""The page of a reproduction in a browser: whole, silent, readable on desk and phone; and the files next to it."""

import csv
from datetime import date
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from published_data import folder

from isoloss.published.page import write_reproduction
from isoloss.published.reproduction import Reproduction
from isoloss.published.studies import reproduce
from isoloss.report.page import ReportFiles
from sampling import long

pytestmark = pytest.mark.browser


FOLDERS = {"gzip": "gzip2024", "chinchilla": "chinchilla2022", "datablations": "datablations2023"}
# The least number of claims, of numbers compared, and of figures.
LEAST = {"porian": (10, 1400, 15), "gzip": (10, 20, 8), "chinchilla": (6, 31, 4), "datablations": (3, 6, 3)}


LONGEST = "porian"  # half a minute of pictures


@pytest.fixture(scope="module", params=[pytest.param(name, marks=long) if name == LONGEST else name for name in LEAST])
def study(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def written(study: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ReportFiles:
    found: Reproduction = (
        request.getfixturevalue("porian_found") if study == "porian" else reproduce(study, folder(FOLDERS[study]))
    )
    return write_reproduction(found, tmp_path_factory.mktemp(study), created=date(2026, 1, 2))


@pytest.mark.parametrize(("width", "shown"), [(1280, "wide"), (390, "narrow")])
def test_the_page_is_whole_silent_and_fits(
    browser: Browser, study: str, written: ReportFiles, width: int, shown: str
) -> None:
    claims, numbers, pictures = LEAST[study]
    page = browser.new_page(viewport={"width": width, "height": 900})
    complaints: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(written.html.as_uri())
    page.wait_for_timeout(200)
    assert complaints == []
    assert requests == [written.html.as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("table[data-table=claims] tbody tr").count() >= claims
    assert page.locator("table[data-table=numbers] tbody tr").count() >= numbers
    figures = page.locator(f"figure.picture .{shown} svg")
    assert figures.count() >= pictures
    assert all(figures.nth(i).is_visible() for i in range(figures.count()))
    sizes = page.evaluate(
        """[...document.querySelectorAll("figure.picture svg")].filter(svg => svg.checkVisibility()).flatMap(svg => {
             const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
             return [...svg.querySelectorAll("text")].map(text => parseFloat(getComputedStyle(text).fontSize) * scale);
           })"""
    )
    assert min(sizes) >= 9
    page.close()


def test_every_figure_is_svg_png_and_its_numbers(written: ReportFiles) -> None:
    names = {path.stem for path in written.figures}
    assert {f"{name}.{ending}" for name in names for ending in ("svg", "png", "csv")} == {
        path.name for path in written.figures
    }
    for path in (path for path in written.figures if path.suffix == ".csv"):
        rows = list(csv.reader(path.read_text(encoding="utf-8").splitlines()))
        assert len(rows) > 5
        assert {len(row) for row in rows} == {len(rows[0])}


def test_tables_are_files_of_their_own(study: str, written: ReportFiles) -> None:
    tables: Path = written.html.parent / "tables"
    found = sorted(path.name for path in tables.iterdir()) if tables.is_dir() else []
    assert found == [
        f"{name}.{ending}"
        for name in ("architectures", "repaired", "results")
        for ending in ("md", "tex")
        if study == "porian"
    ]
