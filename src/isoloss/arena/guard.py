"""What keeps a method to its table: limits of the system, no network, and files of its own alone.

Memory and file sizes are limits of the system. On Linux a namespace without a network is entered where the system
allows it, in which the held-out runs are covered by empty folders: no library finds them. Files and processes are
watched by an audit hook of Python: it refuses, and remembers, what a method asks of Python. It stops mistakes and
shortcuts; code that sets out to escape from Python can (ctypes).
"""

import contextlib
import ctypes
import os
import resource
import sys
import sysconfig
from pathlib import Path
from typing import Any

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x00020000, 0x10000000, 0x40000000
LARGEST_FILE = 64 * 2**20  # bytes
SYSTEM = (
    "/proc/self/", "/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system/", "/sys/fs/cgroup", "/dev/null",
    "/dev/urandom", "/etc/localtime", "/usr/share/zoneinfo",
)  # fmt: skip
REFUSED = (
    "socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "pty.", "os.kill",
    "ftplib.", "urllib.",
)  # fmt: skip
CHANGES = (
    "os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate", "os.chmod", "shutil.",
)  # fmt: skip
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


def limit_memory(memory_gb: float, cpu_seconds: int) -> None:
    """Set the limits of this process that the system keeps: address space, file size, processor time, no core dump."""
    wanted = {
        resource.RLIMIT_AS: int(memory_gb * 2**30), resource.RLIMIT_FSIZE: LARGEST_FILE,
        resource.RLIMIT_CPU: cpu_seconds, resource.RLIMIT_CORE: 0,
    }  # fmt: skip
    for name, value in wanted.items():
        with contextlib.suppress(ValueError, OSError):  # macOS knows no limit of the address space
            resource.setrlimit(name, (value, value))


def leave_network() -> bool:
    """Enter a namespace without a network and without the held-out runs, and return whether the system allowed it."""
    if not sys.platform.startswith("linux"):
        return False
    system = ctypes.CDLL(None, use_errno=True)
    if system.unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS) != 0:
        return False
    return all(system.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, None) == 0 for folder in heldout_folders())


def heldout_folders() -> list[str]:
    """Return the folders of the package that hold runs which methods are asked about."""
    folders = [os.path.join(_package(), *parts) for parts in (("arena", "floorbench"), ("planning", "shipped"))]
    return [folder for folder in folders if os.path.isdir(folder)]


class Guard:
    """Refuses files outside `folder`, processes and connections; `refused` lists what was asked for.

    `shown` is read alone.
    """

    def __init__(self, folder: Path, *, shown: Path) -> None:
        package = _package()
        paths: list[str] = [sys.prefix, sys.base_prefix, *sysconfig.get_paths().values(), *(p for p in sys.path if p)]
        caches = [os.environ.get("NUMBA_CACHE_DIR", ""), os.path.expanduser("~/.cache/numba")]
        self._written = [_real(path) for path in (str(folder), *caches) if path]
        self._read = [*map(_real, paths), package, *self._written, _real(shown)]
        # Truths, held-out runs, and how both are drawn.
        self._hidden = [os.path.join(package, "arena"), *heldout_folders()]
        self._entries = os.path.join(package, "arena", "entries")
        self.refused: list[str] = []

    def install(self) -> None:
        """Watch from here to the end of the process."""
        sys.addaudithook(self._audit)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            self._open(*arguments[:3])
        elif event.startswith(REFUSED) and event not in ("socket.__new__", "socket.gethostname"):
            self._refuse(event)
        elif event.startswith(CHANGES):
            for path in arguments[:2]:
                if isinstance(path, str | bytes | os.PathLike) and not self._may_write(_real(path)):
                    self._refuse(f"{event} {os.fsdecode(path)}")

    def _open(self, path: Any, mode: Any, flags: Any) -> None:
        if not isinstance(path, str | bytes | os.PathLike):
            return  # a descriptor that is open already
        real = _real(path)
        writes = (isinstance(flags, int) and flags & WRITING) or (isinstance(mode, str) and set(mode) & set("wax+"))
        allowed = self._may_write(real) if writes else self._may_read(real)
        # What is not there gives away nothing, but for what is hidden: it may be covered.
        if not allowed and (writes or _within(real, self._hidden) or os.path.exists(real)):
            self._refuse(f"{'write' if writes else 'read'} {os.fsdecode(path)}")

    def _may_read(self, real: str) -> bool:
        if _within(real, self._hidden) and not _within(real, [self._entries]):
            return False
        return real.startswith(SYSTEM) or _within(real, self._read)

    def _may_write(self, real: str) -> bool:
        # Python and numba keep what they compile in folders of this name.
        compiled = "__pycache__" in real.split(os.sep)[-2:]
        return compiled or real == "/dev/null" or _within(real, self._written)

    def _refuse(self, what: str) -> None:
        self.refused.append(what)
        raise PermissionError(f"the arena allows no: {what}")


def _package() -> str:
    import isoloss

    return os.path.dirname(os.path.realpath(isoloss.__file__))


def _real(path: str | bytes | os.PathLike[Any]) -> str:
    return os.path.realpath(os.fsdecode(path))


def _within(real: str, folders: list[str]) -> bool:
    return any(real == folder or real.startswith(f"{folder}{os.sep}") for folder in folders)
