"""Loss against size at equal compute: the valleys whose lowest points are the optima of approach 2."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from isoloss.core.numbers import power_of_ten
from isoloss.optima.isoflop import IsoFlop
from isoloss.report import theme


@theme.drawn
def valleys(
    found: Mapping[str, IsoFlop],
    *,
    least_ratio: float = 0.5,
    ylim: tuple[float, float] | None = None,
    layout: theme.Layout = "wide",
) -> Figure:
    """Return one panel a table of runs: loss against parameters, one curve a budget, dark small to light large.

    Points of fewer than `least_ratio` tokens per parameter, far up the valley's side, are not shown.
    """
    shape = theme.Panels(width=2.85, height=2.6, left=0.66, right=0.5, gap_x=0.72, gap_y=0.74).on(
        layout, width=2.75, height=2.5, left=0.62, right=0.45, gap_y=0.86
    )
    figure, grid = shape.grid(len(found), key=_key(found))
    budgets = sorted({optimum.flops for one in found.values() for optimum in one.optima})
    colours = dict(zip(budgets, theme.sequence(np.linspace(0, 1, len(budgets))), strict=True))
    shape.label(grid, found, x="parameters N", y="loss, nats per token")
    for one, (axes,) in zip(found.values(), grid, strict=True):
        axes.set(xscale="log", yscale="log")
        _panel(axes, one, colours, least_ratio, ylim)
    return figure


def _panel(
    axes: Axes, one: IsoFlop, colours: Mapping[float, str], least_ratio: float, ylim: tuple[float, float] | None
) -> None:
    seen: list[np.ndarray] = []
    for optimum in one.optima:
        shown = optimum.flops / (6 * optimum.params**2) >= least_ratio
        axes.scatter(
            optimum.params[shown], optimum.loss_nats[shown], s=9, color=colours[optimum.flops], edgecolors=theme.PAPER,
            linewidths=0.3, zorder=3,
        )  # fmt: skip
        seen.append(optimum.loss_nats[shown])
        valley = optimum.over_params
        if valley is None:
            continue
        along = optimum.flops / (6 * valley.grid**2) >= least_ratio
        axes.plot(valley.grid[along], valley.curve[along], color=colours[optimum.flops], linewidth=1.1)
        if optimum.status == "ok":
            axes.plot(valley.median, valley.best_loss, marker="*", markersize=9, color=colours[optimum.flops],
                      markeredgecolor=theme.INK, markeredgewidth=0.6, zorder=5)  # fmt: skip
    axes.set_ylim(ylim or theme.padded_log(np.concatenate(seen)))
    _name_budgets(axes, one)
    theme.log_axis(axes.xaxis, most=5)
    theme.log_axis(axes.yaxis, kind="plain")


def _name_budgets(axes: Axes, one: IsoFlop) -> None:
    """Write the smallest and the largest budget next to their optima."""
    found = one.found
    for optimum in (found[0], found[-1]) if len(found) > 1 else ():
        assert optimum.over_params is not None, "a found optimum has its valley"
        place = optimum.over_params.median, optimum.over_params.best_loss
        if axes.get_ylim()[0] < place[1] < axes.get_ylim()[1]:
            theme.name_point(axes, power_of_ten(optimum.flops, 3), place, offset=(8, 0))


def _key(found: Mapping[str, IsoFlop]) -> list[theme.Entry]:
    kinds: Sequence[str] = sorted({one.interpolation for one in found.values()})
    laid = {"akima": "Akima's interpolation", "parabola": "parabola"}
    star = theme.mark_sign("*", theme.MUTED, size=8, markeredgecolor=theme.INK)
    return [
        (theme.line_sign(theme.MUTED, width=1.1), f"equal compute: {', '.join(laid[kind] for kind in kinds)}"),
        (star, "its lowest point, the median of the draws"),
    ]
