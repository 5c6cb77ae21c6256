"""Public originals brought here: over https alone, no larger than expected, and the same bytes every time."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO, Any, Literal
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from pydantic import TypeAdapter, ValidationError

from isoloss.core import files
from isoloss.core.errors import BadTable, InputError, WorkError
from isoloss.core.progress import QUIET, Progress

SECONDS = 30.0  # without an answer
PART = 1 << 16
RECORD = "fetched.json"
HTTPS = ("https",)

Known = Literal["recorded on first use", "as recorded", "as pinned"]


@dataclass(frozen=True, kw_only=True)
class PublicFile:
    """One original: its address, the name it is kept under, and the most bytes it may have.

    `sha256` is given where the bytes are known here; else those of the first fetch are recorded and asked for after.
    """

    name: str
    url: str
    most_bytes: int
    sha256: str = ""


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """An original that lies on this machine. `fresh` where it was fetched now, and not found."""

    name: str
    path: Path
    url: str
    sha256: str
    known: Known
    fresh: bool

    def to_json(self) -> dict[str, Any]:
        """Return one element of `fetched`."""
        return asdict(self) | {"path": str(self.path)}

    def sentence(self) -> str:
        """Return what was done, in one line."""
        came = f"fetched from {self.url}" if self.fresh else f"found at {self.path}"
        return f"{self.name}: {came}; SHA-256 {self.sha256} ({self.known})"


def cache_folder() -> Path:
    """Return where originals are kept: `$XDG_CACHE_HOME/isoloss/published`, or below `~/.cache`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "isoloss" / "published"


def fetch(
    originals: Sequence[PublicFile], folder: Path, *, progress: Progress = QUIET, schemes: Sequence[str] = HTTPS
) -> list[Fetched]:
    """Return the originals as they lie in `folder`, fetching those that do not; all are held against their digests.

    Raises WorkError where an address does not answer, with what to do by hand; BadTable for a file that is larger
    than expected, or whose bytes are not those that were pinned or recorded; InputError for an address of another
    scheme than `schemes`.
    """
    record = _read_record(folder / RECORD)
    found = []
    for original in originals:
        path = folder / original.name
        fresh = not path.is_file()
        content = _download(original, path, schemes=schemes, progress=progress) if fresh else _stored(original, path)
        digest = hashlib.sha256(content).hexdigest()
        known = _judged(original, digest, record, path=path, fresh=fresh)
        if fresh:
            files.write_bytes(path, content)
        if original.name not in record:
            record[original.name] = {
                "url": original.url, "sha256": digest, "bytes": len(content), "on": datetime.now(UTC).date().isoformat()
            }  # fmt: skip
            files.write_json(folder / RECORD, record)
        found.append(Fetched(name=original.name, path=path, url=original.url, sha256=digest, known=known, fresh=fresh))
    return found


def forget(found: Sequence[Fetched]) -> None:
    """Take back what the first use of originals left, where they turned out to be others."""
    for one in found:
        if one.known != "recorded on first use":
            continue
        place = one.path.parent / RECORD
        record = _read_record(place)
        record.pop(one.name, None)
        files.write_json(place, record)
        if one.fresh:
            one.path.unlink()


def _judged(original: PublicFile, digest: str, record: dict[str, Any], *, path: Path, fresh: bool) -> Known:
    """Return how the digest is known. Raises BadTable where another is."""
    recorded = record.get(original.name, {}).get("sha256", "")
    expected, known = (original.sha256, "pinned") if original.sha256 else (recorded, "recorded on first use")
    if expected and digest != expected:
        place = original.url if fresh else str(path)
        raise BadTable(
            f"the file differs from the one {known} (SHA-256 {digest[:16]}…, expected {expected[:16]}…). It was not "
            "read", place=place, fix=f"if the new file is intended, remove {path} and {path.parent / RECORD}",
        )  # fmt: skip
    if original.sha256:
        return "as pinned"
    return "as recorded" if recorded else "recorded on first use"


def _read_record(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        return TypeAdapter(dict[str, dict[str, Any]]).validate_json(path.read_bytes())
    except ValidationError as error:
        raise BadTable("not a record of what was fetched", place=str(path), fix="remove it and fetch anew") from error


def _stored(original: PublicFile, path: Path) -> bytes:
    size = path.stat().st_size
    if size > original.most_bytes:
        raise _too_large(original, place=str(path))
    return path.read_bytes()


def _too_large(original: PublicFile, *, place: str) -> BadTable:
    return BadTable(
        f"more than the {original.most_bytes} bytes that the file may have", place=place,
        fix="nothing was kept; see what the address gives in a browser",
    )  # fmt: skip


class _SameScheme(HTTPRedirectHandler):
    """Follow a redirection only to an address of an admitted scheme."""

    def __init__(self, schemes: Sequence[str]) -> None:
        self.schemes = schemes

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        try:
            _check_scheme(newurl, self.schemes)
        except InputError:
            fp.close()
            raise
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _check_scheme(url: str, schemes: Sequence[str]) -> None:
    if urlsplit(url).scheme not in schemes:
        raise InputError(f"not fetched over {' or '.join(schemes)}", place=url, fix="fetch it by hand, if you trust it")


def _download(original: PublicFile, path: Path, *, schemes: Sequence[str], progress: Progress) -> bytes:
    _check_scheme(original.url, schemes)
    request = Request(original.url, headers={"User-Agent": "isoloss"})
    try:
        with build_opener(_SameScheme(schemes)).open(request, timeout=SECONDS) as answer:
            return _read(original, answer, progress=progress)
    except HTTPError as error:
        error.close()
        raise _unreachable(original, path, f"the address answers {error.code} {error.reason}") from error
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise _unreachable(original, path, f"could not be fetched: {reason}") from error


def _unreachable(original: PublicFile, path: Path, reason: str) -> WorkError:
    return WorkError(reason, place=original.url, fix=f"by hand: put that file at {path} and run the same command again")


def _read(original: PublicFile, answer: Any, *, progress: Progress) -> bytes:
    """Return what an answer holds, part by part, and stop where it is more than the file may have."""
    said = answer.headers.get("Content-Length", "")
    size = int(said) if said.isdecimal() else None
    parts: list[bytes] = []
    have = 0
    with progress.task(f"fetching {original.name}", total=size or original.most_bytes) as task:
        while part := answer.read(PART):
            have += len(part)
            if have > original.most_bytes:
                raise _too_large(original, place=original.url)
            parts.append(part)
            task.advance(len(part))
    if size is not None and have < size:
        raise HTTPException(f"{have} of {size} bytes arrived")
    return b"".join(parts)
