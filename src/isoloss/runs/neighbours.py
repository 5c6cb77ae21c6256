"""Saturation where no floor is known: a run whose larger and longer neighbours on the grid are no better."""

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import cache
from itertools import pairwise
from typing import NamedTuple

from isoloss.core.errors import DamagedArchive
from isoloss.runs.documents import DocumentLosses
from isoloss.runs.flags import STANDARD_ERRORS, saturated_by_neighbours
from isoloss.runs.record import RunRecord
from isoloss.runs.shapes import count
from isoloss.runs.spec import RunSpec

SAME_HORIZON = 1.03
SURELY = 1.001 * STANDARD_ERRORS  # records and documents may differ in the last digits


def with_neighbour_flags(
    records: Sequence[RunRecord],
    *,
    losses_of: Callable[[str], DocumentLosses],
    floored: Collection[str],
    planned: Iterable[RunSpec] = (),
) -> list[RunRecord]:
    """Return the records, `saturated` added where a run earns it next to its neighbours of the same seed and recipe.

    `losses_of` gives the document losses of a run, `floored` names the corpora whose floor is known: their runs are
    judged by it. `planned` runs without a record keep their places: what lies beyond them is no neighbour.
    """
    specs = [*planned, *(record.spec for record in records)]
    horizons = _levels(spec.train_tokens for spec in specs)
    placed = {id(spec): _place(spec, tokens=horizons[spec.train_tokens]) for spec in specs}
    judged = [record for record in records if record.status == "finished" and record.spec.corpus not in floored]
    best: dict[_Place | None, RunRecord] = {}
    for record in judged:
        place = placed[id(record.spec)]
        if _nats(record) < _nats(best.setdefault(place, record)):
            best[place] = record
    places = set(placed.values())
    larger = _successors(places, lambda place: place._replace(size=0))
    longer = _successors(places, lambda place: place._replace(tokens=0))
    read = cache(losses_of)

    def is_saturated(record: RunRecord) -> bool:
        place = placed[id(record.spec)]
        wider, further = best.get(larger.get(place)), best.get(longer.get(place))
        if wider is None or further is None or _surely_lower(record, wider) or _surely_lower(record, further):
            return False
        try:
            return saturated_by_neighbours(
                read(record.fingerprint), larger_model=read(wider.fingerprint), more_tokens=read(further.fingerprint)
            )
        except ValueError as error:
            runs = ", ".join(one.fingerprint for one in (record, wider, further))
            fix = "run the study again: it finds what is damaged and repairs it"
            raise DamagedArchive(f"the documents of {runs} cannot be compared: {error}", fix=fix) from error

    saturated = {record.fingerprint for record in judged if is_saturated(record)}
    return [_flagged(record) if record.fingerprint in saturated else record for record in records]


def _surely_lower(record: RunRecord, neighbour: RunRecord) -> bool:
    """Whether a neighbour's loss is lower by so much that the documents need not be compared.

    The standard error of a paired difference is at most the sum of both: their residuals subtract.
    """
    own, other = record.loss, neighbour.loss
    return own is not None and other is not None and own.nats - other.nats > SURELY * (own.stderr + other.stderr)


def _nats(record: RunRecord) -> float:
    return record.loss.nats if record.loss else float("inf")


class _Place(NamedTuple):
    """Where a run stands on a grid: `recipe` is all that runs of one grid have in common but corpus and seed."""

    corpus: str
    recipe: str
    seed: int
    size: int
    tokens: int


def _levels(tokens: Iterable[int]) -> dict[int, int]:
    """Return for each token count the one it stands for: batches round what was asked for by up to half of themselves.

    Counts less than 3 % above another are that one.
    """
    level, levels = 0, {}
    for horizon in sorted(set(tokens)):
        level = horizon if horizon > SAME_HORIZON * level else level
        levels[horizon] = level
    return levels


def _place(spec: RunSpec, *, tokens: int) -> _Place:
    own = {"corpus", "seed", "train_tokens", "batch_tokens"}
    # The shape follows from the size; these settings may, by rule, or be swept: the best run of a place stands for it.
    of_size = {
        "model": {"width", "depth", "heads", "ffn"}, "optimiser": {"peak_lr", "beta2", "weight_decay"},
        "schedule": {"warmup_tokens", "final_fraction"},
    }  # fmt: skip
    recipe = spec.model_dump_json(exclude={**dict.fromkeys(own, True), **of_size})
    return _Place(spec.corpus, recipe, spec.seed, count(spec.model).total, tokens)


def _successors(places: Iterable[_Place], line: Callable[[_Place], _Place]) -> dict[_Place, _Place]:
    """Return the next place of every place along the lines of the grid that `line` tells apart."""
    ordered = sorted(places, key=lambda place: (line(place), place))
    return {place: after for place, after in pairwise(ordered) if line(place) == line(after)}


def _flagged(record: RunRecord) -> RunRecord:
    return record.model_copy(update={"flags": (*record.flags, "saturated")})
