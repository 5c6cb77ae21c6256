"""The held-out split: whole windows, no document on both sides, the same wherever the files lie."""

from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoloss.core.errors import BadCorpus
from isoloss.corpus.split import Split, heldout_documents, share_windows, split_documents

CONTEXT = 16
document_lengths = st.lists(st.integers(CONTEXT, 60 * CONTEXT), min_size=2, max_size=60)


def split(lengths, *, fraction=0.1, heldout_tokens=40 * CONTEXT, train_tokens=None, seed=0) -> Split:
    digests = [sha256(str(i).encode()).digest() for i in range(len(lengths))]
    return split_documents(
        digests, np.array(lengths), context=CONTEXT, fraction=fraction, heldout_tokens=heldout_tokens,
        train_tokens=train_tokens, seed=seed,
    )  # fmt: skip


@given(document_lengths, st.integers(0, 5))
def test_a_document_stands_on_one_side_and_held_out_spans_lie_inside_it(lengths, seed):
    parts = split(lengths, seed=seed)
    assert sorted([*parts.train, *parts.heldout]) == list(range(len(lengths)))
    assert np.all(parts.heldout_start % CONTEXT == 0)
    assert np.all(parts.heldout_start + parts.heldout_length <= np.array(lengths)[parts.heldout])
    assert np.all(parts.heldout_length >= CONTEXT)
    assert parts.heldout_length.sum() <= 40 * CONTEXT


@given(document_lengths)
def test_the_order_in_which_files_are_found_changes_nothing(lengths):
    digests = [sha256(str(i).encode()).digest() for i in range(len(lengths))]
    settings = {"context": CONTEXT, "fraction": 0.1, "heldout_tokens": 640, "train_tokens": None, "seed": 0}
    there = split_documents(digests, np.array(lengths), **settings)
    back = split_documents(digests[::-1], np.array(lengths[::-1]), **settings)
    mirrored = len(lengths) - 1 - back.train
    assert there.train.tolist() == mirrored.tolist()
    assert there.heldout_start.tolist() == back.heldout_start.tolist()


@given(st.lists(st.integers(1, 500), min_size=1, max_size=80), st.integers(1, 2000))
def test_windows_are_shared_in_proportion_to_length(available, windows):
    windows = max(windows, len(available))
    quota = share_windows(np.array(available), windows)
    assert np.all((quota >= 1) & (quota <= available))
    assert quota.sum() == min(windows, sum(available))
    longer_gives_no_less = np.diff(quota[np.argsort(available, kind="stable")])
    assert np.all(longer_gives_no_less >= -1)  # a remainder goes to one of equals


def test_held_out_tokens_are_a_sample_of_the_tokens_not_of_the_documents():
    # Half of the documents are ten times as long: they hold 10/11 of the tokens, and should of the held-out ones.
    long = np.tile([False, True], 500)
    parts = split(np.where(long, 200 * CONTEXT, 20 * CONTEXT).tolist(), heldout_tokens=2000 * CONTEXT)
    share = parts.heldout_length[long[parts.heldout]].sum() / parts.heldout_length.sum()
    # 100 held-out documents: the share of long ones has a standard error of .05, the share of tokens of .01.
    assert share == pytest.approx(10 / 11, abs=0.03)


def test_held_out_windows_are_not_the_openings_of_their_documents():
    parts = split([100 * CONTEXT] * 400, heldout_tokens=40 * CONTEXT)
    where = parts.heldout_start / (99 * CONTEXT)
    assert where.mean() == pytest.approx(0.5, abs=0.15)  # 40 uniform draws: standard error .046


def test_few_documents_still_give_a_standard_error_but_never_most_of_the_text():
    assert heldout_documents(10_000, 0.05) == 500
    assert heldout_documents(42, 0.05) == 8
    assert heldout_documents(10, 0.05) == 2
    assert heldout_documents(2, 0.05) == 1


def test_training_stops_at_the_tokens_wanted():
    parts = split([10 * CONTEXT + 3] * 100, train_tokens=30 * CONTEXT)
    assert len(parts.train) == 3


@pytest.mark.parametrize(("lengths", "heldout_tokens", "said"), [([64], 640, "two are needed"), ([64, 64], 15, "16")])
def test_an_empty_side_is_an_error_with_a_remedy(lengths, heldout_tokens, said):
    with pytest.raises(BadCorpus, match=said) as caught:
        split(lengths, heldout_tokens=heldout_tokens)
    assert caught.value.fix
