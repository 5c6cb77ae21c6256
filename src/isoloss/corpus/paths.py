"""Files by pattern: paths, folders, globs, and `{package:NAME}` for the folder of an installed package.

Below what a pattern names by itself, links to folders are not followed, and a file that several paths lead to counts
once. Pipes and devices are no files.
"""

import glob
import importlib.metadata
import importlib.util
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

from isoloss.core.errors import BadCorpus, guess_of, nearest
from isoloss.core.files import kind_of
from isoloss.corpus.compressed import reading
from isoloss.corpus.dropped import in_words

PACKAGE = re.compile(r"\{package:([^{}]*)\}")


@dataclass(frozen=True, kw_only=True)
class FoundFile:
    """A file that a pattern names.

    `key` is its path below the pattern's fixed part, the same on every machine; `named` says it was named by itself.
    """

    path: Path
    key: str
    named: bool


@dataclass(frozen=True, kw_only=True)
class Found:
    """The files that patterns name, sorted and each once; how many were excluded; the packages they come from.

    `passed_over` counts what lay there and was not read: `linked_folder`, `same_file` (another path to a file that
    counts already) and `no_file` (pipes, devices, links that lead nowhere).
    """

    files: list[FoundFile]
    excluded: int = 0
    packages: dict[str, dict[str, str]] = field(default_factory=dict)
    passed_over: Counter[str] = field(default_factory=Counter)


def find_files(patterns: Sequence[str], *, exclude: Sequence[str] = (), base: Path | None = None) -> Found:
    """Return the files that `patterns` name, relative ones taken from `base` (the current folder without it).

    A folder stands for every file below it, hidden ones left out. A pattern of `exclude` takes away the files and
    folders it matches: by their whole path where it is absolute, at any depth where it is not; `*` crosses folders.
    Raises BadCorpus for a pattern that matches nothing, and for a pipe or device that is named by itself.
    """
    passed_over: dict[Path, str] = {}
    found: dict[Path, FoundFile] = {}
    for pattern in patterns:
        whole = os.path.normpath((base or Path.cwd()) / _resolved(pattern))
        for file in _expand(whole, written=pattern, passed_over=passed_over):
            found.setdefault(file.path, file)
    excluded: set[Path] = set()
    for pattern in exclude:
        excluded |= _matching(found, pattern)
    kept = [file for file in found.values() if file.path not in excluded]
    if not kept:
        raise BadCorpus(
            f"exclude removes all {len(found)} files", place=", ".join(exclude), fix="loosen the exclude patterns"
        )
    names = {name for pattern in patterns for name in PACKAGE.findall(pattern)}
    distinct = _distinct(sorted(kept, key=lambda file: (not file.named, file.key, str(file.path))))
    return Found(
        files=sorted(distinct, key=lambda file: (file.key, str(file.path))),
        excluded=len(found) - len(kept),
        packages={name: package_origin(name) for name in sorted(names)},
        passed_over=+Counter([*passed_over.values(), *["same_file"] * (len(kept) - len(distinct))]),
    )


def _distinct(files: Sequence[FoundFile]) -> list[FoundFile]:
    """Return the files without those that another path among them leads to; the first path stays."""
    folders = cache(os.path.realpath)  # one look at the disk a folder
    first: dict[str, FoundFile] = {}
    for file in files:
        linked = file.path.is_symlink()
        real = os.path.realpath(file.path) if linked else os.path.join(folders(file.path.parent), file.path.name)
        first.setdefault(real, file)
    return list(first.values())


def package_folder(name: str) -> Path:
    """Return the folder of the installed import package `name` without importing it. Raises BadCorpus where none is."""
    place = f"{{package:{name}}}"
    spec = importlib.util.find_spec(name) if name.isidentifier() else None
    if spec is None:
        close = nearest(name, _distributions())
        guess = f"did you mean {{package:{close}}}? " if close else ""
        raise BadCorpus(
            f"no import package {name!r} is installed here",
            place=place,
            fix=f"{guess}install the distribution that contains it, or name your own files",
        )
    if not spec.submodule_search_locations:
        raise BadCorpus(
            f"{name!r} is a module, not a package with a folder", place=place, fix="name the files themselves"
        )
    return Path(next(iter(spec.submodule_search_locations)))


