"""The compiled kernels against their definitions in float64."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoloss.models.cpu import _kernels


def floats(*shape, seed=0, scale=1.0):
    return (np.random.default_rng(seed).standard_normal(shape) * scale).astype(np.float32)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0])
@pytest.mark.parametrize("vocab", [2, 31, 32, 33, 500])
@pytest.mark.parametrize("z_loss", [0.0, 0.01])
def test_cross_entropy_and_its_gradient(vocab, scale, z_loss):
    logits, targets = floats(40, vocab, scale=scale), np.random.default_rng(1).integers(-1, vocab, size=40)
    exact = logits.astype(np.float64)
    shifted = exact - exact.max(axis=1, keepdims=True)
    probabilities = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
    scored = np.flatnonzero(targets >= 0)
    nats = np.zeros(40)
    nats[scored] = -(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))[scored, targets[scored]]
    log_z = np.where(targets >= 0, np.log(np.exp(shifted).sum(axis=1)) + exact.max(axis=1), 0.0)
    gradient = np.where(targets[:, None] >= 0, probabilities * (1 + 2 * z_loss * log_z[:, None]), 0.0)
    gradient[scored, targets[scored]] -= 1.0
    found, found_log_z = np.empty(40), np.empty(40)
    _kernels.cross_entropy(logits, targets, np.float32(z_loss), found, found_log_z)
    np.testing.assert_allclose(found_log_z, log_z, atol=2e-5, rtol=1e-6)
    # Float32 with an exponential good to 1.3e-7; logits of 100 carry 4e-6 each.
    np.testing.assert_allclose(found, nats, atol=2e-5, rtol=1e-6)
    np.testing.assert_allclose(logits, gradient, atol=1e-6 * max(1.0, scale))


def test_far_logits_neither_overflow_nor_leave_denormal_numbers():
    logits = np.array([[3e38, -3e38, 0.0, 3e38], [-200.0, 0.0, -90.0, -86.0]], dtype=np.float32)
    nats = np.empty(2)
    _kernels.cross_entropy(logits, np.array([0, 1]), np.float32(0), nats, np.empty(2))
    np.testing.assert_allclose(nats, [np.log(2), 0.0], atol=1e-6)
    assert np.isfinite(logits).all()
    tiny = np.abs(logits[logits != 0]).min()
    assert tiny >= np.finfo(np.float32).tiny


def test_a_nan_stays_one():
    logits, nats = floats(3, 50), np.empty(3)
    logits[1, 7] = np.nan
    _kernels.cross_entropy(logits, np.array([0, 0, 0]), np.float32(0), nats, np.empty(3))
    assert np.isnan(nats[1])
    assert np.isfinite(nats[[0, 2]]).all()


@pytest.mark.parametrize(("first", "rows", "keys"), [(0, 40, 40), (64, 64, 128), (5, 3, 8), (0, 1, 1)])
def test_causal_softmax_and_its_gradient(first, rows, keys):
    scores, upstream = floats(rows, keys, scale=3), floats(rows, keys, seed=1)
    hidden = np.arange(keys)[None, :] > first + np.arange(rows)[:, None]
    exact = np.where(hidden, -np.inf, scores.astype(np.float64))
    weights = np.exp(exact - exact.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    gradient = weights * (upstream - (weights * upstream).sum(axis=-1, keepdims=True))
    _kernels.causal_softmax(scores, first)
    np.testing.assert_allclose(scores, weights, atol=1e-6)
    assert (scores[hidden] == 0).all()
    _kernels.causal_softmax_backward(scores, upstream, first)
    np.testing.assert_allclose(upstream, gradient, atol=2e-6)


def test_a_turn_is_a_rotation_and_is_turned_back():
    windows, positions, heads, half = 2, 5, 2, 3
    qkv = floats(windows * positions, 3 * heads * 2 * half)
    angles = floats(positions, half)
    cos, sin, one = np.cos(angles), np.sin(angles), np.float32(1)
    found = qkv.copy()
    _kernels.turn(found, cos, sin, heads, np.float32(0.5), one)
    parts, turned = (x.reshape(windows, positions, 3, heads, 2, half) for x in (qkv, found))
    expected = (parts[..., 0, :] + 1j * parts[..., 1, :]) * (cos + 1j * sin)[:, None, None, :]
    for which, scale in ((0, 0.5), (1, 1.0)):
        there = turned[:, :, which, :, 0] + 1j * turned[:, :, which, :, 1]
        np.testing.assert_allclose(there, expected[:, :, which] * scale, atol=1e-6)
    np.testing.assert_array_equal(turned[:, :, 2], parts[:, :, 2])
    _kernels.turn(found, cos, sin, heads, np.float32(2), -one)
    np.testing.assert_allclose(found, qkv, atol=1e-6)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.sampled_from([0.0, 1.0]))
def test_products_of_columns_of_wider_matrices(m, n, k, beta):
    a, b = floats(m, k + 3)[:, 2 : k + 2], floats(k, n + 5, seed=1)[:, 1 : n + 1]
    before = floats(m, n + 4, seed=2)
    expected = before.astype(np.float64)
    expected[:, 3 : n + 3] = a.astype(np.float64) @ b + beta * expected[:, 3 : n + 3]
    b_t, a_t = np.ascontiguousarray(b.T), np.ascontiguousarray(a.T)
    for product, left, right in ((_kernels.product, a, b), (_kernels.product_t, a, b_t), (_kernels.t_product, a_t, b)):
        found = before.copy()
        product(left, right, np.float32(beta), found[:, 3 : n + 3])
        np.testing.assert_allclose(found, expected, atol=2e-5)  # 40 terms of order one in float32


def test_what_attention_keeps_is_what_it_writes():
    for positions in (1, 31, 32, 33, 100, 256):
        kept = np.full(_kernels.kept_floats(positions) + 1, np.nan, dtype=np.float32)
        _kernels.attend(floats(positions, 12), positions, 1, kept, np.empty((positions, 4), dtype=np.float32))
        assert np.isfinite(kept[:-1]).all()
        assert np.isnan(kept[-1])
