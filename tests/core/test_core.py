"""Identity, randomness, files, registries, errors."""

import errno
import os
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoloss.core import files
from isoloss.core.errors import BadTable, StorageError, UnknownName
from isoloss.core.estimate import Estimate
from isoloss.core.fingerprint import canonical_json, fingerprint
from isoloss.core.registry import Registry
from isoloss.core.rng import derive_seed, stream

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), PLAIN, max_size=6))
def test_identity_ignores_the_order_of_keys(content):
    shuffled = dict(reversed(list(content.items())))
    assert fingerprint(content, kind="x", version=1) == fingerprint(shuffled, kind="x", version=1)


@given(PLAIN, PLAIN)
def test_different_content_has_different_text(a, b):
    # 1 and 1.0 are one number on purpose; True and 1 are not.
    assert (canonical_json({"v": a}) == canonical_json({"v": b})) == (_strict(a) == _strict(b))


def _strict(value):
    match value:
        case bool():
            return ("bool", value)
        case int() | float():
            return ("number", float(value) + 0.0)
        case list():
            return ("list", tuple(_strict(v) for v in value))
        case dict():
            return ("dict", frozenset((k, _strict(v)) for k, v in value.items()))
        case _:
            return (type(value).__name__, value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), lambda: 1, object(), {1: 2}, {"a": {3, 4}}])
def test_what_has_no_canonical_form_has_no_identity(value):
    with pytest.raises(TypeError):
        canonical_json(value)


def test_a_stream_depends_on_its_purpose_alone():
    first = stream(1, "order", "corpus-a").integers(0, 2**62, 4)
    again = stream(1, "order", "corpus-a").integers(0, 2**62, 4)
    other = stream(1, "init", "corpus-a").integers(0, 2**62, 4)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert derive_seed(1, "a", "bc") != derive_seed(1, "ab", "c")


def test_a_failed_write_leaves_the_old_file(tmp_path):
    target = tmp_path / "record.json"
    files.write_json(target, {"loss": 1.5})
    with pytest.raises(ValueError), files.replacing(target) as temporary:
        temporary.write_text("half a rec")
        raise ValueError("killed here")
    assert target.read_text() == '{\n "loss": 1.5\n}\n'
    assert [p.name for p in tmp_path.iterdir()] == ["record.json"]


@pytest.mark.parametrize(("code", "said"), [(errno.ENOSPC, "no space"), (errno.EACCES, "no permission")])
def test_a_full_disk_is_reported_as_one(tmp_path, code, said):
    with pytest.raises(StorageError, match=said), files.replacing(tmp_path / "a"):
        raise OSError(code, os.strerror(code))


def test_json_never_holds_nan(tmp_path):
    with pytest.raises(ValueError):
        files.write_json(tmp_path / "a.json", {"loss": float("nan")})


def test_an_unknown_name_is_answered_with_the_nearest():
    laws = Registry[int]("law")
    laws.add("chinchilla", 1)
    laws.add("kaplan", 2)
    with pytest.raises(UnknownName) as error:
        laws["chinchila"]
    assert "did you mean 'chinchilla'" in str(error.value)
    assert "kaplan" in str(error.value)
    with pytest.raises(UnknownName, match="math:tau"):  # only kinds with a base class are open to others
        laws["math:tau"]


def test_errors_survive_the_trip_between_processes():
    error = BadTable("found nan", place="row 3", fix="drop it")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.message, again.place, again.fix) == (BadTable, "found nan", "row 3", "drop it")


def test_an_interval_needs_draws():
    assert Estimate.from_draws([], value=2.0).low is None
    drawn = Estimate.from_draws(np.linspace(0, 1, 1001), value=0.4)
    assert (drawn.value, drawn.low, drawn.high) == pytest.approx((0.4, 0.025, 0.975))
    normal = Estimate.from_stderr(0.0, 1.0)
    assert normal.high == pytest.approx(1.959964, abs=1e-6)
