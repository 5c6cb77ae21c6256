"""Approach 2 against laws whose optimum is known, and its parts against SciPy's."""

import numpy as np
import pytest

from isoloss.core.errors import BadTable, InputError, Unidentified
from isoloss.laws.chinchilla import Chinchilla
from isoloss.optima.isoflop import fit_isoflop
from isoloss.optima.isoflop_cost import accuracy_by_cost
from isoloss.optima.power_line import fit_power_law
from isoloss.optima.seed_noise import SeedNoise
from isoloss.runs.observations import Observations, observations
from laws_tables import read_csv

TRUTH = np.array([1.7, 400.0, 900.0, 0.34, 0.28])
OTHER_TRUTH = np.array([1.8, 500.0, 900.0, 0.35, 0.32])  # 29 tokens per parameter at 1e19
BUDGETS = tuple(1e17 * 4.0**i for i in range(6))


def equal_compute(*, sizes: int = 9, reach: float = 6.0, noise: float = 0.0, seed: int = 0) -> Observations:
    """Return runs around every budget's best size, from 1/reach to reach times it."""
    generator = np.random.default_rng(seed)
    rows = []
    for flops in BUDGETS:
        best = float(np.exp(Chinchilla.log_optimum(TRUTH, log_flops=np.log(flops))))
        for params in best * np.geomspace(1 / reach, reach, sizes):
            loss = float(Chinchilla.loss(TRUTH, params=params, tokens=flops / 6 / params))
            rows.append((params, flops / 6 / params, loss + noise * generator.normal(), flops))
    n, d, loss, flops = np.array(rows).T
    return observations(params=n, tokens=d, loss_nats=loss, flops=flops)


@pytest.mark.parametrize(("interpolation", "off"), [("akima", 0.03), ("parabola", 0.08)])
def test_without_noise_the_exponent_and_the_optima_are_the_laws(interpolation: str, off: float) -> None:
    """Akima's grid has steps of 2 % of N; a parabola is biased by the valley's skew, the same at every budget."""
    found = fit_isoflop(equal_compute(), interpolation=interpolation)
    laws = found.laws()
    assert laws.params.slope == pytest.approx(float(Chinchilla.exponent_a(TRUTH)), abs=0.004)
    assert laws.params.slope + laws.tokens.slope == pytest.approx(1, abs=0.008)
    assert laws.ratio.slope == pytest.approx(1 - 2 * laws.params.slope, abs=1e-9)
    for optimum in found.found:
        best = float(np.exp(Chinchilla.log_optimum(TRUTH, log_flops=np.log(optimum.flops))))
        assert optimum.over_params.best == pytest.approx(best, rel=off)


@pytest.mark.parametrize("interpolation", ["akima", "parabola"])
def test_intervals_of_the_exponent_hold_the_truth(interpolation: str) -> None:
    """Of 40 simulated tables, 95 % intervals hold the truth in at least 34: fewer has a chance of 1 in 1,000."""
    truth = float(Chinchilla.exponent_a(TRUTH))
    held = 0
    for seed in range(40):
        table = equal_compute(noise=0.004, seed=seed, reach=8.0)
        exponent = fit_isoflop(table, interpolation=interpolation, noise=0.004, draws=200).laws().params.exponent
        held += exponent.low <= truth <= exponent.high
    assert held >= 34


def test_noise_is_the_tables_own_where_it_has_standard_errors() -> None:
    table = equal_compute()
    with_errors = observations(params=table.params, tokens=table.tokens, loss_nats=table.loss_nats, flops=table.flops,
                               stderr=np.full(len(table), 0.003))  # fmt: skip
    assert len(fit_isoflop(table).laws().params.draws) == 0
    own, given_ = (fit_isoflop(t, noise=n).laws().params.draws for t, n in ((with_errors, None), (table, 0.003)))
    np.testing.assert_array_equal(own, given_)


def test_a_budget_whose_lowest_loss_is_at_an_edge_has_no_optimum_and_shapes_no_law() -> None:
    table = equal_compute()
    least = BUDGETS[0]
    cut = table.select(
        (table.flops != least) | (table.params > np.exp(Chinchilla.log_optimum(TRUTH, log_flops=np.log(least))))
    )
    found = fit_isoflop(cut, noise=0.001)
    assert [optimum.status for optimum in found.optima] == ["on_edge", *["ok"] * 5]
    assert found.laws().params.slope == pytest.approx(float(Chinchilla.exponent_a(TRUTH)), abs=0.01)


