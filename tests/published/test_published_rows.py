"""A number that is off by one digit is said to be off; folders that are not the study are refused."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from published_data import folder

from isoloss.core.errors import BadTable, InputError
from isoloss.published import studies
from isoloss.published.folder import origin_of, read_folder
from isoloss.published.reproduction import Reproduction, Row


def broken(row: Row) -> float:
    """Return the published number with its last digit that the tolerance can see moved by two (one, where exact)."""
    if row.absolute:
        return row.published + max(2.2 * row.tolerance, 1.0 if row.tolerance == 0 else 0)
    digit = 10.0 ** (math.floor(math.log10(abs(row.published))) + math.ceil(math.log10(row.tolerance)) + 1)
    return row.published + digit


def test_each_published_number_moved_by_a_digit_is_said_to_differ(porian_found: Reproduction) -> None:
    agreeing = [row for row in porian_found.rows if row.within]
    assert [row.quantity for row in agreeing if replace(row, published=broken(row)).within] == []


def test_a_reproduction_says_how_many_numbers_differ(porian_found: Reproduction) -> None:
    first = next(row for row in porian_found.rows if row.within)
    spoiled = replace(porian_found, rows=[replace(first, published=broken(first)), *porian_found.rows[1:]])
    assert len(spoiled.apart) == len(porian_found.apart) + 1
    assert f"of {len(spoiled.rows)}" in spoiled.summary()


def test_rows_are_json_even_where_a_number_is_missing() -> None:
    row = Row(quantity="a", published=0.5, reproduced=math.nan, tolerance=1e-3, why="none")
    assert not row.within
    assert json.loads(json.dumps(row.to_json(), allow_nan=False))["reproduced"] is None


def test_a_whole_reproduction_is_json(porian_found: Reproduction) -> None:
    output = json.loads(json.dumps(porian_found.to_json(["a.svg"]), allow_nan=False))
    assert len(output["rows"]) == len(porian_found.rows)
    assert {type(row["within"]) for row in output["rows"]} == {bool}


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The smallest study's folder, to be spoiled."""
    return Path(shutil.copytree(folder("porian2024"), tmp_path / "porian", copy_function=shutil.copyfile))


def test_a_folder_that_lacks_files_names_them_and_their_origin(copied: Path) -> None:
    (copied / "fits.csv").unlink()
    (copied / "configs.csv").unlink()
    with pytest.raises(InputError) as caught:
        read_folder(origin_of("porian"), copied)
    assert "configs.csv, fits.csv" in caught.value.message
    assert "github.com/formll" in str(caught.value.fix)


def test_a_file_with_another_content_is_refused(copied: Path) -> None:
    path = copied / "fit_summary.csv"
    path.write_text(path.read_text().replace("0.8353000424913991", "0.8353000424913992"))
    with pytest.raises(BadTable, match="SHA-256"):
        read_folder(origin_of("porian"), copied)


def test_a_renamed_column_is_named_with_the_nearest(copied: Path) -> None:
    path = copied / "fit_summary.csv"
    path.write_text(path.read_text().replace("rho_range_lo", "rho_range_low", 1))
    with pytest.raises(BadTable) as caught:
        read_folder(origin_of("porian"), copied)
    assert "'rho_range_lo'" in caught.value.message
    assert "did you mean 'rho_range_low'" in str(caught.value.fix)


def test_no_folder_and_an_unknown_study_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        read_folder(origin_of("porian"), tmp_path / "none")
    with pytest.raises(InputError) as caught:
        studies.reproduce("porian", None)
    assert "--fetch" in str(caught.value.fix)
    with pytest.raises(InputError, match="unknown study"):
        origin_of("porrian")
