import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from isoloss.core.arrow import counted, floats_of, lists_of_texts, reals, texts, values_of, wholes


@pytest.mark.parametrize("kind", [pa.float32(), pa.int64(), pa.bool_()])
def test_numbers_of_every_kind_and_in_several_pieces_become_floats(kind):
    column = pa.chunked_array([pa.array([1, 0]).cast(kind), pa.array([], type=kind), pa.array([1]).cast(kind)])
    np.testing.assert_array_equal(floats_of(column), [1.0, 0.0, 1.0])
    np.testing.assert_array_equal(floats_of(column[1:]), [0.0, 1.0])
    assert floats_of(column[:0]).dtype == np.float64


def test_gaps_and_words_are_refused():
    for column in (pa.chunked_array([[1.0, None]]), pa.chunked_array([["one"]])):
        with pytest.raises(pa.ArrowException):
            floats_of(column)


def test_rows_are_counted_from_one():
    assert counted(3).to_pylist() == [1, 2, 3]
    assert counted(0).to_pylist() == []


@pytest.mark.parametrize(
    ("column", "values", "kind"),
    [
        (reals, [1.5, None, -0.0], pa.float64()),
        (wholes, [1, None, -(2**63), 2**63 - 1], pa.int64()),
        (texts, ["", None, "é – ü", "b"], pa.string()),
        (lists_of_texts, [[], ["a", "é"], ["b"]], pa.list_(pa.string())),
    ],
)
@pytest.mark.parametrize("repeats", [0, 1, 9])
def test_columns_hold_what_arrow_makes_of_the_same_values(column, values, kind, repeats):
    found = column(values * repeats)
    found.validate(full=True)
    assert found.equals(pa.array(values * repeats, type=kind))
    without = [value for value in values * repeats if value is not None]
    assert column(without).null_count == 0


def test_values_that_fit_no_column_are_refused():
    with pytest.raises(OverflowError):
        wholes([2**63])
    with pytest.raises(UnicodeError):
        texts(["\ud800"])


@pytest.mark.parametrize("kind", [pa.float32(), pa.int64(), pa.string()])
def test_columns_become_arrays_of_their_own_type(kind):
    column = pa.chunked_array([pa.array([1, 0]).cast(kind), pa.array([], type=kind), pa.array([1]).cast(kind)])
    assert values_of(column).tolist() == column.to_pylist()
    assert values_of(column).dtype == column.to_numpy().dtype
    assert len(values_of(column[:0])) == 0


def test_a_table_is_read_without_pandas(tmp_path):
    """It takes a third of a second of every command, and pyarrow imports it at the first array that it makes."""
    (tmp_path / "runs.csv").write_text("params,tokens,loss_nats\n1e5,1e6,2.5\n2e5,1e6,2.4\n")
    code = (
        "import sys; from isoloss import read_runs; read_runs(sys.argv[1]).corpora; assert 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "runs.csv"], check=True)
