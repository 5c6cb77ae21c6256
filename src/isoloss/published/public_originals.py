"""Studies whose public originals can be fetched, and how their tables are made of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from urllib.parse import urlsplit

from isoloss.core import files
from isoloss.core.errors import BadTable, InputError
from isoloss.core.progress import QUIET, Progress
from isoloss.published.fetch import HTTPS, Fetched, PublicFile, cache_folder, fetch, forget
from isoloss.published.folder import Columns, origin_of, read_folder
from isoloss.report.page import csv_text


@dataclass(frozen=True, kw_only=True)
class Public:
    """A study's originals, and the function that makes its tables of them, by file name.

    Where `tables_of` is None the study reads its originals as they are. `curves` are training curves that add to a
    folder of its data. `crlf` names the tables whose lines end as Python's own csv ends them, in two characters.
    """

    originals: tuple[PublicFile, ...]
    tables_of: Callable[[Mapping[str, Path]], Mapping[str, Columns]] | None
    curves: PublicFile | None = None
    crlf: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Where a study's tables lie, its training curves if it has some, and what was fetched."""

    folder: Path | None
    raw: Path | None = None
    fetched: tuple[Fetched, ...] = ()


def public(study: str) -> Public:
    """Return a study's originals. The study is one of `origins.toml`."""
    found: Public = import_module(f"isoloss.published.{study}.originals").PUBLIC
    return found


def fetch_study(
    study: str, *, cache: Path | None = None, progress: Progress = QUIET, schemes: Sequence[str] = HTTPS
) -> Sources:
    """Return a study fetched into the cache, its tables made anew of its originals.

    Raises what `isoloss.published.fetch.fetch` raises, and BadTable for an original that is not in its format or gives
    other tables than the published ones; nothing is then recorded of it.
    """
    source = public(study)
    folder = (cache or cache_folder()) / study
    found = fetch(source.originals, folder / "originals", progress=progress, schemes=schemes)
    if source.tables_of is None:
        return Sources(folder=folder / "originals", fetched=tuple(found))
    try:
        write_tables(study, {one.name: one.path for one in found}, folder)
        read_folder(origin_of(study), folder)
    except BadTable:
        forget(found)
        raise
    return Sources(folder=folder, fetched=tuple(found))


def fetch_curves(
    study: str, *, cache: Path | None = None, progress: Progress = QUIET, schemes: Sequence[str] = HTTPS
) -> Fetched:
    """Return a study's training curves, fetched into the cache. Raises InputError for a study that has none."""
    curves = public(study).curves
    if curves is None:
        raise InputError("--data and --fetch are given", place="--fetch", fix="leave one of them out")
    (found,) = fetch([curves], (cache or cache_folder()) / study / "originals", progress=progress, schemes=schemes)
    return found


def originals_in(study: str, folder: Path) -> dict[str, Path] | None:
    """Return a study's originals by name, as they lie in a folder or in a clone of where they come from.

    None where they are not all there, or where the study reads its originals as they are.
    """
    source = public(study)
    if source.tables_of is None:
        return None
    found = {}
    for original in source.originals:
        inside = Path(*urlsplit(original.url).path.split("/")[4:])  # behind owner, repository and commit
        there = [path for path in (folder / original.name, folder / inside) if path.is_file()]
        if not there:
            return None
        found[original.name] = there[0]
    return found


def write_tables(study: str, originals: Mapping[str, Path], folder: Path) -> None:
    """Write a study's tables, made of its originals. Raises BadTable for an original that is not in its format."""
    source = public(study)
    assert source.tables_of is not None, "a study that reads its originals as they are makes no tables"
    for name, columns in source.tables_of(originals).items():
        _write(columns, folder / name, line_end="\r\n" if name in source.crlf else "\n")


def _write(columns: Columns, path: Path, *, line_end: str) -> None:
    if path.suffix == ".parquet":
        files.write_columns(path, columns)
    else:
        text = csv_text({name: column.tolist() for name, column in columns.items()})
        files.write_text(path, text.replace("\n", line_end))
