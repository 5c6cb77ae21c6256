"""One run at a time on many processes that share its model (FSDP2), started by torchrun: for what one device is too
small for.
"""

import shlex
import sys
from collections.abc import Sequence

from isoloss.core.machine import cores
from isoloss.execution.local import visible_gpus
from isoloss.execution.work import device_of, environment, threads_of
from isoloss.execution.worker_pool import Place, PoolExecutor
from isoloss.runs.archive import Archive
from isoloss.training.job import TrunkJob, check_equal_parts


class TorchrunExecutor(PoolExecutor):
    """`workers` processes on this machine train each run together: one a GPU, or as many as the cores hold.

    `launch` are further options of torchrun, for runs over several machines: the others start
    `torchrun LAUNCH -m isoloss.execution.ranks_main ARCHIVE DEVICE`. A process that dies ends the others. `run` raises
    InputError where a batch does not fall into a whole number of windows a process.
    """

    needs = ("torch", "safetensors")

    def places(self, jobs: Sequence[TrunkJob], archive: Archive) -> list[Place]:
        """Return the one place of all processes: torchrun, which starts them."""
        device, threads = device_of(jobs), threads_of(jobs)
        here = len(visible_gpus()) if device == "cuda" else cores() // threads
        processes = self.where.workers or max(1, here)
        if not self.where.launch:  # on several machines the processes count themselves
            check_equal_parts([spec for job in jobs for spec in job.specs], processes=processes)
        # Standing alone is torchrun's word for one machine.
        launch = shlex.split(self.where.launch) or ["--standalone"]
        command = (
            sys.executable, "-m", "torch.distributed.run", *launch, f"--nproc-per-node={processes}",
            "-m", "isoloss.execution.ranks_main", str(archive.folder.resolve()), device,
        )  # fmt: skip
        return [Place(command, environment(threads), own_session=True)]
