"""The arena's scores as tables of words, for the terminal and for a page."""

from collections.abc import Sequence
from typing import get_args

from isoloss.arena.referee import STATUS_WORDS
from isoloss.arena.scores import Entry, summed
from isoloss.arena.tasks import Track
from isoloss.arena.truths import FORMS

HEADS = {
    "simulated": (
        "method", "answered", "floor error", "floor held", "split error", "split held", "loss error 3×",
        "loss error 10×", "regret", "regret 10×", "seconds",
    ),
    "runs": ("method", "answered", "loss error 3×", "loss error 10×", "seconds"),
}  # fmt: skip
NONE = "–"


def track_rows(entries: Sequence[Entry], track: Track) -> list[tuple[str, ...]]:
    """Return one row of words a method, in the order of `HEADS`; numbers over fewer tables than answered name them."""
    return [
        (one.method, _answered(one, track), *(_cell(one, track, head) for head in HEADS[track][2:])) for one in entries
    ]


def form_rows(entries: Sequence[Entry]) -> list[tuple[str, ...]]:
    """Return one row a method: the median error of ln(D*/N*) on surfaces of each form."""
    return [
        (one.method, *(_number("split error", one, form) for form in FORMS)) for one in entries
    ]  # fmt: skip


def faults(entries: Sequence[Entry]) -> list[str]:
    """Return a sentence for every way that a method failed, with its first message."""
    found = []
    for one in entries:
        for track in get_args(Track):
            for status, count in one.statuses(track).items():
                if status != "ok":
                    message = next(s.message for s in one.scores if s.track == track and s.status == status)
                    tables = "table" if count == 1 else "tables"
                    found.append(f"{one.method} {STATUS_WORDS[status]} on {count} {tables} of {track}: {message}")
    return found


def _answered(entry: Entry, track: Track) -> str:
    counted = entry.statuses(track)
    return f"{counted.get('ok', 0)} of {sum(counted.values())}"


def _cell(entry: Entry, track: Track, head: str) -> str:
    name = _name(head)
    values = entry.over(track, name)
    value = summed(name, values)
    if value is None:
        return NONE
    if head.endswith("held"):
        return f"{int(values.sum())} of {len(values)}"
    answered = entry.statuses(track).get("ok", 0)
    few = f" ({len(values)})" if len(values) < answered else ""
    return _words(head, value) + few


def _number(head: str, entry: Entry, form: str) -> str:
    value = summed(_name(head), entry.over("simulated", _name(head), kind=form))
    return NONE if value is None else _words(head, value)


def _name(head: str) -> str:
    return head.replace(" ", "_").replace("×", "")


def _words(head: str, value: float) -> str:
    """Return a number as a reader uses it: losses in percent, seconds to a tenth, all else to three places."""
    if head.startswith("loss"):
        return f"{value:.2%}"
    if head == "seconds":
        return f"{value:.1f}"
    return f"{value:.4f}" if head.startswith("regret") else f"{value:.3f}"
