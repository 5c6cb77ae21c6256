"""The least loss of every budget, and the saturating power law through it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from isoloss.core.numbers import plain
from isoloss.optima.saturating import SaturatingFit
from isoloss.published.figures.optima import COLOURS
from isoloss.report import theme
from isoloss.report.figures.marks import band
from isoloss.runs.observations import Floats

MARKERS = ("o", "v", "s", "P", "D", "^")
LINE_POINTS = 61
COMPUTE, LEAST_LOSS = "training FLOPs C", "least loss, nats per token"


@dataclass(frozen=True, kw_only=True, eq=False)
class LeastLoss:
    """The loss at the optimum of budgets (k,), and the law fitted to some of them."""

    flops: Floats
    loss_nats: Floats
    fit: SaturatingFit


@theme.drawn
def least_losses(series: Mapping[str, LeastLoss], *, fitted: Sequence[str], layout: theme.Layout = "wide") -> Figure:
    """Return one panel with every series, and the laws of the `fitted` ones."""
    shape = theme.Panels(width=5.2, height=3.4, left=0.66).on(layout, width=2.85, height=2.6)
    entries = [
        (Line2D([], [], marker=marker, markersize=4.6, color=colour, linewidth=0.8), name)
        for name, colour, marker in zip(series, COLOURS, MARKERS, strict=False)
    ]
    figure, ((axes,),) = shape.grid(1, key=[*entries, *_law_key()])
    everything = np.concatenate([one.flops for one in series.values()])
    axes.set(xscale="log", yscale="log", xlim=theme.padded_log(everything, pad=0.03))
    for (name, one), colour, marker in zip(series.items(), COLOURS, MARKERS, strict=False):
        axes.plot(one.flops, one.loss_nats, marker=marker, markersize=4.6, color=colour, linewidth=0.8,
                  markeredgecolor=theme.PAPER, markeredgewidth=0.4, zorder=4)  # fmt: skip
        if name in fitted:
            _law(axes, one.fit, colour)
    axes.set(xlabel=COMPUTE, ylabel=LEAST_LOSS)
    _scale(axes, np.concatenate([one.loss_nats for one in series.values()]))
    return figure


@theme.drawn
def least_losses_apart(series: Mapping[str, LeastLoss], *, layout: theme.Layout = "wide") -> Figure:
    """Return one panel a series with its own law: inside the fitted budgets solid, beyond them dashed."""
    shape = theme.Panels(width=2.85, height=2.3, left=0.66, gap_x=0.5, gap_y=0.74).on(
        layout, height=2.2, left=0.62, gap_y=0.86
    )
    figure, grid = shape.grid(len(series), key=_law_key())
    flops = np.concatenate([one.flops for one in series.values()])
    losses = np.concatenate([one.loss_nats for one in series.values()])
    shape.label(grid, series, x=COMPUTE, y=LEAST_LOSS)
    for one, (axes,) in zip(series.values(), grid, strict=True):
        axes.set(xscale="log", yscale="log", xlim=theme.padded_log(flops, pad=0.05))
        axes.plot(one.flops, one.loss_nats, "o", markersize=4.4, color=COLOURS[0], markeredgecolor=theme.PAPER,
                  markeredgewidth=0.4, zorder=4)  # fmt: skip
        _law(axes, one.fit, COLOURS[0])
        axes.text(0.97, 0.95, equation(one.fit), transform=axes.transAxes, ha="right", va="top", fontsize=8)
        _scale(axes, losses)
    return figure


def equation(fit: SaturatingFit) -> str:
    """Return the law with its numbers."""
    return f"L = {plain(fit.E)} + {plain(fit.A)}·C^−{plain(fit.alpha)}"


def _law(axes: Axes, fit: SaturatingFit, colour: str) -> None:
    along = np.geomspace(*axes.get_xlim(), LINE_POINTS)
    axes.fill_between(along, *fit.band(along), color=colour, alpha=0.18, linewidth=0)
    axes.plot(along, fit.loss_at(along), color=colour, linewidth=1.1, linestyle=(0, (4, 2)), zorder=3)
    within = np.geomspace(*fit.flops, LINE_POINTS)
    axes.plot(within, fit.loss_at(within), color=colour, linewidth=2.2, zorder=3)


def _scale(axes: Axes, losses: Floats) -> None:
    axes.set_ylim(theme.padded_log(losses, pad=0.08))
    theme.log_axis(axes.xaxis, kind="power", most=5)
    theme.log_axis(axes.yaxis, kind="plain")


def _law_key() -> list[theme.Entry]:
    return [
        (theme.line_sign(theme.MUTED, width=2.2), "fitted budgets"),
        (
            (band(theme.MUTED), theme.line_sign(theme.MUTED, width=1.1, dashes=(0, (4, 2)))),
            "extrapolation, 95 %",
        ),
    ]
