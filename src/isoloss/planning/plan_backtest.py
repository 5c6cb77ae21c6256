"""Would a plan have been right? Plans for corpora left out, judged by the corpora's own runs.

Each source is left out in turn (a corpus and its interventions together). The others' runs give the data-dependent law,
one law for all, and that one conditioned on the left-out corpus's cheapest run (`isoloss.data_dependence.folds`). Each
splits the same budgets for the corpus, and so does the rule of 20 tokens a parameter. The referee is the law fitted to
the corpus's own runs: a split's regret is its loss there less that of the best split.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from isoloss.core.errors import InputError, Unidentified
from isoloss.core.estimate import Estimate
from isoloss.core.plain_json import Plain
from isoloss.data_dependence.balance import common_budget
from isoloss.data_dependence.coefficients import to_values
from isoloss.data_dependence.covariates import corpus_complexity
from isoloss.data_dependence.data_dependent import DataDependent
from isoloss.data_dependence.folds import first_stage
from isoloss.data_dependence.predictor_comparison import paired
from isoloss.fitting.checks import leave_out
from isoloss.fitting.fitted import FittedLaw
from isoloss.fitting.fitting import fit
from isoloss.laws.chinchilla import Chinchilla
from isoloss.laws.law import Floats
from isoloss.laws.settings import EXCLUDED_FLAGS
from isoloss.planning.plan_result import RULE_OF_THUMB
from isoloss.runs.observations import Observations

Strategy = Literal["plan", "rule_of_thumb", "pooled", "proxy"]
RIVALS: tuple[Strategy, ...] = ("rule_of_thumb", "pooled", "proxy")
# Shares of the span, in ln C, of each corpus's own runs: the ends are where its law knows least.
BUDGETS = (0.25, 0.5, 0.75)
FEWEST_SOURCES = 4  # three others hold a line and its scatter


@dataclass(frozen=True, kw_only=True)
class Judged(Plain):
    """What every strategy lost on one corpus at one budget: regret in nats per token, and D/N as it would have been."""

    corpus: str
    source: str
    flops: float
    regret: dict[Strategy, float]
    log_ratio: dict[Strategy, float]
    best_log_ratio: float


@dataclass(frozen=True, kw_only=True)
class PlanBacktest:
    """How plans by one measure fared on sources left out. `refused` says which corpora could not judge, and why."""

    measure: str
    judged: tuple[Judged, ...]
    refused: dict[str, str]

    def mean_regret(self, strategy: Strategy) -> float:
        """Return the mean over sources of a strategy's regret, in nats per token."""
        return float(self._by_source(strategy).mean())

    def against(self, rival: Strategy) -> Estimate:
        """Return the plan's regret less a rival's, with the t interval over sources: below zero the plan is better."""
        return paired(self._by_source("plan") - self._by_source(rival))

    def wins(self, rival: Strategy) -> tuple[int, int]:
        """Return at how many corpora and budgets the plan lost less than a rival, and at how many more."""
        gaps = np.array([one.regret["plan"] - one.regret[rival] for one in self.judged])
        return int((gaps < 0).sum()), int((gaps > 0).sum())

    def to_json(self) -> dict[str, Any]:
        """Return plain data: every judgement, and each rival with wins, losses and the paired difference."""
        return {
            "measure": self.measure,
            "regret": {name: self.mean_regret(name) for name in ("plan", *RIVALS)},
            "against": {
                rival: {**dict(zip(("wins", "losses"), self.wins(rival), strict=True)),
                        "difference": self.against(rival).to_json()}
                for rival in RIVALS
            },
            "judged": [one.to_json() for one in self.judged],
            "refused": dict(self.refused),
        }  # fmt: skip

    def _by_source(self, strategy: Strategy) -> Floats:
        sources = dict.fromkeys(one.source for one in self.judged)
        return np.array(
            [np.mean([one.regret[strategy] for one in self.judged if one.source == source]) for source in sources]
        )


