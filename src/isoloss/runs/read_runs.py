"""Tables of runs from anywhere: CSV, Parquet, JSON, data frames, or an archive folder, checked at the door."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from isoloss.core.arrow import counted, values_of, wholes
from isoloss.core.errors import BadTable, InputError, did_you_mean
from isoloss.core.files import require_regular
from isoloss.runs.columns import Columns, Floats, same_column
from isoloss.runs.observations import NO_GROUP, UNSTATED, DataUnit, Observations, observations
from isoloss.runs.sql import PASSED_OVER, ROW, first_line
from isoloss.runs.table_files import KEEP_FEW, READERS

if TYPE_CHECKING:
    import pyarrow as pa


class ArrowExportable(Protocol):
    """Anything with the Arrow PyCapsule interface: polars, pandas ≥ 2.2, pyarrow, DuckDB results."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...


COUNTED_BY = {"params_total": "total", "params_non_embedding": "non_embedding"}
"""Columns of an archive that count parameters by a convention of their own."""

Source: TypeAlias = str | Path | ArrowExportable | Mapping[str, Any] | NDArray[Any]
"""A file or results folder, a data frame, a mapping of names to columns, or a structured array."""


def read_runs(
    source: Source,
    *,
    params: str = "params",
    tokens: str = "tokens",
    loss: str = "loss_nats",
    flops: str | None = None,
    corpus: str | None = None,
    trunk: str | None = None,
    stderr: str | None = None,
    complexity: Sequence[str] = (),
    extra: Mapping[str, str] | None = None,
    where: str | None = None,
    tokenizer: str | None = None,
    vocab: str | float | None = None,
    floor: str | float | None = None,
    bytes_per_token: str | float | None = None,
    corpus_source: str | None = None,
    params_convention: str = UNSTATED,
    data_unit: DataUnit = "tokens",
    needs: Sequence[str] = ("params", "tokens"),
) -> Observations:
    """Return the runs in `source` as observations; the keywords name its columns.

    `needs` are those of params, tokens and flops that must be there, for a law reads them; the others are taken where
    the source has them, and are absent from the observations otherwise. `extra` maps what a law calls a further column
    (unique_tokens, batch_tokens, …) to what the source calls it. Where a column's unit or scale is another, a SQL
    formula over columns stands in its place: `params="n_millions * 1e6"`, `loss="bits * ln(2)"`. `where` is a SQL
    condition over the source's own columns. Without `flops`, C = 6 · params · tokens, or a column `flops` where one of
    these is not known. `corpus` names one column, or several separated by commas. `tokenizer` and `vocab` (a column, or
    one number) say in which tokens losses count, by default the source's columns `tokenizer` and `vocab_size` or
    `vocab`, where they say it of every row; `floor` (alike) is the best possible loss of each run's corpus.
    `bytes_per_token` (alike) makes D bytes: `tokens` times it, unless `data_unit="bytes"` says that `tokens` holds
    bytes already. `corpus_source` names what each corpus was made from: corpora of one source are left out together.
    Raises BadTable for a column that is needed or named and missing, or holds anything but positive numbers, naming the
    file, the column, the rows and the nearest of the columns there are.
    """
    table = open_table(source, where=where)
    passed_over = json.loads((table.schema.metadata or {}).get(PASSED_OVER, b"[]"))
    ours = _is_archive(source)
    if ours:
        corpus, trunk = corpus or "corpus", trunk or "trunk"
        # Imported runs seldom have a standard error or a vocabulary.
        stderr = stderr or (None if table["stderr"].null_count else "stderr")
        params_convention = _stated(params_convention, _convention(table, source, params), source)
    columns = Columns(table, place=name_of(source))
    loss = same_column(loss, columns.names)
    tokenizer = tokenizer or ("tokenizer" if columns.has_values("tokenizer") else None)
    vocab = vocab or next((name for name in ("vocab_size", "vocab") if columns.has_values(name, numbers=True)), None)
    losses, ratio = columns.numbers(loss), columns.numbers_or_one(bytes_per_token)
    known = _sizes(columns, {"params": params, "tokens": tokens, "flops": flops}, needs)
    if ratio is not None and data_unit == "tokens" and "tokens" in known:
        known["tokens"], data_unit = known["tokens"] * ratio, "bytes"
    named = {"params": params, "tokens": tokens, "flops": flops or "flops", "loss": loss, **(extra or {})}
    given: dict[str, Any] = dict(
        loss_nats=losses,
        **known,
        corpus=columns.groups(corpus) if corpus else NO_GROUP,
        trunk=columns.texts(trunk) if trunk else None,
        stderr=columns.numbers(stderr) if stderr else None,
        run=columns.texts("run") if ours else None,
        flags=columns.table["flags"].to_pylist() if ours else None,
        complexity={name: columns.numbers(name) for name in complexity},
        extra={name: columns.numbers(column) for name, column in (extra or {}).items()},
        tokenizer=columns.texts(tokenizer) if tokenizer else None,
        vocab=columns.numbers_or_one(vocab),
        floor=columns.numbers_or_one(floor),
        bytes_per_token=ratio,
        source=columns.texts(corpus_source) if corpus_source else None,
        rows=columns.rows,
        params_convention=params_convention,
        data_unit=data_unit,
        named=named,
    )
    try:
        return replace(observations(**given), passed_over=tuple(passed_over))
    except BadTable as error:
        place = ", ".join(filter(None, (columns.place, error.place)))
        raise BadTable(error.message, place=place, fix=error.fix) from error


