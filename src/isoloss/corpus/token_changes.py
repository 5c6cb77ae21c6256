"""What happens to token ids on their way from the tokenizer into a corpus: compacted, then made noisy or relabelled."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isoloss.core.rng import stream
from isoloss.corpus.corpus import Ints, Tokens
from isoloss.corpus.interventions import Intervention, Noise, Relabel
from isoloss.corpus.tokenizers import token_dtype


class TokenChanges:
    """The changes to the ids of a document, for a vocabulary of `vocab_size` ids after them."""

    def __init__(self, interventions: Sequence[Intervention], *, vocab_size: int, used: Ints | None) -> None:
        """`used` are the ids that occur, ascending, where the vocabulary is to hold no others."""
        self.vocab_size = vocab_size if used is None else len(used)
        self.dtype = token_dtype(self.vocab_size)
        self._steps = [step for step in interventions if isinstance(step, Noise | Relabel)]
        self._compact = None if used is None else _inverse(used, vocab_size)
        self._labels = {
            step.seed: stream(step.seed, "relabelled ids", self.vocab_size).permutation(self.vocab_size)
            for step in self._steps
            if isinstance(step, Relabel)
        }

    def apply(self, ids: Tokens, digest: bytes) -> Tokens:
        """Return the ids of a document, or of a span of it, after the changes."""
        changed: NDArray[Any] = ids if self._compact is None else self._compact[ids]
        for step in self._steps:
            if isinstance(step, Relabel):
                changed = self._labels[step.seed][changed]
            else:
                changed = self._noisy(changed, step, digest)
        return changed.astype(self.dtype, copy=False)

    def stood_for(self, used: Ints) -> Ints:
        """Return the id of the tokenizer that each id of the corpus stands for, noise aside."""
        labels = np.arange(len(used))
        for step in self._steps:
            if isinstance(step, Relabel):
                labels = self._labels[step.seed][labels]
        meaning = np.empty_like(used)
        meaning[labels] = used
        return meaning

    def _noisy(self, ids: NDArray[Any], noise: Noise, digest: bytes) -> NDArray[Any]:
        rng = stream(noise.seed, "noise", digest.hex())
        replaced = rng.random(len(ids)) < noise.rate
        changed = ids.copy()
        changed[replaced] = rng.integers(0, self.vocab_size, int(replaced.sum()))
        return changed


def _inverse(used: Ints, vocab_size: int) -> Ints:
    """Return the new id of each old one."""
    inverse = np.zeros(vocab_size, dtype=np.int64)
    inverse[used] = np.arange(len(used))
    return inverse
