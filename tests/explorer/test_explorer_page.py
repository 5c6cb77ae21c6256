"""What the explorer is made of: laws from files and runs, a page that stays small, and names that stay text."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from explorer_sources import HOSTILE, every_form, explored, simulated

from isoloss.core.errors import InputError
from isoloss.explorer import sources
from isoloss.explorer.content import MOST_DRAW_BYTES, content, draw_step
from isoloss.explorer.page import LARGEST_PAGE, page, write_explorer
from isoloss.explorer.sources import PageLaw, of_runs, open_source
from isoloss.fitting.fitting import fit
from isoloss.optima.lack_of_fit import LackOfFit
from isoloss.planning.shipped import LAW


def told_of(html: str) -> dict:
    """Return the data that a page carries."""
    return json.loads(html.split('id="content">')[1].split("</script>")[0])


def test_a_page_of_every_form_is_small_and_holds_its_names_as_data() -> None:
    html = page([explored(HOSTILE, every_form(HOSTILE))])
    assert len(html.encode()) < LARGEST_PAGE
    assert "<script>window.owned" not in html
    assert "<img" not in html
    assert {law["corpus"] for law in told_of(html)["sources"][0]["laws"]} == {HOSTILE}
    assert "unsafe-eval" not in html
    assert "https://" not in html.split("</script>")[-1]


def test_a_law_file_of_either_kind_opens(tmp_path: Path) -> None:
    law = fit(simulated("cpp"), bootstrap=5)
    law.save(tmp_path / "law.json")
    found = open_source(tmp_path / "law.json").laws[0].base
    assert (found.group, found.law, len(found.draws)) == ("cpp", "chinchilla", 5)
    (joint,) = open_source(LAW).joint
    assert joint.measure == "ngram"


def test_runs_are_fitted_in_every_form_asked_and_a_refused_form_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = LackOfFit(corpus="cpp", form="kaplan", misfit=0.03, probability=0.001, shift=0.7, flops=1e11,
                        fitting=None, refused=True)  # fmt: skip
    monkeypatch.setattr(sources, "lack_of_fit", lambda *_, form, **__: [replace(refusal, refused=form == "kaplan")])
    found = of_runs({"own": simulated("cpp")}, name="runs", forms=("chinchilla", "kaplan"), bootstrap=5)
    assert [(law.base.group, law.base.law, law.remark) for law in found.laws] == [
        ("cpp", "chinchilla", ""), ("cpp", "kaplan", refusal.sentence()),
    ]  # fmt: skip
    assert [law.base.params_convention for law in found.laws] == list(found.weighted) * 2 == ["with_head"] * 2


def test_draws_are_thinned_where_all_would_make_the_page_large() -> None:
    source = explored("cpp", every_form("cpp"))
    assert draw_step([source]) == 1
    one = source.laws[0].base
    large = replace(source, laws=(PageLaw(base=replace(one, draws=np.tile(one.draws, (5000, 1)))),))
    assert draw_step([large]) > 1
    (law,) = content([large])["sources"][0]["laws"]
    assert len(law["draws"]) <= MOST_DRAW_BYTES


@pytest.mark.parametrize("name", ["page.txt", "page"])
def test_a_page_is_an_html_file(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.html"):
        write_explorer([explored("cpp", every_form("cpp"))], tmp_path / name)


def test_a_form_without_a_formula_in_the_page_is_refused_by_name() -> None:
    law = fit(simulated("cpp"), law="kaplan_params")
    with pytest.raises(InputError, match="kaplan_params"):
        PageLaw(base=law)
    with pytest.raises(InputError, match="no_such"):
        open_source(LAW, forms=["no_such"])
    with pytest.raises(InputError, match="3 sources"):
        write_explorer([explored("cpp", every_form("cpp"))] * 3, Path("x.html"))


def test_an_array_of_runs_in_json_is_a_table_and_no_law(tmp_path: Path) -> None:
    rows = simulated("cpp").to_arrow().select(["params", "tokens", "loss_nats"]).to_pylist()
    (tmp_path / "runs.json").write_text(json.dumps(rows))
    found = open_source(tmp_path / "runs.json", forms=("chinchilla",), bootstrap=5)
    assert [law.base.law for law in found.laws] == ["chinchilla"]
