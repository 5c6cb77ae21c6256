"""The archive: a folder of records that any number of processes may write at once.

    archive.json                 the schema of the folder
    runs/<run>.json              one record a run; its presence is what 'finished' means
    curves/<run>.parquet         step, tokens, train_nats, lr, and held-out losses where they were taken
    documents/<run>.parquet      final loss of every held-out document: document, tokens, nats (mean per scored token)
    corpora/<corpus>/            tokenised corpora
    checkpoints/<trunk>/         unfinished trunks, removed when they are done

Every file is written beside its target and renamed; the record comes last.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from isoloss.core import files
from isoloss.core.errors import BadTable, DamagedArchive, InputError
from isoloss.core.schema import refuse_newer
from isoloss.runs.documents import DocumentLosses
from isoloss.runs.neighbours import with_neighbour_flags
from isoloss.runs.record import RECORD_SCHEMA, RunRecord

ARCHIVE_SCHEMA = 1
ROW = "__row__"  # position of a row in its source, kept through conditions for messages

Columns = Mapping[str, Sequence[float] | np.ndarray[Any, Any]]


class Archive:
    """A folder of runs. Opening creates it; a folder of a newer schema is refused with NewerArchive."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        marker = self.folder / "archive.json"
        if marker.exists():
            _check_schema(_read_json(marker).get("schema"), ARCHIVE_SCHEMA, place=marker)
        else:
            files.write_json(marker, {"schema": ARCHIVE_SCHEMA, "kind": "isoloss archive"})

    @staticmethod
    def stands_in(folder: Path | str) -> bool:
        """Whether `folder` is an archive."""
        return (Path(folder) / "archive.json").is_file()

    def corpus_folder(self, corpus: str) -> Path:
        """Return the folder of a corpus by fingerprint."""
        return self.folder / "corpora" / corpus

    def checkpoint_folder(self, trunk: str) -> Path:
        """Return the folder of a trunk's checkpoints."""
        return self.folder / "checkpoints" / trunk

    def has(self, run: str) -> bool:
        """Whether the run ended as a record that need not be run again. A failed run is tried again."""
        record = self.read(run)
        return record is not None and record.status != "failed"

    def read(self, run: str) -> RunRecord | None:
        """Return a run's record, or None. Raises DamagedArchive or NewerArchive for a file that is not one."""
        path = self.folder / "runs" / f"{run}.json"
        with files.storage_errors(path):
            exists = path.exists()
        return read_record(path) if exists else None

    def records(self) -> Iterator[RunRecord]:
        """Yield every record, in the order of their fingerprints."""
        folder = self.folder / "runs"
        with files.storage_errors(folder):  # a glob would take a folder that may not be read for an empty one
            names = sorted(os.listdir(folder)) if folder.exists() else []
        for name in names:
            if name.endswith(".json") and not name.startswith("."):
                yield read_record(folder / name)

    def write(self, record: RunRecord, *, curve: Columns, documents: Columns) -> None:
        """Write a run: curve and documents first, the record last."""
        self.write_columns("curves", record.fingerprint, curve)
        self.write_columns("documents", record.fingerprint, documents)
        files.write_text(self.folder / "runs" / f"{record.fingerprint}.json", record.model_dump_json(indent=1) + "\n")

    def write_columns(self, kind: str, name: str, columns: Columns) -> None:
        """Write columns as Parquet under `kind`."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.table({key: pa.array(np.asarray(values)) for key, values in columns.items()})
        with files.replacing(self.folder / kind / f"{name}.parquet") as temporary:
            pq.write_table(table, temporary)

    def read_columns(self, kind: str, name: str) -> dict[str, np.ndarray[Any, Any]]:
        """Return the columns of a Parquet file of the archive. Raises DamagedArchive where it cannot be read."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = self.folder / kind / f"{name}.parquet"
        try:
            table = pq.read_table(path)
        except (OSError, pa.ArrowException) as error:
            reason = "is missing" if not path.exists() else f"cannot be read as Parquet: {error}"
            raise DamagedArchive(
                reason, place=str(path),
                fix=f"delete {path.parent.parent / 'runs' / (name + '.json')} and run the study again",
            ) from error  # fmt: skip
        return {key: table[key].to_numpy() for key in table.column_names}

    def document_losses(self, run: str) -> DocumentLosses:
        """Return the final loss of every held-out document of a run."""
        columns = self.read_columns("documents", run)
        return DocumentLosses(document=columns["document"], tokens=columns["tokens"], nats=columns["nats"])

    def table(self) -> "Any":
        """Return the runs as an Arrow table of plain columns, corpora by name, flags as in a study."""
        corpora = {path.parent.name: _read_json(path) for path in (self.folder / "corpora").glob("*/corpus.json")}
        records = with_neighbour_flags(
            list(self.records()), losses_of=self.document_losses,
            floored={corpus for corpus, about in corpora.items() if about.get("floor") is not None},
        )  # fmt: skip
        return _flat_table(records, names={corpus: str(about.get("name", corpus)) for corpus, about in corpora.items()})

    def query(self, sql: str) -> "Any":
        """Return the Arrow table of a SQL query over the view `runs`. The query can reach nothing else."""
        return query_table(self.table(), sql, name="runs")


