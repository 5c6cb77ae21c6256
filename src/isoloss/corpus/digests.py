"""Whether the files of a corpus are what was written: digests in its record, compared whole whenever there is doubt.

    stamps.json   size, times and place on the disk of every file that was compared, so that it need not be read again

A stamp says nothing until the file has rested for a while: a change within the clock's grain would leave it as it is.
"""

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from isoloss.core import files
from isoloss.core.errors import StorageError
from isoloss.runs.checksums import file_digest

STAMPS = "stamps.json"
RECORD = "corpus.json"
REST_SECONDS = 2.0  # the coarsest clock of file systems in use (FAT)

Stamp = list[int]


def digests_of(folder: Path) -> dict[str, str]:
    """Return the digest of every file of a corpus but its record."""
    names = sorted(path.name for path in folder.iterdir() if path.name not in (RECORD, STAMPS) and path.name[0] != ".")
    return {name: file_digest(folder / name) for name in names}


def changed_file(folder: Path, digests: Mapping[str, str]) -> str | None:
    """Return the name of a file that is not what `digests` say, or None. Those that changed since are read whole.

    Raises OSError where a file cannot be read.
    """
    stamps = _stamps(folder)
    doubtful = [name for name in digests if _stamp(folder / name) != stamps.get(name)]
    rested: dict[str, Stamp] = {}
    for name in doubtful:
        before = _stamp(folder / name)
        if file_digest(folder / name) != digests[name]:
            return name
        if time.time() - before[1] / 1e9 > REST_SECONDS and _stamp(folder / name) == before:
            rested[name] = before
    if rested and not folder.is_symlink():  # a link leads to another's folder
        with suppress(StorageError):  # a folder that may not be written is read whole each time
            files.write_json(folder / STAMPS, {**stamps, **rested})
    return None


def _stamp(path: Path) -> Stamp:
    found = path.stat()
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def _stamps(folder: Path) -> dict[str, Stamp]:
    try:
        found = json.loads(files.regular(folder / STAMPS).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
