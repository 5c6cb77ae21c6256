"""The reference is kept honest: every law has its page, and the page says what the law's class says."""

import re
from pathlib import Path

import pytest

from isoloss.laws.registry import laws

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
        "**Use it**",
        "**Known to fail**",
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
