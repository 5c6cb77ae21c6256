"""Originals fetched from where they are public: the study's own tables come of them, and nothing else is let in."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from published_data import folder
from published_web import HTTP, Web, chinchilla_original, datablations_original, gzip_original, serving

from isoloss.core.errors import BadTable, InputError, WorkError
from isoloss.published.fetch import PublicFile, fetch
from isoloss.published.folder import origin_of, origins, read_folder
from isoloss.published.public_originals import fetch_study, tables_of

Originals = Callable[[Path], dict[str, bytes]]
STUDIES = {
    "chinchilla": ("chinchilla2022", chinchilla_original),
    "gzip": ("gzip2024", gzip_original),
    "datablations": ("datablations2023", datablations_original),
}


@pytest.fixture
def web() -> Iterator[Web]:
    with serving() as served:
        yield served


def file_at(web: Web, content: bytes = b"what is public", **more: object) -> PublicFile:
    web.content["/data"] = content
    return replace(PublicFile(name="data", url=f"{web.address}/data", most_bytes=100), **more)


@pytest.fixture
def moved(monkeypatch: pytest.MonkeyPatch, web: Web) -> Callable[[str], None]:
    """Have a study's originals stand on the web of this machine."""

    def move(study: str) -> None:
        origin = origin_of(study)
        files = tuple(replace(file, url=f"{web.address}/{file.name}") for file in origin.public)
        monkeypatch.setitem(origins(), study, replace(origin, public=files))

    return move


@pytest.mark.parametrize("study", STUDIES)
def test_the_studys_tables_come_of_its_originals_to_the_byte(
    study: str, web: Web, moved: Callable[[str], None], tmp_path: Path
) -> None:
    name, originals = STUDIES[study]
    web.content = {f"/{file}": content for file, content in originals(folder(name)).items()}
    moved(study)
    found = fetch_study(study, cache=tmp_path, schemes=HTTP)
    assert {one.known for one in found.fetched} == {"recorded on first use"}
    assert all(one.fresh for one in found.fetched)
    source = origin_of(study)
    tables = read_folder(source, found.folder)  # the digests of the tables are pinned
    assert set(tables) == {Path(file.name).stem for file in source.files}
    for file in source.files:
        if file.name.endswith(".csv"):
            assert (tmp_path / study / file.name).read_bytes() == (folder(name) / file.name).read_bytes()


def test_what_was_fetched_is_found_again_without_the_web(web: Web, tmp_path: Path) -> None:
    original = file_at(web)
    fetch([original], tmp_path, schemes=HTTP)
    (again,) = fetch([original], tmp_path, schemes=HTTP)
    assert web.asked == ["/data"]
    assert (again.known, again.fresh) == ("as recorded", False)
    assert "as recorded" in again.sentence()
    assert json.loads((tmp_path / "fetched.json").read_text())["data"]["sha256"] == again.sha256


def test_a_file_put_there_by_hand_serves(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"by hand")
    (found,) = fetch([PublicFile(name="data", url="https://localhost/data", most_bytes=10)], tmp_path)
    assert (found.known, found.fresh) == ("recorded on first use", False)


def test_other_bytes_than_recorded_are_refused_here_and_there(web: Web, tmp_path: Path) -> None:
    original = file_at(web)
    fetch([original], tmp_path, schemes=HTTP)
    (tmp_path / "data").write_bytes(b"what was spoiled")
    with pytest.raises(BadTable, match="recorded on first use") as caught:
        fetch([original], tmp_path, schemes=HTTP)
    assert caught.value.place == str(tmp_path / "data")
    (tmp_path / "data").unlink()
    web.content["/data"] = b"what is public now"
    with pytest.raises(BadTable) as caught:
        fetch([original], tmp_path, schemes=HTTP)
    assert caught.value.place == original.url
    assert not (tmp_path / "data").exists()


def test_pinned_bytes_are_asked_for_from_the_first_time_on(web: Web, tmp_path: Path) -> None:
    pinned = file_at(web, sha256="fb5c22a1e7b9ebca0ea7ab7f7b7efbd3efbfba7d6f6b2b1e5a5e0c6f31b2f3a9")
    with pytest.raises(BadTable, match="pinned"):
        fetch([pinned], tmp_path, schemes=HTTP)
    assert list(tmp_path.iterdir()) == []
    (found,) = fetch([file_at(web)], tmp_path, schemes=HTTP)
    (again,) = fetch([file_at(web, sha256=found.sha256)], tmp_path, schemes=HTTP)
    assert again.known == "as pinned"


@pytest.mark.parametrize("says_length", [True, False])
def test_more_than_a_file_may_have_is_not_kept(web: Web, tmp_path: Path, says_length: bool) -> None:
    web.says_length = says_length
    with pytest.raises(BadTable, match="more than the 100 bytes"):
        fetch([file_at(web, b"x" * 101)], tmp_path, schemes=HTTP)
    assert list(tmp_path.iterdir()) == []


