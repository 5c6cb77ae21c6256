"""What this process may use of the machine it runs on."""

import os
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Part = TypeVar("Part")
Found = TypeVar("Found")


def cores() -> int:
    """Return how many cores this process may use: fewer than there are, in a container or under taskset."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def over_cores(run: Callable[[Part], Found], parts: Sequence[Part]) -> Iterator[Found]:
    """Yield what `run` returns of each part, in their order, from a thread for every core."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(cores()) as pool:
        yield from pool.map(run, parts)


def workers_for(threads: int) -> int:
    """Return how many workers of so many threads the cores hold: one at least."""
    return max(1, cores() // threads)


def multiplies_bfloat16() -> bool:
    """Return whether the processor that kernels are compiled for multiplies pairs of bfloat16 (AVX512-BF16).

    That is this one, unless NUMBA_CPU_FEATURES, or the name `generic` in NUMBA_CPU_NAME, says another.
    """
    from llvmlite import binding
    from numba.core import config

    asked = vars(config)["CPU_FEATURES"]
    if asked is not None:
        return "+avx512bf16" in asked.split(",")
    return bool(binding.get_host_cpu_features().get("avx512bf16", False))
