"""The four questions of a plan, against Chinchilla's closed forms and against each other."""

import numpy as np
import pytest

from isoloss.core.errors import InputError, Unidentified
from isoloss.fitting.fitting import fit
from isoloss.planning.laws import PlanLaw
from isoloss.planning.splits import Question, split
from laws_tables import simulated

SIZES, TOKENS = (1e4, 3e4, 1e5, 3e5, 1e6), (1e5, 3e5, 1e6, 3e6, 1e7)


@pytest.fixture(scope="module")
def law():
    return fit(simulated(sizes=SIZES, tokens=TOKENS, point_sd=0.002), bootstrap=50)


def test_a_budget_is_split_as_the_frontier_says(law):
    found, point = split(PlanLaw.of_fit(law), Question(flops=1e12)), law.optimum(1e12)
    assert found.params[0] == pytest.approx(point.params.value, rel=1e-9)
    assert found.flops == pytest.approx(np.full(51, 1e12), rel=1e-9)


@pytest.mark.parametrize("given", ["params", "tokens", "target_loss"])
def test_what_a_budget_gives_gives_back_the_budget(law, given):
    """The cheapest budget for the best loss of C is C; the budget whose best size is N*(C) is C; so for D*."""
    best = split(PlanLaw.of_fit(law), Question(flops=1e12))
    value = {"params": best.params, "tokens": best.tokens, "target_loss": [law.optimum(1e12).loss.value]}[given][0]
    assert split(PlanLaw.of_fit(law), Question(**{given: value})).flops[0] == pytest.approx(1e12, rel=1e-6)


@pytest.mark.parametrize("fixed", ["params", "tokens"])
def test_a_loss_at_a_fixed_size_or_length_is_met_exactly_by_every_draw(law, fixed):
    found = split(PlanLaw.of_fit(law), Question(target_loss=1.6, **{fixed: 2e5 if fixed == "params" else 2e6}))
    loss = PlanLaw.of_fit(law).loss(found.params, found.tokens)
    solved = np.isfinite(loss)
    assert solved.mean() > 0.9
    assert loss[solved] == pytest.approx(np.full(solved.sum(), 1.6), abs=1e-9)


def test_a_loss_below_the_laws_floor_is_never_reached(law):
    with pytest.raises(Unidentified, match="cannot reach"):
        split(PlanLaw.of_fit(law), Question(target_loss=0.9 * law.params["E"].value))


def test_too_much_and_too_little_are_no_question():
    for asked in ({}, {"flops": 1.0, "target_loss": 1.0}, {"flops": 1.0, "params": 1.0, "tokens": 1.0}):
        with pytest.raises(InputError, match="not one question"):
            Question(**asked)
    with pytest.raises(InputError, match="above zero"):
        Question(flops=-1.0)
