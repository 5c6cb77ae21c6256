"""E + A/C^α: recovered from its own numbers, with intervals, and refused where nothing falls."""

import numpy as np
import pytest

from isoloss.core.errors import BadTable
from isoloss.optima.saturating import fit_saturating

FLOPS = np.geomspace(1e16, 1e19, 10)


@pytest.mark.parametrize(
    ("E", "alpha", "above"), [(2.0, 0.11, 2.5), (0.0, 0.05, 4.0), (3.2, 0.35, 1.5), (1.5, 0.8, 3.0)]
)
def test_a_law_is_recovered_from_its_own_numbers(E: float, alpha: float, above: float) -> None:
    A = above * FLOPS[0] ** alpha
    found = fit_saturating(FLOPS, E + A * FLOPS**-alpha)
    # At E = 0 the optimum lies at the bound of the search: it is approached, not crossed.
    assert pytest.approx(E, abs=2e-4) == found.E
    assert found.alpha == pytest.approx(alpha, rel=1e-3)
    np.testing.assert_allclose(found.loss_at([1e20]), E + A * 1e20**-alpha, rtol=1e-4)


def test_the_optimum_is_no_worse_than_any_point_around_it() -> None:
    generator = np.random.default_rng(3)
    loss = (2 + 300 * FLOPS**-0.13) * np.exp(generator.normal(0, 0.004, len(FLOPS)))
    found = fit_saturating(FLOPS, loss)

    def misfit(E: float, A: float, alpha: float) -> float:
        return float(((np.log(loss) - np.log(E + A * FLOPS**-alpha)) ** 2).sum())

    best = misfit(found.E, found.A, found.alpha)
    for _ in range(300):
        moved = np.exp(generator.normal(0, 0.02, 3))
        assert misfit(found.E * moved[0], found.A * moved[1], found.alpha * moved[2]) >= best


def test_intervals_come_from_the_draws_and_hold_the_truth() -> None:
    truth = 2.0 + 300 * FLOPS**-0.13
    draws = truth[:, None] * np.exp(np.random.default_rng(0).normal(0, 0.002, (len(FLOPS), 300)))
    found = fit_saturating(FLOPS, truth, draws=draws)
    for name, value in (("E", 2.0), ("A", 300), ("alpha", 0.13)):
        estimate = found.estimates()[name]
        assert estimate.low < value < estimate.high
    low, high = found.band([1e21])
    assert low[0] < 2 + 300 * 1e21**-0.13 < high[0]


def test_a_point_of_no_weight_does_not_matter() -> None:
    loss = 2 + 300 * FLOPS**-0.13
    spoiled = loss.copy()
    spoiled[4] *= 1.2
    found = fit_saturating(FLOPS, spoiled, log_std=np.where(np.arange(10) == 4, 1e3, 1e-3))
    assert found.alpha == pytest.approx(0.13, rel=1e-3)


def test_too_few_budgets_or_losses_that_rise_are_refused() -> None:
    with pytest.raises(BadTable, match="3 budgets"):
        fit_saturating(FLOPS[:3], [3, 2.9, 2.85])
    with pytest.raises(BadTable, match="does not fall"):
        fit_saturating(FLOPS, np.linspace(2, 3, 10))
