"""The claims of the plan, each with the number that judges it and what follows from it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from answer import verdicts
from answer.estimates import Balance, mean_with_interval
from answer.words import probability, value
from isoloss.core.numbers import fixed

if TYPE_CHECKING:
    from answer.page import Found

OPEN = "not finished"
SIGNIFICANT = 0.05
ORDER = 10.0
FEWEST = 4
SAME = 0.25  # ln of a factor of 1.28: a difference whose interval lies within it is none that matters
RULE = 20.0  # tokens per parameter


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A claim, where it is from, its verdict and the number that it rests on."""

    claim: str
    source: str
    verdict: str
    number: str


def claims(found: "Found") -> list[Claim]:
    """Return every claim of the plan with its verdict; `not finished` where its runs are not there."""
    judged: list[tuple[str, str, Callable[[Found], tuple[str, str]]]] = [
        ("harder-to-compress data ask for more data per parameter", "Pandey 2024", _gzip),
        ("tokens per parameter vary by orders of magnitude with data", "the field", _orders),
        ("code is more data-hungry than text", "arXiv:2510.08702", _code),
        ("the exponent of data is γ/2β", "arXiv:2602.07488", _exponent),
        ("bytes per parameter stay constant under tokenisers", "arXiv:2605.01188", _tokenisers),
        ("a grammar's rule distribution moves details, not exponents", "arXiv:2505.07067", _replicates),
        ("learnability is the area under the loss curve", "Pandey's open questions", _area),
        ("code models are under-parameterised", "Pandey's open questions", _under),
    ]
    return [
        Claim(claim=claim, source=source, verdict=verdict, number=number)
        for claim, source, (verdict, number) in ((c, s, judge(found)) for c, s, judge in judged)
    ]


def _gzip(found: "Found") -> tuple[str, str]:
    slope = found.slope("gzip", found.texts)
    if slope is None:
        return _open(found.texts, "texts")
    raised = next(one.p_corrected for one in found.secondary if one.measure == "gzip")
    assert raised is not None
    per_tenth = f"texts: slope {_interval(slope.slope, scale=0.1)} per 0.1 of gzip ratio, corrected p = {raised:.2g}"
    grammars = found.slope("gzip", [one for one in found.grammars if one.known])
    if grammars is not None:
        per_tenth += f"; grammars: {_interval(grammars.slope, scale=0.1)}, {probability(grammars.p)}"
    if raised >= SIGNIFICANT:
        return "not shown", per_tenth
    return ("shown" if slope.slope.value > 0 else "the opposite is shown"), per_tenth


def _orders(found: "Found") -> tuple[str, str]:
    if len(found.texts) < FEWEST:
        return _open(found.texts, "texts")
    ordered = sorted(found.texts, key=lambda one: one.theta.value)
    ratio = math.exp(ordered[-1].theta.value - ordered[0].theta.value)
    ends = " to ".join(f"{one.tokens_per_param.value:.0f} ({one.corpus})" for one in (ordered[0], ordered[-1]))
    return ("shown" if ratio >= ORDER else "not here"), f"a factor of {ratio:.2g}: {ends}"


def _code(found: "Found") -> tuple[str, str]:
    kept = [one for one in found.texts if found.kinds.get(one.corpus) in ("code", "prose")]
    slope = verdicts.difference(kept, [found.kinds[one.corpus] == "code" for one in kept])
    if slope is None:
        return _open(kept, "texts of code and prose")
    number = f"code minus prose {_interval(slope.slope)} in ln(D*/N*), p = {slope.p:.2g}, {slope.texts} texts"
    if slope.p >= SIGNIFICANT:
        return "not shown", number
    return ("shown" if slope.slope.value > 0 else "the opposite is shown"), number


