"""Grids by budgets: five sizes at every budget, on both sides of the usual best, and what a design cannot hold."""

import re
from collections import Counter
from types import SimpleNamespace

import pytest

from isoloss.core.errors import BadStudy, InputError
from isoloss.study.check import check_study
from isoloss.study.grid import USUAL_RATIO, Grid
from isoloss.study.layout import budget_sizes, poor_budgets, unlike
from isoloss.study.run_plan import plan_runs
from isoloss.study.spec import Study, shipped_text
from isoloss.study.template import write_template

SIZES = (4.5e3, 8e3, 1.4e4, 2.5e4, 4.5e4, 8e4, 1.4e5)
DEMO = shipped_text("laptop")


CORPUS = SimpleNamespace(
    name="x", fingerprint="corpus1-x", vocab_size=256,
    token_budget=lambda context: 10**12, scored_documents=lambda context: 10,
)  # fmt: skip


def planned(study):
    return plan_runs(study, {"x": CORPUS})


def by_budgets(lines, *, batch=256):
    start, end = DEMO.index("params = ["), DEMO.index("seeds =")
    return DEMO[:start] + lines + "\n" + DEMO[end:].replace("batch_tokens = 256", f"batch_tokens = {batch}")


@pytest.mark.parametrize("sizes", [SIZES, (6e3, 1.2e4, 2.4e4, 4.8e4, 9.6e4), (5e3, 1e4, 2e4, 4e4, 8e4)])
def test_every_budget_has_five_sizes_on_both_sides_of_the_usual_best(sizes):
    grid = Grid(params=sizes, flops=(3.2e10, 2.56e11), least_tokens=1e4)
    assert [round(budget / 3.2e10) for budget in grid.budgets] == [1, 2, 4, 8]
    for budget in grid.budgets:
        held = grid.sizes_at(budget)
        usual = (budget / 6 / USUAL_RATIO) ** 0.5
        assert len(held) >= 5
        assert min(held) < usual < max(held)


def test_small_sizes_have_long_runs_and_large_ones_short_runs_of_the_same_budgets():
    lines = f"params = {list(SIZES)}\nflops = [1.6e10, 2.56e11]"
    study = Study.parse(by_budgets(lines), place="x.toml")
    runs = planned(study)
    for run in runs:
        nearest = min(study.grid.budgets, key=lambda budget: abs(budget / run.flops - 1))
        assert run.flops == pytest.approx(nearest, rel=0.5 * 256 / run.spec.train_tokens + 1e-9)  # whole batches
    longest = {run.counts.params(): run.spec.train_tokens for run in runs}
    assert longest[max(longest)] < longest[sorted(longest)[2]] / 5
    assert len({run.spec.trunk for run in runs}) == len(SIZES) * len(study.grid.seeds)
    held = budget_sizes(study.grid, runs, "x")
    assert [(one.flops, one.sizes) for one in held] == [
        (budget, len(study.grid.sizes_at(budget))) for budget in study.grid.budgets
    ]
    assert poor_budgets(study.grid, held) is None


def test_sizes_alone_lay_out_budgets_with_two_sizes_on_either_side():
    grid = Grid(params=SIZES)
    for budget in grid.budgets:
        usual = (budget / 6 / USUAL_RATIO) ** 0.5
        held = grid.sizes_at(budget)
        assert sum(size <= usual * 1.001 for size in held) >= 2
        assert sum(size >= usual / 1.001 for size in held) >= 2
    wanted = Grid(params=SIZES, tokens_per_param=4)
    assert wanted.budgets[0] == pytest.approx(grid.budgets[0] / 10)  # ten times the size for the tokens


def test_a_grid_that_lists_its_tokens_trains_every_size_on_all_of_them():
    grid = Grid(params=(1e4, 1e5), tokens=(1e5, 2e5))
    assert grid.horizons(1e4) == grid.horizons(1e5) == (1e5, 2e5)
    assert grid.budgets == ()


def test_a_design_whose_optimum_lies_outside_is_named():
    # The demo of 2026: four sizes from 25,000 on, of which the smallest won at every budget.
    old = by_budgets("params = [2.5e4, 5.5e4, 1.2e5, 2.6e5]\ntokens = [5e4, 1e5, 2e5, 4e5, 8e5]", batch=1024)
    study = Study.parse(old, place="x.toml")
    held = budget_sizes(study.grid, planned(study), "x")
    assert [(one.sizes, one.below) for one in held] == [(4, 0)]
    said = poor_budgets(study.grid, held)
    assert said is not None
    assert "smaller" in said
    assert "grid.flops in place of grid.tokens" in said


def test_a_grid_that_lays_out_budgets_already_is_not_advised_to():
    study = Study.parse(
        by_budgets("params = [2.5e4, 5.5e4, 1.2e5, 2.6e5]\nflops = [1e11, 8e11]\nleast_tokens = 1e4"), place="x.toml"
    )
    said = poor_budgets(study.grid, budget_sizes(study.grid, planned(study), "x"))
    assert said is not None
    assert "grid.tokens" not in said


