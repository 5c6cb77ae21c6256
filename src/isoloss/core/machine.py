"""What this process may use of the machine it runs on."""

import os


def cores() -> int:
    """Return how many cores this process may use: fewer than there are, in a container or under taskset."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def workers_for(threads: int) -> int:
    """Return how many workers of so many threads the cores hold: one at least."""
    return max(1, cores() // threads)
