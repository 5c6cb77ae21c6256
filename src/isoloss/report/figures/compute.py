"""Loss against compute: each model size's curve, the frontier below them, and the floor where it is known."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from isoloss.core.errors import Unidentified
from isoloss.core.estimate import Estimate
from isoloss.core.numbers import si
from isoloss.fitting.estimated import FrontierPoint
from isoloss.fitting.fitted import FittedLaw
from isoloss.report import theme
from isoloss.report.data import by_alone, law_names
from isoloss.report.figures.marks import band, draw_runs, key, marks
from isoloss.runs.observations import Observations

FRONTIER_POINTS = 33
CURVE_POINTS = 24
NAMED_SIZES = 8  # more names than this on one panel overlap
NAME_HEIGHT, NAME_WIDTH = 0.058, 0.13  # parts of a panel that one name takes


@theme.drawn
def loss_against_compute(
    observations: Observations,
    laws: Mapping[str, FittedLaw],
    *,
    floors: Mapping[str, Estimate],
    corpora: Sequence[str] | None = None,
    layout: theme.Layout = "wide",
) -> Figure:
    """Return one panel a corpus: runs coloured by size, the law's curve of each size, the frontier L*(C), the floor.

    Compute is shared by all panels; losses are not, for nats per token of two tokenizers do not compare.
    """
    names = list(corpora) if corpora is not None else observations.corpora
    sizes = {name: observations.where(corpus=name) for name in names}
    looks = [look for name in names for look in marks(sizes[name], laws.get(name))]
    panels = theme.Panels(width=3.1, height=2.45, left=0.7, gap_x=0.55).on(
        layout, width=2.95, height=2.3, left=0.62, gap_y=0.86
    )
    figure, grid = panels.grid(len(names), key=[*key(looks), *_key(laws, bool(floors))])
    limits = theme.padded_log(observations.flops, pad=0.12)
    panels.label(grid, map(theme.short, names), x="training FLOPs C", y="loss, nats per token")
    for name, (axes,) in zip(names, grid, strict=True):
        axes.set(xscale="log", yscale="log", xlim=limits)
        _panel(axes, sizes[name], laws.get(name), floors.get(name))
    return figure


def _key(laws: Mapping[str, FittedLaw], floors: bool) -> list[theme.Entry]:
    entries: list[theme.Entry] = [(theme.line_sign(theme.MUTED), "the law, one curve a model size")] if laws else []
    if laws:
        line = theme.line_sign(theme.FRONTIER, width=2.2)
        entries.append(
            ((band(theme.FRONTIER), line), f"least loss for the compute {by_alone(law_names(laws))}, 95 % interval")
        )
    if floors:
        entries.append((theme.line_sign(theme.PURPLE, width=1.8, dashes=(0, (1, 1))), "exact floor of the grammar"))
    return entries


def _panel(axes: Axes, runs: Observations, law: FittedLaw | None, floor: Estimate | None) -> None:
    colours = theme.size_colours(runs.params.tolist())
    starts = _curves(axes, runs, law, colours)
    if law is not None:
        _frontier(axes, law)
    shades = np.array([colours[size] for size in runs.params.tolist()])
    draw_runs(axes, runs, marks(runs, law), x=runs.flops, y=runs.loss_nats, colours=shades)
    lowest = min(float(runs.loss_nats.min()), floor.value if floor else np.inf)
    axes.set_ylim(*theme.padded_log([lowest, 1.1 * float(runs.loss_nats.max())], pad=0.1))
    if floor is not None:
        axes.axhline(floor.value, color=theme.PURPLE, linewidth=1.8, linestyle=(0, (1, 1)), zorder=2)
        if floor.low is not None and floor.high is not None:
            axes.axhspan(floor.low, floor.high, color=theme.PURPLE, alpha=0.2, linewidth=0)
    theme.log_axis(axes.xaxis, kind="power")
    theme.log_axis(axes.yaxis, kind="plain")
    _name_sizes(axes, starts)


def _curves(
    axes: Axes, runs: Observations, law: FittedLaw | None, colours: Mapping[float, str]
) -> dict[float, tuple[float, float]]:
    """Draw each size's curve over its own token range and return where it starts.

    A curve is the law's where there is one, else a line through the runs.
    """
    starts = {}
    for size, colour in colours.items():
        rows = runs.select(runs.params == size)
        order = np.argsort(rows.tokens)
        flops, loss = rows.flops[order], rows.loss_nats[order]
        if law is not None:
            tokens = np.geomspace(rows.tokens.min(), rows.tokens.max(), CURVE_POINTS)
            per_token = np.interp(np.log(tokens), np.log(rows.tokens[order]), flops / rows.tokens[order])
            flops, loss = per_token * tokens, law.predict(params=size, tokens=tokens)
        axes.plot(flops, loss, color=colour, linewidth=1, zorder=2.2)
        starts[size] = (float(flops[0]), float(loss[0]))
    return starts


def _name_sizes(axes: Axes, starts: Mapping[float, tuple[float, float]]) -> None:
    """Write each size left of its curve's start; names of curves that start together move up until none overlap."""
    every = 1 if len(starts) <= NAMED_SIZES else 2
    within = axes.transData + axes.transAxes.inverted()
    named = {size: within.transform(start) for size, start in list(starts.items())[::every]}
    placed: list[tuple[float, float, float]] = []
    for size, (x, y) in sorted(named.items(), key=lambda item: float(item[1][1])):
        above = [height + NAME_HEIGHT for _, place, height in placed if abs(place - x) < NAME_WIDTH]
        placed.append((size, float(x), max([float(y), *above])))
    over = max([0.0, *(height - 0.97 for *_, height in placed)])
    for size, x, height in placed:
        axes.text(x - 0.02, height - over, si(size, 2), transform=axes.transAxes, fontsize=7.5, ha="right", va="center",
                  zorder=6, bbox=theme.ON_PAPER)  # fmt: skip


def _frontier(axes: Axes, law: FittedLaw) -> None:
    low, high = axes.get_xlim()
    try:
        points = law.frontier(flops=np.geomspace(low, high, FRONTIER_POINTS).tolist())
    except Unidentified:
        axes.text(
            0.97, 0.92, f"no optimum {by_alone(law.law)}", transform=axes.transAxes, ha="right", color=theme.MUTED
        )
        return
    flops, loss = np.array([p.flops for p in points]), np.array([p.loss.value for p in points])
    axes.plot(flops, loss, color=theme.FRONTIER, linewidth=1.1, linestyle=(0, (3, 2)), zorder=3)
    within = np.array([p.interpolated for p in points])
    axes.plot(flops[within], loss[within], color=theme.FRONTIER, linewidth=2.2, zorder=3.1)
    _band(axes, points)


def _band(axes: Axes, points: Sequence[FrontierPoint]) -> None:
    known = [(p.flops, p.loss.low, p.loss.high) for p in points if p.loss.low is not None and p.loss.high is not None]
    if known:
        flops, low, high = zip(*known, strict=True)
        axes.fill_between(flops, low, high, color=theme.FRONTIER, alpha=0.22, linewidth=0, zorder=2.1)
