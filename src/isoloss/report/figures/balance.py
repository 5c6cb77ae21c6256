"""The question itself: do best tokens per parameter follow a measure of the corpus?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from isoloss.core.estimate import Estimate
from isoloss.core.numbers import si
from isoloss.planning.plan_result import RULE_OF_THUMB
from isoloss.report import theme
from isoloss.report.figures.names import Named, name_marks
from isoloss.runs.observations import Floats

KIND_TITLE = {"text": "Real text", "generated": "Generated language"}


@dataclass(frozen=True, kw_only=True)
class BalancePoint:
    """One corpus: its complexity and its mean ln(tokens/params) over the budgets."""

    name: str
    kind: str
    complexity: Estimate
    log_ratio: Estimate


@dataclass(frozen=True, kw_only=True, eq=False)
class Line:
    """The regression of one kind over `complexity`: its value and pointwise interval."""

    complexity: Floats
    value: Floats
    low: Floats
    high: Floats


@theme.drawn
def balance(
    points: Sequence[BalancePoint],
    *,
    axis: str,
    lines: Mapping[str, Line],
    notes: Mapping[str, str],
    layout: theme.Layout = "wide",
) -> Figure:
    """Return one panel a kind of corpus, all on the same axes: tokens per parameter against a measure, with intervals.

    `axis` names the measure. A kind has a regression line and its band only where `lines` holds one: where best tokens
    per parameter are shown to follow the measure. `notes` are written under the panels' titles.
    """
    kinds = [kind for kind in KIND_TITLE if any(point.kind == kind for point in points)]
    panels = theme.Panels(width=5.06, height=3.4, columns=2, left=0.62, right=0.2, top=0.55, gap_x=0.3).on(
        layout, width=2.9, height=2.6, left=0.56, right=0.16, gap_y=1.1
    )
    limits = _limits([p.complexity for p in points]), _limits([p.log_ratio for p in points])
    figure, grid = panels.grid(len(kinds), key=_key(bool(lines), _shows_chinchilla(limits[1])))
    titles = (KIND_TITLE[kind] for kind in kinds)
    panels.label(grid, titles, x=axis, y="best tokens per parameter", shared=True, pad=20)
    for kind, (axes,) in zip(kinds, grid, strict=True):
        axes.set(xlim=limits[0], ylim=limits[1])
        own = [point for point in points if point.kind == kind]
        _panel(axes, own, lines.get(kind))
        name_marks(
            axes, list(map(_named, own)), lines=[(lines[kind].complexity, lines[kind].value)] if kind in lines else []
        )
        axes.text(0, 1, notes.get(kind, ""), transform=axes.transAxes, va="bottom", fontsize=8, color=theme.MUTED)
        _ratio_ticks(axes, limits[1])
    return figure


def _limits(estimates: Sequence[Estimate]) -> tuple[float, float]:
    ends = [x for e in estimates for x in (e.value, e.low, e.high) if x is not None]
    low, high = min(ends), max(ends)
    margin = 0.12 * (high - low) or 0.1
    return low - margin, high + margin


def _shows_chinchilla(limits: tuple[float, float]) -> bool:
    return limits[0] < float(np.log(RULE_OF_THUMB)) < limits[1]


def _panel(axes: Axes, points: Sequence[BalancePoint], line: Line | None) -> None:
    if _shows_chinchilla(axes.get_ylim()):
        axes.axhline(np.log(RULE_OF_THUMB), color=theme.MUTED, linewidth=1, linestyle=(0, (1, 1.5)))
    colour, marker = theme.KIND_COLOUR[points[0].kind], theme.KIND_MARKER[points[0].kind]
    if line is not None:
        axes.plot(line.complexity, line.value, color=colour, linewidth=1.8)
        axes.fill_between(line.complexity, line.low, line.high, color=colour, alpha=0.18, linewidth=0)
    for point in points:
        x, y = point.complexity, point.log_ratio
        if y.low is not None and y.high is not None:
            axes.plot([x.value, x.value], [y.low, y.high], color=colour, linewidth=1.4, alpha=0.8)
        if x.low is not None and x.high is not None:
            axes.plot([x.low, x.high], [y.value, y.value], color=colour, linewidth=1.4, alpha=0.8)
        axes.plot(x.value, y.value, marker=marker, markersize=6.5, color=colour, markeredgewidth=0)


def _named(point: BalancePoint) -> Named:
    x, y = point.complexity, point.log_ratio
    ends = [None if e.low is None or e.high is None else (e.low, e.high) for e in (x, y)]
    return Named(name=point.name, x=x.value, y=y.value, x_ends=ends[0], y_ends=ends[1])


def _ratio_ticks(axes: Axes, limits: tuple[float, float]) -> None:
    """Write an axis of ln(tokens per parameter) as tokens per parameter."""
    ticks = theme.log_ticks(float(np.exp(limits[0])), float(np.exp(limits[1])))
    axes.set_yticks(np.log(ticks), [si(tick) for tick in ticks])


def _key(lines: bool, chinchilla: bool) -> list[theme.Entry]:
    entries: list[theme.Entry] = [(theme.line_sign(theme.INK, width=1.4), "bars: 95 % intervals")]
    if lines:
        entries.append((theme.line_sign(theme.INK, width=1.8), "regression, where a trend is shown"))
    if chinchilla:
        dotted = theme.line_sign(theme.MUTED, dashes=(0, (1, 1.5)))
        entries.append((dotted, "Chinchilla: 20 tokens per parameter"))
    return entries