def _exponent(found: "Found") -> tuple[str, str]:
    parts, shown = [], []
    for form, laws in found.laws.items():
        names = [one.corpus for one in found.texts if one.corpus in laws]
        beta = np.array([laws[name].params["beta"].value for name in names])
        predicted = found.readings.measure("alpha_d", names)
        known = np.isfinite(predicted)
        if known.sum() < FEWEST:
            return _open(found.texts, "texts")
        together = stats.pearsonr(predicted[known], beta[known])
        off = float(np.sqrt(np.mean((beta - predicted)[known] ** 2)))
        spread = float(beta[known].std(ddof=1))
        parts.append(f"{form}: r = {fixed(together.statistic, 2)} (p = {together.pvalue:.2g}), r.m.s. error {off:.2f}, "
                     f"s.d. of β {spread:.2f}")  # fmt: skip
        shown.append(together.pvalue < SIGNIFICANT and together.statistic > 0 and off < spread)
    return ("shown" if all(shown) else "not shown"), "; ".join(parts)


def _tokenisers(found: "Found") -> tuple[str, str]:
    pairs = found.pairs.get("-bpe", [])
    if len(pairs) < FEWEST:
        return OPEN, f"{len(pairs)} of {FEWEST} sources"
    per_token = [math.log(float(found.readings.corpora[pair.corpus]["bytes_per_token"])) for pair in pairs]
    moved = np.array([pair.shift for pair in pairs]) + np.array(per_token)
    change = mean_with_interval(moved)
    assert change.low is not None
    assert change.high is not None
    number = f"ln(bytes/N) with BPE minus with bytes {_interval(change)}"
    if change.low > 0 or change.high < 0:
        return "not here", number
    return ("shown" if change.low > -SAME and change.high < SAME else "undecided"), number


def _replicates(found: "Found") -> tuple[str, str]:
    laws = found.laws["chinchilla"]
    settings: dict[str, list[float]] = {}
    for name in found.readings.finished(found.readings.generated):
        if name in laws and name.startswith("pcfg-"):
            own = laws[name].params
            settings.setdefault(name.rsplit("-", 1)[0], []).append(own["beta"].value)
    pairs = np.array([both for both in settings.values() if len(both) == 2])
    if len(pairs) < FEWEST:
        return OPEN, f"{len(pairs)} of {FEWEST} settings with two grammars"
    within = float(np.sqrt(np.mean((pairs[:, 0] - pairs[:, 1]) ** 2) / 2))
    between = float(np.sqrt(max(pairs.mean(axis=1).var(ddof=1) - within**2 / 2, 0.0)))
    ratio = within / between if between else math.inf
    number = f"s.d. of β within a setting {within:.2f}, between settings {between:.2f}"
    return ("shown" if ratio < 0.5 else "not shown"), number


def _area(found: "Found") -> tuple[str, str]:
    laws = found.laws["coupled"]
    names = [one.corpus for one in found.texts if one.corpus in laws]
    if len(names) < FEWEST:
        return _open(found.texts, "texts")
    area = verdicts.areas(found.readings, names)
    theta = np.array([one.theta.value for one in found.texts if one.corpus in laws])
    floor = np.array([laws[name].params["E"].value for name in names])
    with_theta, with_floor = stats.pearsonr(area, theta), stats.pearsonr(area, floor)
    number = (f"area and θ: r = {fixed(with_theta.statistic, 2)} (p = {with_theta.pvalue:.2g}); area and E: r = "
              f"{fixed(with_floor.statistic, 2)} (p = {with_floor.pvalue:.2g})")  # fmt: skip
    return ("shown for θ" if with_theta.pvalue < SIGNIFICANT else "not shown for θ"), number


def _under(found: "Found") -> tuple[str, str]:
    code = [one for one in found.texts if found.kinds.get(one.corpus) == "code"]
    mean = verdicts.mean_theta(code)
    if mean is None:
        return _open(code, "texts of code")
    assert mean.low is not None
    assert mean.high is not None
    best, low, high = (math.exp(end) for end in (mean.value, mean.low, mean.high))
    number = f"{best:.0f} tokens per parameter [{low:.0f}, {high:.0f}] on code at these sizes; the rule says {RULE:.0f}"
    if low > RULE:
        return "not here: 20 is too few tokens, so models would be too large", number
    return ("shown: 20 is too many tokens" if high < RULE else "undecided"), number


def _open(balances: Sequence[Balance], what: str) -> tuple[str, str]:
    return OPEN, f"{len(balances)} {what} have a best split, {FEWEST} or more needed"


def _interval(estimate: verdicts.Estimate, *, scale: float = 1.0) -> str:
    return value(estimate.scaled(scale))
