"""Every law recovered from noisy simulation, within its own error, and automatic starts that miss nothing."""

import numpy as np
import pytest

from isoloss.fitting.engine import pose, solve, starting_points
from isoloss.fitting.fitting import fit
from isoloss.laws.registry import laws
from laws_zoo import CASES, dense_starts, random_case

NOISE = 0.002


@pytest.mark.parametrize("name", CASES)
def test_noisy_runs_give_the_losses_of_the_law_back(name):
    """Parameters trade against each other; losses do not: they come back to a part of the noise."""
    case = CASES[name]
    columns = {column: case.columns[column] for column in case.law.columns}
    truth = np.log(case.loss())
    misses = []
    for seed in range(5):
        found = fit(case.table(point_sd=NOISE, seed=seed), law=name, objective="gaussian")
        assert found.convergence.converged
        misses.append(np.log(found.predict(**columns)) - truth)
    # p parameters take up p of n rows' noise; five tables know that share to a third for the fewest parameters, two.
    expected = NOISE * np.sqrt(len(case.truth) / len(truth))
    assert np.sqrt(np.mean(np.square(misses))) < 1.6 * expected


@pytest.mark.parametrize("name", CASES)
def test_intervals_of_a_law_hold_what_it_predicts(name):
    case = CASES[name]
    columns = {column: case.columns[column] for column in case.law.columns}
    truth, held = case.loss(), []
    for seed in range(4):
        law = fit(case.table(point_sd=NOISE, seed=10 + seed), law=name, bootstrap=60, seed=seed, objective="gaussian")
        low, high = np.quantile(law.predict_draws(**columns), [0.025, 0.975], axis=0)
        held.append((low <= truth) & (truth <= high))
    # Sixty draws make 95 % intervals of about 92; rows of one fit move together, and four fits know the share to 10.
    assert np.mean(held) > 0.7


@pytest.mark.parametrize("name", [*laws])
def test_automatic_starts_find_what_dense_ones_find(name):
    """A fast sample of benchmarks/starts.py."""
    for seed in (1000, 1001):
        table, _ = random_case(name, seed)
        problem = pose(table, law=laws[name], objective="huber", delta=1e-3, weights=np.ones(len(table)), fixed={})
        automatic = solve(problem, starting_points(problem, "auto")).objective.min()
        assert automatic <= solve(problem, dense_starts(problem, count=64)).objective.min() * (1 + 1e-6)
