"""Runs that the package wandb wrote on a disk, offline or before they were sent: files `run-ID.wandb`.

A file is a log in LevelDB's format (blocks of 32 KiB; records whole or in parts, each with a checksum, a length and a
kind) of protobuf messages. No public library reads it, wandb's own since 0.31 among them; of the messages, those of
configuration, history and summary are read, by the numbers that wandb_internal.proto gives their fields.
"""

import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from isoloss.core.errors import BadTable
from isoloss.runs.columns import number_or_none, whole_step
from isoloss.runs.events import guessed_loss
from isoloss.runs.logged import LoggedRun, Value, joined, sessions
from isoloss.runs.table_files import flattened

MAGIC = b":W&B\xe1\xbe\x00"
BLOCK = 1 << 15
HEADER = struct.Struct("<IHB")
WHOLE, FIRST, MIDDLE, LAST = 1, 2, 3, 4
# Fields of Record, of RunRecord, of a history, a configuration or a summary, and of an item of one.
HISTORY, SUMMARY, CONFIG, RUN = 2, 3, 5, 17
RUN_ID, RUN_CONFIG, RUN_NAME = 1, 4, 8
ITEMS, KEY, NESTED_KEY, JSON = 1, 1, 2, 16
# wandb's own step counts calls of log; trainers log their steps next to it.
OWN_STEP = "_step"
TRAINER_STEPS = ("trainer/global_step", "train/global_step", "global_step")
TOKENS = ("tokens", "train/num_input_tokens_seen", "num_input_tokens_seen")


@dataclass
class _Run:
    """What the files of a run said so far."""

    id: str = ""
    name: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def run_files(source: Path) -> list[Path]:
    """Return the `.wandb` files at and below `source`, by the names of their folders: these begin with the time."""
    if source.is_file():
        return [source] if source.suffix == ".wandb" else []
    found = {path.resolve(): path for path in sorted(source.rglob("*.wandb")) if path.is_file()}
    return sorted(found.values(), key=lambda path: (path.parent.name.partition("run-")[2], path.name))


def read_offline(source: Path, *, step: str | None = None) -> list[LoggedRun]:
    """Return the runs in the `.wandb` files of `source`; those of one ID are one run, taken up again.

    `step` names what counts the steps; without it a trainer's own step, where it was logged, else wandb's. Raises
    BadTable for a file that is none of wandb's, and for one without a history.
    """
    runs: dict[str, _Run] = {}
    for path in run_files(source):
        read = _read(path)
        known = runs.setdefault(read.id or path.stem, read)
        if known is not read:
            known.config |= read.config
            known.summary |= read.summary
            known.history += read.history
            known.notes += read.notes
        known.files.append(path)
    return [_logged(run, step) for run in runs.values()]


def _logged(run: _Run, step: str | None) -> LoggedRun:
    place = str(run.files[-1])
    if not run.history:
        raise BadTable("no history: nothing was logged", place=place, fix="leave the run out, or give another folder")
    axis = step or next((name for name in TRAINER_STEPS if any(name in row for row in run.history)), OWN_STEP)
    curves, notes = joined(sessions(_points(run, axis, place)), place=place)
    if axis == OWN_STEP:
        notes.append(
            "these steps are wandb's own, which count calls of log; --batch-tokens is right only if every step was "
            "logged"
        )
    fields: dict[str, Value] = {
        key: value for key, value in {**run.summary, **run.config}.items() if key not in curves and key[:1] != "_"
    }
    known = {*fields, *curves}
    loss = guessed_loss(curves)
    guesses = {"loss": loss} if loss else {}
    guesses |= {"params": "params"} if "params" in known else {}
    tokens = next((name for name in TOKENS if name in known), None)
    guesses |= {"tokens": tokens} if tokens else {}
    return LoggedRun(
        name=run.name or run.id, place=place, fields=fields, curves=curves, guesses=guesses, notes=[*run.notes, *notes]
    )