def backtest_plans(
    observations: Observations, measure: str, *, forms: Mapping[str, str] | Literal["choose", "published"] = "choose"
) -> PlanBacktest:
    """Return how plans by `measure` fare on every source of a table, left out in turn.

    `forms` are those of `DataDependent`; chosen ones are chosen anew without the source.

    Raises InputError for fewer than four sources; a corpus whose own runs have no best split judges nothing and is
    listed with the reason; one whose runs determine no law has no part in the others' either.
    """
    used, _ = leave_out(observations, flags=EXCLUDED_FLAGS)
    values = corpus_complexity(used, measure)
    referees, refused, unfit = _referees(used)
    used = used.select(~np.isin(used.corpus, unfit))
    sources = used.sources
    if len(set(sources.values())) < FEWEST_SOURCES:
        raise InputError(
            f"{len(set(sources.values()))} sources, expected at least {FEWEST_SOURCES}: three others give a plan for a "
            "fourth",
            fix="add corpora",
        )
    if not referees:
        raise Unidentified("no corpus has a best split of its own to judge by", fix="widen the grid")
    stage = first_stage(used, flops=common_budget(list(referees.values())), balance={})
    judged: list[Judged] = []
    for source in dict.fromkeys(sources.values()):
        members = [name for name, own in sources.items() if own == source]
        others = used.select(~np.isin(used.corpus, members))
        law = DataDependent(complexity=measure, forms=forms).fit(others)
        for name in members:
            if name in referees:
                place = stage.rows.corpora.index(name)
                predicted = {
                    "plan": law.at(values[name]).values,
                    "pooled": to_values(stage.pooled[place, :5], stage.rows.origin),
                    "proxy": to_values(stage.proxy[place, :5], stage.rows.origin),
                }
                judged += [_judge(referees[name], source, predicted, budget) for budget in _budgets(referees[name])]
    return PlanBacktest(measure=measure, judged=tuple(judged), refused=refused)


def _referees(observations: Observations) -> tuple[dict[str, FittedLaw], dict[str, str], list[str]]:
    """Return each corpus's own law, where it has a best split; why the others have none; those without any law."""
    laws: dict[str, FittedLaw] = {}
    refused: dict[str, str] = {}
    unfit: list[str] = []
    for corpus in observations.corpora:
        try:
            law = fit(observations.where(corpus=corpus), exclude_flags=())
        except InputError as error:
            refused[corpus] = error.reason
            unfit.append(corpus)
            continue
        try:
            law.log_ratio(law.middle_flops)
            laws[corpus] = law
        except Unidentified as error:
            refused[corpus] = error.reason
    return laws, refused, unfit


def _budgets(law: FittedLaw) -> list[float]:
    low, high = np.log(law.domain.span("flops"))
    return [float(np.exp(low + share * (high - low))) for share in BUDGETS]


def _judge(referee: FittedLaw, source: str, predicted: Mapping[str, Floats], flops: float) -> Judged:
    """Return what each strategy's split of a budget loses under the corpus's own law."""
    product = flops * referee.data_per_flop() / 6
    sizes = {name: float(np.exp(_log_size(values, product))) for name, values in predicted.items()}
    thumb = RULE_OF_THUMB * (referee.bytes_per_token or 1.0)
    sizes["rule_of_thumb"] = float(np.sqrt(product / thumb))
    best = referee.optimum(flops)
    names: tuple[Strategy, ...] = ("plan", *RIVALS)
    return Judged(
        corpus=referee.group,
        source=source,
        flops=flops,
        regret={
            name: float(referee.predict(params=sizes[name], tokens=product / sizes[name])) - best.loss.value
            for name in names
        },
        log_ratio={name: float(np.log(product / sizes[name] ** 2)) for name in names},
        best_log_ratio=best.log_ratio.value,
    )


def _log_size(values: Floats, product: float) -> float:
    """Return ln N of the best split under a law; at the middle of what can be trained where it has none."""
    found = float(Chinchilla.log_optimum(values, log_flops=float(np.log(6 * product))))
    return found if np.isfinite(found) else 0.5 * float(np.log(product))
