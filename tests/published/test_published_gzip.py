"""The gzip paper's runs again, by every choice that was open; and the methods behind it on numbers that are known."""

from dataclasses import replace

import numpy as np
import pytest
from laws_tables_of_published import LAW, five_laws
from published_data import folder
from test_published_rows import broken

from isoloss.core.errors import BadTable, InputError
from isoloss.data_dependence.coefficient_lines import blend, frontier_log_tokens, regress_coefficients
from isoloss.laws.chinchilla import Chinchilla
from isoloss.optima.curves import TrainingCurve, area_under, still_falling
from isoloss.published import studies
from isoloss.published.reproduction import Reproduction


@pytest.fixture(scope="module")
def found() -> Reproduction:
    return studies.reproduce("gzip", folder("gzip2024"))


def test_all_fits_on_all_loss_columns_are_reproduced(found: Reproduction) -> None:
    assert len(found.rows) == 20
    assert found.apart == []
    assert [row.quantity for row in found.rows if replace(row, published=broken(row)).within] == []


def test_what_is_said_of_the_paper_is_judged(found: Reproduction) -> None:
    verdicts = {claim.claim: claim.verdict for claim in found.claims}
    assert verdicts["It was tested on GPT-3 and Megatron"] == "does not hold"
    assert verdicts["It works across architectures, datasets and scales"] == "does not hold"
    assert verdicts["gzip accurately predicts scaling"] == "does not hold"
    assert verdicts["A code model could have saved a quarter of its FLOPs"] == "cannot be checked with this data"
    assert verdicts["The laws describe converged training, not the speed of optimisation"] == "does not hold"


def test_the_animation_is_a_gif_of_many_frames(found: Reproduction) -> None:
    content = found.animations["contours.gif"]()
    assert content[:6] == b"GIF89a"
    assert content.count(b"\x21\xf9\x04") > 10  # graphic control extensions, one a frame


def test_coefficients_that_follow_a_measure_are_found_on_their_line() -> None:
    laws, complexity = five_laws(slope=0.3)
    lines = regress_coefficients(laws, complexity)
    assert lines["alpha"].slope == pytest.approx(0.3, rel=1e-3)
    assert lines["alpha"].r == pytest.approx(1, abs=1e-6)
    assert lines["alpha"].at(0.2) == pytest.approx(LAW["alpha"] + 0.3 * 0.2, rel=1e-3)
    assert lines["beta"].slope == pytest.approx(0, abs=1e-3)
    with pytest.raises(BadTable, match="2 corpora"):
        regress_coefficients(laws[:2], complexity)


def test_a_blend_ends_at_both_laws() -> None:
    one, other = np.array([1.0, 2.0, 3.0, 0.4, 0.5]), np.array([2.0, 4.0, 6.0, 0.2, 0.3])
    np.testing.assert_array_equal(blend(one, other, share=1), one)
    np.testing.assert_array_equal(blend(one, other, share=0), other)
    np.testing.assert_allclose(blend(one, other, share=0.5), (one + other) / 2)
    with pytest.raises(InputError, match="share"):
        blend(one, other, share=1.5)


def test_the_closed_form_frontier_is_the_least_loss_of_each_budget() -> None:
    values = np.array([LAW[name] for name in ("E", "A", "B", "alpha", "beta")])
    for flops in (1e15, 1e18, 1e21):
        log_best = float(Chinchilla.log_optimum(values, log_flops=float(np.log(flops))))
        assert frontier_log_tokens(values, np.array(log_best)) == pytest.approx(np.log(flops / 6) - log_best, rel=1e-12)


def test_the_area_under_a_straight_line_is_its_middle_and_what_still_falls_is_reported() -> None:
    tokens = np.linspace(1e4, 1e6, 200)
    line = TrainingCurve(run="r", params=1e6, tokens=tokens, loss_nats=5 - 3 * tokens / 1e6)
    assert area_under(line) == pytest.approx(5 - 3 * (1e6 + 1e4) / 2 / 1e6)

    def power(exponent: float) -> TrainingCurve:
        return TrainingCurve(run="r", params=1e6, tokens=tokens, loss_nats=(tokens / 1e6) ** -exponent)

    assert still_falling(power(0.6))
    assert not still_falling(power(0.4))
    assert not still_falling(TrainingCurve(run="r", params=1e6, tokens=tokens[:2], loss_nats=np.array([9.0, 1.0])))
