"""Helping processes for many independent calls: figures to draw, fits to repeat.

The standard library's pool, in which the calling process works, too: on two cores a pool alone would wait for a second
process to start and import, and leave this one idle.
"""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from threading import Thread
from typing import Generic, TypeVar

from isoloss.core.machine import cores

MOST = 7
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Helpers:
    """Helping processes, and how many they are."""

    pool: Executor
    count: int


@contextmanager
def helper_pool(*modules: str) -> Iterator[Helpers | None]:
    """Have a helping process for every core but one while the block runs, at most seven; None where there is one core.

    The processes start at once and import `modules`, so that the caller may do other things meanwhile. They end with
    the block, and with this process whatever way it ends.
    """
    count = min(cores() - 1, MOST)
    if count < 1:
        yield None
        return
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    pool = ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_begin, initargs=modules)
    try:
        for _ in range(count):
            pool.submit(_nothing)  # a process starts when there is something to do
        yield Helpers(pool=pool, count=count)
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(*modules: str) -> None:
    """Leave Ctrl-C to the process that asked for help, end when it ends, and import what will be needed."""
    from multiprocessing import parent_process

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    assert parent is not None, "a helping process has a parent"

    def end_with_parent() -> None:
        parent.join()
        os._exit(1)

    Thread(target=end_with_parent, daemon=True).start()
    for module in modules:
        import_module(module)


def _nothing() -> None:
    return


class Shared(Generic[T]):
    """Calls shared with helping processes, which begin at the front; `collect` works from the back.

    Calls and their results are pickled; without helpers everything happens in `collect`. Each helper is handed `ahead`
    calls at once and more while `collect` works: nothing is taken back from a helper, since a pool of which a process
    dies forgets those that wait behind a call that was taken back (CPython 3.11).
    """

    def __init__(self, calls: Sequence[Callable[[], T]], helpers: Helpers | None, *, ahead: int = 2) -> None:
        self.calls, self.helpers, self.ahead = calls, helpers, ahead
        self.futures: list[Future[T]] = []
        self._hand_out(len(calls))

    def collect(self, done: Callable[[], None] = lambda: None) -> list[T]:
        """Return the results in the calls' order; call `done` after each.

        What a process that died has left is done here. Raises what a call raises.
        """
        mine: list[T] = []
        while len(self.futures) + len(mine) < len(self.calls):
            mine.append(self.calls[-1 - len(mine)]())
            done()
            self._hand_out(len(self.calls) - len(mine))
        return [*(self._fetched(i, done) for i in range(len(self.futures))), *reversed(mine)]

    def _hand_out(self, end: int) -> None:
        """Hand calls before `end` to the helpers until each has enough."""
        if self.helpers is None:
            return
        waiting = sum(not future.done() for future in self.futures)
        for _ in range(min(self.ahead * self.helpers.count - waiting, end - len(self.futures))):
            try:
                self.futures.append(self.helpers.pool.submit(self.calls[len(self.futures)]))
            except BrokenExecutor:
                self.helpers = None
                return

    def _fetched(self, i: int, done: Callable[[], None]) -> T:
        try:
            found = self.futures[i].result()
        except BrokenExecutor:
            found = self.calls[i]()
        done()
        return found
