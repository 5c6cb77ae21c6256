"""Published fits, reproduced: Hoffmann et al. 2022 by Besiroglu et al. 2024, and the gzip paper's runs."""

import numpy as np
import pytest

from isoloss.fitting.fitting import fit, fit_groups
from isoloss.laws.chinchilla import Chinchilla
from laws_tables import chinchilla_rows, gzip_rows


def values(law) -> list[float]:
    return [estimate.value for estimate in law.params.values()]


@pytest.mark.parametrize("starts", ["auto", "hoffmann"])
def test_240_rows_give_the_published_huber_optimum(starts):
    law = fit(chinchilla_rows(), starts=starts)
    # The pins carry six digits.
    assert values(law) == pytest.approx([1.81722, 477.83, 2143.42, 0.347311, 0.367172], rel=1e-5)
    assert law.objective_value == pytest.approx(0.001018274018, rel=1e-9)
    assert law.rows_used == 240
    assert law.convergence.converged
    assert law.convergence.starts_agreeing == law.convergence.starts
    assert law.warnings == ()


def test_240_rows_give_the_published_least_absolute_deviations():
    law = fit(chinchilla_rows(), objective="lad")
    assert values(law) == pytest.approx([1.81686, 482.01, 2085.44, 0.347813, 0.365854], rel=1e-5)
    assert law.convergence.converged


def test_all_245_rows_give_the_other_optimum():
    law = fit(chinchilla_rows(outliers=True))
    assert values(law) == pytest.approx([1.89134, 495.73, 12845.6, 0.34931, 0.45305], rel=2e-5)


def test_bootstrap_gives_the_published_intervals():
    law = fit(chinchilla_rows(), bootstrap=4000)
    assert law.interval_method == "rows"
    published = {
        "alpha": (0.317, 0.373),
        "beta": (0.331, 0.415),
        "E": (1.769, 1.871),
        "A": (285, 744),
        "B": (1042, 5810),
    }
    for name, ends in published.items():
        # Ends of 4,000 draws move by about 1 % of E, α, β from one set to another, those of A and B by 5 %.
        found = (law.params[name].low, law.params[name].high)
        assert found == pytest.approx(ends, rel=0.02 if name in ("alpha", "beta", "E") else 0.06)


def test_chinchillas_own_compute_has_the_reanalysed_optimum():
    point = fit(chinchilla_rows(), bootstrap=1000).optimum(5.76e23)
    # Besiroglu et al. 2024, section 4: about 20 tokens per parameter at Chinchilla's budget, interval 4 to 40-odd.
    assert np.exp(point.log_ratio.value) == pytest.approx(18, rel=0.05)
    assert np.exp(point.log_ratio.low) < 20 < np.exp(point.log_ratio.high)
    assert not point.interpolated
    assert point.extrapolation == pytest.approx(44, rel=0.02)


def test_gzip_runs_give_their_exponents_and_warn_of_unconverged_runs():
    fits = {law.group: law for law in fit_groups(gzip_rows())}
    exponents = [fits[name].exponent_a().value for name in sorted(fits)]
    # Six digits are pinned to three: the fits themselves change by .03 with which of the last losses is taken.
    assert exponents == pytest.approx([0.562, 0.560, 0.552, 0.362, 0.243], abs=1e-3)
    codes = {warning.code for law in fits.values() for warning in law.warnings}
    assert {"poor_fit", "unconverged_runs", "E_not_identified"} <= codes


def test_fit_method_of_a_law_is_the_function():
    rows = chinchilla_rows()
    assert (
        Chinchilla(objective="huber", delta=1e-3).fit(rows, bootstrap=0).to_json()["params"]
        == fit(rows).to_json()["params"]
    )
