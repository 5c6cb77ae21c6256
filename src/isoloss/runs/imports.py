"""Runs from elsewhere, brought into an archive as rows of a table: they have no spec, so they are no records.

    imported/<import>.parquet           one row a run, the columns of `Archive.table` and whatever else the source says
    imported/curves/<import>.parquet    run, tag, step, value

A run is named by what its source says of it, an import by its runs: the same source twice is there once.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from isoloss.core import files
from isoloss.core.errors import BadTable, InputError, did_you_mean
from isoloss.core.fingerprint import fingerprint
from isoloss.core.reading import json_in
from isoloss.runs import logs
from isoloss.runs.archive import Archive
from isoloss.runs.columns import number_in
from isoloss.runs.importers import open_table
from isoloss.runs.logs import Curve, LoggedRun, Value
from isoloss.runs.tables import IMPORTED, ORDER, REALS, ROW, TEXTS, WHOLES, query_table

IMPORT_VERSION = 1
LossUnit = Literal["nats", "bits", "perplexity"]


@dataclass(frozen=True, kw_only=True)
class Mapped:
    """What of a source is what. `params` and `tokens` are a number, or a column or tag; the others names of such.

    `batch_tokens` turns steps into tokens where the source counts steps alone. `run` and `step` make a table one of
    curves: a point a row. `corpus` names the corpus of every run, `group` the column that does.
    """

    params: str | None = None
    tokens: str | None = None
    loss: str | None = None
    unit: LossUnit = "nats"
    flops: str | None = None
    corpus: str | None = None
    group: str | None = None
    batch_tokens: int | None = None
    run: str | None = None
    step: str | None = None
    where: str | None = None
    convention: str | None = None


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What an import brought: its rows, and the file they stand in."""

    rows: list[dict[str, Any]]
    table: Path


def import_runs(source: Path, archive: Archive, mapped: Mapped) -> Imported:
    """Bring the runs of `source` into `archive`.

    Reads TensorBoard event files, trainer_state.json, the gzip paper's JSONL, and tables (CSV, TSV, JSONL, Parquet).
    Raises InputError for a source that is none of these, BadTable where N, D or a loss is missing or no number.
    """
    runs = read_logs(source, mapped)
    rows = [_row(run, mapped) for run in runs]
    if not rows:
        raise BadTable("no runs", place=str(source), fix="check the path, and --where")
    repeated = [row["name"] for row in rows if sum(row["run"] == other["run"] for other in rows) > 1]
    if repeated:
        raise BadTable(f"run {repeated[0]!r} stands twice", place=str(source), fix="remove one, or name --run")
    identity = fingerprint({"runs": sorted(row["run"] for row in rows)}, kind="import", version=IMPORT_VERSION)
    path = archive.folder / IMPORTED / f"{identity}.parquet"
    _write(_table(rows, archive, source), path)
    curves = [
        {"run": row["run"], "tag": tag, "step": step, "value": value}
        for row, run in zip(rows, runs, strict=True)
        for tag, curve in run.curves.items()
        for step, value in curve
    ]
    if curves:
        import pyarrow as pa

        _write(pa.Table.from_pylist(curves), path.parent / "curves" / path.name)
    return Imported(rows=rows, table=path)


def read_logs(source: Path, mapped: Mapped) -> list[LoggedRun]:
    """Return the runs of `source`, whatever kind of source it is."""
    if not source.exists():
        raise InputError("no such file or folder", place=str(source), fix="check the path")
    if logs.event_folders(source):
        return logs.read_events(source)
    if logs.state_files(source):
        return logs.read_states(source)
    if source.is_dir():
        fix = "give a folder with event files or trainer_state.json, or a table"
        raise InputError("a folder without runs that are known here", place=str(source), fix=fix)
    if source.suffix.lower() in (".jsonl", ".ndjson"):
        rows = _json_lines(source)
        if rows and all(map(logs.is_gzip_paper, rows)):
            return logs.read_gzip_paper(rows, place=str(source))
    return _table_runs(source, mapped)


