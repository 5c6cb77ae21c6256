"""From a file to documents to token ids: what is text, where one document ends, which ids it becomes."""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain, repeat

import numpy as np

from isoloss.core.errors import BadCorpus, InputError
from isoloss.core.numbers import percent
from isoloss.corpus.compressed import LONGEST_DOCUMENT, read_blocks, too_long
from isoloss.corpus.corpus import Tokens
from isoloss.corpus.json_rows import BROKEN_ROW, FIX_NO_ROWS, NO_ROWS, SET_TEXT_FIELD, NoRows
from isoloss.corpus.paths import FoundFile
from isoloss.corpus.readers import (
    Document,
    Problem,
    holds_one,
    problem_of,
    read_documents,
    row_problem,
    text_problem,
)
from isoloss.corpus.tokenizers import Tokenizer, token_dtype

LONGEST_CHARACTER = 4  # bytes, in UTF-8


def encode(tokenizer: Tokenizer, document: Document) -> Tokens:
    """Return a document's ids in the type that a corpus stores. Raises InputError for ids beyond the vocabulary."""
    ids = tokenizer.encode(document.content)
    if ids.size and int(ids.max()) >= tokenizer.vocab_size:
        raise InputError(
            f"tokenizer {tokenizer.identity!r} gave id {ids.max()}, but its vocabulary has {tokenizer.vocab_size} "
            "tokens",
            place=document.place,
            fix="correct the tokenizer's vocab_size",
        )
    return ids.astype(token_dtype(tokenizer.vocab_size), copy=False)


class Fit:
    """Whether a tokenizer knows the text that it is given."""

    # Each unknown token hides text from the loss; at one in a thousand its share of the loss is of the size of a
    # held-out loss's standard error.
    LARGEST_UNKNOWN = 1e-3

    def __init__(self, tokenizer: Tokenizer, *, name: str) -> None:
        """`name` is what the user called the tokenizer, for errors."""
        self._unknown: int | None = getattr(tokenizer, "unknown", None)
        self._name = name
        self._first: str | None = None
        self.unknown = self.tokens = 0

    def count(self, ids: Tokens, place: str) -> None:
        """Count the tokens of a document that stands at `place`."""
        self.tokens += len(ids)
        found = 0 if self._unknown is None else int(np.count_nonzero(ids == self._unknown))
        if found:
            self.unknown += found
            self._first = self._first or place

    def check(self) -> None:
        """Raise BadCorpus where more than one token in a thousand is unknown."""
        if self.unknown > self.LARGEST_UNKNOWN * self.tokens:
            raise BadCorpus(
                f"tokenizer {self._name!r} does not fit this text: {self.unknown} of {self.tokens} tokens are unknown "
                f"({percent(self.unknown / self.tokens)}; at most {percent(self.LARGEST_UNKNOWN)} may be)",
                place=self._first,
                fix='use one with byte fallback, train one with tokenizer = "bpe:4096", or use "bytes"',
            )


def cut(blocks: Iterable[bytes], *, separator: str | None, piece_bytes: int | None) -> Iterator[bytes]:
    """Yield the documents in a text that comes in blocks: parted at `separator`, then in pieces of `piece_bytes`.

    A piece ends with the first line end after so many bytes; a line longer than that again is cut between two
    characters. Parts of white space alone are left out. One part, or two pieces, are held at a time.
    """
    parts = ([part] for part in _parts(blocks, separator.encode())) if separator else [blocks]
    for part in parts:
        for piece in _pieces(part, piece_bytes) if piece_bytes else [b"".join(part)]:
            if piece.strip():
                yield piece


def _parts(blocks: Iterable[bytes], separator: bytes) -> Iterator[bytes]:
    held = bytearray()
    for block in blocks:
        unseen = max(0, len(held) - len(separator) + 1)
        held += block
        if held.find(separator, unseen) >= 0:
            *complete, rest = bytes(held).split(separator)
            yield from complete
            held = bytearray(rest)
        if len(held) > LONGEST_DOCUMENT:
            raise too_long(f"separator {separator.decode()!r}")
    yield bytes(held)


def _pieces(blocks: Iterable[bytes], size: int) -> Iterator[bytes]:
    held = b""
    # Where a piece ends is known when this much stands behind its start, or nothing is to come.
    enough = zip(blocks, repeat(2 * size + LONGEST_CHARACTER))
    for block, needed in chain(enough, [(b"", size)]):
        held, start = held + block, 0
        while len(held) - start > needed:
            end = _piece_end(held, start, size)
            yield held[start:end]
            start = end
        held = held[start:]
    yield held


def _piece_end(held: bytes, start: int, size: int) -> int:
    line_end = held.find(b"\n", start + size - 1, start + 2 * size)
    return line_end + 1 if line_end >= 0 else _character_start(held, start + size)


def _character_start(content: bytes, offset: int) -> int:
    while offset < len(content) and content[offset] & 0xC0 == 0x80:
        offset += 1
    return offset


def texts(
    file: FoundFile,
    dropped: Counter[str],
    *,
    text_field: str,
    separator: str | None = None,
    piece_bytes: int | None = None,
    skip_broken: bool = False,
) -> Iterator[Document]:
    """Yield the documents of a file that are text; count the others in `dropped` by reason.

    A file that is cut into documents is read twice, to see that it is text and to cut it, and is never held whole.
    Raises BadCorpus, naming the byte, where a file that was named by itself is no text.
    """
    if holds_one(file.path) and (separator or piece_bytes):
        if _taken(problem_of(read_blocks(file.path)), file, str(file.path), dropped):
            for piece in cut(read_blocks(file.path), separator=separator, piece_bytes=piece_bytes):
                yield Document(piece, str(file.path))
        return
    problem = text_problem if holds_one(file.path) else row_problem
    try:
        for document in read_documents(file.path, text_field=text_field, skipped=dropped if skip_broken else None):
            if _taken(problem(document.content), file, document.place, dropped):
                for piece in cut([document.content], separator=separator, piece_bytes=piece_bytes):
                    yield Document(piece, document.place)
    except NoRows:
        if file.named:
            raise
        dropped[NO_ROWS] += 1


def no_text_fix(dropped: Counter[str]) -> str:
    """Return what to do where no document remains."""
    if dropped[NO_ROWS] or dropped[BROKEN_ROW]:
        return f"name the field that holds the text: {SET_TEXT_FIELD}; {FIX_NO_ROWS}"
    return "name files of UTF-8 text"


def _taken(problem: Problem | None, file: FoundFile, place: str, dropped: Counter[str]) -> bool:
    """Whether a document is text. One that is not is counted; a file named by itself is an error."""
    if problem is not None and file.named and place == str(file.path):
        raise problem.at(place)
    if problem is not None:
        dropped[problem.reason] += 1
    return problem is None
