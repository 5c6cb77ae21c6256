"""How much of a long test runs: a part with `make test`, the whole with `make whole`."""

import os

WHOLE = os.environ.get("ISOLOSS_TESTS") == "whole"


def part(fewer: int, *, of: int) -> int:
    """Return how many simulations, lives or inputs a test takes; tolerances follow from that number."""
    return of if WHOLE else fewer
