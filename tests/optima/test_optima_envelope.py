"""Approach 1 against curves of a law whose optimum is known."""

import numpy as np
import pytest

from isoloss.core.errors import BadTable, Unidentified
from isoloss.laws.chinchilla import Chinchilla
from isoloss.optima.curves import TrainingCurve
from isoloss.optima.envelope import fit_envelope

TRUTH = np.array([1.7, 400.0, 900.0, 0.34, 0.34])
SIZES = np.geomspace(1e7, 3e9, 14)


def curves(*, sizes=SIZES, noise: float = 0.0, seed: int = 0) -> list[TrainingCurve]:
    generator = np.random.default_rng(seed)
    tokens = np.geomspace(1e7, 4e11, 300)
    return [
        TrainingCurve(
            run=f"{n:.0f}", params=float(n), tokens=tokens,
            loss_nats=Chinchilla.loss(TRUTH, params=n, tokens=tokens) * np.exp(noise * generator.normal()),
        )
        for n in sizes
    ]  # fmt: skip


def test_the_envelopes_exponent_is_the_laws() -> None:
    """Sizes stand 1.55 apart, so that the envelope is a staircase: its slope is within .01 over five decades."""
    found = fit_envelope(curves())
    assert found.params_law.slope == pytest.approx(float(Chinchilla.exponent_a(TRUTH)), abs=0.01)
    assert found.params_law.slope + found.tokens_law.slope == pytest.approx(1, abs=1e-9)
    best = np.exp(Chinchilla.log_optimum(TRUTH, log_flops=np.log(1e20)))
    assert found.params_law.at(1e20).value == pytest.approx(float(best), rel=0.05)


def test_the_envelope_is_below_every_curve() -> None:
    found = fit_envelope(curves(noise=0.01), budgets=200, draws=0)
    for one in curves(noise=0.01):
        within = (found.flops > one.flops[0]) & (found.flops < one.flops[-1])
        loss = np.exp(np.interp(np.log(found.flops[within]), np.log(one.flops), np.log(one.loss_nats)))
        assert (found.loss_nats[within] <= loss + 1e-12).all()


def test_intervals_come_from_curves_and_hold_the_truth() -> None:
    found = fit_envelope(curves(noise=0.002, seed=4), budgets=300)
    a = found.params_law.exponent
    assert a.low < float(Chinchilla.exponent_a(TRUTH)) < a.high
    again = fit_envelope(curves(noise=0.002, seed=4), budgets=300)
    np.testing.assert_array_equal(found.params_law.draws, again.params_law.draws)


def test_too_few_sizes_or_an_envelope_at_the_edge_are_refused() -> None:
    with pytest.raises(BadTable, match="2 sizes"):
        fit_envelope(curves(sizes=SIZES[:2]))
    worse_when_larger = [
        TrainingCurve(run=c.run, params=c.params, tokens=c.tokens, loss_nats=c.loss_nats + i)
        for i, c in enumerate(curves(sizes=SIZES[:4]))
    ]
    with pytest.raises(Unidentified, match="smallest or the largest"):
        fit_envelope(worse_when_larger, budgets=100)
