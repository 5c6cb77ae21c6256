"""Where the documents of a text come from: files, or the rows of a data set."""

from collections import Counter
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

from pydantic import JsonValue

from isoloss.core.errors import BadCorpus
from isoloss.core.optional import optional
from isoloss.core.progress import Task
from isoloss.core.rng import derive_seed
from isoloss.corpus.compressed import reading
from isoloss.corpus.documents import cut, texts
from isoloss.corpus.json_rows import SET_TEXT_FIELD, BrokenRow, row_text
from isoloss.corpus.paths import FoundFile, find_files
from isoloss.corpus.readers import Document, require_rows, row_problem
from isoloss.corpus.sources import DatasetSource, FilesSource, TextSource

SHUFFLE_ROWS = 10_000
# What is read for a sample, at every start: some ten seconds of plain text. Of files that hold more, a sample is taken
# of those that an order drawn from what they hold puts first.
SCANNED_BYTES = 1 << 30
BEGINNING = 1 << 16  # bytes by which files are distinguished


class Reading(Protocol):
    """The documents of a source, in the order in which they are read, and what the record says about them."""

    place: str
    title: str
    total: float
    samples: bool
    """Whether the documents are all there are, of which the source wants a sample."""

    def documents(self, dropped: Counter[str], task: Task) -> Iterator[Document]:
        """Yield the documents that are text; count the others."""
        ...

    def record(self) -> dict[str, JsonValue]:
        """Return where the documents came from, after they were read."""
        ...


def open_reading(source: TextSource, *, base: Path | None) -> Reading:
    """Return the documents of a source. Raises BadCorpus where there is nothing to read."""
    if isinstance(source, DatasetSource):
        return DatasetReading(source, base=base)
    assert isinstance(source, FilesSource)
    return FilesReading(source, base=base)


class FilesReading:
    """Documents in files. Where the source limits its tokens, files beyond SCANNED_BYTES are not read."""

    def __init__(self, source: FilesSource, *, base: Path | None) -> None:
        self._source = source
        self._found = find_files(source.paths, exclude=source.exclude, base=base)
        require_rows((file.path for file in self._found.files), source.text_field)
        self._sizes = {file.path: file.path.stat().st_size for file in self._found.files}
        self._files_read = self._documents = self._bytes = 0
        self.samples = source.tokens is not None
        self.place = ", ".join(source.paths)
        self.title = f"reading {len(self._found.files)} files"
        self.total: float = sum(self._sizes.values())

    def documents(self, dropped: Counter[str], task: Task) -> Iterator[Document]:
        """Yield the documents of one file after the other."""
        dropped.update(self._found.passed_over)
        self._files_read = self._documents = self._bytes = 0
        for file in self._files():
            self._files_read += 1
            for document in self._texts(file, dropped):
                self._documents += 1
                self._bytes += len(document.content)
                yield document
                if self.samples and self._bytes >= SCANNED_BYTES:
                    return
            task.advance(self._sizes[file.path])

    def _texts(self, file: FoundFile, dropped: Counter[str]) -> Iterator[Document]:
        source = self._source
        return texts(
            file,
            dropped,
            text_field=source.text_field,
            separator=source.separator,
            piece_bytes=source.piece_bytes,
            skip_broken=source.broken_rows == "skip",
        )

    def _files(self) -> list[FoundFile]:
        """Return the files; where not all of them may be read, in an order drawn from the seed and what they hold."""
        if not self.samples:
            return self._found.files
        return sorted(
            self._found.files, key=lambda file: derive_seed(self._source.seed, "files", self._beginning(file))
        )

    def _beginning(self, file: FoundFile) -> str:
        with reading(file.path), file.path.open("rb") as content:
            return f"{self._sizes[file.path]} bytes, {sha256(content.read(BEGINNING)).hexdigest()}"

    def record(self) -> dict[str, JsonValue]:
        """Return the patterns, and how many files they name."""
        return {
            "kind": "files",
            "paths": list(self._source.paths),
            "exclude": list(self._source.exclude),
            "packages": {name: dict(origin) for name, origin in self._found.packages.items()},
            "files_found": len(self._found.files) + self._found.excluded,
            "files_excluded": self._found.excluded,
            "files_read": self._files_read,
            "documents_read": self._documents,
            "bytes_read": self._bytes,
        }


class DatasetReading:
    """Rows of a data set of the library datasets."""

    def __init__(self, source: DatasetSource, *, base: Path | None) -> None:
        """Raises InputError where the library is missing, BadCorpus where it finds no such data set or column."""
        self._source = source
        self._rows = _open(source, base)
        self._rows_read = 0
        self.samples = False  # a stream may have no end
        self.place = f"dataset {source.dataset}, split {source.split}"
        self.title = f"reading {source.dataset}"
        splits = self._rows.info.splits or {}
        self.total: float = (splits[source.split].num_examples or 1) if source.split in splits else 1

    def documents(self, dropped: Counter[str], task: Task) -> Iterator[Document]:
        """Yield the text of one row after the other."""
        for row in self._rows:
            self._rows_read += 1
            place = f"{self.place}, row {self._rows_read}"
            try:
                content = row_text(row, self._source.text_field, place)
            except BrokenRow as broken:
                fix = f"name the field that holds the text: {SET_TEXT_FIELD}"
                raise BadCorpus(str(broken), place=place, fix=fix) from broken
            problem = row_problem(content)
            if problem is not None:
                dropped[problem.reason] += 1
                continue
            for piece in cut([content], separator=self._source.separator, piece_bytes=self._source.piece_bytes):
                yield Document(piece, place)
            task.advance(1)

    def record(self) -> dict[str, JsonValue]:
        """Return the name of the data set, and how many rows were read."""
        named = self._source.model_dump(include={"dataset", "config", "split", "revision"})
        return {"kind": "datasets", **named, "rows_read": self._rows_read}


def _open(source: DatasetSource, base: Path | None) -> Any:
    datasets = optional("datasets", extra="datasets", what="a data set", place=f"dataset {source.dataset}")
    folder = (base or Path()) / source.dataset
    try:
        if (folder / "dataset_dict.json").is_file() or (folder / "dataset_info.json").is_file():
            saved = datasets.load_from_disk(str(folder))
            rows = saved[source.split] if isinstance(saved, dict) else saved
            rows = rows.to_iterable_dataset()
        else:
            name = str(folder) if folder.is_dir() else source.dataset
            rows = datasets.load_dataset(
                name, source.config, split=source.split, revision=source.revision, streaming=True
            )
    except (OSError, ValueError, KeyError, RuntimeError) as error:  # what the library raises, and the hub's errors
        raise BadCorpus(
            f"no such data set: {error}",
            place=f"dataset {source.dataset}, split {source.split}",
            fix="check dataset, config, split and revision, and whether this machine reaches the hub",
        ) from error
    return rows.shuffle(seed=source.seed, buffer_size=SHUFFLE_ROWS) if source.tokens is not None else rows
