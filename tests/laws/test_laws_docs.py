"""The reference is kept honest: every law has its page, and the page says what the law's class says."""

import re
import sys
from pathlib import Path

import pytest

from isoloss.core.consent import allow
from isoloss.fitting.fitting import fit
from isoloss.laws.registry import laws
from laws_tables import simulated

PAGES = Path(__file__).parents[2] / "docs" / "reference" / "laws"


@pytest.mark.parametrize("name", [*laws])
def test_every_law_has_its_page(name):
    law, text = laws[name], (PAGES / f"{name}.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {name}\n")
    missing = [part for part in (*law.parameters, *law.columns) if f"`{part}`" not in text]
    assert missing == []
    arxiv = re.search(r"arXiv:\d{4}\.\d{5}", law.source)
    assert arxiv is not None
    assert arxiv.group() in text
    for heading in (
        "**Source.**",
        "**Reads**",
        "**Starting values.**",
        "**Identified when**",
        "**Frontier.**",
        "bounds of",
    ):
        assert heading in text, heading


def test_the_list_holds_every_law():
    listed = re.findall(r"\| \[(\w+)\]\(\1\.md\)", (PAGES / "README.md").read_text(encoding="utf-8"))
    assert [name for name in laws if name not in listed] == []
    assert [name for name in listed if not (PAGES / f"{name}.md").exists()] == []


def test_the_law_of_ones_own_that_the_page_shows_works(tmp_path, monkeypatch):
    (code,) = re.findall(r"```python\n(.*?)```", (PAGES / "own.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    (tmp_path / "page_of_own_law.py").write_text(code, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    allow("page_of_own_law")
    truth = {"E": 0.0, "A": 0.5 * 1e5**0.35, "B": 0.4 * 1e6**0.4, "alpha": 0.35, "beta": 0.4}
    law = fit(simulated(law=truth, point_sd=0.0), law="page_of_own_law:NothingIrreducible", bootstrap=5)
    assert law.params["alpha"].value == pytest.approx(0.35, rel=1e-6)
    chinchilla = fit(simulated(law=truth, point_sd=0.0), fixed={"E": 0.0})
    (point,), (same,) = law.frontier(flops=[1e12]), chinchilla.frontier(flops=[1e12])
    assert point.params.value == pytest.approx(same.params.value, rel=1e-5)
