"""Where a law was fitted, and what is to be said of it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from isoloss.core.errors import NotApplicable, Unidentified
from isoloss.core.plain_json import Plain
from isoloss.runs.observations import RUN_COLUMNS, Observations

FAR_IN_COMPUTE = 10.0  # beyond the fitted rows' FLOPs, where a prediction is warned of
# Standard deviation of ln D around the rows' line in ln N under which the two move together: D moves the loss by about
# a tenth of that, 2 %, which is what laws miss tables by (1 to 5 %).
TOGETHER = 0.2
OFF_LINE = 2.0  # times the line's tokens, either way: a prediction there is warned of
BELOW_OWN_LEAST = "below_own_least"
"""The code of the warning that a law says nothing at a point."""
APART = 5.0  # times fewer and more tokens than the line's, of the runs that would tell N and D apart


@dataclass(frozen=True, kw_only=True)
class LawWarning(Plain):
    """Something about a fit that a reader must know: `code` for programs, `message` with the remedy for people.

    `rows` are the 1-based positions in the source of the runs that it is about, where it is about some of them.
    """

    code: str
    message: str
    rows: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Line:
    """The line ln D = `level` + `slope` · ln N near which all rows lie, `spread` (s.d. of ln D) around it.

    Such rows tell a loss along the line, and not what of it parameters and tokens do each.
    """

    slope: float
    level: float
    spread: float

    @classmethod
    def of(cls, observations: Observations) -> "Line | None":
        """Return the line along which parameters and tokens grow together, None where they do not.

        One budget's runs, whose tokens fall as parameters rise, are no such line: along it the two act against each
        other.
        """
        x, y = np.log(observations.params), np.log(observations.tokens)
        varied = x - x.mean()
        if len(x) < 3 or not (square := float(varied @ varied)):
            return None
        slope = float(varied @ y) / square
        level = float(y.mean() - slope * x.mean())
        spread = float(np.sqrt(np.mean((y - level - slope * x) ** 2)))
        moving = slope * float(np.sqrt(square / len(x)))  # s.d. of ln D along the line
        return cls(slope=slope, level=level, spread=spread) if spread < TOGETHER and moving > spread else None

    def tokens(self, params: float) -> float:
        """Return the tokens of a size on the line."""
        return float(np.exp(self.level + self.slope * np.log(params)))

    def distance(self, params: float, tokens: float) -> float:
        """Return the factor by which a point's tokens lie off the line, 1 or more."""
        factor = tokens / self.tokens(params)
        return max(factor, 1 / factor)


