"""From a finished study to what its report says."""

from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any, cast

import numpy as np

from isoloss import __version__
from isoloss.core.errors import InputError
from isoloss.corpus.corpus import Corpus
from isoloss.report.data import CorpusSummary, Curve, Findings, ReportData, RunRow
from isoloss.runs.archive import Archive
from isoloss.runs.flags import MEANINGS
from isoloss.runs.record import RunRecord
from isoloss.runs.spec import ModelSpec
from isoloss.study.best_splits import BestSplits, middle_of
from isoloss.study.centred import in_words
from isoloss.study.result import StudyResult
from isoloss.study.run_plan import GRID, PlannedRun
from isoloss.study.spec import training_in_words


def report_data(result: StudyResult, archive: Archive) -> ReportData:
    """Return everything the page says. Raises InputError for a study that was not fitted yet."""
    analysis = result.analysis
    if analysis is None:
        raise InputError("the study has no fits yet", fix="run it without --until, or until fit")
    records = {record.fingerprint: record for record in result.records}
    return ReportData(
        **{each.name: getattr(analysis, each.name) for each in fields(Findings)},
        title=result.study.name,
        question=result.study.question,
        created=datetime.now(UTC),
        version=__version__,
        provenance=_provenance(result),
        seconds=sum(record.wall_seconds for record in result.records),
        budget_flops=analysis.budget,
        corpora=[_summary(name, corpus, result) for name, corpus in result.corpora.items()],
        runs=[_row(run, records[run.spec.fingerprint], result) for run in result.planned
              if run.spec.fingerprint in records],
        curves=list(_curves(result, records, archive)),
        flag_meanings=MEANINGS,
        training=_training(result),
        evaluations=result.evaluated.evaluations if result.evaluated else [],
        **_best_splits(analysis.best),
    )  # fmt: skip


def _best_splits(best: BestSplits | None) -> dict[str, Any]:
    """Return what best splits give to a report; nothing where no corpus holds a budget."""
    if best is None:
        return {}
    return {
        "optima": best.optima,
        "optima_exact": list(middle_of(best.exact or ()).values()),
        "optima_unfiltered": best.unfiltered,
        "without_head": [one for one in best.without_head if one.flops == best.budget],
        "lack_of_fit": best.lack_of_fit,
    }


def _training(result: StudyResult) -> str:
    """Return how the runs were trained and placed, and what differs between corpora."""
    sentences = [training_in_words(result.study.training), in_words(result.placements), result.unlike]
    return " ".join(one for one in sentences if one)


def _summary(name: str, corpus: Corpus, result: StudyResult) -> CorpusSummary:
    return CorpusSummary(
        name=name,
        kind=corpus.kind,
        source=_described(corpus),
        tokens=corpus.n_tokens,
        heldout_tokens=corpus.heldout_tokens,
        vocab_size=corpus.vocab_size,
        unigram_nats=corpus.unigram_nats,
        bytes_per_token=corpus.bytes_per_token,
        measures={measure: found.value for measure, found in result.complexity.get(name, {}).items()},
        unidentified=result.unidentified.get(name, {}),
        floor=corpus.floor,
        warnings=tuple(warning.message for warning in result.warnings if warning.corpus == name),
    )


def _described(corpus: Corpus) -> str:
    """Return where a corpus comes from in one line: packages with versions, or the grammar's family and parameters."""
    source = corpus.source
    documents = f"{corpus.n_documents + corpus.heldout_documents:,} documents"
    parameters, packages = (cast(dict[str, Any], source.get(key, {})) for key in ("parameters", "packages"))
    if parameters:
        described = ", ".join(f"{key} {value}" for key, value in parameters.items() if _is_shown(key, value))
        return f"{parameters['family']} grammar ({described}): {documents}"
    named = ", ".join(f"{about['distribution']} {about['version']}" for about in packages.values())
    return f"{named}{': ' if named else ''}{documents} as {corpus.tokenizer}"


def _is_shown(key: str, value: object) -> bool:
    """Whether a grammar's parameter is worth a word: rules are too long, and what is off or always on says nothing."""
    return key != "conditioned" and isinstance(value, int | float) and value is not False


def _row(run: PlannedRun, record: RunRecord, result: StudyResult) -> RunRow:
    model = record.spec.model
    return RunRow(
        run=record.fingerprint,
        corpus=run.corpus,
        params=record.counts.params(result.study.grid.convention),
        tokens=record.spec.train_tokens,
        flops=run.flops,
        width=model.width,
        depth=model.depth,
        heads=model.heads,
        peak_lr=record.spec.optimiser.peak_lr,
        batch_tokens=record.spec.batch_tokens,
        status=record.status,
        wall_seconds=record.wall_seconds,
        loss_nats=record.loss.nats if record.loss else None,
        stderr=record.loss.stderr if record.loss else None,
        excess_nats=record.loss.excess_nats if record.loss else None,
        excess_stderr=record.loss.excess_stderr if record.loss else None,
        flags=record.flags,
    )


def _curves(result: StudyResult, records: dict[str, RunRecord], archive: Archive) -> Iterator[Curve]:
    """Yield the curve of the longest run of each size on each corpus; of a sweep's many, of the best of them."""
    longest: dict[tuple[str, ModelSpec], tuple[PlannedRun, RunRecord]] = {}
    for run in result.planned:
        record = records.get(run.spec.fingerprint)
        if record is None or record.loss is None or (result.study.tune is None and run.variant != GRID):
            continue
        best = longest.setdefault((run.corpus, run.spec.model), (run, record))
        if _preference(record) > _preference(best[1]):
            longest[run.corpus, run.spec.model] = run, record
    for run, record in longest.values():
        curve = archive.read_columns("curves", record.fingerprint)
        if not len(curve["step"]):
            continue  # it was damaged, and the run's loss stands without it
        yield Curve(
            corpus=run.corpus,
            params=run.counts.params(result.study.grid.convention),
            tokens=np.asarray(curve["tokens"], dtype=np.float64),
            train_nats=np.asarray(curve["train_nats"], dtype=np.float64),
        )


def _preference(record: RunRecord) -> tuple[int, float]:
    return record.spec.train_tokens, -record.loss.nats if record.loss else 0.0


def _provenance(result: StudyResult) -> dict[str, str]:
    """Return versions and machine as the runs recorded them, and the study's identity."""
    seen: dict[str, set[str]] = {}
    for record in result.records:
        for key, value in record.provenance.items():
            seen.setdefault(key, set()).add(value)
    return {key: ", ".join(sorted(values)) for key, values in sorted(seen.items())}
