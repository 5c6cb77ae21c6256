"""The comparison of predictors: how far each measure's error lies below that of one law for all."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from isoloss.core.estimate import Estimate
from isoloss.report import theme
from isoloss.report.figures.marks import interval_row, lay_out_rows

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


@theme.drawn
def predictor_forest(panels: Sequence[Panel], *, layout: theme.Layout = "wide") -> Figure:
    """Return one panel a comparison and target, one row a predictor: left of zero it errs less than one law for all."""
    names = [theme.short(bar.name, NAME_LENGTH) for panel in panels for bar in panel.bars]
    rows = max(len(panel.bars) for panel in panels)
    left = 0.15 + max(theme.text_points(name, NAME_POINTS) for name in names) / theme.POINTS_PER_INCH
    wide = layout == "wide"
    columns = min(len(panels), 2) if wide else 1
    sheet = theme.Panels(
        width=((9.0 if wide else 3.4) - columns * left) / columns, height=ROW_INCHES * max(rows, 2) + 0.1,
        columns=columns, left=left, gap_x=left + 0.1, bottom=0.5,
    )  # fmt: skip
    figure, grid = sheet.grid(len(panels), key=_key())
    for panel, (axes,) in zip(panels, grid, strict=True):
        _draw(axes, panel, rows)
    return figure


def _draw(axes: Axes, panel: Panel, rows: int) -> None:
    colour = theme.KIND_COLOUR.get(panel.kind or "", theme.INK)
    axes.axvline(0, color=theme.MUTED, linewidth=1, zorder=1)
    for row, bar in enumerate(panel.bars):
        interval_row(axes, row, bar.difference, colour=colour, marker="o", markeredgewidth=1.2,
                     markerfacecolor=colour if bar.shown else theme.PAPER)  # fmt: skip
    lay_out_rows(axes, rows, [theme.short(bar.name, NAME_LENGTH) for bar in panel.bars])
    axes.locator_params(axis="x", nbins=5)
    axes.set_title(panel.title)
    axes.set_xlabel(panel.axis)


def _key() -> list[theme.Entry]:
    filled = theme.mark_sign("o", theme.INK, size=5.5)
    hollow = theme.mark_sign("o", theme.INK, size=5.5, markerfacecolor=theme.PAPER)
    return [
        (filled, "shown to predict, all measures tried"),
        (hollow, "not shown"),
        (theme.line_sign(theme.MUTED), "one law for all"),
    ]