@dataclass(frozen=True, kw_only=True)
class Domain:
    """The ranges that the fitted rows span: outside them a law extrapolates.

    `ranges` are (low, high) of params, tokens and flops, as far as the table tells them, and of further columns that
    the law reads. Reading an end that is not known raises NotApplicable. `line` is where rows lie whose parameters and
    tokens move together, None where they do not.
    """

    ranges: Mapping[str, tuple[float, float]]
    line: Line | None = None

    @classmethod
    def of(cls, observations: Observations, *, columns: Sequence[str] = ()) -> "Domain":
        """Return the ranges of a table, those of further `columns` among them."""
        known = [name for name in RUN_COLUMNS if observations.has(name)]
        spans = {name: observations.column(name) for name in dict.fromkeys([*known, *columns])}
        read = {"params", "tokens"} <= set(columns or known)
        return cls(
            ranges={name: (float(column.min()), float(column.max())) for name, column in spans.items()},
            line=Line.of(observations) if read else None,
        )

    def span(self, column: str) -> tuple[float, float]:
        """Return the lowest and the highest value of a column. Raises NotApplicable where the rows did not tell it."""
        if column not in self.ranges:
            raise NotApplicable(
                f"the {column} of the fitted runs are not known", fix=f"fit a table that has a column of {column}"
            )
        return self.ranges[column]

    @property
    def flops_high(self) -> float:
        """The largest budget, from which it is counted how far an answer extrapolates."""
        return self.span("flops")[1]

    def extrapolation(self, **columns: float) -> float:
        """Return the largest factor by which a point lies outside the ranges: 1 inside, 10 ten times beyond an edge."""
        beyond = (_beyond(value, *self.ranges[name]) for name, value in columns.items() if name in self.ranges)
        return float(max(1.0, *beyond))

    @property
    def together(self) -> LawWarning | None:
        """What is to be said of rows whose parameters and tokens move together; None where they do not."""
        if self.line is None:
            return None
        least, most = self.span("params")
        ends = [self.line.tokens(size) / size for size in (least, most)]
        alike = max(ends) < OFF_LINE * min(ends)
        grows = f"from {ends[0]:.3g} to {ends[1]:.3g} tokens per parameter as the size grows"
        ratio = f"{np.sqrt(ends[0] * ends[1]):.3g} tokens per parameter" if alike else grows
        runs = [(size, self.line.tokens(size)) for size in (least, min(4 * least, most))]
        wanted = " and ".join(
            f"{size:.2g} parameters at {d / APART:.2g} and {d * APART:.2g} tokens" for size, d in runs
        )
        return LawWarning(
            code="params_with_tokens",
            message=f"parameters and tokens move together in these rows ({ratio}), so the runs determine the loss "
            "along that line but not the effect of each of the two. A, B, α and β may trade places, and no budget has "
            f"a best split. Add runs off the line, {APART:g} times fewer and more tokens at several "
            f"sizes, small ones first: {wanted}. Until then fit a law of one of them (--law offset_params).",
        )

    def require_apart(self, group: str | None) -> None:
        """Raise Unidentified where parameters and tokens move together in the rows of `group`."""
        if (said := self.together) is not None:
            reason, fix = said.message.split(". ", 1)
            raise Unidentified(
                f"{f'{group}: ' if group else ''}{reason.partition(':')[0]}", fix=f"{fix[0].lower()}{fix[1:]}"
            )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data: null for an end that is not known."""
        ends = {
            f"{name}_{side}": self.ranges[name][place] if name in self.ranges else None
            for name in RUN_COLUMNS
            for place, side in enumerate(("low", "high"))
        }
        others = {name: list(ends) for name, ends in self.ranges.items() if name not in RUN_COLUMNS}
        return ends | {"others": others, "line": None if self.line is None else asdict(self.line)}


def extrapolation_warnings(domain: Domain, flops: float | None) -> tuple[LawWarning, ...]:
    """Return the warning that a budget lies more than ten times outside the compute of the fitted rows, or none."""
    if flops is None or "flops" not in domain.ranges:
        return ()
    factor = domain.extrapolation(flops=flops)
    if factor <= FAR_IN_COMPUTE * (1 + 1e-9):
        return ()
    low, high = domain.span("flops")
    edge = high if flops > high else low
    message = (
        f"{flops:.2g} FLOPs are a factor of {factor:.3g} outside the fitted runs ({edge:.2g} at the edge; over "
        f"{FAR_IN_COMPUTE:g}): the interval is valid only if the law still applies there, and no run shows that. "
        "Train runs within a factor of ten of this budget. isoloss fit --beyond answers by several laws, weighted by "
        "backtests on your runs; --backtest shows how this law fares in them."
    )
    return (LawWarning(code="extrapolation", message=message),)


def off_line_warnings(domain: Domain, columns: Mapping[str, float]) -> tuple[LawWarning, ...]:
    """Return the warning that a run lies off the line on which parameters and tokens move together, or none."""
    if domain.line is None or not {"params", "tokens"} <= set(columns):
        return ()
    factor = domain.line.distance(columns["params"], columns["tokens"])
    if factor <= OFF_LINE:
        return ()
    message = (
        f"{columns['params']:.3g} parameters on {columns['tokens']:.3g} tokens are a factor of {factor:.3g} off the "
        "line on which the two move together in the fitted runs. Those runs say nothing about the loss there, and "
        "no interval covers it. Train runs off the line."
    )
    return (LawWarning(code="params_with_tokens", message=message),)


def _beyond(value: float, low: float, high: float) -> float:
    # A budget computed from its own range must not count as outside it by the last digit.
    factor = max(value / high, low / value, 1.0)
    return 1.0 if factor < 1 + 1e-9 else factor
