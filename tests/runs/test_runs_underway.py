"""Whoever looks into an archive sees what is being trained, what was interrupted, and how far each is."""

import fcntl

import pytest

from isoloss.core.errors import BadTable
from isoloss.runs.archive import Archive
from isoloss.runs.read_runs import read_runs
from isoloss.runs.spec import ModelSpec, Optimiser, RunSpec
from isoloss.runs.underway import TrunkProgress, lock_path, note_job, note_progress

SPECS = [
    RunSpec(
        corpus="text1-x", model=ModelSpec(width=8, depth=1, heads=1, ffn=16, vocab_size=16, context=8),
        train_tokens=tokens, batch_tokens=32, optimiser=Optimiser(peak_lr=1e-2),
    )
    for tokens in (320, 640)
]  # fmt: skip
SQL = "SELECT status, progress, train_nats, tokens_per_second, seconds_left, loss_nats FROM runs ORDER BY tokens"


def test_a_trunk_under_way_shows_its_runs_loss_speed_and_time_left(tmp_path):
    archive = Archive(tmp_path)
    checkpoints = archive.checkpoint_folder(SPECS[0].trunk)
    note_job(checkpoints, SPECS)
    assert [row["status"] for row in archive.query(SQL).to_pylist()] == ["interrupted"] * 2
    note_progress(checkpoints, TrunkProgress(tokens=100, total_tokens=500, loss_nats=2.5, tokens_per_second=50.0))
    with lock_path(checkpoints).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        output = {
            "status": "running",
            "progress": 0.2,
            "train_nats": 2.5,
            "tokens_per_second": 50.0,
            "seconds_left": 8.0,
        }
        assert archive.query(SQL).to_pylist() == [output | {"loss_nats": None}] * 2
    (stopped, _) = archive.query(SQL).to_pylist()
    assert (stopped["status"], stopped["progress"], stopped["seconds_left"]) == ("interrupted", 0.2, None)


def test_runs_under_way_are_no_observations(tmp_path):
    note_job(Archive(tmp_path).checkpoint_folder(SPECS[0].trunk), SPECS)
    with pytest.raises(BadTable, match="no rows"):
        read_runs(tmp_path)


def test_what_cannot_be_read_of_a_trunk_is_nobodys_run(tmp_path):
    archive = Archive(tmp_path)
    checkpoints = archive.checkpoint_folder(SPECS[0].trunk)
    note_job(checkpoints, SPECS)
    (checkpoints / "job.json").write_text("{")
    assert archive.query(SQL).num_rows == 0
