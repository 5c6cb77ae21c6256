"""A Ray cluster: a task a trunk, resources from the spec, Ray's own retries. Without an address one is started here."""

import logging
import os
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import Any, cast

from isoloss.core import files
from isoloss.core.errors import InputError
from isoloss.core.machine import cores
from isoloss.execution.base import Executor
from isoloss.execution.messages import MESSAGES, Assignment, JobEnded, JobRefused, Started
from isoloss.execution.work import (
    ATTEMPTS,
    RUN_TRUNK,
    STOP_SECONDS,
    Records,
    environment,
    require,
    threads_of,
    unfinished,
)
from isoloss.runs.archive import Archive
from isoloss.runs.record import RunRecord
from isoloss.training.events import Advanced, Note, Report, RunEnded
from isoloss.training.job import TrunkJob

# How often the main process empties its mailbox.
POLL_SECONDS = 0.2
KNOCK_SECONDS = 5.0  # at an address, before a cluster is asked for
# A trunk that another process holds is asked for again after so long.
BUSY_SECONDS = 2.0


class RayExecutor(Executor):
    """Tasks on a cluster, one a trunk: as many at once as the cluster has room for, or `workers`.

    `address` is the cluster's, as for `ray.init` ("auto" finds one on this machine); without it, and without
    RAY_ADDRESS, a cluster of this machine alone is started and stopped. The results folder must lie at the same path on
    every node.
    """

    trainer = RUN_TRUNK

    def run(
        self, jobs: Sequence[TrunkJob], archive: Archive, *, on_event: Report = lambda event: None
    ) -> Iterator[RunRecord]:
        """Yield the record of every run of `jobs`, once, as it is there.

        As `LocalExecutor.run`; a task whose worker or node dies is tried once more by Ray, on whatever node is left.
        Raises InputError where no cluster answers or no node has the resources, StorageError where a node does not see
        the results folder.
        """
        todo = yield from unfinished(jobs, archive)
        if not todo:
            return
        for module, extra in (("torch", "train"), ("ray", "ray")):
            require(module, extra=extra)
        cluster = _cluster(self.where.address, workers=self.where.workers, threads=threads_of(todo))
        # A node knows by the marker that it sees the same folder.
        with cluster, files.marker(archive.folder) as marker:
            tasks = _Tasks(self, archive, marker.name, on_event)
            try:
                yield from tasks.train(todo)
            finally:
                tasks.dismiss()


