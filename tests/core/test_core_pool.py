"""Helping processes: the same results in the same order, whoever makes them and whatever becomes of the helpers."""

import os
from functools import partial
from pathlib import Path

import pytest

from isoloss.core import pool as module
from isoloss.core.pool import Shared, helper_pool
from waiting import wait_until


def square(number: int) -> tuple[int, int]:
    return number * number, os.getpid()


def square_together(folder: Path, number: int) -> tuple[int, int]:
    """Square once two processes have begun to: whoever is quicker waits for the other."""
    (folder / str(os.getpid())).touch()
    wait_until(lambda: len(list(folder.iterdir())) == 2, "a second process")
    return square(number)


def die() -> tuple[int, int]:
    if os.getpid() != PARENT:
        os._exit(3)
    return -1, PARENT


PARENT = int(os.environ.setdefault("ISOLOSS_TEST_POOL_PARENT", str(os.getpid())))


def test_without_helpers_everything_happens_here() -> None:
    done: list[None] = []
    found = Shared([partial(square, n) for n in range(5)], None).collect(lambda: done.append(None))
    assert found == [(n * n, os.getpid()) for n in range(5)]
    assert len(done) == 5


def test_helpers_and_this_process_share_the_calls_and_the_order_stays(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "cores", lambda: 2)
    done: list[None] = []
    with helper_pool() as helpers:
        assert helpers is not None
        calls = [partial(square_together, tmp_path, n) for n in range(30)]
        found = Shared(calls, helpers).collect(lambda: done.append(None))
    assert [value for value, _ in found] == [n * n for n in range(30)]
    assert len({process for _, process in found}) == 2
    assert len(done) == 30


def test_what_a_helper_that_died_has_left_is_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "cores", lambda: 2)
    with helper_pool() as helpers:
        found = Shared([die, *(partial(square, n) for n in range(20))], helpers).collect()
    assert [value for value, _ in found] == [-1, *(n * n for n in range(20))]


def test_on_one_core_there_are_no_helpers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "cores", lambda: 1)
    with helper_pool() as helpers:
        assert helpers is None
