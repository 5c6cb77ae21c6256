"""A full disk and two main processes: nothing is lost, nothing is done twice, and what went wrong is said."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from isoloss.core.errors import InputError, StorageError
from isoloss.execution import Where
from isoloss.execution.local import LocalExecutor
from isoloss.execution.work import train_job
from isoloss.runs.archive import Archive
from isoloss.training.job import trunk_jobs
from tiny_training import tiny_spec, write_corpus

HERE = Path(__file__).parent


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 320 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=320k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or shutil.which("mount") is None or subprocess.run(mount, check=False).returncode:
        pytest.skip("a small disk cannot be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)  # the corpus is mapped into memory still


def test_a_full_disk_stops_the_work_and_keeps_what_was_done(small_disk):
    archive = Archive(small_disk)
    write_corpus(archive)
    specs = [tiny_spec(4), tiny_spec(8)]
    (job,) = trunk_jobs(specs)

    def train(job):
        return train_job(archive, job, report=lambda event: None, stop=lambda: False, checkpoint_seconds=1e9)

    (first,) = trunk_jobs(specs[:1])
    assert train(first)
    before = {path: path.read_bytes() for path in small_disk.rglob("*") if path.is_file()}
    filling = small_disk / "filling"
    with filling.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        while True:
            file.write(bytes(4096))
    with pytest.raises(StorageError, match="no space left on the disk") as output:
        train(job)
    assert str(small_disk) in output.value.place
    assert {path: path.read_bytes() for path in before} == before
    filling.unlink()
    assert train(job)
    assert {record.fingerprint for record in archive.records()} == {spec.fingerprint for spec in specs}
    assert {path: path.read_bytes() for path in before} == before, "finished work is not touched again"


MAIN_PROCESS = """
import sys
sys.path[:0] = [{tests!r}, {here!r}]
from tiny_training import tiny_spec
from isoloss.execution import Where
from isoloss.execution.local import LocalExecutor
from isoloss.runs.archive import Archive
from isoloss.training.job import trunk_jobs

jobs = trunk_jobs([tiny_spec(5, seed=seed) for seed in range(6)])
for record in LocalExecutor(Where(workers=1)).run(jobs, Archive({folder!r}), on_event=lambda event: None):
    print(record.fingerprint, record.status)
"""


@pytest.mark.slow
def test_two_main_processes_on_one_study_share_its_trunks(tmp_path):
    archive = Archive(tmp_path)
    write_corpus(archive)
    script = MAIN_PROCESS.format(tests=str(HERE.parent / "helpers"), here=str(HERE), folder=str(tmp_path))
    started = [subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    output = [process.communicate()[0].splitlines() for process in started]
    runs = {f"{tiny_spec(5, seed=seed).fingerprint} finished" for seed in range(6)}
    assert [set(lines) for lines in output] == [runs, runs], "each sees every record"
    assert not list((tmp_path / "checkpoints").iterdir())


def test_one_process_a_gpu_and_each_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,GPU-7")
    spec = tiny_spec(5)
    on_gpu = spec.model_copy(update={"numerics": spec.numerics.model_copy(update={"device": "cuda"})})
    places = LocalExecutor().places(trunk_jobs([on_gpu]), Archive(tmp_path))
    assert [place.environment["CUDA_VISIBLE_DEVICES"] for place in places] == ["4", "GPU-7"]
    (own,) = LocalExecutor(Where(workers=1)).places(trunk_jobs([spec]), Archive(tmp_path))
    assert "CUDA_VISIBLE_DEVICES" not in own.environment


def test_without_a_gpu_a_study_for_one_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    spec = tiny_spec(5)
    on_gpu = spec.model_copy(update={"numerics": spec.numerics.model_copy(update={"device": "cuda"})})
    with pytest.raises(InputError, match=r"training\.device"):
        list(LocalExecutor().run(trunk_jobs([on_gpu]), Archive(tmp_path)))
