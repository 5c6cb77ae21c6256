"""Remains of processes that were killed: temporary files whose maker is dead are removed, those of the living never.

The maker of a temporary file holds a lock on it (flock) until it is done; the system releases the lock at the maker's
death, whatever the cause and on whichever machine.
"""

import fcntl
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

LOCK = ".maker"  # the file in a temporary folder that its maker holds
TEMPORARY_FILE = re.compile(r"\..+\.[a-z0-9_]{8}\.tmp")


@contextmanager
def held(path: Path) -> Iterator[bool]:
    """Hold the lock on the file at `path` while the block runs; yield False where the file is gone by then."""
    try:
        handle = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        yield False
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield names_open_file(path, handle)
    finally:
        os.close(handle)


def is_held(path: Path) -> bool:
    """Whether a living process holds the lock on the file at `path`."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def remove_files(folder: Path) -> None:
    """Remove temporary files in `folder`, `.NAME.xxxxxxxx.tmp`, that no living process holds."""
    for path in list(folder.iterdir()):
        if TEMPORARY_FILE.fullmatch(path.name) and path.is_file():
            with _taken_over(path) as ours:
                if ours:
                    path.unlink(missing_ok=True)


@contextmanager
def temporary_folder(root: Path, prefix: str) -> Iterator[Path]:
    """Yield an empty folder in `root`, gone afterwards. Those that killed makers left there are removed first."""
    remove_folders(root, prefix)
    with ExitStack() as stack:
        folder = _locked_folder(root, prefix, stack)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _locked_folder(root: Path, prefix: str, stack: ExitStack) -> Path:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=root))
        (folder / LOCK).touch()
        if stack.enter_context(held(folder / LOCK)):
            return folder


def remove_folders(root: Path, prefix: str) -> None:
    """Remove temporary folders in `root` whose names begin with `prefix` and whose lock no living process holds.

    One without a lock file has just been made, or is just being removed: it is left alone for an hour.
    """
    for folder in list(root.glob(f"{prefix}*")):
        if (folder / LOCK).is_file():
            with _taken_over(folder / LOCK) as ours:
                if ours:
                    shutil.rmtree(folder, ignore_errors=True)
        elif _unchanged_for_an_hour(folder):
            shutil.rmtree(folder, ignore_errors=True)


def _unchanged_for_an_hour(folder: Path) -> bool:
    try:
        return folder.stat().st_mtime < time.time() - 3600
    except OSError:  # gone by now
        return False


@contextmanager
def _taken_over(path: Path) -> Iterator[bool]:
    """Yield whether nobody held the file at `path`: it is then held here."""
    try:
        handle = os.open(path, os.O_RDWR)
    except OSError:  # gone, or another user's
        yield False
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        free = names_open_file(path, handle)
    except OSError:
        free = False
    try:
        yield free
    finally:
        os.close(handle)


def names_open_file(path: Path, handle: int) -> bool:
    """Whether `path` is still the file that is open as `handle`."""
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False
