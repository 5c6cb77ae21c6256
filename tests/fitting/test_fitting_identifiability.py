"""What runs do not determine is said: each warning on a table that earns it, and not on its neighbour."""

import json

import numpy as np
import pytest

from isoloss.fitting.fitted import FittedLaw
from isoloss.fitting.fitting import fit, fit_groups
from isoloss.runs.observations import observations
from laws_tables import DEMO_LAW, chinchilla_rows, gzip_rows, simulated

SIZES = np.geomspace(1e4, 1e6, 6)


def sized(alpha: float, share: float = 0.5, **law: float) -> dict[str, float]:
    """Return a law whose size term is `share` nats at 1e5 parameters."""
    return DEMO_LAW | {"alpha": alpha, "A": share * 1e5**alpha} | law


EARNED = {
    # Losses that rise with size: α wants to be below zero.
    "bound_reached": (sized(-0.3, 0.01), sized(0.3)),
    # E, A and α of a slow law trade against each other.
    "flat_direction": (sized(0.02, 0.9, E=0.2), sized(0.35)),
    # Size does nothing: any exponent of nothing will do.
    "flat_profile": (sized(0.35, 1e-11), sized(0.35)),
    "E_not_identified": (sized(0.35, E=1e-9), sized(0.35)),
}


@pytest.mark.parametrize("code", EARNED)
def test_a_warning_stands_where_it_is_earned_in_object_json_and_summary(code):
    earned, neighbour = EARNED[code]
    law, other = (fit(simulated(law=one, sizes=SIZES, point_sd=0.001, seed=1)) for one in (earned, neighbour))
    (warning, *_) = [warning for warning in law.warnings if warning.code == code]
    assert ". " in warning.message, "a warning ends with its remedy"
    assert code in {one["code"] for one in json.loads(json.dumps(law.to_json()))["warnings"]}
    assert f"[{code}]" in law.summary()
    assert f"[{code}]" in law._repr_html_()
    assert other.warnings == ()


def test_least_absolute_deviations_limit_what_the_runs_limit():
    sound, open_ended = (
        fit(simulated(law=law, sizes=SIZES, point_sd=0.001, seed=1), objective="lad")
        for law in EARNED["flat_profile"][::-1]
    )
    assert "flat_profile" not in {warning.code for warning in sound.warnings}
    assert "flat_profile" in {warning.code for warning in open_ended.warnings}


def test_the_chinchilla_rows_limit_their_exponents_under_every_objective():
    rows = chinchilla_rows()
    for objective in ("lad", "huber", "gaussian"):
        assert "flat_profile" not in {warning.code for warning in fit(rows, objective=objective).warnings}, objective


def test_no_law_of_the_gzip_papers_runs_determines_all_its_exponents():
    laws: list[FittedLaw] = fit_groups(gzip_rows())
    for law in laws:
        assert "flat_profile" in {warning.code for warning in law.warnings}, law.group


@pytest.mark.parametrize("digits", [9, 10, 11, 13])
def test_losses_written_to_many_digits_converge(digits):
    """What is left of rows that follow the law is rounding: it shows no direction to go on in."""
    n, d = (each.ravel() for each in np.meshgrid([1e7, 3e7, 1e8, 3e8], [1e9, 3e9, 1e10]))
    losses = np.round(1.7 + 400 / n**0.34 + 410 / d**0.28, digits)
    law = fit(observations(params=n, tokens=d, loss_nats=losses))
    assert law.convergence.converged
