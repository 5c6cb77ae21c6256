"""The arena's scores as tables of words, for the terminal and for a page."""

from collections.abc import Sequence
from typing import get_args

from isoloss.arena.referee import STATUS_WORDS
from isoloss.arena.scores import Entry, Score, summed
from isoloss.arena.tasks import Track
from isoloss.arena.truths import FORMS
from isoloss.core.numbers import percent

HELD_OUT = ("method", "answered", "loss error 3×", "loss error 10×", "seconds")
HEADS: dict[Track, tuple[str, ...]] = {
    "floorbench": (
        "method", "answered", "floor error", "floor held", "split error", "split held", "loss error 3×",
        "loss error 10×", "loss error 30×", "regret", "seconds",
    ),
    "next": ("method", "answered", "next error", "seconds"),
    "simulated": (
        "method", "answered", "floor error", "floor held", "split error", "split held", "loss error 3×",
        "loss error 10×", "regret", "regret 10×", "seconds",
    ),
    "runs": HELD_OUT,
    "published": HELD_OUT,
}  # fmt: skip
NONE = "–"
WHOLE = ", all runs"


def track_rows(entries: Sequence[Entry], track: Track, *, kind: str | None = None) -> list[tuple[str, ...]]:
    """Return one row of words a method that was tried, in the order of `HEADS`.

    Numbers over fewer tables than answered name them.
    """
    return [
        (one.method, _answered(one, track, kind), *(_cell(one, track, head, kind) for head in HEADS[track][2:]))
        for one in entries
        if one.statuses(track, kind=kind)
    ]


def form_rows(entries: Sequence[Entry]) -> list[tuple[str, ...]]:
    """Return one row a method: the median error of ln(D*/N*) on surfaces of each form."""
    return [
        (one.method, *(_number("split error", one, form) for form in FORMS)) for one in entries
    ]  # fmt: skip


def interval_rows(entries: Sequence[Entry]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return heads and one row a language of FloorBench: the true floor, and what every method said from all seeds."""
    saying = [one for one in entries if len(one.over("floorbench", "floor"))]
    wholes = {s.task: s for one in saying for s in one.scores if s.task.endswith(WHOLE) and s.floor_true is not None}
    rows = []
    for task, known in wholes.items():
        said = [next((s for s in one.scores if s.task == task), None) for one in saying]
        rows.append(
            (f"{task.removesuffix(WHOLE)} ({known.kind})", f"{known.floor_true:.3f}", *map(_floor_in_brackets, said))
        )
    return ("language", "true floor", *(one.method for one in saying)), rows


HELD = {"floor_error": "floor_held", "split_error": "split_held"}


def advice(entries: Sequence[Entry]) -> list[str]:
    """Return which method was best on the test languages of FloorBench, a sentence for every question.

    Where methods give intervals, how many of them hold the truth stands next to the error.
    """
    questions = (
        ("The floor", "floor_error", "median error in nats per token"),
        ("The best split inside the runs", "split_error", "median error of ln(D*/N*)"),
        ("A loss at 3 times the compute", "loss_error_3", "median error of the loss"),
        ("A loss at 10 times the compute", "loss_error_10", "median error of the loss"),
        ("A loss at 30 times the compute", "loss_error_30", "median error of the loss"),
        ("The cost of a plan inside the runs", "regret", "mean regret in nats per token"),
    )
    found = []
    for question, name, unit in questions:
        most = max((len(one.over("floorbench", name, kind="test")) for one in entries), default=0)
        ranked = sorted(
            (value, f"`{one.method}`, {_words(name, value)}{_held_of(one, name)}")
            for one in entries
            if len(values := one.over("floorbench", name, kind="test")) == most and most
            if (value := summed(name, values)) is not None
        )
        if ranked:
            best = "; then ".join(words for _, words in ranked[:3])
            found.append(f"{question}: {best}. Figures: {unit} over {most} tables.")
    return found


def _held_of(entry: Entry, error: str) -> str:
    held = entry.over("floorbench", HELD[error], kind="test") if error in HELD else ()
    return f" ({int(sum(held))} of {len(held)} intervals contain the truth)" if len(held) else ""


def _floor_in_brackets(score: Score | None) -> str:
    if score is None or score.floor is None:
        return NONE
    if score.floor_low is None or score.floor_high is None:
        return f"{score.floor:.2f}"
    shown = f"{score.floor:.2f} [{score.floor_low:.2f}, {score.floor_high:.2f}]"
    return f"**{shown}**" if score.floor_held else shown


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


def _answered(entry: Entry, track: Track, kind: str | None) -> str:
    counted = entry.statuses(track, kind=kind)
    return f"{counted.get('ok', 0)} of {sum(counted.values())}"


def _cell(entry: Entry, track: Track, head: str, kind: str | None) -> str:
    name = _name(head)
    values = entry.over(track, name, kind=kind)
    value = summed(name, values)
    if value is None:
        return NONE
    if head.endswith("held"):
        return f"{int(values.sum())} of {len(values)}"
    answered = entry.statuses(track, kind=kind).get("ok", 0)
    few = f" ({len(values)})" if len(values) < answered else ""
    return _words(head, value) + few


def _number(head: str, entry: Entry, form: str) -> str:
    value = summed(_name(head), entry.over("simulated", _name(head), kind=form))
    return NONE if value is None else _words(head, value)


def _name(head: str) -> str:
    return head.replace(" ", "_").replace("×", "")


def _words(head: str, value: float) -> str:
    """Return a number as a reader uses it: losses in percent, seconds to a tenth, all else to three places."""
    if head.startswith(("loss", "next")):
        return percent(value)
    if head == "seconds":
        return f"{value:.1f}"
    return f"{value:.4f}" if head.startswith("regret") else f"{value:.3f}"
