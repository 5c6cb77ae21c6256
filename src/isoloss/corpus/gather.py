"""Reading a source of text: every document once, tokenised into a spool on disk, with a count of what was left out."""

import math
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import IO, Self

import numpy as np
from numpy.typing import NDArray

from isoloss.core.errors import BadCorpus
from isoloss.core.progress import Progress
from isoloss.corpus.corpus import Tokens
from isoloss.corpus.documents import Fit, encode, no_text_fix
from isoloss.corpus.interventions import on_text, tercile
from isoloss.corpus.near import NearDuplicates
from isoloss.corpus.readers import Document
from isoloss.corpus.reading import Reading
from isoloss.corpus.sources import TextSource
from isoloss.corpus.split import LARGEST_HELDOUT_SHARE, heldout_documents, ranked
from isoloss.corpus.tokenizers import Tokenizer, token_dtype, trained_vocab_size

Ints = NDArray[np.int64]

MOST_BYTES_PER_TOKEN = 8  # of a trained tokenizer: twice what one of 32,000 tokens reaches on English
GZIP_PIECE = 1024  # bytes: what the gzip paper's documents of 256 tokens hold


@dataclass(frozen=True, kw_only=True, eq=False)
class Gathered:
    """Distinct documents in a spool of tokens: the digest of each, and where its tokens lie.

    `changed` are the digests of the texts after interventions, where there are any; `sizes` are bytes; `ratios` the
    gzip ratios where they are asked for; `number` each document's place in `near`.
    """

    spool: Path
    tokenizer: Tokenizer
    digests: list[bytes]
    changed: list[bytes] | None
    starts: Ints
    lengths: Ints
    sizes: Ints
    number: Ints
    ratios: NDArray[np.float64] | None
    near: NearDuplicates | None
    dropped: dict[str, int]

    def __len__(self) -> int:
        return len(self.digests)

    def document(self, index: int) -> Tokens:
        """Return the tokens of a document, read from the spool."""
        dtype = token_dtype(self.tokenizer.vocab_size)
        start, count = int(self.starts[index]), int(self.lengths[index])
        read: Tokens = np.fromfile(self.spool, dtype=dtype, count=count, offset=start * dtype.itemsize)
        return read

    def only(self, index: Ints, *, reason: str) -> Self:
        """Return the documents at the ascending positions `index`; the others are counted under `reason`."""
        out = len(self) - len(index)
        return replace(
            self,
            digests=[self.digests[i] for i in index],
            changed=None if self.changed is None else [self.changed[i] for i in index],
            starts=self.starts[index],
            lengths=self.lengths[index],
            sizes=self.sizes[index],
            number=self.number[index],
            ratios=None if self.ratios is None else self.ratios[index],
            dropped={**self.dropped, **({reason: self.dropped.get(reason, 0) + out} if out else {})},
        )


def gather(
    source: TextSource, reading: Reading, tokenizer: Tokenizer, *, context: int, spool: Path, progress: Progress
) -> Gathered:
    """Return the distinct documents of at least `context` tokens, their tokens written to `spool` one after another.

    Reading stops where the source limits its tokens and there are enough. Raises BadCorpus where nothing remains, or
    where the tokenizer does not know the text.
    """
    title = f"corpus {source.name}: {reading.title}"
    with spool.open("wb") as stream, progress.task(title, total=reading.total) as task:
        kept = _Kept(source, tokenizer, context, stream)
        for document in reading.documents(kept.dropped, task):
            kept.add(document)
            if kept.enough():
                break
    if not kept.lengths:
        raise nothing_left(reading.place, kept.dropped, context)
    kept.fit.check()
    return kept.gathered(spool)


