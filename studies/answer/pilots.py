"""What a pilot would have said: the first seed of a text by itself, against all of its runs and against the others."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from answer.estimates import SIX_ND_BUDGETS
from answer.readings import Readings, Row, as_observations
from answer.words import ends_of, spread
from isoloss.core.estimate import Estimate
from isoloss.optima.best_size import BestSize, best_sizes

WIDTH_AIM = 1.8  # between the ends of an interval


@dataclass(frozen=True, kw_only=True)
class Pilot:
    """The best tokens per parameter of one budget by one seed alone, by all runs, and by the other seeds alone."""

    corpus: str
    flops: float
    alone: Estimate
    whole: Estimate
    others: Estimate | None

    @property
    def held(self) -> bool:
        """Whether the pilot's interval holds what all runs say."""
        _, low, high = ends_of(self.alone)
        return low <= self.whole.value <= high

    @property
    def width(self) -> float:
        """The factor between the ends of the pilot's interval."""
        return spread(self.alone)

    @property
    def whole_width(self) -> float:
        """The factor between the ends of the interval by all runs."""
        return spread(self.whole)

    @property
    def agrees(self) -> bool | None:
        """Whether the pilot and the other seeds differ by no more than both intervals allow; None where unknown."""
        if self.others is None:
            return None
        allowed = math.hypot(math.log(self.width), math.log(spread(self.others))) / 2
        return abs(math.log(self.alone.value / self.others.value)) <= allowed


def pilots(readings: Readings, corpora: Sequence[str], *, draws: int) -> list[Pilot]:
    """Return the pilot of every text that has several seeds, at every budget (6 · N · D) inside its runs."""
    found: list[Pilot] = []
    for corpus in corpora:
        rows = readings.own(corpus)
        (first, _), *more = Counter(row["seed"] for row in rows).most_common()
        if not more:
            continue
        parts = ([row for row in rows if row["seed"] == first], rows, [row for row in rows if row["seed"] != first])
        for one, whole, others in zip(*(_splits(part, draws) for part in parts), strict=True):
            if one.tokens_per_param is not None and whole.tokens_per_param is not None:
                found.append(
                    Pilot(
                        corpus=corpus, flops=one.flops, alone=one.tokens_per_param,
                        whole=whole.tokens_per_param, others=others.tokens_per_param,
                    )
                )  # fmt: skip
    return found


def _splits(rows: Sequence[Row], draws: int) -> list[BestSize]:
    return list(best_sizes(as_observations(rows, counting="6ND"), budgets=SIX_ND_BUDGETS, draws=draws))
