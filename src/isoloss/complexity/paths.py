"""Measuring files as they lie, without building a corpus: what `isoloss measure PATH…` does."""

import mmap
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, JsonValue, ValidationError

from isoloss.complexity.base import MeasureSettings
from isoloss.complexity.measure import DEFAULT, Complexity, measure_text
from isoloss.complexity.measures import open_measure
from isoloss.complexity.pieces import can_be_drawn, drawn_documents
from isoloss.complexity.text import Text
from isoloss.core.errors import BadCorpus, InputError, Unidentified
from isoloss.core.frozen import Frozen
from isoloss.core.progress import QUIET, Progress, Task
from isoloss.core.rng import stream
from isoloss.corpus.corpus import Ints, Tokens
from isoloss.corpus.documents import Fit, encode, no_text_fix, texts
from isoloss.corpus.dropped import in_words
from isoloss.corpus.paths import FoundFile, find_files
from isoloss.corpus.readers import Document, holds_one, is_plain, read_whole, require_rows, row_problem, text_problem
from isoloss.corpus.tokenizers import Tokenizer, open_tokenizer

STANDARD_INPUT = "-"
MAPPED_BYTES = 1 << 26  # plain files from here on are mapped: of 10 GB, only the pieces drawn are read
HEAD_BYTES = 1 << 20
HELD_BYTES = 1 << 26  # of documents that come one after the other; with ids and a copy, some 400 MB


class MeasuredPath(Frozen):
    """What lies under one path, and each measure of it. `bytes` is None for files of token ids.

    `vocab_size` is the tokenizer's; of token ids one more than the largest, and None where the file is too large for
    all of them to be looked at. `tokens` and `documents` are those at hand to be drawn: of files beyond 64 MiB, a
    random part of them.
    `unidentified` holds the reason for each measure that the text does not determine.
    """

    name: str
    bytes: int | None
    tokens: int
    documents: int
    dropped: dict[str, int]
    measures: dict[str, Complexity]
    unidentified: dict[str, str] = Field(default_factory=dict)
    vocab_size: int | None = None
    bytes_per_token: float | None = None

    def to_json(self) -> dict[str, JsonValue]:
        """Return the path as `isoloss measure --json` prints one."""
        plain = self.model_dump(mode="json", exclude={"measures"})
        return {**plain, "measures": {name: found.to_json() for name, found in self.measures.items()}}


@dataclass(frozen=True, kw_only=True)
class _Rows:
    """How rows are read: the field that holds the text, and whether broken lines are left out."""

    text_field: str
    skip_broken: bool


@dataclass(kw_only=True)
class _Read:
    """Documents read: small ones `held` in memory as ids and as `contents`, large files `mapped` with their offsets.

    Of more than HELD_BYTES of documents a random share is held, each as likely as any other.
    """

    vocab_size: int | None
    rng: np.random.Generator
    is_text: bool = True
    size_bytes: int = 0
    held_bytes: int = 0
    share: float = 1.0
    held: list[Tokens] = field(default_factory=list)
    contents: list[NDArray[np.uint8]] = field(default_factory=list)
    mapped: list[tuple[Tokens, Ints]] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)

    @property
    def lengths(self) -> list[int]:
        mapped = [length for _, offsets in self.mapped for length in np.diff(offsets).tolist()]
        return [*map(len, self.held), *mapped]

    def hold(self, document: Document, tokenizer: Tokenizer, fit: Fit) -> None:
        if self.share < 1 and self.rng.random() >= self.share:
            return
        content = np.frombuffer(document.content, dtype=np.uint8)
        # The ids of bytes are the bytes: nothing is held twice.
        ids = content if tokenizer.identity == "bytes" else encode(tokenizer, document)
        fit.count(ids, document.place)
        self.contents.append(content)
        self.held.append(ids)
        self.held_bytes += len(content)
        if self.held_bytes > HELD_BYTES and len(self.held) > 1:
            kept = np.flatnonzero(self.rng.random(len(self.held)) < 0.5).tolist()
            self.held = [self.held[i] for i in kept]
            self.contents = [self.contents[i] for i in kept]
            self.held_bytes = sum(map(len, self.contents))
            self.share /= 2

    def text(self, name: str) -> Text:
        """Return the documents as a text; mapped files, whose ids are their bytes, first or alone."""
        tokens, raw = list(self.mapped), list(self.mapped)
        if self.held:
            raw.append(_joined(self.contents))
            tokens.append(raw[-1] if self.held[0] is self.contents[0] else _joined(self.held))
        text_bytes = sum(len(part) for part, _ in raw)
        return Text(
            name=name, tokens=tokens, vocab_size=self.vocab_size, raw=raw if self.is_text else None,
            bytes_per_token=text_bytes / sum(self.lengths) if self.is_text else None,
        )  # fmt: skip


