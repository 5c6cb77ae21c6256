"""The local executor: every run ends as a record, even if workers or main processes die; nothing runs twice."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from drive_executor import study_specs

from isoloss.core.errors import BadCorpus, UnknownName
from isoloss.execution import Where, executor
from isoloss.execution.local import LocalExecutor
from isoloss.execution.lock import trunk_lock
from isoloss.runs.archive import Archive
from isoloss.runs.underway import lock_path
from isoloss.training.job import trunk_jobs
from isoloss.training.worker import run_trunk
from sampling import part
from tiny_training import tiny_spec, write_corpus
from waiting import HANGS_AFTER, wait_until

DRIVER = Path(__file__).with_name("drive_executor.py")
SEARCHED = [str(DRIVER.parents[1] / "helpers"), *filter(None, [os.environ.get("PYTHONPATH")])]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(SEARCHED)}


def processes_of(archive):
    """Command lines, with their ids, of every process that names the archive."""
    listing = subprocess.run(["ps", "-axww", "-o", "pid=,command="], capture_output=True, text=True, check=True).stdout
    return [line for line in listing.splitlines() if str(archive.folder) in line]


def wait_until_gone(archive):
    wait_until(lambda: not processes_of(archive), f"the end of every process of {archive.folder}")


@pytest.fixture
def archive(tmp_path):
    archive = Archive(tmp_path / "archive")
    write_corpus(archive, windows=10_000)
    return archive


def losses(archive):
    return {record.fingerprint: (record.status, record.loss) for record in archive.records()}


@pytest.mark.slow
def test_two_workers_give_what_one_process_gives_and_train_nothing_twice(archive, tmp_path):
    specs = [tiny_spec(steps, seed=seed) for seed in (0, 1, 2) for steps in (5, 10)]
    events = []
    records = list(LocalExecutor(Where(workers=2)).run(trunk_jobs(specs), archive, on_event=events.append))
    assert {r.fingerprint for r in records} == {s.fingerprint for s in specs}
    assert len(records) == len(specs)
    assert sorted(e.run for e in events if e.kind == "run_ended") == sorted(s.fingerprint for s in specs)
    alone = Archive(tmp_path / "alone")
    write_corpus(alone, windows=10_000)
    for job in trunk_jobs(specs):
        run_trunk(job, alone)
    assert losses(archive) == losses(alone)
    before = {path: path.stat().st_ino for path in (archive.folder / "runs").iterdir()}
    again = list(LocalExecutor(Where(workers=2)).run(trunk_jobs(specs), archive))
    assert losses(archive) == {r.fingerprint: (r.status, r.loss) for r in again}
    assert before == {path: path.stat().st_ino for path in (archive.folder / "runs").iterdir()}
    wait_until_gone(archive)


@pytest.mark.slow
def test_a_worker_that_dies_is_replaced_once_then_its_runs_fail_with_the_reason(archive):
    victim, other = tiny_spec(2000, width=16, corpus="corpus1-long"), tiny_spec(5, seed=1)
    killed = set()

    def kill_whoever_trains_the_victim(event):
        if event.kind == "advanced" and event.trunk == victim.trunk:
            for line in processes_of(archive):
                pid = int(line.split()[0])
                if pid not in killed:
                    killed.add(pid)
                    os.kill(pid, signal.SIGKILL)

    write_corpus(archive, name="long", windows=8000)
    records = list(
        LocalExecutor(Where(workers=1)).run(
            trunk_jobs([victim, other]), archive, on_event=kill_whoever_trains_the_victim
        )
    )
    by_run = {record.fingerprint: record for record in records}
    assert len(killed) == 2
    assert by_run[victim.fingerprint].status == "failed"
    assert "SIGKILL" in by_run[victim.fingerprint].error
    assert by_run[other.fingerprint].status == "finished"
    assert not archive.has(victim.fingerprint), "a failed run is tried again by the same command"


@pytest.mark.slow
def test_a_trunk_that_another_process_trains_is_waited_for(archive):
    held, free = tiny_spec(5), tiny_spec(5, seed=1)
    events, ended = [], []
    with trunk_lock(lock_path(archive.checkpoint_folder(held.trunk))) as mine:
        assert mine
        running = LocalExecutor(Where(workers=1)).run(trunk_jobs([held, free]), archive, on_event=events.append)
        ended.append(next(running).fingerprint)
        assert ended == [free.fingerprint]
    ended += [record.fingerprint for record in running]
    assert ended == [free.fingerprint, held.fingerprint]


@pytest.mark.slow
def test_leaving_the_iterator_stops_the_workers_with_their_state_saved(archive):
    write_corpus(archive, name="long", windows=12000)
    job = trunk_jobs([tiny_spec(steps, width=16, corpus="corpus1-long") for steps in (50, 3000)])[0]
    running = LocalExecutor(Where(workers=1)).run([job], archive)
    assert next(running).status == "finished"
    running.close()
    assert not processes_of(archive)
    assert (archive.checkpoint_folder(job.trunk) / "trunk.npz").exists()


@pytest.mark.slow
def test_a_corpus_too_small_is_refused_with_its_error(archive):
    with pytest.raises(BadCorpus, match="a run needs"):
        list(LocalExecutor(Where(workers=1)).run(trunk_jobs([tiny_spec(100_000)]), archive))
    wait_until_gone(archive)


def test_an_unknown_executor_is_answered_with_the_known_ones():
    with pytest.raises(UnknownName, match="local"):
        executor("locla")


def test_a_trunk_lock_is_held_by_one_and_leaves_nothing(tmp_path):
    path = tmp_path / "checkpoints" / "trunk.lock"
    with trunk_lock(path) as first:
        assert first
        with trunk_lock(path) as second:
            assert not second
    assert not path.exists()
    with trunk_lock(path) as third:
        assert third


@pytest.mark.slow
def test_ctrl_c_ends_everything_soon_with_the_state_saved(archive):
    main = subprocess.Popen(
        [sys.executable, str(DRIVER), str(archive.folder)], env=ENVIRONMENT, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with main:
        main.stdout.readline()  # training has begun
        os.killpg(main.pid, signal.SIGINT)  # as a terminal does: to the whole group
        _, errors = main.communicate(timeout=HANGS_AFTER)
    assert errors.strip().endswith("KeyboardInterrupt")
    assert errors.count("Traceback") == 1, "the main process's alone: workers are silent"
    assert not processes_of(archive)
    assert list((archive.folder / "checkpoints").glob("*/trunk.npz"))


@pytest.mark.slow
def test_kills_at_random_moments_change_nothing(archive, tmp_path):
    undisturbed = Archive(tmp_path / "undisturbed")
    write_corpus(undisturbed, windows=10_000)
    for job in trunk_jobs(study_specs()):
        run_trunk(job, undisturbed)

    chance = random.Random(20)
    stamps: dict[Path, tuple[int, int]] = {}
    for life in range(part(4, of=20)):
        # Every fourth kill falls into the start of the processes, the others into training.
        finished = _live(archive, alone=life % 2 == 1, in_training=life % 4 > 0, seconds=chance.uniform(0.0, 0.8))
        wait_until_gone(archive)
        for path in (archive.folder / "runs").glob("*.json"):
            stamp = (path.stat().st_ino, path.stat().st_mtime_ns)
            assert stamps.setdefault(path, stamp) == stamp, "a finished record was written again"
        if finished:
            break
    subprocess.run(
        [sys.executable, str(DRIVER), str(archive.folder)], env=ENVIRONMENT, check=True, capture_output=True, text=True
    )
    assert life >= part(2, of=8), "the study ended before it was killed often enough to show anything"
    assert losses(archive) == losses(undisturbed)
    assert not list((archive.folder / "checkpoints").iterdir())


def _live(archive, *, alone, in_training, seconds):
    """Start a main process, kill it (`alone`, or with its group) after some time; return if it was done."""
    main = subprocess.Popen(
        [sys.executable, str(DRIVER), str(archive.folder)],
        env=ENVIRONMENT,
        start_new_session=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    with main:
        if in_training:
            main.stdout.readline()
        try:
            finished = main.wait(seconds) == 0
        except subprocess.TimeoutExpired:
            os.kill(main.pid, signal.SIGKILL) if alone else os.killpg(main.pid, signal.SIGKILL)
            finished = False
        return finished
