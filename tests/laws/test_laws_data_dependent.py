"""Laws that depend on complexity: recovered where they do, not preferred where they do not."""

from dataclasses import replace

import numpy as np
import pytest
from laws_tables import DEMO_LAW, gzip_rows, simulated
from scipy import stats

from isoloss.core.errors import InputError
from isoloss.laws.data_dependent import (
    CORPORA_FOR_A_TEST,
    Comparison,
    DataDependent,
    compare,
    corpus_complexity,
    measures_that_vary,
    sign_flip_p_value,
)
from isoloss.laws.fitting import fit
from isoloss.runs.observations import Observations, observations

SIZES, TOKENS = np.geomspace(1e4, 1e6, 6), np.geomspace(6e4, 4e6, 6)


def law_of(complexity: float) -> dict[str, float]:
    """Linear in complexity, as the gzip paper has it: E, ln A, ln B, α and β."""
    h = complexity - 0.35
    return {
        "E": 0.7 + h,
        "A": DEMO_LAW["A"] * np.exp(-4 * h),
        "B": DEMO_LAW["B"] * np.exp(6 * h),
        "alpha": 0.35 - 0.2 * h,
        "beta": 0.4 + 0.3 * h,
    }


def table(laws, complexity, *, placebo=None, point_sd=0.002) -> Observations:
    parts = [
        simulated(sizes=SIZES, tokens=TOKENS, law=law, point_sd=point_sd, seed=i, corpus=f"c{i}")
        for i, law in enumerate(laws)
    ]
    each = len(parts[0])
    joined = {
        name: np.concatenate([getattr(part, name) for part in parts]) for name in ("params", "tokens", "loss_nats")
    }
    columns = {"gzip": np.repeat(complexity, each)} | ({} if placebo is None else {"placebo": np.repeat(placebo, each)})
    return observations(**joined, corpus=np.concatenate([part.corpus for part in parts]), complexity=columns)


COMPLEXITY = (0.15, 0.25, 0.35, 0.45, 0.55, 0.65)


def test_lines_give_the_planted_dependence_back():
    joint = DataDependent(complexity="gzip").fit(table([law_of(h) for h in COMPLEXITY], COMPLEXITY), bootstrap=200)
    slopes = {name: slope for name, (_, slope) in joint.coefficients().items()}
    planted = {"E": 1.0, "ln A": -4.0, "ln B": 6.0, "alpha": -0.2, "beta": 0.3}
    for name, slope in planted.items():
        # A 95 % interval is missed by five in a hundred; twice as far from its middle by hardly any.
        width = slopes[name].high - slopes[name].low
        assert abs(slopes[name].value - slope) < width
    unseen = joint.predict_estimate(params=1e5, tokens=1e6, complexity=0.4)
    truth = law_of(0.4)
    loss = truth["E"] + truth["A"] * 1e5 ** -truth["alpha"] + truth["B"] * 1e6 ** -truth["beta"]
    assert unseen.value == pytest.approx(loss, rel=0.01)
    assert joint.predict(params=np.array([1e5]), tokens=np.array([1e6]), complexity=0.4)[0] == unseen.value


def test_the_measure_that_matters_predicts_unseen_corpora():
    placebo = (3.0, 1.0, 4.0, 1.5, 5.0, 2.0)
    rows = table([law_of(h) for h in COMPLEXITY], COMPLEXITY, placebo=placebo)
    by_gzip, by_placebo = compare(rows, ["gzip", "placebo"])
    assert by_gzip.heldout_error < 0.3 * by_gzip.pooled_error
    # Six corpora, every one better: 2 of 64 signs are as extreme.
    assert by_gzip.p_value == pytest.approx(2 / 64)
    assert by_gzip.p_value == by_gzip.smallest_p_value
    assert by_placebo.heldout_error > by_gzip.heldout_error
    assert by_placebo.pooled_error == by_gzip.pooled_error
    assert {"measure", "heldout_error", "pooled_error", "p_value"} <= by_gzip.to_json().keys()


