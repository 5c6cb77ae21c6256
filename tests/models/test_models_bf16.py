"""Products of numbers rounded to bfloat16, and a model computed with them, against double precision."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit
from numba.extending import intrinsic
from test_models_llama import ANYWHERE, lively, tokens_for

from isoloss.models import build
from isoloss.models.cpu import _bf16
from isoloss.runs.spec import ModelSpec, Numerics

HALF = Numerics(dtype="bfloat16")


def floats(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def rounded(x):
    return torch.from_numpy(np.ascontiguousarray(x)).bfloat16().double().numpy()


def pairs(*shape):
    return np.full(shape, -1, dtype=np.int32)


def panels(x):
    packed = pairs(_bf16.panel_size(*x.shape))
    _bf16.pack_panels(x, packed, _bf16.pairs_of(len(x)), 0, x.shape[1])
    return packed


@settings(max_examples=60)  # the first call compiles
@given(st.integers(1, 80), st.integers(1, 140), st.integers(1, 150), st.booleans())
def test_products_are_sums_of_products_of_rounded_numbers(m, n, k, add):
    a, b, before = floats(m, k + 3)[:, 2 : k + 2], floats(k, n + 5, seed=1)[:, 1 : n + 1], floats(m, n + 4, seed=2)
    expected = rounded(a) @ rounded(b) + add * before[:, 3 : n + 3].astype(np.float64)
    half, rows, right = _bf16.pairs_of(k), pairs(m, _bf16.pairs_of(k)), panels(b)
    _bf16.pack_rows(a, rows)
    found, transposed = before.copy(), before.copy()
    _bf16.product(rows, right, half, 0, n, found[:, 3 : n + 3], int(add), _bf16.NOTHING)
    _bf16.t_product(
        panels(np.ascontiguousarray(a.T)),
        right,
        half,
        np.bool_(False),
        transposed[:, 3 : n + 3],
        int(add),
        _bf16.NOTHING,
    )
    for each in (found, transposed):
        np.testing.assert_allclose(each[:, 3 : n + 3], expected, atol=1e-4)  # 150 terms of order one in float32
        np.testing.assert_array_equal(each[:, :3], before[:, :3])
        np.testing.assert_array_equal(each[:, n + 3 :], before[:, n + 3 :])
    again = pairs(right.size)
    _bf16.pack_transposed(np.ascontiguousarray(b.T), pairs(n, half), again)
    np.testing.assert_array_equal(again, right)


def test_what_is_read_soon_is_fetched_and_changes_nothing():
    left, right, soon = floats(40, 70), floats(40, 150, seed=1), floats(500)
    packed, found = [panels(x) for x in (left, right)], []
    for fetched in (None, soon, soon[:3], soon[:0]):
        found.append(floats(70, 150, seed=2))
        _bf16.t_product(
            *packed, 20, np.bool_(False), found[-1], 1, _bf16.NOTHING if fetched is None else _bf16.place(fetched)
        )
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])


def test_a_triangle_is_multiplied_from_its_diagonal():
    size, width = 150, 70
    weights, other = np.tril(floats(size, size)), floats(size, width, seed=1)
    packed, found = pairs(_bf16.panel_size(size, size)), np.empty((size, width), dtype=np.float32)
    for first in range(0, size, 32):
        last = min(size, first + 32)
        _bf16.pack_panels(weights[first:last, :last], packed, size // 2, first // 2, size)
    _bf16.t_product(packed, panels(other), size // 2, np.bool_(True), found, 0, _bf16.NOTHING)
    np.testing.assert_allclose(found, rounded(weights).T @ rounded(other), atol=1e-4)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3.4e38, 1.00390625, 1.01171875, -0.0, 1e-40])
def test_numbers_round_as_torch_rounds_them(value):
    rows = pairs(1, 1)
    _bf16.pack_rows(np.full((1, 2), value, dtype=np.float32), rows)
    found = (rows.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    np.testing.assert_array_equal(found[0], torch.full((2,), value).bfloat16().float().numpy())


def test_a_processor_without_pairs_gives_the_same_sums(monkeypatch):
    monkeypatch.setattr(_bf16, "multiplies_bfloat16", lambda: False)
    tile = intrinsic(_bf16._tile_code)

    @njit
    def multiply(rows, right, c):
        tile(3, rows.ctypes.data, rows.strides[0], 4, right.ctypes.data, 3 * 64, rows.shape[1], c.ctypes.data,
             c.strides[0], 5, 16, 0, right.ctypes.data, 0)  # fmt: skip

    a, b, c = floats(5, 64), floats(64, 48, seed=1), np.empty((5, 48), dtype=np.float32)
    rows = pairs(5, 32)
    _bf16.pack_rows(a, rows)
    multiply(rows, panels(b), c)
    np.testing.assert_allclose(c, rounded(a) @ rounded(b), atol=1e-5)


def found_by(spec, numerics, tokens, z_loss, *, double=False):
    model = build(spec, numerics, seed=0)
    model = model.double() if double else model
    with torch.autocast("cpu", dtype=torch.bfloat16) if numerics.dtype == "bfloat16" else nullcontext():
        objective, nats = model(tokens, z_loss)
    objective.backward()
    return float(objective.detach()), float(nats), [p.grad.double() for p in model.parameters()], model


@pytest.mark.parametrize(
    "spec",
    [
        ModelSpec(width=48, depth=3, heads=3, ffn=100, vocab_size=97, context=150),
        ModelSpec(width=64, depth=2, heads=1, ffn=128, vocab_size=1001, context=256, tied=True),
        ModelSpec(width=24, depth=1, heads=2, ffn=7, vocab_size=3, context=33),
        ModelSpec(width=272, depth=1, heads=2, ffn=90, vocab_size=300, context=70),
    ],
    ids=["three heads", "a long vocabulary, tied", "odd sizes", "wide heads"],
)
@pytest.mark.parametrize("z_loss", [0.0, 0.03])
def test_it_is_as_near_to_double_precision_as_torchs_bfloat16(spec, z_loss):
    tokens = tokens_for(spec, 3)
    objective, nats, gradients, model = found_by(spec, HALF, tokens, z_loss)
    _, _, torchs, _ = found_by(spec, Numerics(dtype="bfloat16", threads=2), tokens, z_loss)
    exact_objective, exact_nats, exact, _ = found_by(spec, ANYWHERE, tokens, z_loss, double=True)

    def error(others):
        distances = [float((g - e).norm()) for g, e in zip(others, exact, strict=True)]
        return np.linalg.norm(distances) / np.linalg.norm([float(e.norm()) for e in exact])

    assert error(gradients) < 1.5 * error(torchs)  # few numbers: either may be luckier
    assert error(gradients) < 0.015  # .007 to .011: a rounding is 2^-9 at most, and a dozen follow one another
    # Logits of order one, each off by some 2^-9, averaged over 96 scored positions and more.
    assert nats == pytest.approx(exact_nats, rel=1e-3)
    assert objective == pytest.approx(exact_objective, rel=1e-3)
    assert model.token_nats(tokens).sum().item() == pytest.approx(nats, rel=1e-5)


def test_logits_far_above_those_of_the_first_columns_are_summed_again():
    spec = ModelSpec(width=16, depth=1, heads=1, ffn=8, vocab_size=700, context=20)
    tokens, found = tokens_for(spec, 2), {}
    for name, numerics in (("half", HALF), ("single", ANYWHERE)):
        model = lively(spec, numerics)
        with torch.no_grad():
            model.head[600:] *= 150  # logits of some hundreds, in the third chunk of columns
        objective, nats = model(tokens)
        objective.backward()
        found[name] = nats.item(), model.head.grad
    assert found["half"][0] > 60 * 2 * 19
    assert found["half"][0] == pytest.approx(found["single"][0], rel=0.01)  # logits of 500 are rounded to one
    assert torch.isfinite(found["half"][1]).all()


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_a_broken_weight_shows_in_the_loss(poison):
    spec = ModelSpec(width=16, depth=2, heads=2, ffn=20, vocab_size=50, context=40)
    for name in ("blocks.0.qkv", "blocks.1.down", "blocks.0.gate_up", "head", "embedding"):
        model, tokens = lively(spec, HALF), tokens_for(spec, 2)
        with torch.no_grad():
            model.get_parameter(name)[tokens[0, 0] % 16].fill_(poison)
        model(tokens).objective.backward()
        norms = [p.grad.norm() for p in model.parameters()]
        assert not torch.isfinite(torch.stack(norms)).all(), name


def test_no_position_sees_what_comes_after_it():
    spec = ModelSpec(width=16, depth=2, heads=2, ffn=20, vocab_size=50, context=100)
    model, tokens = lively(spec, HALF), tokens_for(spec, 1)
    changed = tokens.clone()
    changed[0, 70:] = (changed[0, 70:] + 1) % 50
    before, after = model.token_nats(tokens)[0], model.token_nats(changed)[0]
    assert torch.equal(before[:69], after[:69])
    assert not torch.allclose(before[69:], after[69:])
