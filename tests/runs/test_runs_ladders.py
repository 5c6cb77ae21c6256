"""Ladders: large models are shaped as published ones are, and small shapes, part of the identity of runs, stay."""

import hashlib
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoloss.runs.ladders import LADDER_TOLERANCE, ladder
from isoloss.runs.shapes import PARAMS_CONVENTIONS, count

LARGE = {  # parameters (total), width and depth: Brown et al. 2020 (175e9), Touvron et al. 2023, Llama 3 (405e9)
    6.7e9: (4096, 32), 13e9: (5120, 40), 32.5e9: (6656, 60), 65.2e9: (8192, 80), 175e9: (12288, 96),
    405e9: (16384, 126),
}  # fmt: skip

SMALL_SHAPES = (
    "263205e6ca876160"  # hash of 64 shapes: other ones are other runs, and the study that asks for them trains anew
)


@pytest.mark.parametrize("target", LARGE)
def test_large_shapes_are_near_the_published_ones(target):
    (model,) = ladder([target], vocab_size=32_000, context=2048, tied=False, convention="total")
    width, depth = LARGE[target]
    # Published ratios of width to depth lie within a third of the rule; half of it moves the width, half the depth.
    assert abs(math.log(model.width / width)) < math.log(1.12)
    assert abs(math.log(model.depth / depth)) < math.log(1.33)
    assert model.width // model.heads == 128


@given(
    st.floats(8.0, 13.0), st.sampled_from([256, 32_000, 50_257]), st.booleans(),
    st.sampled_from(["llama", "openlm"]), st.sampled_from(PARAMS_CONVENTIONS),
)  # fmt: skip
def test_every_large_target_has_a_sensible_shape(log_target, vocab_size, tied, family, convention):
    target = 10**log_target
    (model,) = ladder([target], vocab_size=vocab_size, context=2048, tied=tied, family=family, convention=convention)
    assert abs(math.log(count(model).params(convention) / target)) <= math.log1p(LADDER_TOLERANCE)
    if target < 2e8 and vocab_size == 50_257:
        return  # two matrices of the vocabulary are most of it: narrow, by the small rule if need be
    assert model.width // model.heads in (64, 128)
    assert 40 <= model.width / model.depth <= 256
    assert model.heads % 2 == 0
    if family == "llama":
        assert 2.2 <= model.ffn / model.width <= 3.4


def test_small_shapes_stay_what_archived_runs_say_they_are():
    shapes = [
        (model.width, model.depth, model.heads, model.ffn)
        for vocab_size, least in ((256, 1e4), (512, 2e4), (32_001, 1.2e6), (50_257, 2e6))
        for model in ladder(np.geomspace(least, 9.9e7, 16).tolist(), vocab_size=vocab_size, context=256, tied=False)
    ]
    assert hashlib.sha256(repr(shapes).encode()).hexdigest()[:16] == SMALL_SHAPES
