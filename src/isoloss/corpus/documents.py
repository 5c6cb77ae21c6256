"""From a file to documents to token ids: what is text, where one document ends, which ids it becomes."""

from collections import Counter
from collections.abc import Iterator

from isoloss.core.errors import InputError
from isoloss.corpus.corpus import Tokens
from isoloss.corpus.paths import FoundFile
from isoloss.corpus.readers import Document, read_documents, text_problem
from isoloss.corpus.tokenizers import Tokenizer, token_dtype


def encode(tokenizer: Tokenizer, document: Document) -> Tokens:
    """Return a document's ids in the type that a corpus stores. Raises InputError for ids beyond the vocabulary."""
    ids = tokenizer.encode(document.content)
    if ids.size and int(ids.max()) >= tokenizer.vocab_size:
        raise InputError(
            f"tokenizer {tokenizer.identity!r} gave id {ids.max()}, its vocabulary has {tokenizer.vocab_size}",
            place=document.place,
            fix="correct the tokenizer's vocab_size",
        )
    return ids.astype(token_dtype(tokenizer.vocab_size), copy=False)


def cut(content: bytes, *, separator: str | None, piece_bytes: int | None) -> Iterator[bytes]:
    """Yield the documents in `content`: parted at `separator`, then at the first line end after `piece_bytes` bytes.

    A line longer than that again is cut between two characters. Parts of white space alone are left out.
    """
    parts = content.split(separator.encode()) if separator else [content]
    for part in parts:
        for piece in _pieces(part, piece_bytes) if piece_bytes else [part]:
            if piece.strip():
                yield piece


def _pieces(content: bytes, size: int) -> Iterator[bytes]:
    start = 0
    while len(content) - start > size:
        line_end = content.find(b"\n", start + size - 1, start + 2 * size)
        end = line_end + 1 if line_end >= 0 else _character_start(content, start + size)
        yield content[start:end]
        start = end
    yield content[start:]


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
) -> Iterator[Document]:
    """Yield the documents of a file that are text; count the others in `dropped` by reason.

    Raises BadCorpus, naming the byte, where a file that was named by itself is no text.
    """
    for document in read_documents(file.path, text_field=text_field):
        problem = text_problem(document.content)
        if problem is None:
            for piece in cut(document.content, separator=separator, piece_bytes=piece_bytes):
                yield Document(piece, document.place)
        elif file.named and document.place == str(file.path):
            raise problem.at(document.place)
        else:
            dropped[problem.reason] += 1
