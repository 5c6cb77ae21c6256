"""The explorer's figures, as Bokeh holds them: empty, with names by which the page fills them.

The page's policy lets no text become code, so nothing here may be of Bokeh's kinds that carry JavaScript.
"""

from collections.abc import Mapping
from typing import Any

from bokeh.embed import json_item
from bokeh.models import ColumnDataSource, FixedTicker, HoverTool, NumeralTickFormatter, Range1d, TapTool
from bokeh.models.annotations import BoxAnnotation, Span
from bokeh.plotting import figure

from isoloss.core.numbers import si

HEIGHT = 380
AROUND = 4.0  # times the runs' ranges, as far as the first figure looks without being moved
COST_TOP = 12.0  # percent
TOOLS = "pan,box_zoom,wheel_zoom,reset,save"
ROUND: dict[float | str, Any] = {m * 10**k: si(m * 10**k) for k in range(16) for m in range(1, 10)}
"""Ticks that are written as sizes are: 20k and not 2·10⁴."""


def figures(page_data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the three figures by name as JSON: best splits, tokens per parameter, and what other sizes cost."""
    drawn = {"split": _splits(page_data), "ratio": _ratios(page_data), "cost": _costs()}
    return {name: json_item(each) for name, each in drawn.items()}


def _splits(page_data: Mapping[str, Any]) -> Any:
    """Return parameters and tokens: runs, best splits of all budgets, and that of the chosen one."""
    (n_low, n_high), (d_low, d_high) = page_data["params"], page_data["tokens"]
    plot = _empty(
        "split", x=("parameters N", (n_low / AROUND, n_high * AROUND)),
        y=("training data D", (d_low / AROUND, d_high * AROUND)),
    )  # fmt: skip
    _shade(plot, "split", left=n_low, right=n_high, bottom=d_low, top=d_high)
    plot.patches("xs", "ys", source=_source("split-bands", "xs ys colour"), color="colour", alpha=0.16, line_alpha=0)
    budget = plot.line("x", "y", source=_source("budget-line", "x y"), line_dash="dashed", line_width=1.2)
    budget.glyph.name = "budget-line-look"
    curves = _curves(plot, "split-lines")
    runs = plot.scatter(
        "x", "y", source=_source("runs", "x y colour marker filled run corpus loss size length compute about"),
        marker="marker", size=8, fill_color="colour", line_color="colour", fill_alpha="filled", line_alpha=0.9,
        nonselection_fill_alpha="filled", nonselection_line_alpha=0.9,
    )  # fmt: skip
    plot.multi_line("xs", "ys", source=_source("bars", "xs ys colour"), color="colour", line_width=6, alpha=0.5)
    stars = _stars(plot, _source("stars", "x y colour name"), "stars-look")
    stars.glyph.line_width = 1.2
    record = [("run", "@run"), ("corpus", "@corpus"), ("loss", "@loss"), ("size", "@size"), ("data", "@length"),
              ("compute", "@compute"), ("flags", "@about")]  # fmt: skip
    plot.add_tools(HoverTool(renderers=[runs], tooltips=record), TapTool(renderers=[runs]), _names([curves, stars]))
    return plot


def _ratios(page_data: Mapping[str, Any]) -> Any:
    """Return the best tokens per parameter against compute, with the answers that all forms give together."""
    plot = _empty(
        "ratio", x=("training FLOPs, 6·N·D", page_data["budgets"]), y=("best tokens per parameter", (1.0, 1e3))
    )
    plot.y_range.name = "ratio-range"
    # Bokeh's own logarithmic ticks leave a range of one decade and a half without a label below 50.
    plot.yaxis.ticker = FixedTicker(ticks=[m * 10.0**k for k in range(-3, 7) for m in (1, 2, 5)])
    plot.yaxis.formatter = NumeralTickFormatter(format="0,0.[000]")
    _shade(plot, "ratio", left=page_data["flops"][0], right=page_data["flops"][1])
    plot.patches("xs", "ys", source=_source("ratio-bands", "xs ys colour"), color="colour", alpha=0.16, line_alpha=0)
    plot.add_layout(
        Span(location=page_data["start"]["flops"], dimension="height", line_dash="dashed", name="budget-mark")
    )
    curves = _curves(plot, "ratio-lines")
    bars = _source("weighted", "x y low high colour name")
    plot.segment("x", "low", "x", "high", source=bars, color="colour", line_width=2)
    weighted = plot.scatter("x", "y", source=bars, marker="diamond_dot", size=13, line_color="colour", line_width=2,
                            fill_alpha=0)  # fmt: skip
    points = _source("ratio-points", "x y low high colour name")
    plot.segment("x", "low", "x", "high", source=points, color="colour", line_width=6, alpha=0.5)
    _stars(plot, points, "ratio-points-look")
    plot.add_tools(_names([curves, weighted]))
    return plot


def _costs() -> Any:
    """Return what another size would cost on the chosen budget, in percent of the least loss."""
    plot = _empty("cost", x=("parameters N", (1e3, 1e6)), y=("loss above the least, %", (-0.6, COST_TOP)), log_y=False)
    plot.x_range.name = "cost-range"
    curves = _curves(plot, "valleys", styled=False)
    points = _source("costs", "x y low high colour name")
    plot.segment("low", "y", "high", "y", source=points, color="colour", line_width=6, alpha=0.5)
    _stars(plot, points, "costs-look")
    plot.add_tools(_names([curves]))
    return plot


def _empty(
    key: str, *, x: tuple[str, tuple[float, float]], y: tuple[str, tuple[float, float]], log_y: bool = True
) -> Any:
    """Return a figure with logarithmic axes whose parts have names, and no tool that takes a finger's swipe."""
    plot = figure(
        height=HEIGHT, sizing_mode="stretch_width", x_axis_type="log", y_axis_type="log" if log_y else "linear",
        x_range=Range1d(start=x[1][0], end=x[1][1], name=f"{key}-x"),
        y_range=Range1d(start=y[1][0], end=y[1][1], name=f"{key}-y"), tools=TOOLS,
        active_drag=None, active_scroll=None, toolbar_location="above", x_axis_label=x[0], y_axis_label=y[0],
        name=f"{key}-figure", min_border_right=16,
    )  # fmt: skip
    plot.toolbar.logo = None
    plot.toolbar.autohide = True
    for axis, grid, name in ((plot.xaxis[0], plot.xgrid[0], "x"), (plot.yaxis[0], plot.ygrid[0], "y")):
        axis.name, grid.name = f"{key}-{name}axis", f"{key}-{name}grid"
        axis.axis_label_text_font_style = "normal"
        axis.axis_label_text_font_size = "13px"
        axis.major_label_text_font_size = "12px"
    for axis in (plot.xaxis[0], plot.yaxis[0]) if key != "ratio" else ():
        axis.major_label_overrides = ROUND
    return plot


def _shade(plot: Any, key: str, **edges: float) -> None:
    """Shade what lies beyond the fitted ranges: there every curve extrapolates."""
    sides = {"left": "right", "right": "left", "bottom": "top", "top": "bottom"}  # a box beyond an edge ends there
    for side, edge in edges.items():
        plot.add_layout(BoxAnnotation(name=f"{key}-beyond-{side}", **{sides[side]: edge}, fill_alpha=0.13,
                                      line_alpha=0, level="image"))  # fmt: skip


def _curves(plot: Any, name: str, *, styled: bool = True) -> Any:
    """Return curves, one or more a corpus."""
    columns = "xs ys colour dash name" + (" width alpha" if styled else "")
    looks: dict[str, Any] = {"line_width": "width", "alpha": "alpha"} if styled else {"line_width": 3}
    return plot.multi_line("xs", "ys", source=_source(name, columns), color="colour", line_dash="dash", **looks)


def _source(name: str, columns: str) -> ColumnDataSource:
    return ColumnDataSource(data={column: [] for column in columns.split()}, name=name)


def _stars(plot: Any, source: ColumnDataSource, look: str) -> Any:
    """Return best splits as stars, whose glyph has the name by which the page finds it."""
    stars = plot.scatter("x", "y", source=source, marker="star", size=20, fill_color="colour")
    stars.glyph.name = look
    return stars


def _names(renderers: list[Any]) -> HoverTool:
    """Return the tool that says which corpus a curve or a mark is of."""
    return HoverTool(renderers=renderers, tooltips=[("", "@name")], line_policy="nearest", visible=False)