class _Kept:
    """The documents taken so far, and what was left out."""

    def __init__(self, source: TextSource, tokenizer: Tokenizer, context: int, stream: IO[bytes]) -> None:
        self.source = source
        self.tokenizer = tokenizer
        self.context = context
        self.stream = stream
        self.wanted = math.inf if source.tokens is None else _tokens_to_read(source, source.tokens)
        self.near = NearDuplicates(source.jaccard) if source.near_duplicates else None
        self.fit = Fit(tokenizer, name=source.tokenizer)
        self.ranked = tercile(source.interventions) is not None
        self.lengths: dict[bytes, int] = {}
        self.changed: list[bytes] = []
        self.sizes: list[int] = []
        self.ratios: list[float] = []
        self.dropped: Counter[str] = Counter()
        self.tokens = 0

    def enough(self) -> bool:
        """Whether there are tokens to spare, and the documents that will train hold what was asked.

        Of few long documents the held-out ones may be half: then a tenth more is read before this is asked again.
        """
        if self.tokens < self.wanted:
            return False
        if self._training_tokens() >= (self.source.tokens or 0):
            return True
        self.wanted = 1.1 * self.tokens
        return False

    def _training_tokens(self) -> float:
        """Return the tokens that a split of what was read leaves to train; no limit where a choice is yet to come."""
        if self.ranked or self.near is not None or trained_vocab_size(self.source.tokenizer) is not None:
            return math.inf
        lengths, windows = list(self.lengths.values()), self.source.heldout_tokens // self.context
        heldout = min(heldout_documents(len(lengths), self.source.heldout_fraction), windows)
        train = ranked(list(self.lengths), self.source.seed)[heldout:]
        return sum(lengths[document] // self.context * self.context for document in train)

    def add(self, document: Document) -> None:
        digest = sha256(document.content).digest()
        if digest in self.lengths:
            self.dropped["duplicate"] += 1
            return
        content = on_text(document.content, self.source.interventions, digest=digest)
        if content is None:
            self.dropped["other_language"] += 1
            return
        ids = encode(self.tokenizer, Document(content, document.place))
        self.fit.count(ids, document.place)
        if len(ids) < self.context:
            self.dropped["short"] += 1
            return
        ids.tofile(self.stream)
        self.lengths[digest] = len(ids)
        self.sizes.append(len(content))
        if self.source.interventions:
            self.changed.append(sha256(content).digest())
        if self.ranked:
            self.ratios.append(gzip_ratio(content))
        if self.near is None or not self.near.add(document.content) or self.source.near_duplicates == "report":
            self.tokens += len(ids)

    def gathered(self, spool: Path) -> Gathered:
        lengths = np.array(list(self.lengths.values()), dtype=np.int64)
        return Gathered(
            spool=spool,
            tokenizer=self.tokenizer,
            digests=list(self.lengths),
            changed=self.changed if self.source.interventions else None,
            starts=np.cumsum(lengths) - lengths,
            lengths=lengths,
            sizes=np.array(self.sizes, dtype=np.int64),
            number=np.arange(len(lengths)),
            ratios=np.array(self.ratios) if self.ranked else None,
            near=self.near,
            dropped=dict(sorted(self.dropped.items())),
        )


def gzip_ratio(content: bytes) -> float:
    """Return the mean of compressed over raw size of a text's pieces of 1,024 bytes, each through deflate by itself.

    A last piece that is shorter counts only where it is the only one: ratios of short pieces are high.
    """
    pieces = list(_whole_pieces(content)) or [content]
    return sum(len(zlib.compress(piece, 9, -zlib.MAX_WBITS)) / len(piece) for piece in pieces) / len(pieces)


def _whole_pieces(content: bytes) -> Iterator[bytes]:
    for start in range(0, len(content) - GZIP_PIECE + 1, GZIP_PIECE):
        yield content[start : start + GZIP_PIECE]


def _tokens_to_read(source: TextSource, train_tokens: int) -> float:
    """Return how many tokens leave `train_tokens` after the split, nearly always: documents differ in length.

    Where the tokenizer is yet to be trained, tokens are bytes here.
    """
    wanted = 1.1 * train_tokens / (1 - max(source.heldout_fraction, LARGEST_HELDOUT_SHARE))
    if tercile(source.interventions) is not None:
        wanted *= 3
    return wanted if trained_vocab_size(source.tokenizer) is None else wanted * MOST_BYTES_PER_TOKEN


def nothing_left(place: str, dropped: dict[str, int] | Counter[str], context: int) -> BadCorpus:
    """Return the error for a source none of whose documents can be used."""
    reasons = ", ".join(f"{count} {reason}" for reason, count in dropped.items()) or "no document in them"
    return BadCorpus(
        f"no document remains: {reasons} (short: under {context} tokens)",
        place=place,
        fix=f"{no_text_fix(Counter(dropped))}, or lower the context",
    )