def _points(run: _Run, axis: str, place: str) -> Iterator[tuple[str, int, float]]:
    """Yield the history as (tag, step, value), in its order. A row without the step has that of the row before."""
    step: int | None = None
    for row in run.history:
        if axis in row:
            step = whole_step(row[axis])
            if step is None:
                raise BadTable(
                    f"step {row[axis]!r} in {axis!r}, expected a whole number", place=place, fix="name another: --step"
                )
        for tag, value in row.items():
            number = None if isinstance(value, bool) else number_or_none(value)
            if step is not None and number is not None and tag != axis and tag[:1] != "_":
                yield tag, step, number


def _read(path: Path) -> _Run:
    """Return what a file says. One that breaks off, as of a run that was killed, is read up to there."""
    run = _Run()
    content = path.read_bytes()
    if not content.startswith(MAGIC):
        raise BadTable("not a log of wandb", place=str(path), fix="give the folder that wandb wrote")
    try:
        for record in _records(content):
            _take(run, record)
    except (ValueError, IndexError, struct.error):
        run.notes.append(f"{path.name} is truncated: the part before that is read")
    return run


def _take(run: _Run, record: bytes) -> None:
    """Add to a run what a record says."""
    for number, value in _fields(record):
        if number == RUN and isinstance(value, bytes):
            parts = dict(_fields(value))
            run.id, run.name = _text(parts.get(RUN_ID)), _text(parts.get(RUN_NAME))
            run.config |= _flat(_items(parts.get(RUN_CONFIG)))
        elif number == CONFIG:
            run.config |= _flat(_items(value))
        elif number == SUMMARY:
            run.summary |= _flat(_items(value))
        elif number == HISTORY:
            run.history.append(_items(value))


def _items(message: int | bytes | None) -> dict[str, Any]:
    """Return the items of a history, a configuration or a summary: by key, nested ones with points between."""
    found = {}
    for number, item in _fields(message if isinstance(message, bytes) else b""):
        if number != ITEMS or not isinstance(item, bytes):
            continue
        parts = list(_fields(item))
        key = ".".join(_text(value) for number, value in parts if number in (KEY, NESTED_KEY))
        said = next((_text(value) for number, value in parts if number == JSON), None)
        if key and said is not None:
            found[key] = json.loads(said)
    return found


def _flat(items: Mapping[str, Any]) -> dict[str, Any]:
    """Return scalars by name, those of nested objects with points between."""
    return {
        name: value
        for name, value in flattened(items).items()
        if isinstance(value, str | int | float | bool) and not name.rpartition(".")[2].startswith("_")
    }


def _records(content: bytes) -> Iterator[bytes]:
    """Yield the records of a log. Raises ValueError where it breaks off within one."""
    at, held = len(MAGIC), b""
    while at < len(content):
        left = BLOCK - at % BLOCK
        if left < HEADER.size:
            at += left
            continue
        _, length, kind = HEADER.unpack_from(content, at)
        at += HEADER.size
        part = content[at : at + length]
        if len(part) < length or not WHOLE <= kind <= LAST:
            raise ValueError("a part of a record that is none")
        at += length
        held = part if kind in (WHOLE, FIRST) else held + part
        if kind in (WHOLE, LAST):
            yield held


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield the fields of a protobuf message as (number, value): whole numbers, or bytes for all that has a length."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        match tag & 7:
            case 0:
                value, at = _varint(message, at)
                yield tag >> 3, value
            case 1 | 5 as kind:
                at += 8 if kind == 1 else 4
            case 2:
                length, at = _varint(message, at)
                if at + length > len(message):
                    raise ValueError("a field longer than its message")
                yield tag >> 3, message[at : at + length]
                at += length
            case _:
                raise ValueError("a kind of field that protobuf does not have")


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
        if shift > 63:
            raise ValueError("a number longer than ten bytes")


def _text(value: int | bytes | None) -> str:
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else ""
