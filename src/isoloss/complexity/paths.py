"""Measuring files as they lie, without building a corpus: what `isoloss measure PATH…` does."""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from pydantic import JsonValue, ValidationError

from isoloss.complexity.base import MeasureSettings
from isoloss.complexity.measure import DEFAULT, Complexity, measure_pool, too_short
from isoloss.complexity.measures import open_measure
from isoloss.complexity.sample import Pool
from isoloss.core.errors import BadCorpus, InputError
from isoloss.core.frozen import Frozen
from isoloss.corpus.corpus import Ints, Tokens, document_windows
from isoloss.corpus.documents import Fit, encode, texts
from isoloss.corpus.paths import FoundFile, find_files
from isoloss.corpus.readers import Document, is_plain, text_problem
from isoloss.corpus.spool import Spool
from isoloss.corpus.tokenizers import Tokenizer, open_tokenizer, token_dtype

STANDARD_INPUT = "-"
MAPPED_BYTES = 1 << 26  # plain files from here on are mapped: of 10 GB, only the pieces drawn are read
HEAD_BYTES = 1 << 20


class MeasuredPath(Frozen):
    """What was read under one path, and each measure of it. `bytes` is None for files of token ids."""

    name: str
    bytes: int | None
    tokens: int
    documents: int
    dropped: dict[str, int]
    measures: dict[str, Complexity]

    def to_json(self) -> dict[str, JsonValue]:
        """Return the path as `isoloss measure --json` prints one."""
        plain = self.model_dump(mode="json", exclude={"measures"})
        return {**plain, "measures": {name: found.to_json() for name, found in self.measures.items()}}


@dataclass(kw_only=True)
class _Text:
    """Token ids of documents: those read `held` on disk, large files `mapped` themselves, with their offsets."""

    vocab_size: int
    held: Spool
    size_bytes: int | None = 0
    mapped: list[tuple[Tokens, Ints]] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)

    @property
    def lengths(self) -> list[int]:
        mapped = [length for _, offsets in self.mapped for length in np.diff(offsets).tolist()]
        return [*self.held.lengths, *mapped]

    def hold(self, content: bytes, tokens: Tokens) -> None:
        self.held.append(tokens)
        self.size_bytes = (self.size_bytes or 0) + len(content)


def measure_paths(
    paths: Sequence[str | Path],
    *,
    measures: Sequence[str] = ("gzip",),
    tokenizer: str = "bytes",
    sequence_tokens: int = DEFAULT.sequence_tokens,
    token_bytes: int = DEFAULT.token_bytes,
    samples: int = DEFAULT.samples,
    seed: int = 0,
    text_field: str = "text",
) -> list[MeasuredPath]:
    """Return the measures of each path: a file, a folder, a glob, `-` for standard input, or token ids in a .npy file.

    Each file is a document, each row of JSONL, CSV or Parquet; sequences are drawn from their disjoint pieces of
    `sequence_tokens` tokens from the start. Nothing is deduplicated or split. Raises BadCorpus for a path that holds no
    text, InputError where no document is long enough, UnknownName for a measure or tokenizer.
    """
    settings = _settings(sequence_tokens=sequence_tokens, token_bytes=token_bytes, samples=samples)
    for measure in measures:
        open_measure(measure, settings)  # an unknown name is told before anything is read
    opened = open_tokenizer(tokenizer)
    names = [str(path) for path in paths]
    return [_measured(name, _read(name, opened, text_field), measures, settings=settings, seed=seed) for name in names]


def _settings(**given: int) -> MeasureSettings:
    try:
        return MeasureSettings.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"{first['msg']}, found {first['input']}", place=str(first["loc"][0])) from error


def _measured(name: str, text: _Text, measures: Sequence[str], *, settings: MeasureSettings, seed: int) -> MeasuredPath:
    pool = _pool(text, settings.sequence_tokens)
    if not len(pool):
        raise too_short(max(text.lengths), settings.sequence_tokens, place=name)
    return MeasuredPath(
        name=name,
        bytes=text.size_bytes,
        tokens=sum(text.lengths),
        documents=len(text.lengths),
        dropped=dict(text.dropped),
        measures={
            measure: measure_pool(pool, measure, corpus=name, settings=settings, seed=seed) for measure in measures
        },
    )


def _pool(text: _Text, sequence_tokens: int) -> Pool:
    """Return the sequences of a text; its documents are numbered through, mapped ones last."""
    arrays = list(text.mapped)
    if text.held.lengths:
        arrays.insert(0, text.held.mapped())
    parts, documents = [], 0
    for tokens, offsets in arrays:
        windows = document_windows(offsets, sequence_tokens)
        parts.append((tokens, replace(windows, document=windows.document + documents)))
        documents += len(offsets) - 1
    return Pool(parts=parts, vocab_size=text.vocab_size)


def _read(name: str, tokenizer: Tokenizer, text_field: str) -> _Text:
    text = _Text(vocab_size=tokenizer.vocab_size, held=Spool(token_dtype(tokenizer.vocab_size)))
    if name == STANDARD_INPUT:
        _read_standard_input(text, tokenizer)
        return text
    files = find_files([name]).files
    if files[0].named and files[0].path.suffix == ".npy":
        return _read_ids(files[0].path)
    fit = Fit(tokenizer, name=tokenizer.identity)
    for file in files:
        if tokenizer.identity == "bytes" and is_plain(file.path) and file.path.stat().st_size >= MAPPED_BYTES:
            _map(file, text)
            continue
        for document in texts(file, text.dropped, text_field=text_field):
            ids = encode(tokenizer, document)
            fit.count(ids, document.place)
            text.hold(document.content, ids)
    fit.check()
    if not text.lengths:
        reasons = ", ".join(f"{count} {reason}" for reason, count in text.dropped.items())
        raise BadCorpus(f"no text among {len(files)} file(s): {reasons}", place=name, fix="name files of UTF-8 text")
    return text


def _read_standard_input(text: _Text, tokenizer: Tokenizer) -> None:
    document = Document(sys.stdin.buffer.read(), "standard input")
    if problem := text_problem(document.content):
        raise problem.at(document.place)
    text.hold(document.content, encode(tokenizer, document))


def _map(file: FoundFile, text: _Text) -> None:
    """Add a large plain file whose ids are its bytes. Its beginning is checked; of the rest, only pieces are read."""
    content = np.memmap(file.path, dtype=np.uint8, mode="r")
    problem = text_problem(content[:HEAD_BYTES].tobytes(), whole=False)
    if problem is None:
        text.mapped.append((content, np.array([0, len(content)])))
        text.size_bytes = (text.size_bytes or 0) + len(content)
    elif file.named:
        raise problem.at(str(file.path))
    else:
        text.dropped[problem.reason] += 1


def _read_ids(path: Path) -> _Text:
    """Read token ids: one document where the array has one axis, one a row where it has two."""
    try:
        ids = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BadCorpus(
            f"not an array of token ids: {error}", place=str(path), fix="write it with numpy.save"
        ) from error
    if ids.ndim not in (1, 2) or ids.size == 0 or ids.dtype.kind not in "iu" or ids.min() < 0:
        raise BadCorpus(
            f"found an array of {ids.dtype} of shape {ids.shape}, expected token ids: integers from 0, one or two axes",
            place=str(path),
            fix="write the ids with numpy.save",
        )
    documents, length = np.atleast_2d(ids).shape
    offsets = np.arange(documents + 1) * length
    return _Text(
        vocab_size=int(ids.max()) + 1,
        held=Spool(ids.dtype),
        size_bytes=None,
        mapped=[(ids.reshape(-1), offsets)],
    )
