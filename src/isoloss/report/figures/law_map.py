"""Laws given by their coefficients over parameters and tokens: contours, frontiers, and one budget's best split."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from isoloss.laws.chinchilla import Chinchilla
from isoloss.laws.coefficient_lines import frontier_log_tokens
from isoloss.report.numbers import fixed, power_of_ten
from isoloss.report.theme import (
    FRONTIER,
    INK,
    MUTED,
    PAPER,
    Entry,
    Layout,
    Panels,
    drawn,
    edge_panels,
    log_axis,
    sequence,
)
from isoloss.runs.observations import Floats

GRID = 60
LEVELS = 9
Limits = tuple[float, float]


@dataclass(frozen=True, kw_only=True, eq=False)
class MappedLaw:
    """Chinchilla's coefficients (E, A, B, α, β) and, if at hand, the runs behind them."""

    values: Floats
    params: Floats | None = None
    tokens: Floats | None = None


@drawn
def law_map(
    laws: Mapping[str, MappedLaw],
    *,
    reference: Floats,
    reference_name: str,
    params: Limits,
    tokens: Limits,
    budget: float | None = None,
    layout: Layout = "wide",
) -> Figure:
    """Return one panel a law, all on the same axes: contours of loss, its frontier, and the reference law's, dashed.

    `budget` adds the line of its compute and the best split of either law on it.
    """
    if layout == "narrow":
        shape = Panels(width=2.7, height=2.5, columns=1, left=0.66, right=0.42, gap_y=0.86)
    else:
        shape = Panels(width=3.6, height=3.2, columns=3, left=0.7, right=0.5, gap_x=0.75, gap_y=0.8)
    figure, grid = shape.grid(len(laws), key=_key(reference_name, budget))
    left, bottom = edge_panels(len(laws), shape.columns)
    for index, ((name, law), (axes,)) in enumerate(zip(laws.items(), grid, strict=True)):
        axes.set(xscale="log", yscale="log", xlim=params, ylim=tokens)
        axes.grid(False)
        _contours(axes, law.values, params, tokens)
        _frontier(axes, law.values, params, FRONTIER, "solid", 2.2)
        _frontier(axes, reference, params, INK, (0, (5, 2)), 1.3)
        if law.params is not None and law.tokens is not None:
            axes.scatter(law.params, law.tokens, s=10, color=INK, edgecolors=PAPER, linewidths=0.4, zorder=4)
        if budget is not None:
            _budget(axes, law.values, reference, budget)
        axes.set_title(name)
        axes.set_xlabel("parameters N" if index in bottom else "")
        axes.set_ylabel("training tokens D" if index in left else "")
        log_axis(axes.xaxis, most=5)
        log_axis(axes.yaxis, most=5)
    return figure


def _contours(axes: Axes, values: Floats, params: Limits, tokens: Limits) -> None:
    n, d = np.geomspace(*params, GRID), np.geomspace(*tokens, GRID)
    loss = Chinchilla.loss(values, params=n[None, :], tokens=d[:, None])
    levels = np.unique(np.quantile(loss, np.linspace(0.04, 0.96, LEVELS)))
    if len(levels) < 2:
        return
    colours = sequence(1 - np.linspace(0, 1, len(levels)))
    drawn_levels = axes.contour(n, d, loss, levels=levels, colors=colours, linewidths=1.2)
    axes.clabel(drawn_levels, fmt=lambda level: fixed(float(level), 2), fontsize=7.5, inline_spacing=2)


def _frontier(axes: Axes, values: Floats, params: Limits, colour: str, dashes: Any, width: float) -> None:
    log_params = np.log(np.geomspace(*params, GRID))
    log_tokens = frontier_log_tokens(values, log_params)
    if np.isfinite(log_tokens).all():
        axes.plot(np.exp(log_params), np.exp(np.clip(log_tokens, -50, 120)), color=colour, linestyle=dashes,
                  linewidth=width, zorder=3)  # fmt: skip


def _budget(axes: Axes, values: Floats, reference: Floats, budget: float) -> None:
    ends = np.array(axes.get_xlim())
    axes.plot(ends, budget / (6 * ends), color=MUTED, linewidth=1, linestyle=(0, (1, 1.5)), zorder=2)
    for law, colour, marker in ((reference, INK, "o"), (values, FRONTIER, "*")):
        log_best = float(Chinchilla.log_optimum(law, log_flops=float(np.log(budget))))
        if np.isfinite(log_best) and ends[0] < np.exp(log_best) < ends[1]:
            axes.plot(np.exp(log_best), budget / (6 * np.exp(log_best)), marker=marker, color=colour,
                      markersize=11 if marker == "*" else 6, markeredgecolor=PAPER, zorder=6)  # fmt: skip


def _key(reference: str, budget: float | None) -> list[Entry]:
    entries: list[Entry] = [
        (Line2D([], [], color=FRONTIER, linewidth=2.2), "frontier of the law"),
        (Line2D([], [], color=INK, linewidth=1.3, linestyle=(0, (5, 2))), f"frontier of {reference}"),
    ]
    if budget is not None:
        line = Line2D([], [], color=MUTED, linewidth=1, linestyle=(0, (1, 1.5)))
        entries.append((line, f"{power_of_ten(budget)} FLOPs and their best splits"))
    return entries


def animated(frames: list[bytes], *, milliseconds: int = 450) -> bytes:
    """Return PNG pictures of one size as an animated GIF that repeats."""
    from io import BytesIO

    from PIL import Image

    pictures = [Image.open(BytesIO(frame)).convert("RGB").quantize(64) for frame in frames]
    buffer = BytesIO()
    pictures[0].save(buffer, format="GIF", save_all=True, append_images=pictures[1:], duration=milliseconds, loop=0)
    return buffer.getvalue()
