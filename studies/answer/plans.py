"""What the bundled law would have planned for each text, had the text been left out: split, interval, regret."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from answer.estimates import Balance
from answer.readings import Floats
from answer.words import ends_of, spread
from isoloss.core.estimate import Estimate
from isoloss.core.rng import stream
from isoloss.data_dependence.pooled_split import PooledSplit, pool_splits
from isoloss.fitting.fitted import FittedLaw

DRAWS = 2000
MEAN_AIM, MOST_AIM = 6e-4, 5e-3  # nats per token
REACH, POINTS = 2.0, 401  # of ln N around a plan, where the law's own best is looked for


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """The plan of one text by the runs of the others, in tokens per parameter.

    `held` says whether the text's own best split lies within the interval, the error of that split counted. `regret` is
    the loss in nats per token that the planned split costs, the mean over the budgets, by the text's own law, and
    `regret_of_one` what the mean split of the other texts costs.
    """

    corpus: str
    planned: Estimate
    own: float
    held: bool
    regret: float
    regret_of_one: float

    @property
    def width(self) -> float:
        """The factor between the ends of the interval."""
        return spread(self.planned)


def left_out_plans(
    balances: Sequence[Balance],
    measured: Mapping[str, float],
    laws: Mapping[str, FittedLaw],
    *,
    outside: Collection[str],
) -> list[LeftOut]:
    """Return the plan of every text, left out in turn. Budgets are 6 · N · D; empty with fewer than five others.

    The runs of texts `outside` plan for no other text.
    """
    found = []
    for one in balances:
        others = [other.split for other in balances if other is not one and other.corpus not in outside]
        line, mean = pool_splits(others, measured=measured), pool_splits(others)
        if line is None or mean is None or one.corpus not in laws:
            continue
        found.append(_planned(one, line.at(measured[one.corpus]), mean, laws[one.corpus]))
    return found


@dataclass(frozen=True, kw_only=True)
class Unlike:
    """Best tokens per parameter of a later text at a budget, and what the trend of the other texts predicts there."""

    corpus: str
    flops: float
    predicted: Estimate
    best: Estimate

    @property
    def far(self) -> bool:
        """Whether the best split lies outside the predicted interval."""
        _, low, high = ends_of(self.predicted)
        return not low < self.best.value < high


def unlike_texts(tested: Sequence[Balance], later: Sequence[Balance], measured: Mapping[str, float]) -> list[Unlike]:
    """Return what the tested texts predict for each later one, at the middle budget, and what its own runs say."""
    trend = pool_splits([one.split for one in tested], measured=measured)
    return [] if trend is None else [_unlike(one, trend.at(measured[one.corpus])) for one in later]


def _unlike(one: Balance, trend: PooledSplit) -> Unlike:
    middle = one.split.budgets[len(one.split.budgets) // 2]
    assert middle.tokens_per_param is not None
    steps = np.array([[0.5, 0.5], [0.025, 0.5], [0.975, 0.5]])
    value, low, high = np.exp(trend.log_ratio(np.full(3, np.log(middle.flops)), steps)).tolist()
    return Unlike(
        corpus=one.corpus, flops=middle.flops, predicted=Estimate(value=value, low=low, high=high),
        best=middle.tokens_per_param,
    )  # fmt: skip


def _planned(one: Balance, pooled: PooledSplit, mean: PooledSplit, law: FittedLaw) -> LeftOut:
    generator = stream(0, "plans left out", one.corpus)
    steps = pooled.steps(DRAWS, generator)
    ratios = pooled.log_ratio(np.full(len(steps), np.log(pooled.budget)), steps)
    planned = Estimate.from_draws(ratios[1:], value=float(ratios[0]))
    seen = Estimate.from_draws(ratios[1:] + one.sd * generator.standard_normal(DRAWS))
    _, low, high = ends_of(seen)
    budgets = np.array([each.flops for each in one.split.budgets])

    def cost(split: PooledSplit) -> float:
        ratios = split.log_ratio(np.log(budgets), np.full((len(budgets), 2), 0.5))
        return float(np.mean([regret(law, flops, ratio) for flops, ratio in zip(budgets, ratios, strict=True)]))

    return LeftOut(
        corpus=one.corpus, own=math.exp(one.theta.value), held=low < one.theta.value < high,
        planned=planned.exponential(),
        regret=cost(pooled), regret_of_one=cost(mean),
    )  # fmt: skip


def regret(law: FittedLaw, flops: float, log_ratio: float) -> float:
    """Return what the split of a budget costs in nats per token, against the law's own best one."""
    centre = 0.5 * (math.log(flops / 6) - log_ratio)
    log_n: Floats = np.concatenate([[centre], centre + np.linspace(-REACH, REACH, POINTS)])
    loss = np.asarray(law.predict(params=np.exp(log_n), tokens=flops / 6 / np.exp(log_n)))
    return float(loss[0] - loss.min())
