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
from answer.words import percent, probability
from isoloss.fitting.fitted import FittedLaw
from isoloss.optima.best_size import BestSize
from isoloss.report.figures.names import Named, name_marks
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
    padded_log,
)

GRID = 60
LINES = "lines of equal loss, and the best size of each budget (★, bar: 95 % interval)"
MOST_SHOWN = 2.5  # times the highest estimate: intervals are cut there, with an arrow
NAMED = 6  # of the sealed losses, those furthest off
# Contours join runs whose loss is so much above that of the cheapest corner's best: the same shares for both corpora.
SHARES = np.linspace(0.08, 0.92, 7)
LOOKS = {
    "code": (BLUE, "o"), "prose": (VERMILLION, "o"), "markup": (GREEN, "o"), "data": (PURPLE, "o"),
    "mathematics": (INK, "D"), "dictionary": (INK, "s"), "notation": (INK, "^"), "sequence": (INK, "v"),
}  # fmt: skip
"""Colour and mark of every kind of text."""
MEASURE_NAMES = {"ngram": "n-gram entropy, nats per byte", "gzip": "gzip ratio"}
STEPS = {"ngram": (0.1, "nats per byte more"), "gzip": (0.01, "more of gzip ratio")}


@drawn
def two_contours(
    readings: Readings, names: tuple[str, str], laws: Mapping[str, FittedLaw], optima: Mapping[str, Sequence[BestSize]]
) -> Figure:
    """Return contours of two corpora in one panel, each with its frontier: solid the first, dashed the second."""
    key: list[Entry] = [
        (
            Line2D([], [], color=colour, linestyle=style),
            f"{name}: {LINES}",
        )
        for name, colour, style in zip(names, (BLUE, VERMILLION), ("-", "--"), strict=True)
    ]
    key.append((Line2D([], [], linestyle="none", marker=".", markersize=5, color=MUTED), "one trained model"))
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
    shown = {kinds[one.corpus] for one in balances}
    key: list[Entry] = [
        (Line2D([], [], color=MUTED), "bars: 95 % intervals"),
        (Line2D([], [], color=INK, linestyle="--"), "fitted line"),
    ]
    key += [
        (Line2D([], [], linestyle="none", marker=marker, markersize=5, color=colour), kind)
        for kind, (colour, marker) in LOOKS.items()
        if kind in shown
    ]
    figure, grid = Panels(width=4.8, height=3.8, columns=2, gap_x=0.9).grid(len(columns), key=key)
    most = math.log(MOST_SHOWN) + max(one.theta.value for one in balances)
    for (measure, values), (axes,) in zip(columns.items(), grid, strict=True):
        axes.set_yscale("log")
        for one, x in zip(balances, values, strict=True):
            colour, marker = LOOKS[kinds[one.corpus]]
            assert one.theta.low is not None
            assert one.theta.high is not None
            ends = np.exp([one.theta.low, min(one.theta.high, most)])
            axes.plot([x, x], ends, color=colour, linewidth=1.2, alpha=0.6)
            if one.theta.high > most:
                axes.plot(x, ends[1], marker="^", markersize=4, color=colour, alpha=0.6)
            axes.plot(x, math.exp(one.theta.value), marker=marker, markersize=5, color=colour)
        axes.margins(x=0.16)
        axes.set(xlabel=MEASURE_NAMES.get(measure, measure), ylabel="best tokens per parameter")
        log_axis(axes.yaxis, kind="plain")
        lines: list[tuple[Floats, Floats]] = []
        if measure in slopes:
            x = np.linspace(values.min(), values.max(), 2)
            lines.append((x, np.exp(slopes[measure].at(x))))
            axes.plot(*lines[0], color=INK, linewidth=1, linestyle="--", zorder=1)
            axes.set_title(_in_words(measure, slopes[measure]), fontsize=9)
        marks = [
            Named(name=one.corpus, x=float(x), y=math.exp(one.theta.value),
                  y_ends=(math.exp(one.theta.low or 0), math.exp(min(one.theta.high or 0, most))))
            for one, x in zip(balances, values, strict=True)
        ]  # fmt: skip
        name_marks(axes, marks, lines=lines)
    return figure


