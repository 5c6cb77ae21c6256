"""Curves and points against one axis, panel by panel: profiles, residuals, coefficients, curves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from isoloss.core.numbers import plain
from isoloss.published.figures.optima import COLOURS
from isoloss.report import theme
from isoloss.report.blocks import Drawing, columns_of
from isoloss.report.figures.marks import band
from isoloss.runs.observations import Floats

Scale = Literal["si", "power", "plain", "linear"]
DASHES: tuple[Any, ...] = ("solid", (0, (6, 2)), (0, (1, 1.4)), (0, (4, 1.5, 1, 1.5)), (0, (8, 2, 2, 2)), (0, (2, 2)))
MARKERS = ("o", "s", "^", "D", "v", "P")


@dataclass(frozen=True, kw_only=True, eq=False)
class Series:
    """Numbers y (k,) at x (k,), as a line, as points, or both, with a band where ends are given."""

    x: Floats
    y: Floats
    low: Floats | None = None
    high: Floats | None = None
    line: bool = True
    points: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class SeriesPanel:
    """One panel: series by name (the same name has the same look in every panel), and a note in its corner."""

    title: str
    series: Mapping[str, Series]
    xlabel: str
    ylabel: str
    x: Scale = "plain"
    y: Scale = "plain"
    note: str = ""
    upright: Mapping[str, float] = field(default_factory=dict)
    level: float | None = None


def series_drawing(panels: Sequence[SeriesPanel], *, name: str, title: str, caption: str, alt: str) -> Drawing:
    """Return panels with their words and their numbers."""
    draw = partial(series_panels, panels)
    return Drawing(name=name, title=title, caption=caption, alt=alt, draw=draw, numbers=series_numbers(panels))


@theme.drawn
def series_panels(panels: Sequence[SeriesPanel], *, layout: theme.Layout = "wide") -> Figure:
    """Return one panel each; axes are logarithmic unless `linear`."""
    names = list(dict.fromkeys(name for panel in panels for name in panel.series))
    looks = {name: index for index, name in enumerate(names)}
    shape = theme.Panels(width=2.75, height=2.3, left=0.75, gap_x=0.82, gap_y=0.8).on(
        layout, height=2.2, right=0.12, gap_y=0.86
    )
    figure, grid = shape.grid(len(panels), key=_key(panels, names) if len(names) > 1 else ())
    _, bottom = theme.edge_panels(len(panels), shape.columns)
    for index, (panel, (axes,)) in enumerate(zip(panels, grid, strict=True)):
        _panel(axes, panel, looks)
        axes.set_title(panel.title)
        axes.set_xlabel(panel.xlabel if index in bottom or panel.xlabel != panels[-1].xlabel else "")
        axes.set_ylabel(panel.ylabel)
    return figure


def series_numbers(panels: Sequence[SeriesPanel]) -> dict[str, list[object]]:
    """Return what the panels draw as columns."""
    named = [(panel.title, name, one) for panel in panels for name, one in panel.series.items()]
    rows = [
        (title, name, x, y, *(None if end is None else float(end[i]) for end in (one.low, one.high)))
        for title, name, one in named
        for i, (x, y) in enumerate(zip(one.x.tolist(), one.y.tolist(), strict=True))
    ]
    return columns_of(("panel", "series", "x", "y", "low", "high"), rows)


def _panel(axes: Axes, panel: SeriesPanel, looks: Mapping[str, int]) -> None:
    if panel.x != "linear":
        axes.set_xscale("log")
    if panel.y != "linear":
        axes.set_yscale("log")
    for name, one in panel.series.items():
        look = looks[name]
        colour = COLOURS[look % len(COLOURS)]
        if one.low is not None and one.high is not None:
            axes.fill_between(one.x, one.low, one.high, color=colour, alpha=0.18, linewidth=0)
        if one.line:
            axes.plot(one.x, one.y, color=colour, linewidth=1.5, linestyle=DASHES[look % len(DASHES)])
        if one.points:
            axes.scatter(one.x, one.y, s=14, color=colour, marker=MARKERS[look % len(MARKERS)], edgecolors=theme.PAPER,
                         linewidths=0.4, zorder=4)  # fmt: skip
    _limits(axes, panel)
    if panel.level is not None:
        axes.axhline(panel.level, color=theme.INK, linewidth=0.8)
    for place in panel.upright.values():
        axes.axvline(place, color=theme.INK, linewidth=1, linestyle=(0, (1, 1.5)))
    theme.note_in_corner(axes, panel.note)


def _limits(axes: Axes, panel: SeriesPanel) -> None:
    """Set the ranges before the ticks: logarithmic ticks are chosen for them."""
    x = np.concatenate([*(one.x for one in panel.series.values()), list(panel.upright.values())])
    ends = [end for one in panel.series.values() for end in (one.y, one.low, one.high) if end is not None]
    y = np.concatenate(ends)
    y = y[np.isfinite(y)]
    for axis, scale, values, settle in (
        (axes.xaxis, panel.x, x, axes.set_xlim),
        (axes.yaxis, panel.y, y, axes.set_ylim),
    ):
        if scale == "linear":
            margin = 0.06 * float(values.max() - values.min()) or 0.1
            # A note stands in the upper corner: the points stay below it.
            above = 3 * margin if panel.note and axis is axes.yaxis else margin
            settle(float(values.min()) - margin, float(values.max()) + above)
            axis.set_major_locator(MaxNLocator(5))
            axis.set_major_formatter(FuncFormatter(lambda value, _: plain(value)))
        else:
            settle(*theme.padded_log(values, pad=0.06))
            theme.log_axis(axis, kind=scale, most=5)


def _key(panels: Sequence[SeriesPanel], names: Sequence[str]) -> list[theme.Entry]:
    entries: list[theme.Entry] = []
    for look, name in enumerate(names):
        one = next(panel.series[name] for panel in panels if name in panel.series)
        colour = COLOURS[look % len(COLOURS)]
        line = Line2D(
            [], [], color=colour, linewidth=1.5, linestyle=DASHES[look % len(DASHES)] if one.line else "none",
            marker=MARKERS[look % len(MARKERS)] if one.points else "", markersize=4.6,
        )  # fmt: skip
        entries.append(((band(colour), line) if one.low is not None else line, name))
    return entries
