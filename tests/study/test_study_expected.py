"""What `isoloss check` predicts of a grid, by runs simulated on it."""

import pytest

from isoloss.study.check import check_study
from isoloss.study.spec import Study

STUDY = """
schema = 1
name = "tiny"
seed = 3
[[corpus]]
name = "a"
source = "pcfg"
tokens = 2_000_000
grammar = { family = "zipf", nonterminals = 18, terminals = 255, max_rules = 86, max_rhs = 6, exponent = 2.5885, seed = 7 }
[grid]
GRID
[training]
batch_tokens = 256
peak_lr = 7e-3
"""  # noqa: E501
AROUND = "params = [4.5e3, 7e3, 1.1e4, 1.7e4, 2.7e4, 4.2e4]\nflops = [3e9, 2.4e10]\nleast_tokens = 2e4"
TOO_LARGE = "params = [6e4, 9e4, 1.3e5, 2e5]\ntokens = [5e4, 1e5, 2e5]"


def checked(grid, tmp_path):
    return check_study(Study.parse(STUDY.replace("GRID", grid), place="tiny.toml"), base=tmp_path)


def test_a_grid_around_the_usual_optimum_learns_how_wide_its_interval_will_be(tmp_path):
    (one,) = checked(AROUND, tmp_path).expected
    assert one.low < one.tokens_per_param < one.high
    assert 1.1 < one.factor < 6  # .5 % and .4 % of noise on 30 runs: a factor of 2 to 3
    assert not list(tmp_path.iterdir())  # nothing is written, nothing executed


def test_a_grid_of_sizes_above_the_optimum_is_reported_as_not_finding_it(tmp_path):
    found = checked(TOO_LARGE, tmp_path)
    (one,) = found.expected
    assert one.factor is None
    assert one.high < one.tokens_per_param
    assert any("is not found" in warning for warning in found.warnings)


@pytest.mark.parametrize("ratio", [4.0, 12.0])
def test_the_optimum_is_where_the_study_says_it_expects_it(ratio, tmp_path):
    params = [round(size * (40 / ratio) ** 0.5) for size in (4500, 7000, 11000, 17000, 27000, 42000)]
    grid = f"params = {params}\nflops = [3e9, 2.4e10]\nleast_tokens = 1e3\ntokens_per_param = {ratio}"
    (one,) = checked(grid, tmp_path).expected
    assert one.tokens_per_param == pytest.approx(ratio)
