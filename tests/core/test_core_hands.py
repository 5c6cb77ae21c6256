"""Helping processes: the same results in the same order, whoever makes them and whatever becomes of the helpers."""

import os
import time
from functools import partial

import pytest

from isoloss.core import hands as module
from isoloss.core.hands import Shared, hands


def square(number: int) -> tuple[int, int]:
    time.sleep(0.01)  # long enough that both have calls to make
    return number * number, os.getpid()


def die() -> tuple[int, int]:
    if os.getpid() != PARENT:
        os._exit(3)
    return -1, PARENT


PARENT = int(os.environ.setdefault("ISOLOSS_TEST_HANDS_PARENT", str(os.getpid())))


def test_without_helpers_everything_happens_here() -> None:
    done: list[None] = []
    found = Shared([partial(square, n) for n in range(5)], None).collect(lambda: done.append(None))
    assert found == [(n * n, os.getpid()) for n in range(5)]
    assert len(done) == 5


def test_helpers_and_this_process_share_the_calls_and_the_order_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "cores", lambda: 2)
    done: list[None] = []
    with hands() as helpers:
        assert helpers is not None
        helpers.pool.submit(square, 1).result()  # the process is there
        found = Shared([partial(square, n) for n in range(30)], helpers).collect(lambda: done.append(None))
    assert [value for value, _ in found] == [n * n for n in range(30)]
    assert len({process for _, process in found}) == 2
    assert len(done) == 30


def test_what_a_helper_that_died_has_left_is_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "cores", lambda: 2)
    with hands() as helpers:
        found = Shared([die, *(partial(square, n) for n in range(20))], helpers).collect()
    assert [value for value, _ in found] == [-1, *(n * n for n in range(20))]


def test_on_one_core_there_are_no_helpers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "cores", lambda: 1)
    with hands() as helpers:
        assert helpers is None
