"""Everything that docs/results/answer.md says, computed; the words around it stand in page.md.j2."""

import math
import statistics
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.figure import Figure
from scipy import stats

from answer import account, excess, figures, gzip_paper, left_out, verdicts
from answer.claims import Claim, claims, more_claims
from answer.estimates import (
    BPE_BUDGETS,
    BUDGETS,
    CHEAP_BUDGETS,
    DRAWS,
    FEW_DRAWS,
    SIX_ND_BUDGETS,
    Balance,
    Pair,
    balances,
    mean_with_interval,
    paired,
    per_compute,
    single,
    source_of,
)
from answer.excess import Excess
from answer.laws import FORMS, laws_of
from answer.pilots import WIDTH_AIM, Pilot, pilots
from answer.plans import MEAN_AIM, MOST_AIM, LeftOut, Unlike, left_out_plans, unlike_texts
from answer.readings import LATER, NEW, OLD, SERIES, TEXTS, Counting, Floats, Readings, as_observations, kinds, table
from answer.secondary import EVERY, Tested, family
from answer.verdicts import SealedLoss, Slope
from answer.words import begun, factor, measured_number, off, per_decade, percent, probability, value, with_ends
from isoloss.core.estimate import Estimate
from isoloss.core.numbers import fixed, power_of_ten, si
from isoloss.fitting.fitted import FittedLaw
from isoloss.optima.best_size import best_sizes
from isoloss.planning.shipped import LETTER_SPAN

FEWEST_LEFT_OUT = 6  # texts: fewer say nothing of one more
POINTS = {"small": (1.1e4, 9.6e5), "middle": (3e4, 1.41e6), "large": (1.0e5, 8.5e6)}  # of the first seal
BPE = "-bpe"
INTERVENTIONS = {
    "-noise15": "15 % of bytes random", "-noise05": "5 % of bytes random", "-lines": "lines shuffled",
    "-relabelled": "byte values permuted (placebo)", "-comments": "without comments",
    "-names": "without comments and names", "-tercile1": "most compressible third",
    "-tercile2": "middle third", "-tercile3": "least compressible third", BPE: "BPE, vocabulary 1,024",
}  # fmt: skip
WHY_LEFT_OUT = {
    "unconverged": "their loss is hardly below the entropy of single tokens, or still fell faster than 1/√D at the end",
    "saturated": "their loss is at its floor",
    "diverged": "their training diverged",
}
MEASURE_TITLES = {
    "zstd-bytes-blocks": "zstd on long blocks", "ppmd-bytes-blocks": "PPMd on long blocks",
    "gzip-bytes": "gzip on raw bytes",
    "unigram": "the entropy of single bytes", "alpha_d": "the predicted data exponent",
    "spectrum": "the suffix spectrum",
}  # fmt: skip
PLANNED_SOURCES = {"-noise15": 8, "-noise05": 8, "-lines": 8}  # by the plan; of the other interventions four
OTHER_SOURCES = 4
FLOOR = "floor"  # the exact entropy of a grammar's language
ALL = "all grammars"
FRONTIER_BUDGETS = tuple(float(f"{budget:.3g}") for budget in np.geomspace(6e10, 1e12, 5))


