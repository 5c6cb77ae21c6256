"""The claims of the gzip paper (Pandey 2024) and its open questions, each with the number that judges it here."""

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from answer import verdicts
from answer.between import holm
from answer.estimates import SIX_ND_BUDGETS, Balance, Pair, mean_with_interval
from answer.judged import (
    FEWEST,
    NOT_SHOWN,
    OPEN,
    SIGNIFICANT,
    Judged,
    direction,
    direction_of,
    interval,
    too_few,
)
from answer.words import probability
from isoloss.core.numbers import fixed, listed
from isoloss.data_dependence.coefficient_lines import frontier_log_tokens, regress_coefficients

if TYPE_CHECKING:
    from answer.page import Found

# Of its six main settings, in its notation (nonterminals, terminals, rules, right-hand side): the ratios that it gives.
MAIN = {
    "3-20-2-2": 0.11, "10-150-5-3": 0.22, "20-300-10-5": 0.35, "30-400-10-8": 0.42, "50-500-20-15": 0.51,
    "100-2000-100-30": 0.61,
}  # fmt: skip
ISO_VOCABULARY = ("3-300-2-2", "10-300-5-3", "20-300-10-5", "50-300-20-10")
ISO_GZIP = ("10-500-5-10", "20-300-10-5", "30-200-15-20", "50-100-30-15")
CODE = ("html", "c", "python")  # of its real sets, in the order of their gzip ratios: .35, .37, .41
CROSSING = 0.23, 0.45  # of gzip: where it has its exponent cross Chinchilla's
CHINCHILLA_A = 0.367 / (0.348 + 0.367)  # of N* ∝ C^a: α and β of Chinchilla's runs by Besiroglu et al. 2024
SAME_SPLIT = 0.1  # in ln(D*/N*): what the texts' own errors come to, about
COMPRESSORS = ("gzip-bytes", "zstd-bytes-blocks", "ppmd-bytes-blocks")


def coefficients(found: "Found") -> Judged:
    """Return whether E, A, B, α and β of Chinchilla's law lie on lines of the gzip ratio."""
    laws = [law for law in found.laws["chinchilla"].values() if law.group in {one.corpus for one in found.texts}]
    if len(laws) < FEWEST:
        return too_few(found.texts, "texts")
    ratios = found.readings.measure("gzip", [law.group for law in laws])
    lines = regress_coefficients(laws, {law.group: float(x) for law, x in zip(laws, ratios, strict=True)})
    raised = holm(np.array([line.p for line in lines.values()]))
    shown = [name for name, p in zip(lines, raised, strict=True) if p < SIGNIFICANT]
    said = ", ".join(
        f"{_greek(name)} {fixed(line.r, 2)} (p = {p:.2g})"
        for (name, line), p in zip(lines.items(), raised, strict=True)
    )
    verdict = (
        "shown" if len(shown) == len(lines) else f"only for {listed([*map(_greek, shown)])}" if shown else NOT_SHOWN
    )
    return verdict, f"r with gzip over {len(laws)} texts, p corrected for {len(lines)}: {said}"


def crossing(found: "Found") -> Judged:
    """Return whether the exponent a of N* ∝ C^a falls with gzip and crosses Chinchilla's where the paper says."""
    laws = found.laws["chinchilla"]
    names = [one.corpus for one in found.texts if one.corpus in laws]
    if len(names) < FEWEST:
        return too_few(found.texts, "texts")
    ratios = found.readings.measure("gzip", names)
    values = np.array([laws[name].params["beta"].value for name in names])
    exponents = values / (values + np.array([laws[name].params["alpha"].value for name in names]))
    line = stats.linregress(ratios, exponents)
    low, high = CROSSING
    number = (
        f"a of Chinchilla's law by text: r with gzip = {fixed(line.rvalue, 2)} (p = {line.pvalue:.2g}), mean "
        f"{exponents.mean():.2f}, Chinchilla's {CHINCHILLA_A:.2f}; gzip of these texts {ratios.min():.2f} to "
        f"{ratios.max():.2f}, in the paper's range {((low < ratios) & (ratios < high)).sum()} of {len(names)}"
    )
    if line.pvalue >= SIGNIFICANT or line.slope > 0:
        return "not shown: no line that could cross", number
    at = (CHINCHILLA_A - line.intercept) / line.slope
    return ("shown" if low < at < high else "not here"), f"{number}; the line crosses at {at:.2f}"


