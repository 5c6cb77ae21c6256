"""Helping processes for work that is many independent calls: figures to draw, fits to repeat."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor
from contextlib import contextmanager
from importlib import import_module
from threading import Thread
from typing import Generic, TypeVar

from isoloss.core.machine import cores

MOST = 7
T = TypeVar("T")


@contextmanager
def hands(*modules: str) -> Iterator[Executor | None]:
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
        yield pool
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
    """Calls handed to helping processes, which begin at the front; `collect` joins in from the back.

    Calls and their results are pickled; without helpers everything happens in `collect`.
    """

    def __init__(self, calls: Sequence[Callable[[], T]], helpers: Executor | None) -> None:
        self.calls = calls
        self.futures = [] if helpers is None else [helpers.submit(call) for call in calls]

    def collect(self, done: Callable[[], None] = lambda: None) -> list[T]:
        """Return the results in the calls' order; call `done` after each.

        What a process that died has left is done here. Raises what a call raises.
        """
        mine: dict[int, T] = {}
        for i in reversed(range(len(self.calls))):
            if not self.futures or self.futures[i].cancel():
                mine[i] = self.calls[i]()
                done()
        return [mine[i] if i in mine else self._fetched(i, done) for i in range(len(self.calls))]

    def _fetched(self, i: int, done: Callable[[], None]) -> T:
        try:
            found = self.futures[i].result()
        except BrokenExecutor:
            found = self.calls[i]()
        done()
        return found
