"""Tests wait for a state, never for a time, however busy the machine is."""

import time
from collections.abc import Callable
from typing import TypeVar

State = TypeVar("State")

# Nothing that a test waits for takes minutes: what has not come by then never will, and the test ends with an error.
HANGS_AFTER = 900.0


def wait_until(state: Callable[[], State], what: str) -> State:
    """Return the state once it is there: the first value that is true. Raises AssertionError where it never comes."""
    began = time.monotonic()
    while not (found := state()):
        assert time.monotonic() - began < HANGS_AFTER, f"{what}: never came"
        time.sleep(0.05)
    return found
