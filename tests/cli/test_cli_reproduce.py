"""`isoloss reproduce` as a user has it."""

from pathlib import Path

import pytest

DATA = Path(__file__).parents[2].parent / "shared" / "data"


def test_a_study_prints_one_object_and_writes_its_files(isoloss) -> None:
    if not (DATA / "datablations2023").is_dir():
        pytest.skip("published data not at hand: datablations2023")
    outcome = isoloss("reproduce", "datablations", "--data", DATA / "datablations2023", "--out", "out", "--json")
    assert outcome.code == 0
    output = outcome.json
    assert {"rows", "claims", "figures", "seconds"} < set(output)
    assert {"quantity", "published", "reproduced", "difference", "within"} < set(output["rows"][0])
    assert {claim["verdict"] for claim in output["claims"]} <= {
        "holds", "does not hold", "cannot be checked with this data",
    }  # fmt: skip
    assert all(Path(figure).is_file() for figure in output["figures"])
    assert Path(output["report"]).is_file()


def test_without_data_it_says_what_is_needed_and_from_where(isoloss) -> None:
    outcome = isoloss("reproduce", "gzip", "--json")
    assert outcome.code == 2
    error = outcome.json["error"]
    assert "not shipped" in error["message"]
    assert "github.com/IBM/ColPret" in error["fix"]


def test_a_wrong_folder_an_unknown_study_and_raw_curves_of_another_are_refused(isoloss, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    outcome = isoloss("reproduce", "chinchilla", "--data", empty)
    assert outcome.code == 2
    assert "chinchilla_runs_245.csv" in outcome.err
    assert isoloss("reproduce", "porrian", "--data", empty).code == 2
    assert isoloss("reproduce", "gzip", "--data", empty, "--raw", empty / "x.pickle").code == 2


def test_without_a_network_a_fetch_names_the_address_and_what_to_do_by_hand(isoloss, monkeypatch, tmp_path) -> None:
    from dataclasses import replace

    from isoloss.published.folder import origin_of, origins

    origin = origin_of("chinchilla")
    gone = tuple(replace(file, url="https://127.0.0.1:9/points.csv") for file in origin.public)
    monkeypatch.setitem(origins(), "chinchilla", replace(origin, public=gone))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    outcome = isoloss("reproduce", "chinchilla", "--fetch", "--json")
    assert outcome.code == 1
    error = outcome.json["error"]
    assert error["place"] == "https://127.0.0.1:9/points.csv"
    assert str(tmp_path / "cache" / "isoloss" / "published" / "chinchilla" / "originals") in error["fix"]


def test_fetching_what_is_given_is_refused(isoloss, tmp_path) -> None:
    assert isoloss("reproduce", "gzip", "--fetch", "--data", tmp_path).code == 2
    assert isoloss("reproduce", "porian", "--fetch", "--data", tmp_path, "--raw", tmp_path / "x").code == 2