def _joined(documents: Sequence[Tokens]) -> tuple[Tokens, Ints]:
    return np.concatenate(documents), np.cumsum([0, *map(len, documents)])


def measure_paths(
    paths: Sequence[str | Path],
    *,
    measures: Sequence[str] = ("gzip",),
    tokenizer: str = "bytes",
    sequence_tokens: int = DEFAULT.sequence_tokens,
    token_bytes: int = DEFAULT.token_bytes,
    samples: int = DEFAULT.samples,
    block_tokens: int = DEFAULT.block_tokens,
    seed: int = 0,
    text_field: str = "text",
    broken_rows: Literal["error", "skip"] = "error",
    progress: Progress = QUIET,
) -> list[MeasuredPath]:
    """Return the measures of each path: a file, a folder, a glob, `-` for standard input, or token ids in a .npy file.

    Each file is a document, each row of JSONL, CSV or Parquet; sequences are drawn from their disjoint pieces of
    `sequence_tokens` tokens from the start. Nothing is deduplicated or split; lines of JSONL that are no JSON are
    counted and left out where `broken_rows` says so. Raises BadCorpus for a path that holds no text, InputError where
    no document is long enough, UnknownName for a measure or tokenizer.
    """
    settings = _settings(
        sequence_tokens=sequence_tokens, token_bytes=token_bytes, samples=samples, block_tokens=block_tokens
    )
    for measure in measures:
        open_measure(measure, settings)  # an unknown name is reported before anything is read
    opened = open_tokenizer(tokenizer)
    rows = _Rows(text_field=text_field, skip_broken=broken_rows == "skip")
    found = []
    with progress.task("measure", total=len(paths) * len(measures)) as task:
        for path in paths:
            task.advance(0, detail=f"reading {path}")
            read = _read(str(path), opened, rows, seed=seed)
            found.append(_measured(str(path), read, measures, settings=settings, seed=seed, task=task))
    return found


def _settings(**given: int) -> MeasureSettings:
    try:
        return MeasureSettings.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"{first['msg']}, found {first['input']}", place=str(first["loc"][0])) from error


def _measured(
    name: str, read: _Read, measures: Sequence[str], *, settings: MeasureSettings, seed: int, task: Task
) -> MeasuredPath:
    text = read.text(name)
    found: dict[str, Complexity] = {}
    unidentified: dict[str, str] = {}
    for measure in measures:
        task.advance(0, detail=f"{name}: {measure}")
        try:
            found[measure] = measure_text(text, measure, settings=settings, seed=seed)
        except Unidentified as problem:
            unidentified[measure] = problem.message
        task.advance(1)
    return MeasuredPath(
        name=name,
        bytes=read.size_bytes if read.is_text else None,
        tokens=sum(read.lengths),
        documents=len(read.lengths),
        dropped=dict(read.dropped),
        measures=found,
        unidentified=unidentified,
        vocab_size=text.vocab_size,
        bytes_per_token=text.bytes_per_token,
    )


