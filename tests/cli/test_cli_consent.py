"""A file from elsewhere runs no code: what it names is imported where the user said so, at every door."""

import json
import sys

import numpy as np
import pytest

from isoloss.data_dependence.data_dependent import from_laws
from isoloss.data_dependence.storage import save_data_dependent
from isoloss.fitting.fitting import fit
from isoloss.runs.observations import observations

MODULE = """
from pathlib import Path

import numpy as np

from isoloss.complexity.base import Measure
from isoloss.corpus.tokenizers import Tokenizer
from isoloss.laws.chinchilla import Chinchilla

Path("mark").touch()


class Length(Measure):
    def values(self, sample):
        return np.full(len(sample.sequences), float(sample.sequences.shape[1]))


class Twice(Tokenizer):
    vocab_size = 256
    identity = "twice"

    def encode(self, document):
        return np.repeat(np.frombuffer(document, dtype=np.uint8).astype(np.uint16), 2)


class Own(Chinchilla):
    name = "own"


def bomb():
    Path("called").touch()
"""
STUDY = """
schema = 1
name = "foreign"
question = "Does a file run code?"
seed = 0

[[corpus]]
name = "text"
source = "files"
paths = ["texts"]
heldout_fraction = 0.2
tokenizer = "TOKENIZER"

[grid]
params = [6e3]
tokens = [4e3]
context = 32

[complexity]
measures = ["MEASURE"]
sequence_tokens = 32

[training]
batch_tokens = 512
warmup_tokens = 1024
peak_lr = 1e-2

[fit]
laws = ["LAW"]
bootstrap = 0
"""
HARMLESS = {"TOKENIZER": "bytes", "MEASURE": "unigram", "LAW": "chinchilla"}
OWN = {"TOKENIZER": "foreign:Twice", "MEASURE": "foreign:Length", "LAW": "foreign:Own"}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with text and with a module that leaves a mark where it is imported."""
    (tmp_path / "foreign.py").write_text(MODULE)
    (tmp_path / "texts").mkdir()
    for i in range(40):
        (tmp_path / "texts" / f"{i}.txt").write_text(f"{i} some words of a text " * 20)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    sys.modules.pop("foreign", None)


def study(here, **named):
    text = STUDY
    for key, value in {**HARMLESS, **named}.items():
        text = text.replace(key, value)
    (here / "study.toml").write_text(text)
    return here / "study.toml"


def law(here, name="foreign:Own"):
    """Write a law file that says that its law is `name`."""
    n, d = (side.ravel() for side in np.meshgrid([1e6, 3e6, 1e7, 3e7], [1e8, 3e8, 1e9]))
    table = observations(params=n, tokens=d, loss_nats=1.7 + 400 / n**0.34 + 410 / d**0.28)
    fit(table, bootstrap=20).save(here / "law.json")
    content = json.loads((here / "law.json").read_text())
    (here / "law.json").write_text(json.dumps({**content, "law": name}))
    return here / "law.json"


def untouched(here):
    return not (here / "mark").exists() and not (here / "called").exists() and "foreign" not in sys.modules


@pytest.mark.parametrize("verb", ["check", "run"])
@pytest.mark.parametrize("field", sorted(OWN))
def test_a_study_imports_nothing_that_is_not_allowed(here, isoloss, verb, field):
    refused = isoloss(verb, study(here, **{field: OWN[field]}), "--json")
    assert refused.code == 2
    assert "--allow foreign" in refused.json["error"]["fix"]
    assert untouched(here)


@pytest.mark.parametrize("name", ["foreign:bomb", "os:abort", "os:_exit"])
@pytest.mark.parametrize("field", sorted(OWN))
def test_what_is_no_class_of_its_kind_is_not_called_though_it_is_allowed(here, isoloss, field, name):
    refused = isoloss("check", study(here, **{field: name}), "--allow", "foreign", "--json")
    assert refused.code == 2
    assert not (here / "called").exists()


def test_an_allowed_study_runs_with_its_own_classes(here, isoloss):
    checked = isoloss("check", study(here, **OWN), "--allow", "foreign", "--json")
    assert checked.code == 0
    assert (here / "mark").exists()


def test_a_law_file_imports_nothing_that_is_not_allowed(here, isoloss):
    call = ("plan", here / "texts", "--law", law(here), "--flops", "1e16", "--no-repeat", "--json")
    refused = isoloss(*call)
    assert refused.code == 2
    assert "--allow foreign" in refused.json["error"]["fix"]
    assert untouched(here)
    assert isoloss(*call, "--allow", "foreign").code == 0


def test_a_data_dependent_law_file_imports_nothing_that_is_not_allowed(here, isoloss):
    rng = np.random.default_rng(0)
    n, d = (side.ravel() for side in np.meshgrid([1e6, 3e6, 1e7, 3e7], [1e8, 3e8, 1e9]))
    parts, value = [], {}
    for i in range(4):
        name = f"c{i}"
        value[name] = 0.2 + 0.1 * i
        loss = (1.5 + value[name] + 400 / n**0.34 + 410 / d**0.28) * np.exp(rng.normal(0, 0.002, len(n)))
        parts.append((n, d, loss, [name] * len(n)))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    table = observations(params=columns[0], tokens=columns[1], loss_nats=columns[2], corpus=columns[3].tolist())
    laws = [fit(table.where(corpus=name), bootstrap=20) for name in value]
    joint = from_laws(laws, table, value, measure="unigram")
    path = here / "joint.json"
    save_data_dependent(joint, path, settings={"sequence_tokens": 32}, tokenizer="bytes")
    content = json.loads(path.read_text())
    for change in (
        {"tokenizer": "foreign:Twice"},
        {"measure": "foreign:Length"},
        {"forms": dict.fromkeys(content["forms"], "foreign:Own")},
    ):
        path.write_text(json.dumps({**content, **change}))
        done = isoloss("plan", here / "texts", "--law", path, "--flops", "1e16", "--json")
        assert done.code in (0, 2)
        assert untouched(here)


def test_a_results_folder_imports_nothing_that_is_not_allowed(here, isoloss):
    assert isoloss("run", study(here), "--out", here / "out", "--until", "complexity", "--json").code == 0
    remembered = json.loads((here / "out" / "study.json").read_text())
    for change in (("fit", {"laws": ["foreign:Own"]}), ("complexity", {"measures": ["foreign:Length"]})):
        part = {**remembered["study"][change[0]], **change[1]}
        content = {**remembered, "study": {**remembered["study"], change[0]: part}}
        (here / "out" / "study.json").write_text(json.dumps(content))
        refused = isoloss("report", here / "out", "--json")
        assert refused.code != 0
        assert untouched(here)


def test_what_is_typed_is_consent(here, isoloss):
    done = isoloss("measure", here / "texts", "--measure", "foreign:Length", "--tokenizer", "foreign:Twice", "--json")
    assert done.json["corpora"][0]["measures"]["foreign:Length"]["value"] == 256
    assert (here / "mark").exists()
