"""The published studies by name."""

import time
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from isoloss.core.errors import InputError
from isoloss.core.pool import Helpers
from isoloss.core.progress import QUIET, Progress
from isoloss.published.folder import origin_of, origins
from isoloss.published.public_originals import Sources, fetch_curves, fetch_study, read_study
from isoloss.published.reproduction import Reproduction
from isoloss.runs.observations import NO_GROUP, Observations


def fetched_sources(study: str, folder: Path | None, raw: Path | None, *, progress: Progress = QUIET) -> Sources:
    """Return a study's sources after fetching its public originals into the cache.

    With a folder of its data, what is fetched are its training curves. Raises InputError for a study without any
    there, and what `isoloss.published.public_originals.fetch_study` raises.
    """
    if folder is None:
        return replace(fetch_study(study, progress=progress), raw=raw)
    if origin_of(study).curves is not None and raw is not None:
        raise InputError("--raw and --fetch are given with --data", place="--fetch", fix="leave one of them out")
    curves = fetch_curves(study, progress=progress)
    return Sources(folder=folder, raw=curves.path, fetched=(curves,))


def reproduce(
    study: str,
    folder: Path | None,
    *,
    raw: Path | None = None,
    progress: Progress = QUIET,
    helpers: Helpers | None = None,
) -> Reproduction:
    """Return a study done again from its folder, `raw` being the pickle of training curves of porian.

    `helpers` work along where a study's analysis can be shared, see `isoloss.core.pool`.

    Raises InputError for an unknown study, a folder that is not it, or raw curves of another.
    """
    source = origin_of(study)
    if folder is None:
        raise InputError(
            f"the data of {source.title!r} are not shipped with isoloss ({source.licence})", place="--data",
            fix=f"isoloss reproduce {study} --fetch (downloads them from {source.source}), or --data FOLDER if "
            "you have them (an error then names the files that FOLDER lacks)",
        )  # fmt: skip
    if raw is not None and study != "porian":
        raise InputError(f"{study} has no raw curves", place="--raw", fix="leave --raw out")
    tables, module = read_study(study, folder), import_module(f"isoloss.published.{study}")
    more: dict[str, Any] = {}
    if study == "porian":
        from isoloss.published.porian.raw import convert

        more = {"curves": None if raw is None else convert(raw), "helpers": helpers}
    started = time.perf_counter()
    found: Reproduction = module.reproduce(tables, progress=progress, **more)
    return replace(found, seconds=time.perf_counter() - started)


def runs_of(study: str, folder: Path) -> Iterator[tuple[str, Observations]]:
    """Yield a name and a table of runs for every configuration or data set of a study, read from its folder.

    Of the runs on repeated data those that saw no text twice; of equal compute the points that the authors chose.
    Raises InputError for an unknown study and for a folder that is not it.
    """
    tables = read_study(study, folder)
    for runs in import_module(f"isoloss.published.{study}.data").sweeps(tables):
        for corpus in runs.corpora:
            yield study if corpus == NO_GROUP else f"{study} {corpus}", runs.where(corpus=corpus)


def runs_in(data: Path) -> Iterator[tuple[str, Observations]]:
    """Yield what `runs_of` does of every study whose folder in `data` is called by the study and a year: porian2024."""
    for study in origins():
        for folder in sorted(data.glob(f"{study}[12]*")):
            yield from runs_of(study, folder)
