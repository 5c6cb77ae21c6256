"""Where a trainer's time goes. On a GPU a pass ends when its loss has been read, so nothing needs to wait for it."""

import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from isoloss.runs.record import Timing

What = Literal["data", "passes", "update", "heldout"]


class Clock:
    """Seconds by what they were spent on, since the last `lap`."""

    def __init__(self) -> None:
        self.seconds: defaultdict[What, float] = defaultdict(float)
        self.step_seconds: list[float] = []

    @contextmanager
    def timing(self, what: What) -> Iterator[None]:
        """Add the time within to that of `what`."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[what] += time.perf_counter() - started

    @contextmanager
    def step(self) -> Iterator[None]:
        """Take the time within as one step."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.step_seconds.append(time.perf_counter() - started)

    def lap(self) -> Timing:
        """Return what there is since the last call, and start again."""
        seconds, steps = self.seconds, self.step_seconds
        self.seconds, self.step_seconds = defaultdict(float), []
        return Timing(
            steps=len(steps), batch_seconds=statistics.median(steps) if steps else None, data_seconds=seconds["data"],
            pass_seconds=seconds["passes"], update_seconds=seconds["update"], heldout_seconds=seconds["heldout"],
        )  # fmt: skip
