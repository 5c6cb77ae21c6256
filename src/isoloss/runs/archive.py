"""The archive: a folder of records that any number of processes may write at once.

    archive.json                 the schema of the folder
    runs/<run>.json              one record a run; its presence is what 'finished' means
    curves/<run>.parquet         step, tokens, train_nats, lr, and held-out losses where they were taken
    documents/<run>.parquet      final loss of every held-out document: document, tokens, nats (mean per scored token)
    corpora/<corpus>/            tokenised corpora
    checkpoints/<trunk>/         unfinished trunks, removed when they are done
    weights/<run>/               final weights as a model's folder, of runs that end while `weights` is there
    imported/<import>.parquet    runs brought in from elsewhere, one row a run
    damaged/                     files that were not what had been written, set aside

Every file is written next to its target and renamed; the record comes last. It carries the digests of itself, its
curve and its documents; the documents carry a copy of the record.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError
from pydantic_core import from_json

from isoloss.core import files
from isoloss.core.arrow import values_of
from isoloss.core.errors import DamagedArchive, InputError, UnknownName
from isoloss.core.reading import own_json
from isoloss.core.schema import refuse_newer
from isoloss.runs.checksums import file_digest, opened, with_checksums
from isoloss.runs.documents import DocumentLosses
from isoloss.runs.neighbours import with_neighbour_flags
from isoloss.runs.record import RECORD_SCHEMA, RunRecord
from isoloss.runs.sql import PASSED_OVER, query_table
from isoloss.runs.tables import flat_table, with_imported
from isoloss.runs.underway import underway

ARCHIVE_SCHEMA = 1
MOST_ROWS = 50_000_000  # of a curve or of documents
KINDS = ("curves", "documents")
RECORD_COPY = b"isoloss.record"
REPAIR = "run the study again: it finds what is damaged and repairs it"
ALL_RUNS = (
    "SELECT corpus, params, tokens, loss_nats, stderr, status, flags, progress, train_nats, flops, width, depth, "
    "peak_lr, wall_seconds, run, error FROM runs ORDER BY corpus, params, tokens"
)
REMARK = "delete this file: it is written again and contains nothing else"

Columns = Mapping[str, Sequence[float] | np.ndarray[Any, Any]]


class Archive:
    """A folder of runs. Opening creates it; a folder of a newer schema is refused with NewerArchive."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.passed_over: list[str] = []  # what `records` and `table` last passed over, in sentences
        marker = self.folder / "archive.json"
        if marker.exists():
            _check_schema(_read_json(marker, fix=REMARK).get("schema"), place=marker)
        else:
            files.write_json(marker, {"schema": ARCHIVE_SCHEMA, "kind": "isoloss archive"})

    @classmethod
    def reopen(cls, folder: Path | str) -> "Archive":
        """Return the archive of an existing results folder. Raises InputError where there is none."""
        if not cls.stands_in(folder):
            raise InputError("no results folder", place=str(folder), fix="make one with `isoloss run STUDY`")
        return cls(folder)

    @staticmethod
    def stands_in(folder: Path | str) -> bool:
        """Whether `folder` is an archive: it says so, or holds runs, where what says so was deleted as damaged."""
        folder = Path(folder)
        runs = [(folder / "runs").glob("run*-*.json"), (folder / "imported").glob("import*-*.parquet")]
        return (folder / "archive.json").is_file() or any(map(any, runs))

    def corpus_folder(self, corpus: str) -> Path:
        """Return the folder of a corpus by fingerprint."""
        return self.folder / "corpora" / corpus

    def checkpoint_folder(self, trunk: str) -> Path:
        """Return the folder of a trunk's checkpoints."""
        return self.folder / "checkpoints" / trunk

    def weights_folder(self, run: str) -> Path:
        """Return the folder of a run's final weights, which is there if they were kept."""
        return self.folder / "weights" / run

    @property
    def keeps_weights(self) -> bool:
        """Whether runs that end leave their weights."""
        return (self.folder / "weights").is_dir()

    def keep_weights(self) -> None:
        """Keep the final weights of every run that ends from now on, whichever process trains it."""
        with files.storage_errors(self.folder):
            (self.folder / "weights").mkdir(exist_ok=True)

    def find_run(self, prefix: str) -> RunRecord:
        """Return the record of the one run whose fingerprint starts with `prefix`, or raise UnknownName."""
        found = [record for record in self.records() if record.fingerprint.startswith(prefix)]
        if len(found) != 1:
            what = f"{len(found)} runs begin with {prefix}…" if found else f"no run {prefix!r}"
            fix = f"isoloss runs {self.folder} lists them"
            raise UnknownName(what, place=str(self.folder), fix=fix)
        return found[0]

    def has(self, run: str) -> bool:
        """Whether the run ended as a record that need not be run again. A failed run is tried again."""
        record = self.read(run)
        return record is not None and record.status != "failed"

    def read(self, run: str) -> RunRecord | None:
        """Return a run's record, or None. Raises DamagedArchive or NewerArchive for a file that is not one."""
        path = self.record_path(run)
        with files.storage_errors(path):
            exists = path.exists()
        record = read_record(path) if exists else None
        if record is not None and record.fingerprint != run:
            raise DamagedArchive(f"holds the record of {record.fingerprint}", place=str(path), fix=REPAIR)
        return record

    def record_path(self, run: str) -> Path:
        """Return where the record of a run stands."""
        return self.folder / "runs" / f"{run}.json"

    def columns_path(self, kind: str, run: str) -> Path:
        """Return where the `curves` or `documents` of a run stand."""
        return self.folder / kind / f"{run}.parquet"

    def digests(self, run: str) -> dict[str, str] | None:
        """Return the digests that a run's record states of the files next to it; None where an older isoloss wrote it.

        Raises DamagedArchive where the record is not what was written.
        """
        return _read_checksums(self.record_path(run))[1]

    def records(self) -> Iterator[RunRecord]:
        """Yield every record, in the order of their fingerprints.

        One that is not called by its run, a copy or renamed, would count a run twice: `passed_over` then tells of it.
        """
        self.passed_over = []
        for path in self._record_files():
            record = read_record(path)
            if record.fingerprint == path.stem:
                yield record
            else:
                self.passed_over.append(
                    f"{path} contains the record of {record.fingerprint} and is ignored: remove it, or rename it to "
                    "match"
                )

    def _record_files(self) -> list[Path]:
        folder = self.folder / "runs"
        with files.storage_errors(folder):  # a glob would take a folder that may not be read for an empty one
            names = sorted(os.listdir(folder)) if folder.exists() else []
        return [folder / name for name in names if name.endswith(".json") and not name.startswith(".")]

    def write(self, record: RunRecord, *, curve: Columns, documents: Columns) -> None:
        """Write a run: curve and documents first, the record last, with their digests."""
        content = json.loads(record.model_dump_json())
        record_copy = json.dumps(with_checksums(content, files={}))
        self.write_record(
            content,
            digests={
                "curves": self.write_columns("curves", record.fingerprint, curve),
                "documents": self.write_columns("documents", record.fingerprint, documents, record_copy=record_copy),
            },
        )

    def write_record(self, content: Mapping[str, Any], *, digests: Mapping[str, str]) -> None:
        """Write a record alone: `content`, with the digests of the files next to it."""
        files.write_json(self.record_path(content["fingerprint"]), with_checksums(content, files=digests))

    def write_columns(self, kind: str, name: str, columns: Columns, *, record_copy: str | None = None) -> str:
        """Write columns as Parquet under `kind`, with the text of a record in it, and return the file's digest."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.table({key: pa.array(np.asarray(values)) for key, values in columns.items()})
        if record_copy is not None:
            table = table.replace_schema_metadata({RECORD_COPY: record_copy})
        with files.replacing(self.columns_path(kind, name)) as temporary:
            pq.write_table(table, temporary, write_page_checksum=True)
            return file_digest(temporary)

    def read_columns(self, kind: str, name: str) -> dict[str, np.ndarray[Any, Any]]:
        """Return the columns of a Parquet file of the archive. Raises DamagedArchive where it cannot be read."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = self.columns_path(kind, name)
        try:
            # From memory it takes half the time, and without threads a tenth: archives have thousands of small files.
            with pq.ParquetFile(pa.BufferReader(files.regular(path).read_bytes())) as file:
                if file.metadata.num_rows > MOST_ROWS:
                    raise OSError(f"{file.metadata.num_rows:,} rows")
                table = file.read(use_threads=False)
        except (OSError, pa.ArrowException) as error:
            reason = "is missing" if not path.exists() else f"cannot be read as Parquet: {error}"
            raise DamagedArchive(
                reason, place=str(path),
                fix=REPAIR,
            ) from error  # fmt: skip
        return {key: values_of(table[key]) for key in table.column_names}

    def document_losses(self, run: str) -> DocumentLosses:
        """Return the final loss of every held-out document of a run."""
        columns = self.read_columns("documents", run)
        try:
            whole = {name: columns[name].astype(np.int64, casting="same_kind") for name in ("document", "tokens")}
            return DocumentLosses(**whole, nats=columns["nats"].astype(np.float64, casting="same_kind"))
        except (KeyError, TypeError) as error:
            place = str(self.columns_path("documents", run))
            raise DamagedArchive(f"not a file of losses by document: {error}", place=place, fix=REPAIR) from error

    def table(self) -> "Any":
        """Return the runs as an Arrow table of plain columns, corpora by name, flags as in a study.

        Runs that are being trained, were interrupted or were imported stand in it too. Its metadata `PASSED_OVER` are
        the sentences of `passed_over`.
        """
        corpora = {path.parent.name: _read_json(path) for path in (self.folder / "corpora").glob("*/corpus.json")}
        records = with_neighbour_flags(
            list(self.records()), losses_of=self.document_losses,
            floored={corpus for corpus, about in corpora.items() if about.get("floor") is not None},
        )  # fmt: skip
        names = {corpus: str(about.get("name", corpus)) for corpus, about in corpora.items()}
        known = {record.fingerprint for record in records}
        open_runs = [run for run in underway(self.folder) if run.spec.fingerprint not in known]
        table = with_imported(flat_table(records, open_runs, names=names), self.folder)
        return table.replace_schema_metadata({PASSED_OVER: json.dumps(self.passed_over)})

    def query(self, sql: str | None = None) -> "Any":
        """Return the Arrow table of a SQL query over the view `runs`, by default all of them in order.

        The query can reach nothing else.
        """
        return query_table(self.table(), sql or ALL_RUNS)


