"""A random sample of all the documents of a source, up to so many tokens, drawn by what the documents hold.

Every document is divided into pieces of about equal size, and every piece has a rank: a hash of the seed, the document
and the piece's number. Those of the lowest ranks are the sample. Every token is thus as likely as any other to be in
it, a long document gives a part of itself in place of all or nothing, and the same documents give the same sample
whatever files they lie in, in whatever order, on whatever machine.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import IO, NamedTuple

from isoloss.corpus.readers import Document
from isoloss.corpus.split import rank

# A sample of W tokens has pieces of W / 256 bytes: where no document were shorter than a piece, and a token a byte,
# it would still come from 256 places. A piece holds 16 windows or more, so that little is lost at its end.
PIECES = 256
WINDOWS = 16


class Share(NamedTuple):
    """Which of a document's pieces, numbered from 0, are in the sample (ascending), and of how many."""

    pieces: tuple[int, ...]
    of: int

    def spans(self, tokens: int, context: int) -> list[slice]:
        """Return where the pieces lie among the document's `tokens`, adjacent ones as one.

        Each begins at a multiple of `context`, so that windows from the document's start cross no gap; the last ends
        with the document. Pieces of a document of few windows may be empty.
        """
        windows = tokens // context
        found: list[slice] = []
        for number in self.pieces:
            start = number * windows // self.of * context
            stop = (number + 1) * windows // self.of * context if number + 1 < self.of else tokens
            if found and found[-1].stop == start:
                start = found.pop().start
            found.append(slice(start, stop))
        return [span for span in found if span.stop > span.start]

    def length(self, tokens: int, context: int) -> int:
        """Return how many of the document's `tokens` are in the sample."""
        return sum(span.stop - span.start for span in self.spans(tokens, context))


WHOLE = Share((0,), 1)


class Piece(NamedTuple):
    """A piece of a document, by its rank: the digest of the document, its number from 0, and of how many it is one."""

    rank: int
    digest: bytes
    number: int
    of: int


def piece_bytes(tokens: int, context: int) -> int:
    """Return the size of the pieces that a sample of `tokens` tokens is drawn in."""
    return max(WINDOWS * context, tokens // PIECES)


@dataclass(slots=True)
class _Held:
    """A document in the pool: where it lies in the spool, where it came from, how many of its pieces are in."""

    start: int
    size: int
    place: str
    pieces: int
    copies: int = 0


class Pool:
    """The pieces of lowest rank among all that were added, as many as hold `keep_bytes`; their documents on disk."""

    def __init__(self, spool: IO[bytes], *, seed: int, piece_bytes: int, keep_bytes: int) -> None:
        self._spool = spool
        self._seed, self._piece_bytes, self._keep_bytes = seed, piece_bytes, keep_bytes
        self._held: dict[bytes, _Held] = {}
        self._worst_first: list[tuple[int, Piece]] = []
        self._bytes = 0
        self.whole = True

    def add(self, document: Document) -> None:
        """Take the pieces of a document that rank low enough so far."""
        digest = sha256(document.content).digest()
        if digest in self._held:
            self._held[digest].copies += 1
            return
        pieces = [piece for piece in self._pieces(digest, len(document.content)) if self._ranks(piece)]
        if not pieces:
            return
        held = _Held(self._spool.seek(0, 2), len(document.content), document.place, len(pieces))
        self._spool.write(document.content)
        self._held[digest] = held
        for piece in pieces:
            heapq.heappush(self._worst_first, (-piece.rank, piece))
            self._bytes += _size(piece, held)
        self._drop()

    @property
    def duplicates(self) -> int:
        """How many documents equal another of the pool."""
        return sum(held.copies for held in self._held.values())

    def pieces(self) -> Iterator[Piece]:
        """Yield the pieces, the lowest rank first."""
        yield from sorted(piece for _, piece in self._worst_first)

    def document(self, digest: bytes) -> Document:
        """Return a document of the pool."""
        held = self._held[digest]
        self._spool.seek(held.start)
        return Document(self._spool.read(held.size), held.place)

    def _pieces(self, digest: bytes, size: int) -> Iterator[Piece]:
        of = max(1, -(-size // self._piece_bytes))
        return (Piece(rank(digest, self._seed, f"piece {number}"), digest, number, of) for number in range(of))

    def _ranks(self, piece: Piece) -> bool:
        ranks = self.whole or piece < self._worst_first[0][1]
        self.whole &= ranks
        return ranks

    def _drop(self) -> None:
        """Leave out the pieces of the highest ranks, as long as the others hold enough."""
        while True:
            worst = self._worst_first[0][1]
            held = self._held[worst.digest]
            if self._bytes - _size(worst, held) < self._keep_bytes:
                return
            heapq.heappop(self._worst_first)
            self.whole = False
            self._bytes -= _size(worst, held)
            held.pieces -= 1
            if not held.pieces:
                del self._held[worst.digest]


def _size(piece: Piece, held: _Held) -> int:
    """Return a piece's share of its document's bytes."""
    return (piece.number + 1) * held.size // piece.of - piece.number * held.size // piece.of
