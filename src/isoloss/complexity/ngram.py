"""Held-out entropy of n-gram models: what a sequence costs a model that counted other documents of the same text.

The model is interpolated Kneser–Ney with modified discounts: Chen & Goodman 1999, Computer Speech & Language 13,
359–394, equations 20 to 26. Nothing in it is tuned on the scored text.
"""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from isoloss.complexity.base import Floats, Measure, MeasureSettings, MeasureUnit
from isoloss.complexity.sample import Sample
from isoloss.core.errors import InputError
from isoloss.corpus.corpus import Tokens

Codes = NDArray[np.int64]
UNSEEN = -1
LARGEST_TABLE = 2**22  # n-grams counted in a table instead of by sorting

# A fixed amount, since a model that counted more predicts better: corpora are compared after equal learning.
LEARNING_TOKENS = 1 << 20
# From 3 to 8, text in bytes goes on falling (Python 1.87, 1.33 at 5, 1.28 at 6, 1.24 at 8) while grammars' documents
# lie flat and a chain of memory one pays 6 % at 5; measured on four texts and six grammars with a million tokens
# learned.
ORDER = 6
# Where too few grams are rare, the discounts have no estimate, or one that leaves nothing to the unseen. As KenLM's
# --discount_fallback (Heafield et al. 2013).
FALLBACK = np.array([0, 0.5, 1, 1.5])


class Ngram(Measure):
    """Mean cost of a sequence's tokens 2…n, in nats per token, under a model of tokens given the five before them."""

    unit: ClassVar[MeasureUnit] = "nats_per_token"
    learning_tokens: ClassVar[int] = LEARNING_TOKENS
    order: ClassVar[int] = ORDER

    def __init__(self, settings: MeasureSettings) -> None:
        super().__init__(settings)
        self._learned = 0

    def values(self, sample: Sample) -> Floats:
        """Return the mean nats per token of each sequence. Raises InputError where no text is left to learn from."""
        require_learning(sample)
        self._learned = sample.others.size
        probability = interpolated(sample.others, sample.sequences, order=self.order, vocab_size=sample.vocab_size)
        return np.asarray(-np.log(probability[:, 1:]).mean(axis=1))

    def details(self) -> dict[str, JsonValue]:
        """Return the order and how many tokens were learned from."""
        return {"order": self.order, "learned_tokens": self._learned}


class Unigram(Ngram):
    """As `ngram`, by token frequencies alone: what knowing the vocabulary's shares is worth."""

    order: ClassVar[int] = 1


class Bigram(Ngram):
    """As `ngram`, given one token before."""

    order: ClassVar[int] = 2


class Trigram(Ngram):
    """As `ngram`, given two tokens before."""

    order: ClassVar[int] = 3


class Fourgram(Ngram):
    """As `ngram`, given three tokens before."""

    order: ClassVar[int] = 4


class Fivegram(Ngram):
    """As `ngram`, given four tokens before."""

    order: ClassVar[int] = 5


def require_learning(sample: Sample) -> None:
    """Raise InputError where no text is left to learn from."""
    if not len(sample.others):
        raise InputError("one sequence is too few: no other is left to learn from", fix="measure more text")


def interpolated(learned: Tokens, scored: Tokens, *, order: int, vocab_size: int) -> Floats:
    """Return the probability of each scored token, sequences × tokens, given up to `order` − 1 tokens before it.

    From the uniform distribution up: p(w|h) = (c(hw) − D(c(hw)) + s(h) p(w|h′)) / c(h), where h′ is h without its first
    token and s(h) is all that the discounts D saved after h. Contexts stay inside a sequence.
    """
    probability = np.full(scored.shape, 1 / vocab_size)
    context = np.zeros(scored.shape, dtype=np.int64)
    for length, level in enumerate(_count(learned, order=min(order, scored.shape[1]), vocab_size=vocab_size)):
        known = context != UNSEEN
        gram = _find(level.grams, np.where(known, context * vocab_size + scored[:, length:], UNSEEN))
        kept = np.where(gram == UNSEEN, 0, (level.count - level.discount)[gram])
        total, saved = (np.where(known, of_context[context], 0) for of_context in (level.total, level.saved))
        shorter = probability[:, length:]
        np.divide(kept + saved * shorter, total, out=shorter, where=total > 0)
        context = gram[:, :-1]
    return probability


@dataclass(frozen=True, kw_only=True, eq=False)
class _Level:
    """The n-grams of one length: ascending codes context · vocabulary + token; a context is a gram one shorter."""

    grams: Codes
    count: Codes
    contexts: int
    vocab_size: int

    @property
    def discount(self) -> Floats:
        """What is taken from each count."""
        return _discounts(self.count)[np.minimum(self.count, 3)]

    @property
    def total(self) -> Floats:
        """Sum of the counts after each context."""
        return self._by_context(self.count)

    @property
    def saved(self) -> Floats:
        """Sum of the discounts after each context."""
        return self._by_context(self.discount)

    def _by_context(self, amount: NDArray[Any]) -> Floats:
        return np.asarray(np.bincount(self.grams // self.vocab_size, amount, self.contexts), dtype=np.float64)


def _count(learned: Tokens, *, order: int, vocab_size: int) -> list[_Level]:
    """Count the longest n-grams as they occur, shorter ones by how many different tokens stand before them."""
    levels: list[_Level] = []
    context = np.zeros(learned.shape, dtype=np.int64)
    before, contexts = context, 1
    for length in range(min(order, learned.shape[1])):
        codes = context * vocab_size + learned[:, length:]
        grams, occurrence, place, count = _distinct(codes.reshape(-1), space=contexts * vocab_size)
        if levels:
            suffix = before[:, 1:].reshape(-1)[occurrence]
            levels[-1] = replace(levels[-1], count=np.bincount(suffix, minlength=contexts))
        levels.append(_Level(grams=grams, count=count, contexts=contexts, vocab_size=vocab_size))
        before, contexts = place.reshape(codes.shape), len(grams)
        context = before[:, :-1]
    return levels


def _distinct(codes: Codes, *, space: int) -> tuple[Codes, Codes, Codes, Codes]:
    """Return the different codes (k,), ascending, where each occurs, which each of `codes` (n,) is, and their counts.

    Codes are below `space`: a table of all of them is quicker than sorting where it is small.
    """
    if space > LARGEST_TABLE:
        return np.unique(codes, return_index=True, return_inverse=True, return_counts=True)
    counts = np.bincount(codes, minlength=space)
    grams = np.flatnonzero(counts)
    numbers = np.zeros(space, dtype=np.int64)
    numbers[grams] = np.arange(len(grams))
    place = numbers[codes]
    occurrence = np.zeros(len(grams), dtype=np.int64)
    occurrence[place] = np.arange(len(codes))
    return grams, occurrence, place, counts[grams]


def _discounts(count: Codes) -> Floats:
    """Return the discounts of counts 0, 1, 2 and 3 or more. Chen & Goodman 1999, equation 26."""
    n1, n2, n3, n4 = ((count == c).sum() for c in (1, 2, 3, 4))
    if min(n1, n2, n3, n4) == 0:
        return FALLBACK
    y = n1 / (n1 + 2 * n2)
    estimated = np.array([0, 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3])
    return estimated if estimated[1:].min() > 0 else FALLBACK


def _find(ascending: Codes, codes: Codes) -> Codes:
    """Return the position of each code in `ascending`, UNSEEN where it is not there."""
    place = np.minimum(np.searchsorted(ascending, codes), len(ascending) - 1)
    return np.where(ascending[place] == codes, place, UNSEEN)