def gzip_of_settings(found: "Found") -> Judged:
    """Return whether gzip rises along the paper's six settings, and whether it follows the exact entropy."""
    ratios, _ = _of_settings(found)
    if len(ratios) < FEWEST:
        return OPEN, f"{len(ratios)} of {len(MAIN)} settings"
    values = list(ratios.values())
    finished = list(found.floors)
    gzip = found.readings.measure("gzip", finished)
    known = np.isfinite(gzip)
    r = stats.pearsonr(gzip[known], np.array([*found.floors.values()])[known])
    here, there = (", ".join(f"{one:.2f}" for one in column) for column in (values, [MAIN[name] for name in ratios]))
    number = (
        f"here {here}, there {there}; r of gzip with the exact entropy of {known.sum()} grammars = "
        f"{fixed(r.statistic, 2)} (p = {r.pvalue:.2g})"
    )
    rises = "it rises" if values == sorted(values) else "it does not rise"
    follows = "follows" if r.pvalue < SIGNIFICANT and r.statistic > 0 else "does not follow"
    return f"{rises}, and {follows} exact entropy", number


def real_code(found: "Found") -> Judged:
    """Return whether HTML, C and Python ask for more data in this order."""
    by_name = {one.corpus: one for one in found.texts}
    if not all(name in by_name for name in CODE):
        return too_few([by_name[name] for name in CODE if name in by_name], "of the three")
    three = [by_name[name] for name in CODE]
    number = ", ".join(
        f"{one.corpus} {one.tokens_per_param.value:.0f} (gzip {found.readings.measures[one.corpus]['gzip']:.2f})"
        for one in three
    )
    z = [_apart(first, second) for first, second in pairwise(three)]
    rises = all(one > 0 for one in z)
    verdict = ("shown" if all(one > stats.norm.ppf(1 - SIGNIFICANT / 2) for one in z)
               else "the order is as said, not every step is shown" if rises else NOT_SHOWN)  # fmt: skip
    steps = " and ".join(f"{one:.1f}" for one in z)
    return verdict, f"tokens per parameter {number}; steps of {steps} standard errors"


def lowest_perplexity(found: "Found") -> Judged:
    """Return whether the two settings that gzip compresses least have the lowest exact entropy."""
    ratios, floors = _of_settings(found)
    if len(ratios) < len(MAIN):
        return OPEN, f"{len(ratios)} of {len(MAIN)} settings"
    least = sorted(ratios, key=ratios.__getitem__)[-2:]
    others = [floor for name, floor in floors.items() if name not in least]
    two = " and ".join(f"{floors[name]:.2f}" for name in least)
    number = f"exact entropy of the two {two} nats per token, of the others {min(others):.2f} to {max(others):.2f}"
    lowest = max(floors[name] for name in least) < min(others)
    return ("answered: their exact entropy is the lowest" if lowest else "not explained by exact entropy"), number


def closed_form(found: "Found") -> Judged:
    """Return how far the closed form of Chinchilla's frontier is from the best split, at 6 · N · D."""
    laws = found.laws["chinchilla"]
    six = [one for one in found.counted["6ND"] if one.corpus in laws]
    if len(six) < FEWEST:
        return too_few(six, "texts")
    off = np.array([closed_log_ratio(laws[one.corpus].values) - one.theta.value for one in six])
    rmse, sd = float(np.sqrt(np.mean(off**2))), float(np.median([one.sd for one in six]))
    worst = six[int(np.abs(off).argmax())].corpus
    number = (
        f"closed form minus θ at 6·N·D: {fixed(float(off.mean()), 2)} on average, r.m.s. {rmse:.2f}, "
        f"most {np.abs(off).max():.2f} ({worst}); median s.d. of θ {sd:.2f}"
    )
    return f"exact for its law, which is {'close to' if rmse <= SAME_SPLIT else 'far from'} the best split", number


def closed_log_ratio(values: np.ndarray) -> float:
    """Return the mean ln(D/N) over the budgets in 6 · N · D where the closed form of the frontier meets them."""
    level = float(frontier_log_tokens(values, np.array(0.0)))
    slope = float(frontier_log_tokens(values, np.array(1.0))) - level
    log_product = np.log(np.array(SIX_ND_BUDGETS) / 6)
    log_params = (log_product - level) / (1 + slope)
    return float(np.mean(log_product - 2 * log_params))


def one_corpus(found: "Found") -> Judged:
    """Return whether the least compressible third of a corpus asks for more data than its most compressible one."""
    lowest, highest = (_by_source(found.pairs, ending) for ending in ("-tercile1", "-tercile3"))
    both = [name for name in lowest if name in highest]
    if len(both) < FEWEST:
        return OPEN, f"{len(both)} of {FEWEST} sources"
    change = mean_with_interval(np.array([highest[name].shift - lowest[name].shift for name in both]))
    ratios = [found.readings.measure("gzip", [pairs[name].corpus for name in both]) for pairs in (highest, lowest)]
    apart = float(np.mean(ratios[0] - ratios[1]))
    higher = f", gzip ratio {fixed(apart, 2)} higher" if math.isfinite(apart) else ""
    number = f"least less most compressible third {interval(change)} in ln(D*/N*), {len(both)} sources{higher}"
    return direction_of(change), number


