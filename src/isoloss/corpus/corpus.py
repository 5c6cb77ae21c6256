"""A corpus: tokens in a folder, split by document into a training and a held-out side.

    corpus.json             this record, with the digests of the other files
    train.npy               training tokens, documents one after another (uint16 or uint32)
    heldout.npy             held-out tokens
    train_documents.npy     where each training document starts, and the end of the last (int64, documents + 1)
    heldout_documents.npy   the same for the held-out side
    vocabulary.npy          compact corpora: the id that each one stood for in the tokenizer's vocabulary (int64)
    tokenizer.json          corpora that trained their own tokenizer
    floor.npy               generated corpora: best possible loss of each held-out document, mean nats, positions 2…n

Documents stand in an order drawn from their content, so that any prefix is a random sample of them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, JsonValue, PrivateAttr, ValidationError

from isoloss.core.errors import DamagedArchive, InputError
from isoloss.core.estimate import Estimate
from isoloss.core.files import regular
from isoloss.core.frozen import Frozen
from isoloss.core.reading import own_json
from isoloss.core.schema import refuse_newer
from isoloss.corpus.digests import RECORD, changed_file
from isoloss.runs.checksums import opened

CORPUS_SCHEMA = 2
SCHEMA_WITHOUT_CHECKSUMS = 1  # without digests

Side = Literal["train", "heldout"]
Tokens = NDArray[np.unsignedinteger[Any]]  # uint16 or uint32
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Windows:
    """Where windows of `context` tokens start in a side's tokens, and the document each lies in (ascending)."""

    starts: Ints
    document: Ints
    context: int

    def __len__(self) -> int:
        return len(self.starts)

    def tokens(self, side: Tokens, *, index: NDArray[np.integer[Any]] | None = None) -> Tokens:
        """Return the tokens of the windows picked by `index` (all without it): windows × context, a copy."""
        starts = self.starts if index is None else self.starts[index]
        return np.asarray(side[starts[:, None] + np.arange(self.context)])


def document_windows(offsets: Ints, context: int) -> Windows:
    """Return the ⌊n / context⌋ disjoint windows from the start of each document [offsets[d], offsets[d + 1])."""
    per_document = np.diff(offsets) // context
    document = np.repeat(np.arange(len(per_document)), per_document)
    first = np.cumsum(per_document) - per_document
    within = np.arange(len(document)) - first[document]
    return Windows(starts=offsets[document] + context * within, document=document, context=context)


class Outline(Protocol):
    """What runs on a corpus can be planned by: it may be known before there are tokens."""

    @property
    def fingerprint(self) -> str:
        """Identity of the corpus."""

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def vocab_size(self) -> int:
        """One beyond the largest token id."""

    def token_budget(self, context: int) -> int:
        """Return how many training tokens the windows of `context` tokens hold."""

    def scored_documents(self, context: int) -> int:
        """Return how many held-out documents hold a window of `context` tokens."""


class NearReport(Frozen):
    """How many documents share `jaccard` or more of their runs of five words with another one."""

    jaccard: float
    removed: int
    within_train: int
    within_heldout: int
    across: int


