"""Scaling laws: formulas, one file a law. What fits them to runs stands in `isoloss.fitting`."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isoloss.laws._arithmetic import compiled as compiled
    from isoloss.laws.chinchilla import Chinchilla as Chinchilla
    from isoloss.laws.law import Law as Law
    from isoloss.laws.registry import laws as laws

# Loaded when first used: a page that shows a law needs no compiler.
_HOMES = {"Chinchilla": "chinchilla", "Law": "law", "compiled": "_arithmetic", "laws": "registry"}

__all__ = [*_HOMES]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
