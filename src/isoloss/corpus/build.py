"""Building a corpus: from a study's table to a folder named by the corpus's fingerprint, once."""

from hashlib import sha256
from pathlib import Path

import numpy as np

from isoloss.core.fingerprint import fingerprint
from isoloss.core.progress import Progress, Quiet
from isoloss.corpus import store
from isoloss.corpus.corpus import Corpus
from isoloss.corpus.gather import Gathered, gather
from isoloss.corpus.overlap import stand_in
from isoloss.corpus.paths import Found, find_files
from isoloss.corpus.sources import CorpusSource, FilesSource, PcfgSource
from isoloss.corpus.split import Split, split_documents
from isoloss.corpus.tokenizers import Tokenizer, open_tokenizer, token_dtype

CORPUS_VERSION = 1  # raise when the same documents and settings would give other tokens or another split
QUIET = Quiet()


def build(
    source: CorpusSource,
    *,
    root: Path,
    context: int,
    seed: int = 0,
    base: Path | None = None,
    progress: Progress = QUIET,
) -> Corpus:
    """Return the corpus that `source` describes, in `root`/<fingerprint>: opened where it stands, built where not.

    `context` is the number of tokens of a training window. `seed` is the study's: documents of a grammar are drawn
    from it; files do not depend on it. Relative paths are taken from `base`. Any number of processes may build into
    one root at once. Raises BadCorpus naming the file and the fix for a source that cannot become a corpus.
    """
    if isinstance(source, PcfgSource):
        from isoloss.corpus.generate import generate  # its kernels load only where a grammar is sampled

        return generate(source, root=root, context=context, seed=seed, base=base, progress=progress)
    return build_files(source, root=root, context=context, base=base, progress=progress)


def build_files(
    source: FilesSource, *, root: Path, context: int, base: Path | None = None, progress: Progress = QUIET
) -> Corpus:
    """Return the corpus of a files source. The files are read at every call: their content is the identity."""
    tokenizer = open_tokenizer(source.tokenizer)
    found = find_files(source.paths, exclude=source.exclude, base=base)
    with store.workshop(root) as workshop:
        spool = workshop / "spool"
        gathered = gather(source, found, tokenizer, context=context, spool=spool, progress=progress)
        identity = _identity(source, gathered, tokenizer, context)
        if (root / identity).exists():
            return Corpus.open(root / identity).renamed(source.name)
        split = split_documents(
            gathered.digests,
            gathered.lengths,
            context=context,
            fraction=source.heldout_fraction,
            heldout_tokens=source.heldout_tokens,
            train_tokens=source.tokens,
            seed=source.seed,
        )
        built = workshop / "corpus"
        built.mkdir()
        _write_sides(built, spool, gathered, split, tokenizer)
        record = _record(source, found, gathered, split, tokenizer, built, identity, context)
        return store.place(record, built, root / identity)


def _identity(source: FilesSource, gathered: Gathered, tokenizer: Tokenizer, context: int) -> str:
    documents = sha256(b"".join(sorted(gathered.digests))).hexdigest()
    content = {
        "documents": documents,
        "tokenizer": tokenizer.identity,
        "context": context,
        "heldout_fraction": source.heldout_fraction,
        "heldout_tokens": source.heldout_tokens,
        "train_tokens": source.tokens,
        "seed": source.seed,
    }
    return fingerprint(content, kind="text", version=CORPUS_VERSION)


def _write_sides(built: Path, spool: Path, gathered: Gathered, split: Split, tokenizer: Tokenizer) -> None:
    tokens = np.memmap(spool, dtype=token_dtype(tokenizer.vocab_size), mode="r")
    starts = np.cumsum(gathered.lengths) - gathered.lengths
    store.save_pieces(built, "train", tokens, starts[split.train], gathered.lengths[split.train])
    store.save_pieces(built, "heldout", tokens, starts[split.heldout] + split.heldout_start, split.heldout_length)


def _record(
    source: FilesSource,
    found: Found,
    gathered: Gathered,
    split: Split,
    tokenizer: Tokenizer,
    built: Path,
    identity: str,
    context: int,
) -> Corpus:
    train, heldout = (np.load(built / f"{side}.npy", mmap_mode="r") for side in ("train", "heldout"))
    unused = int(gathered.lengths[split.heldout].sum() - split.heldout_length.sum())
    beyond = len(gathered.lengths) - len(split.train) - len(split.heldout)
    return Corpus(
        fingerprint=identity,
        name=source.name,
        kind="text",
        source={
            "kind": source.source,
            "paths": list(source.paths),
            "exclude": list(source.exclude),
            "packages": dict(found.packages),
            "files_found": len(found.files) + found.excluded,
            "files_excluded": found.excluded,
            "files_read": gathered.files_read,
            "documents": len(gathered.lengths),
            "bytes": gathered.bytes_read,
        },
        tokenizer=source.tokenizer,
        vocab_size=tokenizer.vocab_size,
        n_tokens=len(train),
        n_documents=len(split.train),
        heldout_tokens=len(heldout),
        heldout_documents=len(split.heldout),
        bytes_per_token=gathered.bytes_read / int(gathered.lengths.sum()),
        unigram_nats=store.unigram_nats(train, heldout, tokenizer.vocab_size),
        heldout_in_train=int(stand_in(train, heldout.reshape(-1, context)).sum()),
        dropped={**gathered.dropped, "beyond_limit": beyond, "heldout_tokens_unused": unused},
    )
