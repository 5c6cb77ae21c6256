"""The held-out split, by document and by content: the same documents split the same way wherever they lie."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isoloss.core.errors import BadCorpus

Ints = NDArray[np.int64]

# Eight documents are the fewest from which a standard error over documents means something; a fifth of the corpus is
# the most that is given up for them.
LEAST_HELDOUT_DOCUMENTS = 8
LARGEST_HELDOUT_SHARE = 0.2


@dataclass(frozen=True, kw_only=True, eq=False)
class Split:
    """Which documents train, in order; and the held-out spans: document, first token, tokens (whole windows)."""

    train: Ints
    heldout: Ints
    heldout_start: Ints
    heldout_length: Ints


def split_documents(
    digests: Sequence[bytes],
    lengths: Ints,
    *,
    context: int,
    fraction: float,
    heldout_tokens: int,
    train_tokens: int | None,
    seed: int,
    heldout_among: frozenset[bytes] | None = None,
) -> Split:
    """Return the split of documents of `lengths` tokens, each at least `context`.

    Documents are ranked by a hash of (seed, content). The first ⌈fraction · documents⌉ are held out: at least eight
    where they are no more than a fifth of all, and no more than `heldout_tokens` has windows for. Each gives one run
    of windows, in number proportional to its length, so that the held-out tokens are a sample of the corpus's tokens;
    where the run lies is drawn, so that openings and licence headers weigh no more than they do in training. The
    others train: all of them, or the first that hold `train_tokens`. `heldout_among` are the documents that were put
    aside before, in place of a share of these. Raises BadCorpus where a side would be empty.
    """
    order = np.array(ranked(digests, seed), dtype=np.int64)
    windows = heldout_tokens // context
    if heldout_among is None:
        count = min(heldout_documents(len(digests), fraction), windows)
    else:
        count = sum(digest in heldout_among for digest in digests)
        order = np.array(sorted(order, key=lambda d: digests[d] not in heldout_among), dtype=np.int64)
    if count == 0 or count == len(digests):
        raise _empty_side(len(digests), windows, context)
    heldout, train = order[:count], order[count:]
    available: Ints = lengths[heldout] // context
    quota = share_windows(available, windows)
    first = np.array(
        [rank(digests[d], seed, "start") % int(n - q + 1) for d, n, q in zip(heldout, available, quota, strict=True)]
    )
    return Split(
        train=_until(train, lengths // context * context, train_tokens),
        heldout=heldout,
        heldout_start=first * context,
        heldout_length=quota * context,
    )


def ranked(digests: Sequence[bytes], seed: int) -> list[int]:
    """Return the documents in the order of a hash of (seed, content): the first are held out."""
    return sorted(range(len(digests)), key=lambda d: rank(digests[d], seed))


def heldout_documents(documents: int, fraction: float) -> int:
    """Return how many of `documents` are held out."""
    least = max(1, min(LEAST_HELDOUT_DOCUMENTS, int(documents * LARGEST_HELDOUT_SHARE)))
    return min(documents, max(least, int(np.ceil(fraction * documents))))


def share_windows(available: Ints, windows: int) -> Ints:
    """Return how many windows each document gives, in all `windows`: one, and more in proportion to what it has."""
    if available.sum() <= windows:
        return available
    beyond_first = available - 1
    exact = beyond_first * ((windows - len(available)) / beyond_first.sum())
    quota: Ints = 1 + np.floor(exact).astype(np.int64)
    largest_remainders = np.argsort(quota - exact, kind="stable")[: windows - int(quota.sum())]
    quota[largest_remainders] += 1
    return quota


def _until(train: Ints, usable: Ints, tokens: int | None) -> Ints:
    """Return the first documents whose windows hold `tokens`; all of them where they hold fewer, or none are asked."""
    if tokens is None:
        return train
    enough = int(np.searchsorted(np.cumsum(usable[train]), tokens)) + 1
    return train[:enough]


def rank(digest: bytes, seed: int, purpose: str = "order") -> int:
    """Return 64 bits of a hash of (seed, purpose, document): an order that depends on nothing else."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{purpose}:".encode() + digest).digest()[:8], "big")


def _empty_side(documents: int, windows: int, context: int) -> BadCorpus:
    if windows == 0:
        return BadCorpus(
            f"heldout_tokens is too small for a window of {context} tokens",
            fix=f"set heldout_tokens to {64 * context} or more",
        )
    return BadCorpus(
        f"found {documents} document(s) of at least {context} tokens; at least two are needed, one of them held out",
        fix='name more files, or cut long ones into documents with separator = "\\n\\n" or piece_bytes = 20000',
    )
