"""Checkpoints listed as runs: recognised without a named trunk, and then neither refused a true law nor too sure."""

import numpy as np
import pytest

from helpers.sampling import part
from isoloss.arena.truths import DESIGNS, runs, truth
from isoloss.fitting.checkpoints import unnamed_curves
from isoloss.laws.chinchilla import Chinchilla
from isoloss.optima.best_size import best_sizes
from isoloss.optima.lack_of_fit import lack_of_fit
from isoloss.runs.observations import observations

VALUES = np.array([1.8172, 482.01, 2085.43, 0.3478, 0.3658])  # Besiroglu et al. 2024
SIZES = np.geomspace(1e8, 3e9, 5)
STEPS = {
    "geometric": 2e9 * 1.4 ** np.arange(12),
    "even": 5e9 * np.arange(1.0, 11),
    "few even": 6.8e9 * np.arange(1.0, 6),
}
BUDGET = 5e19


def table(steps, *, seed, trunk_sd, point_sd=0.002):
    """Runs of Chinchilla's law at every size and step, whose rows name no trunk; a size shares `trunk_sd` of ln L."""
    generator = np.random.default_rng(seed)
    n, d = np.repeat(SIZES, len(steps)), np.tile(steps, len(SIZES))
    noise = np.repeat(generator.normal(0, trunk_sd, len(SIZES)), len(steps)) + generator.normal(0, point_sd, len(n))
    return observations(params=n, tokens=d, loss_nats=Chinchilla.loss(VALUES, params=n, tokens=d) * np.exp(noise))


def within(count, share, of):
    """Whether a count lies within 2.5 binomial standard deviations of its share: one side fails once in 160 times."""
    return abs(count - share * of) <= 2.5 * np.sqrt(share * (1 - share) * of)


@pytest.mark.parametrize("name", [*STEPS])
def test_checkpoints_without_a_trunk_neither_refuse_the_true_law_nor_narrow_its_interval(name):
    count = part(6, of=60)
    target = BUDGET / 6 * np.exp(-2 * Chinchilla.log_optimum(VALUES, log_flops=np.log(BUDGET)))
    warned = refused = held = 0
    for seed in range(count):
        checkpoints = table(STEPS[name], seed=seed, trunk_sd=0.005)
        optima = best_sizes(checkpoints, budgets=[BUDGET], draws=100, seed=seed)
        (verdict,) = lack_of_fit(checkpoints, optima=optima, seed=seed)
        refused += verdict.refused
        held += optima[0].tokens_per_param.low <= target <= optima[0].tokens_per_param.high
        warned += unnamed_curves(checkpoints) is not None
    assert refused <= 0.05 * count or within(refused, 0.05, count)
    assert held >= 0.92 * count or within(held, 0.92, count)
    # Five sizes leave two directions to see their effects by: 82 % of the geometric tables and 72 % of the few even
    # ones show them for sure. In the others the trunks that may be there count in noise and before a law is refused.
    assert warned >= 0.72 * count or within(warned, 0.72, count)
    assert name != "even" or warned == count  # by their spacing alone


@pytest.mark.parametrize("point_sd", [0.001, 0.004])
def test_independent_runs_are_not_taken_for_checkpoints(point_sd):
    count = part(30, of=300)
    tables = [table(STEPS["geometric"], seed=seed, trunk_sd=0, point_sd=point_sd) for seed in range(count)]
    for name in ("5 × 6", "staircase"):
        design = DESIGNS[name]
        alone = np.arange(len(design.params))
        for seed in range(count):
            found = runs(truth("chinchilla", design), design, trunk_sd=0, point_sd=point_sd, seed=seed)
            tables.append(observations(
                params=found.params, tokens=found.tokens, loss_nats=found.loss_nats, run=alone.astype(str),
            ))  # fmt: skip
    taken = sum(unnamed_curves(one) is not None for one in tables)
    assert taken <= 0.05 * len(tables)


def test_a_size_with_two_rows_at_one_token_count_is_no_single_curve():
    steps = np.repeat(STEPS["few even"], 2)
    assert unnamed_curves(table(steps, seed=0, trunk_sd=0.005)) is None


def test_rows_that_name_their_curves_are_taken_at_their_word():
    bare = table(STEPS["even"], seed=0, trunk_sd=0.005)
    named = observations(params=bare.params, tokens=bare.tokens, loss_nats=bare.loss_nats,
                         trunk=[f"{size:.3g}" for size in bare.params])  # fmt: skip
    assert "--trunk" in unnamed_curves(bare).message
    assert unnamed_curves(named) is None
