"""Corpora are compared by the mean over budgets, and other held-out documents widen what is said."""

import numpy as np
import pytest

from isoloss.arena.truths import DESIGNS, runs, truth
from isoloss.core.errors import InputError
from isoloss.optima.documents import document_shifts
from isoloss.optima.mean_split import mean_splits, shared_budgets
from isoloss.runs.observations import Observations, observations

STAIRCASE = DESIGNS["staircase"]


def two_corpora(shift: float) -> Observations:
    """Return one surface as two corpora, the second's best split `shift` higher in ln(D/N)."""
    surface = truth("chinchilla", STAIRCASE)
    first = runs(surface, STAIRCASE, trunk_sd=0.002, point_sd=0.002, seed=1)
    n, d = STAIRCASE.params * np.exp(shift / 2), STAIRCASE.tokens * np.exp(-shift / 2)
    second = surface.loss(n, d) * np.exp(np.random.default_rng(2).normal(0, 0.002, len(n)))
    return observations(
        params=np.tile(STAIRCASE.params, 2), tokens=np.tile(STAIRCASE.tokens, 2),
        loss_nats=np.concatenate([first.loss_nats, second]), corpus=["a"] * len(n) + ["b"] * len(n),
        trunk=[f"{name}{i}" for name in "ab" for i in STAIRCASE.trunk],
    )  # fmt: skip


def test_a_planted_difference_between_corpora_comes_back():
    found = {one.corpus: one for one in mean_splits(two_corpora(0.4), draws=200)}
    assert [len(one.budgets) for one in found.values()] == [3, 3]
    a, b = found["a"], found["b"]
    assert a.log_ratio is not None
    assert b.log_ratio is not None
    assert b.log_ratio.value - a.log_ratio.value == pytest.approx(0.4, abs=4 * np.hypot(a.sd, b.sd))
    assert a.log_ratio.value == pytest.approx(np.mean([np.log(o.tokens_per_param.value) for o in a.budgets]))


def test_noise_does_not_choose_the_budgets_of_a_design():
    design = DESIGNS["demo"]
    surface = truth("chinchilla", design)
    tables = [runs(surface, design, trunk_sd=0.02, point_sd=0.01, seed=seed) for seed in range(12)]
    found = {shared_budgets(table) for table in tables}
    assert len(found) > 1  # where the best size is inside the runs is an estimate
    low, high = max(first for first, *_ in found), min(last for *_, last in found)
    planned = (low, (low * high) ** 0.5, high)
    assert {shared_budgets(table, planned=planned) for table in tables} == {planned}
    outside = (low, high, 2 * tables[0].flops.max())
    assert {shared_budgets(table, planned=outside) for table in tables} == found


def test_budgets_are_shared_by_all_corpora():
    table = two_corpora(0.0)
    low, middle, high = shared_budgets(table)
    assert table.flops.min() < low < middle < high < table.flops.max()
    one = table.where(corpus="a")
    far = observations(
        params=np.concatenate([one.params, one.params * 1e4]), tokens=np.concatenate([one.tokens, one.tokens * 1e4]),
        loss_nats=np.tile(one.loss_nats, 2), corpus=["a"] * len(one) + ["far"] * len(one),
        trunk=[f"{name}{i}" for name in "af" for i in STAIRCASE.trunk],
    )  # fmt: skip
    # No budget lies in both: those of one of them are taken, and the other corpus has no mean.
    budgets = shared_budgets(far)
    found = {split.corpus: split for split in mean_splits(far, budgets=budgets, draws=20)}
    assert [name for name, split in found.items() if split.log_ratio is None] in (["a"], ["far"])
    three = observations(
        params=np.tile(one.params, 3), tokens=np.concatenate([one.tokens, one.tokens * 2, far.tokens[len(one) :]]),
        loss_nats=np.tile(one.loss_nats, 3), corpus=np.repeat(["a", "b", "c"], len(one)),
    )  # fmt: skip
    assert all(shared_budgets(three)[i] < 2 * one.flops.max() for i in range(3))
    with pytest.raises(InputError, match="no corpus has a budget"):
        shared_budgets(one.select(np.arange(2)))


def test_documents_that_disagree_widen_the_interval():
    table = two_corpora(0.0)
    rows, documents = len(table), 16
    generator = np.random.default_rng(0)
    size = np.log(table.params) - np.log(table.params).mean()
    easy = generator.normal(0, 0.1, documents)  # large models gain more on some documents than on others
    nats = table.loss_nats[:, None] * (1 + easy * size[:, None]) * 100.0
    shifts = document_shifts(nats, np.full(documents, 100.0), draws=200)
    assert shifts.shape == (200, rows)
    without = mean_splits(table, draws=200)[0].sd
    assert mean_splits(table, shifts=shifts, draws=200)[0].sd > 1.5 * without


def test_documents_that_agree_move_no_run_against_another():
    nats = np.outer([1.0, 2.0, 3.0], [100.0, 150.0, 200.0])
    shifts = document_shifts(nats, np.array([100.0, 100.0, 100.0]), draws=50)
    assert np.allclose(shifts, shifts[:, :1])
    with pytest.raises(InputError):
        document_shifts(nats[:, :1], np.array([100.0]), draws=5)