GRID_OF_TEMPLATE = {
    "as it stands": (),
    "sizes alone": (("flops", ""), ("most_tokens", "")),
    "sizes alone, no longer than the smallest corpus": (("flops", ""),),
    "listed token counts": (("flops", ""), ("most_tokens", ""), ("# tokens", "tokens = [1e5, 2e5, 4e5]")),
    "centred": (("params", ""), ("# design", 'design = "centred"')),
}


@pytest.mark.parametrize("changes", GRID_OF_TEMPLATE.values(), ids=GRID_OF_TEMPLATE)
def test_the_template_takes_every_layout_that_its_comments_offer(changes, tmp_path):
    path = write_template("mine", folder=tmp_path)
    (tmp_path / "texts").mkdir()
    for i in range(12):
        (tmp_path / "texts" / f"{i}.txt").write_text(f"text {i}, some words\n" * 24_000)
    head, start, grid = path.read_text(encoding="utf-8").partition("[grid]\n")
    for key, line in changes:
        grid, count = re.subn(rf"^{key} = .*$", line, grid, count=1, flags=re.MULTILINE)
        assert count == 1, key
    study = Study.parse(head + start + grid, place="mine.toml")
    assert {run.corpus for run in check_study(study, base=tmp_path).runs} == {"mine", "grammar"}


def test_vocabularies_that_differ_within_a_kind_are_named():
    texts = [("text", "c", 256), ("text", "go", 256), ("generated", "easy", 13)]
    assert unlike(texts) is None
    said = unlike([*texts, ("text", "bpe", 4096)])
    assert said is not None
    assert "4,096 (bpe)" in said
    assert "easy" not in said


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("params = [1e4, 2e4]\ntokens = [1e5]\nflops = [1e10, 1e11]", "give one of the two"),
        ("params = [1e4, 2e4, 4e4, 8e4]", "sizes alone take 5"),
        ("params = [1e4, 2e4]\nflops = [1e10, 1e11]", "only 2 of the sizes"),
        ("params = [4e3, 8e3, 1.6e4, 3e4, 6e4, 5e6]\nflops = [2e10, 1e11]", "no budget trains the size 5e[+]06"),
        ("params = [4e3, 8e3, 1.6e4, 3e4, 6e4]\nflops = [1e11, 2e10]", "ascend"),
        ('shapes = ["gzip-4M"]\nflops = [2e10, 1e11]', "shapes need tokens"),
    ],
)
def test_layouts_that_cannot_be_are_refused_with_the_remedy(lines, said):
    with pytest.raises(BadStudy, match=said):
        Study.parse(by_budgets(lines), place="x.toml")


def test_a_corpus_is_asked_once_how_much_it_holds_however_many_runs_there_are():
    # Text counts its windows document by document: asked for every run, a study of 20,000 would take minutes.
    asked = []
    corpus = SimpleNamespace(
        name="x", fingerprint="corpus1-x", vocab_size=256, scored_documents=lambda context: 10,
        token_budget=lambda context: asked.append(context) or 10**12,
    )  # fmt: skip
    study = Study.parse(by_budgets(f"params = {list(SIZES)}\nflops = [1.6e10, 2.56e11]"), place="x.toml")
    assert len(plan_runs(study, {"x": corpus})) > 10
    assert len(asked) == 1


def test_a_run_outside_the_grid_is_trained_on_the_corpus_it_names_or_on_every_one():
    run = "\n\n[[run]]\n{}params = 2e4\ntokens = {}\nseed = 9\n"
    further = run.format("", "7e5") + run.format('corpus = "python"\n', "9e5")
    corpora = dict.fromkeys(("cpp", "python", "prose"), CORPUS)
    counts = [
        Counter(run.corpus for run in plan_runs(Study.parse(text, place="x.toml"), corpora))
        for text in (DEMO, DEMO + further)
    ]
    assert counts[1] - counts[0] == {"cpp": 1, "python": 2, "prose": 1}


def test_more_runs_than_can_be_planned_are_refused_before_any_is():
    sizes, tokens = ([start * 1.001**i for i in range(1000)] for start in (1e4, 1e5))
    study = Study.parse(by_budgets(f"params = {sizes}\ntokens = {tokens}"), place="x.toml")
    with pytest.raises(InputError, match=f"{len(study.grid.seeds)},000,000 runs"):
        planned(study)


@pytest.mark.parametrize("rule", ["{ half_life_tokens = 1e29 }"])
def test_a_rule_that_gives_what_no_optimiser_takes_is_named(rule):
    study = Study.parse(DEMO.replace("beta2 = { half_life_tokens = 20_000 }", f"beta2 = {rule}"), place="x.toml")
    with pytest.raises(InputError, match="beta2"):
        planned(study)