def _json_lines(source: Path) -> list[dict[str, Any]]:
    try:
        rows = [json_in(line) for line in source.read_text(encoding="utf-8").splitlines() if line.strip()]
    except ValueError:
        return []  # the reader of tables names the line
    return rows if all(isinstance(row, dict) for row in rows) else []


def _table_runs(source: Path, mapped: Mapped) -> list[LoggedRun]:
    """Return the runs of a table: a row each, or with `step` a group of rows each."""
    table = open_table(source)
    if mapped.where is not None:
        table = query_table(table, f"SELECT * FROM runs WHERE {mapped.where}", name="runs")
    for name in (mapped.run, mapped.step):
        if name is not None and name not in table.column_names:
            known = [column for column in table.column_names if column != ROW]
            raise BadTable(f"no column {name!r}", place=str(source), fix=did_you_mean(name, known))
    rows = table.to_pylist()
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        alone = source.stem if mapped.step else f"{source.stem}-{row[ROW]}"
        groups.setdefault(str(row[mapped.run]) if mapped.run else alone, []).append(row)
    guesses = {"params": "params", "tokens": "tokens", "loss": "loss_nats"}
    return [_grouped(name, group, mapped, source, guesses) for name, group in groups.items()]


def _grouped(
    name: str, rows: Sequence[dict[str, Any]], mapped: Mapped, source: Path, guesses: Mapping[str, str]
) -> LoggedRun:
    if mapped.step is None and len(rows) > 1:
        raise BadTable(
            f"{len(rows)} rows of run {name!r}", place=str(source), fix="name the column of steps: --step COLUMN"
        )
    step = mapped.step or ""
    rows = sorted(rows, key=lambda row: float(row[step])) if step else rows
    fields: dict[str, Value] = {key: value for key, value in rows[-1].items() if key != ROW and _plain(value)}
    curves: dict[str, Curve] = {}
    for row in rows if step else ():
        for tag, value in row.items():
            if tag not in (ROW, step) and isinstance(value, int | float):
                curves.setdefault(tag, []).append((int(row[step]), float(value)))
    fields = {key: value for key, value in fields.items() if key not in curves}
    return LoggedRun(name=name, place=f"{source}, row {rows[-1][ROW]}", fields=fields, curves=curves, guesses=guesses)


def _plain(value: object) -> bool:
    return isinstance(value, str | int | float | bool)


def _row(run: LoggedRun, mapped: Mapped) -> dict[str, Any]:
    """Return a run as a row of the archive's table. A loss that is no number is a run that diverged."""
    loss = _number(run, "loss", mapped.loss or run.guesses.get("loss"), finite=False)
    nats = _nats(loss, mapped.unit)
    params, tokens = _number(run, "params", mapped.params or run.guesses.get("params")), _tokens(run, mapped)
    if not (params >= 1 and tokens >= 1):
        fix = "check --params and --tokens"
        raise BadTable(f"params {params:g} and tokens {tokens:g}, expected 1 or more", place=run.place, fix=fix)
    convention = run.params_convention if mapped.params is None else "unstated"
    row = {
        "name": run.name, "trunk": run.name, "corpus": _corpus(run, mapped), "params": round(params),
        "tokens": round(tokens), "flops": _number(run, "flops", mapped.flops) if mapped.flops else 6 * params * tokens,
        "params_convention": mapped.convention or convention, "status": "finished" if nats else "diverged",
        "flags": [] if nats else ["diverged"], "loss_nats": nats, "progress": 1.0, "source": run.place,
    }  # fmt: skip
    extra = {_own_name(key, value): value for key, value in run.fields.items() if key not in row}
    # The place may move; what was trained stays.
    identity = {key: value for key, value in {**extra, **row}.items() if key != "source" and not _no_number(value)}
    row["run"] = row["trunk"] = fingerprint(identity, kind="imported", version=IMPORT_VERSION)
    return {**extra, **row}


