"""Training curves: was every run still learning, and did any of them break."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from isoloss.core.numbers import si
from isoloss.report import theme
from isoloss.report.data import Curve

POINTS = 120  # a curve of this many bins at even steps of ln tokens looks like the whole

NAME_ROOM = 1.6  # room at the right for the sizes' names
NAME_GAP = 0.062  # of the panel's height between two names


@theme.drawn
def training_curves(
    curves: Sequence[Curve],
    *,
    corpora: Sequence[str] | None = None,
    titles: Mapping[str, str] | None = None,
    layout: theme.Layout = "wide",
) -> Figure:
    """Return one panel a corpus: training loss against tokens seen, one line a run, coloured by size."""
    names = list(corpora) if corpora is not None else list(dict.fromkeys(curve.corpus for curve in curves))
    panels = theme.Panels(width=3.13, height=2.1, left=0.7, gap_x=0.5, top=0.3).on(
        layout, width=2.95, height=2.0, left=0.62, right=0.12, gap_y=0.86
    )
    figure, grid = panels.grid(len(names))
    low, high = theme.padded_log(np.concatenate([curve.tokens[curve.tokens > 0] for curve in curves]), pad=0.04)
    shown = [theme.short((titles or {}).get(name, name)) for name in names]
    panels.label(grid, shown, x="training tokens seen", y="training loss, nats per token")
    for name, (axes,) in zip(names, grid, strict=True):
        axes.set(xscale="log", yscale="log", xlim=(low, high * NAME_ROOM))
        _panel(axes, [curve for curve in curves if curve.corpus == name])
    return figure


def _panel(axes: Axes, curves: Sequence[Curve]) -> None:
    colours = theme.size_colours([curve.params for curve in curves])
    ends: dict[float, tuple[float, float]] = {}
    seen: list[float] = []
    for curve in curves:
        tokens, loss = thinned(curve)
        axes.plot(tokens, loss, color=colours[curve.params], linewidth=0.9, alpha=0.9)
        ends[curve.params] = max(ends.get(curve.params, (0.0, 0.0)), (float(tokens[-1]), float(loss[-1])))
        seen += [float(loss.min()), float(loss.max())]
    low, high = theme.padded_log(seen, pad=0.1)
    axes.set_ylim(low, high)
    places = theme.spread([float(np.log(end[1])) for end in ends.values()], gap=NAME_GAP * float(np.log(high / low)))
    for (size, end), place in zip(ends.items(), places, strict=True):
        theme.name_point(axes, si(size, 2), (end[0], float(np.exp(place))), offset=(3, 0))
    theme.log_axis(axes.xaxis, most=5)
    theme.log_axis(axes.yaxis, kind="plain")


def thinned(curve: Curve) -> tuple[np.ndarray, np.ndarray]:
    """Return tokens and loss averaged over at most `POINTS` bins, even in ln tokens: noise falls, spikes still show."""
    usable = (curve.tokens > 0) & np.isfinite(curve.train_nats) & (curve.train_nats > 0)
    tokens, loss = curve.tokens[usable], curve.train_nats[usable]
    if len(tokens) <= POINTS:
        return tokens, loss
    starts = np.unique(np.searchsorted(tokens, np.geomspace(tokens[0], tokens[-1], POINTS, endpoint=False)))
    sizes = np.diff(np.append(starts, len(tokens)))
    return np.add.reduceat(tokens, starts) / sizes, np.add.reduceat(loss, starts) / sizes
