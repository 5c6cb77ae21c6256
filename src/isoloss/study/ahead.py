"""Compile ahead: what trains and fits is compiled while a machine's first study builds its corpora and trains.

Compiling takes a core for about a minute, once on a machine. Corpora are built by one process, and the analysis follows
the training: a process of its own compiles meanwhile. It leaves machine code on the disk and nothing else.
"""

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from isoloss.core import files
from isoloss.core.kernels import digest_of, ready_file
from isoloss.runs.spec import Numerics

# Folders whose kernels an analysis runs.
ROOMS = ("fitting", "laws", "optima", "data_dependence")
SLOPES = (0.20, 0.25, 0.30, 0.35)  # of the corpora that are made up here, by measure


@contextmanager
def compiling_ahead(numerics: Numerics) -> Iterator[None]:
    """Compile in the background what trains by `numerics` and what fits; on leaving, wait for the rest of it.

    Nothing happens where it is compiled already. An error within the block ends the compiling.
    """
    if _ready().exists():
        yield
        return
    # It holds the other end of its standard input: it ends when this process does, however that ends.
    with subprocess.Popen(
        [sys.executable, "-m", "isoloss.study.ahead", numerics.model_dump_json()],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            yield
        except BaseException:
            process.kill()
            raise
        process.wait()


def _ready() -> Path:
    from isoloss.data_dependence._joint_outer_kernels import minimise_outer

    root = Path(__file__).parents[1]
    return ready_file(minimise_outer, "analysis", digest_of(*(root / room for room in ROOMS)))


def _compile_analysis() -> None:
    """Warm every law, and analyse four made-up corpora: Chinchilla's law, whose data term follows a measure."""
    from isoloss.data_dependence.data_dependent import DataDependent
    from isoloss.data_dependence.predictors import compare_predictors
    from isoloss.fitting.engine import warm
    from isoloss.laws.registry import laws
    from isoloss.runs.observations import observations
    from isoloss.study.best_splits import find_best_splits

    for name in laws:
        warm(laws[name])
    params, tokens = (grid.ravel() for grid in np.meshgrid(np.geomspace(1e4, 1e6, 5), np.geomspace(1e5, 1e7, 5)))
    noise = np.random.default_rng(0).normal(0.0, 0.005, (len(SLOPES), params.size))
    losses = [
        (1.0 + 20 / params**0.3 + 60 / tokens**slope) * np.exp(each) for slope, each in zip(SLOPES, noise, strict=True)
    ]
    names = [f"text {slope:g}" for slope in SLOPES]
    table = observations(
        params=np.tile(params, len(SLOPES)), tokens=np.tile(tokens, len(SLOPES)), loss_nats=np.concatenate(losses),
        corpus=np.repeat(names, params.size), complexity={"measure": np.repeat(SLOPES, params.size)},
    )  # fmt: skip
    find_best_splits(table, form="chinchilla")
    comparison = compare_predictors(table, ["measure"], rounds=9)
    DataDependent(complexity=comparison.to_follow).fit(table, bootstrap=2)


def _end_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os._exit(1)


def main(numerics: Numerics) -> None:
    """Compile the training step of `numerics`, if it is a compiled one, and what an analysis runs."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from isoloss import models
    from isoloss.models.cpu.compiling import SMALLEST

    models.empty(SMALLEST, numerics)
    with files.locked(Path(tempfile.gettempdir()) / f"isoloss-{os.getuid()}-analysis.lock"):
        if not _ready().exists():
            _compile_analysis()
            files.write_text(_ready(), "")


if __name__ == "__main__":
    main(Numerics.model_validate_json(sys.argv[1]))