def read_record(path: Path) -> RunRecord:
    """Return the record in `path`."""
    content, _ = _read_checksums(path)
    try:
        return RunRecord.model_validate(content)
    except ValidationError as error:
        raise DamagedArchive(
            f"not a record: {error.errors()[0]['msg']} at {error.errors()[0]['loc']}", place=str(path), fix=REPAIR
        ) from error


def _read_checksums(path: Path) -> tuple[dict[str, Any], dict[str, str] | None]:
    content = _read_json(path, parse=from_json)  # a quarter of the time of looking at every number
    try:
        bare, digests = opened(content)
        if digests is None:
            bare = _read_json(path)  # nothing says that its numbers are those that were written
        if not isinstance(bare.get("schema"), int):
            raise ValueError("it has no schema")
    except (ValueError, TypeError, AttributeError) as error:
        raise DamagedArchive(f"the record is damaged: {error}", place=str(path), fix=REPAIR) from error
    refuse_newer(bare["schema"], RECORD_SCHEMA, place=path)
    return bare, digests


def _read_json(path: Path, *, fix: str = REPAIR, parse: Callable[[bytes], Any] = own_json) -> dict[str, Any]:
    with files.storage_errors(path):
        try:
            text = files.regular(path).read_bytes()
        except OSError as error:
            if path.is_file() or (not path.is_symlink() and not path.exists()):
                raise
            what = files.kind_of(path) if path.exists() else "a broken link"
            raise DamagedArchive(f"{what}, expected a file", place=str(path), fix=f"remove it, then {fix}") from error
    try:
        content = parse(text)
    except ValueError as error:
        raise DamagedArchive(f"cannot be read: {error}", place=str(path), fix=fix) from error
    if not isinstance(content, dict):
        raise DamagedArchive("not a JSON object", place=str(path), fix=fix)
    return content


def _check_schema(found: object, *, place: Path) -> None:
    if not isinstance(found, int) or isinstance(found, bool):
        raise DamagedArchive(f"schema {found!r}, expected a number", place=str(place), fix=REMARK)
    refuse_newer(found, ARCHIVE_SCHEMA, place=place)
