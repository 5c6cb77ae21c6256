"""Call the command line on hostile inputs, and say what no input may do.

No input may raise, end in a code that means nothing, take more than ten seconds or two GB, send control characters to a
terminal, or answer `--json` with anything but one object.
"""

import faulthandler
import io
import json
import os
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

CODES = (0, 1, 2, 130, 143)
MOST_SECONDS = 10.0  # of the processor: what others do on the machine does not count
MOST_BYTES = 2 << 30
LIMIT_BYTES = 4 << 30  # of address space beyond what is taken: more is refused by the system, and seen as a failure
MOST_SHOWN = 20_000  # characters of an error
HANGS = 900.0  # seconds on the wall after which the process is ended with the stack that it hangs in
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

Maker = Callable[[random.Random, Path], list[str]]
"""Writes files into a folder and returns the arguments of a call that reads them."""


@dataclass(frozen=True)
class Outcome:
    """What a call did: its exit code, None where it raised, and what it wrote."""

    code: int | None
    out: str
    err: str
    seconds: float
    bytes: int


def wrong(arguments: list[str], outcome: Outcome) -> str | None:
    """Return what a call did that none may do, in a line; None where it behaved."""
    if outcome.code is None or "Traceback (most recent call last)" in outcome.err:
        return "traceback: " + outcome.err.strip().splitlines()[-1][:200]
    if outcome.code not in CODES:
        return f"exit code {outcome.code}"
    if outcome.seconds > MOST_SECONDS:
        return f"{outcome.seconds:.1f} s"
    if outcome.bytes > MOST_BYTES:
        return f"{outcome.bytes / 1e9:.1f} GB"
    if "enough memory" in outcome.err + outcome.out:
        return f"over {LIMIT_BYTES >> 30} GB"
    return _wrong_words(outcome, as_json="--json" in arguments)


def _wrong_words(outcome: Outcome, *, as_json: bool) -> str | None:
    for stream in (outcome.out, outcome.err):
        if found := CONTROL.search(stream):
            return f"control character {found[0]!r}"
    if len(outcome.err) > MOST_SHOWN:
        return f"an error of {len(outcome.err)} characters"
    if as_json:
        try:
            output = json.loads(outcome.out)
        except ValueError as error:
            return f"no JSON: {error}"
        if outcome.code == 2 and set(output["error"]) != {"kind", "message", "place", "fix"}:
            return "an error without its four keys"
    elif outcome.code == 2 and "error: " not in outcome.err:
        return "exit 2 without a word"
    return None


def call(arguments: list[str], folder: Path) -> Outcome:
    """Run the command line in this process, standing in `folder`."""
    from isoloss import cli

    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace") for _ in range(2))
    before, code = os.getcwd(), None
    os.chdir(folder)
    faulthandler.dump_traceback_later(HANGS, exit=True)
    Path("/proc/self/clear_refs").write_text("5")  # the peak is that of this call
    held, began = _resident("VmRSS"), time.process_time()
    try:
        with redirect_stdout(out), redirect_stderr(err), _limited_memory():
            code = cli.run(arguments)
    except BaseException:
        err.write(traceback.format_exc())
    finally:
        faulthandler.cancel_dump_traceback_later()
        os.chdir(before)
    seconds, grown = time.process_time() - began, _resident("VmHWM") - held
    return Outcome(code, *(_written(stream) for stream in (out, err)), seconds, grown)


@contextmanager
def _limited_memory() -> Iterator[None]:
    """Let this process take LIMIT_BYTES more, and no more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_resident("VmSize") + LIMIT_BYTES, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def call_apart(arguments: list[str], folder: Path) -> Outcome:
    """Run the command line as a user does, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "isoloss", *arguments], cwd=folder, capture_output=True, check=False, timeout=HANGS
    )
    out, err = (stream.decode("utf-8", errors="replace") for stream in (done.stdout, done.stderr))
    return Outcome(done.returncode, out, err, 0.0, 0)


def _resident(name: str) -> int:
    return int(re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) << 10


def _written(stream: io.TextIOWrapper) -> str:
    stream.flush()
    return stream.buffer.getvalue().decode("utf-8")


@dataclass(frozen=True)
class Failure:
    """An input that made a call misbehave: where it lies, and how to call it again."""

    room: str
    number: int
    reason: str
    arguments: list[str]
    output: str


def try_one(room: str, maker: Maker, *, seed: int, number: int, apart: bool = False) -> Failure | None:
    """Make input `number` of a room and call it. The same seed and number make the same input."""
    above = Path(tempfile.mkdtemp(prefix="isoloss-fuzz-"))
    folder = above / "in"  # a link to `..` leads to nothing else
    folder.mkdir()
    try:
        arguments = maker(random.Random(f"{seed} {room} {number}"), folder)
        if apart and any("\0" in argument or not _encodes(argument) for argument in arguments):
            apart = False  # no system hands such an argument over
        outcome = (call_apart if apart else call)(arguments, folder)
    finally:
        shutil.rmtree(above, ignore_errors=True)
    reason = wrong(arguments, outcome)
    return Failure(room, number, reason, arguments, outcome.err) if reason else None


def _encodes(text: str) -> bool:
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return False
    return True


def run(
    makers: dict[str, Maker],
    *,
    seed: int,
    seconds: float,
    most: int | None = None,
    first: int = 0,
    every_apart: int = 50,
    tell: Callable[[Failure], None] = lambda failure: None,
) -> tuple[Counter[str], list[Failure]]:
    """Try inputs of all rooms in turn until the time is over, every so many of them in a process of their own."""
    tried: Counter[str] = Counter()
    failures = []
    ends, number = time.monotonic() + seconds, first
    while time.monotonic() < ends and (most is None or tried.total() < most):
        room = list(makers)[number % len(makers)]
        if failure := try_one(
            room, makers[room], seed=seed, number=number, apart=number % every_apart == every_apart - 1
        ):
            failures.append(failure)
            tell(failure)
        tried[room] += 1
        number += 1
    return tried, failures