def test_an_answer_that_breaks_off_is_not_kept(web: Web, tmp_path: Path) -> None:
    web.cut = 3
    with pytest.raises(WorkError, match="11 of 14 bytes|IncompleteRead"):
        fetch([file_at(web)], tmp_path, schemes=HTTP)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_fetched_but_over_https(web: Web, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not fetched over https"):
        fetch([file_at(web)], tmp_path)
    assert web.asked == []
    with pytest.raises(InputError, match="https"):
        fetch([PublicFile(name="hosts", url="file:///etc/hosts", most_bytes=100)], tmp_path)


@pytest.mark.parametrize("target", ["ftp://127.0.0.1/data", "https://127.0.0.1/data"])
def test_a_redirection_to_another_scheme_is_not_followed(web: Web, tmp_path: Path, target: str) -> None:
    web.elsewhere["/data"] = target
    with pytest.raises(InputError, match="not fetched over http"):
        fetch([file_at(web)], tmp_path, schemes=HTTP)


def test_a_redirection_within_the_scheme_is(web: Web, tmp_path: Path) -> None:
    original = file_at(web)
    web.elsewhere["/old"] = original.url
    (found,) = fetch([replace(original, url=f"{web.address}/old")], tmp_path, schemes=HTTP)
    assert found.path.read_bytes() == b"what is public"


def test_an_address_that_does_not_answer_is_named_with_what_to_do(web: Web, tmp_path: Path) -> None:
    missing = replace(file_at(web), url=f"{web.address}/gone")
    with pytest.raises(WorkError, match="404") as caught:
        fetch([missing], tmp_path, schemes=HTTP)
    assert caught.value.place == missing.url
    assert str(tmp_path / "data") in str(caught.value.fix)
    with pytest.raises(WorkError, match="could not be fetched"):
        fetch([replace(missing, url="http://127.0.0.1:9/data")], tmp_path, schemes=HTTP)


def test_a_spoiled_record_is_named(tmp_path: Path) -> None:
    (tmp_path / "fetched.json").write_text("[1")
    with pytest.raises(BadTable, match="not a record"):
        fetch([], tmp_path)


DEEP = b"[" * 100_000
NOTEBOOK = b'{"cells": [{"cell_type": "code", "source": %s}]}'


@pytest.mark.parametrize(
    ("study", "name", "content"),
    [
        ("chinchilla", "svg_extracted_data.csv", b"Model size,Training FLOP,loss\n1,2,3\n"),
        ("chinchilla", "svg_extracted_data.csv", b"Model Size,Training FLOP,loss\n1,2,three\n"),
        ("chinchilla", "svg_extracted_data.csv", b"\xff\xfe\x00"),
        ("gzip", "results_new.jsonl", DEEP),
        ("gzip", "results_new.jsonl", b""),
        ("gzip", "results_new.jsonl", b'{"dataset_name": 3}\n'),
        ("gzip", "results_new.jsonl", b"\xff"),
        ("datablations", "parametric_fit.ipynb", DEEP),
        ("datablations", "parametric_fit.ipynb", NOTEBOOK % b'"NAMES_TO_VAL_LOSSES = open(1)"'),
        ("datablations", "parametric_fit.ipynb", NOTEBOOK % b'"NAMES_TO_VAL_LOSSES = {1: exit(1)}"'),
        (
            "datablations", "parametric_fit.ipynb",
            NOTEBOOK % b'"NAMES_TO_VAL_LOSSES = {1: 2}\\nNAMES_TO_VAL_LOSSES = {}\\nTOKENS_MAP = {}\\nPARAMS_MAP = {}"',
        ),
    ],
)  # fmt: skip
def test_what_is_not_the_original_is_refused(study: str, name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadTable):
        tables_of(study, {name: tmp_path / name})


def test_another_original_of_the_same_form_is_refused_and_leaves_the_place_to_the_right_one(
    web: Web, moved: Callable[[str], None], tmp_path: Path
) -> None:
    web.content["/svg_extracted_data.csv"] = b"Model Size,Training FLOP,loss\n" + b"1e8,1e19,3.0\n" * 6
    moved("chinchilla")
    with pytest.raises(BadTable, match="not the file that was published"):
        fetch_study("chinchilla", cache=tmp_path, schemes=HTTP)
    web.content["/svg_extracted_data.csv"] = chinchilla_original(folder("chinchilla2022"))["svg_extracted_data.csv"]
    (found,) = fetch_study("chinchilla", cache=tmp_path, schemes=HTTP).fetched
    assert (found.known, found.fresh) == ("recorded on first use", True)
