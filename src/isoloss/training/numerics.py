"""How the arithmetic is done, from the spec alone: nothing is measured, so nothing differs between two runs of it."""

from contextlib import AbstractContextManager, nullcontext

import torch

from isoloss.runs.spec import Numerics

# Tokens that pass through the model at once; a batch of more is summed over passes. On a CPU the activations of 2,048
# tokens at width 64 stay in a second-level cache of 2 MiB (5 % faster than 8,192); a GPU wants to be filled.
TOKENS_AT_ONCE = {"cpu": 2_048, "cuda": 65_536}


class Arithmetic:
    """Device, dtype, threads and pass size of a run. Creating it sets the process's threads and determinism."""

    def __init__(self, numerics: Numerics) -> None:
        self.numerics = numerics
        self.device = torch.device(numerics.device)
        torch.set_num_threads(numerics.threads)
        torch.use_deterministic_algorithms(True)
        # Memory that nobody reads before writing need not be filled: no number depends on it.
        setattr(torch.utils.deterministic, "fill_uninitialized_memory", False)  # noqa: B010  # untyped in torch

    def autocast(self) -> AbstractContextManager[object]:
        """Return the context under which the model is called."""
        if self.numerics.dtype == "bfloat16":
            return torch.autocast(self.device.type, dtype=torch.bfloat16)
        return nullcontext()

    def windows_at_once(self, context: int) -> int:
        """Return how many windows pass through the model at once."""
        return max(1, TOKENS_AT_ONCE[self.numerics.device] // context)
