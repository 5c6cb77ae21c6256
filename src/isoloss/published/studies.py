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


def reproduce(study: str, folder: Path | None, *, progress: Progress = QUIET) -> Reproduction:
    """Return a study done again from its folder. Raises InputError for an unknown study or a folder that is not it."""
    source = origin(study)
    if folder is None:
        raise InputError(
            f"the data of {source.title!r} are not shipped with isoloss ({source.licence})", place="--data",
            fix=f"give a folder with {source.file_names()}; they come from {source.sentence()}",
        )  # fmt: skip
    found: Reproduction = import_module(f"isoloss.published.{study}").reproduce(folder, progress=progress)
    return found
