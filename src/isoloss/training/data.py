"""Batches of training windows, in an order that depends on the corpus and the seed alone.

Legend: B windows, T positions of a window.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isoloss.core.rng import stream
from isoloss.corpus.corpus import Corpus, Tokens
from isoloss.runs.spec import RunSpec


class TrainingWindows:
    """The training windows of a corpus in one random order, read once: the same for every model of a seed."""

    def __init__(self, corpus: Corpus, spec: RunSpec) -> None:
        self.windows = corpus.windows("train", spec.model.context)
        self.tokens = corpus.train
        self.order = stream(spec.seed, "order of windows", corpus.fingerprint).permutation(len(self.windows))
        self.per_batch = spec.batch_tokens // spec.model.context

    def batch(self, step: int) -> Tensor:
        """Return the windows of 0-based `step`: (B, T)."""
        return self.some(step * self.per_batch, self.per_batch)

    def some(self, first: int, count: int) -> Tensor:
        """Return `count` windows from the 0-based `first` on, in their order: (B, T)."""
        return _tensor(self.windows.tokens(self.tokens, index=self.order[first : first + count]))


class HeldoutWindows:
    """All held-out windows of a corpus."""

    def __init__(self, corpus: Corpus, *, context: int) -> None:
        self.windows = corpus.windows("heldout", context)
        self.tokens = corpus.heldout

    def __len__(self) -> int:
        return len(self.windows)

    def at(self, index: NDArray[np.int64]) -> Tensor:
        """Return the windows of an index: (B, T)."""
        return _tensor(self.windows.tokens(self.tokens, index=index))


def _tensor(tokens: Tokens) -> Tensor:
    return torch.from_numpy(tokens.astype(np.int64))
