"""Reading a files source: every document once, tokenised into a spool on disk, with a count of what was left out."""

import math
from collections import Counter
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from isoloss.core.errors import BadCorpus
from isoloss.core.progress import Progress
from isoloss.core.rng import derive_seed
from isoloss.corpus.documents import encode, texts
from isoloss.corpus.paths import Found, FoundFile
from isoloss.corpus.readers import Document
from isoloss.corpus.sources import FilesSource
from isoloss.corpus.split import LARGEST_HELDOUT_SHARE
from isoloss.corpus.tokenizers import Tokenizer


@dataclass(frozen=True, kw_only=True, eq=False)
class Gathered:
    """Distinct documents in a spool: the digest and the number of tokens of each, in the order of the spool."""

    digests: list[bytes]
    lengths: NDArray[np.int64]
    bytes_read: int
    files_read: int
    dropped: dict[str, int]


def gather(
    source: FilesSource, found: Found, tokenizer: Tokenizer, *, context: int, spool: Path, progress: Progress
) -> Gathered:
    """Return the distinct documents of at least `context` tokens, their tokens written to `spool` one after another.

    A file that is empty, binary or not UTF-8 is counted and left out; one that was named by itself is an error. Where
    the source limits its tokens, files are read in an order drawn from its seed until there are enough. Raises
    BadCorpus where nothing remains.
    """
    files_read = 0
    title = f"corpus {source.name}: reading {len(found.files)} files"
    sizes = {file.path: file.path.stat().st_size for file in found.files}
    with spool.open("wb") as stream, progress.task(title, total=sum(sizes.values())) as task:
        kept = _Kept(source, tokenizer, context, stream)
        for file in _reading_order(source, found.files):
            kept.take(file)
            files_read += 1
            task.advance(sizes[file.path])
            if kept.enough:
                break
    if not kept.lengths:
        raise _nothing_left(source, kept.dropped, context)
    return Gathered(
        digests=list(kept.lengths),
        lengths=np.array(list(kept.lengths.values()), dtype=np.int64),
        bytes_read=kept.bytes,
        files_read=files_read,
        dropped=dict(sorted(kept.dropped.items())),
    )


class _Kept:
    """The documents taken so far, and what was left out."""

    def __init__(self, source: FilesSource, tokenizer: Tokenizer, context: int, stream: IO[bytes]) -> None:
        self.source = source
        self.tokenizer = tokenizer
        self.context = context
        self.stream = stream
        self.wanted = math.inf if source.tokens is None else _tokens_to_read(source.tokens, source.heldout_fraction)
        self.lengths: dict[bytes, int] = {}
        self.dropped: Counter[str] = Counter()
        self.tokens = 0
        self.bytes = 0

    @property
    def enough(self) -> bool:
        return self.tokens >= self.wanted

    def take(self, file: FoundFile) -> None:
        for document in texts(
            file,
            self.dropped,
            text_field=self.source.text_field,
            separator=self.source.separator,
            piece_bytes=self.source.piece_bytes,
        ):
            self._add(document)
            if self.enough:
                return

    def _add(self, document: Document) -> None:
        digest = sha256(document.content).digest()
        if digest in self.lengths:
            self.dropped["duplicate"] += 1
            return
        ids = encode(self.tokenizer, document)
        if len(ids) < self.context:
            self.dropped["short"] += 1
            return
        ids.tofile(self.stream)
        self.lengths[digest] = len(ids)
        self.tokens += len(ids)
        self.bytes += len(document.content)


def _tokens_to_read(train_tokens: int, fraction: float) -> float:
    """Return how many tokens leave `train_tokens` after the split, nearly always: documents differ in length."""
    return 1.1 * train_tokens / (1 - max(fraction, LARGEST_HELDOUT_SHARE))


def _reading_order(source: FilesSource, files: list[FoundFile]) -> list[FoundFile]:
    if source.tokens is None:
        return files
    return sorted(files, key=lambda file: derive_seed(source.seed, "reading order", file.key))


def _nothing_left(source: FilesSource, dropped: Counter[str], context: int) -> BadCorpus:
    reasons = ", ".join(f"{count} {reason}" for reason, count in dropped.items()) or "no document in them"
    return BadCorpus(
        f"no document remains: {reasons} (short: under {context} tokens)",
        place=", ".join(source.paths),
        fix="name files of UTF-8 text, or lower the context",
    )
