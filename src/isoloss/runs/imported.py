"""Runs from elsewhere, brought into an archive as rows of a table: they have no spec, so they are no records.

    imported/<import>.parquet           one row a run, the columns of `Archive.table` and whatever else the source says
    imported/curves/<import>.parquet    run, tag, step, value

A run is named by what its source says of it, an import by its runs: the same source twice is there once.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from isoloss.core import files
from isoloss.core.errors import BadTable, InputError
from isoloss.core.fingerprint import fingerprint
from isoloss.core.reading import LINES
from isoloss.runs import events, logs, wandb_files
from isoloss.runs.archive import Archive
from isoloss.runs.logged import Logged, LoggedRun
from isoloss.runs.mapping import IMPORT_VERSION, row_of
from isoloss.runs.mapping import Mapped as Mapped
from isoloss.runs.table_curves import table_runs
from isoloss.runs.table_files import json_lines
from isoloss.runs.tables import IMPORTED, REALS, TEXTS, WHOLES


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What an import brought: its rows, the file they stand in, and what is to be said of either.

    `warnings` have the name of the run they are about, or None, and a message.
    """

    rows: list[dict[str, Any]]
    table: Path
    warnings: list[dict[str, str | None]] = field(default_factory=list)


def import_runs(source: Path, archive: Archive | Path, mapped: Mapped) -> Imported:
    """Bring the runs of `source` into an archive, or into one that is made in a folder once they are read.

    Reads TensorBoard event files, trainer_state.json, wandb's offline runs, the gzip paper's JSONL, and tables (CSV,
    TSV, JSON, JSONL, Parquet). Raises InputError for a source that is none of these, BadTable where N, D or a loss is
    missing or no number.
    """
    logged = read_logs(source, mapped)
    settled = [row_of(run, mapped) for run in logged.runs]
    rows = [row for row, _ in settled]
    if not rows:
        raise BadTable("no runs", place=str(source), fix="check the path, and --where")
    times = Counter(row["run"] for row in rows)
    repeated = [row["name"] for row in rows if times[row["run"]] > 1]
    if repeated:
        raise BadTable(f"run {repeated[0]!r} appears twice", place=str(source), fix="remove one, or name --run")
    table = _arrow(rows, source)
    archive = archive if isinstance(archive, Archive) else Archive(archive)
    _require_company(table, archive, source)
    identity = fingerprint({"runs": sorted(row["run"] for row in rows)}, kind="import", version=IMPORT_VERSION)
    path = archive.folder / IMPORTED / f"{identity}.parquet"
    files.write_table(path, table)
    _write_curves(rows, logged.runs, path.parent / "curves" / path.name)
    warnings: list[dict[str, str | None]] = [{"run": None, "message": note} for note in logged.notes]
    warnings += [{"run": str(row["name"]), "message": note} for row, notes in settled for note in notes]
    return Imported(rows=rows, table=path, warnings=warnings)


def read_logs(source: Path, mapped: Mapped) -> Logged:
    """Return the runs of `source`, whatever kind of source it is."""
    if not source.exists():
        raise InputError("no such file or folder", place=str(source), fix="check the path")
    files.require_regular(source)
    if events.event_folders(source):
        runs, notes = events.read_events(source, loss=mapped.loss)
        return Logged(runs=runs, notes=notes)
    if states := logs.state_files(source):
        return Logged(runs=[logs.read_state(path) for path in states])
    if wandb_files.run_files(source):
        return Logged(runs=wandb_files.read_offline(source, step=mapped.step))
    if source.is_dir():
        fix = "give a folder with event files, trainer_state.json or offline runs of wandb, or a table"
        raise InputError("a folder without runs in a known format", place=str(source), fix=fix)
    if source.suffix.lower() in LINES:
        rows = json_lines(source)
        if rows and all(map(logs.is_gzip_paper, rows)):
            return Logged(runs=logs.read_gzip_paper(rows, place=str(source)))
    return table_runs(source, mapped)


def _arrow(rows: Sequence[Mapping[str, Any]], source: Path) -> Any:
    """Return rows as an Arrow table. Raises BadTable for a column of several kinds."""
    import pyarrow as pa

    names = list(dict.fromkeys(name for row in rows for name in row))
    kinds = {"flags": pa.list_(pa.string())}
    kinds |= dict.fromkeys(TEXTS, pa.string()) | dict.fromkeys(WHOLES, pa.int64()) | dict.fromkeys(REALS, pa.float64())
    columns = {}
    for name in names:
        try:
            columns[name] = pa.array([row.get(name) for row in rows], type=kinds.get(name))
        except (pa.ArrowException, OverflowError) as error:
            fix = "make all its values numbers, or all of them text"
            raise BadTable(f"column {name!r} mixes kinds: {error}", place=str(source), fix=fix) from error
    return pa.table(columns)


def _require_company(table: Any, archive: Archive, source: Path) -> None:
    """Raise BadTable where the table does not go together with what the archive holds."""
    import pyarrow as pa

    try:
        pa.concat_tables([archive.table(), table], promote_options="permissive")
    except pa.ArrowException as error:
        fix = "rename the column, or import into another folder"
        raise BadTable(f"does not fit the runs in the folder: {error}", place=str(source), fix=fix) from error


def _write_curves(rows: Sequence[Mapping[str, Any]], runs: Sequence[LoggedRun], path: Path) -> None:
    curves = [
        {"run": row["run"], "tag": tag, "step": step, "value": value}
        for row, run in zip(rows, runs, strict=True)
        for tag, curve in run.curves.items()
        for step, value in curve
        if tag not in run.hidden
    ]
    if curves:
        import pyarrow as pa

        files.write_table(path, pa.Table.from_pylist(curves))
