"""Writing a corpus folder: beside its place, then renamed, so that any number of builders may work at once."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isoloss.core import files
from isoloss.corpus.corpus import Corpus, Side, Tokens

CHUNK = 1 << 22  # tokens counted at a time: memory stays flat however large the corpus is


@contextmanager
def workshop(root: Path) -> Iterator[Path]:
    """Yield an empty folder beside the corpora; it is gone afterwards unless it was moved into its place."""
    with files.storage_errors(root):
        root.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=".building-", dir=root))
    try:
        with files.storage_errors(folder):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def save(folder: Path, name: str, values: NDArray[Any]) -> None:
    """Write an array as `name`.npy."""
    np.save(folder / f"{name}.npy", values, allow_pickle=False)


def create(folder: Path, name: str, dtype: np.dtype[Any], length: int) -> "np.memmap[Any, np.dtype[Any]]":
    """Return an empty array of `length` in `name`.npy: filled piece by piece, it never stands in memory whole."""
    return np.lib.format.open_memmap(folder / f"{name}.npy", mode="w+", dtype=dtype, shape=(length,))


def save_pieces(
    folder: Path, side: Side, source: Tokens, starts: NDArray[np.int64], lengths: NDArray[np.int64]
) -> None:
    """Write a side: pieces of `source` one after another, and the offsets where each starts."""
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    target = create(folder, side, source.dtype, int(offsets[-1]))
    for piece, start in enumerate(starts):
        target[offsets[piece] : offsets[piece + 1]] = source[start : start + lengths[piece]]
    target.flush()
    save(folder, f"{side}_documents", offsets)


def place(corpus: Corpus, built: Path, target: Path) -> Corpus:
    """Write the record, move the folder into its place, return the corpus there: another builder's, if it was first."""
    (built / "corpus.json").write_text(corpus.model_dump_json(indent=1) + "\n", encoding="utf-8")
    for file in built.iterdir():
        with file.open("rb") as written:
            os.fsync(written.fileno())
    built.chmod(0o755)
    try:
        built.rename(target)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
    return Corpus.open(target).renamed(corpus.name)


def unigram_nats(train: Tokens, heldout: Tokens, vocab_size: int) -> float:
    """Return the cross-entropy in nats of the held-out tokens under the training frequencies, add-one smoothed."""
    seen, scored = count_tokens(train, vocab_size), count_tokens(heldout, vocab_size)
    log_probability = np.log(seen + 1) - np.log(seen.sum() + vocab_size)
    return float(-(scored @ log_probability) / scored.sum())


def count_tokens(tokens: Tokens, vocab_size: int) -> NDArray[np.int64]:
    """Return how often each id occurs."""
    counts = np.zeros(vocab_size, dtype=np.int64)
    for start in range(0, len(tokens), CHUNK):
        counts += np.bincount(tokens[start : start + CHUNK], minlength=vocab_size)
    return counts