def test_a_budget_without_an_optimum_shows_none() -> None:
    """Of sizes all above the best one the smallest is lowest: its place is no best size."""
    table = equal_compute()
    best = np.exp([float(Chinchilla.log_optimum(TRUTH, log_flops=np.log(c))) for c in table.flops])
    found = fit_isoflop(table.select(table.params > 1.2 * best), noise=0.001)
    for optimum in found.optima:
        shown = optimum.to_json()
        assert shown["status"] == "on_edge"
        assert [shown[key] for key in ("params", "tokens", "tokens_per_param", "loss")] == [None] * 4


def checkpoints(count: int) -> Observations:
    """Return five curves of evenly spaced checkpoints: rows of any compute have a neighbour within 2 %."""
    sizes = np.repeat([1e8, 2e8, 4e8, 8e8, 1.6e9], count)
    tokens = 6e10 * np.tile(np.arange(1, count + 1) / count, 5)
    loss = Chinchilla.loss(OTHER_TRUTH, params=sizes, tokens=tokens)
    return observations(params=sizes, tokens=tokens, loss_nats=loss)


@pytest.mark.parametrize("count", [100, 300])
def test_no_budget_is_a_chain_of_checkpoints_of_other_compute(count: int) -> None:
    table = checkpoints(count)
    found = fit_isoflop(table)
    for optimum in found.found:
        flops = 6 * optimum.params * optimum.tokens
        assert flops.max() / flops.min() < 1.02**6
        assert 6 * optimum.best_params.value * optimum.best_tokens.value == pytest.approx(optimum.flops, rel=0.1)
    assert len(found.found) > 10
    assert sum(len(optimum.params) == 5 for optimum in found.optima) >= 5


def test_scattered_runs_of_one_budget_share_it() -> None:
    """Of runs within 4 % of their budgets, as those of Hoffmann et al. 2022, every budget stays one."""
    table = equal_compute(sizes=17)
    off = np.tile(1.005 ** np.arange(-8, 9), len(BUDGETS))
    scattered = observations(params=table.params, tokens=table.tokens * off, loss_nats=table.loss_nats)
    assert [len(optimum.params) for optimum in fit_isoflop(scattered).optima] == [17] * len(BUDGETS)


def test_tokens_at_the_best_size_go_by_the_tables_own_flops() -> None:
    """C = (6·N + 3e8)·D is no multiple of N·D: D* and D*/N* of a budget follow from it, and agree."""
    flops = np.repeat([1e18, 3e18, 1e19, 3e19], 13)
    sizes = np.tile(np.geomspace(2e7, 1.28e9, 13), 4)
    tokens = flops / (6 * sizes + 3e8)
    loss = Chinchilla.loss(OTHER_TRUTH, params=sizes, tokens=tokens)
    found = fit_isoflop(observations(params=sizes, tokens=tokens, loss_nats=loss, flops=flops), noise=0.001)
    first = found.optima[0]
    assert first.best_params.value == pytest.approx(1.15e8, rel=0.03)
    assert first.best_tokens.value == pytest.approx(1.01e9, rel=0.03)
    assert first.tokens_per_param.value == pytest.approx(8.76, rel=0.05)
    for optimum in found.optima:
        both = optimum.best_tokens.value / optimum.best_params.value
        assert optimum.tokens_per_param.value == pytest.approx(both, rel=1e-2)
    laws = found.laws()
    assert laws.ratio.slope == pytest.approx(0.272, abs=0.012)
    assert laws.tokens.slope - laws.params.slope == pytest.approx(laws.ratio.slope, abs=0.012)


def test_noise_larger_than_the_valley_leaves_no_optimum() -> None:
    found = fit_isoflop(equal_compute(sizes=3, reach=1.05), noise=0.5)
    assert {optimum.status for optimum in found.optima} == {"unstable"}
    with pytest.raises(Unidentified, match="^0 of"):
        found.laws()


