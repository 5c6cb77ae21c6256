"""A published study's folder: which files it holds, where they come from, and that they are the very ones."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from isoloss.core.errors import BadTable, InputError, require_columns, require_known
from isoloss.core.reading import packaged_toml
from isoloss.published.fetch import PublicFile
from isoloss.runs.read_runs import open_table

Columns = dict[str, NDArray[Any]]
"""A table as columns: numbers with NaN where missing, texts with an empty one."""


@dataclass(frozen=True, kw_only=True)
class PublishedFile:
    """One file: its digest and the columns that the reproduction reads.

    A CSV file's digest is that of its bytes, a Parquet file's that of the columns' values: other versions of a writer
    write other bytes. `crlf`: its lines end as Python's own csv ends them, in two characters.
    """

    name: str
    sha256: str
    columns: tuple[str, ...]
    crlf: bool = False


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a study's data come from. `how` says what was done between the public files and these.

    `optional` files add to the reproduction where they are there. `originals` says in words what serves as well: the
    files as they were published, `public`, which a study reads itself where `as_published`, and of which else its
    `files` are made. `curves` are training curves that add to a folder of its data.
    `configurations` are, where a study has some, the key and the label of each, by the file that holds them.
    """

    title: str
    paper: str
    source: str
    licence: str
    how: str
    files: tuple[PublishedFile, ...]
    originals: str
    public: tuple[PublicFile, ...]
    as_published: bool = False
    optional: tuple[PublishedFile, ...] = ()
    curves: PublicFile | None = None
    configurations: dict[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)

    def wanted(self) -> str:
        """Return what a folder of the study holds, in words."""
        return f"{self.originals}, or a folder with {', '.join(file.name for file in self.files)}"

    def stands_in(self, folder: Path) -> bool:
        """Whether a folder holds all of the study's files."""
        return all((folder / file.name).is_file() for file in self.files)

    def sentence(self) -> str:
        """Return the origin in one line."""
        return f"{self.source} ({self.licence}); {self.how}"


@cache
def origins() -> dict[str, Origin]:
    """Return every study's origin by the study's name."""
    return TypeAdapter(dict[str, Origin]).validate_python(packaged_toml("isoloss.published", "origins.toml"))


def origin_of(study: str) -> Origin:
    """Return where a study's data come from, by its name. Raises InputError for an unknown study."""
    require_known(study, origins(), what="study")
    return origins()[study]


def read_folder(origin: Origin, folder: Path | str) -> dict[str, Columns]:
    """Return the study's tables by file name without ending, after checking every file's columns and digest.

    Raises InputError for a folder that is none or lacks files, naming them and their origin, and BadTable for a file
    whose columns or content are not those that were published.
    """
    place = Path(folder)
    if not place.is_dir():
        raise InputError("no such folder", place=str(place), fix=f"give {origin.wanted()}")
    missing = [file.name for file in origin.files if not (place / file.name).is_file()]
    if missing:
        raise InputError(
            f"{len(missing)} of {len(origin.files)} files of {origin.title!r} are missing: {', '.join(missing)}",
            place=str(place), fix=f"give {origin.wanted()}; they come from {origin.sentence()}",
        )  # fmt: skip
    there = [file for file in origin.optional if (place / file.name).is_file()]
    return {Path(file.name).stem: _read(file, place / file.name, origin) for file in (*origin.files, *there)}


def _read(file: PublishedFile, path: Path, origin: Origin) -> Columns:
    table = open_table(path)
    known = [name for name in table.column_names if name != "__row__"]
    require_columns(file.columns, known, place=str(path))
    columns = {name: _column(table[name]) for name in known}
    as_values = path.suffix == ".parquet"
    digest = _values_digest(columns, file, path) if as_values else hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != file.sha256:
        raise BadTable(
            f"not the file that was published: SHA-256 {digest[:16]}…, expected {file.sha256[:16]}…",
            place=str(path), fix=f"take it anew from {origin.sentence()}",
        )  # fmt: skip
    return columns


def _values_digest(columns: Columns, file: PublishedFile, path: Path) -> str:
    """Return the digest of columns of numbers: name, and the values as 8-byte floats, lowest byte first."""
    digest = hashlib.sha256()
    for name in file.columns:
        if columns[name].dtype.kind != "f":
            raise BadTable(f"no numbers in column {name!r}", place=str(path), fix="take the published file anew")
        digest.update(name.encode() + b"\0" + columns[name].astype("<f8").tobytes())
    return digest.hexdigest()


def _column(column: Any) -> NDArray[Any]:
    import pyarrow as pa

    kind = column.type
    if pa.types.is_boolean(kind):
        return np.array([bool(value) for value in column.to_pylist()])
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
    return np.array(["" if value is None else str(value) for value in column.to_pylist()])


def stacked(rows: Sequence[Mapping[str, Any]]) -> Columns:
    """Return rows, one or more, as a table of their columns."""
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def where(table: Mapping[str, NDArray[Any]], **wanted: object) -> Columns:
    """Return the rows whose columns hold the wanted values."""
    keep = np.ones(len(next(iter(table.values()))), dtype=bool)
    for name, value in wanted.items():
        keep &= table[name] == value
    return {name: column[keep] for name, column in table.items()}


def only(table: Mapping[str, NDArray[Any]], **wanted: object) -> dict[str, Any]:
    """Return the one row whose columns hold the wanted values. Raises BadTable where there are none or several."""
    found = where(table, **wanted)
    count = len(next(iter(found.values())))
    if count != 1:
        raise BadTable(f"{count} rows of {wanted}, expected one", fix="take the published file anew")
    return {name: column[0].item() for name, column in found.items()}
