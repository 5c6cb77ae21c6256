"""The best peak rate of a sweep against model size, at the shortest and the longest horizon."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from isoloss.core.numbers import si
from isoloss.report import theme
from isoloss.tuning.sweep import RateOptimum
from isoloss.tuning.tuning import Tuning

HORIZON_MARKERS = ("o", "s")
LINE_POINTS = 30


@theme.drawn
def best_rates(tunings: Mapping[str, Tuning], *, layout: theme.Layout = "wide") -> Figure:
    """Return one panel a corpus: best rates at the reference batch, their 1 % basins, and the fitted power laws.

    Hollow marks stand on the grid's edge, where the best rate lies at the mark or beyond; small marks are best rates at
    the other batches.
    """
    panels = theme.Panels(width=3.1, height=2.4, gap_x=0.22).on(
        layout, width=2.75, height=2.2, left=0.68, right=0.12, gap_y=0.86
    )
    figure, grid = panels.grid(len(tunings), key=_key())
    every = [optimum for tuning in tunings.values() for optimum in tuning.rates]
    rates = [rate for optimum in every for rate in (optimum.peak_lr, *(optimum.within or ()))]
    panels.label(grid, (theme.short(name, 28) for name in tunings), x="parameters N", y="best peak rate", shared=True)
    for tuning, (axes,) in zip(tunings.values(), grid, strict=True):
        axes.set(xscale="log", yscale="log", ylim=theme.padded_log(rates, pad=0.04))
        axes.set_xlim(theme.padded_log([optimum.params for optimum in every], pad=0.1))
        _panel(axes, tuning)
        theme.log_axis(axes.xaxis, most=4)
        theme.log_axis(axes.yaxis, kind="plain")
    return figure


def horizon_colours() -> tuple[str, str]:
    """Return the colours of the shortest and the longest horizon."""
    dark, light = theme.sequence([0.15, 0.75])
    return dark, light


def _panel(axes: Axes, tuning: Tuning) -> None:
    for tokens, colour, marker in zip(tuning.horizons, horizon_colours(), HORIZON_MARKERS, strict=True):
        own = [optimum for optimum in tuning.rates if optimum.tokens == tokens]
        for optimum in own:
            _optimum(axes, optimum, colour=colour, marker=marker, large=optimum.batch_tokens == tuning.reference_batch)
        if tuning.rate is not None:
            params = np.geomspace(*axes.get_xlim(), LINE_POINTS)
            rule = tuning.rate.rule(follow_tokens=True, source="")
            line = [rule.at(float(size), tokens) for size in params]
            axes.plot(params, line, color=colour, linewidth=1.6, zorder=2)


def _optimum(axes: Axes, optimum: RateOptimum, *, colour: str, marker: str, large: bool) -> None:
    if large and optimum.within is not None:
        axes.plot([optimum.params] * 2, optimum.within, color=colour, linewidth=1.2, alpha=0.55, zorder=3)
    inside = optimum.edge is None
    axes.scatter(
        [optimum.params], [optimum.peak_lr], s=34 if large else 9, marker=marker, zorder=5 if large else 4,
        facecolors=colour if inside else theme.PAPER, edgecolors=colour, linewidths=1.0, clip_on=False,
    )  # fmt: skip


def _key() -> Sequence[theme.Entry]:
    short_colour, long_colour = horizon_colours()
    signs = [
        (Line2D([], [], color=colour, marker=marker, linewidth=1.6, markersize=5), f"{name} horizon, and its fit")
        for colour, marker, name in zip(
            (short_colour, long_colour), HORIZON_MARKERS, ("shortest", "longest"), strict=True
        )
    ]
    hollow = Line2D([], [], color=theme.INK, marker="o", markerfacecolor=theme.PAPER, linewidth=0, markersize=5)
    small = Line2D([], [], color=theme.INK, marker="o", linewidth=0, markersize=2.5)
    bar = Line2D([], [], color=theme.INK, linewidth=1.2, alpha=0.55)
    return [*signs, (bar, "loss within 1 %"), (hollow, "on the edge, not fitted"), (small, "other batches")]


def horizons_in_words(tuning: Tuning) -> str:
    """Return the two horizons of a sweep in words."""
    return " and ".join(f"{si(tokens)} tokens" for tokens in tuning.horizons)
