"""Ray: a task a trunk on a real cluster of two nodes; workers and nodes die, and the table is that of one process."""

import os
import signal
import subprocess
import threading
import warnings
from pathlib import Path

import pytest

from isoloss.core.errors import InputError, StorageError
from isoloss.execution import Where, ray_cluster
from isoloss.execution.ray_cluster import RayExecutor
from isoloss.execution.ray_task import require_shared
from isoloss.runs.archive import Archive
from isoloss.runs.spec import Numerics
from isoloss.training.job import trunk_jobs
from isoloss.training.worker import run_trunk
from tiny_training import tiny_spec, write_corpus
from waiting import wait_until

pytest.importorskip("ray")
# Ray leaves sockets and pipes to the end of the process.
IGNORED = ("pytest.PytestUnraisableExceptionWarning", "ResourceWarning", "FutureWarning")
pytestmark = [pytest.mark.ray, pytest.mark.slow, *(pytest.mark.filterwarnings(f"ignore::{name}") for name in IGNORED)]

HERE = str(Path(__file__).parent)


@pytest.fixture(scope="module")
def cluster():
    """Two nodes of one core each, none of it the main process's."""
    from ray.cluster_utils import Cluster

    before = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join([HERE, before])  # where workers find stub_training
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # A dead node is missed after five seconds instead of half a minute.
        config = {
            "health_check_period_ms": 1000,
            "health_check_failure_threshold": 5,
            "health_check_initial_delay_ms": 0,
            "worker_niceness": 0,  # Ray's own is 15: beside other work its workers hardly run
        }
        head = {"num_cpus": 0, "include_dashboard": False, "_system_config": config}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        for _ in range(2):
            cluster.add_node(num_cpus=1)
        yield cluster
        cluster.shutdown()
    os.environ["PYTHONPATH"] = before


@pytest.fixture
def archive(tmp_path):
    archive = Archive(tmp_path / "archive")
    write_corpus(archive)
    return archive


def losses(archive):
    return {record.fingerprint: (record.status, record.loss) for record in archive.records()}


def wait_for(path):
    wait_until(path.exists, str(path))
    return path


def test_a_cluster_of_two_nodes_gives_what_one_process_gives(cluster, archive, tmp_path):
    specs = [tiny_spec(steps, seed=seed) for seed in (0, 1) for steps in (5, 10)]
    events = []
    records = list(RayExecutor(Where(address=cluster.address)).run(trunk_jobs(specs), archive, on_event=events.append))
    assert sorted(r.fingerprint for r in records) == sorted(s.fingerprint for s in specs)
    assert sorted(e.run for e in events if e.kind == "run_ended") == sorted(s.fingerprint for s in specs)
    alone = Archive(tmp_path / "alone")
    write_corpus(alone)
    for job in trunk_jobs(specs):
        run_trunk(job, alone)
    assert losses(archive) == losses(alone)
    assert list(RayExecutor(Where(address="nowhere:1")).run(trunk_jobs(specs), archive)), (
        "nothing is left that needs one"
    )


def test_a_worker_that_dies_twice_is_recorded_with_the_reason(cluster, archive):
    spec = tiny_spec(5)
    events = []
    executor = RayExecutor(Where(address=cluster.address))
    executor.trainer = "stub_training:deadly"
    (record,) = executor.run(trunk_jobs([spec]), archive, on_event=events.append)
    assert record.status == "failed"
    assert "worker died 2 times: WorkerCrashedError" in record.error
    assert [e.text for e in events if e.kind == "note"] == ["its worker or node died; Ray tries the trunk once more"]
    assert not archive.has(spec.fingerprint), "the same command tries it again"


def test_leaving_stops_the_tasks_before_it_parts_from_the_cluster(cluster, archive, monkeypatch):
    monkeypatch.setattr(ray_cluster, "STOP_SECONDS", None)  # a busy machine may take longer than a user would wait
    jobs = trunk_jobs([tiny_spec(5), tiny_spec(5, seed=1)])
    executor = RayExecutor(Where(address=cluster.address, workers=1))
    executor.trainer = "stub_training:patient"

    def interrupt(event):
        """Press Ctrl-C once a task trains: in this thread, where no callback of Ray's can swallow it."""
        if event.kind == "note":
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        for _ in executor.run(jobs, archive, on_event=interrupt):
            pass
    assert (archive.folder / "stopped").exists()


@pytest.fixture
def connected(cluster):
    """A driver that hangs on a node that lives: Ray lets nobody remove the driver's own."""
    import ray

    ray.init(address=cluster.address, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.mark.usefixtures("connected")
def test_a_node_that_dies_costs_nothing_but_time(cluster, archive):
    # Two nodes alone have room for three threads: the one that the task is on dies, the other takes over.
    spec = tiny_spec(5).model_copy(update={"numerics": Numerics(threads=3)})
    nodes = {node.all_processes["raylet"][0].process.pid: node for node in (cluster.add_node(num_cpus=3) for _ in "ab")}

    def kill_the_node_of_the_task():
        worker = wait_for(archive.folder / "attempt-0").read_text()
        parent = subprocess.run(["ps", "-o", "ppid=", "-p", worker], capture_output=True, text=True, check=True).stdout
        cluster.remove_node(nodes.pop(int(parent)), allow_graceful=False)
        wait_for(archive.folder / "attempt-1")
        (archive.folder / "go").write_text("")

    events = []
    thread = threading.Thread(target=kill_the_node_of_the_task, daemon=True)
    thread.start()
    executor = RayExecutor(Where(address=cluster.address))
    executor.trainer = "stub_training:patient"
    (record,) = executor.run(trunk_jobs([spec]), archive, on_event=events.append)
    thread.join()
    assert record.error == "stub", "the second attempt ended in order"
    assert any(e.text == "its worker or node died; Ray tries the trunk once more" for e in events if e.kind == "note")
    for node in nodes.values():
        cluster.remove_node(node)


def test_what_no_node_has_is_refused(cluster, archive):
    greedy = tiny_spec(5).model_copy(update={"numerics": Numerics(threads=64)})
    with pytest.raises(InputError, match="64 cores and 0 GPUs"):
        list(RayExecutor(Where(address=cluster.address)).run(trunk_jobs([greedy]), archive))


def test_no_cluster_at_an_address_is_reported(archive):
    with pytest.raises(InputError, match="no Ray cluster"):
        list(RayExecutor(Where(address="127.0.0.1:1")).run(trunk_jobs([tiny_spec(5)]), archive))


def test_a_node_without_the_results_folder_names_itself(tmp_path):
    with pytest.raises(StorageError, match="node far-away does not see this results folder"):
        require_shared(tmp_path, ".marker.x.tmp", node="far-away")
