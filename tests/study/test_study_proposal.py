"""What `isoloss next` proposes on runs simulated from a known surface: the interval now, and after the runs."""

from dataclasses import dataclass

import numpy as np
import pytest

from isoloss.arena.truths import Design, Truth, truth
from isoloss.optima.best_size import best_sizes
from isoloss.runs.documents import DocumentLosses
from isoloss.runs.observations import observations
from isoloss.study.check import check_study
from isoloss.study.proposal import gather_evidence, propose
from tiny_study import AROUND, tiny_study

STUDY = tiny_study(f"{AROUND}\nseeds = [0, 1]", training='schedule = "wsd"\nbatch_tokens = 256')
AT, BEST_RATIO = 8.5e9, 27.0
NOISE_SD = 0.01  # of a trunk and of a point, as small models have it that are trained on one window a batch
SPENT = 1e11
FORMS = ("coupled", "chinchilla")
REPLICATES = 10


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    return check_study(STUDY, base=tmp_path_factory.mktemp("study"))


@dataclass
class Simulated:
    """Runs of a study by a known surface. The points of a trunk share its effect, also those added later."""

    surface: Truth
    generator: np.random.Generator
    effects: dict[str, float]
    rows: dict[str, list]

    @classmethod
    def of(cls, checked, *, form="coupled", ratio=BEST_RATIO, seed=0):
        size = np.sqrt(AT / 6 / ratio)
        nothing = np.empty(0)
        surface = truth(form, Design(params=nothing, tokens=nothing, trunk=nothing, centre=(size, AT / 6 / size)))
        made = cls(surface, np.random.default_rng(seed), {}, {"params": [], "tokens": [], "trunk": [], "loss_nats": []})
        made.train(checked.runs, checked.study.grid.convention)
        return made

    def train(self, planned, convention):
        for run in planned:
            params, tokens, trunk = run.counts.params(convention), run.spec.train_tokens, run.spec.trunk
            if trunk not in self.effects:
                self.effects[trunk] = self.generator.normal(0, NOISE_SD)
            noise = self.effects[trunk] + self.generator.normal(0, NOISE_SD)
            loss = self.surface.loss(np.array([float(params)]), np.array([float(tokens)]))[0] * np.exp(noise)
            for column, value in zip(self.rows, (params, tokens, trunk, loss), strict=True):
                self.rows[column].append(value)

    def table(self):
        return observations(**self.rows, corpus="a", flags=[()] * len(self.rows["params"]))


def proposed(checked, table, *, flops=SPENT, **known):
    study = checked.study
    evidence, errors = gather_evidence(study, table, {}, quantity="log_ratio", at_flops=AT, **known)
    assert errors == {}
    (one,) = propose(study, table, evidence, checked.corpora, checked.runs, flops=flops, at_flops=AT)
    return one


def width(table, seed, **known):
    (best,) = best_sizes(table, budgets=[AT], seed=seed, **known)
    return np.log(best.tokens_per_param.high / best.tokens_per_param.low)


def test_the_interval_is_that_of_the_study_and_the_proposed_runs_narrow_it_as_forecast(checked):
    present, forecast, obtained = [], [], []
    for seed in range(REPLICATES):
        made = Simulated.of(checked, form=FORMS[seed % 2], seed=seed)
        proposal = proposed(checked, made.table())
        assert proposal.basis == "forms"
        # An end between two draws is interpolated in ln(D/N) here and in D/N there.
        assert proposal.design.present_width == pytest.approx(width(made.table(), checked.study.seed), rel=1e-3)
        made.train([run.planned for run in proposal.runs], checked.study.grid.convention)
        present.append(proposal.design.present_width)
        forecast.append(proposal.design.expected_width)
        obtained.append(width(made.table(), checked.study.seed))
    ratios = np.array(obtained) / np.array(forecast)
    # In 24 simulations a form four in five narrow: an interval varies by a third from one noise to another. Obtained
    # over forecast has a median of 1.1, and nine in ten lie within a factor of two.
    assert np.mean(np.array(obtained) < present) >= 0.6
    assert np.median(np.array(obtained) / present) < 1
    assert 1 / 1.5 < np.median(ratios) < 1.5
    assert np.mean(np.abs(np.log(ratios)) < np.log(2)) >= 0.8


def test_an_optimum_outside_the_runs_is_said_and_one_law_takes_over(checked):
    proposal = proposed(checked, Simulated.of(checked, ratio=1000.0).table())
    assert proposal.basis == "chinchilla"
    assert "the optimum is at or below the smallest size" in proposal.reason
    assert proposal.to_json()["reason"] == proposal.reason


def test_what_other_documents_would_change_is_not_narrowed_by_runs_on_the_same_documents(checked):
    table = Simulated.of(checked, seed=1).table()
    generator = np.random.default_rng(0)
    # Documents that favour small models or large ones: 10 % an e-fold of size, so 3 % in the mean of twelve.
    tilt = np.log(np.array(table.params) / 1e4)[:, None] * generator.normal(0, 0.1, 12)
    documents = {
        str(run): DocumentLosses(document=np.arange(12), tokens=np.full(12, 1000), nats=loss * np.exp(own))
        for run, loss, own in zip(table.run, table.loss_nats, tilt, strict=True)
    }
    alone, with_documents = proposed(checked, table).design, proposed(checked, table, documents=documents).design
    assert with_documents.present_width > alone.present_width
    narrowed = [one.expected_width / one.present_width for one in (alone, with_documents)]
    assert narrowed[1] > narrowed[0]
