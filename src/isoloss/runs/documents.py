"""Means over documents: tokens of one document are not independent, so documents are the unit of error."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


NO_DOCUMENTS: dict[str, list[float]] = {"document": [], "tokens": [], "nats": []}


@dataclass(frozen=True, kw_only=True)
class DocumentMean:
    """A mean over tokens and its standard error over documents."""

    value: float
    stderr: float


@dataclass(frozen=True, kw_only=True, eq=False)
class DocumentLosses:
    """The loss of every held-out document: its index, its scored tokens, its mean nats per scored token."""

    document: NDArray[np.int64]
    tokens: NDArray[np.int64]
    nats: Floats

    def mean(self) -> DocumentMean:
        """Return the loss per scored token."""
        return mean_by_document(self.nats, self.tokens)

    def columns(self) -> dict[str, NDArray[np.generic]]:
        """Return the losses as columns of a table."""
        return {"document": self.document, "tokens": self.tokens, "nats": self.nats}

    def excess(self, floor_nats: Floats) -> DocumentMean:
        """Return the loss above the best possible one of the same documents, its error that of the paired differences.

        `floor_nats` is the floor of every held-out document of the corpus, indexed by `document`.
        """
        return mean_by_document(self.nats - floor_nats[self.document], self.tokens)


def mean_by_document(values: Floats, tokens: NDArray[np.int64]) -> DocumentMean:
    """Return Σ tokens · value / Σ tokens, with the standard error of a ratio of sums over documents.

    `values` are means per token of each document. Cochran 1977, Sampling Techniques, eq. 6.13, without the correction
    for a finite population. Raises ValueError for fewer than two documents: they show no spread.
    """
    documents = len(values)
    if documents < 2:
        raise ValueError(f"{documents} document(s); a standard error needs two")
    total = tokens.sum()
    value = float(tokens @ values / total)
    residuals = tokens * (values - value)
    stderr = float(np.sqrt(documents / (documents - 1) * np.sum(residuals**2)) / total)
    return DocumentMean(value=value, stderr=stderr)