def _satisfying(table: "pa.Table", where: str) -> "pa.Table":
    """Return the rows that satisfy a condition. Raises BadTable for text that is more or less than a condition."""
    found = Columns(table, place=f"--where {where}").matching(where)
    if found.column_names != table.column_names or found[ROW].null_count:
        raise BadTable("more than a condition", place=f"--where {where}", fix="write a condition on columns alone")
    if not found.num_rows:
        raise BadTable("no row satisfies the condition", place=f"--where {where}", fix="loosen the condition")
    kept = table.take(values_of(found[ROW]) - 1)  # cells as they stand, whatever SQL compared
    return kept.replace_schema_metadata(table.schema.metadata)


def _sizes(columns: Columns, names: Mapping[str, str | None], needs: Sequence[str]) -> dict[str, Floats]:
    """Return those of params, tokens and flops that the source has; see `read_runs`."""
    if "tokens" in needs and names["tokens"] == "tokens" and "tokens" not in columns.names and names["flops"]:
        computed = f'"{names["flops"]}" / 6 / "{names["params"]}"'
        remedy = f"name it, or compute it from FLOPs (on the command line: --tokens '{computed}')"
        raise columns.no_column("tokens", remedy=remedy)
    found = {
        role: columns.numbers(name)
        for role, name in names.items()
        if name is not None and (role in needs or name != role or columns.holds(name))
    }
    if "flops" not in found and not {"params", "tokens"} <= found.keys():
        if columns.holds("flops"):
            found["flops"] = columns.numbers("flops")
        elif "flops" in needs:
            raise BadTable(
                "there is neither a column 'flops' nor both 'params' and 'tokens' for C = 6 · N · D",
                place=columns.place,
                fix=f"name the column of FLOPs (on the command line: --flops); {did_you_mean('flops', columns.names)}",
            )  # fmt: skip
    return found


def open_table(source: Source, *, where: str | None = None) -> "pa.Table":
    """Return `source` as an Arrow table with the column `__row__`: 1-based data rows in the order of the source.

    `where` is a SQL condition over the source's own columns. Raises BadTable for text that is no condition, and where
    no row is left.
    """
    import pyarrow as pa

    if isinstance(source, str | Path):
        table = _read_path(Path(source))
    elif hasattr(source, "__arrow_c_stream__"):
        table = pa.table(source)
    elif isinstance(source, Mapping):
        table = _of_columns(source)
    elif isinstance(source, np.ndarray) and source.dtype.names:
        table = _of_columns({name: source[name] for name in source.dtype.names})
    else:
        raise InputError(
            f"found a {type(source).__name__}, expected a path, a data frame, a mapping or a structured array",
            fix='pass a file; a pandas, polars or Arrow table; or {"params": …, "tokens": …, "loss_nats": …}',
        )
    if table.num_rows == 0:
        raise BadTable("no rows", place=name_of(source), fix="give a table with one row per run")
    names = table.column_names
    taken = sorted({name for name in names if names.count(name) > 1 or name == ROW})
    if taken:
        raise BadTable(
            f"column {taken[0]!r} appears twice or is reserved", place=name_of(source), fix="rename or drop it"
        )
    table = table.append_column(ROW, counted(table.num_rows))
    return table if where is None else _satisfying(table, where)