class Corpus(Frozen):
    """What a corpus is. `fingerprint` is its identity; `name` is for people and may differ from study to study.

    `unigram_nats` is the held-out cross-entropy under the training side's token frequencies (add-one smoothed), in
    nats per token, and `train_unigram_nats` that of the training tokens (None where an older isoloss built the corpus).
    `floor` is the mean of the best possible losses of the held-out documents, known for generated
    corpora. `heldout_in_train` counts the held-out windows, of the context the corpus was built for, that stand
    verbatim in the training side (None: not looked for): near duplicates in text, chance in generated documents.
    `tokenizer_identity` is what the fingerprint knows the tokenizer by. `compact_from` is the size of its vocabulary
    where only the ids that occur were kept and renumbered. `near_duplicates` counts, where they were looked for, those
    removed and the documents that are near another: training ones near a training one, held-out ones near a held-out
    one, and held-out ones near a training one ("across").
    `dropped` counts what the source held and the corpus does not, by reason. `bytes_per_token` is None where tokens
    stand for no text.
    """

    schema_version: int = Field(default=CORPUS_SCHEMA, alias="schema")
    fingerprint: str
    name: str
    kind: Literal["text", "generated"]
    source: dict[str, JsonValue]
    tokenizer: str
    tokenizer_identity: str | None = None
    vocab_size: int = Field(gt=1)
    compact_from: int | None = None
    n_tokens: int = Field(gt=0)
    n_documents: int = Field(gt=0)
    heldout_tokens: int = Field(gt=0)
    heldout_documents: int = Field(gt=0)
    bytes_per_token: float | None
    document_tokens: int | None = None
    unigram_nats: float
    train_unigram_nats: float | None = None
    heldout_in_train: int | None = None
    near_duplicates: NearReport | None = None
    floor: Estimate | None = None
    dropped: dict[str, int] = Field(default_factory=dict)

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    _folder: Path | None = PrivateAttr(default=None)

    @classmethod
    def open(cls, folder: Path | str) -> Self:
        """Return the corpus in `folder`, its files checked against its record: whole, unless they rest since a check.

        Raises DamagedArchive where a file is missing or is not what was written, NewerArchive for a newer schema.
        """
        folder = Path(folder)
        corpus, digests = cls._read_record(folder / RECORD)
        corpus._folder = folder
        try:
            changed = changed_file(folder, digests)
        except OSError as error:
            raise _damaged(Path(error.filename or folder), f"cannot be read: {error}") from error
        if changed is not None:
            raise _damaged(folder / changed, "has changed since it was written: its digest differs")
        corpus._check_lengths()
        return corpus

    @classmethod
    def _read_record(cls, path: Path) -> tuple[Self, dict[str, str]]:
        """Return the record and the digests of the files next to it: none where an older isoloss wrote it."""
        try:
            content = own_json(regular(path).read_text(encoding="utf-8"))
            if not isinstance(content, dict):
                raise ValueError("not an object")
        except (OSError, ValueError) as error:
            raise _damaged(path, f"cannot be read: {error}") from error
        refuse_newer(content.get("schema"), CORPUS_SCHEMA, place=path)
        try:
            bare, digests = opened(content)
            if digests is None and bare.get("schema") != SCHEMA_WITHOUT_CHECKSUMS:
                raise ValueError("its digests are missing")
            return cls.model_validate(bare), digests or {}
        except ValidationError as error:
            first = error.errors()[0]
            raise _damaged(path, f"not a corpus: {first['msg']} at {first['loc']}") from error
        except (ValueError, TypeError, AttributeError) as error:
            raise _damaged(path, f"the record is damaged: {error}") from error

    def _check_lengths(self) -> None:
        expected = {
            "train.npy": self.n_tokens,
            "heldout.npy": self.heldout_tokens,
            "train_documents.npy": self.n_documents + 1,
            "heldout_documents.npy": self.heldout_documents + 1,
        }
        if self.floor is not None:
            expected["floor.npy"] = self.heldout_documents
        if self.compact_from is not None:
            expected["vocabulary.npy"] = self.vocab_size
        for name, length in expected.items():
            found = self._array(name).shape
            if found != (length,):
                raise _damaged(
                    self.folder / name, f"contains an array of shape {found}, but the record says ({length},)"
                )
        for side in ("train", "heldout"):
            offsets, tokens = self._array(f"{side}_documents.npy"), len(self._array(f"{side}.npy"))
            if offsets[0] != 0 or offsets[-1] != tokens or np.any(np.diff(offsets) <= 0):
                raise _damaged(
                    self.folder / f"{side}_documents.npy", f"does not divide {tokens} tokens in ascending order"
                )

    @property
    def folder(self) -> Path:
        """Where the corpus lies. Raises InputError for a record that was read without its folder."""
        if self._folder is None:
            raise InputError("this corpus record has no folder", fix="open it with Corpus.open(folder)")
        return self._folder

    def renamed(self, name: str) -> Self:
        """Return the same corpus under another name; its folder and identity stay."""
        return self if name == self.name else self.model_copy(update={"name": name})

    @property
    def train(self) -> Tokens:
        """The training tokens, mapped from the file anew at each access: keep them in a variable."""
        return self.tokens("train")

    @property
    def heldout(self) -> Tokens:
        """The held-out tokens, mapped from the file anew at each access: keep them in a variable."""
        return self.tokens("heldout")

    def tokens(self, side: Side) -> Tokens:
        """Return a side's tokens, mapped from the file."""
        mapped: Tokens = self._array(f"{side}.npy")
        return mapped

    def documents(self, side: Side) -> Ints:
        """Return a side's document offsets: document d is tokens[offsets[d] : offsets[d + 1]]."""
        return np.array(self._array(f"{side}_documents.npy"), dtype=np.int64)

    @property
    def document_floor(self) -> Floats | None:
        """Best possible loss of each held-out document, mean nats over positions 2…n; None for text."""
        return None if self.floor is None else np.array(self._array("floor.npy"), dtype=np.float64)

    def windows(self, side: Side, context: int) -> Windows:
        """Return the windows of `context` tokens of a side: disjoint, from each document's start, never across two.

        In a generated corpus a document is exactly one window: raises
        InputError where `context` differs from `document_tokens`.
        """
        if self.document_tokens is not None and context != self.document_tokens:
            raise InputError(
                f"corpus {self.name!r} was generated as documents of {self.document_tokens} tokens; "
                f"windows of {context} were asked",
                fix=f"use context {self.document_tokens}, or generate the corpus with document_tokens = {context}",
            )
        return document_windows(self.documents(side), context)

    def token_budget(self, context: int) -> int:
        """Return how many training tokens the windows of `context` tokens hold: the most a single pass can train on."""
        return len(self.windows("train", context)) * context

    def scored_documents(self, context: int) -> int:
        """Return how many held-out documents hold a window of `context` tokens."""
        return len(np.unique(self.windows("heldout", context).document))

    def _array(self, name: str) -> Any:
        path = self.folder / name
        try:
            return np.lib.format.open_memmap(regular(path), mode="r")
        except Exception as error:  # numpy parses the header as Python, and raises what the parser does
            raise _damaged(path, f"cannot be read: {error}") from error


def _damaged(path: Path, message: str) -> DamagedArchive:
    return DamagedArchive(message, place=str(path), fix="run the study again: it rebuilds the corpus from its source")
