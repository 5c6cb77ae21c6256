"""How much of a long test runs: a part with `make test`, the whole with `make whole`."""

import os

import pytest

WHOLE = os.environ.get("ISOLOSS_TESTS") == "whole"
long = pytest.mark.skipif(not WHOLE, reason="takes about a minute: make whole")


def part(fewer: int, *, of: int) -> int:
    """Return how many simulations, lives or inputs a test takes; tolerances follow from that number."""
    return of if WHOLE else fewer
