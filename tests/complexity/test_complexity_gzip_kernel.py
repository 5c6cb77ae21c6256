"""The fast path of gzip: zlib's size to the byte for every short text, and zlib itself where it is not trusted."""

import gzip
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isoloss.complexity import compressors
from isoloss.complexity._deflate_kernels import SHORT, deflated_sizes
from isoloss.complexity.base import MeasureSettings
from isoloss.complexity.compressors import Gzip, kernel_agrees


def zlib_sizes(rows):
    return [len(zlib.compress(row.tobytes(), 9, -15)) for row in rows]


@st.composite
def texts(draw):
    """Bytes with repeats at random distances: literals, copies of what was written, and runs."""
    limit = draw(st.integers(1, SHORT))
    written = bytearray()
    while len(written) < limit:
        kind = draw(st.integers(0, 2))
        if kind == 0 or not written:
            written += draw(st.binary(min_size=1, max_size=40))
        elif kind == 1:
            distance = draw(st.integers(1, len(written)))
            for _ in range(draw(st.integers(3, 300))):
                written.append(written[-distance])
        else:
            written += bytes([draw(st.integers(0, 255))]) * draw(st.integers(1, 30))
    return bytes(written[:limit])


@settings(max_examples=100, deadline=None)
@given(texts())
def test_every_short_text_has_zlib_s_size(text):
    row = np.frombuffer(text, dtype=np.uint8)[None]
    assert deflated_sizes(row)[0] == len(zlib.compress(text, 9, -15))


@pytest.mark.parametrize("token_bytes", [1, 2, 4, 8])
def test_ids_of_every_width_and_skew_have_zlib_s_size(token_bytes):
    rng = np.random.default_rng(token_bytes)
    length = SHORT // token_bytes
    for exponent in (1.05, 1.3, 2.0, 4.0):
        ids = np.minimum(rng.zipf(exponent, (300, length)), 256 ** min(token_bytes, 3) - 1)
        repeated = np.where(rng.random(ids.shape) < rng.random((300, 1)), np.roll(ids, 11, axis=1), ids)
        rows = np.ascontiguousarray(repeated.astype(">u8")).view(np.uint8).reshape(300, length, 8)
        rows = np.ascontiguousarray(rows[..., 8 - token_bytes :]).reshape(300, -1)
        assert deflated_sizes(rows).tolist() == zlib_sizes(rows)


def test_texts_of_every_length_and_of_one_symbol_have_zlib_s_size():
    rng = np.random.default_rng(0)
    for length in [*range(1, 40), 255, 256, 257, 258, 259, 260, 261, 517, 1023, 1024]:
        rows = np.stack([np.zeros(length), rng.integers(0, 256, length), rng.integers(0, 2, length)]).astype(np.uint8)
        assert deflated_sizes(rows).tolist() == zlib_sizes(rows)


def test_code_lengths_that_need_shortening_have_zlib_s_size():
    # Frequencies of Fibonacci make the deepest trees: of the code lengths themselves, at most seven bits.
    counts = [1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233]
    rng = np.random.default_rng(0)
    symbols = np.repeat(np.arange(len(counts)) * 19 % 256, counts)
    rows = np.stack([rng.permutation(symbols) for _ in range(200)]).astype(np.uint8)
    assert deflated_sizes(rows).tolist() == zlib_sizes(rows)


def test_a_kernel_that_disagrees_is_not_used(monkeypatch):
    measure = Gzip(MeasureSettings())
    rows = np.random.default_rng(0).integers(0, 9, (5, 1024)).astype(np.uint8)
    expected = [len(gzip.compress(row.tobytes(), 9)) for row in rows]
    assert measure.sizes(rows) == expected
    monkeypatch.setattr(compressors, "deflated_sizes", lambda rows: np.zeros(len(rows), dtype=np.int64))
    kernel_agrees.cache_clear()
    assert not kernel_agrees()
    assert measure.sizes(rows) == expected
    kernel_agrees.cache_clear()
