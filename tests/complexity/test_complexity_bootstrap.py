"""Intervals that know which sequences belong together."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoloss.complexity.bootstrap import estimate, resampled_unit, weighted_medians


@given(st.lists(st.tuples(st.integers(-5, 5), st.integers(0, 4)), min_size=1, max_size=30))
def test_a_weighted_median_is_the_median_of_the_repeated_values(pairs):
    values, weights = (np.array(column) for column in zip(*sorted(pairs), strict=True))
    if weights.sum() == 0:
        weights[0] = 1
    assert weighted_medians(values.astype(float), weights[None])[0] == np.median(np.repeat(values, weights))


@pytest.mark.parametrize("summary", ["median", "mean"])
def test_the_interval_covers_the_truth_as_often_as_it_says(summary):
    # 40 documents of 25 sequences that share most of their difficulty; 200 texts.
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        document = np.repeat(np.arange(40), 25)
        values = rng.normal(size=40)[document] + 0.3 * rng.normal(size=1000)
        found = estimate(values, document, summary=summary, rng=rng, draws=400)
        covered += found.low <= 0 <= found.high
    # A percentile interval of 40 clusters covers a little less than 95 %; binomial standard error 1.6 %.
    assert 0.90 <= covered / 200 <= 0.99


def test_sequences_of_one_document_are_not_independent():
    rng = np.random.default_rng(0)
    document = np.repeat(np.arange(40), 25)
    values = rng.normal(size=40)[document]
    together = estimate(values, document, summary="mean", rng=np.random.default_rng(1))
    apart = estimate(values, np.arange(1000), summary="mean", rng=np.random.default_rng(1))
    assert together.width > 3 * apart.width  # five times, in expectation: √25


def test_few_documents_are_said_to_be_few():
    assert resampled_unit(np.repeat(np.arange(9), 100)) == "sequence"
    assert resampled_unit(np.repeat(np.arange(10), 100)) == "document"
