"""Trunks that are being trained, or were interrupted, as anybody may see them in an archive.

checkpoints/<trunk>/job.json         the runs that are to come of the trunk
checkpoints/<trunk>/progress.json    how far it is, rewritten twice a second
checkpoints/<trunk>.lock             held by whoever trains it
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from isoloss.core import files
from isoloss.core.frozen import Frozen
from isoloss.core.remains import is_held
from isoloss.runs.spec import RunSpec

JOB, PROGRESS = "job.json", "progress.json"


class TrunkProgress(Frozen):
    """`tokens` of the trunk's `total_tokens`, branches included, are trained on.

    `loss_nats` is the latest training loss, if there is one.
    """

    tokens: int = Field(ge=0)
    total_tokens: int = Field(gt=0)
    loss_nats: float | None
    tokens_per_second: float


class _Job(Frozen):
    schema_version: int = Field(default=1, alias="schema")
    specs: tuple[RunSpec, ...]


@dataclass(frozen=True, kw_only=True)
class OpenRun:
    """A run without a record on a trunk that somebody began; progress, speed and time left are the trunk's."""

    spec: RunSpec
    status: Literal["running", "interrupted"]
    progress: float = 0.0
    train_nats: float | None = None
    tokens_per_second: float | None = None
    seconds_left: float | None = None


def lock_path(checkpoints: Path) -> Path:
    """Return the lock of the trunk whose checkpoints lie in the folder `checkpoints`."""
    return checkpoints.with_suffix(".lock")


def note_job(checkpoints: Path, specs: Sequence[RunSpec]) -> None:
    """Write down which runs are to come of a trunk."""
    files.write_text(checkpoints / JOB, _Job(specs=tuple(specs)).model_dump_json(by_alias=True, exclude_defaults=True))


def note_progress(checkpoints: Path, progress: TrunkProgress) -> None:
    """Write down how far a trunk is. It is for looking at, so nothing waits for the disk."""
    temporary = checkpoints / f".{PROGRESS}.{os.getpid()}"
    with files.storage_errors(checkpoints):
        temporary.write_text(progress.model_dump_json(include=set(TrunkProgress.model_fields)), encoding="utf-8")
        temporary.replace(checkpoints / PROGRESS)


def underway(archive: Path) -> Iterator[OpenRun]:
    """Yield the runs of every trunk in the folder `archive` that was begun and not ended, trunk by trunk."""
    for job in sorted((archive / "checkpoints").glob(f"*/{JOB}")):
        try:
            specs = _Job.model_validate_json(job.read_bytes()).specs
        except (OSError, ValidationError):
            continue  # it ended just now, or is of no use: trainers do not read it
        held = is_held(lock_path(job.parent))
        seen = _progress(job.parent / PROGRESS)
        for spec in specs:
            yield _open_run(spec, seen, running=held)


def _open_run(spec: RunSpec, seen: TrunkProgress | None, *, running: bool) -> OpenRun:
    if seen is None:
        return OpenRun(spec=spec, status="running" if running else "interrupted")
    speed = seen.tokens_per_second if running else None
    return OpenRun(
        spec=spec, status="running" if running else "interrupted", progress=seen.tokens / seen.total_tokens,
        train_nats=seen.loss_nats, tokens_per_second=speed,
        seconds_left=(seen.total_tokens - seen.tokens) / speed if speed else None,
    )  # fmt: skip


def _progress(path: Path) -> TrunkProgress | None:
    try:
        return TrunkProgress.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
