"""The bundled law: how loss and best split follow n-gram entropy over texts, and the runs that say so.

`studies/answer` trained them: bytes as tokens, models of 4,500 to 130,000 parameters, 90,000 to 4.5 million tokens
each. docs/results/answer.md describes what they show. A pilot on the corpus itself is more accurate.
The runs of an earlier study (`studies/real.toml`, docs/results/real.md) are bundled as a table to try things on.
"""

from dataclasses import replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from isoloss.data_dependence.coefficients import Form
from isoloss.data_dependence.data_dependent import DataDependent, FittedDataDependent
from isoloss.data_dependence.law_files import LawFile, load_law
from isoloss.data_dependence.pooled_split import pool_table
from isoloss.runs.observations import Observations
from isoloss.runs.read_runs import read_runs

FOLDER = Path(str(files("isoloss.planning"))) / "shipped"
LAW, TEXTS = FOLDER / "law.json", FOLDER / "texts.csv"
RUNS = FOLDER / "runs.csv"
"""The runs of the earlier study."""
MEASURE = "ngram"
"""Of the five measures of the study the one that predicts best what a left-out corpus's runs end at."""
FORMS: dict[str, Form] = {"E": "log_linear", "A0": "log_linear", "B0": "log_linear"}
"""The levels follow the measure, the exponents are shared: of seven choices the one whose plans for left-out corpora
were off least in ln(D*/N*) on the ten corpora of the earlier study."""
LETTERS = "unigram"
LETTER_SPAN = (2.55, 4.08)
"""Between which values the entropy of single bytes of the law's corpora lies, in nats. Two texts outside, molecules
(2.39) and tables of numbers (2.06), do best with far more tokens per parameter than planned: docs/results/answer.md."""
REFERENCE = "english"
"""The corpus that stands for a reference frontier's text where none is named: prose, as most of the web's pages are."""
TOKENIZER = "bytes"
WITHOUT_LAW = ("dna", "protein")
"""Corpora whose models hardly beat the frequencies of their letters: nearly all runs flagged, no law of their own."""
DRAWS, SEED = 1000, 17
_COLUMNS: dict[str, Any] = {
    "corpus": "corpus", "trunk": "trunk", "stderr": "stderr", "vocab": 256.0, "params_convention": "with_head"
}  # fmt: skip


@cache
def shipped_file() -> LawFile:
    """Return the bundled law, and how its corpora were measured."""
    return load_law(LAW)


def shipped_law() -> FittedDataDependent:
    """Return the bundled data-dependent law; its `domain` says where it was fitted."""
    law = shipped_file().law
    assert isinstance(law, FittedDataDependent)
    return law


def shipped_texts() -> Observations:
    """Return the runs that the law was fitted to, all without a flag, with a column of its measure."""
    return read_runs(TEXTS, complexity=(MEASURE,), **_COLUMNS)


def shipped_runs(*measures: str) -> Observations:
    """Return the runs of the earlier study, all without a flag, with columns of `measures` (the law's alone)."""
    without = ", ".join(f"'{name}'" for name in WITHOUT_LAW)
    where = f"coalesce(flags, '') = '' AND corpus NOT IN ({without})"
    return read_runs(RUNS, complexity=measures or (MEASURE,), where=where, **_COLUMNS)


def fit_shipped(draws: int = DRAWS) -> FittedDataDependent:
    """Return the law fitted again from its runs, as it was for the package; or with other `draws`."""
    runs = shipped_texts()
    law = DataDependent(complexity=MEASURE, forms=FORMS).fit(runs, bootstrap=draws, seed=SEED)
    return replace(law, pooled=pool_table(runs, measured=law.complexity, seed=SEED))
