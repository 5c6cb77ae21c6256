"""The published studies by name."""

from importlib import import_module
from pathlib import Path

from isoloss.core.errors import InputError, did_you_mean
from isoloss.core.progress import QUIET, Progress
from isoloss.published.folder import Origin
from isoloss.published.reproduction import Reproduction

STUDIES = ("porian", "gzip", "chinchilla", "datablations")


def origin(study: str) -> Origin:
    """Return where a study's data come from. Raises InputError for an unknown study."""
    if study not in STUDIES:
        raise InputError(f"unknown study {study!r}", fix=did_you_mean(study, STUDIES))
    found: Origin = import_module(f"isoloss.published.{study}.data").ORIGIN
    return found


def reproduce(study: str, folder: Path | None, *, raw: Path | None = None, progress: Progress = QUIET) -> Reproduction:
    """Return a study done again from its folder, `raw` being the pickle of training curves of porian.

    Raises InputError for an unknown study, a folder that is not it, or raw curves of another.
    """
    source = origin(study)
    if folder is None:
        raise InputError(
            f"the data of {source.title!r} are not shipped with isoloss ({source.licence})", place="--data",
            fix=f"give a folder with {source.file_names()}; they come from {source.sentence()}",
        )  # fmt: skip
    if raw is not None and study != "porian":
        raise InputError(f"{study} has no raw curves", place="--raw", fix="leave --raw out")
    more = {} if raw is None else {"raw": raw}
    found: Reproduction = import_module(f"isoloss.published.{study}").reproduce(folder, progress=progress, **more)
    return found
