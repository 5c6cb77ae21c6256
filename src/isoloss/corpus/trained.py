"""A tokenizer trained on its corpus: on the training side alone, which is therefore drawn first."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from isoloss.core.progress import Progress
from isoloss.corpus.documents import encode
from isoloss.corpus.gather import Gathered, nothing_left
from isoloss.corpus.readers import Document
from isoloss.corpus.sources import TextSource
from isoloss.corpus.split import heldout_documents, ranked


def train_tokenizer(
    source: TextSource, read: Gathered, *, vocab_size: int, context: int, spool: Path, progress: Progress
) -> tuple[Gathered, frozenset[bytes]]:
    """Return the documents of `read` (bytes) as tokens of a BPE trained on them, and the digests it never saw.

    Those are the documents held out; what is short of `context` tokens leaves either side. Raises BadCorpus.
    """
    from isoloss.corpus.tokenizer_json import train_bpe

    order = ranked(read.digests, source.seed)
    count = min(heldout_documents(len(read), source.heldout_fraction), source.heldout_tokens // context)
    unseen = frozenset(read.digests[document] for document in order[:count])
    texts = (read.whole_document(document).astype(np.uint8).tobytes() for document in order[count:])
    with progress.task(f"corpus {source.name}: training {source.tokenizer}", total=1) as task:
        tokenizer = train_bpe(texts, vocab_size=vocab_size)
        task.advance(1)
    held = np.zeros(len(read), dtype=np.int64)
    title = f"corpus {source.name}: {len(read)} documents to tokens"
    with spool.open("wb") as stream, progress.task(title, total=len(read)) as task:
        for document in range(len(read)):
            content = read.whole_document(document).astype(np.uint8).tobytes()
            ids = encode(tokenizer, Document(content, f"document {document}"))
            ids.tofile(stream)
            held[document] = len(ids)
            task.advance(1)
    tokenised = replace(
        read, spool=spool, tokenizer=tokenizer, context=context, starts=np.cumsum(held) - held, held=held
    ).long_enough()
    if not len(tokenised):
        raise nothing_left(f"corpus {source.name}", tokenised.dropped, context)
    return tokenised, unseen