@dataclass(frozen=True, kw_only=True, eq=False)
class Found:
    """What the committed runs say. `texts` have a θ; `outside` are finished texts without one."""

    readings: Readings
    texts: list[Balance]
    outside: list[Balance]
    counted: Mapping[Counting, list[Balance]]
    pairs: Mapping[str, list[Pair]]
    grammars: list[Balance]
    cheap: list[Balance]
    laws: Mapping[str, Mapping[str, FittedLaw]]
    sealed_forms: Sequence[Mapping[str, str]]

    @cached_property
    def new(self) -> list[Balance]:
        """The new texts, which test."""
        return among(self.texts, NEW)

    @cached_property
    def old(self) -> list[Balance]:
        """The texts of before, which the hypothesis came from."""
        return among(self.texts, OLD)

    @cached_property
    def later(self) -> list[Balance]:
        """The texts added after the tests."""
        return among(self.texts, LATER)

    @cached_property
    def kinds(self) -> dict[str, str]:
        """What sort of text every corpus is."""
        return kinds()

    def slope(self, measure: str, of: Sequence[Balance]) -> Slope | None:
        """Return the slope of θ on a measure over texts."""
        return verdicts.slope_on(measure, of, self.values(measure, of))

    def values(self, measure: str, of: Sequence[Balance]) -> Any:
        """Return a measure of texts, or the loss of their cheapest run."""
        names = [one.corpus for one in of]
        if measure == verdicts.PROXY:
            return verdicts.proxies(self.readings, names)
        if measure == FLOOR:
            return np.array([self.floors[name] for name in names])
        return self.readings.measure(measure, names)

    def mean_change(self, measure: str, pairs: Sequence[Pair]) -> float | None:
        """Return how much an intervention adds to a measure on average; None where a corpus was not measured."""
        before = self.readings.measure(measure, [pair.source for pair in pairs])
        after = self.readings.measure(measure, [pair.corpus for pair in pairs])
        change = float(np.mean(after - before))
        return change if math.isfinite(change) else None

    @cached_property
    def secondary(self) -> list[Slope]:
        """The slopes on the seven measures, corrected for their number; none of fewer than four texts."""
        slopes = [self.slope(measure, self.texts) for measure in verdicts.SECONDARY]
        known = [one for one in slopes if one is not None]
        return verdicts.corrected(known) if known else []

    @cached_property
    def tested(self) -> list[Tested]:
        """All secondary tests, corrected together."""
        counted = {name: self.slope(verdicts.CONFIRMATORY, of) for name, of in self.counted.items()}
        proxy, every = (self.slope(name, self.texts) for name in (verdicts.PROXY, verdicts.CONFIRMATORY))
        return family(self.secondary, proxy, every, counted, self.texts)

    @cached_property
    def corrected(self) -> dict[str, float]:
        """p of every secondary test, corrected for all of them, by name."""
        return {one.title: one.of_all for one in self.tested}

    @cached_property
    def floors(self) -> dict[str, float]:
        """The exact floor of every finished grammar, in nats per token."""
        return {one.corpus: float(self.readings.corpora[one.corpus]["floor"]) for one in self.grammars}

    @cached_property
    def excesses(self) -> list[Excess]:
        """How the loss of every grammar in excess of its floor falls with N and D, where enough runs say."""
        return excess.excesses(self.readings, [one.corpus for one in self.grammars])

    @cached_property
    def in_series(self) -> dict[str, int]:
        """How many grammars of each series have a θ."""
        known = [one.corpus for one in self.grammars if one.known]
        return {title: sum(name.startswith(own) for name in known) for title, own in SERIES.items()}

    @cached_property
    def grammar_slopes(self) -> list[tuple[str, Slope]]:
        """The slopes of θ over grammars, each with what it was taken over."""
        known = [one for one in self.grammars if one.known]
        groups = {ALL: ("",), **SERIES}
        asked = [(ALL, "gzip"), (ALL, "ngram"), (ALL, FLOOR), ("equal floor", "gzip"), ("equal gzip ratio", FLOOR)]
        found = [
            (group, self.slope(measure, [one for one in known if one.corpus.startswith(groups[group])]))
            for group, measure in asked
        ]
        return [(group, slope) for group, slope in found if slope is not None]

    @cached_property
    def predictors(self) -> dict[str, Floats]:
        """Every measure that may predict, over the texts with a θ; the loss of the cheapest run is one."""
        names = [verdicts.CONFIRMATORY, *verdicts.SECONDARY, verdicts.PROXY]
        return {name: self.values(name, self.texts) for name in names}

    @cached_property
    def errors(self) -> dict[str, Floats]:
        """The errors of θ on texts left out, by text; none of fewer than six texts."""
        return left_out.balance_errors(self.texts, self.predictors) if len(self.texts) >= FEWEST_LEFT_OUT else {}

    @cached_property
    def loss_errors(self) -> dict[str, Floats]:
        """The errors of ln L on texts left out, by text; none of fewer than six texts."""
        if len(self.texts) < FEWEST_LEFT_OUT:
            return {}
        return left_out.loss_errors(self.texts, self.predictors, self.laws["coupled"])

    @cached_property
    def first_seal(self) -> list[SealedLoss]:
        """The losses that measures alone predicted, where they have been measured."""
        return verdicts.sealed_losses(self.readings, POINTS)

    @cached_property
    def second_seal(self) -> list[SealedLoss]:
        """The losses that forms predicted at ten times the largest budget, where they have been measured."""
        return verdicts.second_seal(self.readings, self.sealed_forms)

    @cached_property
    def beyond(self) -> list[SealedLoss]:
        """The same losses as isoloss predicts them beyond the runs: not sealed."""
        return verdicts.predicted_beyond(self.readings, self.sealed_forms)

    @cached_property
    def sealed_splits(self) -> list[SealedLoss]:
        """The splits that forms predicted at ten times the largest budget, where they have been measured."""
        return verdicts.sealed_splits(self.readings, self.sealed_forms)

    @cached_property
    def measured_splits(self) -> dict[str, verdicts.MeasuredSplit]:
        """What the runs at ten times the largest budget show of the best split, by text."""
        return verdicts.measured_splits(self.readings, self.sealed_forms)

    @cached_property
    def plans(self) -> list[LeftOut]:
        """The bundled plan of every text, left out in turn."""
        six = self.counted["6ND"]
        values = self.values(verdicts.CONFIRMATORY, six)
        measured = {one.corpus: float(x) for one, x in zip(six, values, strict=True)}
        return left_out_plans(six, measured, self.laws["coupled"], outside=LATER)

    @property
    def error_of_tested(self) -> Floats:
        """The errors of θ by n-gram entropy of the texts that were not added later, each left out in turn."""
        return self.errors[verdicts.CONFIRMATORY][[one.corpus not in LATER for one in self.texts]]

    @cached_property
    def inside(self) -> list[LeftOut]:
        """The plans of the texts that the bundled law knows."""
        return [one for one in self.plans if one.corpus not in LATER]

    @cached_property
    def unlike(self) -> list[Unlike]:
        """The texts added later: what the trend of the other texts gives for each, and what its runs say."""
        tested = [one for one in self.texts if one.corpus not in LATER]
        later = among([*self.texts, *self.outside], LATER)
        values = self.values(verdicts.CONFIRMATORY, [*tested, *later])
        measured = {one.corpus: float(x) for one, x in zip([*tested, *later], values, strict=True)}
        return unlike_texts(tested, later, measured)

    @cached_property
    def pilots(self) -> list[Pilot]:
        """What one seed of every text with several says alone, budget by budget."""
        return pilots(self.readings, [one.corpus for one in self.texts], draws=FEW_DRAWS)

    @cached_property
    def claims(self) -> list[Claim]:
        """The claims of the plan with their verdicts."""
        return claims(self)

    @cached_property
    def more_claims(self) -> list[Claim]:
        """The gzip paper's other claims and open questions with their verdicts."""
        return more_claims(self)


