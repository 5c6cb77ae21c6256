"""The study file: what is accepted, and what each mistake is answered with."""

from pathlib import Path

import pytest

from isoloss.core.errors import BadStudy
from isoloss.laws.settings import FitSettings
from isoloss.study.spec import SHIPPED, Study

LAPTOP = (Path(__file__).parents[1] / "helpers" / "earlier_demo.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_studies_load_and_state_their_question(name):
    study = Study.shipped(name)
    assert study.name == name
    assert study.question.endswith("?")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("tokenizer =", "tokenzier =", "did you mean 'tokenizer'"),
        ("[grid]", '[grid]\nfamly = "llama"', r"unknown key 'grid.famly'[\s\S]*did you mean 'family'"),
        ('family = "llama"', 'family = "lama"', r"found 'lama'[\s\S]*did you mean 'llama'"),
        ('source = "pcfg"', 'source = "pfcg"', r"found 'pfcg'[\s\S]*did you mean 'pcfg'"),
        ("nonterminals =", "nonterminal =", r"unknown key[\s\S]*did you mean 'nonterminals'"),
        ("params = [2.5e4,", "params = [1e7,", "ascend"),
        ("batch_tokens = 1024", "batch_tokens = 2000", "not a multiple of grid.context"),
        ("value = 5e-3", "value = -5e-3", "found -0.005"),
        ('name = "python"', 'name = "cpp"', "repeated: cpp"),
        ('name = "python"', 'name = "../cpp"', "also a file name"),
        ("schema = 1", "schema = 1.0", "expected a whole number"),
        ("schema = 1", "schema = true", "expected a whole number"),
        ("schema = 1", "schema = 9", r"schema 9[\s\S]*upgrade"),
        ("schema = 1", "schema = = 1", "not valid TOML.*line 3"),
        ("seed = 17", 'seed = "many"', "seed: .*found 'many'"),
        ("seeds = [0]", "seeds = []", "grid.seeds"),
        ("context = 256", "context = nan", "grid.context"),
        ("context = 256", "context = 300", r"mine.toml: training.batch_tokens .* not a multiple .*: give"),
        ("seeds = [0]", "seeds = 0", "grid.seeds: found 0, expected a list"),
        ("bootstrap = ", "fixed = 3\nbootstrap = ", "fit.fixed: found 3, expected a table"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_remedy(old, new, said):
    assert old in LAPTOP
    with pytest.raises(BadStudy, match=said) as error:
        Study.parse(LAPTOP.replace(old, new, 1), place="mine.toml")
    assert error.value.place == "mine.toml"
    assert error.value.fix


def test_files_that_are_no_study(tmp_path):
    with pytest.raises(BadStudy, match="no such study file"):
        Study.load(tmp_path / "none.toml")
    (tmp_path / "binary.toml").write_bytes(bytes(range(256)))
    with pytest.raises(BadStudy, match="cannot be read"):
        Study.load(tmp_path / "binary.toml")
    (tmp_path / "empty.toml").write_text("")
    with pytest.raises(BadStudy, match="'schema' is missing"):
        Study.load(tmp_path / "empty.toml")


def with_fit(text: str) -> Study:
    content = LAPTOP if "[fit]" in LAPTOP else LAPTOP + "\n[fit]\n"
    return Study.parse(content.replace("[fit]\n", f"[fit]\n{text}\n"), place="mine.toml")


def test_a_study_sets_whatever_a_fit_can_be_told():
    given = {
        "starts": "hoffmann",
        "fixed": {"E": 1.5},
        "weights": "stderr",
        "exclude_flags": ("saturated",),
        "method": "rows",
    }
    study = with_fit(
        'starts = "hoffmann"\nfixed = { E = 1.5 }\nweights = "stderr"\nexclude_flags = ["saturated"]\nmethod = "rows"'
    )
    settings = study.fit.settings
    assert {name: getattr(settings, name) for name in given} == given
    assert Study.model_validate(study.model_dump(mode="json", by_alias=True)) == study
    with pytest.raises(BadStudy, match="found 'saturate'"):
        with_fit('exclude_flags = ["saturate"]')


def test_settings_that_a_study_does_not_use_leave_its_identity():
    study = with_fit("")
    assert study.fit.settings == FitSettings()
    written = study.model_dump(mode="json", by_alias=True)["fit"]
    assert set(written) == {"laws", "objective", "delta", "bootstrap", "floor", "scatter_prior", "holdout"}
