"""Studies whose public originals can be fetched, and how their tables are made of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from isoloss.core import files
from isoloss.core.errors import BadTable, InputError
from isoloss.core.progress import QUIET, Progress
from isoloss.published.fetch import HTTPS, Fetched, cache_folder, fetch, forget
from isoloss.published.folder import Columns, origin_of, read_folder
from isoloss.report.page import csv_text


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Where a study's tables lie, its training curves if it has some, and what was fetched."""

    folder: Path | None
    raw: Path | None = None
    fetched: tuple[Fetched, ...] = ()


def tables_of(study: str, originals: Mapping[str, Path]) -> Mapping[str, Columns]:
    """Return a study's tables by file name, made of its originals. Raises BadTable for one that is not in its format.

    The study is one of `origins.toml`.
    """
    make: Callable[[Mapping[str, Path]], Mapping[str, Columns]]
    make = import_module(f"isoloss.published.{study}.originals").tables_of
    return make(originals)


def fetch_study(
    study: str, *, cache: Path | None = None, progress: Progress = QUIET, schemes: Sequence[str] = HTTPS
) -> Sources:
    """Return a study fetched into the cache, its tables made anew of its originals.

    Raises what `isoloss.published.fetch.fetch` raises, and BadTable for an original that is not in its format or gives
    other tables than the published ones; nothing is then recorded of it.
    """
    origin, folder = origin_of(study), (cache or cache_folder()) / study
    found = fetch(origin.public, folder / "originals", progress=progress, schemes=schemes)
    if origin.as_published:
        return Sources(folder=folder / "originals", fetched=tuple(found))
    try:
        write_tables(study, {one.name: one.path for one in found}, folder)
        read_folder(origin, folder)
    except BadTable:
        forget(found)
        raise
    return Sources(folder=folder, fetched=tuple(found))


def fetch_curves(
    study: str, *, cache: Path | None = None, progress: Progress = QUIET, schemes: Sequence[str] = HTTPS
) -> Fetched:
    """Return a study's training curves, fetched into the cache. Raises InputError for a study that has none."""
    curves = origin_of(study).curves
    if curves is None:
        raise InputError("--data and --fetch are given", place="--fetch", fix="leave one of them out")
    (found,) = fetch([curves], (cache or cache_folder()) / study / "originals", progress=progress, schemes=schemes)
    return found


def originals_in(study: str, folder: Path) -> dict[str, Path]:
    """Return a study's originals by name, as they lie in a folder or in a clone of where they come from.

    None of them where none lies there. Raises InputError naming those that are missing where others are there.
    """
    found, missing = {}, []
    for original in origin_of(study).public:
        inside = Path(*urlsplit(original.url).path.split("/")[4:])  # behind owner, repository and commit
        there = [path for path in (folder / original.name, folder / inside) if path.is_file()]
        if there:
            found[original.name] = there[0]
        else:
            missing.append(original)
    if found and missing:
        raise InputError(
            f"{len(missing)} of {len(missing) + len(found)} originals are missing: "
            f"{', '.join(one.name for one in missing)}",
            place=str(folder), fix=f"get them from {missing[0].url} and next to it, or add --fetch without --data",
        )  # fmt: skip
    return found


def write_tables(study: str, originals: Mapping[str, Path], folder: Path) -> None:
    """Write a study's tables, made of its originals. Raises BadTable for an original that is not in its format."""
    made = tables_of(study, originals)
    for file in origin_of(study).files:
        path, columns = folder / file.name, made[file.name]
        if path.suffix == ".parquet":
            files.write_columns(path, columns)
        else:
            text = csv_text({name: column.tolist() for name, column in columns.items()})
            files.write_text(path, text.replace("\n", "\r\n" if file.crlf else "\n"))


def read_study(study: str, folder: Path) -> dict[str, Columns]:
    """Return a study's tables by name: as its folder holds them, or made anew where that holds its originals alone.

    Raises InputError for a folder that holds neither, and BadTable for a file that is not the published one.
    """
    origin = origin_of(study)
    originals = {} if origin.stands_in(folder) else originals_in(study, folder)
    if not originals:
        return read_folder(origin, folder)
    if origin.as_published:
        return dict(tables_of(study, originals))
    with TemporaryDirectory() as made:
        write_tables(study, originals, Path(made))
        return read_folder(origin, made)
