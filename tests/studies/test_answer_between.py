"""Scatter between few studies, and p-values of several measures."""

import numpy as np
import pytest
from answer.between import holm, mean_between, scatter_between
from scipy import stats

from isoloss.core.errors import InputError


def test_scatter_of_exact_values_is_their_standard_deviation():
    values = np.random.default_rng(0).normal(3, 0.2, 12)
    found = scatter_between(values, np.full(12, 1e-12))
    assert found.value == pytest.approx(values.std(ddof=1), rel=1e-4)
    # Of k normal values, −2 ln of the restricted likelihood is (k − 1)(ln σ² + s²/σ²).
    loss = [11 * (np.log(end**2) + values.var(ddof=1) / end**2) for end in (found.value, found.low, found.high)]
    assert loss[1] - loss[0] == pytest.approx(stats.chi2.ppf(0.95, 1), rel=1e-4)
    assert loss[2] - loss[0] == pytest.approx(stats.chi2.ppf(0.95, 1), rel=1e-4)


def test_values_that_differ_by_their_noise_alone_have_no_scatter():
    found = scatter_between(np.array([1.0, 1.1, 0.9, 1.05]), np.full(4, 0.04))
    assert found.value == 0
    assert found.low == 0
    assert 0 < found.high < 1


def test_the_interval_of_the_scatter_holds_it_nineteen_times_in_twenty():
    generator = np.random.default_rng(1)
    sds = np.linspace(0.03, 0.09, 12)
    held = []
    for _ in range(400):
        found = scatter_between(generator.normal(0, np.hypot(0.2, sds)), sds**2)
        held.append(found.low <= 0.2 <= found.high)
    # Three standard errors of 400 trials are .033.
    assert np.mean(held) == pytest.approx(0.95, abs=0.033)


def test_the_mean_of_exact_values_has_students_interval():
    values = np.random.default_rng(2).normal(3, 0.2, 9)
    found = mean_between(values, np.full(9, 1e-10))
    half = stats.t.ppf(0.975, 8) * values.std(ddof=1) / 3
    assert found.value == pytest.approx(values.mean())
    assert found.high - found.value == pytest.approx(half, rel=1e-4)


def test_without_scatter_exact_values_count_more():
    found = mean_between(np.array([1.0, 1.0, 1.2]), np.array([0.01, 0.01, 1.0]))
    assert found.value == pytest.approx(1 + 0.2 / 201)


def test_two_values_have_no_scatter_to_speak_of():
    with pytest.raises(InputError, match="2 values"):
        scatter_between(np.array([1.0, 2.0]), np.ones(2))


def test_p_values_are_corrected_for_their_number():
    # The example of Holm's method: .01, .04, .03 become .03, .06, .06.
    assert holm(np.array([0.01, 0.04, 0.03])) == pytest.approx([0.03, 0.06, 0.06])
    assert holm(np.array([0.5, 0.9])) == pytest.approx([1.0, 1.0])
