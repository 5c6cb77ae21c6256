"""How a text behaves as more of it is read: compression against block length, vocabulary against text length."""

from typing import ClassVar, Literal

import numpy as np
from pydantic import JsonValue

from isoloss.complexity.base import Floats
from isoloss.complexity.compressors import CompressionRatio, as_bytes
from isoloss.complexity.power_law import MeanCurve
from isoloss.complexity.sample import Sample
from isoloss.corpus.corpus import Tokens

LENGTHS = 5  # block lengths, each four times the one before
PIECES = 4  # pieces of each length compressed of every block: enough for a mean, as fast as the blocks themselves
GROWTH_POINTS = 7  # text lengths, each twice the one before


class CompressionCurve(MeanCurve):
    """κ of r(ℓ) ∝ ℓ^(−κ): how fast the compression ratio falls with the length ℓ of what is compressed together.

    r is the mean ratio over pieces of a block, at ℓ = block/256, block/64, … block. A text without structure beyond
    its byte frequencies stops falling once the frame is paid for; one with long-range structure goes on. A compressor
    sees no further than its window: gzip 32 KiB. Takahira, Tanaka-Ishii & Dębowski 2016 (Entropy 18:364) extrapolate
    such curves with an asymptote; five points do not determine one, so none is fitted here.
    """

    blocks = True
    x_name: ClassVar[str] = "tokens compressed together"
    y_name: ClassVar[str] = "compression ratio"

    def __init__(self, compressor: CompressionRatio) -> None:
        super().__init__(compressor.settings)
        self.compressor = compressor

    def curves(self, sample: Sample) -> tuple[Floats, Floats]:
        """Return the lengths, and each block's mean ratio at them."""
        block = sample.sequences.shape[1]
        lengths = [block // 4**power for power in reversed(range(LENGTHS))]
        return np.array(lengths, dtype=float), np.stack([self._ratio(sample.sequences, n) for n in lengths], axis=1)

    def _ratio(self, blocks: Tokens, length: int) -> Floats:
        count, block = blocks.shape
        pieces = min(PIECES, block // length)
        first = np.linspace(0, block - length, pieces).astype(np.int64)
        picked = blocks[:, first[:, None] + np.arange(length)].reshape(-1, length)
        ratios = self.compressor.ratios(as_bytes(picked, self.settings.token_bytes))
        return np.asarray(ratios.reshape(count, pieces).mean(axis=1))

    def details(self) -> dict[str, JsonValue]:
        """Return how many pieces of a block are compressed at each length."""
        return {"pieces": PIECES}


class Heaps(MeanCurve):
    """Heaps' exponent: V(n) ∝ n^β, V the number of different tokens among the first n of a block.

    Heaps 1978, Information Retrieval, §7.5; Herdan 1960. n = block/64, block/32, … block. Independent draws from
    Zipf's law p(rank) ∝ rank^(−a), a > 1, have β → 1/a. A vocabulary that is exhausted has β = 0: ids of bytes always.
    """

    blocks = True
    sign: ClassVar[Literal[-1, 1]] = 1
    x_name: ClassVar[str] = "tokens read"
    y_name: ClassVar[str] = "different tokens"

    def curves(self, sample: Sample) -> tuple[Floats, Floats]:
        """Return the text lengths, and each block's vocabulary at them."""
        block = sample.sequences.shape[1]
        lengths = np.array([block >> power for power in reversed(range(GROWTH_POINTS))])
        firsts = [np.sort(np.unique(row, return_index=True)[1]) for row in sample.sequences]
        seen = np.stack([np.searchsorted(first, lengths) for first in firsts])
        return lengths.astype(float), seen.astype(float)
