"""Plans of corpora left out: better than what ignores the measure where it drives, and not where it does not."""

import numpy as np
import pytest

from isoloss.core.errors import InputError
from isoloss.planning.plan_backtest import backtest_plans
from isoloss.runs.observations import observations
from laws_tables import simulated

SIZES, TOKENS = (1e4, 3e4, 1e5, 3e5, 1e6), (1e5, 3e5, 1e6, 3e6, 1e7)


def corpora(values, *, slope: float, seed: int = 0):
    """One corpus a value of the measure: ln A moves by `slope` per unit of it."""
    parts = []
    for i, value in enumerate(values):
        truth = {"E": 0.7, "A": 0.5 * 1e5**0.35 * np.exp(slope * (value - 0.35)), "B": 0.4 * 1e6**0.4, "alpha": 0.35,
                 "beta": 0.4}  # fmt: skip
        parts.append(simulated(sizes=SIZES, tokens=TOKENS, law=truth, point_sd=0.002, seed=seed + i))
    names = [f"c{i}" for i, part in enumerate(parts) for _ in range(len(part))]
    return observations(
        params=np.concatenate([part.params for part in parts]),
        tokens=np.concatenate([part.tokens for part in parts]),
        loss_nats=np.concatenate([part.loss_nats for part in parts]),
        trunk=[f"{name} {trunk}" for name, trunk in zip(names, np.concatenate([p.trunk for p in parts]), strict=True)],
        corpus=names,
        complexity={"gzip": np.repeat(values, len(parts[0]))},
    )


def test_where_the_measure_drives_the_balance_a_plan_beats_what_ignores_it():
    found = backtest_plans(corpora(np.linspace(0.2, 0.5, 6), slope=8.0), "gzip")
    assert not found.refused
    assert len(found.judged) == 6 * 3
    assert min(min(one.regret.values()) for one in found.judged) > -1e-9
    for rival in ("rule_of_thumb", "pooled"):
        assert found.mean_regret("plan") < 0.3 * found.mean_regret(rival)
        won, lost = found.wins(rival)
        assert won > 2 * lost
    assert found.against("pooled").value < 0
    assert found.to_json()["against"]["pooled"]["wins"] == found.wins("pooled")[0]


def test_where_nothing_drives_a_plan_is_shown_no_better_than_one_law_for_all():
    values = np.random.default_rng(3).permutation(np.linspace(0.2, 0.5, 6))
    found = backtest_plans(corpora(values, slope=0.0), "gzip")
    assert found.against("pooled").high > 0
    assert found.mean_regret("pooled") < 1e-3


def test_three_corpora_are_too_few_to_plan_for_one_of_them():
    with pytest.raises(InputError, match="3 sources, expected at least 4"):
        backtest_plans(corpora([0.2, 0.3, 0.4], slope=1.0), "gzip")
