"""Where a law was fitted, and what is to be said of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from isoloss.core.errors import NotApplicable
from isoloss.runs.observations import RUN_COLUMNS, Observations

FAR_IN_COMPUTE = 10.0  # beyond the fitted rows' FLOPs, where a prediction is warned of


@dataclass(frozen=True, kw_only=True)
class LawWarning:
    """Something about a fit that a reader must know: `code` for programs, `message` with the remedy for people.

    `rows` are the 1-based positions in the source of the runs that it is about, where it is about some of them.
    """

    code: str
    message: str
    rows: tuple[int, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return {"code": self.code, "message": self.message, "rows": list(self.rows)}


@dataclass(frozen=True, kw_only=True)
class Domain:
    """The ranges that the fitted rows span: outside them a law extrapolates.

    `ranges` are (low, high) of params, tokens and flops, as far as the table tells them, and of further columns that
    the law reads. Reading an end that is not known raises NotApplicable.
    """

    ranges: Mapping[str, tuple[float, float]]

    @classmethod
    def of(cls, observations: Observations, *, columns: Sequence[str] = ()) -> "Domain":
        """Return the ranges of a table, those of further `columns` among them."""
        known = [name for name in RUN_COLUMNS if observations.has(name)]
        spans = {name: observations.column(name) for name in dict.fromkeys([*known, *columns])}
        return cls(ranges={name: (float(column.min()), float(column.max())) for name, column in spans.items()})

    def span(self, column: str) -> tuple[float, float]:
        """Return the lowest and the highest value of a column. Raises NotApplicable where the rows did not tell it."""
        if column not in self.ranges:
            raise NotApplicable(
                f"the {column} of the fitted runs are not known", fix=f"fit a table that has a column of {column}"
            )
        return self.ranges[column]

    @property
    def params_low(self) -> float:
        """The smallest size."""
        return self.span("params")[0]

    @property
    def params_high(self) -> float:
        """The largest size."""
        return self.span("params")[1]

    @property
    def tokens_low(self) -> float:
        """The least data."""
        return self.span("tokens")[0]

    @property
    def tokens_high(self) -> float:
        """The most data."""
        return self.span("tokens")[1]

    @property
    def flops_low(self) -> float:
        """The smallest budget."""
        return self.span("flops")[0]

    @property
    def flops_high(self) -> float:
        """The largest budget."""
        return self.span("flops")[1]

    def extrapolation(self, **columns: float) -> float:
        """Return the largest factor by which a point lies outside the ranges: 1 inside, 10 ten times beyond an edge."""
        return max(1.0, *(_beyond(value, *self.ranges[name]) for name, value in columns.items() if name in self.ranges))

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data: null for an end that is not known."""
        ends = {
            f"{name}_{side}": self.ranges[name][place] if name in self.ranges else None
            for name in RUN_COLUMNS
            for place, side in enumerate(("low", "high"))
        }
        others = {name: list(ends) for name, ends in self.ranges.items() if name not in RUN_COLUMNS}
        return ends | {"others": others}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Domain":
        """Return the ranges that `to_json` wrote."""
        known = {name: (content[f"{name}_low"], content[f"{name}_high"]) for name in RUN_COLUMNS}
        others = {name: (low, high) for name, (low, high) in content["others"].items()}
        return cls(ranges={name: ends for name, ends in known.items() if ends[0] is not None} | others)


def extrapolation_warnings(domain: Domain, flops: float | None) -> tuple[LawWarning, ...]:
    """Return the warning that a budget lies more than ten times outside the compute of the fitted rows, or none."""
    if flops is None or "flops" not in domain.ranges:
        return ()
    factor = domain.extrapolation(flops=flops)
    if factor <= FAR_IN_COMPUTE * (1 + 1e-9):
        return ()
    edge = domain.flops_high if flops > domain.flops_high else domain.flops_low
    message = (
        f"{flops:.2g} FLOPs lie a factor of {factor:.3g} outside the fitted runs ({edge:.2g} at the edge; over "
        f"{FAR_IN_COMPUTE:g}): the interval holds if the law does, and no run tells that it does. Train runs within a "
        "factor of ten of this budget, and see --backtest for how such extrapolations fared on the runs there are."
    )
    return (LawWarning(code="extrapolation", message=message),)


def _beyond(value: float, low: float, high: float) -> float:
    # A budget computed from its own range must not count as outside it by the last digit.
    factor = max(value / high, low / value, 1.0)
    return 1.0 if factor < 1 + 1e-9 else factor
