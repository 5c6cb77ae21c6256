"""Documents of a grammar: sentences joined by a separator, cut at the window's end.

A document here is exactly `document_tokens` tokens and starts at a sentence start: one training window, without
padding. The separator is a token of its own, 0; it follows every sentence that ends inside the document; the sentence
after the last separator is cut where the window ends. Pandey 2024 (arXiv:2405.16684) differs in two ways: there a
separator that would fall on the last position is dropped and the document padded in its place, and token 0 is also a
terminal (both can be had: `paper_collision` of the families `random` and `zipf`).
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice, pairwise

import numpy as np
from numpy.typing import NDArray

from isoloss.core.errors import BadGrammar
from isoloss.core.rng import stream
from isoloss.grammar._sampler_kernels import fill_documents
from isoloss.grammar.branching import Floats
from isoloss.grammar.pcfg import SEPARATOR, Grammar
from isoloss.grammar.transform import check_emits, without_empty

Documents = NDArray[np.uint16 | np.uint32]

BLOCK_DOCUMENTS = 1024  # documents that share a random stream: part of what a seed means, so not to be changed


def token_dtype(vocabulary_size: int) -> type[np.uint16] | type[np.uint32]:
    """Return the narrowest type that holds every token id: two bytes up to 65,536 of them."""
    return np.uint16 if vocabulary_size <= 2**16 else np.uint32


def sample_documents(
    grammar: Grammar, *, documents: int, document_tokens: int, seed: int, workers: int = 1
) -> Documents:
    """Return sampled documents, shape (documents, document_tokens), the same for any number of workers.

    Sampling is exact for grammars of every spectral radius: a sentence that would not end fills its document. Raises
    BadGrammar where a derivation can go on for ever without a token.
    """
    blocks = sample_blocks(grammar, documents=documents, document_tokens=document_tokens, seed=seed, workers=workers)
    none = np.empty((0, document_tokens), token_dtype(grammar.vocabulary_size))
    return np.concatenate([none, *blocks])


def sample_blocks(
    grammar: Grammar, *, documents: int, document_tokens: int, seed: int, workers: int = 1
) -> Iterator[Documents]:
    """Yield the documents of `sample_documents` in blocks of 1,024, a few in memory at a time."""
    if documents < 0 or document_tokens < 1:
        raise BadGrammar(
            f"cannot sample {documents} documents of {document_tokens} tokens", fix="ask for at least one token"
        )
    tables = Tables.of(grammar)
    starts = range(0, documents, BLOCK_DOCUMENTS)
    shapes = (
        (number, (min(BLOCK_DOCUMENTS, documents - start), document_tokens)) for number, start in enumerate(starts)
    )
    if workers == 1:
        yield from (tables.block(seed, number, shape) for number, shape in shapes)
        return
    with ThreadPoolExecutor(workers) as pool:
        ahead = [pool.submit(tables.block, seed, *job) for job in islice(shapes, 2 * workers)]
        while ahead:
            yield ahead.pop(0).result()
            ahead += [pool.submit(tables.block, seed, *job) for job in islice(shapes, 1)]


@dataclass(frozen=True, kw_only=True, eq=False)
class Tables:
    """A grammar compiled for the kernel: an alias table a nonterminal, and one more that writes a whole sentence."""

    slot_offsets: NDArray[np.uint64]
    thresholds: NDArray[np.uint64]
    begins: NDArray[np.uint32]
    ends: NDArray[np.uint32]
    symbols: NDArray[np.int32]
    vocabulary_size: int
    padding: int | None

    @classmethod
    def of(cls, grammar: Grammar) -> "Tables":
        """Return the tables of `grammar`. Raises BadGrammar where a document may have no next token."""
        full, empty_sentence = without_empty(grammar)
        check_emits(full)
        weights, symbols, offsets, rule_offsets = _with_sentences(full, empty_sentence)
        tables = [_alias(weights[a:b]) for a, b in pairwise(rule_offsets)]
        rules = np.arange(len(weights))
        aliases = np.concatenate([table[1] + first for table, first in zip(tables, rule_offsets[:-1], strict=True)])
        pairs = np.stack([rules, aliases], axis=1)
        return cls(
            slot_offsets=rule_offsets.astype(np.uint64),
            thresholds=np.concatenate([table[0] for table in tables]),
            begins=offsets[pairs].astype(np.uint32),
            ends=offsets[pairs + 1].astype(np.uint32),
            symbols=symbols.astype(np.int32),
            vocabulary_size=grammar.vocabulary_size,
            padding=grammar.padding,
        )

    def block(self, seed: int, number: int, shape: tuple[int, int]) -> Documents:
        """Return block `number` of the documents under `seed`."""
        state = stream(seed, "grammar documents", number).integers(0, 2**64, size=4, dtype=np.uint64)
        documents = np.empty(shape, token_dtype(self.vocabulary_size))
        fill_documents(documents, state, self.slot_offsets, self.thresholds, self.begins, self.ends, self.symbols)
        if self.padding is not None:
            before = documents[:, :-1]
            before[before == self.padding] = SEPARATOR
        return documents


def _with_sentences(
    grammar: Grammar, empty_sentence: float
) -> tuple[Floats, NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
    """Weights, symbols and offsets of `grammar` with one more nonterminal: sentence → start separator, or separator."""
    starts = np.flatnonzero(grammar.start)
    sentences = np.stack([~starts, np.full(len(starts), grammar.sentence_end)], axis=1).ravel()
    offsets = len(grammar.symbols) + np.append(2 * np.arange(1, len(starts) + 1), 2 * len(starts) + 1)
    weights = np.append(grammar.start[starts] * (1 - empty_sentence), empty_sentence)
    return (
        np.concatenate([grammar.weights, weights]),
        np.concatenate([grammar.symbols, sentences, [grammar.sentence_end]]).astype(np.int32),
        np.concatenate([grammar.symbol_offsets, offsets]).astype(np.int64),
        np.append(grammar.rule_offsets, len(grammar.weights) + len(weights)).astype(np.int64),
    )


def _alias(weights: Floats) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return (threshold of 2^32, alias) of each slot: draw a slot uniformly, keep it below its threshold. Vose 1991."""
    scaled = weights * len(weights)
    thresholds = np.full(len(weights), 2**32, dtype=np.uint64)
    aliases = np.arange(len(weights))
    small = [i for i, share in enumerate(scaled) if share < 1]
    large = [i for i, share in enumerate(scaled) if share >= 1]
    while small and large:
        low, high = small.pop(), large[-1]
        thresholds[low], aliases[low] = round(scaled[low] * 2**32), high
        scaled[high] -= 1 - scaled[low]
        if scaled[high] < 1:
            small.append(large.pop())
    return thresholds, aliases
