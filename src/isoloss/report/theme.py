"""How every figure looks: colours, type, scales and the grid of panels. No pyplot, no global state left behind.

Every colour is a sentinel: `render.inline_svg` turns it into a CSS variable, so that one drawing serves the light and
the dark page.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.textpath import text_to_path
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from isoloss.core.numbers import Writer, plain, power_of_ten, si

_STYLE = matplotlib.rc_params_from_file(Path(__file__).with_name("isoloss.mplstyle"), use_default_template=False)
INK, MUTED, RULE = (str(_STYLE[name]) for name in ("text.color", "axes.edgecolor", "grid.color"))
PAPER = "#ffffff"

# Okabe & Ito 2008, the palette that survives the common colour-vision deficiencies.
BLUE = "#0072b2"
GREEN = "#009e73"
VERMILLION = "#d55e00"
PURPLE = "#cc79a7"

# Dark to light; viridis reads the same with any colour vision. Its ends, unseen on either paper, are left out.
SEQUENCE_STEPS = 32
SEQUENCE = [to_hex(c) for c in matplotlib.colormaps["viridis"](np.linspace(0.04, 0.84, SEQUENCE_STEPS))]
SEQUENCE_DARK = [to_hex(c) for c in matplotlib.colormaps["viridis"](np.linspace(0.36, 0.98, SEQUENCE_STEPS))]

SENTINELS = {
    INK: "--ink", MUTED: "--muted", RULE: "--rule", PAPER: "--paper", BLUE: "--blue", GREEN: "--green",
    VERMILLION: "--vermillion", PURPLE: "--purple", **{colour: f"--seq-{i}" for i, colour in enumerate(SEQUENCE)},
}  # fmt: skip

KIND_COLOUR = {"text": BLUE, "generated": GREEN}
KIND_MARKER = {"text": "o", "generated": "D"}
FRONTIER = VERMILLION

# Shape tells a flag apart where colour is not seen.
FLAG_MARKER = {"saturated": "s", "unconverged": "^"}
OTHER_FLAG_MARKER = "X"

POINTS_PER_INCH = 72

Entry = tuple[Any, str]
"""One entry of a legend: its sign (an artist, or several drawn over each other) and its words."""

SHORT_SPAN = 4.0  # a logarithmic axis of a smaller ratio reads best with evenly stepped ticks

KEY_POINTS = 8.5
KEY_SIGN, KEY_GAP, KEY_ROW, KEY_INSET = 0.3, 0.2, 0.2, 0.06  # inches
Layout = Literal["wide", "narrow"]

P = ParamSpec("P")
R = TypeVar("R")


@contextmanager
def styled() -> Iterator[None]:
    """Apply the style for the block alone, whatever the user's own matplotlib settings are."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def drawn(draw: Callable[P, R]) -> Callable[P, R]:
    """Decorate a drawing function so that it runs inside `styled`."""

    @wraps(draw)
    def inside(*args: P.args, **kwargs: P.kwargs) -> R:
        with styled():
            return draw(*args, **kwargs)

    return inside


