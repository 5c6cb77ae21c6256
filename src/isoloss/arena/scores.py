"""What the answers of a method are worth: errors and coverage against the key of every table, and what they sum to."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from isoloss.arena.referee import Answer, Status
from isoloss.arena.tasks import AHEAD, Task, Track
from isoloss.core.plain_json import Plain
from isoloss.laws.law import Floats

NAMES = (
    "floor_error", "floor_held", "split_error", "split_held", "loss_error_3", "loss_error_10", "loss_error_30",
    "regret", "regret_10", "next_error", "seconds",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Score(Plain):
    """One table's scores; None where the method gave no answer, or the track has no truth.

    Errors are absolute: of the floor in nats per token, of the split in ln(D*/N*) at a budget inside the runs, of the
    loss as the mean of |ln L̂ − ln L| over points 3, 10 and 30 times ahead, each counted to the nearest. `*_held` say
    whether the 95 % interval holds the truth. `regret` is what following the split would lose, in nats per token, at
    the budget inside the runs and at ten times the largest compute. `next_error` is how well a law fitted to what was
    seen and chosen predicts runs of more compute. `floor` with its ends is what the method said, `floor_true` the
    truth.
    """

    task: str
    track: Track
    kind: str
    status: Status
    message: str = ""
    floor_error: float | None = None
    floor_held: bool | None = None
    split_error: float | None = None
    split_held: bool | None = None
    loss_error_3: float | None = None
    loss_error_10: float | None = None
    loss_error_30: float | None = None
    regret: float | None = None
    regret_10: float | None = None
    next_error: float | None = None
    seconds: float | None = None
    floor: float | None = None
    floor_low: float | None = None
    floor_high: float | None = None
    floor_true: float | None = None


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One method's scores on all tables. `offline` says whether the system kept it off the network."""

    method: str
    scores: tuple[Score, ...]
    offline: bool | None

    def over(self, track: Track, name: str, *, kind: str | None = None) -> Floats:
        """Return the scores called `name` of a track's tables that have one, in order."""
        chosen = (one for one in self.scores if one.track == track and kind in (None, one.kind))
        return np.array([value for one in chosen if (value := getattr(one, name)) is not None], dtype=float)

    def statuses(self, track: Track, *, kind: str | None = None) -> dict[Status, int]:
        """Return how many tables of a track ended in each way, the ways that occurred."""
        counted = Counter(one.status for one in self.scores if one.track == track and kind in (None, one.kind))
        return {status: counted[status] for status in get_args(Status) if counted[status]}

    def to_json(self) -> dict[str, Any]:
        """Return what the scores sum to, each with the number of tables it is over, and every table's."""
        return {
            "method": self.method, "offline": self.offline,
            "tracks": {track: self._summary(track) for track in get_args(Track)},
            "tables": [one.to_json() for one in self.scores],
        }  # fmt: skip

    def _summary(self, track: Track) -> dict[str, Any]:
        found = {name: self.over(track, name) for name in NAMES}
        return {
            "statuses": dict(self.statuses(track)),
            **{name: {"value": summed(name, own), "tables": len(own)} for name, own in found.items()},
        }


def summed(name: str, values: Floats) -> float | None:
    """Return the mean of regret and of what is held, the median of all else; None without a value."""
    if not len(values):
        return None
    return float(np.mean(values) if name.startswith("regret") or name.endswith("held") else np.median(values))


def score(method: str, tasks: Sequence[Task], answers: Sequence[Answer]) -> Entry:
    """Return a method's scores on tables that it answered."""
    offline = [one.offline for one in answers if one.offline is not None]
    scores = tuple(_score(task, answer) for task, answer in zip(tasks, answers, strict=True))
    return Entry(method=method, scores=scores, offline=all(offline) if offline else None)


def _score(task: Task, answer: Answer) -> Score:
    common: dict[str, Any] = {
        "task": task.name, "track": task.track, "kind": task.kind, "status": answer.status, "message": answer.message,
    }  # fmt: skip
    if answer.status != "ok":
        return Score(**common)
    return Score(
        **common, seconds=answer.seconds, **_of_floor(task, answer), **_of_splits(task, answer),
        **_of_losses(task, answer), **_of_choice(task, answer),
    )  # fmt: skip


def _of_floor(task: Task, answer: Answer) -> dict[str, Any]:
    if task.key.floor is None or answer.floor is None:
        return {}
    return {
        "floor_error": abs(answer.floor.value - task.key.floor), "floor_held": answer.floor.holds(task.key.floor),
        "floor": answer.floor.value, "floor_low": answer.floor.low, "floor_high": answer.floor.high,
        "floor_true": task.key.floor,
    }  # fmt: skip


def _of_splits(task: Task, answer: Answer) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for place, split in enumerate(answer.splits):
        if split is not None and place < len(task.key.log_ratios):
            regret = task.key.regret(task.shown.budgets[place], split.value, place)
            found["regret_10" if place else "regret"] = regret
            if not place:
                found["split_error"] = abs(split.value - task.key.log_ratios[0])
                found["split_held"] = split.holds(task.key.log_ratios[0])
    return found


def _of_losses(task: Task, answer: Answer) -> dict[str, Any]:
    if answer.losses is None:
        return {}
    errors = np.abs(np.log([one.value for one in answer.losses]) - np.log(task.key.losses))
    nearest = np.abs(np.log(task.key.ahead)[:, None] - np.log(AHEAD)).argmin(axis=1)
    rows = {f"loss_error_{times:g}": errors[nearest == place] for place, times in enumerate(AHEAD)}
    return {name: float(own.mean()) for name, own in rows.items() if len(own)}


def _of_choice(task: Task, answer: Answer) -> dict[str, Any]:
    if task.key.next_runs is None or answer.chosen is None:
        return {}
    return {"next_error": task.key.next_runs.error(answer.chosen)}
