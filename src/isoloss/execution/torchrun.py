"""One run at a time on many processes that share its model (FSDP2), started by torchrun: for what one device is too
small for.
"""

import shlex
import sys
from collections.abc import Iterator, Sequence

from isoloss.core.machine import cores
from isoloss.execution.base import Executor
from isoloss.execution.local import visible_gpus
from isoloss.execution.work import device_of, environment, require, threads_of, unfinished
from isoloss.execution.worker_pool import Place, WorkerPool
from isoloss.runs.archive import Archive
from isoloss.runs.record import RunRecord
from isoloss.training.events import Report
from isoloss.training.job import CHECKPOINT_SECONDS, TrunkJob, check_equal_parts


class TorchrunExecutor(Executor):
    """`workers` processes on this machine train each run together: one a GPU, or as many as the cores hold.

    `launch` are further options of torchrun, for runs over several machines: the others start
    `torchrun LAUNCH -m isoloss.execution.ranks_main ARCHIVE DEVICE`.
    """

    def __init__(
        self, workers: int | None = None, checkpoint_seconds: float = CHECKPOINT_SECONDS, *, launch: str = ""
    ) -> None:
        self.workers, self.checkpoint_seconds, self.launch = workers, checkpoint_seconds, launch

    def run(
        self, jobs: Sequence[TrunkJob], archive: Archive, *, on_event: Report = lambda event: None
    ) -> Iterator[RunRecord]:
        """Yield the record of every run of `jobs`, once, as it is there.

        As `LocalExecutor.run`; a process that dies ends the others, and the trunk is tried once more. Raises InputError
        where a batch does not fall into a whole number of windows a process.
        """
        todo = yield from unfinished(jobs, archive)
        if not todo:
            return
        for module in ("torch", "safetensors"):
            require(module, extra="train")
        pool = WorkerPool(archive, on_event=on_event, checkpoint_seconds=self.checkpoint_seconds)
        try:
            yield from pool.train(todo, places=[self._place(todo, archive)])
        finally:
            pool.dismiss()

    def _place(self, jobs: Sequence[TrunkJob], archive: Archive) -> Place:
        device, threads = device_of(jobs), threads_of(jobs)
        here = len(visible_gpus()) if device == "cuda" else cores() // threads
        processes = self.workers or max(1, here)
        if not self.launch:  # on several machines the processes count themselves
            check_equal_parts([spec for job in jobs for spec in job.specs], processes=processes)
        # Standing alone is torchrun's word for one machine.
        launch = shlex.split(self.launch) or ["--standalone"]
        command = (
            sys.executable, "-m", "torch.distributed.run", *launch, f"--nproc-per-node={processes}",
            "-m", "isoloss.execution.ranks_main", str(archive.folder.resolve()), device,
        )  # fmt: skip
        return Place(command, environment(threads), own_session=True)
