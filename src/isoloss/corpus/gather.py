"""Reading a source of text: every document once, tokenised into a spool on disk, with a count of what was left out.

Where a source limits its tokens, a sample of its documents is taken (`isoloss.corpus.sample`).
"""

import math
import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Self

import numpy as np
from numpy.typing import NDArray

from isoloss.core.errors import BadCorpus
from isoloss.core.progress import Progress
from isoloss.corpus.corpus import Tokens
from isoloss.corpus.documents import Fit, encode, no_text_fix
from isoloss.corpus.dropped import in_words
from isoloss.corpus.interventions import on_text, tercile
from isoloss.corpus.near import NearDuplicates
from isoloss.corpus.readers import Document
from isoloss.corpus.reading import Reading
from isoloss.corpus.sample import WHOLE, Pool, Share, piece_bytes
from isoloss.corpus.sources import TextSource
from isoloss.corpus.split import LARGEST_HELDOUT_SHARE, heldout_documents, ranked
from isoloss.corpus.tokenizers import Tokenizer, token_dtype, trained_vocab_size

Ints = NDArray[np.int64]

MOST_BYTES_PER_TOKEN = 8  # of a trained tokenizer: twice what one of 32,000 tokens reaches on English
LEAST_KEPT = 1 << 24  # bytes of documents from which a sample is taken
GZIP_PIECE = 1024  # bytes: what the gzip paper's documents of 256 tokens hold


@dataclass(frozen=True, kw_only=True, eq=False)
class Gathered:
    """Distinct documents in a spool of tokens: the digest of each, and where its tokens lie.

    `held` is how many tokens of each lie there, from `starts` on, and `shares` which of them are in the corpus: all,
    unless the documents are a sample. `changed` are the digests of the texts after interventions, where there are any;
    `held_bytes` their sizes; `ratios` the gzip ratios where they are asked for; `number` each document's place in
    `near`.
    """

    spool: Path
    tokenizer: Tokenizer
    context: int
    sampled: bool
    digests: list[bytes]
    changed: list[bytes] | None
    starts: Ints
    held: Ints
    shares: list[Share]
    held_bytes: Ints
    number: Ints
    ratios: NDArray[np.float64] | None
    near: NearDuplicates | None
    dropped: dict[str, int]

    def __len__(self) -> int:
        return len(self.digests)

    @cached_property
    def lengths(self) -> Ints:
        """How many tokens of each document are in the corpus."""
        shares = zip(self.shares, self.held.tolist(), strict=True)
        return np.array([share.length(tokens, self.context) for share, tokens in shares], dtype=np.int64)

    @cached_property
    def sizes(self) -> Ints:
        """How many bytes of each document are in the corpus, by its share of the tokens."""
        return self.held_bytes * self.lengths // self.held

    @property
    def bytes_per_token(self) -> float:
        """Bytes for each token of the documents."""
        return int(self.held_bytes.sum()) / int(self.held.sum())

    def names(self) -> list[bytes]:
        """Return what each document of the corpus is: its digest, and in a sample which part of it."""
        if not self.sampled:
            return self.digests
        return [digest + repr(tuple(share)).encode() for digest, share in zip(self.digests, self.shares, strict=True)]

    def document(self, index: int) -> Tokens:
        """Return the tokens of a document that are in the corpus, read from the spool."""
        spans = self.shares[index].spans(int(self.held[index]), self.context)
        return np.concatenate([self._read(index, span) for span in spans])

    def whole_document(self, index: int) -> Tokens:
        """Return all tokens of a document, whatever its share."""
        return self._read(index, slice(0, int(self.held[index])))

    def _read(self, index: int, span: slice) -> Tokens:
        dtype = token_dtype(self.tokenizer.vocab_size)
        start, count = int(self.starts[index]) + span.start, span.stop - span.start
        return np.asarray(np.fromfile(self.spool, dtype=dtype, count=count, offset=start * dtype.itemsize))

    def only(self, index: Ints, *, reason: str) -> Self:
        """Return the documents at the ascending positions `index`; the others are counted under `reason`."""
        out = len(self) - len(index)
        return replace(
            self,
            digests=[self.digests[i] for i in index],
            changed=None if self.changed is None else [self.changed[i] for i in index],
            starts=self.starts[index],
            held=self.held[index],
            shares=[self.shares[i] for i in index],
            held_bytes=self.held_bytes[index],
            number=self.number[index],
            ratios=None if self.ratios is None else self.ratios[index],
            dropped={**self.dropped, **({reason: self.dropped.get(reason, 0) + out} if out else {})},
        )

    def long_enough(self) -> Self:
        """Return the documents of which a window or more is in the corpus; the others are counted as short."""
        return self.only(np.flatnonzero(self.lengths >= self.context), reason="short")


def gather(
    source: TextSource, reading: Reading, tokenizer: Tokenizer, *, context: int, spool: Path, progress: Progress
) -> Gathered:
    """Return the distinct documents of at least `context` tokens, their tokens written to `spool` one after another.

    Where the source limits its tokens, they are a sample of all documents, or where these come in a stream, the first
    of them. Raises BadCorpus where nothing remains, or where the tokenizer does not know the text.
    """
    title = f"corpus {source.name}: {reading.title}"
    keep_bytes = LEAST_KEPT
    while True:
        with spool.open("wb") as stream, progress.task(title, total=reading.total) as task:
            kept = _Kept(source, tokenizer, context, stream, sampled=reading.samples)
            documents = reading.documents(kept.dropped, task)
            if not reading.samples:
                kept.take_in_order(documents)
                break
            keep_bytes = max(keep_bytes, int(MOST_BYTES_PER_TOKEN * kept.wanted))
            with TemporaryFile(dir=spool.parent) as texts:
                size = piece_bytes(source.tokens or 0, context)
                pool = Pool(texts, seed=source.seed, piece_bytes=size, keep_bytes=keep_bytes)
                if kept.take_sample(documents, pool):
                    break
        keep_bytes *= 4
    if not kept.lengths:
        raise nothing_left(reading.place, kept.dropped, context)
    kept.fit.check()
    return kept.gathered(spool)


