"""A run as its source tells it: scalars by name, and curves by tag, each step once.

What of it is N, D and the loss is for `isoloss.runs.imported` to settle.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from isoloss.core.errors import BadTable
from isoloss.runs.observations import UNSTATED

Curve = list[tuple[int, float]]
"""Values by step, ascending, each step once."""
Session = dict[str, list[tuple[int, float]]]
"""Points by tag, as they were logged."""
Value = str | float | int | bool | None


@dataclass(frozen=True, kw_only=True)
class LoggedRun:
    """A run as its source tells it. `guesses` are columns for N, D and the loss where the caller names none.

    `steps` is the number of steps the whole run took, where the source says it apart from the curves. `notes` say what
    was passed over or put right on the way.
    """

    name: str
    place: str
    fields: Mapping[str, Value]
    curves: Mapping[str, Curve] = field(default_factory=dict)
    guesses: Mapping[str, str] = field(default_factory=dict)
    params_convention: str = UNSTATED
    steps: int | None = None
    notes: Sequence[str] = ()
    hidden: frozenset[str] = frozenset()
    """Fields that are the answer to what was asked, and no columns of the source."""

    steps_column: str | None = None
    """The column of steps that the rows of a table ascend in, where each was taken for a run of its own."""

    def last_point(self, name: str) -> tuple[int, float] | None:
        """Return the last step of the curve `name` and its value there; None where there is no such curve."""
        curve = self.curves.get(name)
        return curve[-1] if curve else None

    def at(self, name: str, step: int | None) -> Value:
        """Return the field `name`, or the value of the curve `name` at `step` (at its end without one).

        Between two steps of the curve the value is interpolated, beyond them it is taken in proportion to the step: so
        do counters of tokens grow. None where there is neither field nor curve.
        """
        curve = self.curves.get(name)
        if not curve:
            return self.fields.get(name)
        if step is None:
            return curve[-1][1]
        return value_at(curve, step)

    @property
    def last_step(self) -> int:
        """The last step of the run, 0 where no curve tells."""
        last = max((curve[-1][0] for curve in self.curves.values() if curve), default=0)
        return max(last, self.steps or 0)


@dataclass(frozen=True, kw_only=True)
class Logged:
    """The runs of a source, and what is to be said of the source itself."""

    runs: list[LoggedRun]
    notes: Sequence[str] = ()


def value_at(curve: Curve, step: int) -> float:
    """Return the value of a curve at a step; see `LoggedRun.at`."""
    before = [point for point in curve if point[0] <= step]
    after = [point for point in curve if point[0] >= step]
    if before and after:
        (x, low), (z, high) = before[-1], after[0]
        return low if x == z else low + (high - low) * (step - x) / (z - x)
    x, value = before[-1] if before else after[0]
    return value * step / x if x > 0 else value


def settled(points: Iterable[tuple[int, float]]) -> Curve:
    """Return logged points by step; of two at one step the one logged later."""
    return sorted(dict(points).items())


def without_dead_ends(points: Sequence[tuple[int, float]], *, place: str) -> list[tuple[int, float]]:
    """Return the points, in the order they were logged, without what a resumed run had logged beyond its checkpoint.

    Where steps fall and go on from there, at least one of them logged before, what stood at that step and beyond is
    left out: all of it where they begin anew. Points in another order (shuffled, descending) are returned as they are.
    Raises BadTable where steps begin anew and end before the earlier ones did: two runs, and none is known to count.
    """
    pieces: list[list[tuple[int, float]]] = [[]]
    for point in points:
        if pieces[-1] and point[0] < pieces[-1][-1][0]:
            pieces.append([])
        pieces[-1].append(point)
    kept = pieces[0]
    if any(len(piece) < 2 for piece in pieces[1:]):
        return list(points)
    for piece in pieces[1:]:
        start, logged = piece[0][0], {step for step, _ in kept}
        if logged.isdisjoint(step for step, _ in piece):
            return list(points)
        if start <= kept[0][0] and piece[-1][0] < kept[-1][0]:
            raise _two_runs(kept[0][0], kept[-1][0], start, piece[-1][0], place)
        kept = [*(point for point in kept if point[0] < start), *piece]
    return kept


def _two_runs(first: int, last: int, start: int, end: int, place: str) -> BadTable:
    return BadTable(
        f"two runs are here: steps {first} to {last}, then {start} to {end} again; it is unknown which one counts",
        place=place, fix="give each run its own folder or table, or name one file; in a table --run names the column "
        "that names the runs, and --where selects rows",
    )  # fmt: skip


def joined(sessions: Iterable[Session], *, place: str) -> tuple[dict[str, Curve], list[str]]:
    """Return the curves of a run that was logged in several sessions, one after another, and what is to be said of it.

    A session that takes steps up again from where an earlier one had passed is a run that was resumed from a
    checkpoint: what the earlier one logged from there on was thrown away, and is left out. One that begins where the
    earlier one began is a run started anew. Raises BadTable where that one ends before the earlier one did: then two
    runs lie in one place, and nothing says which is meant.
    """
    curves: dict[str, Curve] = {}
    notes: list[str] = []
    for session in sessions:
        new = {tag: settled(points) for tag, points in session.items() if points}
        if new and not curves.keys().isdisjoint(new):
            curves = _superseded(curves, new, notes, place)
        for tag, curve in new.items():
            curves[tag] = settled([*curves.get(tag, ()), *curve])
    return curves, notes


def _superseded(
    curves: Mapping[str, Curve], new: Mapping[str, Curve], notes: list[str], place: str
) -> dict[str, Curve]:
    """Return what stays of `curves` when `new` is logged after them."""
    shared = [curve for tag, curve in curves.items() if tag in new]
    start = min(curve[0][0] for curve in new.values())
    first, last = min(curve[0][0] for curve in shared), max(curve[-1][0] for curve in shared)
    end = max(curve[-1][0] for tag, curve in new.items() if tag in curves)
    if start > last:
        return dict(curves)
    if start > first:
        notes.append(f"resumed at step {start}: values logged earlier for steps {start} to {last} are left out")
        return {tag: kept for tag, curve in curves.items() if (kept := [point for point in curve if point[0] < start])}
    if end < last:
        raise _two_runs(first, last, start, end, place)
    notes.append(
        f"steps start again at {start}: two runs, or one that was restarted; the later one is used, up to step {end}"
    )
    return {tag: curve for tag, curve in curves.items() if tag not in new}


def sessions(points: Iterable[tuple[str, int, float]]) -> list[Session]:
    """Return points (tag, step, value) in the order they were logged; a tag whose step falls begins another session."""
    found: list[Session] = [{}]
    for tag, step, value in points:
        if found[-1].get(tag) and step < found[-1][tag][-1][0]:
            found.append({})
        found[-1].setdefault(tag, []).append((step, value))
    return found


def falls(curve: Curve) -> tuple[int, float, float] | None:
    """Return the first step at which a counter falls, with its values before and there; None where it never does."""
    for (_, before), (step, value) in pairwise(curve):
        if value < before and math.isfinite(value):
            return step, before, value
    return None
