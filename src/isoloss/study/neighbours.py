"""Saturation where no floor is known: a run whose larger and longer neighbours on the grid are no better."""

from collections.abc import Mapping, Sequence

from isoloss.corpus.corpus import Corpus
from isoloss.runs.archive import Archive
from isoloss.runs.documents import DocumentLosses
from isoloss.runs.flags import saturated_by_neighbours
from isoloss.runs.record import RunRecord
from isoloss.study.plan import PlannedRun


def with_neighbour_flags(
    records: Sequence[RunRecord], planned: Sequence[PlannedRun], corpora: Mapping[str, Corpus], archive: Archive
) -> list[RunRecord]:
    """Return the records, `saturated` added where a run on text earns it beside its neighbours of the same seed."""
    finished = {record.fingerprint: record for record in records if record.status == "finished"}
    losses: dict[Place | None, DocumentLosses] = {
        _place(run): _losses(archive, run.spec.fingerprint)
        for run in planned
        if run.spec.fingerprint in finished and corpora[run.corpus].floor is None
    }
    saturated = {
        run.spec.fingerprint
        for run in planned
        if (own := losses.get(_place(run)))
        and saturated_by_neighbours(
            own, larger_model=losses.get(_next_size(run, planned)), more_tokens=losses.get(_next_tokens(run, planned))
        )
    }
    return [_flagged(record) if record.fingerprint in saturated else record for record in records]


Place = tuple[str, int, int, int]  # corpus, seed, size, tokens


def _place(run: PlannedRun) -> Place:
    return run.corpus, run.spec.seed, run.counts.total, run.spec.train_tokens


def _next_size(run: PlannedRun, planned: Sequence[PlannedRun]) -> Place | None:
    larger = [p for p in map(_place, planned) if _same(p, run, tokens=True) and p[2] > run.counts.total]
    return min(larger, default=None)


def _next_tokens(run: PlannedRun, planned: Sequence[PlannedRun]) -> Place | None:
    longer = [p for p in map(_place, planned) if _same(p, run, tokens=False) and p[3] > run.spec.train_tokens]
    return min(longer, default=None)


def _same(place: Place, run: PlannedRun, *, tokens: bool) -> bool:
    own = _place(run)
    return place[:2] == own[:2] and (place[3] == own[3] if tokens else place[2] == own[2])


def _losses(archive: Archive, run: str) -> DocumentLosses:
    columns = archive.read_columns("documents", run)
    return DocumentLosses(document=columns["document"], tokens=columns["tokens"], nats=columns["nats"])


def _flagged(record: RunRecord) -> RunRecord:
    return record.model_copy(update={"flags": (*record.flags, "saturated")})
