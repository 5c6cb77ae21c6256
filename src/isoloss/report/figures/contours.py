"""Iso-loss contours over parameters and data: the study's headline picture.

Inside the fitted ranges contours are filled and solid; outside, where the law extrapolates, they are thin and dashed.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from isoloss.core.errors import Unidentified
from isoloss.core.numbers import fixed, power_of_ten
from isoloss.fitting.fitted import FittedLaw
from isoloss.optima.best_size import BestSize
from isoloss.report import theme
from isoloss.report.data import by_alone, law_names
from isoloss.report.figures.marks import Mark, band, draw_runs, key, marks
from isoloss.runs.observations import Observations

Window = tuple[tuple[float, float], tuple[float, float]]

GRID = 36  # points a side on which a law is evaluated: contours look smooth, and the drawing stays small
LEVELS = 8  # labelled contours along the right edge
BEYOND = 2.2  # factor by which the window reaches past the runs, so that extrapolation is seen as such
FRONTIER_POINTS = 41
TITLE_LENGTH = 38
LAW_DASHES = (0, (3, 2))


@theme.drawn
def contours(
    observations: Observations,
    laws: Mapping[str, FittedLaw],
    *,
    budget: float,
    optima: Sequence[BestSize] = (),
    corpora: Sequence[str] | None = None,
    titles: Mapping[str, str] | None = None,
    layout: theme.Layout = "wide",
) -> Figure:
    """Return one panel a corpus, all on the same axes: contours, runs, compute lines and best splits.

    `optima` are best splits by several forms; the one at `budget` is a star. The law's own line is dashed.
    """
    names = list(corpora) if corpora is not None else observations.corpora
    one = theme.Panels(width=5.6, height=4.6, columns=1, left=0.75, right=0.6, top=0.5)
    several = theme.Panels(width=3.0, height=2.75, left=0.7, right=0.5, top=0.46, gap_x=0.52, gap_y=0.78)
    panels = (one if len(names) == 1 else several).on(
        layout, width=2.66, height=2.6, left=0.62, right=0.46, top=0.46, gap_y=1.0
    )
    window = shared_window(observations)
    looks = [look for name in names for look in marks(observations.where(corpus=name), laws.get(name))]
    figure, grid = panels.grid(len(names), key=_key(looks, laws, optima, budget))
    shown = (theme.short((titles or {}).get(name, name), TITLE_LENGTH) for name in names)
    panels.label(grid, shown, x="parameters N", y=f"training {observations.data_unit} D", shared=True, pad=14)
    for name, (axes,) in zip(names, grid, strict=True):
        own = [one for one in optima if one.corpus == name]
        _panel(axes, observations.where(corpus=name), laws.get(name), own, window=window, budget=budget)
    return figure


def shared_window(observations: Observations) -> Window:
    """Return the limits of parameters and tokens that show every run with a margin to extrapolate into."""
    params, tokens = observations.params, observations.tokens
    return (
        (float(params.min()) / BEYOND, float(params.max()) * BEYOND),
        (float(tokens.min()) / BEYOND, float(tokens.max()) * BEYOND),
    )


def _panel(
    axes: Axes, runs: Observations, law: FittedLaw | None, optima: Sequence[BestSize], *, window: Window, budget: float
) -> None:
    axes.set(xscale="log", yscale="log", xlim=window[0], ylim=window[1])
    axes.grid(False)
    _compute_lines(axes, window, budget)
    line = False
    if law is not None:
        _contours(axes, law, window)
        line = _law_line(axes, law, window)
    _optima(axes, optima, budget)
    common = next((one for one in optima if one.flops == budget), None)
    axes.text(0.97, 0.04, "\n".join(_missing(law, common, line=line)), transform=axes.transAxes, ha="right",
              color=theme.MUTED, zorder=6, bbox=theme.ON_PAPER)  # fmt: skip
    draw_runs(axes, runs, marks(runs, law), x=runs.params, y=runs.tokens)
    theme.log_axis(axes.xaxis)
    theme.log_axis(axes.yaxis)


def _contours(axes: Axes, law: FittedLaw, window: Window) -> None:
    params, tokens = (np.geomspace(low, high, GRID) for low, high in window)
    loss = law.predict(params=params[None, :], tokens=tokens[:, None])
    levels, labelled = loss_levels(law, window)
    if len(levels) < 2:
        return
    (n_low, n_high), (d_low, d_high) = law.domain.span("params"), law.domain.span("tokens")
    inside = Rectangle(
        (n_low, d_low), n_high - n_low, d_high - d_low,
        facecolor="none", edgecolor=theme.MUTED, linewidth=0.7, linestyle=(0, (1, 2)), zorder=1.5,
    )  # fmt: skip
    axes.add_patch(inside)
    edges = np.concatenate([[min(loss.min(), levels[0]) * 0.99], levels, [max(loss.max(), levels[-1]) * 1.01]])
    shades, fills = _shades(law, levels)
    axes.contourf(params, tokens, loss, levels=edges, colors=fills, alpha=0.3, zorder=1).set_clip_path(inside)
    axes.contour(params, tokens, loss, levels=levels, colors=shades, linewidths=0.7, linestyles="dashed", zorder=1.2)
    axes.contour(params, tokens, loss, levels=levels, colors=shades, linewidths=1.3, zorder=1.4).set_clip_path(inside)
    for place, text in labelled:
        axes.annotate(text, (1, place), xycoords=axes.get_yaxis_transform(), xytext=(3, 0), textcoords="offset points",
                      va="center", fontsize=7.5, annotation_clip=False)  # fmt: skip
    axes.annotate("loss", (1, 1), xycoords="axes fraction", xytext=(3, 6), textcoords="offset points",
                  fontsize=7.5, color=theme.MUTED, annotation_clip=False)  # fmt: skip


def _shades(law: FittedLaw, levels: Sequence[float]) -> tuple[list[str], list[str]]:
    """Return the colours of the levels and of the bands around them: the whole sequence within the fitted ranges, its
    ends beyond them, light where loss is low."""
    worst, best = law.predict(params=law.domain.span("params"), tokens=law.domain.span("tokens"))
    first, last = (float(np.interp(loss, levels, np.arange(len(levels)))) for loss in (best, worst))

    def shade(ranks: np.ndarray) -> list[str]:
        return theme.sequence(1 - (ranks - first) / max(last - first, 1e-9))

    return shade(np.arange(len(levels))), shade(np.arange(len(levels) + 1) - 0.5)


def loss_levels(law: FittedLaw, window: Window) -> tuple[list[float], list[tuple[float, str]]]:
    """Return the contour levels in ascending order, and (tokens, text) of those that leave by the right edge.

    Levels are the law's losses at even steps along the right edge and on below it up to the largest loss in the window:
    contours spread evenly whatever the law's scale. They are rounded as their spacing allows; a label is its level.
    """
    (n_low, n_high), (d_low, d_high) = window
    step = (d_high / d_low) ** (1 / LEVELS)
    right = law.predict(params=n_high, tokens=d_high / step ** (np.arange(LEVELS) + 0.5))
    lower = law.predict(params=n_high, tokens=d_low / step ** (np.arange(LEVELS) + 0.5))
    highest = float(law.predict(params=n_low, tokens=d_low))
    raw = np.concatenate([right, lower[lower < highest]])
    decimals = _decimals(np.diff(right))
    levels = sorted({round(float(x), decimals) for x in raw})
    edge = np.geomspace(d_low, d_high, 400)
    at_edge = law.predict(params=n_high, tokens=edge)
    labelled = [
        (float(np.exp(np.interp(-level, -at_edge, np.log(edge)))), fixed(level, decimals))
        for level in levels
        if at_edge[-1] <= level <= at_edge[0]
    ]
    return levels, labelled


def _decimals(gaps: np.ndarray) -> int:
    smallest = float(np.abs(gaps).min())
    return int(np.clip(np.ceil(-np.log10(max(smallest, 1e-6))), 1, 6))


def _compute_lines(axes: Axes, window: Window, budget: float) -> None:
    """Draw lines of equal compute, C = 6·N·D, at every power of ten, and the common budget among them."""
    (n_low, n_high), (d_low, d_high) = window
    first, last = np.log10(6 * n_low * d_low), np.log10(6 * n_high * d_high)
    ends = np.array([n_low, n_high])
    for exponent in range(int(np.ceil(first)), int(np.floor(last)) + 1):
        axes.plot(
            ends, 10.0**exponent / (6 * ends), color=theme.MUTED, linewidth=0.5, linestyle=(0, (1, 3)), zorder=1.1
        )
    axes.plot(ends, budget / (6 * ends), color=theme.INK, linewidth=0.8, linestyle=(0, (4, 2)), zorder=2)


def _law_line(axes: Axes, law: FittedLaw, window: Window) -> bool:
    """Draw the best split of every budget by the law alone; return whether it has any."""
    (n_low, n_high), (d_low, d_high) = window
    try:
        points = law.frontier(flops=np.geomspace(6 * n_low * d_low, 6 * n_high * d_high, FRONTIER_POINTS).tolist())
    except Unidentified:
        return False
    params, tokens = (np.array([getattr(p, name).value for p in points]) for name in ("params", "tokens"))
    axes.plot(params, tokens, color=theme.FRONTIER, linewidth=1.2, linestyle=LAW_DASHES, zorder=3)
    return True


def _optima(axes: Axes, optima: Sequence[BestSize], budget: float) -> None:
    """Draw the best splits inside the runs, joined, each with its interval along its budget's line."""
    found = [(one.flops, one.params, one.tokens) for one in optima if one.params and one.tokens]
    for _, params, tokens in found:
        if params.low and params.high and tokens.low and tokens.high:
            axes.plot([params.low, params.high], [tokens.high, tokens.low], color=theme.FRONTIER, linewidth=4,
                      alpha=0.35, solid_capstyle="butt", zorder=3.1)  # fmt: skip
    sizes, lengths = [params.value for _, params, _ in found], [tokens.value for *_, tokens in found]
    axes.plot(sizes, lengths, color=theme.FRONTIER, linewidth=2.4, marker="o", markersize=4, zorder=3.2)
    for flops, params, tokens in found:
        if flops == budget:
            axes.plot(params.value, tokens.value, marker="*", markersize=12, color=theme.FRONTIER,
                      markeredgecolor=theme.PAPER, markeredgewidth=0.8, zorder=6)  # fmt: skip


