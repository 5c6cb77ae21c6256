"""What is to be said of a study's corpora before anybody trusts their losses: few held-out documents, or other ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from isoloss.core.numbers import percent
from isoloss.core.plain_json import Plain
from isoloss.corpus.corpus import Corpus, Outline
from isoloss.corpus.split import LEAST_HELDOUT_DOCUMENTS
from isoloss.runs.archive import Archive
from isoloss.runs.record import RunRecord
from isoloss.study.run_plan import PlannedRun

# Token frequencies of the two sides of seven folders of source code and prose, two seeds and two shares each, differ by
# 4.1 % of the entropy at most (docs/log.md, 2026-11-29).
UNIGRAM_GAP = 0.05
# Final losses of twelve real corpora on the two sides of the split: ten within 8 %, two 28 and 54 % apart (docs/log.md,
# 2026-11-29). Where every token is read once, the sides of a split that is a fair sample agree.
LOSS_GAP = 0.10
LAST_INTERVALS = 2  # of the training curve: some 5 % of the steps


@dataclass(frozen=True, kw_only=True)
class CorpusWarning(Plain):
    """What a reader must know of a corpus: `code` for programs, `message` with the remedy for people."""

    corpus: str
    code: str
    message: str


def corpus_warnings(corpora: Mapping[str, Outline], *, context: int) -> list[CorpusWarning]:
    """Return what the corpora themselves show: fewer than 8 held-out documents, and sides of other tokens."""
    found = []
    for name, corpus in corpora.items():
        documents = corpus.scored_documents(context)
        if documents < LEAST_HELDOUT_DOCUMENTS:
            found.append(_few(name, documents))
        gap = _unigram_gap(corpus)
        if gap is not None and abs(gap) > UNIGRAM_GAP:
            found.append(_other_tokens(name, gap))
    return found


def run_warnings(
    planned: Sequence[PlannedRun], records: Sequence[RunRecord], corpora: Mapping[str, Corpus], archive: Archive
) -> list[CorpusWarning]:
    """Return the corpora of text on which the longest runs' held-out loss is not their last training loss."""
    found = []
    for name, corpus in corpora.items():
        own = {run.spec.fingerprint for run in planned if run.corpus == name}
        ended = [record for record in records if record.fingerprint in own and record.loss is not None]
        longest = max((record.spec.train_tokens for record in ended), default=0)
        gaps = [_loss_gap(record, archive) for record in ended if record.spec.train_tokens == longest]
        known = [gap for gap in gaps if gap is not None]
        if corpus.kind == "text" and known and abs(np.median(known)) > LOSS_GAP:
            found.append(_other_loss(name, float(np.median(known)), longest))
    return found


def _unigram_gap(corpus: Outline) -> float | None:
    """Return by how much of itself the held-out cross-entropy of single tokens exceeds the training side's."""
    if not isinstance(corpus, Corpus) or corpus.kind != "text" or not corpus.train_unigram_nats:
        return None
    return corpus.unigram_nats / corpus.train_unigram_nats - 1


def _loss_gap(record: RunRecord, archive: Archive) -> float | None:
    """Return by how much of itself the held-out loss exceeds the training loss of the last steps."""
    train = archive.read_columns("curves", record.fingerprint)["train_nats"][-LAST_INTERVALS:]
    return record.loss.nats / float(np.mean(train)) - 1 if record.loss is not None and len(train) else None


def _few(name: str, documents: int) -> CorpusWarning:
    return CorpusWarning(
        corpus=name, code="few_heldout_documents",
        message=f"only {documents} held-out documents are as long as a window. The standard error of a loss means "
        f"little with fewer than {LEAST_HELDOUT_DOCUMENTS}. Raise heldout_fraction, name more files, or "
        "cut long ones into documents with separator or piece_bytes.",
    )  # fmt: skip


def _other_tokens(name: str, gap: float) -> CorpusWarning:
    return CorpusWarning(
        corpus=name, code="heldout_differs",
        message="held-out and training text differ in kind: token frequencies learned from training text cost "
        f"{percent(abs(gap), 2)} {'more' if gap > 0 else 'less'} on held-out text. {REMEDY}",
    )  # fmt: skip


def _other_loss(name: str, gap: float, tokens: int) -> CorpusWarning:
    return CorpusWarning(
        corpus=name, code="heldout_gap",
        message=f"held-out loss is {percent(abs(gap), 2)} {'above' if gap > 0 else 'below'} the training loss of the "
        f"last steps (median of the runs of {tokens:,} tokens), although no token was read twice. The held-out text "
        f"differs from the training text, which shifts E. {REMEDY}",
    )  # fmt: skip


REMEDY = (
    "Name more files, raise heldout_fraction or heldout_tokens, cut long files with piece_bytes, or take another seed."
)
