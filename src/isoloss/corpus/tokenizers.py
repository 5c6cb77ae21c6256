"""Tokenizers by name: text in, token ids out."""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from isoloss.core.errors import InputError
from isoloss.core.registry import Registry


@runtime_checkable
class Tokenizer(Protocol):
    """Turns the UTF-8 bytes of a document into token ids below `vocab_size`.

    `identity` enters the corpus fingerprint: it changes whenever the same text would give other ids.
    """

    vocab_size: int
    identity: str

    def encode(self, document: bytes) -> NDArray[np.unsignedinteger[Any]]:
        """Return the ids of a document, in order."""
        ...


class ByteTokenizer:
    """Every byte is a token: 256 ids, nothing unknown, nothing to download."""

    vocab_size = 256
    identity = "bytes"

    def encode(self, document: bytes) -> NDArray[np.uint16]:
        """Return the bytes as ids."""
        return np.frombuffer(document, dtype=np.uint8).astype(np.uint16)


tokenizers: Registry[Callable[[], Tokenizer]] = Registry("tokenizer")
tokenizers.add("bytes", ByteTokenizer)


def open_tokenizer(name: str) -> Tokenizer:
    """Return the tokenizer called `name`, or a user's own as `module:Name`. Raises UnknownName or InputError."""
    tokenizer = tokenizers[name]()
    if not isinstance(tokenizer, Tokenizer):
        raise InputError(
            f"{name!r} is no tokenizer: it lacks encode, vocab_size or identity",
            fix="see isoloss.corpus.tokenizers.Tokenizer",
        )
    return tokenizer


def token_dtype(vocab_size: int) -> np.dtype[np.unsignedinteger[Any]]:
    """Return the smallest type of the two that hold every id."""
    return np.dtype(np.uint16) if vocab_size <= 2**16 else np.dtype(np.uint32)
