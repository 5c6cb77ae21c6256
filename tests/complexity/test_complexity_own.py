"""A measure of one's own: what is taken from it, and how a faulty one is named."""

import sys

import numpy as np
import pytest

from isoloss.complexity.measure import measure_tokens
from isoloss.core.consent import allow
from isoloss.core.errors import InputError

ROWS = np.random.default_rng(0).integers(0, 9, (12, 16))


def measured(tmp_path, monkeypatch, body: str, base: str = "Measure"):
    """What the measure `faulty:Own` of that body gives for a small sample."""
    (tmp_path / "faulty.py").write_text(
        "import numpy as np\n"
        "from isoloss.complexity.base import BaseMeasure, Measure, Measured\n"
        "from isoloss.core.estimate import Estimate\n"
        f"class Own({base}):\n" + "".join(f"    {line}\n" for line in body.splitlines())
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "faulty", raising=False)
    allow("faulty")
    return measure_tokens(ROWS, "faulty:Own", vocab_size=9)


VALUES = "def values(self, sample):\n    return "


@pytest.mark.parametrize(
    "values",
    ["0.5", "None", "np.ones(3)", "np.ones((len(sample.sequences), 1))", "[[1.0], [1.0, 2.0]]", "['a'] * 12",
     "np.full(12, 1j)", "np.array([np.nan] + [1.0] * 11)", "np.full(12, np.inf)"],
)  # fmt: skip
def test_values_that_are_not_one_finite_number_a_sequence_are_refused(tmp_path, monkeypatch, values):
    with pytest.raises(InputError) as refused:
        measured(tmp_path, monkeypatch, VALUES + values)
    assert refused.value.place == "measure faulty:Own"
    assert refused.value.fix


@pytest.mark.parametrize("values", ["[float(i) for i in range(12)]", "np.arange(12)", "np.arange(12, dtype='f4')"])
def test_numbers_of_any_kind_are_values(tmp_path, monkeypatch, values):
    assert measured(tmp_path, monkeypatch, VALUES + values).value.value == 5.5


@pytest.mark.parametrize(("setting", "known"), [("summary = 'max'", "median"), ("unit = 'nats'", "nats_per_token")])
def test_an_unknown_summary_or_unit_is_refused(tmp_path, monkeypatch, setting, known):
    with pytest.raises(InputError) as refused:
        measured(tmp_path, monkeypatch, f"{setting}\n{VALUES}np.ones(12)")
    assert refused.value.place == "measure faulty:Own"
    assert known in refused.value.fix


@pytest.mark.parametrize("found", ["0.5", "Measured(value=Estimate(value=np.nan), sequences=12, resampled='document')"])
def test_a_measure_of_the_whole_sample_gives_a_finite_number(tmp_path, monkeypatch, found):
    with pytest.raises(InputError) as refused:
        measured(tmp_path, monkeypatch, f"def measure(self, sample, rng):\n    return {found}", base="BaseMeasure")
    assert refused.value.place == "measure faulty:Own"