def read_record(path: Path) -> RunRecord:
    """Return the record in `path`."""
    content = _read_json(path)
    _check_schema(content.get("schema"), RECORD_SCHEMA, place=path)
    try:
        return RunRecord.model_validate(content)
    except ValidationError as error:
        raise DamagedArchive(
            f"not a record: {error.errors()[0]['msg']} at {error.errors()[0]['loc']}", place=str(path),
            fix="delete the file and run the study again: that run alone is repeated",
        ) from error  # fmt: skip


def _flat_table(records: Sequence[RunRecord], *, names: Mapping[str, str]) -> "Any":
    """Return records as an Arrow table of plain columns: one row a run. `names` are of corpora by fingerprint."""
    import pyarrow as pa

    rows = [
        {
            "run": r.fingerprint, "trunk": r.trunk, "corpus": names.get(r.spec.corpus, r.spec.corpus),
            "status": r.status, "flags": list(r.flags), "params": r.counts.params(), "params_total": r.counts.total,
            "params_non_embedding": r.counts.non_embedding, "tokens": r.spec.train_tokens,
            "flops": r.counts.flops_per_token() * r.spec.train_tokens, "width": r.spec.model.width,
            "depth": r.spec.model.depth, "heads": r.spec.model.heads, "ffn": r.spec.model.ffn,
            "vocab_size": r.spec.model.vocab_size, "seed": r.spec.seed, "peak_lr": r.spec.optimiser.peak_lr,
            "batch_tokens": r.spec.batch_tokens, "loss_nats": r.loss.nats if r.loss else None,
            "stderr": r.loss.stderr if r.loss else None, "excess_nats": r.loss.excess_nats if r.loss else None,
            "excess_stderr": r.loss.excess_stderr if r.loss else None, "wall_seconds": r.wall_seconds,
            "pass_seconds": r.timing.pass_seconds + r.timing.heldout_seconds if r.timing else None,
            "data_seconds": r.timing.data_seconds if r.timing else None,
            "batch_seconds": r.timing.batch_seconds if r.timing else None, "error": r.error,
        }
        for r in records
    ]  # fmt: skip
    kinds = {
        "flags": pa.list_(pa.string()), "loss_nats": pa.float64(), "stderr": pa.float64(), "flops": pa.float64(),
        "peak_lr": pa.float64(), "wall_seconds": pa.float64(), "excess_nats": pa.float64(),
        "excess_stderr": pa.float64(), "pass_seconds": pa.float64(), "data_seconds": pa.float64(),
        "batch_seconds": pa.float64(),
    }  # fmt: skip
    text = ("run", "trunk", "corpus", "status", "error")
    whole = ("params", "params_total", "params_non_embedding", "tokens", "width", "depth", "heads", "ffn", "vocab_size",
             "seed", "batch_tokens")  # fmt: skip
    order = ["run", "trunk", "corpus", "status", "flags", *whole, "flops", "peak_lr", "loss_nats", "stderr",
             "excess_nats", "excess_stderr", "wall_seconds", "pass_seconds", "data_seconds", "batch_seconds",
             "error"]  # fmt: skip
    schema = pa.schema(
        [(name, pa.string() if name in text else pa.int64() if name in whole else kinds[name]) for name in order]
    )
    return pa.Table.from_pylist(rows, schema=schema)


def query_table(table: "Any", sql: str, *, name: str) -> "Any":
    """Run one SQL query over `table` under `name`, with no access to files or network, and return an Arrow table."""
    import duckdb

    connection = duckdb.connect(":memory:")
    try:
        connection.register(name, table)
        connection.execute("SET enable_external_access = false; SET lock_configuration = true")
        relation = connection.sql(sql)
        if relation is None:
            raise BadTable("the statement returns no table", place="SQL", fix=f"write SELECT … FROM {name}")
        found = relation.to_arrow_table()
        repeated = [column for column in found.column_names if found.column_names.count(column) > 1]
        if repeated:
            raise BadTable(f"two columns are called {repeated[0]!r}", place="SQL", fix="name one of them: … AS other")
        return found
    except duckdb.Error as error:
        known = ", ".join(column for column in table.column_names if column != ROW)
        raise BadTable(str(error).splitlines()[0], place="SQL", fix=f"columns of {name}: {known}") from error
    finally:
        connection.close()


def _read_json(path: Path) -> dict[str, Any]:
    with files.storage_errors(path):
        text = path.read_bytes()
    try:
        content = json.loads(text)
    except ValueError as error:
        raise DamagedArchive(
            f"cannot be read: {error}", place=str(path), fix="delete it and run the study again"
        ) from error
    if not isinstance(content, dict):
        raise DamagedArchive("not a JSON object", place=str(path), fix="delete it and run the study again")
    return content


def _check_schema(found: object, known: int, *, place: Path) -> None:
    if not isinstance(found, int):
        raise InputError(
            f"schema {found!r}, expected a number", place=str(place), fix="choose an isoloss results folder"
        )
    refuse_newer(found, known, place=place)
