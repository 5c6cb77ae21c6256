"""Studies read from what their authors published: a clone's files in the place of our tables."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from published_data import folder
from published_web import HTTP, Web, chinchilla_original, datablations_original, serving

from isoloss.core.errors import BadTable, InputError, WorkError
from isoloss.published import porian, studies
from isoloss.published.folder import Columns, origins, read_folder
from isoloss.published.porian import originals
from isoloss.published.porian.analysis import PorianAnalysis
from isoloss.published.porian.data import ORIGIN
from isoloss.published.porian.originals import CONFIGURATIONS, SUMMARIES
from isoloss.published.porian.printed import ACCURACY, PRINTED, SENSITIVITY
from isoloss.published.porian.rows import porian_counts, porian_shapes
from isoloss.published.public_originals import fetch_curves, fetch_study, originals_in, read_study
from isoloss.published.reproduction import Reproduction
from isoloss.runs.read_runs import read_runs
from isoloss.runs.table_files import read_csv

pytest.importorskip("pandas")


@pytest.fixture(scope="module")
def summaries() -> Path:
    return folder("porian2024/originals")


@pytest.fixture(scope="module")
def converted(summaries: Path) -> dict[str, Columns]:
    return dict(originals.tables_of({one.name: summaries / one.name for one in SUMMARIES}))


def test_the_tables_of_the_pickles_are_the_tables_in_open_formats(
    converted: dict[str, Columns], porian_tables: dict[str, Columns]
) -> None:
    """Points, optima and laws to the bit; ends of intervals to rounding, for quantiles are sums."""
    assert set(converted) == {Path(file.name).stem for file in ORIGIN.files}
    for name, columns in converted.items():
        for column, values in columns.items():
            expected = porian_tables[name][column]
            if values.dtype.kind == "U":
                np.testing.assert_array_equal(values, expected)
            else:
                np.testing.assert_allclose(values, expected, rtol=1e-14, err_msg=f"{name}, {column}")


def test_every_column_that_is_read_comes_of_the_pickles(converted: dict[str, Columns]) -> None:
    for file in ORIGIN.files:
        read = set(file.columns) - {"status"}  # in words, by whoever wrote the tables
        assert read <= set(converted[Path(file.name).stem])


def test_the_pickles_alone_give_every_number_but_those_of_a_sample_of_curves(
    converted: dict[str, Columns], porian_found: Reproduction, porian_analysis: PorianAnalysis
) -> None:
    """The analysis of equal tables is equal: only what stands next to it comes of the pickles here."""
    found = porian.reproduction(porian_analysis, converted)
    every = {row.quantity: row.reproduced for row in porian_found.rows}
    own = {row.quantity: row.reproduced for row in found.rows}
    missing = every.keys() - own.keys()
    assert len(own) == 1451
    assert all("smoothed loss" in quantity for quantity in missing)
    assert {row.quantity for row in found.apart} == {row.quantity for row in porian_found.apart}
    assert all(originals.CURVES in reason for reason in found.not_shown.values())
    open_claims = [claim for claim in found.claims if claim.verdict == "cannot be checked with this data"]
    assert open_claims
    assert all(originals.CURVES in claim.why for claim in open_claims)


def test_a_clone_and_its_data_folder_are_found(summaries: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for one in SUMMARIES:
        (tmp_path / "data" / one.name).symlink_to(summaries / one.name)
    found = originals_in("porian", tmp_path)
    assert found == originals_in("porian", tmp_path / "data") == {p.name: p for p in (tmp_path / "data").iterdir()}
    (tmp_path / "data" / SUMMARIES[1].name).unlink()
    with pytest.raises(InputError, match=SUMMARIES[1].name):
        studies.reproduce("porian", tmp_path)


def test_other_bytes_under_the_name_of_a_summary_are_not_opened(summaries: Path, tmp_path: Path) -> None:
    for one in SUMMARIES:
        shutil.copyfile(summaries / one.name, tmp_path / one.name)
    (tmp_path / SUMMARIES[0].name).write_bytes(b"\x80\x04]\x94.")
    with pytest.raises(BadTable, match="SHA-256"):
        studies.reproduce("porian", tmp_path)


def test_what_the_package_says_was_printed_is_what_was(porian_tables: dict[str, Columns]) -> None:
    """Against the tables in open formats, where they are at hand."""
    place = folder("porian2024")
    printed = {(one.config, one.value) for one in PRINTED}
    table = read_csv(place / "published_values.csv").to_pydict()
    assert printed == set(zip(table["config"], table["value"], strict=True))
    accuracy = read_csv(place / "accuracy_vs_compute_rw_5_tuned.csv").to_pydict()
    assert [one.exponent for points in ACCURACY.values() for one in points] == accuracy["exponent"]
    assert [one.cost for points in ACCURACY.values() for one in points] == accuracy["cost"]
    noise = read_csv(place / "noise_sensitivity.csv").to_pydict()
    stored = dict(zip(zip(noise["variant"], noise["config"], strict=True), noise["a"], strict=True))
    assert all(stored[variant, key] == a for variant, keyed in SENSITIVITY.items() for key, a in keyed.items())
    shapes = read_csv(place / "architectures.csv").to_pydict()
    assert [porian_counts(s.width, s.depth)["N exact"] for s in porian_shapes()] == shapes["n_exact_repo"]
    assert [key for keys in CONFIGURATIONS.values() for key, _ in keys] == porian_tables["configs"]["config"].tolist()


def moved(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the summaries and the curves stand on the web of this machine."""
    files = tuple(replace(file, url=f"{web.address}/{file.name}") for file in ORIGIN.public)
    curves = replace(ORIGIN.curves, url=f"{web.address}/curves")
    monkeypatch.setitem(origins(), "porian", replace(ORIGIN, public=files, curves=curves))


def test_the_summaries_are_fetched_and_pinned_and_the_curves_next_to_data(
    summaries: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with serving() as web:
        moved(web, monkeypatch)
        web.content = {f"/{one.name}": (summaries / one.name).read_bytes() for one in SUMMARIES}
        found = fetch_study("porian", cache=tmp_path, schemes=HTTP)
        assert {one.known for one in found.fetched} == {"as pinned"}
        assert originals_in("porian", found.folder) == {one.name: one.path for one in found.fetched}
        with pytest.raises(WorkError):
            fetch_curves("porian", cache=tmp_path, schemes=HTTP)
        web.content["/curves"] = b"curves"
        assert fetch_curves("porian", cache=tmp_path, schemes=HTTP).path.read_bytes() == b"curves"
        with pytest.raises(InputError):
            fetch_curves("gzip", cache=tmp_path, schemes=HTTP)


@pytest.mark.parametrize(
    ("study", "name", "make", "inside"),
    [
        ("chinchilla", "chinchilla2022", chinchilla_original, "data"),
        ("datablations", "datablations2023", datablations_original, "utils"),
    ],
)
def test_a_clone_of_another_study_serves_as_its_tables_do(
    study: str, name: str, make: Callable[[Path], dict[str, bytes]], inside: str, tmp_path: Path
) -> None:
    (tmp_path / inside).mkdir()
    for file, content in make(folder(name)).items():
        (tmp_path / inside / file).write_bytes(content)
    assert read_study(study, tmp_path).keys() == read_folder(origins()[study], folder(name)).keys()


def test_the_points_of_a_summary_are_a_table_of_runs(converted: dict[str, Columns]) -> None:
    points = converted["isoflop_points"]
    runs = read_runs(points, params="n", tokens="t", loss="loss", flops="flops", corpus="config")
    assert runs.flops_factor == 1.0