def _missing(law: FittedLaw | None, best: BestSize | None, *, line: bool) -> list[str]:
    """Return what a panel lacks, in a few words each."""
    said = [] if best is None or best.inside else [_outside(best)]
    if law is None:
        return [*said, "no law fitted"]
    return said if line else [*said, f"no optimum {by_alone(law.law)}"]


def _outside(best: BestSize) -> str:
    return f"best split {'not inside the runs' if best.side is None else best.where}"


def _key(
    looks: Sequence[Mark], laws: Mapping[str, FittedLaw], optima: Sequence[BestSize], budget: float
) -> list[theme.Entry]:
    line = theme.line_sign(theme.FRONTIER, width=2.4)
    common = theme.line_sign(theme.INK, width=0.8, dashes=(0, (4, 2)))
    by_law = theme.line_sign(theme.FRONTIER, width=1.2, dashes=LAW_DASHES)
    optimum = theme.mark_sign("*", theme.FRONTIER, size=9)
    by_forms: list[theme.Entry] = [
        ((band(theme.FRONTIER), line), "best splits by several forms, 95 % intervals"),
        (optimum, "at the common budget"),
    ]
    return [
        *key(looks),
        (common, f"{power_of_ten(budget)} FLOPs"),
        *(by_forms if optima else []),
        *([(by_law, f"best split {by_alone(law_names(laws))}")] if laws else []),
    ]
