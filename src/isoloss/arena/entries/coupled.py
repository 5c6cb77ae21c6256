"""The coupled law, with intervals from 200 draws that respect training curves."""

from typing import Any

from isoloss.arena.entries._law import LawMethod, fit_law


def fit(table: Any) -> LawMethod:
    """Return the law fitted to a table."""
    return fit_law(table, "coupled")
