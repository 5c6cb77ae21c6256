"""The bundled law: what its runs give, what it plans, and another form next to it."""

import itertools

import numpy as np
import pytest

from isoloss.core.estimate import Estimate
from isoloss.data_dependence.coefficients import log_balance, to_values
from isoloss.fitting.fitting import fit
from isoloss.laws.chinchilla import Chinchilla
from isoloss.planning import shipped
from isoloss.planning.corpus_statistics import CorpusStatistics
from isoloss.planning.laws import PlanLaw
from isoloss.planning.plan import plan
from laws_tables import simulated
from sampling import long


@pytest.fixture(scope="module")
def law():
    return shipped.shipped_law()


def test_the_law_is_what_its_runs_give(law):
    again = shipped.fit_shipped(draws=2)
    assert again.observations == law.observations
    assert again.forms == law.forms
    for complexity in law.complexity.values():
        for there, here in zip(said_of(law, complexity), said_of(again, complexity), strict=True):
            assert here[0] == pytest.approx(there[0], abs=1e-3)
    assert again.pooled.corpora.keys() == law.pooled.corpora.keys()
    for name, (level, sd) in law.pooled.corpora.items():
        assert again.pooled.corpora[name] == pytest.approx((level, sd), abs=0.02 * sd)
    assert again.pooled.along == pytest.approx(law.pooled.along)


@long
def test_its_draws_are_what_its_runs_give(law):
    again = shipped.fit_shipped()
    assert law.draws_converged.mean() >= 0.98
    assert again.draws_converged.mean() >= 0.98
    ended = law.draws_converged & again.draws_converged
    for complexity in sorted(law.complexity.values()):
        for there, here in zip(said_of(law, complexity), said_of(again, complexity), strict=True):
            # Two ends of the optimiser lie within 3e-4 standard errors of each other (joint.TOLERANCE).
            width = np.ptp(np.quantile(there[1:][ended], [0.025, 0.975]))
            assert np.abs(here - there)[1:][ended].max() < 1e-3 * width


def said_of(law, complexity):
    """Losses at the corners and in the middle of the runs, and the balance there, by the functions of law and draws."""
    lines = np.concatenate([law.functions[None], law.draws])
    theta = law.scale.coefficients(lines[..., 0] + complexity * lines[..., 1])
    values = to_values(theta, law.origin)
    middle = float(np.exp(law.origin[0])), float(np.exp(law.origin[1]))
    corners = itertools.product(law.domain.span("params"), law.domain.span("tokens"))
    for params, tokens in (*corners, middle):
        yield np.log(Chinchilla.loss(values, params=np.array(params), tokens=np.array(tokens)))
    yield log_balance(theta, law.origin, log_flops=float(np.log(6) + law.origin.sum()))


def test_its_runs_are_those_of_real_corpora_that_have_laws(law):
    runs = shipped.shipped_texts()
    assert set(runs.corpora) == set(law.corpora)
    assert len(set(law.corpora)) >= 12
    assert shipped.REFERENCE in law.corpora
    assert law.rows_used == len(runs)
    assert law.params_convention == "with_head"
    assert runs.loss_nats.max() < np.log(256)


def test_its_corpora_lie_as_near_to_their_own_runs_as_laws_fitted_to_each_alone(law):
    """The joint law draws corpora towards a line: that may cost a little, or the runs say nothing of their corpus."""
    runs = shipped.shipped_texts()
    for corpus in law.corpora:
        own = runs.where(corpus=corpus)
        joint = law.of(corpus).predict(params=own.params, tokens=own.tokens)
        assert np.std(np.log(own.loss_nats / joint)) < 1.2 * fit(own).rmse


def test_a_law_in_its_own_form_is_itself_and_another_form_agrees_where_the_runs_are():
    own = PlanLaw.of_fit(fit(simulated(point_sd=0.002), bootstrap=20))
    np.testing.assert_allclose(own.in_form("chinchilla").base.every, own.base.every, rtol=1e-4)
    other = own.in_form("kaplan")
    (_, largest), (least, most) = own.base.domain.span("params"), own.base.domain.span("tokens")
    inside, beyond = [largest, least], [1e4 * largest, 1e4 * most]
    gaps = [
        np.abs(np.log(other.loss(*map(own.constant, at)) / own.loss(*map(own.constant, at)))) for at in (inside, beyond)
    ]
    assert gaps[0].max() < 0.1
    assert gaps[1].min() > 0.5  # Kaplan's form has no floor


def test_insisting_widens_by_a_form_that_the_law_brings_itself(law):
    corpus = CorpusStatistics(
        name="mine", vocab_size=256, measures={law.measure: Estimate(value=1.4, low=1.38, high=1.42)}
    )
    found = plan(law, corpus=corpus, flops=1e4 * law.domain.flops_high, extrapolate=True)
    assert set(found.forms) == {"chinchilla", "kaplan"}
    for form in found.forms.values():
        assert found.log_ratio.low <= form.low
        assert form.high <= found.log_ratio.high
