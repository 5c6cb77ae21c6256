"""Building a corpus out of text: read, choose, split, write."""

from collections.abc import Iterator
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import cast

import numpy as np

from isoloss.core.fingerprint import fingerprint
from isoloss.core.progress import Progress
from isoloss.corpus import store
from isoloss.corpus.corpus import Corpus, NearReport, Side, Tokens
from isoloss.corpus.gather import Gathered, gather
from isoloss.corpus.reading import Reading, open_reading
from isoloss.corpus.select import report, select
from isoloss.corpus.sources import TextSource
from isoloss.corpus.split import Split, split_documents
from isoloss.corpus.token_changes import TokenChanges
from isoloss.corpus.tokenizer_json import TokenizerJson
from isoloss.corpus.tokenizers import ByteTokenizer, open_tokenizer, trained_vocab_size
from isoloss.corpus.trained import train_tokenizer

# Raise when the same documents and settings would give other tokens or another split; the second is that of corpora
# that are a sample of their files, because the source limits its tokens (1: the first files in a random order).
CORPUS_VERSION = 1
SAMPLE_VERSION = 2


def build_text(source: TextSource, *, root: Path, context: int, base: Path | None, progress: Progress) -> Corpus:
    """Return the corpus of a source of text. The text is read at every call: its content is the identity."""
    reading = open_reading(source, base=base)
    with store.workshop(root) as workshop:
        gathered, unseen = _read(source, reading, workshop, context=context, base=base, progress=progress)
        split = split_documents(
            gathered.digests,
            gathered.lengths,
            context=context,
            fraction=source.heldout_fraction,
            heldout_tokens=source.heldout_tokens,
            train_tokens=source.tokens,
            seed=source.seed,
            heldout_among=unseen,
        )
        near = report(source, gathered, split)
        identity = _identity(source, gathered, context)
        if (there := store.standing(root / identity, progress)) is not None:
            opened = there.renamed(source.name)
            return opened if near is None else opened.model_copy(update={"near_duplicates": near})
        built = workshop / "corpus"
        built.mkdir()
        changes = _write(source, gathered, split, built)
        record = _record(source, reading, gathered, split, changes, built, context, identity=identity, near=near)
        return store.place(record, built, root / identity)


def _read(
    source: TextSource, reading: Reading, workshop: Path, *, context: int, base: Path | None, progress: Progress
) -> tuple[Gathered, frozenset[bytes] | None]:
    """Return the documents that make the corpus, as tokens; and those held out where a tokenizer was trained."""
    vocab_size = trained_vocab_size(source.tokenizer)
    spool = workshop / "spool"
    if vocab_size is None:
        tokenizer = open_tokenizer(source.tokenizer, base=base)
        gathered = gather(source, reading, tokenizer, context=context, spool=spool, progress=progress)
        return select(source, gathered), None
    read = select(source, gather(source, reading, ByteTokenizer(), context=1, spool=spool, progress=progress))
    return train_tokenizer(
        source, read, vocab_size=vocab_size, context=context, spool=workshop / "tokens", progress=progress
    )


def _identity(source: TextSource, gathered: Gathered, context: int) -> str:
    documents = sha256(b"".join(sorted(gathered.names()))).hexdigest()
    content: dict[str, object] = {
        "documents": documents,
        "tokenizer": gathered.tokenizer.identity,
        "context": context,
        "heldout_fraction": source.heldout_fraction,
        "heldout_tokens": source.heldout_tokens,
        "train_tokens": source.tokens,
        "seed": source.seed,
    }
    if source.compact:
        content["compact"] = True
    if gathered.changed is not None:
        content["interventions"] = [step.model_dump(exclude_defaults=True) for step in source.interventions]
        # Another version of a parser may leave another text.
        content["changed"] = sha256(b"".join(sorted(gathered.changed))).hexdigest()
    return fingerprint(content, kind="text", version=SAMPLE_VERSION if gathered.sampled else CORPUS_VERSION)


def _write(source: TextSource, gathered: Gathered, split: Split, built: Path) -> TokenChanges:
    """Write both sides, and what their ids stand for; return what was done to the ids."""

    def train() -> Iterator[Tokens]:
        return (gathered.document(d) for d in split.train)

    def heldout() -> Iterator[Tokens]:
        spans = zip(split.heldout, split.heldout_start, split.heldout_length, strict=True)
        return (gathered.document(d)[start : start + length] for d, start, length in spans)

    vocab_size = gathered.tokenizer.vocab_size
    used = None
    if source.compact:
        used = np.flatnonzero(store.count_tokens(chain(train(), heldout()), vocab_size))
        used = used if len(used) > 1 else np.union1d(used, [0, 1])  # a vocabulary has two ids at least
    changes = TokenChanges(source.interventions, vocab_size=vocab_size, used=used)
    for side, pieces, documents, lengths in (
        ("train", train(), split.train, gathered.lengths[split.train]),
        ("heldout", heldout(), split.heldout, split.heldout_length),
    ):
        digests = (gathered.digests[d] for d in documents)
        changed = (changes.apply(ids, digest) for ids, digest in zip(pieces, digests, strict=True))
        store.save_side(built, cast(Side, side), changed, lengths, changes.dtype)
    if used is not None:
        store.save(built, "vocabulary", changes.stood_for(used))
    if isinstance(gathered.tokenizer, TokenizerJson) and trained_vocab_size(source.tokenizer):
        (built / "tokenizer.json").write_bytes(gathered.tokenizer.content)
    return changes


def _record(
    source: TextSource,
    reading: Reading,
    gathered: Gathered,
    split: Split,
    changes: TokenChanges,
    built: Path,
    context: int,
    *,
    identity: str,
    near: NearReport | None,
) -> Corpus:
    unused = int(gathered.lengths[split.heldout].sum() - split.heldout_length.sum())
    beyond = len(gathered.lengths) - len(split.train) - len(split.heldout)
    return Corpus(
        fingerprint=identity,
        name=source.name,
        kind="text",
        source={
            **reading.record(),
            "interventions": [step.model_dump(mode="json") for step in source.interventions],
            "documents": len(gathered.lengths),
            "bytes": int(gathered.sizes.sum()),
        },
        tokenizer=source.tokenizer,
        tokenizer_identity=gathered.tokenizer.identity,
        compact_from=gathered.tokenizer.vocab_size if source.compact else None,
        bytes_per_token=gathered.bytes_per_token,
        near_duplicates=near,
        **store.measured(built, vocab_size=changes.vocab_size, context=context),
        dropped={**gathered.dropped, "beyond_limit": beyond, "heldout_tokens_unused": unused},
    )
