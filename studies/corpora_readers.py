"""From the files of a package to documents, for studies/get_corpora.py."""

import gzip
import io
import json
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from html import unescape
from html.parser import HTMLParser
from xml.etree import ElementTree

PIECE_BYTES = 16_384

Named = tuple[str, bytes]


def whole(members: Iterable[Named]) -> Iterator[bytes]:
    """Each file is a document."""
    for _, content in members:
        yield content


def paragraphs(members: Iterable[Named]) -> Iterator[bytes]:
    """Paragraphs, joined until they hold 16 KiB; those that are no UTF-8 are left out."""
    for name, content in members:
        text = gzip.decompress(content) if name.endswith(".dz") else content
        yield from joined((part for part in text.split(b"\n\n") if is_utf8(part)), between=b"\n\n")


def unzipped(members: Iterable[Named]) -> Iterator[bytes]:
    """Each gzipped file is a document."""
    for _, content in members:
        yield gzip.decompress(content)


def lines(members: Iterable[Named]) -> Iterator[bytes]:
    """Lines, joined until they hold 16 KiB."""
    for name, content in members:
        text = gzip.decompress(content) if name.endswith(".gz") else content
        yield from joined(text.split(b"\n"), between=b"\n")


def sword_prose(members: Iterable[Named]) -> Iterator[bytes]:
    """The text of a commentary in SWORD's compressed form, its tags removed, joined to documents of 16 KiB.

    `NAME.czs` holds where each block of `NAME.czz` lies: three little-endian integers, start, size, size unpacked.
    """
    files = dict(members)
    blocks = next(content for name, content in files.items() if name.endswith(".czz"))
    index = next(content for name, content in files.items() if name.endswith(".czs"))
    for start, size, _ in struct.iter_unpack("<III", index):
        if size:
            text = re.sub(rb"<div [^>]*eID[^>]*>", b"\n\n", zlib.decompress(blocks[start : start + size]))
            plain = unescape(re.sub(rb"<[^>]*>", b"", text).decode("utf-8", "replace"))
            paragraphs_of = filter(None, (" ".join(part.split()) for part in plain.split("\n\n")))
            yield from joined((part.encode() for part in paragraphs_of), between=b"\n\n")


def is_utf8(content: bytes) -> bool:
    """Whether a text decodes."""
    return content.decode("utf-8", "ignore").encode() == content


def joined(parts: Iterable[bytes], *, between: bytes) -> Iterator[bytes]:
    """Join parts to documents of 16 KiB and a little more."""
    held: list[bytes] = []
    for part in parts:
        held.append(part)
        if sum(map(len, held)) >= PIECE_BYTES:
            yield between.join(held) + between
            held = []
    if held:
        yield between.join(held) + between


def json_entries(members: Iterable[Named]) -> Iterator[bytes]:
    """Each entry two levels down is a document, indented by two as in its source repository."""
    for _, content in members:
        for section, entries in json.loads(content).items():
            for name, entry in entries.items() if isinstance(entries, dict) and section != "__meta" else ():
                yield json.dumps({section: {name: entry}}, indent=2, ensure_ascii=False).encode() + b"\n"


def first_sequence(members: Iterable[Named]) -> Iterator[bytes]:
    """The first sequence of a FASTA file, letters alone, cut every 16 KiB: other strains would be near duplicates."""
    for _, content in members:
        record = gzip.decompress(content).split(b">")[1]
        letters = b"".join(record.split(b"\n")[1:]).upper()
        yield from (letters[i : i + PIECE_BYTES] for i in range(0, len(letters), PIECE_BYTES))


def sequences(members: Iterable[Named]) -> Iterator[bytes]:
    """Every sequence of a FASTA file on a line of its own, joined to documents of 16 KiB."""
    for _, content in members:
        records = gzip.decompress(content).split(b">")[1:]
        yield from joined((b"".join(record.split(b"\n")[1:]) for record in records), between=b"\n")


def scores(members: Iterable[Named]) -> Iterator[bytes]:
    """Each score is a document of MusicXML; out of a compressed one (.mxl), the file that its container names first."""
    for name, content in members:
        yield unzipped_score(content) if name.endswith(".mxl") else content


def unzipped_score(content: bytes) -> bytes:
    """Return the score within a compressed MusicXML file."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        root = ElementTree.fromstring(archive.read("META-INF/container.xml")).find(".//{*}rootfile")
        assert root is not None, "a compressed score names no root file"
        return archive.read(root.attrib["full-path"])


def prose_of_html(members: Iterable[Named]) -> Iterator[bytes]:
    """The text of each page, a paragraph a line."""
    for _, content in members:
        page = _Prose()
        page.feed(content.decode("utf-8", "replace"))
        yield "\n\n".join(filter(None, page.paragraphs())).encode() + b"\n"


class _Prose(HTMLParser):
    """Text by paragraph: every block element begins one; the head is left out."""

    BLOCKS = frozenset(["p", "div", "li", "h1", "h2", "h3", "h4", "h5", "blockquote", "td", "br", "ul", "ol", "hr"])

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[list[str]] = [[]]
        self._in_body = False

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._in_body |= tag == "body"
        if tag in self.BLOCKS:
            self._parts.append([])

    def handle_data(self, data: str) -> None:
        if self._in_body:
            self._parts[-1].append(data)

    def paragraphs(self) -> list[str]:
        return [" ".join("".join(part).split()) for part in self._parts]


READERS: dict[str, Callable[[Iterable[Named]], Iterator[bytes]]] = {
    "whole": whole, "paragraphs": paragraphs, "json_entries": json_entries, "first_sequence": first_sequence,
    "sequences": sequences, "prose_of_html": prose_of_html, "scores": scores,
    "unzipped": unzipped, "lines": lines, "sword_prose": sword_prose,
}  # fmt: skip