class _Tasks:
    """The tasks of one call to the executor, and what is left for them to do."""

    def __init__(self, executor: RayExecutor, archive: Archive, marker: str, on_event: Report) -> None:
        import ray

        from isoloss.execution.ray_task import Mailbox, train

        self.executor, self.archive, self.marker, self.on_event = executor, archive, marker, on_event
        self.workers = executor.where.workers
        self.records = Records(archive, on_event)
        self.task = ray.remote(train)
        # It lies on the main process's node and ends with it.
        here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            ray.get_runtime_context().get_node_id(), soft=False
        )
        self.mailbox: Any = ray.remote(Mailbox).options(
            num_cpus=0, scheduling_strategy=here, max_concurrency=10_000
        ).remote()  # fmt: skip
        self.running: dict[Any, tuple[TrunkJob, float]] = {}
        self.waiting: list[tuple[float, TrunkJob]] = []
        self.begun: dict[str, int] = {}

    def train(self, jobs: Sequence[TrunkJob]) -> Iterator[RunRecord]:
        """Yield the record of every run of `jobs` as it is there."""
        _require_room(jobs)
        todo = list(jobs)[::-1]
        while todo or self.running or self.waiting:
            now = time.monotonic()
            todo += [job for at, job in self.waiting if at <= now]
            self.waiting = [(at, job) for at, job in self.waiting if at > now]
            while todo and (self.workers is None or len(self.running) < self.workers):
                self._submit(todo.pop())
            ended = self._wait()
            yield from self._hear()
            for reference in ended:
                yield from self._ended(reference)

    def _wait(self) -> list[Any]:
        """Return the tasks that ended, after a moment."""
        import ray

        if not self.running:
            time.sleep(POLL_SECONDS)
            return []
        first, others = ray.wait(list(self.running), num_returns=1, timeout=POLL_SECONDS)
        more, _ = ray.wait(others, num_returns=len(others), timeout=0) if first and others else ([], [])
        return [*first, *more]

    def dismiss(self) -> None:
        """Stop every task: they write their checkpoints; those that take too long are killed."""
        import ray

        if self.running:
            self.mailbox.stop.remote()
            _, late = ray.wait(list(self.running), num_returns=len(self.running), timeout=STOP_SECONDS)
            for reference in late:
                ray.cancel(reference, force=True)
        ray.kill(self.mailbox)

    def _submit(self, job: TrunkJob) -> None:
        threads = threads_of([job])
        options = {
            "num_cpus": threads, "num_gpus": int(job.specs[0].numerics.device == "cuda"), "max_retries": ATTEMPTS - 1,
            "name": job.trunk, "runtime_env": {"env_vars": environment(threads)},
        }  # fmt: skip
        assignment = Assignment(specs=job.specs, checkpoint_seconds=self.executor.where.checkpoint_seconds)
        folder = str(self.archive.folder.resolve())
        reference = self.task.options(**options).remote(
            folder, self.marker, assignment.model_dump_json(), self.executor.trainer, self.mailbox
        )
        self.running[reference] = (job, time.monotonic())

    def _hear(self) -> Iterator[RunRecord]:
        """Pass on what the tasks reported."""
        import ray

        for text in ray.get(self.mailbox.take.remote()):
            reported = MESSAGES.validate_json(text)
            match reported:
                case Started():
                    self._count(reported.trunk)
                case RunEnded():
                    self.on_event(reported)
                    yield from self.records.of_runs([reported.run])
                case Advanced() | Note():
                    self.on_event(reported)

    def _count(self, trunk: str) -> None:
        """Take note of a task that begins; a second time is Ray's retry."""
        self.begun[trunk] = self.begun.get(trunk, 0) + 1
        if self.begun[trunk] > 1:
            self.on_event(Note(trunk=trunk, text="its worker or node died; Ray tries the trunk once more"))

    def _ended(self, reference: Any) -> Iterator[RunRecord]:
        import ray

        job, started = self.running.pop(reference)
        try:
            last = MESSAGES.validate_json(ray.get(reference))
        except ray.exceptions.RayError as error:
            reason = f"{type(error).__name__}: {str(error).splitlines()[0]}"
            yield from self.records.of_dead(job, reason=reason, seconds=time.monotonic() - started)
            return
        if isinstance(last, JobRefused):
            raise last.exception()
        if isinstance(last, JobEnded) and last.busy:
            self.begun.pop(job.trunk, None)
            self.records.note_busy(job)
            self.waiting.append((time.monotonic() + BUSY_SECONDS, job))
            return
        yield from self._hear()
        yield from self.records.of_job(job)


def _require_room(jobs: Sequence[TrunkJob]) -> None:
    """Raise InputError where no node of the cluster could ever train one of the jobs."""
    import ray

    nodes = [node["Resources"] for node in cast(Any, ray).nodes() if node["Alive"]]
    for job in jobs:
        wanted = {"CPU": threads_of([job]), "GPU": int(job.specs[0].numerics.device == "cuda")}
        if not any(all(node.get(kind, 0) >= amount for kind, amount in wanted.items()) for node in nodes):
            raise InputError(
                f"a run needs {wanted['CPU']} cores and {wanted['GPU']} GPUs, more than any node of the cluster has",
                place="training.threads, training.device", fix="request less, or add a larger node to the cluster",
            )  # fmt: skip


@contextmanager
def _cluster(address: str | None, *, workers: int | None, threads: int) -> Iterator[None]:
    """Be the driver of a cluster within the block: of the one at `address`, or one started for it."""
    import ray

    if ray.is_initialized():
        yield  # whoever connected this process parts with the cluster, too
        return
    address = address or os.environ.get("RAY_ADDRESS")
    if address is not None:
        _require_open(address)
    quiet: Any = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": False}
    try:
        if address is None:
            at_once = workers * threads if workers else cores()
            # Ray would give its workers the priority 15: on a busy machine they would hardly run.
            own: Any = {"num_cpus": at_once, "include_dashboard": False, "_system_config": {"worker_niceness": 0}}
            ray.init(address="local", **own, **quiet)
        else:
            ray.init(address=address, **quiet)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise _no_cluster(str(error).splitlines()[0], address or "this machine") from error
    try:
        # Ray tells of dead workers on standard output, which is for results.
        with redirect_stdout(sys.stderr):
            yield
    finally:
        ray.shutdown()


def _require_open(address: str) -> None:
    """Raise InputError where nothing listens at `address`: Ray itself would knock for minutes before it says so."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        return  # `auto` and the like: Ray finds the cluster itself
    try:
        socket.create_connection((host, int(port)), timeout=KNOCK_SECONDS).close()
    except OSError as error:
        raise _no_cluster(str(error), address) from error


def _no_cluster(reason: str, place: str) -> InputError:
    fix = "check --address; without it a cluster of this machine is started"
    return InputError(f"no Ray cluster responds: {reason}", place=place, fix=fix)
