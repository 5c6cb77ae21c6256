"""A centred grid: a cheap first pass on each corpus, then sizes around the optimum that it saw."""

from dataclasses import replace

import numpy as np
import pytest

from isoloss.arena.truths import Design, runs, truth
from isoloss.cli.tables import show_check
from isoloss.core.errors import BadStudy, InputError
from isoloss.study.centred import on_a_step, place
from isoloss.study.check import check_study
from isoloss.study.grid import Grid
from isoloss.study.lab import Lab
from isoloss.study.run_plan import plan_runs
from isoloss.study.spec import Study

GRID = Grid.model_validate({"design": "centred", "flops": [3e9, 9.6e10], "least_tokens": 2e3})

TOML = """
schema = 1
name = "centred"
seed = 3

[[corpus]]
name = "language"
source = "pcfg"
tokens = 150_000
heldout_tokens = 8_192
grammar = { family = "random", nonterminals = 4, terminals = 10, max_rules = 8, max_rhs = 5, seed = 2 }

[complexity]
measures = ["unigram"]
sequence_tokens = 64

[grid]
design = "centred"
flops = [2e8, 4e8]
tokens_per_param = 3
least_tokens = 2e3
context = 64

[training]
batch_tokens = 512
warmup_tokens = 1024
peak_lr = { at_params = 1e4, value = 1e-2 }

[fit]
laws = ["chinchilla"]
bootstrap = 20
"""


def seen(grid, ratio, *, seed=0, noise=0.003):
    """Losses of the first pass on a surface whose best split of its middle budget is `ratio` tokens per parameter."""
    first = grid.first_pass()
    rows = [(size, tokens) for size in first.params for tokens in first.horizons(size)]
    n, d = np.array(rows).T
    flops = first.budgets[len(first.budgets) // 2]
    size = np.sqrt(flops / 6 / ratio)
    design = Design(params=n, tokens=d, trunk=np.unique(n, return_inverse=True)[1], centre=(size, flops / 6 / size))
    return runs(truth("coupled", design), design, trunk_sd=noise, point_sd=noise, seed=seed)


@pytest.mark.parametrize("ratio", [10.0, 40.0, 160.0])
def test_the_second_pass_is_placed_around_a_planted_optimum(ratio):
    placed = place(seen(GRID, ratio), corpus="a", grid=GRID)
    # The interval of so few runs with noise of .3 % is a factor of 2 or so to either side.
    assert abs(np.log(placed.tokens_per_param / ratio)) < np.log(2)
    second = GRID.second_pass(placed.tokens_per_param)
    assert second.budgets[-1] == pytest.approx(9.6e10)
    for budget in second.budgets:
        best = np.sqrt(budget / 6 / ratio)
        sizes = second.sizes_at(budget)
        assert len(sizes) >= 5
        assert sizes[0] < best < sizes[-1]


def test_an_optimum_outside_the_first_pass_is_followed_beyond_it():
    first = GRID.first_pass()
    flops = first.budgets[len(first.budgets) // 2]
    least = flops / (6 * first.params[-1] ** 2)
    most = flops / (6 * first.params[0] ** 2)
    assert place(seen(GRID, 30 * most, noise=1e-4), corpus="a", grid=GRID).tokens_per_param > most
    assert place(seen(GRID, least / 30, noise=1e-4), corpus="a", grid=GRID).tokens_per_param < least


def test_a_place_does_not_hang_on_the_last_digits_of_a_loss():
    table = seen(GRID, 38.0)
    assert on_a_step(40.0 * (1 + 1e-6)) == on_a_step(40.0)
    moved = replace(table, loss_nats=table.loss_nats * (1 + 1e-9))
    assert place(moved, corpus="a", grid=GRID) == place(table, corpus="a", grid=GRID)


@pytest.mark.parametrize(
    ("line", "wrong"),
    [("params = [5e3, 9e3, 2e4]", "places sizes"), ("tokens = [8e3, 2e4]", "places sizes"), ("", "needs budgets")],
)
def test_a_centred_design_takes_budgets_and_nothing_else(line, wrong):
    text = TOML.replace("tokens_per_param = 3", line)
    text = text if line else text.replace("flops = [2e8, 4e8]", "")
    with pytest.raises(BadStudy, match=wrong):
        Study.parse(text, place="study")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    lab = Lab(tmp_path_factory.mktemp("centred") / "out")
    study = Study.parse(TOML, place="study")
    return lab, study, lab.run(study)


@pytest.mark.slow
def test_the_second_pass_follows_from_the_records_of_the_first(trained):
    lab, study, result = trained
    (placed,) = result.placements
    assert placed.tokens_per_param is not None
    assert {run.spec.fingerprint for run in result.planned} == {record.fingerprint for record in result.records}
    assert len(result.records) > len(first_pass(study, lab))
    # Whoever opens the folder again plans the very same runs, and trains none.
    again = Lab(lab.folder)
    assert [run.spec.fingerprint for run in again.plan(study)] == [run.spec.fingerprint for run in result.planned]
    assert result.to_json()["centred"] == [placed.to_json()]
    assert "first pass" in (lab.folder / "report" / "report.md").read_text()


@pytest.mark.slow
def test_an_interrupted_study_ends_as_one_that_was_not(trained, tmp_path):
    lab, study, result = trained
    half = Lab(tmp_path / "half")
    half._train_missing(study)  # the first pass alone, as a kill would leave it
    assert len(list(half.archive.records())) == len(first_pass(study, lab))
    ended = Lab(tmp_path / "half").run(study, until="train")
    assert {r.fingerprint: r.loss for r in ended.records} == {r.fingerprint: r.loss for r in result.records}
    vocabularies = {(record.spec.model.vocab_size, record.spec.model.context) for record in ended.records}
    assert len(vocabularies) == 1


def test_a_check_lists_both_passes_and_says_that_the_second_moves(tmp_path, capsys):
    study = Study.parse(TOML, place="study")
    found = check_study(study, base=tmp_path)
    show_check(found)
    assert "first pass trains 2 budgets" in " ".join(capsys.readouterr().out.split())
    sizes = {run.counts.params(study.grid.convention) for run in found.runs}
    assert len(sizes) > len(study.grid.first_pass().params)
    assert found.to_json()["design"] == "centred"


def test_a_shard_is_refused(tmp_path):
    with pytest.raises(InputError, match="second pass"):
        Lab(tmp_path, shard="1/2").run(Study.parse(TOML, place="study"), until="train")


def first_pass(study, lab):
    return plan_runs(study, lab.corpora(study))
