"""How further corpora are drawn: each coefficient and each combination as Student's t says."""

import numpy as np
from scipy import stats

from isoloss.data_dependence.scatter import draw_deviations


def test_every_combination_of_coefficients_has_its_own_t_interval():
    """Two levels that go together by .95: their difference scatters a fifth as much as either, and draws say so."""
    generator = np.random.default_rng(3)
    common = generator.standard_normal((9, 1))
    known = np.hstack([common + 0.2 * generator.standard_normal((9, 2)), generator.standard_normal((9, 3))])
    known -= known.mean(axis=0)
    left = np.full(5, 8.0)
    scatter = np.sqrt((known**2).sum(axis=0) / 8)
    drawn = draw_deviations(known, scatter, left, (40_000, 5), seed=0, purpose="test")
    for combination in (np.eye(5)[0], np.array([1.0, -1.0, 0, 0, 0]), np.array([0.3, 0.1, -1.0, 0.5, 0.2])):
        spread = np.sqrt(((known @ combination) ** 2).sum() / 8)
        found = np.quantile(drawn @ combination, [0.025, 0.975])
        # Two thousand draws lie beyond the ends: their place is known to 2 %.
        np.testing.assert_allclose(found, spread * stats.t.ppf([0.025, 0.975], 8), rtol=0.05)


def test_a_coefficient_in_which_no_corpus_deviates_stays():
    known = np.zeros((6, 5))
    known[:, 0] = [1, -1, 2, -2, 1, -1]
    drawn = draw_deviations(known, np.array([1.5, 0, 0, 0, 0]), np.full(5, 5.0), (10, 5), seed=0, purpose="test")
    assert (drawn[:, 1:] == 0).all()
    assert (drawn[:, 0] != 0).all()
