"""The pictures of docs/results/answer.md."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from answer.estimates import Balance, Pair
from answer.readings import Floats, Readings
from answer.verdicts import SealedLoss, Slope
from answer.words import probability, value
from isoloss.fitting.fitted import FittedLaw
from isoloss.optima.best_size import BestSize
from isoloss.report.theme import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    PURPLE,
    VERMILLION,
    Entry,
    Panels,
    drawn,
    log_axis,
    name_point,
    padded_log,
    spread,
)

GRID = 60
LINES = "lines of equal loss, and the best size of each budget (★, bar: 95 % interval)"
NAME_GAP = 0.055  # of a panel's height, between names
MOST_SHOWN = 2.5  # times the highest estimate: intervals are cut there, with an arrow
NEAR_NAMES = 0.12  # of the range of a measure: names of nearer points are put apart in height
NAMED = 6  # of the sealed losses, those furthest off
# Contours join runs whose loss is so much above that of the cheapest corner's best: the same shares for both corpora.
SHARES = np.linspace(0.08, 0.92, 7)
COLOURS = {"code": BLUE, "prose": VERMILLION, "markup": GREEN, "data": PURPLE}
MEASURE_NAMES = {"ngram": "n-gram entropy, nats per byte", "gzip": "gzip ratio"}


@drawn
def two_contours(
    readings: Readings, names: tuple[str, str], laws: Mapping[str, FittedLaw], optima: Mapping[str, Sequence[BestSize]]
) -> Figure:
    """Return contours of two corpora in one panel, each with its frontier: solid the first, dashed the second."""
    key: list[Entry] = [
        (
            Line2D([], [], color=colour, linestyle=style),
            f"{name}: lines of equal loss, and the best size of each budget (★, bar: 95 % interval)",
        )
        for name, colour, style in zip(names, (BLUE, VERMILLION), ("-", "--"), strict=True)
    ]
    figure, [[axes]] = Panels(width=5.8, height=4.4, columns=1).grid(1, key=key)
    cells = [np.array(sorted(readings.cells[name])) for name in names]
    every = np.vstack(cells)
    axes.set(xscale="log", yscale="log", xlim=padded_log(every[:, 0]), ylim=padded_log(every[:, 1]))
    axes.grid(False)
    for name, colour, style in zip(names, (BLUE, VERMILLION), ("-", "--"), strict=True):
        _contours(axes, laws[name], colour, style)
        _frontier(axes, optima[name], colour, style)
    axes.plot(*cells[0].T, linestyle="none", marker=".", markersize=3, color=MUTED, zorder=1)
    axes.set(xlabel="parameters N, with head", ylabel="training tokens D, bytes")
    log_axis(axes.xaxis)
    log_axis(axes.yaxis)
    return figure


def _contours(axes: Axes, law: FittedLaw, colour: str, style: str) -> None:
    params, tokens = np.geomspace(*axes.get_xlim(), GRID), np.geomspace(*axes.get_ylim(), GRID)
    loss = np.asarray(law.predict(params=params[None, :], tokens=tokens[:, None]))
    low, high = float(np.log(loss.min())), float(np.log(loss.max()))
    axes.contour(params, tokens, loss, levels=np.exp(low + SHARES * (high - low)), colors=colour, linewidths=0.8,
                 linestyles=style, alpha=0.6)  # fmt: skip


def _frontier(axes: Axes, optima: Sequence[BestSize], colour: str, style: str) -> None:
    points = [one for one in optima if one.params is not None and one.tokens is not None]
    n = [one.params.value for one in points if one.params is not None]
    d = [one.tokens.value for one in points if one.tokens is not None]
    axes.plot(n, d, color=colour, linestyle=style, linewidth=2.2, marker="*", markersize=8, zorder=4)
    for one in points:
        assert one.params is not None
        assert one.tokens is not None
        # Along the line of equal compute: the more parameters, the fewer tokens.
        axes.plot([one.params.low, one.params.high], [one.tokens.high, one.tokens.low], color=colour, linewidth=3,
                  alpha=0.35, solid_capstyle="butt", zorder=3)  # fmt: skip


@drawn
def balance_against(
    balances: Sequence[Balance], columns: Mapping[str, Floats], kinds: Mapping[str, str], slopes: Mapping[str, Slope]
) -> Figure:
    """Return a panel a measure: tokens per parameter against it, with intervals, names and the fitted line."""
    shown = {kinds.get(one.corpus, "other") for one in balances}
    key: list[Entry] = [
        (Line2D([], [], color=MUTED), "bars: 95 % intervals"),
        (Line2D([], [], color=INK, linestyle="--"), "fitted line"),
    ]
    key += [
        (Line2D([], [], linestyle="none", marker="o", color=colour), kind)
        for kind, colour in [*COLOURS.items(), ("other", INK)]
        if kind in shown or (kind == "other" and shown - set(COLOURS))
    ]
    figure, grid = Panels(width=4.8, height=3.8, columns=2, gap_x=0.9).grid(len(columns), key=key)
    most = math.log(MOST_SHOWN) + max(one.theta.value for one in balances)
    for (measure, values), (axes,) in zip(columns.items(), grid, strict=True):
        axes.set_yscale("log")
        for one, x in zip(balances, values, strict=True):
            colour = COLOURS.get(kinds.get(one.corpus, ""), INK)
            assert one.theta.low is not None
            assert one.theta.high is not None
            ends = np.exp([one.theta.low, min(one.theta.high, most)])
            axes.plot([x, x], ends, color=colour, linewidth=1.2, alpha=0.6)
            if one.theta.high > most:
                axes.plot(x, ends[1], marker="^", markersize=4, color=colour, alpha=0.6)
            axes.plot(x, math.exp(one.theta.value), marker="o", markersize=5, color=colour)
        axes.margins(x=0.12)
        _names(axes, [one.corpus for one in balances], values, np.array([one.theta.value for one in balances]))
        axes.set(xlabel=MEASURE_NAMES.get(measure, measure), ylabel="best tokens per parameter")
        log_axis(axes.yaxis, kind="plain")
        if measure in slopes:
            x = np.linspace(values.min(), values.max(), 2)
            axes.plot(x, np.exp(slopes[measure].at(x)), color=INK, linewidth=1, linestyle="--", zorder=1)
            slope = slopes[measure]
            axes.set_title(f"slope {value(slope.slope)}, {probability(slope.p)}, {slope.texts} texts")
    return figure


def _names(axes: Axes, names: Sequence[str], x: Floats, theta: Floats) -> None:
    """Write names to the right of points, those of points close to each other apart in height."""
    low, high = np.log(axes.get_ylim())
    near = NEAR_NAMES * float(np.ptp(x))
    for place in np.argsort(x):
        group = np.flatnonzero(np.abs(x - x[place]) < near)
        heights = spread(theta[group].tolist(), NAME_GAP * (high - low))
        height = heights[group.tolist().index(place)]
        name_point(axes, names[place], (x[place], math.exp(height)), offset=(5, 0))


@drawn
def arrows(groups: Mapping[str, Sequence[Pair]], measure: str, values: Mapping[str, float]) -> Figure:
    """Return a panel an intervention: an arrow from each source to what became of it, θ against a measure."""
    figure, grid = Panels(width=2.95, height=2.6, columns=3, gap_x=0.55).grid(len(groups))
    for (title, pairs), (axes,) in zip(groups.items(), grid, strict=True):
        for pair in pairs:
            start = values[pair.source], pair.before.theta.value
            end = values[pair.corpus], pair.after.theta.value
            axes.plot(*start, marker="o", markersize=3.5, color=MUTED)
            axes.plot([end[0]] * 2, [pair.after.theta.low, pair.after.theta.high], color=BLUE, linewidth=0.8, alpha=0.5)
            axes.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": BLUE, "linewidth": 1.3})
        axes.set(xlabel=MEASURE_NAMES.get(measure, measure), ylabel="ln(D*/N*)")
        axes.set_title(title)
        axes.margins(0.2)
        low, high = axes.get_ylim()
        heights = spread([pair.after.theta.value for pair in pairs], NAME_GAP * (high - low))
        for pair, height in zip(pairs, heights, strict=True):
            name_point(axes, pair.source, (values[pair.corpus], height), offset=(4, 0))
    return figure


@drawn
def sealed(seals: Mapping[str, Sequence[SealedLoss]]) -> Figure:
    """Return a panel a seal: measured loss against the one sealed, with the line of equality."""
    figure, grid = Panels(width=3.9, height=3.4, columns=2, gap_x=0.75).grid(len(seals))
    for (title, losses), (axes,) in zip(seals.items(), grid, strict=True):
        ends = padded_log([value for one in losses for value in (one.sealed, one.measured)])
        axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends)
        axes.plot(ends, ends, color=MUTED, linewidth=0.9, linestyle=(0, (4, 2)))
        for one in losses:
            if one.low is not None and one.high is not None:
                axes.plot([one.low, one.high], [one.measured] * 2, color=BLUE, linewidth=1, alpha=0.6)
            axes.plot(one.sealed, one.measured, marker="o", markersize=4, color=BLUE)
        for one in sorted(losses, key=lambda one: -abs(math.log(one.sealed / one.measured)))[:NAMED]:
            name_point(axes, one.corpus, (one.sealed, one.measured), offset=(5, 0))
        axes.set(xlabel="predicted loss, nats per byte", ylabel="measured loss, nats per byte")
        axes.set_title(title)
        log_axis(axes.xaxis, kind="plain")
        log_axis(axes.yaxis, kind="plain")
    return figure
