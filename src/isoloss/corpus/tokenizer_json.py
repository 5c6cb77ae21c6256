"""Tokenizers of the library Hugging Face tokenizers: read from a `tokenizer.json`, or trained."""

from collections.abc import Iterable
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isoloss.core.errors import BadCorpus, InputError
from isoloss.core.optional import optional
from isoloss.core.reading import json_in
from isoloss.corpus.token_ids import Ids

BYTES = 256  # the alphabet that a byte-level BPE starts from


class TokenizerJson:
    """A `tokenizer.json`, applied to text alone: no special token is added, found in the text, padded or truncated."""

    def __init__(self, content: bytes, *, place: str) -> None:
        """Raises InputError naming `place` where `content` is no tokenizer, or would drop characters unseen."""
        library = _library()
        try:
            self._tokenizer = library.Tokenizer.from_str(content.decode("utf-8"))
        except Exception as error:  # the library raises bare Exception
            raise InputError(
                f"not a tokenizer.json: {error}", place=place, fix="use a file that the tokenizers library wrote"
            ) from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._tokenizer.encode_special_tokens = True
        self.content = content
        self.vocab_size = 1 + max(self._tokenizer.get_vocab(with_added_tokens=True).values(), default=0)
        self.identity = f"tokenizer.json:{sha256(content).hexdigest()[:20]}"
        self.unknown = self._unknown(place)

    def encode(self, document: bytes) -> NDArray[np.uint32]:
        """Return the ids of a document."""
        encoded = self._tokenizer.encode_batch_fast([document.decode("utf-8")], add_special_tokens=False)
        return np.array(encoded[0].ids, dtype=np.uint32)

    def decode(self, ids: Ids) -> bytes:
        """Return the document that `ids` stand for, as far as the tokenizer keeps it."""
        text: str = self._tokenizer.decode(ids.tolist(), skip_special_tokens=False)
        return text.encode("utf-8")

    def _unknown(self, place: str) -> int | None:
        """Return the id that stands for unknown characters; None where every byte has tokens of its own."""
        parts = json_in(self.content)
        model: dict[str, Any] = parts["model"]
        token = model.get("unk_token")
        if token is not None:
            unknown: int | None = self._tokenizer.token_to_id(token)
            return unknown
        if isinstance(model.get("unk_id"), int):  # Unigram
            return int(model["unk_id"])
        if not (model.get("byte_fallback") or _names(parts.get("pre_tokenizer"), "ByteLevel")):
            raise InputError(
                "has no token for unknown characters, no byte fallback and no byte-level alphabet: it would drop "
                "characters silently",
                place=place,
                fix="give the model an unk_token, or use a byte-level tokenizer",
            )
        return None


def train_bpe(texts: Iterable[bytes], *, vocab_size: int) -> TokenizerJson:
    """Return a byte-level BPE of exactly `vocab_size` tokens learnt from `texts`: the same texts, the same merges.

    Text is first cut by GPT-2's pattern (words with their leading space, numbers, punctuation), merges stay within the
    cuts and stop at pairs seen once. Sennrich, Haddow & Birch 2016 (arXiv:1508.07909); Radford et al. 2019. Raises
    BadCorpus where the texts hold too little for so many tokens.
    """
    library = _library()
    if vocab_size <= BYTES:
        raise InputError(f"a vocabulary of {vocab_size}, expected more than the {BYTES} bytes it starts from",
                         place=f"tokenizer bpe:{vocab_size}", fix='use "bpe:1024", or "bytes"')  # fmt: skip
    tokenizer = library.Tokenizer(library.models.BPE())
    tokenizer.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = library.decoders.ByteLevel()
    trainer = library.trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        initial_alphabet=sorted(library.pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator((text.decode("utf-8") for text in texts), trainer=trainer)
    learnt = tokenizer.get_vocab_size()
    if learnt < vocab_size:
        raise BadCorpus(
            f"the training text gives only {learnt} tokens before no pair occurs twice; {vocab_size} were requested",
            place=f"tokenizer bpe:{vocab_size}",
            fix=f'use "bpe:{learnt}" or fewer, or add text',
        )
    return TokenizerJson(tokenizer.to_str().encode("utf-8"), place=f"bpe:{vocab_size}")


def _names(part: Any, kind: str) -> bool:
    """Whether a step of the pipeline, or one of a sequence of steps, is of `kind`."""
    if not isinstance(part, dict):
        return False
    return part.get("type") == kind or any(_names(step, kind) for step in part.get("pretokenizers", ()))


def _library() -> Any:
    return optional("tokenizers", extra="text", what="a tokenizer.json, or one to be trained,", place="tokenizer")
