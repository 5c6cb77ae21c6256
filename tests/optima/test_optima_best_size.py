"""The best size of a budget: known surfaces give their own optimum back, whatever their form, or a reason."""

import csv
from pathlib import Path

import numpy as np
import pytest

from isoloss.core.errors import InputError
from isoloss.laws.coupled import Coupled
from isoloss.optima.best_size import best_sizes
from isoloss.optima.inside import Reach, usual_budgets
from isoloss.runs.observations import observations

STUDIES = Path(__file__).parents[2] / "studies"
SIZES = np.array([6.7e3, 1.2e4, 2.5e4, 5e4, 1e5, 2e5])
LONGEST = (3.2e6, 3.2e6, 1.6e6, 8e5, 4e5, 4e5)
# Like C code in bytes: about 40 tokens per parameter at 1e11 FLOPs.
TRUTH = {"E": 0.9, "A": 0.45 * 3e4**0.32, "B": 0.55 * 1e6**0.36, "alpha": 0.32, "beta": 0.36}


def staircase(gamma, *, seed=0, trunk_sd=0.004, point_sd=0.004, sizes=SIZES):
    """Runs of six sizes, small ones long and large ones short, with a trunk each."""
    generator = np.random.default_rng(seed)
    values = np.array([*TRUTH.values(), gamma])
    n = np.concatenate([[size] * int(np.log2(end / 5e4) + 1) for size, end in zip(sizes, LONGEST, strict=True)])
    d = np.concatenate([5e4 * 2.0 ** np.arange(int(np.log2(end / 5e4) + 1)) for end in LONGEST])
    trunk = np.searchsorted(sizes, n)
    noise = generator.normal(0, trunk_sd, len(sizes))[trunk] + generator.normal(0, point_sd, len(n))
    loss = Coupled.loss(values, params=n, tokens=d) * np.exp(noise)
    return observations(params=n, tokens=d, loss_nats=loss, trunk=[f"t{i}" for i in trunk], corpus="planted")


def true_ratio(gamma, flops):
    log_n = Coupled.log_optimum(np.array([*TRUTH.values(), gamma]), log_flops=float(np.log(flops)))
    return float(np.log(flops / 6) - 2 * log_n)


@pytest.mark.parametrize("gamma", [1.0, 0.4])
def test_the_planted_split_lies_in_the_interval_and_near_the_middle(gamma):
    held, off = 0, []
    for seed in range(8):
        (found,) = best_sizes(staircase(gamma, seed=seed), budgets=[1e11], draws=200)
        assert found.inside
        ratio, truth = found.tokens_per_param, true_ratio(gamma, 1e11)
        held += ratio.low < np.exp(truth) < ratio.high
        off.append(np.log(ratio.value) - truth)
        assert found.params.value * found.tokens.value * 6 == pytest.approx(1e11, rel=1e-2)
    assert held >= 7  # eight intervals of 95 % hold at least seven with probability .94
    assert abs(np.mean(off)) < 0.1  # eight replicates, each off by .1 or so


def test_a_form_that_misfits_loses_its_weight():
    # At γ = .4 Chinchilla's law is off by more than the noise: unseen trunks show it.
    (found,) = best_sizes(staircase(0.4, trunk_sd=0.001, point_sd=0.001), budgets=[1e11], draws=100)
    weights = {form.form: form.weight for form in found.forms}
    assert weights["chinchilla"] < 0.01
    assert sum(weights.values()) == pytest.approx(1)


def test_an_optimum_outside_the_sizes_is_named_and_not_estimated():
    large = staircase(1.0, sizes=SIZES * 30)
    (found,) = best_sizes(large, budgets=[float(np.median(large.flops))], draws=50)
    assert not found.inside
    assert found.tokens_per_param is None
    assert "smallest size" in found.reason


def test_a_budget_that_few_sizes_reach_is_named():
    found = best_sizes(staircase(1.0), budgets=[1e8, 1e15], draws=50)
    assert [one.inside for one in found] == [False, False]
    assert all("both sides" in one.reason for one in found)


def test_usual_budgets_lie_inside_the_runs():
    table = staircase(1.0)
    budgets = usual_budgets(table)
    assert len(budgets) == 3
    reach = Reach.of(table)
    assert all(reach.covered(budget).sum() >= 3 for budget in budgets)


@pytest.fixture
def sparse():
    """Sizes and tokens per parameter a factor of two apart: between some budgets only two sizes have runs around."""
    n, each = (one.ravel() for one in np.meshgrid(2e7 * 2.0 ** np.arange(7), 4 * 2.0 ** np.arange(6)))
    return planted(n, n * each)


@pytest.fixture
def equal_compute():
    """Five budgets, each with seven sizes around its own optimum: no size has runs of two budgets."""
    flops = np.repeat([1e18, 3e18, 1e19, 3e19, 1e20], 7)
    n = np.sqrt(flops / 6 / 27) * np.tile(2.0 ** np.arange(-1.5, 2, 0.5), 5)
    return planted(n, flops / 6 / n)


def planted(n, d):
    loss = (1.8 + 500 / n**0.35 + 900 / d**0.32) * np.exp(np.random.default_rng(0).normal(0, 0.002, len(n)))
    return observations(params=n, tokens=d, loss_nats=loss)


def test_usual_budgets_span_the_runs_where_budgets_inside_alternate_with_others(sparse, equal_compute):
    assert max(usual_budgets(sparse)) > 100 * min(usual_budgets(sparse))
    assert usual_budgets(equal_compute) == pytest.approx([1e18, 1e19, 1e20], rel=0.1)
    for table in (sparse, equal_compute):
        assert all(one.inside for one in best_sizes(table, draws=20))


def test_a_budget_between_those_of_the_runs_is_told_what_it_lacks_itself(equal_compute):
    (found,) = best_sizes(equal_compute, budgets=[5e18], draws=20)
    assert "this budget" in found.reason


def test_rows_that_stand_twice_count_once(sparse):
    twice = sparse.select(np.tile(np.arange(len(sparse)), 2))
    once, again = (best_sizes(table, budgets=[1e19], draws=50)[0] for table in (sparse, twice))
    assert again.tokens_per_param == once.tokens_per_param


def test_the_same_seed_gives_the_same_draws():
    first, again = (best_sizes(staircase(1.0), budgets=[1e11], draws=100)[0] for _ in range(2))
    assert first.to_json() == again.to_json()


def test_budgets_are_positive_numbers():
    with pytest.raises(InputError):
        best_sizes(staircase(1.0), budgets=[-1.0])


def test_a_dip_of_a_form_beyond_the_sizes_is_not_taken_for_the_optimum():
    """Java sources: at 2.4e10 FLOPs 11,136 parameters are best, and a form falls again below 4,544."""
    with (STUDIES / "answer" / "runs.csv").open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["corpus"] == "java"]
    table = observations(
        params=[float(row["params"]) for row in rows], tokens=[float(row["tokens"]) for row in rows],
        loss_nats=[float(row["loss_nats"]) for row in rows], trunk=[row["trunk"] for row in rows], corpus="java",
    )  # fmt: skip
    (found,) = best_sizes(table, budgets=[2.4e10])
    most = 2.4e10 / 6 / min(table.params) ** 2
    assert {form.form: form.tokens_per_param for form in found.forms}["farseer"] < most / 2
    assert found.tokens_per_param.high < most / 2
