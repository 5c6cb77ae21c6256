"""Tokenizers by name: text in, token ids out.

bytes              every byte is a token
PATH.json          a `tokenizer.json` of the library Hugging Face tokenizers
PATH.model         a SentencePiece model
bpe:4096           byte-level BPE of 4,096 tokens, trained on the training side of the corpus itself
module:Name        a class of your own
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from isoloss.core.errors import InputError
from isoloss.core.registry import Registry
from isoloss.corpus.token_ids import Ids, read_model

TRAINED = re.compile(r"bpe:(\d+)")


@runtime_checkable
class Tokenizer(Protocol):
    """Turns the UTF-8 bytes of a document into token ids below `vocab_size`.

    A tokenizer of your own derives from this class and is named `module:Name`; it is called without arguments.
    `identity` enters the corpus fingerprint: it changes whenever the same text would give other ids. A tokenizer with
    an attribute `unknown` says by it which id stands for what it does not know.
    """

    vocab_size: int
    identity: str

    def encode(self, document: bytes) -> Ids:
        """Return the ids of a document, in order."""
        ...


class ByteTokenizer:
    """Every byte is a token: 256 ids, nothing unknown, nothing to download."""

    vocab_size = 256
    identity = "bytes"

    def encode(self, document: bytes) -> NDArray[np.uint16]:
        """Return the bytes as ids."""
        return np.frombuffer(document, dtype=np.uint8).astype(np.uint16)

    def decode(self, ids: Ids) -> bytes:
        """Return the document that `ids` stand for."""
        return ids.astype(np.uint8).tobytes()


tokenizers: Registry[Callable[[], Tokenizer]] = Registry(
    "tokenizer", own=Tokenizer, derive_from="isoloss.corpus.tokenizers.Tokenizer"
)
tokenizers.add("bytes", ByteTokenizer)


def open_tokenizer(name: str, *, base: Path | None = None) -> Tokenizer:
    """Return the tokenizer called `name`; the path of a file is taken from `base`, the current folder without it.

    Raises UnknownName or InputError, also for `bpe:4096`, which stands for none before it is trained.
    """
    if trained_vocab_size(name) is not None:
        raise InputError(
            f"{name!r} is trained on the training text of a corpus, but there is no corpus here",
            place="tokenizer",
            fix="build the corpus in a study and name the tokenizer.json in its folder",
        )
    path = (base or Path()) / name
    if path.suffix == ".json":
        from isoloss.corpus.tokenizer_json import TokenizerJson

        return TokenizerJson(read_model(path), place=str(path))
    if path.suffix == ".model":
        from isoloss.corpus.sentencepiece_model import SentencePieceModel

        return SentencePieceModel(read_model(path), place=str(path))
    tokenizer = tokenizers[name]()
    if not isinstance(tokenizer, Tokenizer):
        raise InputError(f"tokenizer {name!r} has no vocab_size or identity", fix="define both as attributes")
    return tokenizer


def trained_vocab_size(name: str) -> int | None:
    """Return N of `bpe:N`, a tokenizer that is trained on its corpus; None for one that exists before."""
    match = TRAINED.fullmatch(name)
    return int(match[1]) if match else None


def token_dtype(vocab_size: int) -> np.dtype[np.unsignedinteger[Any]]:
    """Return the smallest type of the two that hold every id."""
    return np.dtype(np.uint16) if vocab_size <= 2**16 else np.dtype(np.uint32)