class _Kept:
    """The documents taken so far, and what was left out."""

    def __init__(
        self, source: TextSource, tokenizer: Tokenizer, context: int, stream: IO[bytes], *, sampled: bool
    ) -> None:
        self.source = source
        self.tokenizer = tokenizer
        self.context = context
        self.stream = stream
        self.sampled = sampled
        self.wanted = math.inf if source.tokens is None else _tokens_to_read(source, source.tokens)
        self.near = NearDuplicates(source.jaccard) if source.near_duplicates else None
        self.fit = Fit(tokenizer, name=source.tokenizer)
        self.ranked = tercile(source.interventions) is not None
        self.lengths: dict[bytes, int] = {}
        self.shares: dict[bytes, Share] = {}
        self.uncounted: set[bytes] = set()  # near another one: it will be left out
        self.changed: list[bytes] = []
        self.sizes: list[int] = []
        self.ratios: list[float] = []
        self.dropped: Counter[str] = Counter()
        self.tokens = 0

    def take_in_order(self, documents: Iterable[Document]) -> None:
        """Take documents as they come, until there are enough."""
        for document in documents:
            digest = sha256(document.content).digest()
            if digest in self.lengths:
                self.dropped["duplicate"] += 1
            elif self._read(document, digest):
                self._share(digest, WHOLE)
            if self.enough():
                break

    def take_sample(self, documents: Iterable[Document], pool: Pool) -> bool:
        """Take a sample of the documents; return False where the pool is too small to hold enough of them."""
        for document in documents:
            pool.add(document)
        self.dropped["duplicate"] += pool.duplicates
        out: set[bytes] = set()
        for piece in pool.pieces():
            digest = piece.digest
            if digest not in self.lengths and digest not in out and not self._read(pool.document(digest), digest):
                out.add(digest)
            if digest in out:
                continue
            before = self.shares.get(digest, Share((), piece.of))
            self._share(digest, Share(tuple(sorted((*before.pieces, piece.number))), piece.of))
            if self.enough():
                return True
        return pool.whole

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
        lengths = [self._length(digest) for digest in self.lengths]
        windows = self.source.heldout_tokens // self.context
        heldout = min(heldout_documents(len(lengths), self.source.heldout_fraction), windows)
        train = ranked(list(self.lengths), self.source.seed)[heldout:]
        return sum(lengths[document] // self.context * self.context for document in train)

    def _read(self, document: Document, digest: bytes) -> bool:
        """Turn a document into tokens in the spool; return False, and count it, where it is left out."""
        content = on_text(document.content, self.source.interventions, digest=digest)
        if content is None:
            self.dropped["other_language"] += 1
            return False
        ids = encode(self.tokenizer, Document(content, document.place))
        self.fit.count(ids, document.place)
        if len(ids) < self.context:
            self.dropped["short"] += 1
            return False
        ids.tofile(self.stream)
        self.lengths[digest] = len(ids)
        self.sizes.append(len(content))
        if self.source.interventions:
            self.changed.append(sha256(content).digest())
        if self.ranked:
            self.ratios.append(gzip_ratio(content))
        if self.near is not None and self.near.add(document.content) and self.source.near_duplicates == "remove":
            self.uncounted.add(digest)
        return True

    def _share(self, digest: bytes, share: Share) -> None:
        """Take this share of a document, in place of a smaller one."""
        before = self._length(digest) if digest in self.shares else 0
        self.shares[digest] = share
        if digest not in self.uncounted:
            self.tokens += self._length(digest) - before

    def _length(self, digest: bytes) -> int:
        return self.shares[digest].length(self.lengths[digest], self.context)

    def gathered(self, spool: Path) -> Gathered:
        held = np.array(list(self.lengths.values()), dtype=np.int64)
        everything = Gathered(
            spool=spool,
            tokenizer=self.tokenizer,
            context=self.context,
            sampled=self.sampled,
            digests=list(self.lengths),
            changed=self.changed if self.source.interventions else None,
            starts=np.cumsum(held) - held,
            held=held,
            shares=[self.shares[digest] for digest in self.lengths],
            held_bytes=np.array(self.sizes, dtype=np.int64),
            number=np.arange(len(held)),
            ratios=np.array(self.ratios) if self.ranked else None,
            near=self.near,
            dropped=dict(sorted((+self.dropped).items())),
        )
        return everything.long_enough()


def gzip_ratio(content: bytes) -> float:
    """Return the mean of compressed over raw size of a text's pieces of 1,024 bytes, each through deflate by itself.

    A last piece that is shorter counts only where it is the only one: ratios of short pieces are high.
    """
    starts = range(0, len(content) - GZIP_PIECE + 1, GZIP_PIECE)
    pieces = [content[start : start + GZIP_PIECE] for start in starts] or [content]
    return sum(len(zlib.compress(piece, 9, -zlib.MAX_WBITS)) / len(piece) for piece in pieces) / len(pieces)


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
    reasons = in_words(dropped) or "no document in them"
    return BadCorpus(
        f"no document is left: {reasons} (too short: under {context} tokens)",
        place=place,
        fix=f"{no_text_fix(Counter(dropped))}, or lower the context",
    )