def _of_columns(columns: Mapping[str, Any]) -> "pa.Table":
    """Return an Arrow table of named sequences. Raises BadTable where their lengths differ."""
    import pyarrow as pa

    try:
        return pa.table({str(name): pa.array(np.asarray(column).tolist()) for name, column in columns.items()})
    except (pa.ArrowException, TypeError) as error:
        lengths = ", ".join(f"{name}: {np.size(column)}" for name, column in columns.items())
        raise BadTable(
            f"not a table of columns: {error} ({lengths})", fix="give every column one value per row"
        ) from error


def _is_archive(source: Source) -> bool:
    if not isinstance(source, str | Path) or not Path(source).is_dir():
        return False
    from isoloss.runs.archive import Archive

    return Archive.stands_in(source)


def _stated(said: str, known: str, source: Source) -> str:
    """Return by which convention an archive counts, and the caller says that it does. Raises InputError for another."""
    if UNSTATED not in (said, known) and said != known:
        raise InputError(
            f"the runs count parameters as {known!r}, but the call says {said!r}", place=name_of(source),
            fix="leave it out: the runs already say how parameters are counted",
        )  # fmt: skip
    return said if known == UNSTATED else known


def _convention(table: "pa.Table", source: Source, column: str) -> str:
    """Return by which convention an archive's column counts. Raises BadTable where it counts by two."""
    if column != "params":
        return COUNTED_BY.get(column, UNSTATED)
    from isoloss.runs.shapes import DEFAULT_CONVENTION

    found = sorted(set(table["params_convention"].to_pylist()))
    if len(found) > 1:
        raise BadTable(
            f"the table mixes ways of counting parameters: {' and '.join(found)}", place=name_of(source),
            fix=f"fit one of them at a time: --where \"params_convention = '{found[0]}'\"",
        )  # fmt: skip
    return str(found[0]) if found else DEFAULT_CONVENTION


def _read_path(path: Path) -> "pa.Table":
    if path.is_dir():
        if _is_archive(path):
            from isoloss.runs.archive import Archive

            table = Archive(path).table()
            statuses = table["status"].to_pylist()
            return table.take(wholes([at for at, status in enumerate(statuses) if status == "finished"]))
        raise InputError("a folder, but not a results folder", place=str(path), fix="give a file, or a results folder")
    if not path.exists():
        raise InputError("no such file", place=str(path), fix="check the path")
    require_regular(path)
    if path.stat().st_size == 0:
        raise BadTable("the file is empty", place=str(path), fix="give a table with a header and one row per run")
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(
            f"unknown kind of table {path.suffix!r}",
            place=str(path),
            fix=f"save or unpack it as one of these: {', '.join(sorted(READERS))}",
        )
    return _guarded(reader, path)


def _guarded(reader: Any, path: Path) -> "pa.Table":
    import pyarrow as pa

    try:
        return reader(path)
    except PermissionError:
        raise
    except (pa.ArrowException, UnicodeError, OSError) as error:  # OSError: Arrow's word for damaged Parquet
        reason, fix = first_line(error)[:200], "check the file's format and encoding"
        if isinstance(error, UnicodeError) or "UTF8" in reason:
            reason, fix = f"it is no UTF-8 ({reason})", "save it as UTF-8, or iconv -f latin1 -t utf-8"
        elif "straddling" in reason:
            reason, fix = "a row is longer than 1 MiB", KEEP_FEW
        elif isinstance(error, pa.ArrowInvalid) and path.suffix.lower() in (".csv", ".tsv"):
            fix = "name the columns in the first line, with nothing above it, and write as many cells in every other"
        raise BadTable(f"cannot be read as {path.suffix[1:]}: {reason}", place=str(path), fix=fix) from error


def name_of(source: Source) -> str:
    """Return how messages name a source: a file by its path, anything else by its kind."""
    return str(source) if isinstance(source, str | Path) else type(source).__name__
