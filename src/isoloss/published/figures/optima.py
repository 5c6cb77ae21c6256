"""Optima of budgets against compute, the power law through them, and the laws of others next to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from isoloss.optima.isoflop import IsoFlop
from isoloss.optima.power_line import PowerLine
from isoloss.report import theme
from isoloss.report.figures.marks import band
from isoloss.runs.observations import Floats

Quantity = Literal["params", "tokens", "ratio"]
AXIS: dict[Quantity, str] = {
    "params": "optimal parameters N*",
    "tokens": "optimal tokens D*",
    "ratio": "optimal tokens per parameter ρ*",
}
LINE_POINTS = 41
# Black and grey lines that differ by their dashes: the panel's own colours stay for its own law.
DASHES = ((0, (6, 2)), (0, (1, 1.6)), (0, (4, 1.5, 1, 1.5)), (0, (3, 1, 1, 1, 1, 1)))
COLOURS = (theme.BLUE, theme.VERMILLION, theme.GREEN, theme.PURPLE, theme.INK)


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A published law of the optimal size, N* = coefficient · C^exponent; D* = C/(6·N*) follows."""

    name: str
    coefficient: float
    exponent: float

    def at(self, flops: Floats, quantity: Quantity) -> Floats:
        """Return the quantity at budgets."""
        params = self.coefficient * flops**self.exponent
        if quantity == "params":
            return np.asarray(params)
        return flops / (6 * params) if quantity == "tokens" else np.asarray(flops / (6 * params**2))


@dataclass(frozen=True, kw_only=True, eq=False)
class OptimaPanel:
    """One quantity's optima (budgets,) with the standard deviation of their logarithms, and the law through them.

    `notes` are lines in the upper left corner; `warmup` is the tokens of the warm-up as a power law of compute.
    """

    title: str
    quantity: Quantity
    flops: Floats
    values: Floats
    log_std: Floats
    fit: PowerLine
    notes: tuple[str, ...] = ()
    warmup: PowerLine | None = None
    references: tuple[Reference, ...] = ()

    @classmethod
    def of(cls, found: IsoFlop, quantity: Quantity, **others: Any) -> "OptimaPanel":
        """Return the panel of one quantity of the optima that were found; `others` are its other fields."""
        values, spread = [], []
        for optimum in found.found:
            valley = optimum.over_tokens if quantity == "tokens" else optimum.over_params
            assert valley is not None, "a found optimum has both valleys"
            values.append(optimum.flops / (6 * valley.median**2) if quantity == "ratio" else valley.median)
            spread.append(valley.log_std * (2 if quantity == "ratio" else 1))
        flops = np.array([optimum.flops for optimum in found.found])
        return cls(quantity=quantity, flops=flops, values=np.array(values), log_std=np.array(spread), **others)


@theme.drawn
def optima_against_compute(panels: Sequence[OptimaPanel], *, columns: int = 3, layout: theme.Layout = "wide") -> Figure:
    """Return one panel each on one range of compute; panels of the same quantity share their vertical range."""
    shape = theme.Panels(width=2.7, height=2.25, columns=columns, left=0.72, right=0.12, gap_x=0.78, gap_y=0.74).on(
        layout, width=2.8, height=2.3, gap_y=0.86
    )
    figure, grid = shape.grid(len(panels), key=_key(panels))
    flops = np.concatenate([panel.flops for panel in panels])
    limits = theme.padded_log(flops, pad=0.05)
    ranges = {q: _range([p for p in panels if p.quantity == q], limits) for q in {p.quantity for p in panels}}
    _, bottom = theme.edge_panels(len(panels), shape.columns)
    for index, (panel, (axes,)) in enumerate(zip(panels, grid, strict=True)):
        axes.set(xscale="log", yscale="log", xlim=limits, ylim=ranges[panel.quantity])
        _panel(axes, panel, np.geomspace(*limits, LINE_POINTS))
        axes.set_title(panel.title)
        axes.set_xlabel("training FLOPs C" if index in bottom else "")
        axes.set_ylabel(AXIS[panel.quantity])
        theme.log_axis(axes.xaxis, kind="power", most=5)
        theme.log_axis(axes.yaxis, kind="plain" if panel.quantity == "ratio" else "si")
    return figure


def _range(panels: Sequence[OptimaPanel], limits: tuple[float, float]) -> tuple[float, float]:
    """Return the vertical range: all optima with their errors, and room above for the notes."""
    seen = np.concatenate([p.values * np.exp(sign * p.log_std) for p in panels for sign in (-1, 1)])
    laws = [p.fit.values_at(limits) for p in panels]
    low, high = theme.padded_log(np.concatenate([seen, *laws]), pad=0.04)
    notes = max((len(p.notes) for p in panels), default=0)
    return low, high * (high / low) ** (0.13 * notes)


def _panel(axes: Axes, panel: OptimaPanel, grid: Floats) -> None:
    if panel.warmup is not None:
        axes.fill_between(
            grid, axes.get_ylim()[0], panel.warmup.values_at(grid), color=theme.MUTED, alpha=0.22, linewidth=0
        )
    for reference, dashes in zip(panel.references, DASHES, strict=False):
        axes.plot(grid, reference.at(grid, panel.quantity), color=theme.INK, linewidth=1.1, linestyle=dashes, zorder=2)
    axes.fill_between(grid, *panel.fit.band(grid), color=theme.BLUE, alpha=0.22, linewidth=0)
    axes.plot(grid, panel.fit.values_at(grid), color=theme.BLUE, linewidth=1.8, zorder=3)
    errors = panel.values * (1 - np.exp(-panel.log_std)), panel.values * (np.exp(panel.log_std) - 1)
    axes.errorbar(
        panel.flops, panel.values, yerr=errors, fmt="o", markersize=4.2, color=theme.BLUE, ecolor=theme.BLUE,
        elinewidth=1, capsize=2, markeredgecolor=theme.PAPER, markeredgewidth=0.5, zorder=4,
    )  # fmt: skip
    theme.note_in_corner(axes, "\n".join(panel.notes))


def _key(panels: Sequence[OptimaPanel]) -> list[theme.Entry]:
    entries: list[theme.Entry] = [
        (
            theme.mark_sign("o", theme.BLUE, size=4.6),
            "optimum ± 1 s.d. of its draws",
        ),
        ((band(theme.BLUE), theme.line_sign(theme.BLUE, width=1.8)), "power law, 95 % interval"),
    ]
    references = max((panel.references for panel in panels), key=len)
    entries += [
        (theme.line_sign(theme.INK, width=1.1, dashes=dashes), reference.name)
        for reference, dashes in zip(references, DASHES, strict=False)
    ]
    if any(panel.warmup is not None for panel in panels):
        entries.append((Patch(facecolor=theme.MUTED, alpha=0.22, edgecolor="none"), "warm-up"))
    return entries
