"""Numbers of Porian et al. 2024 that stand in no data file: what the paper prints, and two earlier runs.

The paper's numbers are from its table 1, figure 1 and text (arXiv:2406.19146), by way of secondary sources. `ACCURACY`
is what the released function of accuracy against cost gives on the released points (seed 42); `SENSITIVITY` is the
exponent a under two rules of seed noise, run with another noise stream than here. The numbers stand in `printed.json`.
"""

import json
from importlib.resources import files
from typing import NamedTuple


class Printed(NamedTuple):
    """One printed number of a configuration, of the sweep or of a reference, and its interval if printed."""

    config: str
    quantity: str
    value: float
    low: float | None = None
    high: float | None = None


class Accuracy(NamedTuple):
    """The exponent a from the first `budgets` budgets: their cost in FLOPs, a, its interval, its draws' error."""

    budgets: int
    cost: float
    exponent: float
    low: float
    high: float
    error: float


_NUMBERS = json.loads((files("isoloss.published.porian") / "printed.json").read_text(encoding="utf-8"))
PRINTED = tuple(Printed(*row) for row in _NUMBERS["printed"])
ACCURACY = {variant: tuple(Accuracy(*row) for row in rows) for variant, rows in _NUMBERS["accuracy"].items()}
SENSITIVITY: dict[str, dict[str, float]] = _NUMBERS["sensitivity"]
