"""What a results folder keeps of a study's answer, so that a second run computes nothing that cannot have changed.

Measures, the answer and its report are kept, each with the identity of all that it was made from, the program's own
files and its libraries included. What was made by somebody else's code, which may change, is never kept.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import isoloss
from isoloss.complexity.base import MeasureSettings
from isoloss.complexity.measure import Complexity, measure_corpus
from isoloss.complexity.measures import open_measure
from isoloss.core import files
from isoloss.core.fingerprint import fingerprint
from isoloss.core.reading import own_json
from isoloss.corpus.corpus import Corpus
from isoloss.fitting.choice import AUTO
from isoloss.laws.registry import open_law
from isoloss.runs.archive import Archive
from isoloss.runs.checksums import file_digest, opened, with_checksums
from isoloss.study.result import StudyResult
from isoloss.study.spec import Study

if TYPE_CHECKING:
    from isoloss.report.page import ReportFiles

REPORT, LAWS = "report", "laws"  # folders of a results folder
MADE_FROM = "made_from.json"
VERSION = 1  # raise when an identity leaves out what it held
LIBRARIES = ("numpy", "scipy", "numba", "matplotlib")


@dataclass(frozen=True, kw_only=True)
class KeptReport:
    """A report that stands in a results folder, and the numbers of its fits as `Analysis.to_json` returns them.

    `answer` is None where JSON could not hold it, for a number in it is infinite.
    """

    written: "ReportFiles"
    answer: dict[str, Any] | None


def kept_measure(folder: Path, corpus: Corpus, measure: str, *, settings: MeasureSettings, seed: int) -> Complexity:
    """Return a measure of a corpus as it stands in `folder`, or else take it and keep it there.

    Raises as `measure_corpus`.
    """

    def taken() -> Complexity:
        return measure_corpus(corpus, measure, settings=settings, seed=seed)

    if not _ours(type(open_measure(measure, settings).by)):
        return taken()
    content = {
        "corpus": corpus.fingerprint, "name": corpus.name, "measure": measure, "seed": seed,
        "settings": settings.model_dump(mode="json"), "program": _program(),
    }  # fmt: skip
    path = folder / f"{fingerprint(content, kind='measure', version=VERSION)}.json"
    try:
        return Complexity.model_validate(_read(path))
    except (OSError, ValueError):  # pydantic's is a ValueError
        found = taken()
        files.write_json(path, with_checksums(found.model_dump(mode="json"), files={}))
        return found


def report_identity(result: StudyResult, archive: Archive) -> str | None:
    """Return the identity of all that a study's fits and report are made from; None where it may change unseen.

    That is where code of somebody else takes part, and where records carry no checksums.
    """
    runs = {record.fingerprint: archive.digests(record.fingerprint) for record in result.records}
    if not _all_ours(result.study) or not all(runs.values()):
        return None
    content = {
        "study": result.study.model_dump(mode="json", by_alias=True),
        "corpora": {
            name: {
                "fingerprint": corpus.fingerprint,
                "source": corpus.source,
                "floor": corpus.floor.to_json() if corpus.floor else None,
            }
            for name, corpus in result.corpora.items()
        },
        "complexity": {
            name: {measure: found.model_dump(mode="json") for measure, found in measured.items()}
            for name, measured in result.complexity.items()
        },
        "planned": [run.spec.fingerprint for run in result.planned],
        "records": [record.model_dump(mode="json") for record in result.records],
        "files": runs,
        "evaluations": result.evaluated.to_json() if result.evaluated else None,
        "warnings": [warning.to_json() for warning in result.warnings],
        "program": _program(),
    }
    return fingerprint(content, kind="report", version=VERSION)


def standing_report(folder: Path, identity: str) -> KeptReport | None:
    """Return what stands in a results folder where it was made from just that and every file is whole, else None."""
    from isoloss.report.page import HTML_NAME, MARKDOWN_NAME, ReportFiles

    try:
        content = _read(folder / REPORT / MADE_FROM)
        digests: Mapping[str, str] = content["files"]
        whole = all(file_digest(folder / name) == digest for name, digest in digests.items())
        answer: dict[str, Any] | None = content["answer"]
    except (OSError, ValueError, KeyError, AttributeError):
        return None
    if content.get("made_from") != identity or not whole:
        return None
    html, markdown = folder / REPORT / HTML_NAME, folder / REPORT / MARKDOWN_NAME
    drawn = tuple(folder / name for name in digests if name.startswith(f"{REPORT}/"))
    figures = tuple(path for path in drawn if path not in (html, markdown))
    return KeptReport(written=ReportFiles(html=html, markdown=markdown, figures=figures), answer=answer)


def keep_report(folder: Path, identity: str, written: "ReportFiles", answer: Mapping[str, Any]) -> None:
    """Write down what a report was made from, the numbers of its fits, and the digests of its files and laws."""
    try:
        plain = json.loads(json.dumps(answer, allow_nan=False))
    except ValueError:
        plain = None
    paths = (written.html, written.markdown, *written.figures, *sorted((folder / LAWS).glob("*.json")))
    digests = {path.relative_to(folder).as_posix(): file_digest(path) for path in paths}
    content = {"made_from": identity, "files": digests, "answer": plain}
    files.write_json(folder / REPORT / MADE_FROM, with_checksums(content, files={}))


def _read(path: Path) -> dict[str, Any]:
    """Return what was kept. Raises OSError or ValueError where there is nothing, or not what was written."""
    content = own_json(files.regular(path).read_bytes())
    try:
        kept, digests = opened(content)
    except (TypeError, AttributeError) as error:
        raise ValueError("not what was written") from error
    if digests is None:
        raise ValueError("it has no checksum")
    return kept


def _all_ours(study: Study) -> bool:
    """Whether all laws and measures of a study are those of isoloss."""
    laws = [open_law(name) for name in study.fit.corpus_laws if name != AUTO]
    measures = [type(open_measure(name, study.complexity.settings).by) for name in study.complexity.measures]
    return all(map(_ours, [*laws, *measures]))


def _ours(definition: type[Any]) -> bool:
    return definition.__module__.split(".")[0] == "isoloss"


@cache
def _program() -> str:
    """Return the digest of isoloss's own files and the versions of the libraries that it computes and draws with."""
    root = Path(isoloss.__file__).parent
    digest = hashlib.sha256(repr([version(name) for name in LIBRARIES]).encode())
    for path in sorted(root.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(f"{path.relative_to(root)} {file_digest(path)}\n".encode())
    return digest.hexdigest()