@dataclass(frozen=True, kw_only=True)
class Panels:
    """Sizes in inches of a grid of equal panels; a panel holds `split` axes side by side."""

    width: float = 2.95
    height: float = 2.55
    columns: int = 3
    split: int = 1
    left: float = 0.72
    right: float = 0.15
    top: float = 0.36
    bottom: float = 0.52
    gap_x: float = 0.38
    gap_y: float = 0.72
    gap_split: float = 0.14

    def on(self, layout: Layout, **narrow: Any) -> "Panels":
        """Return these sizes, or on a narrow screen one column with the sizes in `narrow` in place of these."""
        return replace(self, **({"columns": 1} | narrow)) if layout == "narrow" else self

    def grid(self, count: int, *, key: Sequence[Entry] = ()) -> tuple[Figure, list[list[Axes]]]:
        """Return a figure with its legend on top and, for each of `count` panels in reading order, its axes."""
        columns = max(1, min(self.columns, count))
        rows = -(-count // columns)
        wide = self.left + columns * self.width + (columns - 1) * self.gap_x + self.right
        key_rows = _key_rows(key, room=wide - 2 * KEY_INSET)
        top = self.top + KEY_ROW * len(key_rows)
        high = top + rows * self.height + (rows - 1) * self.gap_y + self.bottom
        figure = Figure(figsize=(wide, high))
        _place_key(figure, key_rows)
        part = (self.width - (self.split - 1) * self.gap_split) / self.split
        panels = []
        for index in range(count):
            row, column = divmod(index, columns)
            x = self.left + column * (self.width + self.gap_x)
            y = high - top - self.height - row * (self.height + self.gap_y)
            starts = [x + k * (part + self.gap_split) for k in range(self.split)]
            panels.append([figure.add_axes((s / wide, y / high, part / wide, self.height / high)) for s in starts])
        return figure, panels

    def label(
        self, grid: Sequence[Sequence[Axes]], titles: Iterable[str], *, x: str, y: str, shared: bool = False,
        pad: float | None = None,
    ) -> None:  # fmt: skip
        """Give each panel of `grid` its title, and its axes their labels where they stand on the edge of the sheet.

        Where panels have one vertical range (`shared`), its numbers stand on the left edge alone. `pad` is the room
        in points below a title.
        """
        left, bottom = edge_panels(len(grid), self.columns)
        for index, ((axes, *_), title) in enumerate(zip(grid, titles, strict=True)):
            axes.set_title(title, pad=pad)
            axes.set_xlabel(x if index in bottom else "")
            axes.set_ylabel(y if index in left else "")
            axes.tick_params(labelleft=not shared or index in left)


def _key_rows(entries: Sequence[Entry], *, room: float) -> list[list[Entry]]:
    """Return the legend's rows, as many entries a row as fit in `room` inches."""
    rows: list[list[Entry]] = []
    x = room
    for entry in entries:
        needed = KEY_SIGN + text_points(entry[1], KEY_POINTS) / POINTS_PER_INCH
        if x + needed > room or not rows:
            rows.append([])
            x = 0.0
        rows[-1].append(entry)
        x += needed + KEY_GAP
    return rows


def text_points(text: str, size: float) -> float:
    """Return the width in points of `text` set at `size` points in the figures' face."""
    width, _, _ = text_to_path.get_text_width_height_descent(text, FontProperties(size=size), ismath=False)
    return float(width)


def _place_key(figure: Figure, rows: Sequence[Sequence[Entry]]) -> None:
    width, height = figure.get_size_inches()
    for index, row in enumerate(rows):
        y = 1 - (index + 0.5) * KEY_ROW / height
        signs, labels = zip(*row, strict=True)
        figure.legend(
            signs, labels, loc="center left", bbox_to_anchor=(KEY_INSET / width, y), borderaxespad=0, borderpad=0,
            ncols=len(row), columnspacing=KEY_GAP * POINTS_PER_INCH / KEY_POINTS, handletextpad=0.5, handlelength=1.8,
            fontsize=KEY_POINTS,
        )  # fmt: skip


def line_sign(colour: str, *, width: float = 1.0, dashes: Any = "solid") -> Line2D:
    """Return the legend's sign of a line."""
    return Line2D([], [], color=colour, linewidth=width, linestyle=dashes)


def mark_sign(marker: str, colour: str, *, size: float = 5.0, **looks: Any) -> Line2D:
    """Return the legend's sign of a mark."""
    return Line2D([], [], linestyle="none", marker=marker, markersize=size, color=colour, **looks)


def edge_panels(count: int, columns: int) -> tuple[set[int], set[int]]:
    """Return the panels on the left edge and those with nothing below them, where shared labels stand.

    In one column every panel is both: on a phone its neighbours are out of sight.
    """
    columns = max(1, min(columns, count))
    if columns == 1:
        return set(range(count)), set(range(count))
    return {i for i in range(count) if i % columns == 0}, {i for i in range(count) if i + columns >= count}


def log_ticks(low: float, high: float, *, most: int = 6) -> list[float]:
    """Return at most `most` round tick values on a logarithmic axis: even steps where the span is short."""
    first, last = int(np.floor(np.log10(low))), int(np.ceil(np.log10(high)))
    candidates = [
        [m * 10.0**k for k in range(first, last + 1) for m in steps]
        for steps in ((1, 1.5, 2, 3, 4, 5, 6, 8), (1, 2, 3, 5), (1, 2, 5), (1, 3), (1,))
    ]
    candidates += [
        [10.0**k for k in range(first, last + 1) if k % stride == 0] for stride in range(2, last - first + 2)
    ]
    if high / low < SHORT_SPAN:
        # Ticks just outside either end count as inside: where they make one too many, wider steps serve.
        even = [MaxNLocator(bins, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high) for bins in (most, most - 2)]
        candidates = [*map(list, even), *candidates]
    visible = [[t for t in ticks if low * 0.999 <= t <= high * 1.001] for ticks in candidates]
    return max((ticks for ticks in visible if len(ticks) <= most), key=len, default=[])


_TICK_WRITERS: dict[str, Writer] = {"si": si, "power": power_of_ten, "plain": plain}


def log_axis(axis: Axis, *, kind: Literal["si", "power", "plain"] = "si", most: int = 6) -> None:
    """Give a logarithmic axis, whose limits are set, few round ticks with short labels."""
    low, high = sorted(axis.get_view_interval())
    axis.set_major_locator(FixedLocator(log_ticks(low, high, most=most)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda x, _: _TICK_WRITERS[kind](x)))


def padded_log(values: Sequence[float] | np.ndarray, *, pad: float = 0.06) -> tuple[float, float]:
    """Return limits that leave a margin of `pad` of the logarithmic span (or 10 % of one value) around `values`."""
    logs = np.log(np.asarray(values, dtype=float))
    low, high = float(logs.min()), float(logs.max())
    margin = pad * (high - low) if high > low else 0.1
    return float(np.exp(low - margin)), float(np.exp(high + margin))


def spread(places: Sequence[float], gap: float) -> list[float]:
    """Return places moved apart just enough to stand `gap` from each other, in their order and around their mean."""
    from scipy.optimize import isotonic_regression

    order = np.argsort(places, kind="stable")
    steps = gap * np.arange(len(places))
    moved = np.empty(len(places))
    moved[order] = isotonic_regression(np.asarray(places, dtype=float)[order] - steps).x + steps
    return [float(place) for place in moved]


ON_PAPER = {"facecolor": PAPER, "edgecolor": "none", "alpha": 0.75, "pad": 0.5}
"""The box behind a name, through which no curve strikes."""


def name_point(axes: Axes, text: str, place: tuple[float, float], *, offset: tuple[float, float] = (0, 5)) -> None:
    """Write a small name next to a point, `offset` in points, on paper: curves do not strike it through."""
    axes.annotate(
        text, place, xytext=offset, textcoords="offset points", fontsize=7.5, zorder=6, annotation_clip=False,
        ha="center" if offset[0] == 0 else "left", va="bottom" if offset[0] == 0 else "center", bbox=ON_PAPER,
    )  # fmt: skip


ON_CURVES = {"facecolor": PAPER, "edgecolor": "none", "alpha": 0.8, "pad": 1.5}
"""The box behind a note that lies over curves."""


def note_in_corner(axes: Axes, note: str) -> None:
    """Write lines into the upper left corner of a panel."""
    axes.text(0.03, 0.97, note, transform=axes.transAxes, va="top", fontsize=8, linespacing=1.3, zorder=6,
              bbox=ON_CURVES)  # fmt: skip


def sequence(places: Sequence[float] | np.ndarray) -> list[str]:
    """Return the colours at `places` of `SEQUENCE`: 0 darkest, 1 lightest."""
    return [SEQUENCE[round(place * (SEQUENCE_STEPS - 1))] for place in np.clip(places, 0, 1)]


def size_colours(sizes: Sequence[float]) -> dict[float, str]:
    """Return one colour a model size, the smallest darkest."""
    ordered = sorted(set(sizes))
    places = np.linspace(0, 1, len(ordered)) if len(ordered) > 1 else [0.3]
    return dict(zip(ordered, sequence(places), strict=True))


def short(name: str, length: int = 30) -> str:
    """Return a name fit for a title: at most `length` characters on one line, the middle left out of longer ones."""
    line = " ".join("".join(c if c.isprintable() else " " for c in name).split())
    if len(line) <= length:
        return line
    head = length // 2
    return line[:head].rstrip() + "…" + line[head + 1 - length :].lstrip()
