"""Farseer's law by Huber's loss, with intervals from 200 draws that respect training curves; it names no floor."""

from typing import Any

from isoloss.arena.entries._law import LawMethod, fit_law


def fit(table: Any) -> LawMethod:
    """Return the law fitted to a table."""
    return fit_law(table, "farseer")
