"""Runs a method on tables in a process of its own, within its limits: it may fail on any of them and stops nothing."""

import ast
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from isoloss.arena.tasks import Task
from isoloss.core.errors import InputError, did_you_mean
from isoloss.core.estimate import Estimate
from isoloss.core.files import regular, write_json

Status = Literal["ok", "error", "nonsense", "forbidden", "memory", "time", "crash", "not_tried"]
STATUS_WORDS: dict[Status, str] = {
    "ok": "answered", "error": "raised an error", "nonsense": "returned nonsense",
    "forbidden": "asked for a file, a process or a connection of its own", "memory": "ran out of memory",
    "time": "ran out of time", "crash": "ended its process", "not_tried": "not tried after it stopped twice",
}  # fmt: skip
ENTRIES = Path(__file__).parent / "entries"
OURS = (
    "chinchilla", "lbfgs", "variable_projection", "coupled", "ceiling", "farseer", "kaplan", "approach_2", "weighted",
    "hierarchical", "gaussian_process",
)  # fmt: skip
LIMIT_SECONDS, LIMIT_GB = 60.0, 4.0
MOST_STOPS = 2  # a method that hangs or crashes so often is given no further table
START_SECONDS = 60.0  # to start Python and import the method, on top of the first table's limit
LOOK_SECONDS = 0.02
FARTHEST_SPLIT = 40.0  # of ln(D/N): units move it by less than 7, no text by so much
MOST_SIGNS = 300  # of a message
KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "PYTHONPATH", "NUMBA_CACHE_DIR", "SYSTEMROOT", "LD_LIBRARY_PATH")
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a method may take: seconds a table on the wall, and memory as address space."""

    seconds: float = LIMIT_SECONDS
    memory_gb: float = LIMIT_GB

    def __post_init__(self) -> None:
        for name, value in (("seconds", self.seconds), ("memory_gb", self.memory_gb)):
            if not (math.isfinite(value) and value > 0):
                raise InputError(f"{name} {value}", fix="give a number above zero")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a method said of one table: losses at the points asked, the floor, ln(D*/N*) of every budget, next runs.

    Each is None where the method does not say. `offline` says whether the system kept the process off the network.
    """

    status: Status
    message: str = ""
    seconds: float | None = None
    losses: tuple[Estimate, ...] | None = None
    floor: Estimate | None = None
    splits: tuple[Estimate | None, ...] = ()
    chosen: tuple[int, ...] | None = None
    offline: bool | None = None


def method_file(name: str) -> Path:
    """Return the file of a method: one of ours by its name, or a path to a Python file.

    Raises InputError for what is neither.
    """
    if name in OURS:
        return ENTRIES / f"{name}.py"
    path = Path(name)
    if not path.is_file() or path.suffix != ".py":
        what = "no Python file" if path.exists() else "no such file"
        raise InputError(what, place=name, fix=f"name a file METHOD.py with a function `fit`, or an entry; "
                         f"{did_you_mean(name, OURS)}")  # fmt: skip
    return path


def entry_sentences() -> dict[str, str]:
    """Return what each entry of ours does, in the first sentence of its file."""
    files = {name: ast.parse(method_file(name).read_text(encoding="utf-8")) for name in OURS}
    return {name: (ast.get_docstring(parsed) or "").split("\n")[0] for name, parsed in files.items()}


def run_method(source: Path, tasks: Sequence[Task], *, limits: Limits | None = None) -> list[Answer]:
    """Return a method's answer to every table; a table on which it stops has an answer that says how."""
    limits = limits or Limits()
    with tempfile.TemporaryDirectory(prefix="isoloss-arena-") as name:
        desk = Desk(own=Path(name) / "own", inbox=Path(name) / "inbox")
        _write_folders(desk, regular(source), tasks, limits)
        stopped: dict[int, Answer] = {}
        while (first := _first_open(desk, len(tasks), stopped)) < len(tasks) and len(stopped) < MOST_STOPS:
            status = _run_from(desk, first, tasks, limits)
            if status is not None:
                place = _first_open(desk, len(tasks), stopped)
                if place < len(tasks):
                    stopped[place] = status
        return [stopped.get(place) or _read_answer(desk.answer(place), task) for place, task in enumerate(tasks)]


@dataclass(frozen=True, kw_only=True)
class Desk:
    """Where a method works: `own` is the folder it may write in, `inbox` holds the one table that it is at."""

    own: Path
    inbox: Path

    def answer(self, place: int) -> Path:
        """Return the file of the answer to a table."""
        return self.own / f"{place:03}.answer.json"

    def answered(self, place: int) -> bool:
        """Whether there is an answer: a file, for a stranger may have put a pipe there."""
        return os.path.isfile(self.answer(place))  # False, too, where the folder is gone or closed


def _first_open(desk: Desk, count: int, stopped: dict[int, Answer]) -> int:
    """Return the first table without an answer that the method was not stopped on."""
    places = (place for place in range(count) if place not in stopped)
    return next((place for place in places if not desk.answered(place)), count)


def _write_folders(desk: Desk, source: Path, tasks: Sequence[Task], limits: Limits) -> None:
    desk.own.mkdir()
    desk.inbox.mkdir()
    settings = {
        "name": source.name, "memory_gb": limits.memory_gb, "tables": len(tasks),
        "cpu_seconds": math.ceil(START_SECONDS + limits.seconds * len(tasks)),
    }  # fmt: skip
    write_json(desk.own / "settings.json", settings)
    (desk.own / "method.py").write_bytes(source.read_bytes())


