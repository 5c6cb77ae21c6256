"""Evaluate models on corpora: folders of transformers or of our own, and the kept weights of results folders."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from isoloss.core import files
from isoloss.core.errors import InputError
from isoloss.core.fingerprint import fingerprint
from isoloss.core.progress import Progress
from isoloss.corpus.corpus import Corpus
from isoloss.runs.archive import Archive
from isoloss.runs.evaluation import Evaluation
from isoloss.runs.flags import loss_of
from isoloss.runs.record import Loss, RunRecord
from isoloss.runs.shapes import count
from isoloss.runs.spec import ModelSpec, Numerics
from isoloss.study.spec import GivenModel

EVALUATIONS_VERSION = 1
CSV_NAME = "evaluations.csv"


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A model to evaluate: its folder, its shape, and what is known of its training.

    `corpus` is the corpus it was trained on where that is ours.
    """

    name: str
    folder: Path
    spec: ModelSpec
    trained_on: str | None = None
    tokens: int | None = None
    run: str | None = None
    corpus: Corpus | None = None


@dataclass(frozen=True, kw_only=True)
class Refused:
    """A pair that was not evaluated, and why."""

    model: str
    corpus: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """What came of a matrix: its evaluations, and the pairs it lacks."""

    evaluations: list[Evaluation]
    refused: list[Refused]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return {
            "evaluations": [one.row() for one in self.evaluations],
            "not_evaluated": [asdict(one) for one in self.refused],
        }


def given_subjects(models: Iterable[GivenModel], *, base: Path) -> list[Subject]:
    """Return the models in the folders a study names. Raises InputError for a folder that holds none."""
    return [subject for model in models for subject in _given(model, base)]


def _given(model: GivenModel, base: Path) -> list[Subject]:
    from isoloss.models.folder import read_spec

    folder = base / model.path
    if Archive.stands_in(folder):
        archive = Archive(folder)
        found = list(kept_subjects(archive, archive.records()))
        if not found:
            fix = "train with keep_weights = true under [training]"
            raise InputError("a results folder without kept weights", place=str(folder), fix=fix)
        return found
    return [
        Subject(
            name=model.name or folder.name, folder=folder, spec=read_spec(folder), trained_on=model.trained_on,
            tokens=model.tokens,
        )
    ]  # fmt: skip


def kept_subjects(archive: Archive, records: Iterable[RunRecord]) -> Iterator[Subject]:
    """Yield the runs of `records` whose final weights `archive` holds."""
    corpora: dict[str, Corpus] = {}
    for record in records:
        folder = archive.weights_folder(record.fingerprint)
        if record.status != "finished" or not folder.is_dir():
            continue
        name = record.spec.corpus
        corpus = corpora.setdefault(name, Corpus.open(archive.corpus_folder(name)))
        yield Subject(
            name=record.fingerprint, folder=folder, spec=record.spec.model, trained_on=corpus.name,
            tokens=record.spec.train_tokens, run=record.fingerprint, corpus=corpus,
        )  # fmt: skip


def evaluate(
    subjects: Sequence[Subject], corpora: Mapping[str, Corpus], *, folder: Path, context: int, numerics: Numerics,
    progress: Progress,
) -> Evaluated:  # fmt: skip
    """Return every subject's loss on every corpus, from `folder` where it stands there already, and write the table.

    A corpus whose token ids mean something else to a model is refused with the reason.
    """
    done: list[Evaluation] = []
    refused: list[Refused] = []
    with progress.task("evaluations", total=len(subjects) * len(corpora)) as task:
        for subject in subjects:
            digest = _digest(subject.folder)
            for name, corpus in corpora.items():
                task.advance(0, detail=f"{subject.name} on {name}")
                reason = _mismatch(subject, corpus)
                if reason is not None:
                    refused.append(Refused(model=subject.name, corpus=name, reason=reason))
                else:
                    loss = _loss(subject, digest, corpus, folder=folder, context=context, numerics=numerics)
                    done.append(Evaluation(
                        model=subject.name, corpus=name, counts=count(subject.spec), loss=loss,
                        trained_on=subject.trained_on, train_tokens=subject.tokens, run=subject.run,
                        bytes_per_token=corpus.bytes_per_token,
                    ))  # fmt: skip
                task.advance(1)
    if rows := [one.row() for one in done]:  # a table that `isoloss fit` reads
        files.write_rows(folder / CSV_NAME, list(rows[0]), rows)
    return Evaluated(evaluations=done, refused=refused)


def _mismatch(subject: Subject, corpus: Corpus) -> str | None:
    """Return why the ids of `corpus` are not those that the model was trained on, or None where they may be."""
    if subject.corpus is not None and subject.corpus.fingerprint == corpus.fingerprint:
        return None
    if corpus.vocab_size > subject.spec.vocab_size:
        return f"the corpus has {corpus.vocab_size} token ids, but the model knows {subject.spec.vocab_size}"
    own = subject.corpus
    if own is None:
        return None
    if own.tokenizer != corpus.tokenizer or own.tokenizer_identity != corpus.tokenizer_identity:
        return f"the corpus has tokens of {corpus.tokenizer}, but the model was trained on {own.tokenizer}"
    if own.compact_from is not None or corpus.compact_from is not None:
        return "compact vocabularies number the tokens of each corpus differently"
    return None


def _loss(subject: Subject, digest: str, corpus: Corpus, *, folder: Path, context: int, numerics: Numerics) -> Loss:
    content = {"weights": digest, "corpus": corpus.fingerprint, "context": context,
               "numerics": numerics.model_dump(exclude_defaults=True)}  # fmt: skip
    path = folder / "evaluations" / f"{fingerprint(content, kind='evaluation', version=EVALUATIONS_VERSION)}.json"
    if path.exists():
        return Loss.model_validate_json(path.read_text(encoding="utf-8"))
    from isoloss.training.evaluate import folder_losses

    losses = folder_losses(subject.folder, corpus, context=context, numerics=numerics)
    loss = loss_of(losses, floor_nats=corpus.document_floor)
    files.write_text(path, loss.model_dump_json() + "\n")
    return loss


def _digest(folder: Path) -> str:
    """Return the digest of a model's config and weights."""
    digest = hashlib.sha256()
    with files.storage_errors(folder):
        for path in sorted([*folder.glob("config.json"), *folder.glob("*.safetensors")]):
            digest.update(path.name.encode())
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
