"""A text to measure: token ids in documents, the bytes they stand for, and the pieces that a measure reads of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from isoloss.complexity.sample import Pool
from isoloss.core.errors import InputError
from isoloss.core.rng import stream
from isoloss.corpus.corpus import Corpus, Ints, Tokens, Windows, document_windows

Floats = NDArray[np.float64]
Part = tuple[Tokens, Ints]
"""Tokens, and the offsets at which their documents start, with the end of the last."""

# Of a text with more pieces than this, so many are drawn first: a measure uses a few thousand, and the starts of all
# pieces of a terabyte would not fit in memory.
MOST_PIECES = 1 << 20


@dataclass(frozen=True, kw_only=True, eq=False)
class Text:
    """Documents as token ids (`tokens`) and as the bytes they stand for (`raw`; None where they stand for no text).

    `vocab_size` is None where it is to be taken from the ids drawn. `bytes_per_token` turns nats per token into bits
    per byte. `floor` is the best possible loss of each held-out document, nats per token, where it is known.
    """

    name: str
    tokens: Sequence[Part]
    vocab_size: int | None
    raw: Sequence[Part] | None = None
    bytes_per_token: float | None = None
    floor: Floats | None = field(default=None, repr=False)

    @classmethod
    def of_corpus(cls, corpus: Corpus) -> "Text":
        """Return the training side of a corpus. Its bytes are at hand where they are its tokens."""
        parts = [(corpus.train, corpus.documents("train"))]
        return cls(
            name=corpus.fingerprint, tokens=parts, vocab_size=corpus.vocab_size,
            raw=parts if corpus.tokenizer == "bytes" else None, bytes_per_token=corpus.bytes_per_token,
            floor=corpus.document_floor,
        )  # fmt: skip

    def as_bytes(self) -> "Text":
        """Return the text whose tokens are its bytes. Raises InputError where they are not at hand."""
        if self.raw is None:
            raise InputError(
                "the bytes of this text are not available: it has only token ids",
                place=self.name,
                fix="measure its tokens (leave out -bytes), or measure the text files themselves with isoloss measure",
            )
        return Text(name=self.name, tokens=self.raw, vocab_size=256, raw=self.raw, bytes_per_token=1.0)

    def sequences(self, length: int, *, seed: int) -> Pool:
        """Return the disjoint pieces of `length` tokens from the start of each document. Raises InputError for none."""
        pool = self._pool(length, seed)
        if not len(pool):
            longest = max(int(np.diff(offsets).max(initial=0)) for _, offsets in self.tokens)
            raise too_short(longest, length, place=self.name, unit="bytes" if self.raw is self.tokens else "tokens")
        return pool

    def blocks(self, length: int, *, seed: int) -> Pool:
        """Return the disjoint blocks of `length` tokens of the whole text, across its documents.

        Each block counts as a document of its own. Raises InputError where the text holds fewer than two.
        """
        pool = self._pool(length, seed, across=True)
        if len(pool) < 2:
            held = sum(len(tokens) for tokens, _ in self.tokens)
            raise InputError(
                f"at least two blocks of {length:,} tokens are needed; the text has {held:,} tokens",
                place=self.name,
                fix=f"measure more text, or shorter blocks: --block-tokens {max(256, held // 16)}",
            )
        return pool

    def _pool(self, length: int, seed: int, *, across: bool = False) -> Pool:
        """Return the pieces of each document, or `across` documents, where each piece counts as a document."""
        found, documents = [], 0
        for tokens, offsets in self.tokens:
            windows = _windows(np.array([0, len(tokens)]) if across else offsets, length, seed=seed)
            document = np.arange(len(windows)) if across else windows.document
            found.append((tokens, Windows(starts=windows.starts, document=document + documents, context=length)))
            documents += len(windows) if across else len(offsets) - 1
        return Pool(parts=found, vocab_size=self.vocab_size, floor=self.floor)


def _windows(offsets: Ints, length: int, *, seed: int) -> Windows:
    """Return the windows of documents; of one very long document, MOST_PIECES of them drawn without replacement."""
    held = int(offsets[-1]) // length
    if len(offsets) > 2 or held <= MOST_PIECES:
        return document_windows(offsets, length)
    picked = stream(seed, "complexity pieces", held).choice(held, MOST_PIECES, replace=False, shuffle=False)
    return Windows(starts=np.sort(picked) * length, document=np.zeros(MOST_PIECES, dtype=np.int64), context=length)


def too_short(longest: int, wanted: int, *, place: str, unit: str = "tokens") -> InputError:
    """Return the error for a text none of whose documents holds a sequence."""
    shorter = f"--sequence-tokens {longest}, in a study or in Python sequence_tokens"
    if unit == "bytes":
        shorter = "a sequence has sequence_tokens × token_bytes bytes"
    return InputError(
        f"no sequence of {wanted} {unit}: the longest document has {longest}",
        place=place,
        fix="use more text" + (f", or shorter sequences in isoloss measure ({shorter})" if longest > 1 else ""),
    )
