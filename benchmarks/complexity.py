"""Speed of the gzip measure against the plain script of the gzip paper, on the same documents, in one run.

    python benchmarks/complexity.py

Prints one JSON object: MB of raw bytes a second, medians over rounds that alternate between the contestants, and in how
many documents the sizes differ. zlib-ng runs as well: it is not used, because its sizes are others.
"""

import gzip
import io
import json
import statistics
import sys
import time
import zlib
from collections.abc import Callable

import numpy as np

from isoloss.complexity.base import MeasureSettings
from isoloss.complexity.compressors import GZIP_FRAME_BYTES, Gzip, as_bytes
from isoloss.complexity.sample import Sample

DOCUMENTS, TOKENS, TOKEN_BYTES, ROUNDS = 4000, 256, 4, 9


def documents() -> np.ndarray:
    """Zipf-distributed ids with local repetition: ratios from .2 to .6, as corpora have."""
    rng = np.random.default_rng(0)
    ids = np.minimum(rng.zipf(1.5, (DOCUMENTS, TOKENS)), 30_000).astype(np.uint16)
    repeated = np.roll(ids, 9, axis=1)
    return np.where(rng.random(ids.shape) < np.linspace(0, 0.8, DOCUMENTS)[:, None], repeated, ids)


def script(ids: np.ndarray) -> list[int]:
    """Compress as the released code of Pandey 2024 does: token by token into a GzipFile."""
    sizes = []
    for row in ids.tolist():
        stream = io.BytesIO()
        with gzip.GzipFile(fileobj=stream, mode="wb") as file:
            file.write(b"".join(token.to_bytes(TOKEN_BYTES, "big", signed=True) for token in row))
        sizes.append(stream.tell())
    return sizes


def gzip_file(ids: np.ndarray) -> list[int]:
    """The plain loop over GzipFile, the bytes of each document given at once."""
    sizes = []
    for row in as_bytes(ids, TOKEN_BYTES):
        stream = io.BytesIO()
        with gzip.GzipFile(fileobj=stream, mode="wb") as file:
            file.write(row.tobytes())
        sizes.append(stream.tell())
    return sizes


def one_thread(ids: np.ndarray) -> list[int]:
    """The package's kernel on the calling thread alone."""
    return Gzip(MeasureSettings(sequence_tokens=TOKENS, token_bytes=TOKEN_BYTES)).sizes(as_bytes(ids, TOKEN_BYTES))


def differing(ids: np.ndarray, token_bytes: int) -> int:
    """Count the documents that zlib-ng compresses to another size than zlib."""
    from zlib_ng import zlib_ng as ng

    rows = [row.tobytes() for row in (ids.astype(np.int64) % 256**token_bytes).astype(f">u{token_bytes}")]
    return sum(len(ng.compress(row, 9, -15)) != len(zlib.compress(row, 9, -15)) for row in rows)


def isoloss(ids: np.ndarray) -> list[int]:
    """Compress by the measure that the package ships."""
    sample = Sample(sequences=ids, document=np.arange(len(ids)), others=ids[:0], vocab_size=int(ids.max()) + 1)
    ratios = Gzip(MeasureSettings(sequence_tokens=TOKENS, token_bytes=TOKEN_BYTES)).values(sample)
    return np.rint(ratios * TOKENS * TOKEN_BYTES).astype(int).tolist()


def zlib_ng(ids: np.ndarray) -> list[int]:
    """Compress by zlib-ng at the same level, one thread."""
    from zlib_ng import zlib_ng as ng

    raw = ids.astype(f">i{TOKEN_BYTES}")
    return [GZIP_FRAME_BYTES + len(ng.compress(row.tobytes(), 9, -zlib.MAX_WBITS)) for row in raw]


def main() -> None:
    ids = documents()
    contestants: dict[str, Callable[[np.ndarray], list[int]]] = {
        "script": script, "gzip_file": gzip_file, "isoloss_one_thread": one_thread, "isoloss": isoloss,
    }  # fmt: skip
    try:
        zlib_ng(ids[:1])
        contestants["zlib_ng"] = zlib_ng
    except ImportError:
        print("zlib-ng is not installed: left out", file=sys.stderr)
    sizes = {name: contestant(ids) for name, contestant in contestants.items()}
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(ROUNDS):
        for name, contestant in contestants.items():
            started = time.perf_counter()
            contestant(ids)
            seconds[name].append(time.perf_counter() - started)
    megabytes = ids.size * TOKEN_BYTES / 1e6
    report: dict[str, dict[str, object]] = {
        name: {
            "mb_per_second": round(megabytes / statistics.median(taken), 1),
            "documents_that_differ": sum(a != b for a, b in zip(sizes[name], sizes["script"], strict=True)),
        }
        for name, taken in seconds.items()
    }
    for name in ("isoloss_one_thread", "isoloss"):
        pairs = zip(seconds["gzip_file"], seconds[name], strict=True)
        report[name]["times_gzip_file"] = round(statistics.median(theirs / ours for theirs, ours in pairs), 2)
    if "zlib_ng" in contestants:
        report["zlib_ng"]["differ_by_token_bytes"] = {width: differing(ids, width) for width in (1, 2, 4)}
    print(json.dumps({"documents": DOCUMENTS, "tokens": TOKENS, "token_bytes": TOKEN_BYTES, **report}, indent=1))


if __name__ == "__main__":
    main()
