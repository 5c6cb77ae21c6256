"""The published studies by name."""

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from isoloss.core.errors import InputError, did_you_mean
from isoloss.core.hands import Helpers
from isoloss.core.progress import QUIET, Progress
from isoloss.published.fetch import Fetched
from isoloss.published.folder import Origin
from isoloss.published.public import fetch_study, public
from isoloss.published.reproduction import Reproduction

STUDIES = ("porian", "gzip", "chinchilla", "datablations")


def origin(study: str) -> Origin:
    """Return where a study's data come from. Raises InputError for an unknown study."""
    if study not in STUDIES:
        raise InputError(f"unknown study {study!r}", fix=did_you_mean(study, STUDIES))
    found: Origin = import_module(f"isoloss.published.{study}.data").ORIGIN
    return found


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Where a study's tables lie, its training curves if it has some, and what was fetched."""

    folder: Path | None
    raw: Path | None = None
    fetched: tuple[Fetched, ...] = ()


def fetched_sources(
    study: str, folder: Path | None, raw: Path | None, *, cache: Path | None = None, progress: Progress = QUIET
) -> Sources:
    """Return a study's sources after fetching its public originals into the cache.

    Raises InputError where a study's tables are given or cannot be made of originals, and what
    `isoloss.published.public.fetch_study` raises.
    """
    source = origin(study)
    tables = public(study).tables_of is not None
    if tables and folder is not None:
        raise InputError("--data and --fetch are given", place="--fetch", fix="leave one of them out")
    if not tables and folder is None:
        raise InputError(
            f"the tables of {source.title!r} cannot be fetched: they are published as pickles in another schema",
            place="--fetch", fix=f"give --data, a folder with {source.file_names()}; --fetch adds the training curves",
        )  # fmt: skip
    if not tables and raw is not None:
        raise InputError("--raw and --fetch are given", place="--fetch", fix="leave one of them out")
    found = fetch_study(study, cache=cache, progress=progress)
    curves = None if tables else found.originals[0].path
    return Sources(folder=found.folder or folder, raw=curves or raw, fetched=found.originals)


def reproduce(
    study: str,
    folder: Path | None,
    *,
    raw: Path | None = None,
    progress: Progress = QUIET,
    helpers: Helpers | None = None,
) -> Reproduction:
    """Return a study done again from its folder, `raw` being the pickle of training curves of porian.

    `helpers` work along where a study's analysis can be shared, see `isoloss.core.hands`.

    Raises InputError for an unknown study, a folder that is not it, or raw curves of another.
    """
    source = origin(study)
    if folder is None:
        raise InputError(
            f"the data of {source.title!r} are not shipped with isoloss ({source.licence})", place="--data",
            fix=f"{_fetching(study)}give --data, a folder with {source.file_names()}; they come from "
            f"{source.sentence()}",
        )  # fmt: skip
    if raw is not None and study != "porian":
        raise InputError(f"{study} has no raw curves", place="--raw", fix="leave --raw out")
    more: dict[str, Any] = {"raw": raw, "helpers": helpers} if study == "porian" else {}
    found: Reproduction = import_module(f"isoloss.published.{study}").reproduce(folder, progress=progress, **more)
    return found


def _fetching(study: str) -> str:
    return "" if public(study).tables_of is None else "add --fetch to get them from their public origin, or "
