"""The comparison of predictors: how far each measure's error lies below that of one law for all."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from isoloss.core.estimate import Estimate
from isoloss.report.theme import (
    INK,
    KIND_COLOUR,
    MUTED,
    PAPER,
    POINTS_PER_INCH,
    Entry,
    Layout,
    Panels,
    drawn,
    short,
    text_points,
)

ROW_INCHES = 0.27
NAME_LENGTH, NAME_POINTS = 22, 8.5


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One predictor: its error less that of one law for all; `shown` where the difference is, all measures tried."""

    name: str
    difference: Estimate
    shown: bool


@dataclass(frozen=True, kw_only=True)
class Panel:
    """The predictors of one target on corpora of one kind, `bars` from the top."""

    title: str
    axis: str
    kind: str | None
    bars: Sequence[Bar]


@drawn
def predictor_forest(panels: Sequence[Panel], *, layout: Layout = "wide") -> Figure:
    """Return one panel a comparison and target, one row a predictor: left of zero it errs less than one law for all."""
    names = [short(bar.name, NAME_LENGTH) for panel in panels for bar in panel.bars]
    rows = max(len(panel.bars) for panel in panels)
    left = 0.15 + max(text_points(name, NAME_POINTS) for name in names) / POINTS_PER_INCH
    wide = layout == "wide"
    columns = min(len(panels), 2) if wide else 1
    sheet = Panels(
        width=((9.0 if wide else 3.4) - columns * left) / columns, height=ROW_INCHES * max(rows, 2) + 0.1,
        columns=columns, left=left, gap_x=left + 0.1, bottom=0.5,
    )  # fmt: skip
    figure, grid = sheet.grid(len(panels), key=_key())
    for panel, (axes,) in zip(panels, grid, strict=True):
        _draw(axes, panel, rows)
    return figure


def _draw(axes: Axes, panel: Panel, rows: int) -> None:
    colour = KIND_COLOUR.get(panel.kind or "", INK)
    axes.axvline(0, color=MUTED, linewidth=1, zorder=1)
    for row, bar in enumerate(panel.bars):
        found = bar.difference
        if found.low is not None and found.high is not None:
            axes.plot([found.low, found.high], [row, row], color=colour, linewidth=2, alpha=0.75,
                      solid_capstyle="butt")  # fmt: skip
        axes.plot(found.value, row, marker="o", markersize=5.5, color=colour, markeredgewidth=1.2,
                  markerfacecolor=colour if bar.shown else PAPER)  # fmt: skip
    axes.set_yticks(range(len(panel.bars)), [short(bar.name, NAME_LENGTH) for bar in panel.bars])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(rows - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.margins(x=0.08)
    axes.locator_params(axis="x", nbins=5)
    axes.set_title(panel.title)
    axes.set_xlabel(panel.axis)


def _key() -> list[Entry]:
    filled = Line2D([], [], linestyle="none", marker="o", markersize=5.5, color=INK)
    hollow = Line2D([], [], linestyle="none", marker="o", markersize=5.5, color=INK, markerfacecolor=PAPER)
    return [
        (filled, "shown to predict, all measures tried"),
        (hollow, "not shown"),
        (Line2D([], [], color=MUTED, linewidth=1), "one law for all"),
    ]