def comments_and_names(found: "Found") -> Judged:
    """Return what the balance does without comments, and without comments and names."""
    verdicts_of, numbers = [], []
    for ending, title in (("-comments", "comments"), ("-names", "comments and names")):
        pairs = found.pairs.get(ending, [])
        if len(pairs) < 2:
            return OPEN, f"{len(pairs)} sources"
        change = mean_with_interval(np.array([pair.shift for pair in pairs]))
        word = {"shown": "more data", NOT_SHOWN: "no change shown"}.get(direction_of(change), "less data")
        verdicts_of.append(f"without {title}: {word}")
        numbers.append(f"without {title} {interval(change)} in ln(D*/N*), {len(pairs)} sources")
    return "; ".join(verdicts_of), "; ".join(numbers)


def natural_language(found: "Found") -> Judged:
    """Return the slopes of θ over the texts of prose alone."""
    prose = [one for one in found.texts if found.kinds.get(one.corpus) == "prose"]
    measures = {"gzip": ("0.1 of gzip", 0.1), verdicts.CONFIRMATORY: ("nat of n-gram entropy", 1.0)}
    slopes = {name: slope for name in measures if (slope := found.slope(name, prose)) is not None}
    if len(slopes) < len(measures):
        return too_few(prose, "texts of prose")
    numbers = [
        f"{interval(slopes[name].slope, scale=scale)} per {title} ({probability(slopes[name].p)})"
        for name, (title, scale) in measures.items()
    ]
    number = f"{len(prose)} texts of prose, in bytes: slope {', '.join(numbers)}"
    return direction(slopes["gzip"].slope.value, slopes["gzip"].p), number


def other_compressors(found: "Found") -> Judged:
    """Return which other compressors show what gzip does not."""
    raised = {name: found.corrected[name] for name in COMPRESSORS if name in found.corrected}
    if not raised:
        return too_few(found.texts, "texts")
    shown = [name for name, p in raised.items() if p < SIGNIFICANT]
    number = "corrected p: " + ", ".join(f"{name} {p:.2g}" for name, p in raised.items())
    return (f"shown for {listed(shown)}" if shown else NOT_SHOWN), number


def models_of_its_size(found: "Found") -> Judged:
    """Say that models of the paper's sizes, with its tokenizer, were not trained."""
    most = max(int(row["params"]) for row in found.readings.rows)
    return "not tested here", f"its models have 4·10⁶ to 1.4·10⁹ parameters and subwords; the largest here {most:,}"


def _of_settings(found: "Found") -> tuple[dict[str, float], dict[str, float]]:
    """Return the mean gzip ratio and exact entropy of each main setting whose grammars are finished."""
    ratios, floors = {}, {}
    for setting in MAIN:
        names = [name for name in found.floors if _setting(name) == setting]
        gzip = found.readings.measure("gzip", names)
        if names and np.isfinite(gzip).all():
            ratios[setting] = float(gzip.mean())
            floors[setting] = float(np.mean([found.floors[name] for name in names]))
    return ratios, floors


def _setting(name: str) -> str:
    """Return the setting of a grammar: of `pcfg-3-20-2-2-a`, 3-20-2-2."""
    return name.removeprefix("pcfg-").rsplit("-", 1)[0]


def settings(found: "Found") -> dict[str, tuple[int, int, int]]:
    """Return of the paper's three sets how many settings there are, are trained, and have a best split."""
    trained = {_setting(name) for name in found.floors}
    split = {_setting(one.corpus) for one in found.grammars if one.known}
    groups = {"main": tuple(MAIN), "iso-vocabulary": ISO_VOCABULARY, "iso-gzip": ISO_GZIP}
    return {title: (len(own), len(trained & set(own)), len(split & set(own))) for title, own in groups.items()}


def _apart(first: Balance, second: Balance) -> float:
    return (second.theta.value - first.theta.value) / math.hypot(first.sd, second.sd)


def _by_source(pairs: Mapping[str, list[Pair]], ending: str) -> dict[str, Pair]:
    return {pair.source: pair for pair in pairs.get(ending, [])}


def _greek(name: str) -> str:
    return {"alpha": "α", "beta": "β"}.get(name, name)
