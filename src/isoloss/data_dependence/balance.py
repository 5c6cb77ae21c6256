"""Does the compute-optimal balance ln(D*/N*) move with compressibility?

One law a corpus, one budget inside every law's fitted range, the balance of each with the noise of its draws, and a
line through them that allows corpora to differ for reasons other than the measure. "Moves" is said only where the
line's interval excludes no movement; what the design could have seen is always said beside it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from isoloss.core.errors import InputError, Unidentified
from isoloss.core.estimate import LEVEL, Estimate
from isoloss.data_dependence.meta import MetaRegression, meta_regression
from isoloss.fitting.fitted import FittedLaw, FrontierPoint

Verdict = Literal["moves", "differs", "not_identified", "not_enough_corpora"]

STEP = 0.1  # slopes are told per this much of the measure
FEWEST_CORPORA = 3  # a line through two says nothing about what else moves balances
MOST_TOLD = float(np.log(1000))
COMPRESSORS = ("gzip", "zstd", "xz", "bz2", "brotli", "ppmd")


@dataclass(frozen=True, kw_only=True)
class CorpusBalance:
    """ln(tokens/params) at the optimum of one corpus, and its complexity; `extrapolation` as in `FrontierPoint`."""

    corpus: str
    complexity: Estimate
    log_ratio: Estimate
    extrapolation: float


@dataclass(frozen=True, kw_only=True)
class BalanceVerdict:
    """Whether the balance moves with a measure, among corpora of one `kind`, at a `budget` in FLOPs.

    `slope` is the change of ln(tokens/params) per 0.1 of the measure; `smallest_detectable` the change that the design
    shows four times in five; `scatter` the standard deviation of balances around the line beyond run noise; `left_out`
    names corpora whose law, or too many of its draws, has no optimum. Numbers are None where there are too few corpora.
    """

    kind: str
    measure: str
    budget: float
    corpora: tuple[CorpusBalance, ...]
    left_out: tuple[str, ...]
    verdict: Verdict
    slope: Estimate | None = None
    smallest_detectable: float | None = None
    smallest_with_one_more: float | None = None
    scatter: float | None = None
    p_slope: float | None = None
    p_equal: float | None = None

    def sentences(self) -> tuple[str, str]:
        """Return the verdict and what limits it, in plain English."""
        return _verdict_sentence(self), _limits_sentence(self)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return {
            "kind": self.kind,
            "measure": self.measure,
            "budget": self.budget,
            "corpora": [
                {
                    "corpus": c.corpus, "complexity": c.complexity.to_json(), "log_ratio": c.log_ratio.to_json(),
                    "extrapolation": c.extrapolation,
                }
                for c in self.corpora
            ],
            "left_out": list(self.left_out),
            "verdict": self.verdict,
            "slope": None if self.slope is None else self.slope.to_json(),
            "smallest_detectable": self.smallest_detectable,
            "scatter": self.scatter,
            "p_slope": self.p_slope,
            "p_equal": self.p_equal,
            "sentences": list(self.sentences()),
        }  # fmt: skip


def common_budget(laws: Sequence[FittedLaw]) -> float:
    """Return the geometric middle of the FLOPs that every law's rows span.

    Raises InputError where no law is given, or where the ranges do not overlap.
    """
    if not laws:
        raise InputError("no fitted laws to compare", fix="fit at least one corpus")
    low = max(law.domain.flops_low for law in laws)
    high = min(law.domain.flops_high for law in laws)
    if low > high:
        raise InputError(
            f"the corpora's runs share no range of FLOPs (largest smallest {low:.2g}, smallest largest {high:.2g})",
            fix="train every corpus on one grid, or compare corpora whose grids overlap",
        )
    return float(np.sqrt(low * high))


def judge_balance(
    laws: Sequence[FittedLaw],
    complexity: Mapping[str, Estimate],
    *,
    kind: str,
    measure: str = "gzip",
    budget: float | None = None,
) -> BalanceVerdict:
    """Return whether ln(tokens/params) moves with a measure among corpora of one kind (real, or generated).

    `laws` are one a corpus (by `group`) with draws; `complexity` maps each to its value; `budget` is the common one by
    default. Random-effects meta-regression: see `isoloss.data_dependence.meta`. Raises InputError for laws
    without draws, corpora without complexity, or a budget outside some law's fitted range.
    """
    flops = common_budget(laws) if budget is None else budget
    found: list[CorpusBalance] = []
    left_out: list[str] = []
    for law in laws:
        _check(law, complexity, flops)
        point = _optimum(law, flops)
        if point is None:
            left_out.append(law.group)
            continue
        found.append(
            CorpusBalance(
                corpus=law.group, complexity=complexity[law.group], log_ratio=point.log_ratio,
                extrapolation=point.extrapolation,
            )
        )  # fmt: skip
    return _judge(tuple(found), tuple(left_out), kind=kind, measure=measure, budget=flops)


def _optimum(law: FittedLaw, flops: float) -> FrontierPoint | None:
    """Return the optimum of a budget, or None where the law, or too many of its draws, have none."""
    try:
        point = law.optimum(flops)
    except Unidentified:
        return None
    return None if point.log_ratio.low is None else point


def _check(law: FittedLaw, complexity: Mapping[str, Estimate], flops: float) -> None:
    if law.group not in complexity:
        raise InputError(f"no complexity for corpus {law.group!r}", fix="measure every corpus that has a law")
    if len(law.draws) < 2:
        raise InputError(f"the law of {law.group!r} has no draws", fix="fit it with bootstrap=1000")
    domain = law.domain
    if not domain.flops_low <= flops <= domain.flops_high:
        raise InputError(
            f"a budget of {flops:.3g} FLOPs lies outside the runs of {law.group!r} "
            f"({domain.flops_low:.3g} to {domain.flops_high:.3g})",
            fix="choose a budget inside every law's range, or leave it to common_budget",
        )


def _judge(
    corpora: tuple[CorpusBalance, ...], left_out: tuple[str, ...], *, kind: str, measure: str, budget: float
) -> BalanceVerdict:
    values = np.array([c.complexity.value for c in corpora])
    if len(corpora) < FEWEST_CORPORA or len(np.unique(values)) < FEWEST_CORPORA:
        return BalanceVerdict(
            kind=kind, measure=measure, budget=budget, corpora=corpora, left_out=left_out, verdict="not_enough_corpora"
        )
    line = meta_regression(
        np.array([c.log_ratio.value for c in corpora]),
        np.array([c.log_ratio.variance for c in corpora]),
        values,
        np.array([c.complexity.variance for c in corpora]),
    )
    half = line.half_width(LEVEL)
    return BalanceVerdict(
        kind=kind,
        measure=measure,
        budget=budget,
        corpora=corpora,
        left_out=left_out,
        verdict=_verdict(line),
        slope=Estimate(value=STEP * line.slope, low=STEP * (line.slope - half), high=STEP * (line.slope + half)),
        smallest_detectable=STEP * line.smallest_detectable(LEVEL),
        smallest_with_one_more=STEP * line.smallest_detectable(LEVEL, freedom=line.freedom + 1),
        scatter=line.scatter,
        p_slope=line.p_slope,
        p_equal=line.p_equal,
    )


def _verdict(line: MetaRegression) -> Verdict:
    if line.p_slope < 1 - LEVEL:
        return "moves"
    return "differs" if line.p_equal < 1 - LEVEL else "not_identified"


def _verdict_sentence(verdict: BalanceVerdict) -> str:
    among = f"Among the {len(verdict.corpora)} {verdict.kind} corpora, at {verdict.budget:.1e} FLOPs,"
    harder = "harder-to-compress corpora" if verdict.measure in COMPRESSORS else f"corpora of higher {verdict.measure}"
    if verdict.slope is None:
        known = len(verdict.corpora)
        return (
            f"Whether the compute-optimal balance of {verdict.kind} corpora moves with {_unit(verdict.measure)}, at "
            f"{verdict.budget:.1e} FLOPs, cannot be judged: it takes {FEWEST_CORPORA} corpora of different "
            f"{_unit(verdict.measure)} with an identified balance, and there are {known}."
        )
    slope, probability = verdict.slope, _probability(verdict.p_slope)
    factor = slope_in_words(slope, verdict.measure)
    if verdict.verdict == "moves":
        more = "more" if slope.value > 0 else "fewer"
        return f"{among} {harder} ask for {more} tokens per parameter: {factor} ({probability})."
    if verdict.verdict == "differs":
        return (
            f"{among} the balances differ by more than run noise ({_probability(verdict.p_equal)}), but that they "
            f"follow {_unit(verdict.measure)} is not shown: tokens per parameter change {factor} ({probability})."
        )
    return (
        f"{among} no movement is identified: that {harder} ask for another balance is not shown, tokens per parameter "
        f"change {factor} ({probability}), and no change fits these runs as well."
    )


def _limits_sentence(verdict: BalanceVerdict) -> str:
    parts = []
    if verdict.smallest_detectable is not None and verdict.smallest_with_one_more is not None:
        parts.append(
            "The smallest movement that this design would show four times in five is "
            f"{_times(verdict.smallest_detectable)} per {STEP} of {_unit(verdict.measure)}"
        )
        if len(verdict.corpora) == FEWEST_CORPORA:
            parts[-1] += (
                ": three corpora leave one degree of freedom to tell a movement from scatter between corpora, and "
                "that, not run noise, sets the width; one corpus more would bring it to "
                f"{_times(verdict.smallest_with_one_more)}"
            )
    else:
        parts.append("Train more corpora, with different values of the measure, on the same grid")
    outside = [c.corpus for c in verdict.corpora if c.extrapolation > 1]
    if outside:
        lie = "The optimum of {} lies" if len(outside) == 1 else "The optima of {} lie"
        parts.append(f"{lie.format(', '.join(outside))} outside the trained sizes or token counts")
    if verdict.left_out:
        parts.append(f"Left out, having no optimum: {', '.join(verdict.left_out)}")
    return ". ".join(parts) + "."


def slope_in_words(slope: Estimate, measure: str) -> str:
    """Return the factor on tokens per parameter for a step of `measure` that a slope of ln(D*/N*) stands for."""
    return f"{_times(slope.value)} {_interval(slope)} per {STEP:g} of {_unit(measure)}"


def _unit(measure: str) -> str:
    return f"{measure} ratio" if measure in COMPRESSORS else measure


def _times(log_ratio: float) -> str:
    if abs(log_ratio) > MOST_TOLD:
        return "more than ×1000" if log_ratio > 0 else "less than ×1/1000"
    return f"×{np.exp(log_ratio):.3g}"


def _factor(log_ratio: float) -> str:
    """Return a ratio as text; beyond a thousand, its digits would pretend to a knowledge that is not there."""
    if abs(log_ratio) > MOST_TOLD:
        return ">1000" if log_ratio > 0 else "<1/1000"
    return f"{np.exp(log_ratio):.3g}"


def _interval(slope: Estimate) -> str:
    return "" if slope.low is None or slope.high is None else f"[{_factor(slope.low)}, {_factor(slope.high)}]"


def _probability(p: float | None) -> str:
    return "" if p is None else f"p = {p:.2g}" if p >= 1e-3 else "p < 0.001"
