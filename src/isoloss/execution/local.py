"""Worker processes on this machine: each trains one trunk at a time on its share of the cores, or on a GPU of its own,
the longest first.
"""

import os
import sys
from collections.abc import Sequence

from isoloss.core.errors import InputError
from isoloss.core.machine import workers_for
from isoloss.execution.work import RUN_TRUNK, device_of, environment, threads_of
from isoloss.execution.worker_pool import Place, PoolExecutor
from isoloss.runs.archive import Archive
from isoloss.training.job import TrunkJob


class LocalExecutor(PoolExecutor):
    """Processes on this machine, as many as its cores hold, or one a GPU; `workers` overrides.

    Where the study trains on a GPU and there is none here, `run` raises InputError.
    """

    trainer = RUN_TRUNK

    def places(self, jobs: Sequence[TrunkJob], archive: Archive) -> list[Place]:
        """Return a place for every worker: a share of the cores, or a GPU and a share of the cores."""
        command = (sys.executable, "-m", "isoloss.execution.worker_main", str(archive.folder.resolve()), self.trainer)
        threads = threads_of(jobs)
        if device_of(jobs) == "cpu":
            return [Place(command, environment(threads))] * (self.where.workers or workers_for(threads))
        gpus = visible_gpus()
        if not gpus:
            raise InputError("the study trains on a GPU, but this machine has none", place="training.device",
                             fix='set device = "cpu", or run it on a machine where CUDA finds a GPU')  # fmt: skip
        at_once = self.where.workers or len(gpus)
        own = [{**environment(threads), "CUDA_VISIBLE_DEVICES": gpus[i % len(gpus)]} for i in range(at_once)]
        return [Place(command, environment) for environment in own]


def visible_gpus() -> list[str]:
    """Return the GPUs that this process may use, as CUDA names them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name for name in named.split(",") if name.strip()]
    import torch

    return [str(number) for number in range(torch.cuda.device_count())]
