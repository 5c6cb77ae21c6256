"""The documentation: it builds without a warning, its map leads somewhere, the README stays what it promises to be."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sampling import WHOLE, long

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
GENERATED = ("reference/generated/cli.md", "reference/generated/api.md")
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
README_LINES = 120


def links(page):
    """Links of a page that lead to files."""
    return [link for link in LINK.findall(page.read_text(encoding="utf-8")) if "://" not in link]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, a warning an error: as `make docs` builds it, or without executing notebooks and with exports alone."""
    out = tmp_path_factory.mktemp("site")
    quick = [] if WHOLE else ["-D", "nb_execution_mode=off", "-D", "exported_alone=1"]
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-W", "--keep-going", "-q", *quick, str(DOCS), str(out)]
    built = subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONUTF8": "1"}, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    return out


@pytest.mark.slow
@long
def test_notebooks_are_executed(site):
    gallery = (site / "gallery.html").read_text(encoding="utf-8")
    assert gallery.count("<img") >= 5
    assert "tokens per parameter" in (site / "notebooks" / "own-runs.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_site_builds_without_a_warning(site):
    assert (site / "llms.txt").read_text(encoding="utf-8") == (DOCS / "llms.txt").read_text(encoding="utf-8")


@pytest.mark.slow
def test_every_public_name_and_every_verb_stands_in_the_reference(site):
    from typer.main import get_command

    import isoloss
    from isoloss import cli

    homes = [(getattr(isoloss, name).__module__, name) for name in isoloss.__all__ if name != "__version__"]
    pages = {module.split(".")[1] for module, _ in homes}
    text = {room: (site / "reference" / "generated" / "api" / f"{room}.html").read_text("utf-8") for room in pages}
    missing = [name for module, name in homes if f'id="{module}.{name}"' not in text[module.split(".")[1]]]
    assert missing == []
    cli_page = (site / "reference" / "generated" / "cli.html").read_text(encoding="utf-8")
    verbs = get_command(cli.registered()).commands
    assert [name for name in verbs if f"isoloss {name}" not in cli_page] == []
    assert "--backtest-above" in cli_page


def test_the_map_for_programs_leads_to_pages_that_are_there():
    found = links(DOCS / "llms.txt")
    assert len(found) > 10
    assert [link for link in found if link not in GENERATED and not (DOCS / link).exists()] == []


def test_links_of_the_readme_and_of_every_page_lead_to_files():
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md")]
    pages = [page for page in pages if "generated" not in page.parts]
    broken = [(page.name, link) for page in pages for link in links(page) if not (page.parent / link).exists()]
    generated = {Path(page).name for page in GENERATED}
    assert [(page, link) for page, link in broken if Path(link).name not in generated] == []


def test_the_readme_is_short_and_holds_the_demo_between_its_marks():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= README_LINES
    first, last = lines.index("<!-- demo -->"), lines.index("<!-- /demo -->")
    assert lines[first + 1] == "```text"
    assert lines[last - 1] == "```"


def test_the_version_that_is_cited_is_the_version():
    from isoloss import __version__

    assert f"version: {__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["own-runs", "known-truth"])
def test_notebooks_are_committed_without_outputs(name):
    cells = json.loads((DOCS / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    assert [cell["outputs"] for cell in cells if cell["cell_type"] == "code" and cell["outputs"]] == []
