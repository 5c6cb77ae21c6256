"""Near duplicates: documents that share most of their runs of five words, by MinHash and locality-sensitive hashing.

The Jaccard similarity of two documents is the share of their distinct shingles (runs of five words, a word being
letters, digits and underscores) that both hold. It is estimated from 256 hash minima, with a standard error of .025 at
.8; pairs to compare are found by banding, which misses at most one pair in a hundred at the threshold itself and fewer
above it. Broder 1997, "On the resemblance and containment of documents"; Leskovec, Rajaraman & Ullman,
"Mining of Massive Datasets", chapter 3. The sketches are those of the library rensa, seeded, the same everywhere.
"""

import re
from collections.abc import Iterable
from typing import Any

from isoloss.core.optional import optional

WORD = re.compile(rb"[\w\x80-\xff]+")
SHINGLE_WORDS = 5
MINIMA = 256
SKETCH_SEED = 0
LARGEST_MISS = 0.01


def shingles(content: bytes) -> list[bytes]:
    """Return the distinct runs of five words of a text, sorted; the whole text where it has fewer words."""
    words = WORD.findall(content)
    if len(words) < SHINGLE_WORDS:
        return [content]
    return sorted({b" ".join(words[i : i + SHINGLE_WORDS]) for i in range(len(words) - SHINGLE_WORDS + 1)})


class NearDuplicates:
    """An index of documents by what they hold; they are numbered in the order in which they are added."""

    def __init__(self, threshold: float) -> None:
        """Take pairs at `threshold` and above. Raises InputError where the package rensa is not installed."""
        self._rensa = optional("rensa", extra="text", what="looking for near duplicates", place="near_duplicates")
        self.threshold = threshold
        self._sketches: list[Any] = []
        self._index = self._empty_index()

    def __len__(self) -> int:
        return len(self._sketches)

    def add(self, content: bytes) -> bool:
        """Add a document; return whether it is near one added before."""
        sketch = self._rensa.RMinHash(MINIMA, SKETCH_SEED)
        sketch.update(shingles(content))
        known = self._near(sketch, self._index)
        self._index.insert(len(self._sketches), sketch)
        self._sketches.append(sketch)
        return bool(known)

    def neighbours(self, document: int) -> list[int]:
        """Return the other documents that are near this one, ascending."""
        return [other for other in self._near(self._sketches[document], self._index) if other != document]

    def distinct(self, order: Iterable[int]) -> list[int]:
        """Return the documents that remain where each, taken in `order`, is left out if near one that remains."""
        index, remaining = self._empty_index(), []
        for document in order:
            if not self._near(self._sketches[document], index):
                index.insert(document, self._sketches[document])
                remaining.append(document)
        return remaining

    def _empty_index(self) -> Any:
        return self._rensa.RMinHashLSH(self.threshold, MINIMA, bands(self.threshold))

    def _near(self, sketch: Any, index: Any) -> list[int]:
        likely = sorted(set(index.query(sketch)))
        return [other for other in likely if sketch.jaccard(self._sketches[other]) >= self.threshold]


def bands(threshold: float) -> int:
    """Return the fewest bands of equal height in which a pair at `threshold` agrees at least 99 times in 100."""
    count = 1
    while count < MINIMA and (1 - threshold ** (MINIMA // count)) ** count > LARGEST_MISS:
        count *= 2
    return count
