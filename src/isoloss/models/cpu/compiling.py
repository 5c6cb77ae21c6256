"""Kernels are compiled by a process that does nothing else, and loaded by all others.

A process that has compiled a kernel holds its parts twice, by themselves and inside what calls them, and may run
either; one that loads it from the disk has the second alone. The two can round differently. Runs are to be
equal to the last bit wherever they are trained and however often they are interrupted, so no process trains with what
it compiled itself.
"""

import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import torch

from isoloss.core import files
from isoloss.core.errors import WorkError
from isoloss.core.kernels import ready_file
from isoloss.models.cpu._compiled import SOURCES
from isoloss.models.cpu.fused import FUSED, Compiled
from isoloss.models.cpu.fused_bf16 import FUSED_BF16
from isoloss.models.llama import Llama
from isoloss.runs.spec import ModelSpec

SMALLEST = ModelSpec(width=64, depth=1, heads=2, ffn=64, vocab_size=64, context=64)


@cache
def compile_elsewhere(operations: Compiled) -> None:
    """Have the kernels behind `operations` compiled, where they are not; one process of this machine does, once.

    Raises WorkError with the last words of a process that failed, and where that one has read other sources.
    """
    with files.locked(Path(tempfile.gettempdir()) / f"isoloss-{os.getuid()}-kernels.lock"):
        ready = _ready(operations)
        if not ready.exists():
            _compile(operations.name)
        if not ready.exists():
            fix = "start again"
            raise WorkError("the sources of the training step have changed since this process began", fix=fix)
    run_all(operations)  # loads them, so that the first step of a run takes no longer than others


def _compile(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "isoloss.models.cpu.compiling", name], capture_output=True, text=True, check=False,
        start_new_session=True,  # Ctrl-C is the main process's affair: what is half compiled would be lost
    )  # fmt: skip
    if done.returncode:
        raise WorkError(
            f"the training step could not be compiled: {done.stderr.strip()[-500:]}",
            fix="set NUMBA_CACHE_DIR to a writable folder",
        )


def _ready(operations: Compiled) -> Path:
    """Return the file that says that kernels are compiled."""
    return ready_file(operations.kernel, operations.name, SOURCES)


def run_all(operations: Compiled) -> None:
    """Take one training step and one evaluation of a tiny model: every kernel behind them is compiled or loaded."""
    model = Llama(SMALLEST, operations)
    model.initialise(torch.Generator().manual_seed(0))
    tokens_BT = torch.zeros((1, SMALLEST.context), dtype=torch.int64)
    objective, _ = model(tokens_BT, 0.0)
    objective.backward()
    model.token_nats(tokens_BT)


if __name__ == "__main__":
    asked = {one.name: one for one in (FUSED, FUSED_BF16)}[sys.argv[1]]
    run_all(asked)
    files.write_text(_ready(asked), "")
