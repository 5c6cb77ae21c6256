"""Where the published data lie, if they are at hand."""

from pathlib import Path

import pytest

DATA = Path(__file__).parents[2].parent / "shared" / "data"


def folder(name: str) -> Path:
    """Return a study's folder, or skip the test and say what is missing."""
    found = DATA / name
    if not found.is_dir():
        pytest.skip(f"published data not at hand: {name}")
    return found
