"""Held-out windows that the training side holds verbatim are found, wherever they stand."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from isoloss.corpus import overlap
from isoloss.corpus.overlap import stand_in


@given(
    arrays(np.uint16, st.integers(1, 300), elements=st.integers(0, 2)),
    arrays(np.uint16, st.tuples(st.integers(1, 6), st.integers(1, 9)), elements=st.integers(0, 2)),
)
def test_a_window_is_found_where_a_search_finds_it(tokens, windows):
    places = range(len(tokens) - windows.shape[1] + 1)
    expected = [any(np.array_equal(tokens[i : i + len(row)], row) for i in places) for row in windows]
    assert stand_in(tokens, windows).tolist() == expected


def test_places_across_pieces_of_the_search_are_searched(monkeypatch):
    monkeypatch.setattr(overlap, "CHUNK", 64)
    tokens = np.random.default_rng(0).integers(0, 60_000, 1000).astype(np.uint16)
    every = np.lib.stride_tricks.sliding_window_view(tokens, 50)
    assert stand_in(tokens, every).all()
    assert not stand_in(tokens[:-1], every[-1:]).any()