def analyse(readings: Readings, *, sealed_forms: Path, draws: int = DRAWS) -> Found:
    """Return what the runs of finished corpora say."""
    few = min(draws, FEW_DRAWS)
    finished = readings.finished(TEXTS)
    found = balances(readings, finished, draws=draws)
    known = [one for one in found if one.known]
    names = [one.corpus for one in known]
    counted = {
        counting: [one for one in balances(readings, names, counting=counting, budgets=budgets, draws=few)
                   if one.known]
        for counting, budgets in (("6ND", SIX_ND_BUDGETS), ("without head", BUDGETS))
    }  # fmt: skip
    grammars = readings.finished(readings.generated)
    return Found(
        readings=readings, texts=known, outside=[one for one in found if not one.known], counted=counted,
        pairs=pairs_by_kind(readings, draws=few),
        grammars=balances(readings, grammars, budgets=CHEAP_BUDGETS, draws=few),
        cheap=[one for one in balances(readings, names, budgets=CHEAP_BUDGETS, draws=few) if one.known],
        laws={
            form: laws_of(readings, finished, form) | laws_of(readings, grammars, form, draws=FEW_DRAWS)
            for form in FORMS
        },
        sealed_forms=table(sealed_forms) if sealed_forms.exists() else [],
    )  # fmt: skip


def pairs_by_kind(readings: Readings, *, draws: int) -> dict[str, list[Pair]]:
    """Return the pairs of every intervention that has any."""
    endings = {ending: readings.names(ending) for ending in INTERVENTIONS}
    like_texts = [name for ending, names in endings.items() if ending != BPE for name in names]
    every = paired(readings, like_texts, draws=draws)
    every += paired(readings, endings[BPE], budgets=BPE_BUDGETS, draws=draws)
    found = {ending: [pair for pair in every if pair.corpus.endswith(ending)] for ending in endings}
    return {ending: pairs for ending, pairs in found.items() if pairs}


def among(balances_of: Sequence[Balance], names: Collection[str]) -> list[Balance]:
    """Return the balances of `names`."""
    return [one for one in balances_of if one.corpus in names]


