"""Damage is found by checksum and named; what can be repaired is, and a run is trained again only where it must be."""

import json
import os

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from isoloss.core.errors import DamagedArchive, InputError
from isoloss.runs.archive import Archive
from isoloss.runs.damage import mend
from isoloss.runs.record import Loss, RunRecord
from isoloss.runs.shapes import count
from isoloss.runs.spec import ModelSpec, Optimiser, RunSpec

SPEC = RunSpec(
    corpus="text1-x", model=ModelSpec(width=8, depth=1, heads=1, ffn=16, vocab_size=16, context=8), train_tokens=320,
    batch_tokens=32, optimiser=Optimiser(peak_lr=1e-2),
)  # fmt: skip
RUN = SPEC.fingerprint
RECORD = RunRecord(
    fingerprint=RUN, trunk=SPEC.trunk, spec=SPEC, counts=count(SPEC.model), status="finished",
    loss=Loss(nats=2.0, stderr=0.01, tokens=100, documents=4), wall_seconds=1.25,
)  # fmt: skip
CURVE = {"step": [1, 2], "tokens": [32, 64], "train_nats": [3.0, 2.0], "lr": [1e-2, 0.0], "heldout_nats": [None, 2.0]}
DOCUMENTS = {"document": np.arange(4), "tokens": np.full(4, 25), "nats": np.array([1.9, 2.0, 2.1, 2.0])}


def written(folder):
    archive = Archive(folder)
    archive.write(RECORD, curve=CURVE, documents=DOCUMENTS)
    return archive


def files_of(archive):
    return {
        "record": archive.record_path(RUN), "curves": archive.columns_path("curves", RUN),
        "documents": archive.columns_path("documents", RUN),
    }  # fmt: skip


def spoil(path, how, at):
    content = bytearray(path.read_bytes())
    position = int(at * (len(content) - 2))  # a record that lost its last newline alone has lost nothing
    if how == "flip":
        content[position] ^= 1
        path.write_bytes(content)
    else:
        path.write_bytes(content[:position])


def test_a_sound_run_is_left_alone(tmp_path):
    archive = written(tmp_path)
    before = {path: path.stat().st_ino for path in tmp_path.rglob("*")}
    assert mend(archive, [RUN, "run1-never"]) == []
    assert {path: path.stat().st_ino for path in tmp_path.rglob("*")} == before


@settings(max_examples=60)
@example("record", "cut", 1.0)
@example("record", "flip", 0.00443)  # in the schema's name, then in its number
@example("record", "flip", 0.0096)
@given(st.sampled_from(["record", "curves", "documents"]), st.sampled_from(["flip", "cut"]), st.floats(0, 1))
def test_any_flipped_bit_and_any_cut_is_found_and_named(tmp_path_factory, what, how, at):
    archive = written(tmp_path_factory.mktemp("archive"))
    path = files_of(archive)[what]
    sound = path.read_bytes()
    spoil(path, how, at)
    (damage,) = mend(archive, [RUN])
    assert damage.file == path
    assert str(path) in str(damage)
    aside = archive.folder / "damaged" / path.name
    assert aside.exists()
    assert mend(archive, [RUN]) == [], "once is enough"
    if what == "documents":
        assert not archive.has(RUN), "every document's loss is needed: the run is trained again"
    else:
        assert archive.read(RUN) == RECORD, "the run's loss stands"
    if what == "record":
        assert json.loads(path.read_bytes()) == json.loads(sound)
    if what == "curves":
        assert len(archive.read_columns("curves", RUN)["step"]) == 0


def test_a_damaged_record_is_refused_by_whoever_only_reads(tmp_path):
    archive = written(tmp_path)
    path = archive.record_path(RUN)
    path.write_text(path.read_text().replace('"nats": 2.0', '"nats": 1.0'))
    with pytest.raises(DamagedArchive, match="checksum") as error:
        archive.read(RUN)
    assert str(path) in error.value.place
    assert "run the study again" in error.value.fix


def test_without_a_copy_a_damaged_record_is_trained_again(tmp_path):
    archive = written(tmp_path)
    for what in ("record", "documents"):
        spoil(files_of(archive)[what], "cut", 0.5)
    (damage,) = mend(archive, [RUN])
    assert damage.outcome == "its run is trained again"
    assert not archive.has(RUN)


def test_a_missing_curve_is_damage_too(tmp_path):
    archive = written(tmp_path)
    files_of(archive)["curves"].unlink()
    (damage,) = mend(archive, [RUN])
    assert "the run's loss is intact" in damage.outcome
    assert archive.read(RUN) == RECORD


def test_records_of_an_older_isoloss_carry_no_checksum_and_are_read(tmp_path):
    archive = written(tmp_path)
    path = archive.record_path(RUN)
    content = json.loads(path.read_text())
    del content["seal"]
    path.write_text(json.dumps(content | {"schema": 1}))
    assert archive.read(RUN).loss == RECORD.loss
    assert mend(archive, [RUN]) == []


def test_a_second_damage_does_not_cover_the_first(tmp_path):
    archive = written(tmp_path)
    for cut in (0.3, 0.6):
        spoil(archive.record_path(RUN), "cut", cut)
        mend(archive, [RUN])
    assert len(list((tmp_path / "damaged").iterdir())) == 2


@pytest.mark.parametrize("made", ["folder", "pipe", "loop", "link to nothing"])
def test_what_is_no_file_in_the_place_of_a_record_is_to_be_removed(tmp_path, made):
    archive = written(tmp_path)
    path = archive.record_path(RUN)
    path.unlink()
    if made == "folder":
        path.mkdir()
    elif made == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(path.name if made == "loop" else "nothing")
    with pytest.raises(DamagedArchive) as found:
        list(archive.records())
    assert found.value.place == str(path)
    assert "remove it" in str(found.value.fix)


@pytest.mark.parametrize("content", [b"", b"garbage", b"[]", b'{"schema": "1"}', b'{"schema": true}'])
def test_a_damaged_sign_of_an_archive_may_be_deleted_as_its_error_says(tmp_path, content):
    written(tmp_path)
    sign = tmp_path / "archive.json"
    sign.write_bytes(content)
    with pytest.raises(DamagedArchive) as found:
        Archive.reopen(tmp_path)
    assert found.value.place == str(sign)
    sign.unlink()
    assert [record.fingerprint for record in Archive.reopen(tmp_path).records()] == [RUN]
    assert sign.is_file()


def test_a_folder_of_other_runs_is_no_archive(tmp_path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "events.json").write_text("{}")
    with pytest.raises(InputError):
        Archive.reopen(tmp_path)
    assert not (tmp_path / "archive.json").exists()
