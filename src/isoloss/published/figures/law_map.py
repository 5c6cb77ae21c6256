"""Laws given by their coefficients over parameters and tokens: contours, frontiers, and one budget's best split."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from isoloss.core.numbers import fixed, power_of_ten
from isoloss.data_dependence.coefficient_lines import frontier_log_tokens
from isoloss.laws.chinchilla import Chinchilla
from isoloss.report import theme
from isoloss.runs.observations import Floats

GRID = 60
LEVELS = 9
FRAME_DPI = 110
FRAME_MILLISECONDS = 450
Limits = tuple[float, float]
Window = tuple[Limits, Limits]


@dataclass(frozen=True, kw_only=True, eq=False)
class MappedLaw:
    """Chinchilla's coefficients (E, A, B, α, β) and, if at hand, the runs behind them."""

    values: Floats
    params: Floats | None = None
    tokens: Floats | None = None


@theme.drawn
def law_map(
    laws: Mapping[str, MappedLaw],
    *,
    chinchilla: Floats,
    window: Window,
    budgeted: bool = False,
    layout: theme.Layout = "wide",
) -> Figure:
    """Return one panel a law, all on the same axes: contours of loss, its frontier, and Chinchilla's, dashed.

    `window` are the limits of parameters and tokens. `budgeted` leaves room in the key for what `budget_frames` adds.
    """
    shape = theme.Panels(height=2.75, left=0.7, right=0.4, gap_x=0.68, gap_y=0.8).on(
        layout, width=2.7, height=2.5, left=0.66, right=0.42, gap_y=0.86
    )
    figure, grid = shape.grid(len(laws), key=_key(budgeted=budgeted))
    params, tokens = window
    shape.label(grid, laws, x="parameters N", y="training tokens D")
    for law, (axes,) in zip(laws.values(), grid, strict=True):
        axes.set(xscale="log", yscale="log", xlim=params, ylim=tokens)
        axes.grid(False)
        _contours(axes, law.values, params, tokens)
        _frontier(axes, law.values, params, theme.FRONTIER, "solid", 2.2)
        _frontier(axes, chinchilla, params, theme.INK, (0, (5, 2)), 1.3)
        if law.params is not None and law.tokens is not None:
            axes.scatter(
                law.params, law.tokens, s=10, color=theme.INK, edgecolors=theme.PAPER, linewidths=0.4, zorder=4
            )
        theme.log_axis(axes.xaxis, most=5)
        theme.log_axis(axes.yaxis, most=5)
    return figure


def _contours(axes: Axes, values: Floats, params: Limits, tokens: Limits) -> None:
    n, d = np.geomspace(*params, GRID), np.geomspace(*tokens, GRID)
    loss = Chinchilla.loss(values, params=n[None, :], tokens=d[:, None])
    levels = np.unique(np.quantile(loss, np.linspace(0.04, 0.96, LEVELS)))
    if len(levels) < 2:
        return
    colours = theme.sequence(1 - np.linspace(0, 1, len(levels)))
    drawn_levels = axes.contour(n, d, loss, levels=levels, colors=colours, linewidths=1.2)
    axes.clabel(drawn_levels, fmt=lambda level: fixed(float(level), 2), fontsize=7.5, inline_spacing=2)


def _frontier(axes: Axes, values: Floats, params: Limits, colour: str, dashes: Any, width: float) -> None:
    log_params = np.log(np.geomspace(*params, GRID))
    log_tokens = frontier_log_tokens(values, log_params)
    if np.isfinite(log_tokens).all():
        axes.plot(np.exp(log_params), np.exp(np.clip(log_tokens, -50, 120)), color=colour, linestyle=dashes,
                  linewidth=width, zorder=3)  # fmt: skip


def _budget(axes: Axes, values: Floats, reference: Floats, budget: float) -> list[Artist]:
    """Return the line of a budget's compute, the best split of either law on it, and its name, added to the axes."""
    ends = np.array(axes.get_xlim())
    added: list[Artist] = [
        *axes.plot(ends, budget / (6 * ends), color=theme.MUTED, linewidth=1, linestyle=(0, (1, 1.5)), zorder=2),
        axes.text(0.97, 0.03, f"{power_of_ten(budget)} FLOPs", transform=axes.transAxes, ha="right",
                  bbox=theme.ON_CURVES),
    ]  # fmt: skip
    for law, colour, marker in ((reference, theme.INK, "o"), (values, theme.FRONTIER, "*")):
        log_best = float(Chinchilla.log_optimum(law, log_flops=float(np.log(budget))))
        if np.isfinite(log_best) and ends[0] < np.exp(log_best) < ends[1]:
            added += axes.plot(
                np.exp(log_best), budget / (6 * np.exp(log_best)), marker=marker, color=colour,
                markersize=11 if marker == "*" else 6, markeredgecolor=theme.PAPER, zorder=6,
            )  # fmt: skip
    return added


def _key(*, budgeted: bool) -> list[theme.Entry]:
    entries: list[theme.Entry] = [
        (theme.line_sign(theme.FRONTIER, width=2.2), "frontier of the law"),
        (theme.line_sign(theme.INK, width=1.3, dashes=(0, (5, 2))), "frontier of Chinchilla"),
    ]
    if budgeted:
        line = theme.line_sign(theme.MUTED, dashes=(0, (1, 1.5)))
        entries.append((line, "a budget, and both laws' best splits"))
    return entries


@theme.drawn
def budget_frames(
    laws: Mapping[str, MappedLaw], budgets: Sequence[float], *, chinchilla: Floats, window: Window
) -> list[NDArray[np.uint8]]:
    """Return the map as pictures (height, width, 3), a budget each: the line of its compute and the best splits on it.

    The map is drawn once, and every budget over it.
    """
    figure = law_map(laws, chinchilla=chinchilla, window=window, budgeted=True)
    figure.set_facecolor(theme.PAPER)
    figure.set_dpi(FRAME_DPI)
    canvas: Any = FigureCanvasAgg(figure)  # its methods carry no types
    canvas.draw()
    ground = canvas.copy_from_bbox(figure.bbox)
    frames = []
    for budget in budgets:
        canvas.restore_region(ground)
        for axes, law in zip(figure.axes, laws.values(), strict=True):
            for artist in _budget(axes, law.values, chinchilla, budget):
                axes.draw_artist(artist)
                artist.remove()
        frames.append(np.asarray(canvas.buffer_rgba())[..., :3].copy())
    return frames


def animated(frames: Sequence[NDArray[np.uint8]]) -> bytes:
    """Return pictures of one size (height, width, 3) as an animated GIF that repeats."""
    from io import BytesIO

    from PIL import Image

    pictures = [Image.fromarray(frame) for frame in frames]
    # One palette for all: of the first picture, whose colours are those of the others.
    palette = pictures[0].quantize(64)
    mapped = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    buffer = BytesIO()
    mapped[0].save(buffer, format="GIF", save_all=True, append_images=mapped[1:], duration=FRAME_MILLISECONDS, loop=0)
    return buffer.getvalue()
