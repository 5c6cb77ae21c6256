"""What the verdict on a form says of the others, and how it agrees with a law that was chosen."""

from dataclasses import replace

import numpy as np
import pytest

import isoloss as il
from isoloss.arena.truths import DESIGNS, runs, truth
from isoloss.optima.lack_of_fit import LackOfFit


def verdict(**changed):
    settings = {
        "corpus": "code", "form": "ceiling", "misfit": 0.0141, "probability": 0.001, "shift": 0.3, "flops": 1e11,
        "fitting": None, "refused": True, "closest": "coupled", "closest_misfit": 0.0123,
    }  # fmt: skip
    return LackOfFit(**settings | changed)


def test_a_form_that_misses_by_less_is_said_to_miss_too():
    said = verdict().warning().message
    assert "No law here fits within noise. coupled fits better, but it also misses the runs, by 1.23 %." in said
    assert "--law coupled" in said


@pytest.mark.parametrize("others", [{"closest_misfit": 0.02}, {"closest": None, "closest_misfit": None}])
def test_no_form_is_named_where_none_misses_by_less(others):
    said = verdict(**others).warning().message
    assert "none misses the runs by less" in said
    assert "--law" not in said


def test_a_form_that_fits_is_the_one_to_fit():
    said = verdict(fitting="coupled").warning(chosen=True).message
    assert "coupled fits" in said
    assert "--law coupled" in said


def test_a_chosen_law_is_not_exchanged_for_one_that_merely_misses_by_less():
    said = verdict().warning(chosen=True).message
    assert "ceiling was chosen because no other law predicts left-out training curves better" in said
    assert "--law" not in said


def misfits(law):
    return [one.message for one in law.warnings if one.code == "lack_of_fit"]


def test_a_law_is_judged_on_the_rows_that_it_was_fitted_to():
    design = DESIGNS["staircase"]
    table = runs(truth("ceiling", design), design, trunk_sd=0.001, point_sd=0.001, seed=0)
    flagged = replace(table, flags=tuple(("saturated",) if row % 2 else () for row in range(len(table))))
    plain, kept, fewer = il.fit(table), il.fit(flagged, exclude_flags=()), il.fit(flagged)
    assert misfits(plain)
    assert misfits(kept) == misfits(plain)
    assert misfits(fewer) != misfits(plain)
    assert misfits(fewer) == misfits(il.fit(table.select(range(0, len(table), 2))))


def test_a_law_of_all_corpora_together_is_not_tested_on_one():
    design = DESIGNS["staircase"]
    table = runs(truth("ceiling", design), design, trunk_sd=0.001, point_sd=0.001, seed=0)
    two = replace(table, corpus=np.array([f"c{row % 2}" for row in range(len(table))]))
    assert not misfits(il.fit(two, bootstrap=0))
