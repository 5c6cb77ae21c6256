"""Files that may be compressed: opened, read in blocks, and distinguished by their suffixes."""

import io
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import IO, AnyStr, cast

from isoloss.core.errors import BadCorpus

BLOCK = 1 << 20  # bytes read at a time
LONGEST_DOCUMENT = 1 << 28  # bytes of a document, or of a line of a file, that is held whole
ZSTD_WINDOW = "Frame requires too much memory"  # libzstd's words for a window beyond 2^27 bytes

Opener = Callable[[Path], IO[bytes]]


def inner_suffix(path: Path) -> str:
    """Return the suffix that says what a file holds: `.jsonl` for `a.jsonl.gz`."""
    return (Path(path.stem).suffix if compression(path) else path.suffix).lower()


def compression(path: Path) -> str | None:
    """Return the compression suffix of a file, or None."""
    suffix = path.suffix.lower()
    return suffix if suffix in openers else None


def open_bytes(path: Path) -> IO[bytes]:
    """Return the file opened for reading, decompressed on the way where its suffix says so."""
    suffix = compression(path)
    return openers[suffix](path) if suffix else path.open("rb")


def read_blocks(path: Path) -> Iterator[bytes]:
    """Yield what a file holds, decompressed, block by block."""
    with reading(path), decompressing(path) as stream:
        while block := stream.read(BLOCK):
            yield block


def too_long(path: Path | str) -> BadCorpus:
    """Return the error for a file of which more than LONGEST_DOCUMENT would have to be held."""
    return BadCorpus(
        f"a document or line is longer than {LONGEST_DOCUMENT >> 20} MiB, the longest that can be read",
        place=str(path),
        fix="unpack the file and cut it: piece_bytes or separator in a study, or split it into several files",
    )


def bounded_lines(stream: IO[AnyStr], path: Path) -> Iterator[AnyStr]:
    """Yield the lines of a stream. Raises BadCorpus for one that is longer than LONGEST_DOCUMENT."""
    while line := stream.readline(LONGEST_DOCUMENT + 1):
        if len(line) > LONGEST_DOCUMENT:
            raise too_long(path)
        yield line


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what the operating system raises into a BadCorpus."""
    try:
        yield
    except (OSError, EOFError) as error:
        raise BadCorpus(
            f"cannot be read: {error}", place=str(path), fix="check the file and its permissions"
        ) from error


@contextmanager
def decompressing(path: Path) -> Iterator[IO[bytes]]:
    """Open a file; turn what each decompressor raises for damaged input into one BadCorpus."""
    import lzma
    import zlib

    with open_bytes(path) as stream:
        try:
            yield stream
        except EOFError as error:
            raise BadCorpus(
                f"the compressed file is truncated: {error}", place=str(path), fix="fetch it again, whole"
            ) from error
        except (lzma.LZMAError, zlib.error, OSError) as error:
            if compression(path) is None or getattr(error, "errno", None) is not None:
                raise  # the disk's, not the content's
            if ZSTD_WINDOW in str(error):
                raise BadCorpus(
                    "it was compressed with a window larger than 128 MiB, the largest that is unpacked here",
                    place=str(path),
                    fix=f"unpack it first: zstd -dc --long=31 {path.name} > {path.stem}",
                ) from error
            raise BadCorpus(f"damaged compressed file: {error}", place=str(path), fix="fetch it again") from error


@contextmanager
def seekable(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that can be read from any place: a temporary one where it is compressed."""
    with decompressing(path) as stream:
        if compression(path) is None:
            yield stream
            return
        with tempfile.TemporaryFile() as plain:
            shutil.copyfileobj(stream, plain)
            plain.seek(0)
            yield plain


def _opener(module: str) -> Opener:
    """Return what opens a file with a module of the standard library, which is imported when it is needed."""
    return lambda path: cast(IO[bytes], import_module(module).open(path))


def _open_zstd(path: Path) -> IO[bytes]:
    import pyarrow as pa

    # The package zstandard takes a truncated file for a whole one.
    return cast(IO[bytes], io.BufferedReader(pa.CompressedInputStream(pa.OSFile(str(path)), "zstd")))


openers: dict[str, Opener] = {
    ".gz": _opener("gzip"), ".xz": _opener("lzma"), ".bz2": _opener("bz2"), ".zst": _open_zstd,
}  # fmt: skip
"""By suffix."""
