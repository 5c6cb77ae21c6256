"""The coupled law fitted with Huber's loss; 200 bootstrap draws that account for training curves."""

from typing import Any

from isoloss.arena.entries._law import LawMethod, fit_law


def fit(table: Any) -> LawMethod:
    """Return the law fitted to a table."""
    return fit_law(table, "coupled")
