"""Mixtures: documents of several corpora in one, each in proportion to its weight."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from isoloss.core.errors import BadCorpus
from isoloss.core.fingerprint import fingerprint
from isoloss.core.progress import Progress
from isoloss.core.rng import stream
from isoloss.corpus import store
from isoloss.corpus.corpus import Corpus, Ints, Side, Tokens
from isoloss.corpus.sources import DatasetSource, FilesSource, MixtureSource
from isoloss.corpus.tokenizers import token_dtype

MIXTURE_VERSION = 1  # raise when the same parts and weights would give other tokens
SIDES: tuple[Side, Side] = ("train", "heldout")


def parts_of(source: MixtureSource) -> list[FilesSource | DatasetSource]:
    """Return the parts as sources of their own, each with its share of the tokens."""
    total = sum(part.weight for part in source.parts)

    def share(tokens: int, weight: float) -> int:
        return max(1, round(tokens * weight / total))

    return [
        part.of.model_copy(
            update={
                "tokens": share(source.tokens, part.weight),
                "heldout_tokens": share(source.heldout_tokens, part.weight),
            }
        )
        for part in source.parts
    ]


def mix(source: MixtureSource, parts: Sequence[Corpus], *, root: Path, context: int, progress: Progress) -> Corpus:
    """Return the corpus of the documents of `parts`, built already, in `root`/<fingerprint>.

    A training document of one part that equals a held-out one of another is seen in `heldout_in_train`. Raises
    BadCorpus where the parts have different tokenizers, or one has fewer tokens than its weight asks.
    """
    _require_one_tokenizer(source, parts)
    for part, wanted in zip(parts, parts_of(source), strict=True):
        _require_enough(source, part, wanted.tokens or 0)
    content = {"parts": [part.fingerprint for part in parts], "seed": source.seed, "context": context}
    identity = fingerprint(content, kind="mixture", version=MIXTURE_VERSION)
    if (there := store.standing(root / identity, progress)) is not None:
        return there.renamed(source.name)
    with store.workshop(root) as workshop:
        built = workshop / "corpus"
        built.mkdir()
        dtype = token_dtype(parts[0].vocab_size)
        for side in SIDES:
            order = _order(parts, side, source.seed)
            held = [np.diff(part.documents(side)) for part in parts]
            lengths = np.array([held[part][document] for part, document in order], dtype=np.int64)
            store.save_side(built, side, _documents(parts, side, order), lengths, dtype)
        return store.place(_record(source, parts, built, identity, context), built, root / identity)


def _order(parts: Sequence[Corpus], side: Side, seed: int) -> list[tuple[int, int]]:
    """Return (part, document) in an order drawn from the seed and the parts: any prefix is a sample of the mixture."""
    everything = [
        (number, document)
        for number, part in enumerate(parts)
        for document in range(part.n_documents if side == "train" else part.heldout_documents)
    ]
    rng = stream(seed, f"mixed {side} documents", *(part.fingerprint for part in parts))
    return [everything[i] for i in rng.permutation(len(everything))]


def _documents(parts: Sequence[Corpus], side: Side, order: Sequence[tuple[int, int]]) -> Iterator[Tokens]:
    sides: list[tuple[Tokens, Ints]] = [(part.tokens(side), part.documents(side)) for part in parts]
    for part, document in order:
        tokens, offsets = sides[part]
        yield tokens[offsets[document] : offsets[document + 1]]


def _record(source: MixtureSource, parts: Sequence[Corpus], built: Path, identity: str, context: int) -> Corpus:
    first = parts[0]
    return Corpus(
        fingerprint=identity,
        name=source.name,
        kind="text",
        source={
            "kind": source.source,
            "documents": sum(part.n_documents + part.heldout_documents for part in parts),
            "seed": source.seed,
            "parts": [
                {"name": part.name, "fingerprint": part.fingerprint, "weight": said.weight, "tokens": part.n_tokens,
                 "source": part.source}
                for part, said in zip(parts, source.parts, strict=True)
            ],
        },
        tokenizer=first.tokenizer,
        tokenizer_identity=first.tokenizer_identity,
        bytes_per_token=sum((part.bytes_per_token or 0) * part.n_tokens for part in parts)
        / sum(part.n_tokens for part in parts),
        **store.measured(built, vocab_size=first.vocab_size, context=context),
    )  # fmt: skip


def _require_one_tokenizer(source: MixtureSource, parts: Sequence[Corpus]) -> None:
    identities = {(part.tokenizer, part.tokenizer_identity, part.vocab_size, part.compact_from) for part in parts}
    if len(identities) > 1 or any(part.compact_from for part in parts):
        named = ", ".join(f"{part.name}: {part.tokenizer} of {part.vocab_size}" for part in parts)
        raise BadCorpus(
            f"the parts do not share one vocabulary ({named})",
            place=f"corpus {source.name}",
            fix='give every part the same tokenizer: "bytes", or one tokenizer.json without compact',
        )


def _require_enough(source: MixtureSource, part: Corpus, wanted: int) -> None:
    if part.n_tokens < wanted:
        raise BadCorpus(
            f"part {part.name!r} has {part.n_tokens} tokens, but its weight needs {wanted}",
            place=f"corpus {source.name}",
            fix="lower the mixture's tokens or the part's weight, or give the part more text",
        )
