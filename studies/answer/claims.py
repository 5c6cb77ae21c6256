"""The claims of the plan, each with the number that judges it and what follows from it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from answer import gzip_paper, verdicts
from answer.estimates import mean_with_interval
from answer.judged import FEWEST, OPEN, SIGNIFICANT, Judged, direction, interval, too_few
from answer.words import probability
from isoloss.core.numbers import fixed

if TYPE_CHECKING:
    from answer.page import Found

ORDER = 10.0
SAME = 0.25  # ln of a factor of 1.28: a difference whose interval lies within it is none that matters
RULE = 20.0  # tokens per parameter


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A claim, where it is from, its verdict and the number that it rests on."""

    claim: str
    source: str
    verdict: str
    number: str


PAPER = "Pandey 2024"
QUESTIONS = "Pandey's open questions"


def claims(found: "Found") -> list[Claim]:
    """Return every claim of the plan with its verdict; `not finished` where its runs are not there."""
    return _judged(found, [
        ("harder-to-compress data ask for more data per parameter", PAPER, _gzip),
        ("tokens per parameter vary by orders of magnitude with data", "the field", _orders),
        ("code is more data-hungry than text", "arXiv:2510.08702", _code),
        ("the exponent of data is γ/2β", "arXiv:2602.07488", _exponent),
        ("bytes per parameter stay constant under tokenisers", "arXiv:2605.01188", _tokenisers),
        ("a grammar's rule distribution moves details, not exponents", "arXiv:2505.07067", _replicates),
        ("learnability is the area under the loss curve", QUESTIONS, _area),
        ("code models are under-parameterised", QUESTIONS, _under),
    ])  # fmt: skip


def more_claims(found: "Found") -> list[Claim]:
    """Return the gzip paper's other claims and open questions with their verdicts: none of them is in the plan."""
    return _judged(found, [
        ("E, A, B, α and β are linear in the gzip ratio", PAPER, gzip_paper.coefficients),
        ("the share of parameters falls with gzip and crosses Chinchilla's at .23 to .45", PAPER, gzip_paper.crossing),
        ("gzip rises along its six grammar settings", PAPER, gzip_paper.gzip_of_settings),
        ("HTML, C and Python ask for more data in this order, by its law", PAPER, gzip_paper.real_code),
        ("the same at its sizes of model and with its tokenizer", PAPER, gzip_paper.models_of_its_size),
        ("why the two least compressible sets end with the lowest perplexity", QUESTIONS, gzip_paper.lowest_perplexity),
        ("a closed-form frontier, ln D = [ln(βB/αA) + α ln N]/β", QUESTIONS, gzip_paper.closed_form),
        ("parts of one corpus: those harder to compress ask for more data", QUESTIONS, gzip_paper.one_corpus),
        ("removing comments and names", QUESTIONS, gzip_paper.comments_and_names),
        ("a replication on natural language", QUESTIONS, gzip_paper.natural_language),
        ("other compressors", QUESTIONS, gzip_paper.other_compressors),
    ])  # fmt: skip


def _judged(found: "Found", asked: list[tuple[str, str, Callable[["Found"], Judged]]]) -> list[Claim]:
    return [
        Claim(claim=claim, source=source, verdict=verdict, number=number)
        for claim, source, (verdict, number) in ((c, s, judge(found)) for c, s, judge in asked)
    ]


def _gzip(found: "Found") -> Judged:
    slope = found.slope("gzip", found.texts)
    if slope is None:
        return too_few(found.texts, "texts")
    raised = found.corrected["gzip"]
    per_tenth = f"texts: slope {interval(slope.slope, scale=0.1)} per 0.1 of gzip ratio, corrected p = {raised:.2g}"
    grammars = found.slope("gzip", [one for one in found.grammars if one.known])
    if grammars is not None:
        per_tenth += f"; grammars: {interval(grammars.slope, scale=0.1)}, {probability(grammars.p)}"
    return direction(slope.slope.value, raised), per_tenth


def _orders(found: "Found") -> Judged:
    if len(found.texts) < FEWEST:
        return too_few(found.texts, "texts")
    ordered = sorted(found.texts, key=lambda one: one.theta.value)
    ratio = math.exp(ordered[-1].theta.value - ordered[0].theta.value)
    ends = " to ".join(f"{one.tokens_per_param.value:.0f} ({one.corpus})" for one in (ordered[0], ordered[-1]))
    number = f"a factor of {ratio:.2g}: {ends}"
    by_form = {form: max(ranges) for form, ranges in verdicts.form_ranges(found.texts).items()}
    if by_form:
        order = sorted(by_form, key=by_form.__getitem__)
        least, widest = (f"{by_form[form]:.2g} ({form})" for form in (order[0], order[-1]))
        number += f"; by one form alone, at one budget, {least} to {widest} at most"
    return ("shown" if ratio >= ORDER else "not here"), number


