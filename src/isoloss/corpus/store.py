"""Writing a corpus folder: next to its place, then renamed, so that any number of builders may work at once."""

import errno
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isoloss.core import files, remains
from isoloss.core.errors import DamagedArchive
from isoloss.core.progress import Progress
from isoloss.corpus.corpus import SCHEMA_WITHOUT_CHECKSUMS, Corpus, Side, Tokens
from isoloss.corpus.digests import RECORD, digests_of
from isoloss.corpus.overlap import stand_in
from isoloss.runs.checksums import with_checksums

WORKSHOP = ".building-"
CHUNK = 1 << 22  # tokens read at a time: memory stays flat however large the corpus is


@contextmanager
def workshop(root: Path) -> Iterator[Path]:
    """Yield an empty folder next to the corpora; it is gone afterwards unless it was moved into its place.

    Folders that builders left when they were killed are removed first.
    """
    with ExitStack() as stack:
        with files.storage_errors(root):
            root.mkdir(parents=True, exist_ok=True)
            folder = stack.enter_context(remains.temporary_folder(root, WORKSHOP))
        with files.storage_errors(folder):
            yield folder


def save(folder: Path, name: str, values: NDArray[Any]) -> None:
    """Write an array as `name`.npy."""
    np.save(folder / f"{name}.npy", values, allow_pickle=False)


def save_side(
    folder: Path, side: Side, pieces: Iterable[Tokens], lengths: NDArray[np.int64], dtype: np.dtype[Any]
) -> None:
    """Write a side: pieces of `lengths` tokens one after another, and the offsets where each starts."""
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    path = folder / f"{side}.npy"
    start = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=(int(offsets[-1]),)).offset
    # Written through a stream: what is mapped would count as memory of this process until it ends.
    with path.open("r+b") as stream:
        stream.seek(start)
        for piece in pieces:
            stream.write(np.ascontiguousarray(piece, dtype=dtype).data)
    save(folder, f"{side}_documents", offsets)


def blocks(folder: Path, side: Side, *, overlap: int = 0) -> Iterator[Tokens]:
    """Yield a side's tokens in blocks, each mapped anew and beginning `overlap` tokens before the last one's end."""
    length = len(np.load(folder / f"{side}.npy", mmap_mode="r"))
    for start in range(0, length, CHUNK):
        mapped = np.load(folder / f"{side}.npy", mmap_mode="r")
        yield mapped[max(0, start - overlap) : start + CHUNK]


def standing(target: Path, progress: Progress) -> Corpus | None:
    """Return the corpus that stands in `target`, or None: where it is damaged, or has no digests, it is moved away."""
    if not target.exists():
        return None
    found = _opened(target)
    if isinstance(found, Corpus):
        return found
    with workshop(target.parent) as away, suppress(FileNotFoundError):  # somebody else may have moved it away
        found = _opened(target)  # or built it anew
        if isinstance(found, Corpus):
            return found
        target.rename(away / "damaged")
    progress.note(f"corpus {target.name} is rebuilt: {found}")
    return None


def _opened(target: Path) -> Corpus | str:
    """Return the corpus that stands in `target`, or why it cannot be taken."""
    try:
        corpus = Corpus.open(target)
    except DamagedArchive as damage:
        return f"{damage.place}: {damage.message}"
    if corpus.schema_version == SCHEMA_WITHOUT_CHECKSUMS:
        return "an older version of isoloss wrote it without digests"
    return corpus if corpus.fingerprint == target.name else f"{target} contains corpus {corpus.fingerprint}"


def write_record(corpus: Corpus, folder: Path) -> None:
    """Write the record of a corpus, with the digests of the files that lie in `folder`."""
    content = with_checksums(json.loads(corpus.model_dump_json()), files=digests_of(folder))
    (folder / RECORD).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def place(corpus: Corpus, built: Path, target: Path) -> Corpus:
    """Write the record, move the folder into its place, return the corpus there: another builder's, if it was first."""
    write_record(corpus, built)
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


def measured(folder: Path, *, vocab_size: int, context: int) -> dict[str, Any]:
    """Return what a record says of the arrays in `folder`, called as in `Corpus`; `context` is a window's tokens."""

    def length(name: str) -> int:
        return len(np.load(folder / f"{name}.npy", mmap_mode="r"))

    return {
        "vocab_size": vocab_size,
        "n_tokens": length("train"),
        "n_documents": length("train_documents") - 1,
        "heldout_tokens": length("heldout"),
        "heldout_documents": length("heldout_documents") - 1,
        **unigram_nats(folder, vocab_size),
        "heldout_in_train": heldout_in_train(folder, context),
    }


def unigram_nats(folder: Path, vocab_size: int) -> dict[str, float]:
    """Return the cross-entropies in nats of both sides' tokens under the training frequencies, add-one smoothed.

    They are called as in `Corpus`: `unigram_nats` the held-out side's, `train_unigram_nats` the training side's.
    """
    seen, scored = (count_tokens(blocks(folder, side), vocab_size) for side in ("train", "heldout"))
    log_probability = np.log(seen + 1) - np.log(seen.sum() + vocab_size)
    named = {"unigram_nats": scored, "train_unigram_nats": seen}
    return {name: float(-(counts @ log_probability) / counts.sum()) for name, counts in named.items()}


def heldout_in_train(folder: Path, context: int) -> int:
    """Return how many held-out windows of `context` tokens stand verbatim in the training side."""
    heldout = np.load(folder / "heldout.npy", mmap_mode="r").reshape(-1, context)
    found = np.zeros(len(heldout), dtype=bool)
    for block in blocks(folder, "train", overlap=context - 1):
        found |= stand_in(block, heldout)
    return int(found.sum())


def count_tokens(pieces: Iterable[Tokens], vocab_size: int) -> NDArray[np.int64]:
    """Return how often each id occurs."""
    counts = np.zeros(vocab_size, dtype=np.int64)
    for tokens in pieces:
        counts += np.bincount(tokens, minlength=vocab_size)
    return counts