def test_errors_are_on_corpora_that_no_fit_saw():
    rows = table([law_of(h) for h in COMPLEXITY[:4]], COMPLEXITY[:4])
    (found,) = compare(rows, ["gzip"])
    unseen, others = rows.where(corpus="c3"), rows.where(corpus=["c0", "c1", "c2"])
    pooled = fit(others).residuals(unseen)
    assert found.corpora["c3"][1] == pytest.approx(np.sqrt(np.mean(pooled**2)))
    joint = DataDependent(complexity="gzip").fit(others)
    predicted = joint.predict(params=unseen.params, tokens=unseen.tokens, complexity=COMPLEXITY[3])
    assert found.corpora["c3"][0] == pytest.approx(np.sqrt(np.mean(np.log(unseen.loss_nats / predicted) ** 2)))


def test_a_measure_that_does_not_matter_is_not_preferred():
    rows = table([DEMO_LAW] * 5, COMPLEXITY[:5])
    (found,) = compare(rows, ["gzip"])
    assert found.heldout_error > 0.9 * found.pooled_error
    assert found.p_value > 0.05


def test_three_corpora_cannot_be_significant():
    rows = table([law_of(h) for h in COMPLEXITY[::2]], COMPLEXITY[::2])
    (found,) = compare(rows, ["gzip"])
    assert found.smallest_p_value == 0.25
    assert found.p_value >= 0.25
    assert set(found.corpora) == {"c0", "c1", "c2"}
    assert "p cannot fall below 0.25" in found.sentences()[1]
    assert "takes 6 corpora" in found.sentences()[1]


def test_six_corpora_can_and_say_so():
    errors = {f"c{i}": (0.1, 0.2) for i in range(6)}
    found = Comparison(
        measure="gzip", kind="text", heldout_error=0.1, pooled_error=0.2, p_value=2**-5, smallest_p_value=2**-5,
        corpora=errors,
    )  # fmt: skip
    assert found.smallest_p_value < 0.05 <= 2 ** (1 - (CORPORA_FOR_A_TEST - 1))
    assert "6 text corpora" in found.sentences()[0]
    assert "can fall to 0.031" in found.sentences()[1]


def test_a_measure_without_three_values_has_no_line():
    rows = table([DEMO_LAW] * 3, COMPLEXITY[:3], placebo=(1.0, 1.0, 2.0))
    assert measures_that_vary(rows) == ["gzip"]


def test_two_corpora_are_refused():
    rows = table([DEMO_LAW] * 2, COMPLEXITY[:2])
    with pytest.raises(InputError, match="2 corpora, expected at least 3"):
        compare(rows, ["gzip"])
    with pytest.raises(InputError, match="distinct values"):
        DataDependent(complexity="gzip").fit(table([DEMO_LAW] * 3, (0.2, 0.2, 0.3)))
    with pytest.raises(InputError, match="no complexity column 'zstd'"):
        compare(rows, ["zstd"])
    mixed = replace(rows, complexity={"gzip": np.arange(len(rows), dtype=float)})
    with pytest.raises(InputError, match="36 values"):
        corpus_complexity(mixed, "gzip")


def test_sign_flips_are_exact_for_few_and_close_for_many():
    assert sign_flip_p_value(np.array([1.0, 2.0, 3.0]), seed=0) == 0.25
    assert sign_flip_p_value(np.array([1.0, -1.0]), seed=0) == 1.0
    many = np.random.default_rng(0).normal(0.5, 1, 20)
    t = abs(many.mean()) / many.std(ddof=1) * np.sqrt(20)
    # The t test of 20 normal differences agrees to a few hundredths.
    assert sign_flip_p_value(many, seed=0) == pytest.approx(2 * stats.t.sf(t, 19), abs=0.02)


def test_the_gzip_papers_own_runs_do_not_settle_it():
    (found,) = compare(gzip_rows(), ["gzip"])
    # Five corpora of hardly trained runs: neither law predicts an unseen one within 50 %.
    assert found.heldout_error > 0.5
    assert found.p_value > 0.3
