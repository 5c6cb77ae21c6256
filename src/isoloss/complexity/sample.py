"""The sequences that a measure sees: equal pieces of documents, drawn without replacement."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from isoloss.core.errors import InputError
from isoloss.core.rng import stream
from isoloss.corpus.corpus import Tokens, Windows

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Pool:
    """Every sequence of a text: the windows of one or more token arrays, whose documents are numbered through.

    Without a `vocab_size` the ids drawn decide. `floor` is the best possible loss of each held-out document.
    """

    parts: Sequence[tuple[Tokens, Windows]]
    vocab_size: int | None
    floor: Floats | None = None

    def __len__(self) -> int:
        return sum(len(windows) for _, windows in self.parts)

    @cached_property
    def document(self) -> Ints:
        """The document of each sequence, ascending."""
        return np.concatenate([windows.document for _, windows in self.parts])

    def take(self, index: Ints) -> Tokens:
        """Return the sequences at the ascending positions `index`: sequences × tokens. Only they are read."""
        taken, first = [], 0
        for tokens, windows in self.parts:
            begin, end = np.searchsorted(index, [first, first + len(windows)])
            taken.append(windows.tokens(tokens, index=index[begin:end] - first))
            first += len(windows)
        return np.concatenate(taken)


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """Sequences to measure, and others of the same text for measures that learn before they score.

    `sequences` is sequences × tokens, `document` the document of each. `others` are sequences of documents that give
    none to `sequences`; where the text is one document, they are its first half and `sequences` lie in its second.
    `floor` is the best possible loss of each held-out document, where it is known.
    """

    sequences: Tokens
    document: Ints
    others: Tokens
    vocab_size: int
    floor: Floats | None = None

    def relabelled(self, *, seed: int) -> "Sample":
        """Return the sample with its token ids permuted at random: the same text to any reader of ids as mere names."""
        label = stream(seed, "complexity placebo").permutation(self.vocab_size).astype(self.sequences.dtype)
        return replace(self, sequences=label[self.sequences], others=label[self.others])


def draw(pool: Pool, *, samples: int, learning_tokens: int, seed: int) -> Sample:
    """Return up to `samples` sequences of `pool`, and others up to `learning_tokens` where those are asked.

    Without learning every sequence may be drawn; with it, half of the documents are scored and the others taught.
    """
    rng = stream(seed, "complexity sample", learning_tokens)
    scored, taught = (np.arange(len(pool)), np.arange(0)) if learning_tokens == 0 else _halves(pool.document, rng)
    index = _choose(rng, scored, samples)
    context = pool.parts[0][1].context
    sequences, others = pool.take(index), pool.take(_choose(rng, taught, learning_tokens // context))
    drawn = [part for part in (sequences, others) if part.size]
    smallest, largest = min(int(part.min()) for part in drawn), max(int(part.max()) for part in drawn)
    if smallest < 0:
        raise InputError(f"token id {smallest} is below 0", fix="write ids from 0 on")
    return Sample(
        sequences=sequences,
        document=pool.document[index],
        others=others,
        vocab_size=pool.vocab_size or largest + 1,
        floor=pool.floor,
    )


def _choose(rng: np.random.Generator, index: Ints, count: int) -> Ints:
    """Return `count` members of an ascending index, or all: ascending, so that files are read front to back."""
    if len(index) <= count:
        return index
    return index[np.sort(rng.choice(len(index), count, replace=False, shuffle=False))]


def _halves(document: Ints, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Divide the sequences in two, by document where there are two of them: (scored, taught)."""
    documents, number, counts = np.unique(document, return_inverse=True, return_counts=True)
    if len(documents) == 1:
        return np.arange(len(document) // 2, len(document)), np.arange(len(document) // 2)
    order = rng.permutation(len(documents))
    half = int(np.searchsorted(np.cumsum(counts[order]), len(document) / 2)) + 1
    scored = np.zeros(len(documents), dtype=bool)
    scored[order[: min(half, len(documents) - 1)]] = True
    return np.flatnonzero(scored[number]), np.flatnonzero(~scored[number])
