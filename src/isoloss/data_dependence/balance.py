"""Do the compute-optimal tokens per parameter move with compressibility?

Each corpus gives the mean of ln(D*/N*) over the same budgets, from several forms of the loss, with its error
(`isoloss.optima.mean_split`). A line through the corpora allows them to differ for reasons other than the measure.
"Moves" is said only where the line's interval excludes no movement. No number is given for a slope that is not shown.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from isoloss.core.errors import InputError
from isoloss.core.estimate import LEVEL, Estimate
from isoloss.core.numbers import listed, power_of_ten
from isoloss.core.plain_json import fields_json
from isoloss.data_dependence.meta import MetaRegression, meta_regression
from isoloss.fitting.fitted import FittedLaw
from isoloss.optima.mean_split import MeanSplit

Verdict = Literal["moves", "differs", "not_identified", "not_enough_corpora"]

STEP = 0.1  # slopes are given per this much of the measure
FEWEST_CORPORA = 3  # a line through two says nothing about what else moves balances
LARGEST_FACTOR = float(np.log(1000))
LEAST_USEFUL = float(np.log(10))  # a design that shows larger changes alone shows none that anybody expects
COMPRESSORS = ("gzip", "zstd", "xz", "bz2", "brotli", "ppmd")
ENTROPIES = {"ngram": "n-gram entropy"} | {
    name: f"{name} entropy" for name in ("unigram", "bigram", "trigram", "fourgram", "fivegram")
}


@dataclass(frozen=True, kw_only=True)
class CorpusBalance:
    """Mean ln(tokens/params) at the optima of one corpus, and its complexity."""

    corpus: str
    complexity: Estimate
    log_ratio: Estimate
    variance: float


@dataclass(frozen=True, kw_only=True)
class BalanceVerdict:
    """Whether the balance moves with a measure, among corpora of one `kind`: the mean over `budgets`, in FLOPs.

    `slope` is the change of ln(tokens/params) per 0.1 of the measure; `smallest_detectable` the change that the design
    shows four times in five; `scatter` the standard deviation of balances around the line beyond run noise, `prior` the
    scale of its prior, if it has one; `left_out` says why corpora have no part. Numbers are None where there are too
    few corpora.
    """

    kind: str
    measure: str
    budgets: tuple[float, ...]
    corpora: tuple[CorpusBalance, ...]
    left_out: Mapping[str, str]
    verdict: Verdict
    prior: float | None = None
    slope: Estimate | None = None
    smallest_detectable: float | None = None
    smallest_with_one_more: float | None = None
    scatter: float | None = None
    p_slope: float | None = None
    p_equal: float | None = None

    @property
    def budget(self) -> float:
        """The middle one of the budgets, in FLOPs."""
        return self.budgets[len(self.budgets) // 2]

    def sentences(self) -> tuple[str, str]:
        """Return the verdict and what limits it, in plain English."""
        return _verdict_sentence(self), _limits_sentence(self)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        corpora = [
            # Every budget lies inside the runs, or the corpus has no part.
            fields_json(one, without=("variance",)) | {"extrapolation": 1.0}
            for one in self.corpora
        ]
        return fields_json(self, without=("corpora", "left_out", "smallest_with_one_more")) | {
            "budget": self.budget,
            "corpora": corpora,
            "left_out": list(self.left_out),
            "left_out_reasons": dict(self.left_out),
            "sentences": list(self.sentences()),
        }


def common_budget(laws: Sequence[FittedLaw]) -> float:
    """Return the geometric middle of the FLOPs that every law's rows span.

    Raises InputError where no law is given, or where the ranges do not overlap.
    """
    if not laws:
        raise InputError("no fitted laws to compare", fix="fit at least one corpus")
    lows, highs = zip(*(law.domain.span("flops") for law in laws), strict=True)
    low, high = max(lows), min(highs)
    if low > high:
        raise InputError(
            f"the corpora's runs share no range of FLOPs (one begins at {low:.2g}, another ends at {high:.2g})",
            fix="train every corpus on one grid, or compare corpora whose grids overlap",
        )
    return float(np.sqrt(low * high))


def judge_balance(
    splits: Sequence[MeanSplit],
    complexity: Mapping[str, Estimate],
    *,
    kind: str,
    measure: str = "gzip",
    prior: float | None = None,
) -> BalanceVerdict:
    """Return whether ln(tokens/params) moves with a measure among corpora of one kind (real, or generated).

    `splits` are the mean best splits of the corpora, all over the same budgets; `complexity` maps each to its value;
    `prior` is the scale of a half-t prior of the scatter between corpora. Random-effects meta-regression: see
    `isoloss.data_dependence.meta`. Raises InputError for no corpus, or for one without complexity.
    """
    if not splits:
        raise InputError("no corpora to compare", fix="give the mean split of at least one corpus")
    corpora, left_out = _compared(splits, complexity)
    about: dict[str, Any] = {
        "kind": kind, "measure": measure, "budgets": tuple(one.flops for one in splits[0].budgets), "corpora": corpora,
        "left_out": left_out,
    }  # fmt: skip
    values = np.array([c.complexity.value for c in corpora])
    if len(corpora) < FEWEST_CORPORA or len(np.unique(values)) < FEWEST_CORPORA:
        return BalanceVerdict(**about, verdict="not_enough_corpora")
    line = meta_regression(
        np.array([c.log_ratio.value for c in corpora]),
        np.array([c.variance for c in corpora]),
        values,
        np.array([c.complexity.variance for c in corpora]),
        prior=prior,
    )
    return BalanceVerdict(
        **about,
        verdict=_verdict(line),
        prior=prior,
        slope=Estimate(value=STEP * line.slope, low=STEP * line.low, high=STEP * line.high),
        smallest_detectable=STEP * line.smallest_detectable(LEVEL),
        smallest_with_one_more=None
        if prior is not None
        else STEP * line.smallest_detectable(LEVEL, freedom=line.freedom + 1),
        scatter=line.scatter,
        p_slope=line.p_slope,
        p_equal=line.p_equal,
    )


def _compared(
    splits: Sequence[MeanSplit], complexity: Mapping[str, Estimate]
) -> tuple[tuple[CorpusBalance, ...], dict[str, str]]:
    """Return the balance of every corpus that has a mean split, and why the others have no part."""
    found: list[CorpusBalance] = []
    left_out: dict[str, str] = {}
    for split in splits:
        if split.corpus not in complexity:
            raise InputError(
                f"no complexity for corpus {split.corpus!r}", fix="measure every corpus that has a mean split"
            )
        if split.log_ratio is None or split.sd is None:
            left_out[split.corpus] = split.reason
            continue
        found.append(
            CorpusBalance(
                corpus=split.corpus, complexity=complexity[split.corpus], log_ratio=split.log_ratio,
                variance=split.sd**2,
            )
        )  # fmt: skip
    return tuple(found), left_out


def _verdict(line: MetaRegression) -> Verdict:
    if line.p_slope < 1 - LEVEL:
        return "moves"
    return "differs" if line.p_equal < 1 - LEVEL else "not_identified"


def _verdict_sentence(verdict: BalanceVerdict) -> str:
    measure, known = measure_in_words(verdict.measure), verdict.corpora
    if verdict.slope is None:
        return (
            f"Whether {verdict.kind} corpora of another {measure} need other tokens per parameter cannot be judged. "
            f"That takes {FEWEST_CORPORA} corpora of different {measure} with an optimum inside their runs; there "
            f"{'is' if len(known) == 1 else 'are'} {len(known)}."
        )
    among = f"The {len(known)} {verdict.kind} corpora need {_range(known)} tokens per parameter"
    if verdict.verdict == "moves":
        more = "more" if verdict.slope.value > 0 else "fewer"
        harder = "harder-to-compress corpora" if verdict.measure in COMPRESSORS else f"corpora of higher {measure}"
        factor = slope_in_words(verdict.slope, verdict.measure)
        return f"{among}: {harder} need {more}, {factor} ({_probability(verdict.p_slope)})."
    if verdict.verdict == "differs":
        return (
            f"{among}. They differ by more than run-to-run noise ({_probability(verdict.p_equal)}). The runs "
            f"do not show that the difference follows {measure} ({_probability(verdict.p_slope)})."
        )
    return (
        f"{among}. The runs show neither a difference beyond run-to-run noise ({_probability(verdict.p_equal)}) nor a "
        f"trend with {measure} ({_probability(verdict.p_slope)})."
    )


def _range(corpora: Sequence[CorpusBalance]) -> str:
    """Return the least and the greatest balance as tokens per parameter."""
    least, most = (np.exp(end(c.log_ratio.value for c in corpora)) for end in (min, max))
    low, high = f"{least:.2g}", f"{most:.2g}"
    return f"about {low}" if low == high else f"{low} to {high}"


def _limits_sentence(verdict: BalanceVerdict) -> str:
    parts = [f"These are means over budgets of {listed([power_of_ten(budget) for budget in verdict.budgets])} FLOPs"]
    if verdict.smallest_detectable is None:
        parts.append("Train more corpora, with different values of the measure, on the same grid")
    elif verdict.smallest_detectable > LEAST_USEFUL:
        parts.append(
            f"With such intervals {len(verdict.corpora)} corpora can show no change below a factor of ten per {STEP} "
            f"of {measure_in_words(verdict.measure)}"
        )
    else:
        parts.append(
            "Four studies in five like this one would show a change by "
            f"{_multiple(verdict.smallest_detectable)} per {STEP} of {measure_in_words(verdict.measure)}"
        )
        if verdict.prior is not None:
            parts.append(
                f"The scatter of corpora around a trend has a prior (half-t of scale {verdict.prior:g} in "
                "ln(tokens per parameter); [fit] scatter_prior sets it)"
            )
        elif len(verdict.corpora) == FEWEST_CORPORA and verdict.smallest_with_one_more is not None:
            parts[-1] += (
                ": three corpora leave one degree of freedom to tell a trend from scatter between corpora. One corpus "
                f"more would bring it to {_multiple(verdict.smallest_with_one_more)}"
            )
    parts += [f"{name} is left out: {reason}" for name, reason in verdict.left_out.items()]
    return ". ".join(parts) + "."


def slope_in_words(slope: Estimate, measure: str) -> str:
    """Return the factor on tokens per parameter for a step of `measure` that a slope of ln(D*/N*) stands for."""
    return f"{_multiple(slope.value)} {_interval(slope)} per {STEP:g} of {measure_in_words(measure)}"


def measure_in_words(measure: str) -> str:
    """Return a measure as sentences and axes name it: `gzip ratio`, `n-gram entropy`."""
    return f"{measure} ratio" if measure in COMPRESSORS else ENTROPIES.get(measure, measure)


def measured_as(measure: str) -> str:
    """Return what the number of a measure is, where it says so; empty for others."""
    return "compressed size / raw size" if measure in COMPRESSORS else "nats per token" if measure in ENTROPIES else ""


def _multiple(log_ratio: float) -> str:
    if abs(log_ratio) > LARGEST_FACTOR:
        return "more than ×1000" if log_ratio > 0 else "less than ×1/1000"
    return f"×{np.exp(log_ratio):.3g}"


def _factor(log_ratio: float) -> str:
    """Return a ratio as text; beyond a thousand, its digits would pretend to a knowledge that is not there."""
    if abs(log_ratio) > LARGEST_FACTOR:
        return ">1000" if log_ratio > 0 else "<1/1000"
    return f"{np.exp(log_ratio):.3g}"


def _interval(slope: Estimate) -> str:
    return "" if slope.low is None or slope.high is None else f"[{_factor(slope.low)}, {_factor(slope.high)}]"


def _probability(p: float | None) -> str:
    return "" if p is None else f"p = {p:.2g}" if p >= 1e-3 else "p < 0.001"
