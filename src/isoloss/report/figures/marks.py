"""How a run is drawn, the same in every figure: filled where the fit used it, hollow where not, shape by flag."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from numpy.typing import NDArray

from isoloss.core.estimate import Estimate
from isoloss.fitting.fitted import FittedLaw
from isoloss.report import theme
from isoloss.runs.observations import Floats, Observations

LINK = "#run-"


def anchor(run: str) -> str:
    """Return the page's identifier of a run: the same for the table's row and for every point that links to it."""
    return "run-" + hashlib.sha256(run.encode()).hexdigest()[:10]


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One look of points and the rows that have it."""

    rows: NDArray[np.bool_]
    marker: str
    filled: bool
    label: str


def marks(runs: Observations, law: FittedLaw | None) -> list[Mark]:
    """Return the looks that the rows of one corpus need; every row is in exactly one."""
    left_out = {exclusion.run for exclusion in law.excluded} if law else set()
    flags = runs.flags if runs.flags is not None else [()] * len(runs)
    looks = [_look(own, run in left_out) for own, run in zip(flags, runs.run.tolist(), strict=True)]
    return [
        Mark(
            rows=np.array([look == wanted for look in looks], dtype=bool),
            marker=wanted[0],
            filled=wanted[1],
            label=wanted[2],
        )
        for wanted in sorted(set(looks), key=lambda look: (not look[1], look[2]))
    ]


def _look(flags: tuple[str, ...], left_out: bool) -> tuple[str, bool, str]:
    if not flags:
        return "o", not left_out, "run left out of the fit" if left_out else "run"
    return (
        theme.FLAG_MARKER.get(flags[0], theme.OTHER_FLAG_MARKER),
        not left_out,
        flags[0] + (", left out" if left_out else ""),
    )


def draw_runs(
    axes: Axes,
    runs: Observations,
    looks: Iterable[Mark],
    *,
    x: Floats,
    y: Floats,
    colours: object = theme.INK,
    size: float = 17,
) -> None:
    """Draw the rows of one corpus as points that link to the table of runs. `colours` is one colour or one a row."""
    each = [colours] * len(runs) if isinstance(colours, str) else list(np.asarray(colours))
    for look in looks:
        index = np.flatnonzero(look.rows)
        shades = [each[i] for i in index]
        points = axes.scatter(
            x[index], y[index], marker=look.marker, s=size * (1.25 if look.marker != "o" else 1.0), zorder=5,
            facecolors=shades if look.filled else "none", edgecolors=theme.PAPER if look.filled else shades,
            linewidths=0.6 if look.filled else 1.1, clip_on=False,
        )  # fmt: skip
        points.set_urls([LINK + anchor(str(runs.run[i]))[4:] for i in index])


def key(looks: Iterable[Mark]) -> list[theme.Entry]:
    """Return the legend's entries for the looks, each label once."""
    seen: dict[str, theme.Entry] = {}
    for look in looks:
        face = theme.INK if look.filled else "none"
        handle = theme.mark_sign(look.marker, theme.INK, size=4.6, markerfacecolor=face)
        seen.setdefault(look.label, (handle, look.label))
    return list(seen.values())


def interval_row(axes: Axes, row: float, estimate: Estimate, *, colour: str, size: float = 5.5, **looks: Any) -> None:
    """Draw an estimate as a mark in a row, with a bar for its interval."""
    if estimate.low is not None and estimate.high is not None:
        axes.plot([estimate.low, estimate.high], [row, row], color=colour, linewidth=2, solid_capstyle="butt",
                  alpha=0.75)  # fmt: skip
    axes.plot(estimate.value, row, markersize=size, color=colour, **looks)


def lay_out_rows(axes: Axes, count: int, names: Sequence[str]) -> None:
    """Give a panel `count` rows from the top, named where there are names, without lines between them."""
    axes.set_yticks(range(len(names) or count), names)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(count - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.margins(x=0.08)


def band(colour: str) -> Patch:
    """Return the legend's sign of an interval band."""
    return Patch(facecolor=colour, alpha=0.22, edgecolor="none")
