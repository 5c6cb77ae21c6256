"""Scaling laws: one file a law, one fit engine, draws and intervals, the frontier, and tests of what data changes."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isoloss.laws._arithmetic import compiled as compiled
    from isoloss.laws.balance import judge_balance as judge_balance
    from isoloss.laws.chinchilla import Chinchilla as Chinchilla
    from isoloss.laws.contest import run_contest as run_contest
    from isoloss.laws.coverage import simulate_coverage as simulate_coverage
    from isoloss.laws.data_dependent import DataDependent as DataDependent
    from isoloss.laws.fitted import FittedLaw as FittedLaw
    from isoloss.laws.fitting import fit as fit
    from isoloss.laws.fitting import fit_groups as fit_groups
    from isoloss.laws.law import Law as Law
    from isoloss.laws.registry import laws as laws

# Loaded when first used: a page that shows a law needs neither the engine nor its compiler.
_HOMES = {
    "Chinchilla": "chinchilla",
    "DataDependent": "data_dependent",
    "FittedLaw": "fitted",
    "Law": "law",
    "compiled": "_arithmetic",
    "fit": "fitting",
    "fit_groups": "fitting",
    "judge_balance": "balance",
    "laws": "registry",
    "run_contest": "contest",
    "simulate_coverage": "coverage",
}

__all__ = [*_HOMES]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
