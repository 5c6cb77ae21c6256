"""The secondary tests, corrected for their number: other measures, other ways of counting, the rise with compute."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from answer import verdicts
from answer.between import holm
from answer.estimates import Balance
from answer.readings import Counting
from answer.verdicts import Slope
from isoloss.core.estimate import Estimate

RISE = "dθ/d ln C"
EVERY = "ngram, all texts"
COUNTED: dict[Counting, str] = {"6ND": "ngram, 6·N·D", "without head": "ngram, N without the head"}


@dataclass(frozen=True, kw_only=True)
class Tested:
    """One secondary test: what it estimates, its p, and p corrected for the plan's measures and for all tests.

    `slope` is there where θ was laid against a measure; `of_measures` only where the plan corrects the test so.
    """

    title: str
    estimate: Estimate
    slope: Slope | None
    p: float
    of_measures: float | None = None
    of_all: float


def family(
    measures: Sequence[Slope], proxy: Slope | None, every: Slope | None, counted: Mapping[Counting, Slope | None],
    texts: Sequence[Balance],
) -> list[Tested]:  # fmt: skip
    """Return all secondary tests, corrected together; `measures` are those that the plan corrects by themselves."""
    others = {verdicts.PROXY: proxy, EVERY: every, **{COUNTED[name]: slope for name, slope in counted.items()}}
    named = {one.measure: one for one in measures} | {name: one for name, one in others.items() if one is not None}
    found = [
        Tested(title=title, estimate=one.slope, slope=one, p=one.p, of_measures=one.p_corrected, of_all=one.p)
        for title, one in named.items()
    ]
    rise = verdicts.compute_slope(texts)
    if rise is not None:
        p = no_mean(rise, texts=len(texts))
        found.append(Tested(title=RISE, estimate=rise, slope=None, p=p, of_all=p))
    raised = holm(np.array([one.p for one in found]))
    return [replace(one, of_all=float(p)) for one, p in zip(found, raised, strict=True)]


def no_mean(mean: Estimate, *, texts: int) -> float:
    """Return p that a mean of Hartung & Knapp is 0, from its interval."""
    assert mean.width is not None
    freedom = texts - 1
    stderr = mean.width / 2 / float(stats.t.ppf((1 + mean.level) / 2, freedom))
    return float(2 * stats.t.sf(abs(mean.value) / stderr, freedom))
