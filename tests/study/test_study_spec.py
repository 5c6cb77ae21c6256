"""The study file: what is accepted, and what each mistake is answered with."""

from pathlib import Path

import pytest

from isoloss.core.errors import BadStudy
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
