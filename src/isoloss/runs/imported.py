"""Runs from elsewhere, brought into an archive as rows of a table: they have no spec, so they are no records.

    imported/<import>.parquet           one row a run, the columns of `Archive.table` and whatever else the source says
    imported/curves/<import>.parquet    run, tag, step, value

A run is named by what its source says of it, an import by its runs: the same source twice is there once. What stands
at a place of the source, whatever it was read as, is known too (the metadata `ORIGINS` of an import's table): imported
again by other options for the same corpus, it takes the place of what was there.
"""

import json
import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
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

ORIGINS = b"isoloss.origins"
"""What an import's table says, in its metadata, of each row: from what, and at which place of a source, it was read."""
ORIGIN_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What an import brought: its rows, the file they stand in, and what is to be said of either.

    `replaced` are how many runs of earlier imports gave way to these, `known` how many of these were there already, and
    `in_folder` how many runs the whole archive has now. `warnings` have the name of the run they are about, or None,
    and a message.
    """

    rows: list[dict[str, Any]]
    table: Path
    replaced: int = 0
    known: int = 0
    in_folder: int = 0
    warnings: list[dict[str, str | None]] = field(default_factory=list)


def import_runs(source: Path, archive: Archive | Path, mapped: Mapped) -> Imported:
    """Bring the runs of `source` into an archive, or into one that is made in a folder once they are read.

    Reads TensorBoard event files, trainer_state.json, wandb's offline runs, the gzip paper's JSONL, and tables (CSV,
    TSV, JSON, JSONL, Parquet). Runs that earlier imports read from the same places of the source, by other options, are
    taken out; those whose place says something else now stay, and are warned of. Raises InputError for a source that is
    none of these, BadTable where N, D or a loss is missing or no number.
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
    origins = [_origin(run, row["corpus"], source) for run, row in zip(logged.runs, rows, strict=True)]
    table = _arrow(rows, source).replace_schema_metadata({ORIGINS: json.dumps(origins)})
    archive = archive if isinstance(archive, Archive) else Archive(archive)
    there = archive.table()
    _require_company(table, there, source)
    identity = fingerprint({"runs": sorted(row["run"] for row in rows)}, kind="import", version=IMPORT_VERSION)
    path = archive.folder / IMPORTED / f"{identity}.parquet"
    files.write_table(path, table)
    _write_curves(rows, logged.runs, path.parent / "curves" / path.name)
    _take_out(archive.folder / IMPORTED, origins, keep=path)
    before, now = _places(there), _places(archive.table())
    warnings: list[dict[str, str | None]] = [{"run": None, "message": note} for note in logged.notes]
    warnings += [{"run": str(row["name"]), "message": note} for row, notes in settled for note in notes]
    own = {row["run"] for row in rows}
    if changed := _changed([place for run, place in now.items() if run not in own], rows):
        warnings.append({"run": None, "message": changed})
    return Imported(
        rows=rows, table=path, replaced=len(before.keys() - now.keys()), known=len(before.keys() & own),
        in_folder=len(now), warnings=warnings,
    )  # fmt: skip


def _places(table: Any) -> dict[str, str | None]:
    """Return the runs of an archive's table with the places they were imported from; None for one trained here."""
    return dict(zip(table["run"].to_pylist(), table["source"].to_pylist(), strict=True))


def _origin(run: LoggedRun, corpus: str, source: Path) -> str:
    """Return the identity of a place of a source and what stands there, however it is read: fields and curves.

    Of one place there may be a loss on each of several corpora.
    """

    def written(value: object) -> object:
        return str(value) if isinstance(value, float) and not math.isfinite(value) else value

    content = {
        "corpus": corpus,
        "place": f"{source.resolve().name}{run.place.removeprefix(str(source))}",
        "fields": {name: written(value) for name, value in run.fields.items() if name not in run.hidden},
        "curves": {
            tag: [[step, written(value)] for step, value in curve]
            for tag, curve in run.curves.items()
            if tag not in run.hidden
        },
    }
    return fingerprint(content, kind="origin", version=ORIGIN_VERSION)


def _take_out(folder: Path, origins: Collection[str], *, keep: Path) -> None:
    """Remove the rows that other imports read from the same places, with their curves."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    places = set(origins)
    for path in sorted(folder.glob("[!.]*.parquet")):
        if path == keep:
            continue
        table = pq.read_table(path)
        known = json.loads((table.schema.metadata or {}).get(ORIGINS, b"[]"))
        stays = [place not in places for place in known]
        if len(known) != table.num_rows or all(stays):
            continue
        curves = folder / "curves" / path.name
        if not any(stays):
            curves.unlink(missing_ok=True)
            path.unlink()
            continue
        kept = table.filter(pa.array(stays))
        left = json.dumps([place for place, is_kept in zip(known, stays, strict=True) if is_kept])
        files.write_table(path, kept.replace_schema_metadata({ORIGINS: left}))
        if curves.exists():
            points, runs = pq.read_table(curves), set(kept["run"].to_pylist())
            files.write_table(curves, points.filter(pa.array([run in runs for run in points["run"].to_pylist()])))


def _changed(others: Sequence[str | None], rows: Sequence[Mapping[str, Any]]) -> str | None:
    """Return what is to be said of earlier runs from the same places, which say something else by now."""
    stay = len({row["source"] for row in rows}.intersection(place for place in others if place is not None))
    if not stay:
        return None
    return (
        f"{stay} of these places held something else when they were imported before, such as a shorter log or another "
        "number. The runs from then stay next to the new ones. If they are the same runs, delete the table that holds "
        "the old ones (in the folder's `imported`)"
    )


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


def _require_company(table: Any, there: Any, source: Path) -> None:
    """Raise BadTable where the table does not go together with what the archive holds."""
    import pyarrow as pa

    try:
        pa.concat_tables([there, table], promote_options="permissive")
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