def pictures(found: Found) -> dict[str, Figure]:
    """Return the figures that the finished corpora give, by name."""
    drawn: dict[str, Figure] = {}
    ends = extremes(found)
    if ends is not None:
        rows = [row for name in ends for row in found.readings.own(name)]
        optima = best_sizes(as_observations(rows), budgets=FRONTIER_BUDGETS, pooled=True, draws=FEW_DRAWS)
        by_name = {name: [one for one in optima if one.corpus == name] for name in ends}
        drawn["contours"] = figures.two_contours(found.readings, ends, found.laws["coupled"], by_name)
    if len(found.texts) >= 2:
        columns = {name: found.values(name, found.texts) for name in (verdicts.CONFIRMATORY, "gzip")}
        slopes = {name: slope for name in columns if (slope := found.slope(name, found.texts)) is not None}
        drawn["balance"] = figures.balance_against(found.texts, columns, found.kinds, slopes)
    groups = {INTERVENTIONS[ending]: measured(found, pairs) for ending, pairs in found.pairs.items()}
    if any(groups.values()):
        values = {name: own[verdicts.CONFIRMATORY] for name, own in found.readings.measures.items()
                  if verdicts.CONFIRMATORY in own}  # fmt: skip
        drawn["interventions"] = figures.arrows(
            {title: pairs for title, pairs in groups.items() if pairs}, verdicts.CONFIRMATORY, values
        )
    known = [one for one in found.grammars if one.known]
    if known:
        drawn["grammars"] = figures.grammars(
            known, found.values("gzip", known), found.floors, {form: found.laws[form] for form in FORMS}
        )
    weighted = [one for one in found.second_seal if one.what == "weighted"]
    seals = {
        "Predicted from measures, before the first run": found.first_seal,
        "Predicted from the runs, at ten times the budget": weighted,
    }
    if any(seals.values()):
        drawn["sealed"] = figures.sealed({title: losses for title, losses in seals.items() if losses})
    return drawn


def measured(found: Found, pairs: Sequence[Pair]) -> list[Pair]:
    """Return the pairs both of whose corpora have an n-gram entropy."""
    known = found.readings.measures
    return [p for p in pairs if all(verdicts.CONFIRMATORY in known.get(name, {}) for name in (p.corpus, p.source))]


def extremes(found: Found) -> tuple[str, str] | None:
    """Return the texts of least and of greatest n-gram entropy that have a θ and a law; None of fewer than two."""
    values = zip(found.texts, found.values(verdicts.CONFIRMATORY, found.texts), strict=True)
    known = {one.corpus: float(x) for one, x in values if math.isfinite(x) and one.corpus in found.laws["coupled"]}
    if len(known) < 2:
        return None
    return min(known, key=known.__getitem__), max(known, key=known.__getitem__)


def shift(pairs: Sequence[Pair]) -> Estimate:
    """Return the mean change of θ of pairs."""
    return mean_with_interval(np.array([pair.shift for pair in pairs]))


def unpaired(found: Found) -> list[str]:
    """Return the finished interventions that could not be compared: no balance, or a source without one."""
    compared = {pair.corpus for pairs in found.pairs.values() for pair in pairs}
    finished = found.readings.finished([name for ending in INTERVENTIONS for name in found.readings.names(ending)])
    return [name for name in finished if name not in compared]


def p_of_no_change(pairs: Sequence[Pair]) -> float:
    """Return p that changes of θ are their own errors alone."""
    return float(stats.chi2.sf(sum((pair.shift / pair.sd) ** 2 for pair in pairs), len(pairs)))


