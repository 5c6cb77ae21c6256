"""How well an exponent is known for what its experiments cost."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from isoloss.optima.isoflop_cost import CostPoint
from isoloss.report import theme
from isoloss.report.figures.marks import band
from isoloss.runs.observations import Floats

ACCURACY = ("cost", "exponent", "low", "high", "error")


def accuracy_columns(points: Sequence[CostPoint], *, nominal: float) -> dict[str, Floats]:
    """Return costs in FLOPs, exponents with their intervals, and root mean square relative errors of their draws."""
    ends = [point.law.exponent for point in points]
    rows = [(p.cost, e.value, e.low, e.high, p.error_against(nominal)) for p, e in zip(points, ends, strict=True)]
    return dict(zip(ACCURACY, np.array(rows, dtype=np.float64).T, strict=True))


@theme.drawn
def accuracy_against_cost(
    curves: Mapping[str, Mapping[str, Floats]],
    *,
    nominal: float,
    marks: Mapping[str, float],
    layout: theme.Layout = "wide",
) -> Figure:
    """Return one panel a curve: exponent and interval on the left axis, relative error of its draws on the right.

    Curves are those of `accuracy_columns`. `marks` are other costs, drawn as upright lines.
    """
    shape = theme.Panels(width=3.4, height=2.5, columns=2, left=0.66, right=0.72, gap_x=1.3, gap_y=0.86).on(
        layout, width=2.4
    )
    figure, grid = shape.grid(len(curves), key=_key(marks))
    costs = np.concatenate([*(curve["cost"] for curve in curves.values()), list(marks.values())])
    ends = np.concatenate([[*curve["low"], *curve["high"]] for curve in curves.values()])
    for (name, curve), (axes,) in zip(curves.items(), grid, strict=True):
        axes.set(xscale="log", xlim=theme.padded_log(costs), ylim=(float(ends.min()) - 0.02, float(ends.max()) + 0.02))
        axes.fill_between(curve["cost"], curve["low"], curve["high"], color=theme.BLUE, alpha=0.2, linewidth=0)
        axes.plot(curve["cost"], curve["exponent"], "o-", markersize=3.6, color=theme.BLUE)
        axes.axhline(nominal, color=theme.INK, linewidth=0.9, linestyle=(0, (4, 2)))
        for (_, cost), dashes in zip(marks.items(), ((0, (1, 1.5)), (0, (4, 1.5, 1, 1.5))), strict=False):
            axes.axvline(cost, color=theme.MUTED, linewidth=1.4, linestyle=dashes)
        right = axes.twinx()
        right.set(yscale="log", ylim=theme.padded_log(np.concatenate([c["error"] for c in curves.values()]), pad=0.1))
        right.plot(curve["cost"], curve["error"], "s-", markersize=3, color=theme.VERMILLION, linewidth=1)
        right.grid(visible=False)
        theme.log_axis(right.yaxis, kind="plain")
        right.set_ylabel("relative error of the draws")
        right.spines["right"].set_visible(True)
        axes.set(title=name, xlabel="cost of the experiments, FLOPs", ylabel="exponent a")
        theme.log_axis(axes.xaxis, kind="power", most=5)
    return figure


def _key(marks: Mapping[str, float]) -> list[theme.Entry]:
    entries: list[theme.Entry] = [
        ((band(theme.BLUE), Line2D([], [], color=theme.BLUE, marker="o", markersize=3.6)), "exponent a, 95 % interval"),
        (theme.line_sign(theme.INK, width=0.9, dashes=(0, (4, 2))), "nominal value"),
        (Line2D([], [], color=theme.VERMILLION, marker="s", markersize=3), "relative error of the draws (right)"),
    ]
    dashes = ((0, (1, 1.5)), (0, (4, 1.5, 1, 1.5)))
    entries += [
        (theme.line_sign(theme.MUTED, width=1.4, dashes=dash), name) for name, dash in zip(marks, dashes, strict=False)
    ]
    return entries
