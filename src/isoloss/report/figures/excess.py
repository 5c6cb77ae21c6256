"""How far above the exact floor: the loss that more compute could still remove, for corpora of known best loss."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from isoloss.core.estimate import Estimate
from isoloss.core.numbers import si
from isoloss.fitting.fitted import FittedLaw
from isoloss.report import theme
from isoloss.report.figures.marks import draw_runs, key, marks
from isoloss.runs.observations import Observations

LEAST_SHARE = 0.5  # runs nearer to the floor than this share of the smallest clear excess stand on the lower edge


@theme.drawn
def excess_over_floor(
    observations: Observations,
    laws: Mapping[str, FittedLaw],
    *,
    floors: Mapping[str, Estimate],
    layout: theme.Layout = "wide",
) -> Figure:
    """Return one panel a corpus of known floor: loss − floor against compute, both logarithmic and shared.

    Runs at or below the floor, within its own error, stand on the lower edge. Bars are two standard errors of the loss.
    """
    names = [name for name in observations.corpora if name in floors]
    runs = {name: observations.where(corpus=name) for name in names}
    above = {name: runs[name].loss_nats - floors[name].value for name in names}
    looks = [look for name in names for look in marks(runs[name], laws.get(name))]
    panels = theme.Panels(width=3.26, height=2.4, gap_x=0.3).on(
        layout, width=2.95, height=2.2, left=0.66, right=0.12, gap_y=0.86
    )
    gaps = {name: law_gap(laws.get(name), floors[name]) for name in names}
    fitted = theme.line_sign(theme.PURPLE, width=1.6, dashes=(0, (4, 2)))
    entries = [(fitted, "fitted E − floor, where E is above it")] if any(gaps.values()) else []
    figure, grid = panels.grid(len(names), key=[*key(looks), *entries])
    clear = np.concatenate([values[values > 0] for values in above.values()])
    least = LEAST_SHARE * float(max(clear.min(), 1e-4)) if clear.size else 1e-3
    highest = max(float(clear.max()) if clear.size else 1e-2, *gaps.values())
    panels.label(grid, map(theme.short, names), x="training FLOPs C", y="loss − floor, nats per token", shared=True)
    for name, (axes,) in zip(names, grid, strict=True):
        axes.set(
            xscale="log", yscale="log", ylim=(least, highest * 1.4), xlim=theme.padded_log(observations.flops, pad=0.1)
        )
        _panel(axes, runs[name], laws.get(name), above=np.maximum(above[name], least * 1.15))
        if gaps[name] > least:
            axes.axhline(gaps[name], color=theme.PURPLE, linewidth=1.6, linestyle=(0, (4, 2)), zorder=1.5)
    return figure


def law_gap(law: FittedLaw | None, floor: Estimate) -> float:
    """Return how far the fitted E stands above the exact floor, at least 0: what a law errs at infinite compute."""
    return max(0.0, law.params["E"].value - floor.value) if law is not None and "E" in law.params else 0.0


def _panel(axes: Axes, runs: Observations, law: FittedLaw | None, *, above: np.ndarray) -> None:
    colours = theme.size_colours(runs.params.tolist())
    for size, colour in colours.items():
        rows = np.flatnonzero(runs.params == size)
        rows = rows[np.argsort(runs.flops[rows])]
        axes.plot(runs.flops[rows], above[rows], color=colour, linewidth=1, zorder=2)
        theme.name_point(axes, si(size, 2), (float(runs.flops[rows[0]]), float(above[rows[0]])))
    if runs.stderr is not None:
        low = np.maximum(above - 2 * runs.stderr, axes.get_ylim()[0])
        axes.vlines(runs.flops, low, above + 2 * runs.stderr, color=theme.MUTED, linewidth=0.9, zorder=3)
    shades = np.array([colours[size] for size in runs.params.tolist()])
    draw_runs(axes, runs, marks(runs, law), x=runs.flops, y=above, colours=shades)
    theme.log_axis(axes.xaxis, kind="power", most=5)
    theme.log_axis(axes.yaxis, kind="plain")
