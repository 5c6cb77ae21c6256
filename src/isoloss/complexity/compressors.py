"""Compression ratios: how small a general compressor makes each sequence, compressed by itself."""

import bz2
import lzma
import zlib
from abc import abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from isoloss.complexity.base import Floats, Measure, MeasureSettings, MeasureUnit
from isoloss.complexity.bootstrap import Summary
from isoloss.complexity.sample import Sample
from isoloss.core.errors import InputError
from isoloss.core.machine import over_cores
from isoloss.core.optional import optional
from isoloss.corpus.corpus import Tokens

PIECE = 64  # sequences a thread takes at a time: long enough to outweigh handing over the interpreter lock
PIECE_BYTES = 1 << 16
GZIP_FRAME_BYTES = 18  # header 10, checksum 4, length 4: RFC 1952, as written by gzip.GzipFile without a file name


class CompressionRatio(Measure):
    """Compressed bytes over raw bytes of each sequence, its ids written as big-endian integers of `token_bytes` bytes.

    Pandey 2024 (arXiv:2405.16684) takes gzip, 256 tokens of 4 bytes, and the median over 1,000 documents. The width of
    the integers is part of the measure: 2 bytes move .61 to .94.
    """

    summary: ClassVar[Summary] = "median"
    unit: ClassVar[MeasureUnit] = "ratio"

    @abstractmethod
    def size(self, raw: bytes) -> int:
        """Return the compressed size of one sequence, in bytes."""

    def values(self, sample: Sample) -> Floats:
        """Return the ratio of each sequence."""
        return self.ratios(as_bytes(sample.sequences, self.settings.token_bytes))

    def ratios(self, raw: NDArray[np.uint8]) -> Floats:
        """Return the ratio of each row of bytes, on all cores."""
        piece = max(1, min(PIECE, PIECE_BYTES // raw.shape[1]))
        pieces = over_cores(self.sizes, np.split(raw, range(piece, len(raw), piece)))
        return np.asarray(np.array([size for found in pieces for size in found]) / raw.shape[1])

    def sizes(self, raw: NDArray[np.uint8]) -> list[int]:
        """Return the compressed size of each row of bytes."""
        return [self.size(row.tobytes()) for row in raw]


def as_bytes(sequences: Tokens, token_bytes: int) -> NDArray[np.uint8]:
    """Return sequences × bytes: each id as a big-endian integer. Raises InputError for an id that does not fit.

    The same bytes as `int.to_bytes(token_bytes, "big", signed=True)` wherever that has room for the id.
    """
    largest = int(sequences.max())
    if largest >= 256**token_bytes:
        raise InputError(
            f"id {largest} does not fit in {token_bytes} byte(s)", place="token_bytes", fix="use 4 bytes a token"
        )
    wide = np.ascontiguousarray(sequences, dtype=">u8")
    octets = wide.view(np.uint8).reshape(*sequences.shape, 8)[..., 8 - token_bytes :]
    return np.ascontiguousarray(octets).reshape(len(sequences), -1)


class Gzip(CompressionRatio):
    """gzip at level 9 with its 18 bytes of frame: what `gzip.GzipFile` writes, to the byte (RFC 1951, 1952).

    zlib itself: zlib-ng is faster, but in one document of twenty at 1 or 2 bytes a token its size is another.
    """

    def size(self, raw: bytes) -> int:
        """Return the size of the gzip file."""
        return GZIP_FRAME_BYTES + len(zlib.compress(raw, 9, -zlib.MAX_WBITS))


class Bz2(CompressionRatio):
    """bzip2 at level 9 (Burrows & Wheeler 1994): block sorting, whose frame weighs heavily on short sequences."""

    def size(self, raw: bytes) -> int:
        """Return the size of the bzip2 file."""
        return len(bz2.compress(raw, 9))


class Xz(CompressionRatio):
    """LZMA (Pavlov, LZMA SDK) at preset 9, extreme, as a bare stream: a long-window match finder with a range coder."""

    def size(self, raw: bytes) -> int:
        """Return the size of the stream without the frame of an .xz file."""
        # The preset's own dictionary of 64 MiB is allocated for every sequence and costs 35 ms; one that holds the
        # sequence gives the same stream.
        room = max(4096, len(raw))
        filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": room}]
        return len(lzma.compress(raw, format=lzma.FORMAT_RAW, filters=filters))


class Zstd(CompressionRatio):
    """Zstandard at level 19 (RFC 8878): a long-window match finder with an entropy coder of fractional bits."""

    LEVEL: ClassVar[int] = 19

    def __init__(self, settings: MeasureSettings) -> None:
        super().__init__(settings)
        self._zstandard = optional("zstandard", extra="compressors", place="measure zstd")

    def size(self, raw: bytes) -> int:
        """Return the size of the Zstandard frame."""
        # A compressor each time: they may not be shared between threads.
        return len(self._zstandard.ZstdCompressor(level=self.LEVEL).compress(raw))


class Brotli(CompressionRatio):
    """Brotli at quality 11, window 2^22 (RFC 7932). Its built-in dictionary of web text helps bytes."""

    def __init__(self, settings: MeasureSettings) -> None:
        super().__init__(settings)
        self._brotli = optional("brotli", extra="compressors", place="measure brotli")

    def size(self, raw: bytes) -> int:
        """Return the size of the Brotli stream."""
        return len(self._brotli.compress(raw, quality=11, lgwin=22))


class Ppmd(CompressionRatio):
    """PPMd variant H (Shkarin 2002, as in 7-Zip), order 6, 16 MiB: predicts each byte from those before it.

    No matches are copied and no frame is written, so a short sequence is not weighed down.
    """

    ORDER: ClassVar[int] = 6
    MEMORY_BYTES: ClassVar[int] = 1 << 24

    def __init__(self, settings: MeasureSettings) -> None:
        super().__init__(settings)
        self._pyppmd = optional("pyppmd", extra="compressors", place="measure ppmd")

    def size(self, raw: bytes) -> int:
        """Return the size of the PPMd stream."""
        encoder = self._pyppmd.Ppmd7Encoder(self.ORDER, self.MEMORY_BYTES)
        return len(encoder.encode(raw)) + len(encoder.flush())