def _code(found: "Found") -> Judged:
    kept = [one for one in found.texts if found.kinds.get(one.corpus) in ("code", "prose")]
    slope = verdicts.difference(kept, [found.kinds[one.corpus] == "code" for one in kept])
    if slope is None:
        return too_few(kept, "texts of code and prose")
    number = f"code minus prose {interval(slope.slope)} in ln(D*/N*), p = {slope.p:.2g}, {slope.texts} texts"
    return direction(slope.slope.value, slope.p), number


def _exponent(found: "Found") -> Judged:
    parts, shown = [], []
    for form, laws in found.laws.items():
        names = [one.corpus for one in found.texts if one.corpus in laws]
        beta = np.array([laws[name].params["beta"].value for name in names])
        predicted = found.readings.measure("alpha_d", names)
        known = np.isfinite(predicted)
        if known.sum() < FEWEST:
            return too_few(found.texts, "texts")
        together = stats.pearsonr(predicted[known], beta[known])
        off = float(np.sqrt(np.mean((beta - predicted)[known] ** 2)))
        spread = float(beta[known].std(ddof=1))
        parts.append(f"{form}: r = {fixed(together.statistic, 2)} (p = {together.pvalue:.2g}), r.m.s. error {off:.2f}, "
                     f"s.d. of β {spread:.2f}")  # fmt: skip
        shown.append(together.pvalue < SIGNIFICANT and together.statistic > 0 and off < spread)
    return ("shown" if all(shown) else "not shown"), "; ".join(parts)


def _tokenisers(found: "Found") -> Judged:
    pairs = found.pairs.get("-bpe", [])
    if len(pairs) < FEWEST:
        return OPEN, f"{len(pairs)} of {FEWEST} sources"
    per_token = [math.log(float(found.readings.corpora[pair.corpus]["bytes_per_token"])) for pair in pairs]
    moved = np.array([pair.shift for pair in pairs]) + np.array(per_token)
    change = mean_with_interval(moved)
    assert change.low is not None
    assert change.high is not None
    number = f"ln(bytes/N) with BPE minus with bytes {interval(change)}"
    if change.low > 0 or change.high < 0:
        return "not here", number
    return ("shown" if change.low > -SAME and change.high < SAME else "undecided"), number


def _replicates(found: "Found") -> Judged:
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


def _area(found: "Found") -> Judged:
    laws = found.laws["coupled"]
    names = [one.corpus for one in found.texts if one.corpus in laws]
    if len(names) < FEWEST:
        return too_few(found.texts, "texts")
    area = verdicts.areas(found.readings, names)
    theta = np.array([one.theta.value for one in found.texts if one.corpus in laws])
    floor = np.array([laws[name].params["E"].value for name in names])
    with_theta = stats.pearsonr(area, theta)
    number = f"area and θ: r = {fixed(with_theta.statistic, 2)} (p = {with_theta.pvalue:.2g}); area and E: "
    if np.ptp(floor) > 0:
        with_floor = stats.pearsonr(area, floor)
        number += f"r = {fixed(with_floor.statistic, 2)} (p = {with_floor.pvalue:.2g})"
    else:
        number += f"none, E is {floor[0]:.2g} for every text"
    return ("shown for θ" if with_theta.pvalue < SIGNIFICANT else "not shown for θ"), number


def _under(found: "Found") -> Judged:
    code = [one for one in found.texts if found.kinds.get(one.corpus) == "code"]
    mean = verdicts.mean_theta(code)
    if mean is None:
        return too_few(code, "texts of code")
    assert mean.low is not None
    assert mean.high is not None
    best, low, high = (math.exp(end) for end in (mean.value, mean.low, mean.high))
    number = f"{best:.0f} tokens per parameter [{low:.0f}, {high:.0f}] on code at these sizes; the rule says {RULE:.0f}"
    if low > RULE:
        return "not here: 20 is too few tokens, so models would be too large", number
    return ("shown: 20 is too many tokens" if high < RULE else "undecided"), number
