"""Which of the documents that were read make the corpus: none near another, or those of one gzip tercile."""

import numpy as np

from isoloss.corpus.corpus import Ints, NearReport
from isoloss.corpus.gather import Gathered
from isoloss.corpus.interventions import tercile
from isoloss.corpus.sources import TextSource
from isoloss.corpus.split import Split


def select(source: TextSource, gathered: Gathered) -> Gathered:
    """Return the documents that the source keeps, the others counted."""
    if source.near_duplicates == "remove":
        gathered = gathered.only(_distinct(gathered), reason="near_duplicate")
    chosen = tercile(source.interventions)
    if chosen is not None:
        gathered = gathered.only(_tercile(gathered, chosen), reason="other_tercile")
    return gathered


def report(source: TextSource, gathered: Gathered, split: Split) -> NearReport | None:
    """Return what a source that looks for near duplicates found, by the sides that the documents went to."""
    if gathered.near is None:
        return None
    train, heldout = (set(gathered.number[side].tolist()) for side in (split.train, split.heldout))

    def near(documents: set[int], others: set[int]) -> int:
        assert gathered.near is not None
        return sum(not others.isdisjoint(gathered.near.neighbours(document)) for document in documents)

    return NearReport(
        jaccard=source.jaccard,
        removed=gathered.dropped.get("near_duplicate", 0),
        within_train=near(train, train),
        within_heldout=near(heldout, heldout),
        across=near(heldout, train),
    )


def _distinct(gathered: Gathered) -> Ints:
    """Return the documents that remain, taken in the order of their digests: wherever the files lie, the same ones."""
    assert gathered.near is not None
    position = {int(number): index for index, number in enumerate(gathered.number)}
    order = sorted(position, key=lambda number: gathered.digests[position[number]])
    return np.array(sorted(position[number] for number in gathered.near.distinct(order)), dtype=np.int64)


def _tercile(gathered: Gathered, chosen: int) -> Ints:
    """Return the documents, ranked by gzip ratio, in whose third of the bytes their middle byte lies."""
    assert gathered.ratios is not None
    order = np.array(sorted(range(len(gathered)), key=lambda d: (gathered.ratios[d], gathered.digests[d])))  # type: ignore[index]
    middle = np.cumsum(gathered.sizes[order]) - gathered.sizes[order] / 2
    third = np.minimum(3 * middle / gathered.sizes.sum(), 2).astype(np.int64)
    return np.asarray(np.sort(order[third == chosen - 1]))
