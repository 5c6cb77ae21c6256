"""SentencePiece models."""

from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from isoloss.core.errors import InputError
from isoloss.core.optional import optional
from isoloss.corpus.token_ids import Ids


class SentencePieceModel:
    """A SentencePiece model, applied to text alone: no beginning, end or padding is added.

    Kudo & Richardson 2018 (arXiv:1808.06226).
    """

    def __init__(self, content: bytes, *, place: str) -> None:
        """Raises InputError naming `place` where `content` is no model."""
        library = optional("sentencepiece", extra="text", what="a SentencePiece model", place="tokenizer")
        self._model = library.SentencePieceProcessor()
        try:
            self._model.LoadFromSerializedProto(content)
        except (RuntimeError, OSError) as error:
            raise InputError(f"not a SentencePiece model: {error}", place=place, fix="give a .model file") from error
        self.vocab_size = int(self._model.vocab_size())
        self.identity = f"sentencepiece:{sha256(content).hexdigest()[:20]}"
        self.unknown = int(self._model.unk_id())

    def encode(self, document: bytes) -> NDArray[np.uint32]:
        """Return the ids of a document."""
        return np.array(self._model.encode(document.decode("utf-8")), dtype=np.uint32)

    def decode(self, ids: Ids) -> bytes:
        """Return the document that `ids` stand for, as far as the model keeps it."""
        text: str = self._model.decode(ids.tolist())
        return text.encode("utf-8")
