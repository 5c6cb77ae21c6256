"""How well an exponent is known for what its experiments cost."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from isoloss.report.figures.marks import band
from isoloss.report.theme import BLUE, INK, MUTED, VERMILLION, Entry, Layout, Panels, drawn, log_axis, padded_log
from isoloss.runs.observations import Floats


@dataclass(frozen=True, kw_only=True, eq=False)
class AccuracyCurve:
    """Exponent with interval, and root mean square relative error of its draws, at costs in FLOPs (k,)."""

    cost: Floats
    exponent: Floats
    low: Floats
    high: Floats
    error: Floats


@drawn
def accuracy_against_cost(
    curves: Mapping[str, AccuracyCurve],
    *,
    nominal: float,
    marks: Mapping[str, float],
    layout: Layout = "wide",
) -> Figure:
    """Return one panel a curve: exponent and interval on the left axis, relative error of its draws on the right.

    `marks` are other costs, drawn as upright lines.
    """
    narrow = layout == "narrow"
    shape = Panels(width=2.4 if narrow else 3.4, height=2.5, columns=1 if narrow else 2, left=0.66, right=0.72,
                   gap_x=1.3, gap_y=0.86)  # fmt: skip
    figure, grid = shape.grid(len(curves), key=_key(marks))
    costs = np.concatenate([*(curve.cost for curve in curves.values()), list(marks.values())])
    ends = np.concatenate([[*curve.low, *curve.high] for curve in curves.values()])
    for (name, curve), (axes,) in zip(curves.items(), grid, strict=True):
        axes.set(xscale="log", xlim=padded_log(costs), ylim=(float(ends.min()) - 0.02, float(ends.max()) + 0.02))
        axes.fill_between(curve.cost, curve.low, curve.high, color=BLUE, alpha=0.2, linewidth=0)
        axes.plot(curve.cost, curve.exponent, "o-", markersize=3.6, color=BLUE)
        axes.axhline(nominal, color=INK, linewidth=0.9, linestyle=(0, (4, 2)))
        for (_, cost), dashes in zip(marks.items(), ((0, (1, 1.5)), (0, (4, 1.5, 1, 1.5))), strict=False):
            axes.axvline(cost, color=MUTED, linewidth=1.4, linestyle=dashes)
        right = axes.twinx()
        right.set(yscale="log", ylim=padded_log(np.concatenate([c.error for c in curves.values()]), pad=0.1))
        right.plot(curve.cost, curve.error, "s-", markersize=3, color=VERMILLION, linewidth=1)
        right.grid(visible=False)
        log_axis(right.yaxis, kind="plain")
        right.set_ylabel("relative error of the draws")
        right.spines["right"].set_visible(True)
        axes.set(title=name, xlabel="cost of the experiments, FLOPs", ylabel="exponent a")
        log_axis(axes.xaxis, kind="power", most=5)
    return figure


def _key(marks: Mapping[str, float]) -> list[Entry]:
    entries: list[Entry] = [
        ((band(BLUE), Line2D([], [], color=BLUE, marker="o", markersize=3.6)), "exponent a, 95 % interval"),
        (Line2D([], [], color=INK, linewidth=0.9, linestyle=(0, (4, 2))), "nominal value"),
        (Line2D([], [], color=VERMILLION, marker="s", markersize=3), "relative error of the draws (right)"),
    ]
    dashes = ((0, (1, 1.5)), (0, (4, 1.5, 1, 1.5)))
    entries += [
        (Line2D([], [], color=MUTED, linewidth=1.4, linestyle=dash), name)
        for name, dash in zip(marks, dashes, strict=False)
    ]
    return entries