def package_origin(name: str) -> dict[str, str]:
    """Return which distribution brought an import package, and its version: what it takes to get the same files."""
    distributions = _distributions().get(name, [])
    if not distributions:
        return {"distribution": "unknown", "version": "unknown"}
    return {"distribution": distributions[0], "version": importlib.metadata.version(distributions[0])}


@cache
def _distributions() -> Mapping[str, list[str]]:
    """Return the distributions of every import package: a second and more where many are installed."""
    return importlib.metadata.packages_distributions()


def _resolved(pattern: str) -> Path:
    path = Path(PACKAGE.sub(lambda match: str(package_folder(match[1])), pattern))
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise BadCorpus("no such user", place=pattern, fix="write the path of the folder itself") from error


def _expand(pattern: str, *, written: str, passed_over: dict[Path, str]) -> Iterator[FoundFile]:
    path = Path(pattern)
    if path.is_file():
        yield FoundFile(path=path, key=path.name, named=True)
        return
    if path.exists() and not path.is_dir():
        raise BadCorpus(
            f"{kind_of(path)}, expected a file or a folder",
            place=written,
            fix="name a file; isoloss measure reads what is piped into it as -",
        )
    root = path if path.is_dir() else _fixed_part(path)
    below = ("**", "*") if path.is_dir() else path.relative_to(root).parts
    begun = False
    for file in _walk(root, below if below[-1] != "**" else (*below, "*"), passed_over):
        begun = True
        yield FoundFile(path=file, key=file.relative_to(root).as_posix(), named=False)
    if not begun:
        _raise_empty(path, root, written, passed_over)


def _walk(folder: Path, parts: Sequence[str], passed_over: dict[Path, str]) -> Iterator[Path]:
    """Yield the files below a folder whose parts match; `**` stands for any number of folders, hidden ones left out."""
    part, *rest = parts
    while part == "**" and rest[:1] == ["**"]:  # two stand for no more than one, and would be walked twice
        rest = rest[1:]
    if part == "**":
        yield from _walk(folder, rest, passed_over)
        rest, part = [part, *rest], "*"
    with reading(folder):
        entries = list(os.scandir(folder)) if folder.is_dir() else []
    for entry in entries:
        if not fnmatchcase(entry.name, part) or (entry.name.startswith(".") and not part.startswith(".")):
            continue
        if not rest and entry.is_file():
            yield folder / entry.name
        elif rest and entry.is_dir(follow_symlinks=False):
            yield from _walk(folder / entry.name, rest, passed_over)
        elif rest and entry.is_dir():
            passed_over[folder / entry.name] = "linked_folder"
        elif not rest and not entry.is_dir():
            passed_over[folder / entry.name] = "no_file"


def _fixed_part(pattern: Path) -> Path:
    """Return the folder that a glob starts from: everything before its first part with a wildcard."""
    return next(parent for parent in pattern.parents if not glob.has_magic(str(parent)))


def _raise_empty(path: Path, root: Path, written: str, passed_over: dict[Path, str]) -> None:
    if not root.is_dir():
        raise BadCorpus(f"no folder {root}", place=written, fix="correct the path")
    reasons = f"; passed over: {in_words(Counter(passed_over.values()))}" if passed_over else ""
    if path.is_dir():
        fix = "name a folder with text; the target of a link is read only if you name the link itself"
        raise BadCorpus(f"no files in {root}{reasons}", place=written, fix=fix)
    if not glob.has_magic(str(path)):
        guess = guess_of(path.name, (entry.name for entry in root.iterdir()))
        raise BadCorpus("no such file or folder", place=written, fix=f"{guess}check the path (searched in {root})")
    raise BadCorpus(
        f"matches no file; searched in {root}{reasons}", place=written, fix="correct the pattern, or the folder"
    )


def _matching(found: dict[Path, FoundFile], pattern: str) -> set[Path]:
    resolved = _resolved(pattern)
    whole = str(resolved) if resolved.is_absolute() else f"*/{resolved}"
    matching = {path for path in found if fnmatchcase(str(path), whole) or fnmatchcase(str(path), f"{whole}/*")}
    if not matching:
        raise BadCorpus(
            f"exclude matches none of the {len(found)} files", place=pattern, fix="correct the pattern, or remove it"
        )
    return matching