def _hand_over(desk: Desk, tasks: Sequence[Task], place: int) -> None:
    """Lay the table at `place` into the inbox, in place of the one before: a method sees one at a time."""
    for earlier in desk.inbox.iterdir():
        earlier.unlink()
    shown = tasks[place].shown
    runs = {
        "params": shown.params.tolist(), "tokens": shown.tokens.tolist(), "loss_nats": shown.loss_nats.tolist(),
        "trunk": shown.trunk, "seed": shown.seed,
    }  # fmt: skip
    candidates = None
    if shown.candidates is not None:
        n, d, flops = shown.candidates
        candidates = {"params": n.tolist(), "tokens": d.tolist(), "flops": flops}
    asked = {
        "params": shown.asked_params.tolist(), "tokens": shown.asked_tokens.tolist(),
        "budgets": list(shown.budgets), "candidates": candidates,
    }  # fmt: skip
    write_json(desk.inbox / f"{place:03}.json", {"runs": runs, "asked": asked})


def _run_from(desk: Desk, first: int, tasks: Sequence[Task], limits: Limits) -> Answer | None:
    """Run the worker from a table on until it is done; return how it stopped before that, or None."""
    _hand_over(desk, tasks, first)
    environment = {name: os.environ[name] for name in KEPT if name in os.environ}
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "isoloss.arena.worker", str(desk.own), str(desk.inbox), str(first)], cwd=desk.own,
        env={**environment, **ONE_THREAD, "TMPDIR": str(desk.own)}, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        return _watch(process, desk, first, tasks, limits)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _watch(
    process: "subprocess.Popen[bytes]", desk: Desk, first: int, tasks: Sequence[Task], limits: Limits
) -> Answer | None:
    """Hand over one table after another; return how the process stopped, None where it answered all."""
    place, deadline = first, time.monotonic() + START_SECONDS + limits.seconds
    while place < len(tasks):
        ended = process.poll()
        if desk.answered(place):
            place, deadline = place + 1, time.monotonic() + limits.seconds
            if place < len(tasks):
                _hand_over(desk, tasks, place)
        elif ended is not None:
            why = f"killed by signal {-ended}" if ended < 0 else f"exit code {ended}"
            return Answer(status="crash", message=why)
        elif time.monotonic() > deadline:
            return Answer(status="time", message=f"no answer within {limits.seconds:g} s")
        else:
            time.sleep(LOOK_SECONDS)
    return None


def _read_answer(path: Path, task: Task) -> Answer:
    """Return what a worker wrote, every number checked: a file that a stranger's code made, and may have spoilt."""
    if not os.path.isfile(path):
        return Answer(status="not_tried", message=f"stopped {MOST_STOPS} times before")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["status"] != "ok":
            known = {str(one): one for one in STATUS_WORDS}.get(content["status"], "nonsense")
            return Answer(status=known, message=_one_line(content["message"]), offline=content["offline"])
        return Answer(
            status="ok", seconds=_seconds(content["seconds"]), losses=_losses(content["losses"], task),
            floor=_estimate(content["floor"]), splits=tuple(map(_split, content["splits"])),
            chosen=_chosen(content["chosen"], task), offline=bool(content["offline"]),
        )  # fmt: skip
    except Exception as error:  # whatever it wrote, the others go on
        return Answer(status="nonsense", message=_one_line(error))


def _one_line(found: object) -> str:
    """Return a stranger's words as one line that any terminal and page can show."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in str(found)[:MOST_SIGNS]).split())


def _seconds(found: Any) -> float:
    seconds = float(found)
    if not (math.isfinite(seconds) and seconds >= 0):
        raise ValueError(f"{seconds} seconds")
    return seconds


def _split(found: Any) -> Estimate | None:
    """Return ln(D*/N*). Raises ValueError for a split that no unit of N and D explains."""
    split = _estimate(found)
    if split is not None and abs(split.value) > FARTHEST_SPLIT:
        raise ValueError(f"a split of exp({split.value:.4g}) tokens per parameter")
    return split


def _losses(found: list[Any] | None, task: Task) -> tuple[Estimate, ...] | None:
    if found is None:
        return None
    losses = tuple(_some(_estimate(one), "a loss") for one in found)
    if len(losses) != len(task.key.losses):
        raise ValueError(f"{len(losses)} losses for {len(task.key.losses)} points")
    if worst := [one.value for one in losses if one.value <= 0]:
        raise ValueError(f"a loss of {worst[0]:g} nats per token")
    return losses


def _chosen(found: list[Any] | None, task: Task) -> tuple[int, ...] | None:
    if found is None or task.key.next_runs is None:
        return None
    chosen = tuple(int(place) for place in found)
    if not task.key.next_runs.pays(chosen):
        raise ValueError(f"{len(chosen)} next runs that are no choice within the budget")
    return chosen


def _some(found: Estimate | None, what: str) -> Estimate:
    if found is None:
        raise ValueError(f"{what} is missing")
    return found


def _estimate(found: Any) -> Estimate | None:
    """Return a value with its interval. Raises ValueError for a number that is not finite, or ends out of order."""
    if found is None:
        return None
    value, low, high = (None if each is None else float(each) for each in found)
    if value is None or not math.isfinite(value):
        raise ValueError(f"{value} is no number")
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return Estimate(value=value)
    if low > high:
        raise ValueError(f"an interval from {low:g} to {high:g}")
    return Estimate(value=value, low=low, high=high)