def _in_words(measure: str, slope: Slope) -> str:
    step, more = STEPS[measure]
    return f"{percent(slope.slope, step)} per {step:g} {more} ({probability(slope.p)})"


@drawn
def arrows(groups: Mapping[str, Sequence[Pair]], measure: str, values: Mapping[str, float]) -> Figure:
    """Return a panel an intervention: an arrow from each source to what became of it, against a measure."""
    figure, grid = Panels(width=2.95, height=2.6, columns=3, gap_x=0.55).grid(len(groups))
    for (title, pairs), (axes,) in zip(groups.items(), grid, strict=True):
        axes.set_yscale("log")
        for pair in pairs:
            after = pair.after.tokens_per_param
            start, end = (values[pair.source], pair.before.tokens_per_param.value), (values[pair.corpus], after.value)
            axes.plot(*start, marker="o", markersize=3.5, color=MUTED)
            axes.plot([end[0]] * 2, [after.low, after.high], color=BLUE, linewidth=0.8, alpha=0.5)
            axes.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": BLUE, "linewidth": 1.3})
        axes.set(xlabel=MEASURE_NAMES.get(measure, measure), ylabel="best tokens per parameter")
        axes.set_title(title)
        axes.margins(0.2)
        log_axis(axes.yaxis, kind="plain")
        name_marks(
            axes,
            [Named(name=one.source, x=values[one.corpus], y=one.after.tokens_per_param.value) for one in pairs],
        )
    return figure


@drawn
def grammars(
    balances: Sequence[Balance], gzip: Floats, floors: Mapping[str, float], laws: Mapping[str, Mapping[str, FittedLaw]]
) -> Figure:
    """Return two panels: tokens per parameter of grammars against gzip, and each form's E against the exact floor."""
    colours = dict(zip(laws, (BLUE, VERMILLION), strict=True))
    key: list[Entry] = [
        (Line2D([], [], color=MUTED), "bars: 95 % intervals"),
        *((Line2D([], [], linestyle="none", marker="o", markersize=5, color=colours[form]), f"E of {form}")
          for form in laws),
        (Line2D([], [], color=MUTED, linestyle=(0, (4, 2))), "E equals the floor"),
    ]  # fmt: skip
    figure, [[splits], [constants]] = Panels(width=3.9, height=3.4, columns=2, gap_x=0.75).grid(2, key=key)
    splits.set_yscale("log")
    for one, x in zip(balances, gzip, strict=True):
        best = one.tokens_per_param
        splits.plot([x, x], [best.low, best.high], color=INK, linewidth=1, alpha=0.5)
        splits.plot(x, best.value, marker="o", markersize=4, color=INK)
    splits.set(xlabel=MEASURE_NAMES["gzip"], ylabel="best tokens per parameter")
    log_axis(splits.yaxis, kind="plain")
    for form, fitted in laws.items():
        for name, floor in floors.items():
            if name not in fitted:
                continue
            constants.plot(
                floor, fitted[name].params["E"].value, marker="o", markersize=4, color=colours[form], alpha=0.8
            )
    ends = [0.0, 1.1 * max(floors.values())]
    constants.plot(ends, ends, color=MUTED, linewidth=0.9, linestyle=(0, (4, 2)), zorder=1)
    constants.set(xlim=ends, ylim=ends, xlabel="exact floor, nats per token", ylabel="fitted E, nats per token")
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
        axes.set(xlabel="predicted loss, nats per byte", ylabel="measured loss, nats per byte")
        axes.set_title(title)
        log_axis(axes.xaxis, kind="plain")
        log_axis(axes.yaxis, kind="plain")
        far = sorted(losses, key=lambda one: -abs(math.log(one.sealed / one.measured)))[:NAMED]
        name_marks(
            axes,
            [Named(name=one.corpus if one in far else "", x=one.sealed, y=one.measured) for one in losses],
            lines=[(np.array(ends), np.array(ends))],
        )
    return figure
