"""Designs in a study: grammars that share one property and differ in another, found once and for ever."""

from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from isoloss.complexity.candidates import Candidate
from isoloss.core.errors import BadStudy, NothingFound
from isoloss.core.progress import Quiet
from isoloss.grammar.floor import estimate_floor
from isoloss.study.check import check_study
from isoloss.study.lab import Lab
from isoloss.study.spec import Study

STUDY = """
schema = 1
name = "designed"
seed = 5

[[corpus]]
name = "isofloor"
source = "search"
design = "iso_floor"
hold = { floor = 0.8, vocabulary = 60 }
points = [0.4, 0.5]
replicates = 2
tolerance = { gzip = 0.03, floor = 0.06 }
candidates = 300
tokens = 20_000
heldout_tokens = 32_000

[complexity]
measures = ["gzip"]
sequence_tokens = 64

[grid]
params = [1e4]
tokens = [1e4]
context = 64

[training]
batch_tokens = 640
peak_lr = { at_params = 1e4, value = 5e-3, exponent = 0.0 }
"""

ANOTHER = '[[corpus]]\nname = "isofloor-2b"\nsource = "files"\npaths = "x"\n'


def parsed(old="", new=""):
    assert old in STUDY
    return Study.parse(STUDY.replace(old, new, 1), place="mine.toml")


def test_corpora_share_the_floor_and_differ_in_gzip(tmp_path, monkeypatch):
    study, lab = parsed(), Lab(tmp_path / "first")
    result = lab.run(study, until="complexity")
    assert list(result.corpora) == ["isofloor-1a", "isofloor-1b", "isofloor-2a", "isofloor-2b"]
    assert len({corpus.source["grammar"] for corpus in result.corpora.values()}) == 4
    for name, corpus in result.corpora.items():
        # Of the corpus itself, measured anew: three standard errors (.003 and .012) next to the tolerance.
        gzip = {"1": 0.4, "2": 0.5}[name[9]]
        assert result.complexity[name]["gzip"].value.value == pytest.approx(gzip, abs=0.03 + 0.01)
        assert corpus.floor.value == pytest.approx(0.8, abs=0.06 + 0.036)
    grammar = study.sources(context=64, folder=lab.folder / "designs")[0].grammar
    assert estimate_floor(grammar.language(), context=64, seed=1).value == pytest.approx(0.8, abs=0.06 + 0.02)

    # Elsewhere the same corpora are found again; here none is searched for again.
    assert parsed().sources(context=64, folder=tmp_path / "second") == study.sources(
        context=64, folder=lab.folder / "designs"
    )
    monkeypatch.setattr(Candidate, "distance", None)
    again = Lab(tmp_path / "first").corpora(study)
    built = [corpus.fingerprint for corpus in result.corpora.values()]
    assert [corpus.fingerprint for corpus in again.values()] == built
    checked = check_study(study, base=tmp_path, results=tmp_path / "first")
    assert [corpus.fingerprint for corpus in checked.corpora.values()] == built


def test_what_a_search_does_for_a_check_is_shown(tmp_path):
    output = Recorder()
    check_study(parsed(), base=tmp_path, results=tmp_path / "none", progress=output)
    assert output.notes == ["isofloor: grammars with gzip 0.4", "isofloor: grammars with gzip 0.5"]
    assert output.titles == ["searching grammars"] * 2
    assert not (tmp_path / "none").exists()


class Recorder(Quiet):
    """Records what it is given."""

    def __init__(self):
        super().__init__()
        self.notes, self.titles = [], []

    def note(self, text):
        self.notes.append(text)

    @contextmanager
    def task(self, title, *, total):
        self.titles.append(title)
        yield SimpleNamespace(advance=lambda amount, *, detail=None: None)


def test_a_damaged_note_of_what_was_found_is_written_again(tmp_path):
    old = '"iso_floor"\nhold = { floor = 0.8, vocabulary = 60 }\npoints = [0.4, 0.5]\nreplicates = 2'
    study = parsed(old, '"iso_unigram"\nhold = { unigram = 3 }\npoints = [0.6, 1.0]')
    first = study.sources(context=64, folder=tmp_path)
    notes = sorted(tmp_path.iterdir())
    # Golden: raise SEARCH_VERSION where the same wishes and seed find other grammars.
    assert [note.stem for note in notes] == ["design1-27039a110f25436f61e1", "design1-f80d3b939a965b531c2d"]
    notes[0].write_text("{")
    assert study.sources(context=64, folder=tmp_path) == first
    assert notes[0].stat().st_size > 100


def test_a_point_that_no_grammar_has_is_named(tmp_path):
    study = parsed("points = [0.4, 0.5]\nreplicates = 2", "points = [0.95, 0.96]\nreplicates = 1")
    study = study.model_copy(update={"corpus": (study.corpus[0].model_copy(update={"candidates": 5}),)})
    with pytest.raises(
        NothingFound, match=r"none of 5 grammars tried has vocabulary 60 ± 5, gzip 0.95 ± 0.03, floor"
    ) as caught:
        study.sources(context=64, folder=tmp_path)
    assert caught.value.place == "corpus 'isofloor', gzip 0.95"
    assert caught.value.fix


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"iso_floor"', '"iso_flor"', "did you mean 'iso_floor'"),
        ("{ floor = 0.8, vocabulary = 60 }", "{ gzip = 0.3 }", "iso_floor keeps the floor constant: give hold"),
        ("{ floor = 0.8, vocabulary = 60 }", "{ floor = 0.8, gzip = 0.3 }", "gzip cannot both be held and vary"),
        ("points = [0.4, 0.5]", "points = [0.35, 0.35]", "equal"),
        ("points = [0.4, 0.5]", "points = [0.35]", "points"),
        ("points = [0.4, 0.5]", "points = [0.35, 1.5]", "less than 1"),
        ("replicates = 2", "replicate = 2", "did you mean 'replicates'"),
        ("tolerance = { gzip", "tolerance = { gzp", "did you mean 'gzip'"),
        ("[complexity]", f"{ANOTHER}[complexity]", "repeated: isofloor-2b"),
    ],
)  # fmt: skip
def test_mistakes_are_named(old, new, said):
    with pytest.raises(BadStudy, match=said) as caught:
        parsed(old, new)
    assert caught.value.place == "mine.toml"
    assert caught.value.fix


def test_every_design_has_its_own_variable():
    for design, held, varied in (
        ("iso_floor", "floor = 0.8", "gzip"),
        ("iso_gzip", "gzip = 0.3", "floor"),
        ("iso_vocabulary", "vocabulary = 300", "gzip"),
        ("iso_unigram", "unigram = 3.5", "floor"),
    ):
        changed = parsed('"iso_floor"\nhold = { floor = 0.8, vocabulary = 60 }', f'"{design}"\nhold = {{ {held} }}')
        assert changed.corpus[0].varied == varied
    papers = parsed('"iso_floor"\nhold = { floor = 0.8, vocabulary = 60 }\npoints = [0.4, 0.5]',
                    '"iso_gzip"\nhold = { gzip = 0.36 }\nvary = "vocabulary"\npoints = [100, 500]')  # fmt: skip
    assert papers.corpus[0].wanted(500).items() == [("vocabulary", 500.0), ("gzip", 0.36)]
