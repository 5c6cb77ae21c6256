"""The question itself: does the best balance of tokens to parameters move with how well a corpus compresses?"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from isoloss.core.estimate import Estimate
from isoloss.core.numbers import si
from isoloss.report.theme import (
    INK,
    KIND_COLOUR,
    KIND_MARKER,
    MUTED,
    POINTS_PER_INCH,
    Entry,
    Layout,
    Panels,
    drawn,
    log_ticks,
    short,
    text_points,
)
from isoloss.runs.observations import Floats

# Hoffmann et al. 2022, table 3: about 20 training tokens a parameter at every budget.
CHINCHILLA_TOKENS_PER_PARAMETER = 20.0
KIND_TITLE = {"text": "Real text", "generated": "Generated language"}
NAME_POINTS = 8.0

Box = tuple[float, float, float, float]
Place = Callable[[float, float], tuple[float, float]]
"""From data to points from the panel's lower left corner."""

LINE_BOXES = 60  # boxes along a regression line that names keep clear of


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


@drawn
def balance(
    points: Sequence[BalancePoint],
    *,
    measure: str,
    lines: Mapping[str, Line],
    notes: Mapping[str, str],
    layout: Layout = "wide",
) -> Figure:
    """Return one panel a kind of corpus, all on the same axes: balance against complexity, both with intervals.

    A kind has a regression line and its band only where `lines` holds one: where the verdict is that the balance moves.
    `notes` are written under the panels' titles. The right axis reads the balance as tokens per parameter.
    """
    kinds = [kind for kind in KIND_TITLE if any(point.kind == kind for point in points)]
    panels = _panels(layout)
    limits = _limits([p.complexity for p in points]), _limits([p.log_ratio for p in points])
    figure, grid = panels.grid(len(kinds), key=_key(bool(lines), _shows_chinchilla(limits[1])))
    for index, (kind, (axes,)) in enumerate(zip(kinds, grid, strict=True)):
        axes.set(xlim=limits[0], ylim=limits[1], xlabel=f"{measure} ratio: compressed / raw (higher is harder)")
        own = [point for point in points if point.kind == kind]
        _panel(axes, own, lines.get(kind))
        _name(axes, own, lines.get(kind), panels)
        axes.set_title(KIND_TITLE[kind], pad=20)
        axes.text(0, 1, notes.get(kind, ""), transform=axes.transAxes, va="bottom", fontsize=8, color=MUTED)
        first, last = (
            index % panels.columns == 0,
            index % panels.columns == panels.columns - 1 or index == len(kinds) - 1,
        )
        axes.tick_params(labelleft=first)
        axes.set_ylabel("ln(D*/N*), mean over budgets" if first else "")
        _ratio_axis(axes, limits[1], named=last)
    return figure


def _panels(layout: Layout) -> Panels:
    if layout == "narrow":
        return Panels(width=2.55, height=2.6, columns=1, left=0.56, right=0.62, top=0.55, gap_y=1.1)
    return Panels(width=4.79, height=3.4, columns=2, left=0.62, right=0.75, top=0.55, gap_x=0.3)


def _limits(estimates: Sequence[Estimate]) -> tuple[float, float]:
    ends = [x for e in estimates for x in (e.value, e.low, e.high) if x is not None]
    low, high = min(ends), max(ends)
    margin = 0.12 * (high - low) or 0.1
    return low - margin, high + margin


def _shows_chinchilla(limits: tuple[float, float]) -> bool:
    return limits[0] < float(np.log(CHINCHILLA_TOKENS_PER_PARAMETER)) < limits[1]


def _panel(axes: Axes, points: Sequence[BalancePoint], line: Line | None) -> None:
    if _shows_chinchilla(axes.get_ylim()):
        axes.axhline(np.log(CHINCHILLA_TOKENS_PER_PARAMETER), color=MUTED, linewidth=1, linestyle=(0, (1, 1.5)))
    colour, marker = KIND_COLOUR[points[0].kind], KIND_MARKER[points[0].kind]
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


