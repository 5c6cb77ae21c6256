"""The split of one more corpus: its interval holds corpora that it never saw, and plans go by it."""

from dataclasses import replace

import numpy as np
import pytest

from isoloss.core.estimate import Estimate
from isoloss.data_dependence.law_files import load_law
from isoloss.data_dependence.pooled_split import TEXT_PRIOR, PooledSplit, pool_splits
from isoloss.data_dependence.storage import save_data_dependent
from isoloss.optima.best_size import BestSize
from isoloss.optima.mean_split import MeanSplit
from isoloss.planning import shipped
from isoloss.planning.corpus_statistics import CorpusStatistics
from isoloss.planning.laws import PlanLaw
from isoloss.planning.splits import Question, split
from sampling import part

BUDGETS = (1e10, 4e10, 1.6e11)


def corpus(name: str, level: float, slope: float, *, sd: float, generator: np.random.Generator) -> MeanSplit:
    """Return the mean split of a corpus whose balance is a straight line in ln C, each budget known to `sd`."""
    error = generator.normal(0, sd)
    best = []
    for flops in BUDGETS:
        value = level + error + slope * np.log(flops / BUDGETS[1])
        draws = value + sd * generator.standard_normal(200)
        best.append(BestSize(corpus=name, flops=flops, inside=True, reason="", log_ratio_draws=draws,
                             tokens_per_param=Estimate(value=float(np.exp(value)))))  # fmt: skip
    drawn = np.mean([one.log_ratio_draws for one in best], axis=0)
    mean = float(np.mean([np.log(one.tokens_per_param.value) for one in best]))
    return MeanSplit(corpus=name, log_ratio=Estimate.from_draws(drawn, value=mean), sd=sd, draws=drawn, reason="",
                     budgets=tuple(best))  # fmt: skip


def interval(pooled: PooledSplit, flops: float) -> tuple[float, float, float]:
    steps = pooled.steps(2000, np.random.default_rng(1))
    ratios = pooled.log_ratio(np.full(len(steps), np.log(flops)), steps)
    low, high = np.quantile(ratios[1:], [0.025, 0.975])
    return float(ratios[0]), float(low), float(high)


def test_the_interval_holds_corpora_that_it_never_saw():
    generator = np.random.default_rng(0)
    held, widths, studies = 0, [], part(60, of=200)
    for _ in range(studies):
        trained = [corpus(f"c{i}", 3.6 + generator.normal(0, 0.2), 0.1, sd=0.08, generator=generator) for i in range(8)]
        value, low, high = interval(pool_splits(trained), BUDGETS[1])
        assert low < value < high
        held += low < 3.6 + generator.normal(0, 0.2) < high
        widths.append(high - low)
    # Not much wider than Student's t with 6 degrees of freedom on the scatter of .2 and the mean's error would be.
    assert abs(held / studies - 0.95) <= 3 * np.sqrt(0.95 * 0.05 / studies)
    assert np.mean(widths) < 1.2 * 2 * 2.45 * np.hypot(0.2, np.hypot(0.2, 0.08) / np.sqrt(8))


def test_it_widens_beyond_the_budgets_and_follows_the_common_slope():
    generator = np.random.default_rng(2)
    pooled = pool_splits([corpus(f"c{i}", 3.6, 0.25, sd=0.02, generator=generator) for i in range(6)])
    inside, far = interval(pooled, BUDGETS[1]), interval(pooled, 1e3 * BUDGETS[1])
    assert far[0] - inside[0] == pytest.approx(0.25 * np.log(1e3), abs=0.2)
    assert far[2] - far[1] > 2 * (inside[2] - inside[1])


def test_three_corpora_say_nothing_of_a_fourth():
    generator = np.random.default_rng(3)
    trained = [corpus(f"c{i}", 3.6, 0.0, sd=0.05, generator=generator) for i in range(4)]
    assert pool_splits(trained[:3]) is None
    unknown = replace(trained[3], log_ratio=None, sd=None, draws=None, reason="outside")
    assert pool_splits([*trained[:3], unknown]) is None


