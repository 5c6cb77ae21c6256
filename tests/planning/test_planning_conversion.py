"""Plans given by another way of counting parameters: by real shapes, next to the law's own numbers, or not at all."""

import math
from dataclasses import replace

import pytest

from isoloss.core.errors import InputError
from isoloss.core.estimate import Estimate
from isoloss.fitting.fitting import fit
from isoloss.planning.conversion import Shapes, converted
from isoloss.planning.corpus_statistics import CorpusStatistics
from isoloss.planning.plan import plan
from isoloss.planning.plan_result import Making
from isoloss.runs.ladders import LADDER_TOLERANCE, ladder
from isoloss.runs.shapes import PARAMS_CONVENTIONS, count
from laws_tables import simulated

CORPUS = CorpusStatistics(name="text", vocab_size=256)
LLAMA = Shapes(params_convention="with_head", vocab_size=32_000, context=2048, tied=False)


@pytest.fixture(scope="module")
def law():
    return fit(replace(simulated(), params_convention="with_head"), bootstrap=50)


def output(to, shapes=LLAMA, low=5e8, high=2e9):
    size = Estimate(value=1e9, low=low, high=high)
    budget = Estimate(value=1.2e20)
    balance = Estimate(value=math.log(20), low=math.log(5), high=math.log(80))
    return converted(to, params=size, flops=budget, log_ratio=balance, shapes=shapes)


@pytest.mark.parametrize("to", PARAMS_CONVENTIONS)
def test_a_size_is_converted_by_the_shapes_that_a_ladder_has_for_it(to):
    found = output(to)
    for end, size in (("low", 5e8), ("value", 1e9), ("high", 2e9)):
        (model,) = ladder([size], vocab_size=32_000, context=2048, tied=False)
        counts = count(model)
        assert getattr(found.params, end) == pytest.approx(size * counts.params(to) / counts.params("with_head"))
        # The conversion of a size that is a shape's own count would be exact; between shapes it is as near as they are.
        assert abs(math.log(getattr(found.params, end) / counts.params(to))) <= math.log1p(LADDER_TOLERANCE)
    ratio = found.params.value / 1e9
    assert found.flops.value == pytest.approx(1.2e20 * ratio)
    assert found.log_ratio.value == pytest.approx(math.log(20 / ratio))
    assert found.log_ratio.low <= found.log_ratio.value <= found.log_ratio.high
    if to == "total":  # an untied embedding: 32,000 widths more, which weigh more on the smaller model
        assert found.params.low / 5e8 > ratio > found.params.high / 2e9 > 1
        assert found.log_ratio.low == pytest.approx(math.log(5 * 2e9 / found.params.high))


def test_the_laws_own_convention_changes_nothing():
    found = output("with_head")
    assert found.params == Estimate(value=1e9, low=5e8, high=2e9)
    assert found.log_ratio.high == pytest.approx(math.log(80))


def test_an_end_without_a_shape_has_no_counterpart():
    found = output("total", low=10.0)
    assert found.params.low is None
    assert found.params.high is not None
    assert found.log_ratio.high is None


@pytest.mark.parametrize(
    ("changed", "to", "said"),
    [
        ({"params_convention": "unstated"}, "total", "counts parameters in an unknown way"),
        ({"vocab_size": None}, "total", "the vocabulary size is not known"),
        ({}, "totl", "unknown convention 'totl'"),
        ({"vocab_size": 10**9}, "total", "no llama shape"),
    ],
)
def test_what_no_shape_can_show_is_refused(changed, to, said):
    with pytest.raises(InputError, match=said) as refused:
        output(to, replace(LLAMA, **changed))
    assert refused.value.fix


def test_a_plan_keeps_its_numbers_and_shows_the_others_next_to_them(law):
    alone = plan(law, corpus=CORPUS, flops=1e11)
    found = plan(law, corpus=CORPUS, flops=1e11, making=Making(params_convention="total"))
    assert alone.converted is None
    assert (found.params, found.flops, found.shape) == (alone.params, alone.flops, alone.shape)
    ratio = found.counts.params("total") / found.counts.params("with_head")
    assert found.converted.params.value == pytest.approx(found.params.value * ratio)
    assert f"total is {ratio:.4g} times with_head" in found.reason
    output = found.to_json()
    assert output["params_convention"] == "with_head"
    assert output["converted"]["params_convention"] == "total"
    assert set(output) == set(alone.to_json())
