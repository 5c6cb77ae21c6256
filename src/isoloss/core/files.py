"""Files are written under a temporary name, then renamed: a reader sees the old file or the new one, never half."""

import csv
import errno
import fcntl
import io
import json
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from isoloss.core import remains
from isoloss.core.errors import InputError, StorageError

STORAGE_PROBLEMS = (
    (
        (errno.ENOSPC, errno.EDQUOT), "no space left on the disk",
        "free some space and run again: finished work is kept and the same command continues",
    ),
    (
        (errno.EFBIG,), "a write was cut short: the disk is full, or the file is larger than the system allows",
        "free some space or raise the limit (ulimit -f), and run again: finished work is kept",
    ),
    (
        (errno.EACCES, errno.EPERM, errno.EROFS), "no permission to read or write here",
        "choose another place, or change its permissions",
    ),
    ((errno.ENOTDIR, errno.EEXIST), "a file is in the place of a needed folder", "choose another place"),
)  # fmt: skip
"""Numbers of the operating system's errors, with what each says and what to do."""


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield a temporary path in the target's folder; rename it onto `target` when the block succeeds.

    What killed writers left in the folder is removed when a process first writes there. Raises StorageError when the
    disk is full or the folder may not be written; `target` is then as it was.
    """
    with ExitStack() as stack:
        with storage_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            _clear_once(target.parent.resolve())
            temporary = _temporary(target)
            # Held until it is renamed; whoever cleared it away before that took it for a dead writer's.
            while not stack.enter_context(remains.held(temporary)):
                temporary = _temporary(target)
        try:
            with storage_errors(target):
                yield temporary
                with temporary.open("rb") as written:
                    os.fsync(written.fileno())
                temporary.chmod(0o644)
                temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def marker(folder: Path) -> Iterator[Path]:
    """Have an empty file of a name that nobody else uses in `folder` while the block runs.

    One that a killed process leaves behind is cleared as temporary files are.
    """
    with storage_errors(folder), ExitStack() as stack:
        path = _temporary(folder / "marker")
        stack.enter_context(remains.held(path))
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Run the block while no other process runs one under the lock file at `path`, which is made if need be."""
    with storage_errors(path):
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _temporary(target: Path) -> Path:
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
    os.close(handle)
    return Path(name)


@cache
def _clear_once(folder: Path) -> None:
    remains.remove_files(folder)


def write_bytes(target: Path, content: bytes) -> None:
    """Write `content` to `target` atomically."""
    with replacing(target) as temporary:
        temporary.write_bytes(content)


def write_text(target: Path, content: str) -> None:
    """Write `content` to `target` atomically, as UTF-8."""
    write_bytes(target, content.encode("utf-8"))


def write_rows(target: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Write `rows` under a head of `columns` to `target` atomically, as CSV. Raises ValueError for other columns."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(target, text.getvalue())


def write_columns(target: Path, columns: Mapping[str, Any]) -> None:
    """Write arrays or sequences by name to `target` atomically, as Parquet."""
    import pyarrow as pa

    write_table(target, pa.table({name: pa.array(column) for name, column in columns.items()}))


def write_table(target: Path, table: Any) -> None:
    """Write an Arrow table to `target` atomically, as Parquet."""
    import pyarrow.parquet as pq

    with replacing(target) as temporary:
        pq.write_table(table, temporary)


def write_json(target: Path, content: object) -> None:
    """Write `content` to `target` atomically as indented JSON. NaN is refused: it is not JSON."""
    write_text(target, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def regular(path: Path) -> Path:
    """Return `path`. Raises OSError where a pipe, a socket or a device stands there: reading it could wait for ever."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return path  # opening it says what is wrong
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise OSError(errno.EINVAL, f"{kind_of(path)}, expected a file", str(path))
    return path


def require_regular(path: Path) -> None:
    """Raise InputError where a pipe, a socket or a device stands at `path`, which a user named."""
    try:
        regular(path)
    except OSError as error:
        raise InputError(error.strerror or str(error), place=str(path), fix="give a plain file") from error


def kind_of(path: Path) -> str:
    """Return what stands at `path`, in words."""
    mode = path.stat().st_mode
    kinds = {
        stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device",
        stat.S_IFDIR: "a folder", stat.S_IFREG: "a file",
    }  # fmt: skip
    return kinds.get(stat.S_IFMT(mode), "no file")


@contextmanager
def storage_errors(place: Path) -> Iterator[None]:
    """Turn the operating system's 'no space' and 'no permission' into a StorageError that names the place."""
    try:
        yield
    except OSError as error:
        # NumPy keeps no number of a write that was cut short: 'N requested and M written'.
        number = errno.EFBIG if error.errno is None and "requested and" in str(error) else error.errno
        other = (f"cannot be read or written: {error.strerror or error}", "choose another place")
        message, fix = next((said for numbers, *said in STORAGE_PROBLEMS if number in numbers), other)
        raise StorageError(message, place=str(place), fix=fix) from error
