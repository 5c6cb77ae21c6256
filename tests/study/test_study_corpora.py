"""The `[[corpus]]` table: interventions, data sets and mixtures as a study declares them, and what errors say."""

import pytest

from isoloss.core.errors import BadStudy
from isoloss.corpus.sources import DatasetSource, MixtureSource
from isoloss.study.spec import Study

TEXT = """
schema = 1
name = "mixed"
seed = 17

[[corpus]]
name = "noisy"
source = "files"
paths = "*.py"
tokenizer = "bpe:1024"
compact = true
near_duplicates = "remove"
jaccard = 0.7
interventions = [{ kind = "remove_comments", language = "python" }, { kind = "noise", rate = 0.1 }]

[[corpus]]
name = "mix"
source = "mixture"
tokens = 20_000
[[corpus.parts]]
weight = 3
of = { name = "prose", source = "datasets", dataset = "owner/name" }
[[corpus.parts]]
weight = 1
of = { name = "code", source = "files", paths = "*.c", interventions = [{ kind = "gzip_tercile", tercile = 2 }] }

[grid]
params = [1e4]
tokens = [1e4]
[training]
batch_tokens = 2048
peak_lr = { at_params = 1e5, value = 5e-3, exponent = -0.25 }
"""


def test_a_study_declares_interventions_data_sets_and_mixtures():
    noisy, mix = Study.parse(TEXT, place="mine.toml").corpus
    assert [step.kind for step in noisy.interventions] == ["remove_comments", "noise"]
    assert (noisy.tokenizer, noisy.compact, noisy.near_duplicates, noisy.jaccard) == ("bpe:1024", True, "remove", 0.7)
    assert isinstance(mix, MixtureSource)
    assert isinstance(mix.parts[0].of, DatasetSource)
    assert [part.weight for part in mix.parts] == [3, 1]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"noise"', '"noize"', r"interventions.1: found 'noize'[\s\S]*did you mean 'noise'"),
        ("rate = 0.1", "raet = 0.1", r"unknown key 'corpus.0.interventions.1.raet'[\s\S]*did you mean 'rate'"),
        ("rate = 0.1", "rate = 1.5", "interventions.1.rate: .*less than or equal to 1"),
        ('kind = "noise", ', "", r"'kind' is missing[\s\S]*kind = \"noise\" or kind = \"relabel\""),
        ('language = "python"', 'language = "pyhton"', r"found 'pyhton'[\s\S]*did you mean 'python'"),
        ("tercile = 2", "tercile = 4", "tercile: found 4"),
        ('"remove"', '"removed"', "found 'removed'"),
        ('source = "mixture"', 'source = "mixtrue"', r"found 'mixtrue'[\s\S]*did you mean 'mixture'"),
        ("weight = 3", "wieght = 3", r"wieght[\s\S]*did you mean 'weight'"),
        ('source = "mixture"', "", r"corpus.1: 'source' is missing[\s\S]*source = \"files\" or source = \"mixture\""),
    ],
)
def test_a_mistake_in_a_corpus_is_named_with_its_remedy(old, new, said):
    assert old in TEXT
    with pytest.raises(BadStudy, match=said) as error:
        Study.parse(TEXT.replace(old, new, 1), place="mine.toml")
    assert error.value.fix