def written(found: Found) -> str:
    """Return the page."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True, autoescape=False,
    )  # fmt: skip
    environment.filters |= {
        "value": value, "factor": factor, "p": probability, "si": si, "fixed": fixed, "power": power_of_ten,
        "percent": percent, "off": off, "per_decade": per_decade, "measured": measured_number,
        "named": named_measure, "sentence": begun, "numbers": with_ends, "median": statistics.median,
        "sort_by_error": sort_by_error, "form_of_widest": form_of_widest, "others_of": most_of_others,
        "middle_and_ends": account.middle_and_ends,
    }  # fmt: skip
    return environment.get_template("page.md.j2").render(**NAMES, **account.counts(found), **said_of(found))


def said_of(found: Found) -> dict[str, Any]:
    """Return what the template asks of the runs, by name."""
    return {
        "found": found, "unpaired": unpaired(found), "extremes": extremes(found), "weights": weights(found.texts),
        "few_sources": few_sources(found), "ranges": verdicts.form_ranges(found.texts),
    }  # fmt: skip


def few_sources(found: Found) -> list[tuple[str, list[str], int]]:
    """Return the interventions with fewer sources than planned: title, sources, how many were planned."""
    listed_by = {ending: [source_of(name) for name in found.readings.names(ending)] for ending in INTERVENTIONS}
    planned = {ending: PLANNED_SOURCES.get(ending, OTHER_SOURCES) for ending in INTERVENTIONS}
    return [(INTERVENTIONS[e], own, planned[e]) for e, own in listed_by.items() if len(own) < planned[e]]


def sort_by_error(errors: Mapping[str, Floats]) -> list[str]:
    """Return what predicts, the least error first."""
    return sorted(errors, key=lambda name: left_out.root_mean_square(errors[name]))


def worst_of(found: Found, errors: Floats) -> str:
    """Return a sentence that names the text with the largest error, and its share of the squares."""
    names = [one.corpus for one in found.texts if one.corpus in found.laws["coupled"]]
    shares = np.square(errors) / np.square(errors).sum()
    place = int(shares.argmax())
    return f"{names[place]} alone makes {100 * shares[place]:.0f} % of its squared error by n-gram entropy."


def form_of_widest(ranges: Mapping[str, Sequence[float]]) -> str:
    """Return the form by which texts differ most at some budget."""
    return max(ranges, key=lambda form: max(ranges[form]))


def most_of_others(ranges: Mapping[str, Sequence[float]], form: str) -> float:
    """Return by how much texts differ at most by the forms but one."""
    return max(max(own) for name, own in ranges.items() if name != form)


def why_without(one: Balance, readings: Readings) -> str:
    """Return why a corpus has no best split: what most of its runs are left out for, or what its runs lack."""
    if 2 * one.flagged <= one.runs:
        return str(one.split.reason).split("; ")[0]
    flags = Counter(flag for row in readings.own(one.corpus) for flag in row["flags"].split())
    share = "all" if one.flagged == one.runs else f"{one.flagged} of"
    most = max(WHY_LEFT_OUT, key=flags.__getitem__)
    return f"{share} {one.runs} runs are left out, most because {WHY_LEFT_OUT[most]}"


def named_measure(name: str) -> str:
    """Return what a measure is called in a sentence."""
    return MEASURE_TITLES.get(name, name)


def weights(texts: Sequence[Balance]) -> dict[str, float]:
    """Return the weights of the forms, the same for every text."""
    return {one.form: one.weight for one in texts[0].split.budgets[0].forms} if texts else {}


@dataclass(frozen=True, kw_only=True)
class Score:
    """What sealed values came to: root mean square error and mean error, intervals that held of those given."""

    count: int
    rmse: float
    bias: float
    held: int
    intervals: int


def score(losses: Sequence[SealedLoss], *, logarithms: bool = False) -> Score:
    """Return the score of sealed losses by the errors of ln L, or of what is a logarithm already."""
    off = np.array([one.sealed - one.measured if logarithms else math.log(one.sealed / one.measured) for one in losses])
    given = [one for one in losses if one.low is not None and one.high is not None]
    held = sum(bool(one.low <= one.measured <= one.high) for one in given if one.low is not None and one.high)
    return Score(count=len(losses), rmse=float(np.sqrt((off**2).mean())), bias=float(off.mean()), held=held,
                 intervals=len(given))  # fmt: skip


# What the template calls by name: modules, functions and what is fixed beforehand.
NAMES: dict[str, Any] = {
    "NEW": NEW, "OLD": OLD, "LATER": LATER, "TEXTS": TEXTS, "letters": LETTER_SPAN,
    "BUDGETS": BUDGETS, "CHEAP": CHEAP_BUDGETS, "BPE_BUDGETS": BPE_BUDGETS,
    "SIX": SIX_ND_BUDGETS, "INTERVENTIONS": INTERVENTIONS, "POINTS": POINTS, "FORMS": FORMS, "FLOOR": FLOOR, "ALL": ALL,
    "EVERY": EVERY, "ONE": left_out.ONE, "ONE_LAW": left_out.ONE_LAW, "MEAN_AIM": MEAN_AIM, "MOST_AIM": MOST_AIM,
    "WIDTH_AIM": WIDTH_AIM, "verdicts": verdicts, "excess": excess, "account": account, "gzip_paper": gzip_paper,
    "np": np, "math": math, "per_compute": per_compute, "single": single, "shift": shift,
    "p_of_no_change": p_of_no_change,
    "score": score, "why_without": why_without, "worst_of": worst_of, "rms": left_out.root_mean_square,
    "apart": left_out.difference,
}  # fmt: skip
