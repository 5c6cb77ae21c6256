"""Studies whose public originals can be fetched, and how their tables are made of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from isoloss.core import files
from isoloss.core.errors import BadTable
from isoloss.core.progress import QUIET, Progress
from isoloss.published.fetch import HTTPS, Fetched, PublicFile, cache_folder, fetch, forget
from isoloss.published.folder import Columns, read_folder, write_columns
from isoloss.report.page import csv_text


@dataclass(frozen=True, kw_only=True)
class Public:
    """A study's originals, and the function that makes its tables of them, by file name.

    Where `tables_of` is None, the originals add to a folder of tables and do not replace it. `crlf` names the tables
    whose lines end as Python's own csv ends them, in two characters.
    """

    originals: tuple[PublicFile, ...]
    tables_of: Callable[[Mapping[str, Path]], Mapping[str, Columns]] | None
    crlf: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class FetchedStudy:
    """A study brought here: its folder of tables, None where no tables are made of originals, and the originals."""

    folder: Path | None
    originals: tuple[Fetched, ...]


def public(study: str) -> Public:
    """Return a study's originals. The study is one of `isoloss.published.studies.STUDIES`."""
    found: Public = import_module(f"isoloss.published.{study}.public").PUBLIC
    return found


def fetch_study(
    study: str, *, cache: Path | None = None, progress: Progress = QUIET, schemes: Sequence[str] = HTTPS
) -> FetchedStudy:
    """Return a study fetched into the cache, its tables made anew of its originals.

    Raises what `isoloss.published.fetch.fetch` raises, and BadTable for an original that is not in its format or gives
    other tables than the published ones; nothing is then recorded of it.
    """
    source = public(study)
    folder = (cache or cache_folder()) / study
    found = fetch(source.originals, folder / "originals", progress=progress, schemes=schemes)
    if source.tables_of is None:
        return FetchedStudy(folder=None, originals=tuple(found))
    try:
        for name, columns in source.tables_of({one.name: one.path for one in found}).items():
            _write(columns, folder / name, line_end="\r\n" if name in source.crlf else "\n")
        read_folder(import_module(f"isoloss.published.{study}.data").ORIGIN, folder)
    except BadTable:
        forget(found)
        raise
    return FetchedStudy(folder=folder, originals=tuple(found))


def _write(columns: Columns, path: Path, *, line_end: str) -> None:
    if path.suffix == ".parquet":
        write_columns(columns, path)
    else:
        text = csv_text({name: column.tolist() for name, column in columns.items()})
        files.write_text(path, text.replace("\n", line_end))
