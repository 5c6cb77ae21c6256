"""What a killed process leaves behind goes at the next write, and nothing of a living one ever does."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from isoloss.core import files, remains

WRITER = """
import signal, sys
from pathlib import Path
from isoloss.core import files
with files.replacing(Path(sys.argv[1]) / "record.json") as temporary:
    temporary.write_text("half")
    print("writing", flush=True)
    signal.pause()
"""

BUILDER = """
import signal, sys
from pathlib import Path
from isoloss.corpus import store
with store.workshop(Path(sys.argv[1])) as folder:
    (folder / "spool").write_bytes(b"half")
    print("building", flush=True)
    signal.pause()
"""


@pytest.fixture
def at_work(tmp_path):
    """Start a process that stops in the middle of its work in tmp_path."""
    started = []

    def start(code: str) -> subprocess.Popen:
        process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
        started.append(process)
        process.stdout.readline()
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_killed_writers_file_goes_and_a_living_ones_stays(tmp_path, at_work):
    at_work(WRITER)
    (living,) = tmp_path.iterdir()
    killed = at_work(WRITER)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    assert len(list(tmp_path.iterdir())) == 2
    files.write_text(tmp_path / "other.txt", "whole")
    assert {path.name for path in tmp_path.iterdir()} == {living.name, "other.txt"}


def test_a_killed_builders_folder_goes_at_the_next_build_and_a_living_ones_stays(tmp_path, at_work):
    from isoloss.corpus import store

    at_work(BUILDER)
    (living,) = tmp_path.iterdir()
    killed = at_work(BUILDER)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    assert len(list(tmp_path.iterdir())) == 2
    with store.workshop(tmp_path) as folder:
        assert set(tmp_path.iterdir()) == {living, folder}
        assert (living / "spool").read_bytes() == b"half"
    assert list(tmp_path.iterdir()) == [living]


def test_files_of_others_are_left_alone(tmp_path):
    names = [".hidden", "a.tmp", ".short.tmp", ".record.json.UPPERCAS.tmp"]
    for name in names:
        (tmp_path / name).touch()
    (tmp_path / ".folder.abcdefgh.tmp").mkdir()
    remains.remove_files(tmp_path)
    assert len(list(tmp_path.iterdir())) == len(names) + 1
    (tmp_path / ".record.json.ab_d3fgh.tmp").touch()
    remains.remove_files(tmp_path)
    assert len(list(tmp_path.iterdir())) == len(names) + 1


def test_a_file_that_was_cleared_away_is_made_again(tmp_path, monkeypatch):
    made: list[Path] = []
    original = files._temporary

    def robbed(target: Path) -> Path:
        made.append(original(target))
        if len(made) == 1:
            made[0].unlink()
        return made[-1]

    monkeypatch.setattr(files, "_temporary", robbed)
    files.write_text(tmp_path / "a.txt", "whole")
    assert len(made) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_what_a_killed_check_leaves_goes_with_the_next_and_what_a_living_one_has_stays(tmp_path):
    dead, living, fresh = (tmp_path / f"isoloss-check-{name}" for name in ("dead", "living", "fresh"))
    for folder in (dead, living, fresh):
        folder.mkdir()
    (dead / remains.LOCK).touch()
    (living / remains.LOCK).touch()
    unlocked = tmp_path / "isoloss-check-unlocked"
    unlocked.mkdir()
    os.utime(unlocked, (0, 0))
    with remains.held(living / remains.LOCK), remains.temporary_folder(tmp_path, "isoloss-check-") as folder:
        assert set(tmp_path.iterdir()) == {living, fresh, folder}
    assert set(tmp_path.iterdir()) == {living, fresh}