def test_of_several_runs_of_a_size_the_lowest_counts_and_near_budgets_are_one() -> None:
    table = equal_compute()
    doubled = observations(
        params=np.tile(table.params, 2), tokens=np.tile(table.tokens, 2),
        loss_nats=np.concatenate([table.loss_nats, table.loss_nats + 0.5]),
        flops=np.concatenate([table.flops, table.flops * 1.01]),
    )  # fmt: skip
    found = fit_isoflop(doubled)
    assert len(found.optima) == len(BUDGETS)
    assert found.laws().params.slope == pytest.approx(fit_isoflop(table).laws().params.slope, abs=1e-12)


def test_runs_that_share_no_budget_are_refused() -> None:
    table = observations(params=[1e6, 2e6, 4e6], tokens=[1e8, 3e8, 9e8], loss_nats=[3, 2.9, 2.8])
    with pytest.raises(BadTable, match="do not share budgets"):
        fit_isoflop(table)
    with pytest.raises(InputError, match="did you mean 'akima'"):
        fit_isoflop(equal_compute(), interpolation="akimo")  # type: ignore[arg-type]


def test_same_seed_same_numbers() -> None:
    first, again, other = (fit_isoflop(equal_compute(), noise=0.003, seed=s).laws().params.draws for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_seed_noise_is_level_outside_its_losses_and_a_power_law_between() -> None:
    noise = SeedNoise(low=0.002, high=0.05, loss_low=3, loss_high=7)
    np.testing.assert_allclose(noise.at([1, 3, np.sqrt(21), 7, 9]), [0.002, 0.002, 0.01, 0.05, 0.05], rtol=1e-12)
    with pytest.raises(InputError, match="ascend"):
        SeedNoise(low=0.002, high=0.05, loss_low=7, loss_high=3)


def test_a_power_law_is_found_and_weights_silence_a_bad_point() -> None:
    x = np.geomspace(1, 1e4, 6)
    y = 3 * x**0.7
    fit = fit_power_law(x, y)
    assert (fit.slope, np.exp(fit.log_coefficient), fit.r2) == pytest.approx((0.7, 3, 1), rel=1e-12)
    y[2] *= 2
    weighted = fit_power_law(x, y, log_std=np.where(np.arange(6) == 2, 1e6, 1.0))
    assert weighted.slope == pytest.approx(0.7, abs=1e-9)
    with pytest.raises(BadTable, match="distinct budgets"):
        fit_power_law([1, 1], [2, 3])


def test_accuracy_costs_what_its_runs_cost() -> None:
    """A size shared by two budgets is paid once up to the larger; runs beyond 100 tokens per parameter are not."""
    table = equal_compute(sizes=5, reach=2.0)
    anytime = accuracy_by_cost(table, budgets=BUDGETS, noise=0.002, draws=100)
    apart = accuracy_by_cost(table, budgets=BUDGETS, noise=0.002, draws=100, anytime=False)
    needed = table.select(table.tokens / table.params <= 100)
    assert [point.budgets for point in anytime] == [3, 4, 5, 6]
    assert apart[-1].cost == pytest.approx(needed.flops.sum())
    by_size = {size: needed.flops[needed.params == size].max() for size in set(needed.params.tolist())}
    assert anytime[-1].cost == pytest.approx(sum(by_size.values()))
    assert anytime[-1].law.exponent.width < anytime[0].law.exponent.width
    with pytest.raises(InputError, match="2 budgets"):
        accuracy_by_cost(table, budgets=BUDGETS[:2], noise=0.002)


def test_the_exponents_of_fifteen_public_sweeps_are_near_the_published_ones() -> None:
    """Porian et al. 2024 publish theirs by Akima's interpolation; a parabola through every size is off by up to .08."""
    published = {
        row["config"]: float(row["exponent"])
        for row in read_csv("porian2024/fits.csv")
        if (row["fit"], row["quantity"]) == ("weighted", "n_star")
    }
    points, off = read_csv("porian2024/isoflop_points.csv"), []
    for config, exponent in published.items():
        own = [row for row in points if row["config"] == config]
        n, d, flops, loss = (np.array([float(row[name]) for row in own]) for name in ("n", "t", "flops", "loss"))
        sweep = observations(params=n, tokens=d, loss_nats=loss, flops=flops)
        off.append(fit_isoflop(sweep).laws().params.slope - exponent)
    assert len(off) == 15
    assert np.abs(off).max() < 0.04
    assert np.sqrt(np.mean(np.square(off))) < 0.02