def _no_number(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _own_name(name: str, value: Value) -> str:
    """Return the column of a field of the source: its own name, unless we mean something else by it."""
    fits = name in (*WHOLES, *REALS) and isinstance(value, int | float) and not isinstance(value, bool)
    return name if fits or name not in ORDER else f"their_{name}"


def _tokens(run: LoggedRun, mapped: Mapped) -> float:
    column = mapped.tokens or run.guesses.get("tokens")
    known = column is not None and (_literal(column) is not None or run.last(column) is not None)
    if mapped.tokens is None and not known and mapped.batch_tokens is not None and run.last_step:
        return float(run.last_step * mapped.batch_tokens)
    return _number(run, "tokens", column)


def _corpus(run: LoggedRun, mapped: Mapped) -> str:
    if mapped.corpus is not None:
        return mapped.corpus
    column = mapped.group or run.guesses.get("group")
    if column is None:
        return "all"
    found = run.last(column)
    if found is None:
        raise BadTable(f"no column {column!r}", place=run.place, fix=did_you_mean(column, [*run.fields, *run.curves]))
    return str(found)


def _number(run: LoggedRun, what: str, name: str | None, *, finite: bool = True) -> float:
    """Return a quantity of a run: `name` is the number itself, a field or a tag, whose last value counts."""
    found: Value = None
    if name is not None:
        found = _literal(name)
        found = run.last(name) if found is None else found
    if found is None:
        known = [*run.fields, *run.curves]
        asked = f"nothing is called {name!r}" if name else "the source does not say it"
        raise BadTable(f"{what}: {asked}", place=run.place, fix=_fix(run, what, name, known))
    try:
        number = number_in(found)
    except ValueError:
        raise BadTable(
            f"{what}: found {found!r}, expected a number", place=run.place, fix=f"name another with --{what}"
        ) from None
    if finite and not math.isfinite(number):
        raise BadTable(f"{what}: found {number}, expected a number", place=run.place, fix="leave the run out")
    return number


def _fix(run: LoggedRun, what: str, name: str | None, known: Sequence[str]) -> str:
    """Return how to say what is missing; transformers' FLOPs, 6 · N · D, tell N without the embedding."""
    listed = did_you_mean(name or what, known)
    if what == "tokens":
        return f"give --tokens COLUMN or NUMBER, or --batch-tokens NUMBER where steps are counted; {listed}"
    flos, tokens = run.last("total_flos"), run.last("num_input_tokens_seen")
    if what == "params" and isinstance(flos, int | float) and isinstance(tokens, int | float) and flos and tokens:
        return f"give --params NUMBER (total_flos tells of {flos / 6 / tokens:.4g} outside the embedding)"
    return f"give --{what} COLUMN{' or NUMBER' if what == 'params' else ''}; {listed}"


def _literal(text: str) -> float | None:
    try:
        return number_in(text)
    except ValueError:
        return None


def _nats(loss: float, unit: LossUnit) -> float | None:
    """Return a loss in nats, or None for a run whose loss is no number above zero."""
    if not math.isfinite(loss) or loss <= 0:
        return None
    match unit:
        case "nats":
            return loss
        case "bits":
            return loss * math.log(2)
        case "perplexity":
            return math.log(loss) if loss > 1 else None


def _table(rows: Sequence[Mapping[str, Any]], archive: Archive, source: Path) -> Any:
    """Return rows as an Arrow table that goes together with what the archive holds. Raises BadTable."""
    import pyarrow as pa

    names = list(dict.fromkeys(name for row in rows for name in row))
    kinds = {"flags": pa.list_(pa.string())}
    kinds |= dict.fromkeys(TEXTS, pa.string()) | dict.fromkeys(WHOLES, pa.int64()) | dict.fromkeys(REALS, pa.float64())
    columns = {}
    for name in names:
        try:
            columns[name] = pa.array([row.get(name) for row in rows], type=kinds.get(name))
        except pa.ArrowException as error:
            fix = "make it numbers or text throughout"
            raise BadTable(f"column {name!r} mixes kinds: {error}", place=str(source), fix=fix) from error
    table = pa.table(columns)
    try:
        pa.concat_tables([archive.table(), table], promote_options="permissive")
    except pa.ArrowException as error:
        fix = "rename the column, or import into another folder"
        raise BadTable(f"does not go with what the folder holds: {error}", place=str(source), fix=fix) from error
    return table


def _write(table: Any, path: Path) -> None:
    import pyarrow.parquet as pq

    with files.replacing(path) as temporary:
        pq.write_table(table, temporary)
