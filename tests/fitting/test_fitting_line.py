"""Runs whose parameters and tokens move together tell a loss along a line, and no split of a budget."""

from pathlib import Path

import numpy as np
import pytest

from isoloss.core.errors import Unidentified
from isoloss.diagnostics.profile import profile
from isoloss.fitting.fitted import FittedLaw
from isoloss.fitting.fitting import fit
from isoloss.planning.laws import PlanLaw
from isoloss.runs.observations import Observations, observations
from isoloss.runs.read_runs import read_runs

CASES = Path(__file__).parents[3] / "shared" / "cases" / "12-one-ratio"
SIZES = np.geomspace(2e7, 2.6e9, 12)
CODE = "params_with_tokens"


def losses(params, tokens):
    return 1.7 + 400 / params**0.34 + 410 / tokens**0.28


def along(slope: float, *, scatter: float = 0.0, seed: int = 0) -> Observations:
    """Return runs with D = 20 N at 2e8 parameters and D ∝ N^slope, each off by `scatter` (s.d. of ln D)."""
    generator = np.random.default_rng(seed)
    tokens = 4e9 * (SIZES / 2e8) ** slope * np.exp(generator.normal(0, scatter, len(SIZES)))
    noise = np.exp(generator.normal(0, 0.002, len(SIZES)))
    return observations(params=SIZES, tokens=tokens, loss_nats=losses(SIZES, tokens) * noise)


def codes(law: FittedLaw) -> list[str]:
    return [warning.code for warning in law.warnings]


@pytest.mark.parametrize(("slope", "scatter"), [(1.0, 0.0), (1.0, 0.1), (0.5, 0.05)])
def test_no_split_is_reported_rows_on_a_line(slope, scatter):
    rows = along(slope, scatter=scatter)
    law = fit(rows, bootstrap=50)
    assert codes(law)[0] == CODE, "the cause comes first"
    assert not {"bound_reached", "flat_profile", "flat_direction"} & set(codes(law)), "what follows from it is silent"
    for ask in (
        lambda: law.frontier(flops=[1e19]), law.exponent_a, lambda: law.log_ratio(1e19),
        lambda: profile(law, rows, "alpha"), lambda: PlanLaw.of_fit(law),
    ):  # fmt: skip
        with pytest.raises(Unidentified) as refused:
            ask()
        assert "tokens" in str(refused.value.fix), "the remedy names runs"
    assert all(law.params[name].low is None for name in ("A", "B", "alpha", "beta"))


def test_the_loss_along_the_line_is_reported_and_off_it_is_not():
    law = fit(along(1.0), bootstrap=100)
    on, off = law.predict_run(params=2e8, tokens=4e9), law.predict_run(params=2e8, tokens=2e10)
    assert on.run.low < losses(2e8, 4e9) < on.run.high
    assert CODE not in [warning.code for warning in on.warnings]
    assert CODE in [warning.code for warning in off.warnings]
    assert off.run.low is None
    assert law.predict_estimate(params=2e8, tokens=2e10).low is None


def test_the_remedy_distinguishes_them():
    """The runs that the warning asks for, added, give the true split."""
    rows = along(1.0)
    sizes = SIZES[:6].repeat(2)
    added = np.tile([4.0, 100.0], 6) * sizes
    noise = np.exp(np.random.default_rng(1).normal(0, 0.002, 12))
    law = fit(
        observations(
            params=np.concatenate([SIZES, sizes]), tokens=np.concatenate([rows.tokens, added]),
            loss_nats=np.concatenate([rows.loss_nats, losses(sizes, added) * noise]),
        ),
        bootstrap=200,
    )  # fmt: skip
    assert CODE not in codes(law)
    best = law.optimum(1e19)
    grid = np.geomspace(1e7, 1e10, 4001)
    true = grid[np.argmin(losses(grid, 1e19 / (6 * grid)))]
    assert best.params.low < true < best.params.high


def test_budgets_of_one_size_each_and_single_budgets_are_no_line():
    one_budget = observations(params=SIZES, tokens=1e19 / (6 * SIZES), loss_nats=losses(SIZES, 1e19 / (6 * SIZES)))
    assert fit(one_budget).domain.line is None
    assert fit(along(1.0, scatter=0.8)).domain.line is None


def test_exponents_that_are_held_distinguish_the_two():
    assert fit(along(1.0), fixed={"alpha": 0.34, "beta": 0.28}).domain.line is None


def test_a_saved_law_keeps_its_line(tmp_path):
    law = fit(along(1.0), bootstrap=10)
    law.save(tmp_path / "law.json")
    assert FittedLaw.load(tmp_path / "law.json").domain == law.domain


@pytest.mark.parametrize(("name", "together"), [("ratio20", True), ("ratio20_clean", True), ("two_ratios", False)])
def test_tables_at_one_ratio_are_reported(name, together):
    if not (path := CASES / f"{name}.csv").exists():
        pytest.skip("the case is not at hand")
    law = fit(read_runs(path, loss="loss"))
    assert (CODE in codes(law)) == together
