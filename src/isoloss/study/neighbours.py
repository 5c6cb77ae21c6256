"""Saturation where no floor is known: a run whose larger and longer neighbours on the grid are no better."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

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
    losses: dict[_Place | None, DocumentLosses] = {
        _place(run): _losses(archive, run.spec.fingerprint)
        for run in planned
        if run.spec.fingerprint in finished and corpora[run.corpus].floor is None
    }
    places = {_place(run) for run in planned}
    larger = _successors(places, lambda place: (place.corpus, place.seed, place.tokens))
    longer = _successors(places, lambda place: (place.corpus, place.seed, place.size))
    saturated = {
        run.spec.fingerprint
        for run in planned
        if (own := losses.get(_place(run)))
        and saturated_by_neighbours(
            own,
            larger_model=losses.get(larger.get(_place(run))),
            more_tokens=losses.get(longer.get(_place(run))),
        )
    }
    return [_flagged(record) if record.fingerprint in saturated else record for record in records]


class _Place(NamedTuple):
    """Where a run stands on the grid."""

    corpus: str
    seed: int
    size: int
    tokens: int


def _place(run: PlannedRun) -> _Place:
    return _Place(run.corpus, run.spec.seed, run.counts.total, run.spec.train_tokens)


def _successors(places: Iterable[_Place], line: Callable[[_Place], tuple[str, int, int]]) -> dict[_Place, _Place]:
    """Return the next place of every place along the lines of the grid that `line` tells apart."""
    ordered = sorted(places, key=lambda place: (line(place), place))
    return {place: after for place, after in pairwise(ordered) if line(place) == line(after)}


def _losses(archive: Archive, run: str) -> DocumentLosses:
    columns = archive.read_columns("documents", run)
    return DocumentLosses(document=columns["document"], tokens=columns["tokens"], nats=columns["nats"])


def _flagged(record: RunRecord) -> RunRecord:
    return record.model_copy(update={"flags": (*record.flags, "saturated")})
