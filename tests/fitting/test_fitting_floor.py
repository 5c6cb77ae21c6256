"""A known floor: E held at it, or judged by it; and data counted in bytes."""

import numpy as np
import pytest

from isoloss.core.errors import InputError, NotApplicable
from isoloss.fitting.fitted import FittedLaw
from isoloss.fitting.fitting import fit, fit_groups
from isoloss.laws.chinchilla import Chinchilla
from isoloss.runs.observations import Observations, observations
from laws_tables import DEMO_LAW, simulated
from laws_zoo import CASES


def with_floor(table: Observations, floor, **more) -> Observations:
    return observations(
        params=table.params, tokens=table.tokens, loss_nats=table.loss_nats, corpus=table.corpus, trunk=table.trunk,
        floor=floor, **more,
    )  # fmt: skip


def codes(law: FittedLaw) -> set[str]:
    return {warning.code for warning in law.warnings}


def test_E_is_held_at_the_floor():
    law = fit(with_floor(simulated(), DEMO_LAW["E"]), floor="hold", bootstrap=50)
    assert law.params["E"].value == DEMO_LAW["E"]
    assert law.fixed == ("E",)
    assert law.floor.held
    assert "fixed at the known floor, 0.7 nats" in law.summary()
    # Knowing E narrows what is left to know.
    assert law.params["alpha"].width < fit(simulated(), bootstrap=50).params["alpha"].width


@pytest.mark.parametrize("bootstrap", [0, 200])
def test_a_fitted_E_is_scored_against_the_floor(bootstrap, tmp_path):
    right = fit(with_floor(simulated(seed=1), DEMO_LAW["E"]), bootstrap=bootstrap)
    assert abs(right.floor.z) < 3
    assert right.floor.inside is (True if bootstrap else None)
    wrong = fit(with_floor(simulated(seed=1), 0.3), bootstrap=bootstrap)
    assert wrong.floor.z > 3
    assert wrong.floor.inside is (False if bootstrap else None)
    assert "floor_missed" in codes(wrong)
    assert "floor_missed" not in codes(right)
    assert "standard errors above the known floor 0.3" in wrong.summary().replace("\n", " ")
    wrong.save(tmp_path / "law.json")
    assert FittedLaw.load(tmp_path / "law.json").floor == wrong.floor


def test_floor_scores_are_standard_normal():
    scores = [fit(with_floor(simulated(seed=seed), DEMO_LAW["E"])).floor.z for seed in range(100)]
    # Twenty rows and five parameters: Student's t of 15 degrees, whose spread is 1.07; a hundred scores know it to 7 %.
    assert np.std(scores) == pytest.approx(1.07, abs=0.22)
    assert np.mean(scores) == pytest.approx(0, abs=0.33)


def test_every_corpus_has_its_own_floor():
    one = simulated(corpus="one")
    two = simulated(corpus="two", law=DEMO_LAW | {"E": 0.9}, seed=1)
    both = observations(
        params=np.concatenate([one.params, two.params]), tokens=np.concatenate([one.tokens, two.tokens]),
        loss_nats=np.concatenate([one.loss_nats, two.loss_nats]), corpus=[*one.corpus, *two.corpus],
        floor=[0.7] * len(one) + [0.9] * len(two),
    )  # fmt: skip
    assert [law.params["E"].value for law in fit_groups(both, floor="hold")] == [0.7, 0.9]
    with pytest.raises(InputError, match=r"floors from 0\.7 to 0\.9"):
        fit(both)
    assert fit(both, floor="ignore").floor is None


def test_what_a_floor_cannot_do_is_said():
    table = simulated()
    with pytest.raises(InputError, match="no floor to hold"):
        fit(table, floor="hold")
    with pytest.raises(InputError, match="unknown use of a floor 'hodl'"):
        fit(table, floor="hodl")
    with pytest.raises(InputError, match="no irreducible loss E"):
        fit(with_floor(CASES["kaplan"].table(), 1.0), law="kaplan", floor="hold")
    below = fit(with_floor(table, 1.8))
    (warning,) = [w for w in below.warnings if w.code == "loss_below_floor"]
    assert warning.rows


def test_the_floor_of_a_corpus_is_E_of_a_law_between_losses():
    case = CASES["loss_to_loss"]
    table = with_floor(case.table(), 1.1, extra={"other_loss": case.columns["other_loss"]})
    law = fit(table, law="loss_to_loss", floor="hold")
    assert law.params["E_other"].value == pytest.approx(1.5, rel=1e-6)


def test_data_in_bytes_have_the_same_frontier():
    table = simulated(seed=2)
    in_bytes = observations(
        params=table.params,
        tokens=4.0 * table.tokens,
        loss_nats=table.loss_nats,
        data_unit="bytes",
        bytes_per_token=4.0,
    )
    tokens, data = fit(table, bootstrap=20), fit(in_bytes, bootstrap=20)
    np.testing.assert_allclose(in_bytes.flops, table.flops)
    assert data.params["B"].value == pytest.approx(
        tokens.params["B"].value * 4 ** tokens.params["beta"].value, rel=1e-5
    )
    one, other = tokens.optimum(1e12), data.optimum(1e12)
    assert other.params.value == pytest.approx(one.params.value, rel=1e-6)
    assert other.tokens.value == pytest.approx(4 * one.tokens.value, rel=1e-6)
    assert other.extrapolation == pytest.approx(one.extrapolation)
    assert data.exponent_a().value == pytest.approx(tokens.exponent_a().value)
    assert data.predict_run(params=1e5, tokens=4e6).extrapolation == pytest.approx(
        tokens.predict_run(params=1e5, tokens=1e6).extrapolation
    )


def test_bytes_without_a_ratio_have_no_budget():
    table = simulated()
    law = Chinchilla().fit(
        observations(params=table.params, tokens=table.tokens, loss_nats=table.loss_nats, data_unit="bytes")
    )
    with pytest.raises(NotApplicable, match="bytes per token") as refused:
        law.optimum(1e12)
    assert "--bytes-per-token" in str(refused.value.fix)
    assert law.exponent_a().value > 0
    assert "no frontier" in law.summary()


@pytest.mark.parametrize("use", ["score", "hold"])
def test_a_floor_above_every_loss_is_refused(use):
    table = simulated()
    largest = table.loss_nats.max()
    with pytest.raises(InputError, match=rf"floor, 3\.5 nats .* above every loss .*{largest:.6g}") as refused:
        fit(with_floor(table, 3.5), floor=use)
    assert refused.value.exit_code == 2
    assert "--floor" in str(refused.value.fix)
    assert fit(with_floor(table, 3.5), floor="ignore").floor is None
    # One loss above it is enough to go on with a warning.
    assert "loss_below_floor" in codes(fit(with_floor(table, largest * 0.999)))
