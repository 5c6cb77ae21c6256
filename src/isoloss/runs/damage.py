"""Damage in an archive, found by the digests in the records: put right where possible, else set aside and named.

| damaged | what happens |
|---|---|
| a record | it is written again from its copy in the documents; without one its run is trained again |
| a run's documents | its run is trained again: flags and paired errors need every document's loss |
| a run's curve | its record stands, an empty curve takes the place of the lost one |

Damaged files move to `damaged/`; nothing is deleted.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isoloss.core import files
from isoloss.core.errors import DamagedArchive
from isoloss.runs.archive import KINDS, RECORD_COPY, Archive
from isoloss.runs.checksums import file_digest, opened

DAMAGED = "damaged"


@dataclass(frozen=True, kw_only=True)
class Damage:
    """A file of a run that was not what had been written, and what became of it."""

    run: str
    file: Path
    outcome: str

    def __str__(self) -> str:
        return f"{self.file} is damaged: {self.outcome}"


def mend(archive: Archive, runs: Iterable[str]) -> list[Damage]:
    """Check the files of `runs` that have records, repair what can be, and set aside what must be trained again.

    Any number of processes may do so at once. Raises NewerArchive for a record of a newer isoloss.
    """
    suspects = [run for run in runs if _damaged(archive, run)]
    if not suspects:
        return []
    with files.locked(archive.folder / ".mend.lock"):
        # Somebody else may have mended it by now, and a trainer may have written it anew.
        found = [(run, kind) for run in suspects for kind in _damaged(archive, run)]
        return [_mended(archive, run, kind) for run, kind in found]


def _damaged(archive: Archive, run: str) -> list[str]:
    """Return what of a run is damaged: `record` (of the rest nothing is known then), or kinds of columns."""
    if not archive.record_path(run).exists():
        return []
    try:
        record, digests = archive.read(run), archive.digests(run)
    except DamagedArchive:
        return ["record"]
    if record is None or record.status == "failed" or digests is None:
        return []  # it is trained again anyway, or an older isoloss wrote it without digests
    return [kind for kind in KINDS if digests.get(kind) != _digest(archive.columns_path(kind, run))]


def _mended(archive: Archive, run: str, what: str) -> Damage:
    if what == "record":
        return _mend_record(archive, run)
    path = archive.columns_path(what, run)
    _set_aside(archive, path)
    if what == "documents":
        _set_aside(archive, archive.record_path(run))
        return Damage(run=run, file=path, outcome="its run is trained again")
    digests = {**(archive.digests(run) or {}), what: archive.write_columns(what, run, _EMPTY_CURVE)}
    content, _ = opened(json.loads(archive.record_path(run).read_bytes()))
    archive.write_record(content, digests=digests)
    return Damage(run=run, file=path, outcome="the training curve is lost, but the run's loss is intact")


_EMPTY_CURVE: dict[str, list[float]] = {"step": [], "tokens": [], "train_nats": [], "lr": [], "heldout_nats": []}


def _mend_record(archive: Archive, run: str) -> Damage:
    path = archive.record_path(run)
    copy = _record_copy(archive.columns_path("documents", run), run)
    _set_aside(archive, path)
    if copy is None:
        return Damage(run=run, file=path, outcome="its run is trained again")
    digests = {kind: _digest(archive.columns_path(kind, run)) for kind in KINDS}
    archive.write_record(copy, digests={kind: digest for kind, digest in digests.items() if digest})
    return Damage(run=run, file=path, outcome="it was restored from its copy; nothing is lost")


def _record_copy(documents: Path, run: str) -> dict[str, Any] | None:
    """Return the content of the record that the documents of a run carry, or None where it is not whole."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(documents, page_checksum_verification=True)
        content, _ = opened(json.loads((table.schema.metadata or {})[RECORD_COPY]))
    except (OSError, pa.ArrowException, KeyError, ValueError, TypeError, AttributeError):
        return None
    return content if content.get("fingerprint") == run else None


def _digest(path: Path) -> str | None:
    try:
        return file_digest(path)
    except FileNotFoundError:
        return None


def _set_aside(archive: Archive, path: Path) -> None:
    """Move a file to `damaged/`, next to others of its name that lie there."""
    folder = archive.folder / DAMAGED
    with files.storage_errors(folder):
        folder.mkdir(exist_ok=True)
        taken = sum(1 for _ in folder.glob(f"{path.name}*"))
        if path.exists():
            path.replace(folder / (f"{path.name}.{taken}" if taken else path.name))
