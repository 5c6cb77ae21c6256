"""How the arithmetic is done, from the spec alone: nothing is measured, so nothing differs between two runs of it."""

import os
from contextlib import AbstractContextManager, nullcontext

import torch
from threadpoolctl import threadpool_limits

from isoloss.runs.spec import Numerics


class Arithmetic:
    """Device, dtype and threads of a run. Creating it sets the process's threads and determinism."""

    def __init__(self, numerics: Numerics) -> None:
        self.numerics = numerics
        self.device = torch.device(numerics.device)
        torch.set_num_threads(numerics.threads)
        threadpool_limits(numerics.threads, user_api="blas")
        if numerics.deterministic:
            # cuBLAS sums in a fixed order only with workspaces of its own; it reads this when it is first used.
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        if numerics.compile:
            torch.use_deterministic_algorithms(numerics.deterministic)
        else:  # the same for what is not compiled, without loading torch's compiler: two seconds a process
            torch.set_deterministic_debug_mode("error" if numerics.deterministic else "default")
        # Memory that nobody reads before writing need not be filled: no number depends on it.
        setattr(torch.utils.deterministic, "fill_uninitialized_memory", False)  # noqa: B010  # untyped in torch

    def autocast(self) -> AbstractContextManager[object]:
        """Return the context under which the model is called."""
        if self.numerics.dtype == "bfloat16":
            return torch.autocast(self.device.type, dtype=torch.bfloat16)
        return nullcontext()