def _name(axes: Axes, points: Sequence[BalancePoint], line: Line | None, panels: Panels) -> None:
    """Write every corpus name next to its point, on the side where it covers least."""
    (x_low, x_high), (y_low, y_high) = axes.get_xlim(), axes.get_ylim()
    width, height = panels.width * POINTS_PER_INCH, panels.height * POINTS_PER_INCH

    def place(x: float, y: float) -> tuple[float, float]:
        return (x - x_low) / (x_high - x_low) * width, (y - y_low) / (y_high - y_low) * height

    boxes = [box for point in points for box in _bars(point, place)]
    boxes += _along(line, place) if line is not None else []
    for point in points:
        x, y = place(point.complexity.value, point.log_ratio.value)
        text = short(point.name, 24)
        half = text_points(text, NAME_POINTS) / 2
        centres = [(x + side * (half + 6), y + up) for side in (1, -1) for up in (8, -8, 0, 16, -16)]
        candidates = [_box(at_x, at_y, half, NAME_POINTS * 0.6) for at_x, at_y in centres]
        best = min(range(len(centres)), key=lambda i: _covered(candidates[i], boxes, width, height))
        boxes.append(candidates[best])
        axes.annotate(text, centres[best], xycoords="axes points", ha="center", va="center", fontsize=NAME_POINTS)


def _box(x: float, y: float, half_width: float, half_height: float) -> Box:
    return x - half_width, y - half_height, x + half_width, y + half_height


def _along(line: Line, place: Place) -> list[Box]:
    """Return boxes along a regression line, in points."""
    along = np.linspace(line.complexity[0], line.complexity[-1], LINE_BOXES)
    centres = map(place, along.tolist(), np.interp(along, line.complexity, line.value).tolist())
    return [_box(x, y, 3, 2) for x, y in centres]


def _bars(point: BalancePoint, place: Place) -> list[Box]:
    """Return the boxes that a point and its two bars cover, in points."""
    x, y = point.complexity, point.log_ratio
    centre = place(x.value, y.value)
    left, right = (place(v if v is not None else x.value, y.value)[0] for v in (x.low, x.high))
    lower, upper = (place(x.value, v if v is not None else y.value)[1] for v in (y.low, y.high))
    return [
        _box(centre[0], centre[1], 4, 4),
        (left, centre[1] - 1, right, centre[1] + 1),
        (centre[0] - 1, lower, centre[0] + 1, upper),
    ]


def _covered(box: Box, taken: Sequence[Box], width: float, height: float) -> float:
    """Return the area that `box` shares with others, and ten times the area it has outside the panel."""
    shared = sum(_overlap(box, other) for other in taken)
    area = (box[2] - box[0]) * (box[3] - box[1])
    return shared + 10 * (area - _overlap(box, (0, 0, width, height)))


def _overlap(one: Box, two: Box) -> float:
    width = min(one[2], two[2]) - max(one[0], two[0])
    height = min(one[3], two[3]) - max(one[1], two[1])
    return max(0.0, width) * max(0.0, height)


def _ratio_axis(axes: Axes, limits: tuple[float, float], *, named: bool) -> None:
    right = axes.twinx()
    right.set_ylim(limits)
    ticks = log_ticks(float(np.exp(limits[0])), float(np.exp(limits[1])))
    right.set_yticks(np.log(ticks), [si(tick) for tick in ticks] if named else [])
    right.grid(visible=False)
    right.spines["right"].set_visible(named)
    right.tick_params(axis="y", length=3 if named else 0)
    right.set_ylabel("tokens per parameter" if named else "")


def _key(lines: bool, chinchilla: bool) -> list[Entry]:
    entries: list[Entry] = [(Line2D([], [], color=INK, linewidth=1.4), "bars: 95 % intervals")]
    if lines:
        entries.append((Line2D([], [], color=INK, linewidth=1.8), "regression, where the balance moves"))
    if chinchilla:
        dotted = Line2D([], [], color=MUTED, linewidth=1, linestyle=(0, (1, 1.5)))
        entries.append((dotted, "Chinchilla: 20 tokens a parameter"))
    return entries