def test_the_level_follows_a_measure_that_moves_it_and_no_other():
    generator = np.random.default_rng(5)
    held, widths, followed, followed_noise = 0, [], 0, 0
    studies = part(30, of=60)
    for _ in range(studies):
        x = {f"c{i}": float(generator.normal()) for i in range(12)}
        trained = [
            corpus(name, 3.3 + 0.3 * at + generator.normal(0, 0.1), 0.1, sd=0.08, generator=generator)
            for name, at in x.items()
        ]
        pooled = pool_splits(trained, measured=x)
        followed += bool(pooled.along)
        followed_noise += bool(pool_splits(trained, measured={name: float(generator.normal()) for name in x}).along)
        at = float(np.clip(generator.normal(), min(x.values()), max(x.values())))
        _, low, high = interval(pooled.at(at), BUDGETS[1])
        held += low < 3.3 + 0.3 * at + generator.normal(0, 0.1) < high
        widths.append(high - low)
    assert followed >= 0.9 * studies
    assert followed_noise <= 0.15 * studies  # 5 % are wanted
    assert held >= 0.86 * studies
    assert np.mean(widths) < np.mean([np.ptp(interval(pool_splits(trained), BUDGETS[1])[1:])])


def test_the_line_ends_where_its_corpora_end():
    generator = np.random.default_rng(6)
    x = {f"c{i}": float(i) for i in range(8)}
    pooled = pool_splits(
        [corpus(name, 3.3 + 0.2 * at, 0.1, sd=0.05, generator=generator) for name, at in x.items()], measured=x
    )
    assert interval(pooled.at(40.0), BUDGETS[1]) == interval(pooled.at(7.0), BUDGETS[1])
    assert interval(pooled.at(7.0), BUDGETS[1])[0] == pytest.approx(3.3 + 1.4, abs=0.1)


def test_a_plan_by_the_bundled_law_goes_by_the_pooled_split():
    law = shipped.shipped_law()
    statistics = CorpusStatistics(
        name="mine", measures={shipped.MEASURE: Estimate(value=1.2)}, unique_tokens=1e9, vocab_size=256
    )
    found = split(PlanLaw.at_measure(law, statistics), Question(flops=law.pooled.budget))
    assert found.log_ratio[0] == pytest.approx(law.pooled.at(1.2).level.quantile(np.array([0.5]))[0])
    assert found.params[0] * found.tokens[0] * 6 == pytest.approx(law.pooled.budget)
    surest = min(law.pooled.corpora, key=lambda name: law.pooled.corpora[name][1])
    known = split(PlanLaw.of_known(law, surest), Question(flops=law.pooled.budget))
    assert known.log_ratio[0] == pytest.approx(law.pooled.corpora[surest][0])
    assert known.log_ratio[1:].std() < found.log_ratio[1:].std()


def test_without_a_prior_the_scatter_is_that_of_the_corpora():
    """Grammars scatter by far more than texts: a prior made for texts holds fewer of them than 95 %."""
    generator = np.random.default_rng(7)
    held = []
    for _ in range(200):
        levels = 3.6 + generator.normal(0, 1.5, size=6)
        trained = [corpus(f"c{i}", level, 0.1, sd=0.08, generator=generator) for i, level in enumerate(levels)]
        value, low, high = interval(pool_splits(trained, prior=None), BUDGETS[1])
        assert low < value < high
        held.append(low < 3.6 + generator.normal(0, 1.5) < high)
    # 95 % of 200, less three standard errors of that share.
    assert np.mean(held) >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / 200)


def test_the_prior_of_a_split_stays_with_it_in_a_file(tmp_path):
    generator = np.random.default_rng(8)
    x = {f"c{i}": float(i) for i in range(8)}
    trained = [corpus(name, 3.3 + 0.2 * at, 0.1, sd=0.05, generator=generator) for name, at in x.items()]
    bundled = shipped.shipped_law()
    # Its file is older than the key: it goes by the prior of texts.
    assert bundled.pooled.prior == TEXT_PRIOR
    for prior in (None, 1.0):
        law = replace(bundled, pooled=pool_splits(trained, measured=x, prior=prior))
        save_data_dependent(law, tmp_path / "law.json")
        again = load_law(tmp_path / "law.json").law
        assert again.pooled.prior == prior
        assert again.pooled.along
        assert interval(again.pooled.at(2.0), BUDGETS[1]) == interval(law.pooled.at(2.0), BUDGETS[1])