def _read(name: str, tokenizer: Tokenizer, rows: _Rows, *, seed: int) -> _Read:
    read = _Read(vocab_size=tokenizer.vocab_size, rng=stream(seed, "documents held", name))
    fit = Fit(tokenizer, name=tokenizer.identity)
    if name == STANDARD_INPUT:
        _read_standard_input(read, tokenizer, fit)
        fit.check()
        return read
    found = find_files([name])
    files = found.files
    read.dropped.update(found.passed_over)
    require_rows((file.path for file in files), rows.text_field)
    if files[0].named and files[0].path.suffix == ".npy":
        return _read_ids(files[0].path)
    for file in files:
        large = file.path.stat().st_size >= MAPPED_BYTES
        if large and tokenizer.identity == "bytes" and is_plain(file.path):
            _map(file, read)
        elif large and can_be_drawn(file.path):
            _draw(file, read, tokenizer, fit, rows, seed=seed)
        else:
            for document in texts(file, read.dropped, text_field=rows.text_field, skip_broken=rows.skip_broken):
                read.size_bytes += len(document.content)
                read.hold(document, tokenizer, fit)
    fit.check()
    if not read.lengths:
        reasons = in_words(read.dropped) or "no row is at hand"
        raise BadCorpus(f"{len(files)} file(s) contain no text: {reasons}", place=name, fix=no_text_fix(read.dropped))
    return read


def _read_standard_input(read: _Read, tokenizer: Tokenizer, fit: Fit) -> None:
    document = Document(read_whole(sys.stdin.buffer, "standard input"), "standard input")
    if problem := text_problem(document.content):
        raise problem.at(document.place)
    read.size_bytes = len(document.content)
    read.hold(document, tokenizer, fit)


def _map(file: FoundFile, read: _Read) -> None:
    """Add a large plain file whose ids are its bytes. Its beginning is checked; of the rest, only pieces are read."""
    content = _mapped(np.memmap(file.path, dtype=np.uint8, mode="r"))
    problem = text_problem(content[:HEAD_BYTES].tobytes(), whole=False)
    if problem is None:
        read.mapped.append((content, np.array([0, len(content)])))
        read.size_bytes += len(content)
    elif file.named:
        raise problem.at(str(file.path))
    else:
        read.dropped[problem.reason] += 1


def _draw(file: FoundFile, read: _Read, tokenizer: Tokenizer, fit: Fit, rows: _Rows, *, seed: int) -> None:
    """Add documents drawn from a large file of which only they are read."""
    read.size_bytes += file.path.stat().st_size
    skipped = read.dropped if rows.skip_broken else None
    problem_of_one = text_problem if holds_one(file.path) else row_problem
    for document in drawn_documents(file.path, text_field=rows.text_field, seed=seed, skipped=skipped):
        if problem := problem_of_one(document.content):
            read.dropped[problem.reason] += 1
        else:
            read.hold(document, tokenizer, fit)


def _mapped(array: NDArray[Any]) -> NDArray[Any]:
    """Return a mapped array, without reading ahead: pieces far apart are read, and nothing between them."""
    mapping = getattr(array, "_mmap", None)
    if mapping is not None and hasattr(mmap, "MADV_RANDOM"):
        mapping.madvise(mmap.MADV_RANDOM)
    return np.asarray(array)


def _read_ids(path: Path) -> _Read:
    """Read token ids: one document where the array has one axis, one a row where it has two."""
    try:
        ids = np.lib.format.open_memmap(path, mode="r")
    except Exception as error:  # numpy parses the header as Python, and raises what the parser does
        raise BadCorpus(
            f"not an array of token ids: {error}", place=str(path), fix="write it with numpy.save"
        ) from error
    # All ids of a large file are not looked at: those drawn say how many there are.
    large = ids.nbytes >= MAPPED_BYTES
    if ids.ndim not in (1, 2) or ids.size == 0 or ids.dtype.kind not in "iu" or (not large and ids.min() < 0):
        raise BadCorpus(
            f"found an array of {ids.dtype} of shape {ids.shape}, expected token ids: integers from 0, one or two axes",
            place=str(path),
            fix="write the ids with numpy.save",
        )
    documents, length = np.atleast_2d(ids).shape
    offsets = np.arange(documents + 1) * length
    vocab_size = None if large else int(ids.max()) + 1
    return _Read(
        vocab_size=vocab_size, rng=np.random.default_rng(0), is_text=False, mapped=[(_mapped(ids).reshape(-1), offsets)]
    )
