"""Corpora side by side: one panel a measure, one row a corpus, each value with its interval and its placebo."""

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from isoloss.core.estimate import Estimate
from isoloss.report.theme import BLUE, MUTED, POINTS_PER_INCH, Entry, Panels, drawn, short, text_points

ROW_INCHES, NAME_LENGTH, NAME_POINTS = 0.24, 24, 8.5
PLACEBO = "-placebo"

Measures = Mapping[str, Mapping[str, Estimate]]
"""Corpus → measure → value; a measure's placebo stands under its name with `-placebo`."""


@drawn
def complexity(measures: Measures, *, axis_names: Mapping[str, str]) -> Figure:
    """Return one panel a measure, corpora from the top in the order given; hollow marks are placebos.

    `axis_names` says what the number of a measure is. A corpus without a value has an empty row.
    """
    names = list(measures)
    shown = list(dict.fromkeys(m.removesuffix(PLACEBO) for found in measures.values() for m in found))
    rows = [short(name, NAME_LENGTH) for name in names]
    left = 0.2 + max(text_points(row, NAME_POINTS) for row in rows) / POINTS_PER_INCH
    panels = Panels(width=1.75, height=ROW_INCHES * max(len(rows), 2) + 0.1, columns=5, left=left, gap_x=0.2)
    placebo = any(m.endswith(PLACEBO) for found in measures.values() for m in found)
    figure, grid = panels.grid(len(shown), key=_key() if placebo else ())
    for index, (measure, (axes,)) in enumerate(zip(shown, grid, strict=True)):
        for row, name in enumerate(names):
            _row(axes, row + 0.2, measures[name].get(measure + PLACEBO), filled=False)
            _row(axes, row, measures[name].get(measure), filled=True)
        axes.set_title(measure)
        axes.set_xlabel(axis_names.get(measure, ""))
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.set_yticks(range(len(names)), rows if index % panels.columns == 0 else [])
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="y")
        axes.margins(x=0.08)
        axes.locator_params(axis="x", nbins=4)
    return figure


def _row(axes: Axes, row: float, estimate: Estimate | None, *, filled: bool) -> None:
    if estimate is None:
        return
    colour = BLUE if filled else MUTED
    if estimate.low is not None and estimate.high is not None:
        axes.plot(
            [estimate.low, estimate.high], [row, row], color=colour, linewidth=2, solid_capstyle="butt", alpha=0.75
        )
    axes.plot(estimate.value, row, marker="o", markersize=5, color=colour, fillstyle="full" if filled else "none")


def _key() -> list[Entry]:
    return [
        (Line2D([], [], linestyle="none", marker="o", markersize=5, color=BLUE), "as it is, with 95 % interval"),
        (Line2D([], [], linestyle="none", marker="o", markersize=5, color=MUTED, fillstyle="none"), "ids relabelled"),
    ]
