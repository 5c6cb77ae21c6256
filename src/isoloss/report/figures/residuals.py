"""What the laws leave unexplained: residuals of ln loss against size and data."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from isoloss.fitting.fitted import FittedLaw
from isoloss.report import theme
from isoloss.report.figures.marks import Mark, band, draw_runs, key, marks
from isoloss.runs.observations import Floats, Observations

BAND = 1.0  # percent
LEAST_LIMIT = 1.4  # percent: the band's own edges are always in sight


@theme.drawn
def residuals(observations: Observations, laws: Mapping[str, FittedLaw], *, layout: theme.Layout = "wide") -> Figure:
    """Return a pair of panels a corpus: 100 · (ln L − ln L̂) against parameters and against data, one scale for all."""
    names = list(laws)
    runs = {name: observations.where(corpus=name) for name in names}
    percent = {name: 100 * laws[name].residuals(runs[name]) for name in names}
    looks = [look for name in names for look in marks(runs[name], laws[name])]
    panels = theme.Panels(width=3.32, height=1.8, split=2, left=0.68, gap_x=0.22, gap_y=0.66).on(
        layout, width=2.98, height=1.55, left=0.6, right=0.12, gap_y=0.86
    )
    figure, grid = panels.grid(len(names), key=[*key(looks), (band(theme.BLUE), "±1 %")])
    limit = max(LEAST_LIMIT, 1.12 * max(float(np.abs(values).max()) for values in percent.values()))
    titles = (theme.short(name, 22) for name in names)
    panels.label(grid, titles, x="parameters N", y="residual of ln loss, %", shared=True)
    for name, pair in zip(names, grid, strict=True):
        own = marks(runs[name], laws[name])
        for axes, column in zip(pair, (runs[name].params, runs[name].tokens), strict=True):
            _panel(axes, runs[name], own, x=column, percent=percent[name], limit=limit)
        pair[1].tick_params(labelleft=False)
        pair[1].set_xlabel(f"{observations.data_unit} D" if pair[0].get_xlabel() else "")
        pair[1].set_title(f"rms {100 * laws[name].rmse:.2g} %", loc="right", fontweight="normal", fontsize=8)
    return figure


def _panel(axes: Axes, runs: Observations, looks: Sequence[Mark], *, x: Floats, percent: Floats, limit: float) -> None:
    axes.set(xscale="log", xlim=theme.padded_log(x, pad=0.1), ylim=(-limit, limit))
    axes.axhline(0, color=theme.INK, linewidth=0.8, zorder=2)
    axes.axhspan(-BAND, BAND, color=theme.BLUE, alpha=0.14, linewidth=0, zorder=0.5)
    for edge in (-BAND, BAND):
        axes.axhline(edge, color=theme.BLUE, linewidth=0.7, linestyle=(0, (4, 2)), alpha=0.8, zorder=0.6)
    draw_runs(axes, runs, looks, x=x, y=percent, size=15)
    theme.log_axis(axes.xaxis, most=4)
