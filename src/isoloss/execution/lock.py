"""One trainer a trunk: a lock that its holder's death releases, whatever kills it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from isoloss.core.errors import StorageError
from isoloss.core.remains import names_open_file


@contextmanager
def trunk_lock(path: Path) -> Iterator[bool]:
    """Hold the lock at `path` while the block runs; yield False where another process holds it.

    Raises StorageError on a file system without locks: two trainers of one trunk could not be distinguished.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            yield False
            return
        except OSError as error:
            os.close(handle)
            raise StorageError(
                f"this file system does not support locks: {error.strerror}", place=str(path),
                fix="mount it with flock, or choose a folder elsewhere with --out",
            ) from error  # fmt: skip
        if names_open_file(path, handle):
            break
        os.close(handle)  # the holder before us removed the file while we waited for it
    try:
        yield True
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)
