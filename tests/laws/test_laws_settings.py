"""What a fit can be told: a wrong setting is refused where it is written down, whoever writes it."""

import numpy as np
import pytest

from isoloss.core.errors import InputError
from isoloss.data_dependence.predictors import compare_predictors
from isoloss.laws.chinchilla import Chinchilla
from isoloss.laws.settings import FitSettings
from laws_tables import simulated


@pytest.mark.parametrize(
    ("option", "wrong", "named"),
    [
        ("exclude_flags", ["saturatd"], "saturated"), ("exclude_flags", "saturated", "list"),
        ("objective", "hubber", "huber"), ("objective", ["lad"], "lad"), ("starts", "hofmann", "hoffmann"),
        ("weights", "stder", "stderr"), ("method", "row", "rows"), ("floor", "hodl", "hold"),
        ("delta", 0, "above zero"), ("delta", np.nan, "above zero"), ("delta", "1e-3", "above zero"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_refused_by_the_constructor(option, wrong, named):
    for settings in (FitSettings, Chinchilla):
        with pytest.raises(InputError) as refused:
            settings(**{option: wrong})
        assert refused.value.place == option
        assert named in str(refused.value)


def test_every_flag_or_none_can_be_excluded():
    for flags in ((), ["diverged"], ("unconverged", "saturated")):
        assert FitSettings(exclude_flags=flags).exclude_flags == flags


def test_a_comparison_refuses_a_flag_that_no_run_earns():
    with pytest.raises(InputError, match="saturatd"):
        compare_predictors(simulated(), ["gzip"], exclude_flags=["saturatd"])


def test_E_is_not_fixed_and_held_at_the_floor_at_once():
    with pytest.raises(InputError) as refused:
        FitSettings(fixed={"E": 1.8}, floor="hold")
    assert "score" in refused.value.fix
    assert FitSettings(fixed={"E": 1.8}, floor="score").fixed == {"E": 1.8}
    assert FitSettings(fixed={"alpha": 0.3}, floor="hold").floor == "hold"
