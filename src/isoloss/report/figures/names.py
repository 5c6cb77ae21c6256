"""Names next to marks, each on the side where it covers least of other marks, bars, lines and names."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from isoloss.report.theme import POINTS_PER_INCH, short, text_points
from isoloss.runs.observations import Floats

NAME_POINTS = 8.0
LONGEST = 24  # characters of a name
LINE_BOXES = 60  # boxes along a line that names keep clear of

Box = tuple[float, float, float, float]
Place = Callable[[float, float], tuple[float, float]]
"""From data to points from the panel's lower left corner."""


@dataclass(frozen=True, kw_only=True)
class Named:
    """A mark in data coordinates with the ends of its bars. One without a name is kept clear of and not named."""

    name: str
    x: float
    y: float
    x_ends: tuple[float, float] | None = None
    y_ends: tuple[float, float] | None = None


def name_marks(axes: Axes, marks: Sequence[Named], *, lines: Sequence[tuple[Floats, Floats]] = ()) -> None:
    """Write the names of marks next to them, clear of each other, of bars and of `lines` (x, y), where there is room.

    The limits and scales of the axes must be final.
    """
    axes.autoscale_view()
    to_points = POINTS_PER_INCH / axes.figure.dpi
    panel = axes.get_window_extent()
    width, height = panel.width * to_points, panel.height * to_points

    def place(x: float, y: float) -> tuple[float, float]:
        at_x, at_y = axes.transData.transform((x, y))
        return float(at_x - panel.x0) * to_points, float(at_y - panel.y0) * to_points

    boxes = [box for mark in marks for box in _bars(mark, place)]
    boxes += [box for x, y in lines for box in _along(x, y, place)]
    for mark in marks:
        if not mark.name:
            continue
        x, y = place(mark.x, mark.y)
        text = short(mark.name, LONGEST)
        half = text_points(text, NAME_POINTS) / 2
        centres = [(x + side * (half + 6), y + up) for side in (1, -1) for up in (0, 8, -8, 16, -16)]
        candidates = [_box(at_x, at_y, half, NAME_POINTS * 0.6) for at_x, at_y in centres]
        covered = [_covered(box, boxes, width, height) for box in candidates]
        best = int(np.argmin(covered))
        boxes.append(candidates[best])
        axes.annotate(text, centres[best], xycoords="axes points", ha="center", va="center", fontsize=NAME_POINTS)


def _box(x: float, y: float, half_width: float, half_height: float) -> Box:
    return x - half_width, y - half_height, x + half_width, y + half_height


def _along(x: Floats, y: Floats, place: Place) -> list[Box]:
    """Return boxes along a line, in points."""
    along = np.linspace(x[0], x[-1], LINE_BOXES)
    return [_box(*place(*point), 3, 2) for point in zip(along.tolist(), np.interp(along, x, y).tolist(), strict=True)]


def _bars(mark: Named, place: Place) -> list[Box]:
    """Return the boxes that a mark and its bars cover, in points."""
    x, y = place(mark.x, mark.y)
    boxes = [_box(x, y, 4, 4)]
    if mark.x_ends is not None:
        left, right = (place(end, mark.y)[0] for end in mark.x_ends)
        boxes.append((left, y - 1, right, y + 1))
    if mark.y_ends is not None:
        lower, upper = (place(mark.x, end)[1] for end in mark.y_ends)
        boxes.append((x - 1, lower, x + 1, upper))
    return boxes


def _covered(box: Box, taken: Sequence[Box], width: float, height: float) -> float:
    """Return the area that `box` shares with others, and ten times the area it has outside the panel."""
    shared = sum(_overlap(box, other) for other in taken)
    area = (box[2] - box[0]) * (box[3] - box[1])
    return shared + 10 * (area - _overlap(box, (0, 0, width, height)))


def _overlap(one: Box, two: Box) -> float:
    width = min(one[2], two[2]) - max(one[0], two[0])
    height = min(one[3], two[3]) - max(one[1], two[1])
    return max(0.0, width) * max(0.0, height)
