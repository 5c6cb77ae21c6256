"""The compiled kernels against their definitions in float64."""

import numpy as np
import pytest

from isoloss.models import _kernels


def floats(*shape, seed=0, scale=1.0):
    return (np.random.default_rng(seed).standard_normal(shape) * scale).astype(np.float32)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0])
@pytest.mark.parametrize("vocab", [2, 31, 32, 33, 500])
def test_cross_entropy_and_its_gradient(vocab, scale):
    logits, targets = floats(40, vocab, scale=scale), np.random.default_rng(1).integers(-1, vocab, size=40)
    exact = logits.astype(np.float64)
    shifted = exact - exact.max(axis=1, keepdims=True)
    probabilities = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
    scored = np.flatnonzero(targets >= 0)
    nats = np.zeros(40)
    nats[scored] = -(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))[scored, targets[scored]]
    gradient = np.where(targets[:, None] >= 0, probabilities, 0.0)
    gradient[scored, targets[scored]] -= 1.0
    found = np.empty(40)
    _kernels.cross_entropy(logits, targets, found)
    # Float32 with an exponential good to 1.3e-7; logits of 100 carry 4e-6 each.
    np.testing.assert_allclose(found, nats, atol=2e-5, rtol=1e-6)
    np.testing.assert_allclose(logits, gradient, atol=1e-6 * max(1.0, scale))


def test_far_logits_neither_overflow_nor_leave_denormal_numbers():
    logits = np.array([[3e38, -3e38, 0.0, 3e38], [-200.0, 0.0, -90.0, -86.0]], dtype=np.float32)
    nats = np.empty(2)
    _kernels.cross_entropy(logits, np.array([0, 1]), nats)
    np.testing.assert_allclose(nats, [np.log(2), 0.0], atol=1e-6)
    assert np.isfinite(logits).all()
    tiny = np.abs(logits[logits != 0]).min()
    assert tiny >= np.finfo(np.float32).tiny


def test_a_nan_stays_one():
    logits, nats = floats(3, 50), np.empty(3)
    logits[1, 7] = np.nan
    _kernels.cross_entropy(logits, np.array([0, 0, 0]), nats)
    assert np.isnan(nats[1])
    assert np.isfinite(nats[[0, 2]]).all()


@pytest.mark.parametrize(("first", "rows", "keys"), [(0, 40, 40), (64, 64, 128), (5, 3, 8), (0, 1, 1)])
def test_causal_softmax_and_its_gradient(first, rows, keys):
    scores, upstream = floats(2, rows, keys, scale=3), floats(2, rows, keys, seed=1)
    hidden = np.arange(keys)[None, :] > first + np.arange(rows)[:, None]
    exact = np.where(hidden, -np.inf, scores.astype(np.float64))
    weights = np.exp(exact - exact.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    gradient = weights * (upstream - (weights * upstream).sum(axis=-1, keepdims=True))
    _kernels.causal_softmax(scores, first)
    np.testing.assert_allclose(scores, weights, atol=1e-6)
    assert (scores[:, hidden] == 0).all()
    _kernels.causal_softmax_backward(scores, upstream, first)
    np.testing.assert_allclose(upstream, gradient, atol=2e-6)


def test_rotation_is_a_rotation_and_is_turned_back():
    qkv = floats(2, 5, 3, 2, 6)
    angles = floats(5, 3)
    cos, sin = np.cos(angles), np.sin(angles)
    q, k, v = (np.empty((2, 2, 5, 6), dtype=np.float32) for _ in range(3))
    one = np.float32(1)
    _kernels.split_and_rotate(qkv, cos, sin, np.float32(0.5), q, k, v)
    turned = (qkv[..., :3] + 1j * qkv[..., 3:]) * (cos + 1j * sin)[:, None, None, :]
    for found, which, scale in ((q, 0, 0.5), (k, 1, 1.0)):
        expected = turned[:, :, which].transpose(0, 2, 1, 3) * scale
        np.testing.assert_allclose(found[..., :3] + 1j * found[..., 3:], expected, atol=1e-6)
    np.testing.assert_array_equal(v, qkv[:, :, 2].transpose(0, 2, 1, 3))
    back = np.empty_like(qkv)
    _kernels.split_and_rotate_backward(q * 2, k, v, cos, sin, one, back)
    np.testing.assert_allclose(back, qkv, atol=1e-6)
