"""The gzip paper's three grammar series and real code stand as studies, at the paper's scale and at a laptop's."""

from pathlib import Path

import pytest

from isoloss.study.check import check_study
from isoloss.study.spec import Study

STUDIES = Path(__file__).parents[2] / "studies"
CORPORA = {"main": 6, "iso-vocabulary": 4, "iso-gzip": 4}


@pytest.mark.parametrize("series", CORPORA)
@pytest.mark.parametrize("scale", ["full", "laptop"])
def test_a_series_is_accepted_and_nothing_of_it_is_built(series: str, scale: str, tmp_path: Path) -> None:
    study = Study.load(STUDIES / f"gzip-{series}-{scale}.toml")
    checked = check_study(study, base=STUDIES, results=tmp_path / "results").to_json()
    runs = checked["runs"]
    assert len({run["corpus"] for run in runs}) == CORPORA[series]
    if scale == "full":
        # Six sizes, six token counts up to 100 M: billions of tokens, and the largest as many parameters as published.
        assert len(runs) == 36 * CORPORA[series]
        assert max(run["tokens"] for run in runs) > 99e6
        assert sum(run["tokens"] for run in runs) > 4e9
        assert max(run["counts"]["total"] for run in runs) > 1.2e9
    else:
        assert checked["seconds_estimate"] < 3600
    assert not (tmp_path / "results").exists()


@pytest.mark.slow
@pytest.mark.parametrize("scale", ["full", "laptop"])
def test_real_code_is_accepted(scale: str, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="its sources are the text")
    study = Study.load(STUDIES / f"gzip-code-{scale}.toml")
    checked = check_study(study, base=STUDIES, results=tmp_path / "results").to_json()
    assert {run["corpus"] for run in checked["runs"]} == {"python", "cpp", "prose"}
