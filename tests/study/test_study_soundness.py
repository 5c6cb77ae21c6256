"""A split that is no fair sample is warned of: before training by what is held out, after it by the losses."""

import random
from hashlib import sha256
from pathlib import Path

import pytest

from isoloss.corpus.build import build
from isoloss.corpus.sources import FilesSource, PcfgSource
from isoloss.corpus.split import rank
from isoloss.grammar.families import RandomGrammar
from isoloss.report.blocks import Notes
from isoloss.report.sections import sections
from isoloss.study.check import check_study
from isoloss.study.lab import Lab
from isoloss.study.reporting import report_data
from isoloss.study.soundness import corpus_warnings
from isoloss.study.spec import Study

CONTEXT = 32
TOML = """
schema = 1
name = "sound"
question = "Are both sides of the split one text?"
seed = 0

[[corpus]]
name = "text"
source = "files"
paths = ["texts"]
heldout_fraction = 0.2

[grid]
params = [6e3]
tokens = [1.6e4]
context = 32

[complexity]
measures = ["gzip"]
sequence_tokens = 32

[training]
batch_tokens = 512
warmup_tokens = 2048
peak_lr = 1e-2

[fit]
bootstrap = 10
"""


def letters(rng: random.Random, alphabet: str, characters: int = 1200) -> str:
    return "".join(rng.choices(alphabet, k=characters))


def write(folder: Path, texts: list[str]) -> Path:
    folder.mkdir(parents=True)
    for i, text in enumerate(texts):
        (folder / f"{i}.txt").write_text(text)
    return folder


def even() -> list[str]:
    rng = random.Random(0)
    return [letters(rng, "abcdefghABCDEFGH") for _ in range(60)]


def lopsided() -> list[str]:
    """Return texts of which those that will be held out, a fifth under seed 0, are of letters that no other has."""
    rng = random.Random(0)

    def first(text: str) -> int:
        return rank(sha256(text.encode()).digest(), 0)

    lower = sorted((letters(rng, "abcdefgh") for _ in range(200)), key=first)
    upper = sorted((letters(rng, "ABCDEFGH") for _ in range(200)), key=first)
    return lower[-48:] + upper[:12]


def codes(folder: Path, root: Path, **keys) -> list[str]:
    corpus = build(FilesSource(name="text", paths=(str(folder),), **keys), root=root, context=CONTEXT)
    return [warning.code for warning in corpus_warnings({"text": corpus}, context=CONTEXT)]


def test_few_heldout_documents_are_warned_of(tmp_path):
    few = write(tmp_path / "few", even()[:20])
    assert codes(few, tmp_path / "c") == ["few_heldout_documents"]
    assert codes(few, tmp_path / "c", heldout_fraction=0.4) == []
    assert codes(few, tmp_path / "c", piece_bytes=200) == []


def test_sides_of_other_tokens_are_warned_of(tmp_path):
    assert codes(write(tmp_path / "even", even()), tmp_path / "c", heldout_fraction=0.2) == []
    assert codes(write(tmp_path / "odd", lopsided()), tmp_path / "c", heldout_fraction=0.2) == ["heldout_differs"]


def test_generated_language_is_held_out_fairly(tmp_path):
    grammar = RandomGrammar(family="random", nonterminals=4, terminals=10, max_rules=8, max_rhs=5, seed=2)
    source = PcfgSource(name="language", grammar=grammar, tokens=8000, heldout_tokens=2000)
    corpus = build(source, root=tmp_path, context=CONTEXT)
    assert corpus_warnings({"language": corpus}, context=CONTEXT) == []


@pytest.mark.parametrize(("texts", "expected"), [(even, []), (lopsided, ["heldout_differs", "heldout_gap"])])
def test_check_run_and_report_warn_of_a_split_that_is_no_fair_sample(tmp_path, texts, expected):
    write(tmp_path / "texts", texts())
    study = Study.parse(TOML, place="sound.toml")
    checked = check_study(study, base=tmp_path).to_json()["corpus_warnings"]
    assert [warning["code"] for warning in checked] == expected[:1]
    lab = Lab(tmp_path / "out", base=tmp_path)
    result = lab.run(study, until="fit")
    output = result.to_json()["warnings"]
    assert [(warning["corpus"], warning["code"]) for warning in output] == [("text", code) for code in expected]
    page = next(part for part in sections(report_data(result, lab.archive)) if part.name == "corpora")
    shown = [note.text for block in page.blocks if isinstance(block, Notes) for note in block.items]
    assert shown == [warning["message"] for warning in output]
