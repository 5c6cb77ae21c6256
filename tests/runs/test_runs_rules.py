"""Rules of rate, batch, warm-up, β2 and weight decay: published numbers, conventions, and what follows the horizon."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoloss.core.errors import BadStudy, InputError
from isoloss.runs.rules import BATCHES, RATES, WARMUPS, HalfLife, PowerRule, Timescale, whole_windows
from isoloss.runs.shapes import count
from isoloss.runs.spec import ModelSpec
from isoloss.study.run_plan import plan_runs
from isoloss.study.spec import Study, training_in_words

LAPTOP = (Path(__file__).parents[1] / "helpers" / "earlier_demo.toml").read_text(
    encoding="utf-8"
)  # whose runs have identities
RATE = "peak_lr = { at_params = 1e5, value = 5e-3, exponent = -0.5 }"


def model(*, width=96, depth=3, ffn=256, vocab_size=50_432):
    return count(ModelSpec(width=width, depth=depth, heads=3, ffn=ffn, vocab_size=vocab_size, context=2048))


def planned(*changes, text=LAPTOP):
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    corpus = SimpleNamespace(
        name="x", fingerprint="corpus1-x", vocab_size=256,
        token_budget=lambda context: 10**12, scored_documents=lambda context: 10,
    )  # fmt: skip
    return plan_runs(Study.parse(text, place="x.toml"), {"x": corpus})


def test_porians_rules_at_their_reference_and_at_their_largest_model():
    # 160 sequences of 2,048 tokens and .0047 at 108M parameters; 901,726,208 parameters are 8.349 times as many.
    assert RATES["porian"].at(108e6) == pytest.approx(0.0047)
    assert BATCHES["porian"].at(108e6) == 160 * 2048
    assert RATES["porian"].at(901_726_208) == pytest.approx(0.0047 / 2.0287, rel=1e-4)
    assert BATCHES["porian"].at(901_726_208) == pytest.approx(327_680 * 4.1156, rel=1e-4)
    # Their runs warm up for as many tokens as the model has parameters, head counted: 5,173,248 at width 96.
    assert WARMUPS["porian"].of(model(), 1e9) == 5_173_250  # six digits
    assert model().params("with_head") == 5_173_248


def test_step_law_counts_neither_embedding_nor_head_and_its_batch_in_tokens():
    # Li et al. 2025, eq. 1: 1.79 N^-.713 D^.307 and .58 D^.571, here at 1e9 parameters and 1e11 tokens.
    assert RATES["step_law"].at(1e9, 1e11) == pytest.approx(1.79 * 10 ** (-0.713 * 9 + 0.307 * 11), rel=1e-5)
    assert BATCHES["step_law"].at(1e9, 1e11) == pytest.approx(0.58 * 10 ** (0.571 * 11), rel=1e-5)
    small, large = model(vocab_size=256), model(vocab_size=50_432)
    assert RATES["step_law"].of(small, 1e9) == RATES["step_law"].of(large, 1e9)
    assert RATES["porian"].of(small, 1e9) > RATES["porian"].of(large, 1e9)


@given(st.floats(1e3, 1e10), st.floats(1e4, 1e13), st.floats(-1, 1), st.floats(-1, 1))
def test_a_power_rule_is_a_power_law_in_both(params, tokens, exponent, tokens_exponent):
    rule = PowerRule(value=1e-3, at_params=1e6, exponent=exponent, at_tokens=1e8, tokens_exponent=tokens_exponent)
    assert rule.at(1e6, 1e8) == pytest.approx(1e-3)
    # Six significant digits on each side: a ratio to 1e-5.
    assert rule.at(2 * params, tokens) / rule.at(params, tokens) == pytest.approx(2**exponent, rel=2e-5)
    assert rule.at(params, 2 * tokens) / rule.at(params, tokens) == pytest.approx(2**tokens_exponent, rel=2e-5)


def test_memory_and_decay_by_rule_mean_what_they_say():
    rule = HalfLife(half_life_tokens=10_000)
    for batch in (100, 1000, 20_000):
        assert rule.beta2(batch) ** (10_000 / batch) == pytest.approx(0.5, abs=1e-3)
    # AdamW shrinks weights by rate · λ a step: over `timescale` of the run by a factor of e.
    decay = Timescale(timescale=0.25).weight_decay(peak_lr=2e-3, steps=4000)
    assert (1 - 2e-3 * decay) ** 1000 == pytest.approx(1 / 2.71828, rel=1e-3)
    assert [whole_windows(tokens, context=256) for tokens in (3, 383, 385, 1024)] == [256, 256, 512, 1024]


def test_one_trunk_a_size_while_nothing_follows_the_horizon_and_one_a_run_where_something_does():
    for change in [(), [(RATE, 'peak_lr = "porian"')], [("batch_tokens = 1024", 'batch_tokens = "porian"')]]:
        runs = planned(*change)
        assert len({run.spec.trunk for run in runs}) == 4
        assert len(runs) == 20
    following = {
        "peak_lr": [(RATE, 'peak_lr = "step_law"')],
        "batch_tokens": [
            ("batch_tokens = 1024", "batch_tokens = { value = 1024, at_tokens = 1e5, tokens_exponent = 0.5 }")
        ],
        "weight_decay": [(RATE, RATE + "\nweight_decay = { timescale = 0.3 }")],
    }
    for setting, change in following.items():
        runs = planned(*change)
        assert len({run.spec.trunk for run in runs}) == len(runs) == 20
        text = LAPTOP.replace(*change[0])
        assert Study.parse(text, place="x.toml").training.following_horizon == (setting,)
    laptop = Study.parse(LAPTOP, place="x.toml").training
    assert laptop.following_horizon == ()
    assert "0.005 · (N/100000)^-0.5" in training_in_words(laptop)
    assert "share one trunk" in training_in_words(laptop)
    step_law = Study.parse(LAPTOP.replace(RATE, 'peak_lr = "step_law"'), place="x.toml").training
    assert "trunk of its own: peak_lr follows the horizon" in training_in_words(step_law)


def test_the_rate_at_the_end_may_be_given_outright():
    runs = planned((RATE, 'peak_lr = "step_law"\nfinal_lr = 1e-5'), ('schedule = "wsd"', 'schedule = "cosine"'))
    for run in runs:
        assert run.spec.optimiser.peak_lr * run.spec.schedule.final_fraction == pytest.approx(1e-5, rel=1e-5)


def test_the_runs_of_old_study_files_are_the_runs_they_were():
    # Held from before rules followed the horizon: the demo's first and last run of a corpus.
    runs = planned()
    assert runs[0].spec.fingerprint == "run1-5a230bac5c6538f5550a"
    assert runs[-1].spec.fingerprint == "run1-afa9027ea371333f6e8a"


def test_variants_repeat_the_grid_at_other_rates_and_leave_it_as_it_was():
    alone, armed = planned(), planned((RATE, RATE + "\nrate_arms = [0.5, 2]"))
    assert [run.spec for run in armed if run.variant.rate == 1] == [run.spec for run in alone]
    for factor in (0.5, 2.0):
        variant = [run for run in armed if run.variant.rate == factor]
        for run, own in zip(variant, alone, strict=True):
            assert run.spec.optimiser.peak_lr == pytest.approx(factor * own.spec.optimiser.peak_lr, rel=1e-5)
            assert run.spec.seed == own.spec.seed  # the same order of the data, the same initial weights
            assert run.spec.model == own.spec.model


def test_a_sweep_is_rates_by_batches_at_both_ends_of_the_tokens():
    sweep = "\n[tune]\nrate_factors = [0.5, 1, 2]\nbatch_factors = [0.5, 2]\nrate_with_batch = 0.5\n"
    runs = planned((RATE, RATE), text=LAPTOP + sweep)
    assert len(runs) == 4 * 2 * 3 * 2  # sizes, token counts, rates, batches
    assert len({run.spec.trunk for run in runs}) == 4 * 3 * 2
    assert {run.spec.batch_tokens for run in runs} == {512, 2048}
    assert {run.spec.train_tokens for run in runs} <= {49_152, 50_176, 51_200, 799_744, 800_768}
    more = planned((RATE, RATE), text=LAPTOP + sweep + "short_rate_factors = [4]\n")
    beyond = {run.spec.fingerprint: run for run in more if run.variant.shortest_alone}
    assert {run.spec.train_tokens for run in beyond.values()} <= {49_152, 50_176, 51_200}
    assert [run.spec for run in more if run.spec.fingerprint not in beyond] == [run.spec for run in runs]
    middle = {run.spec.batch_tokens: run.variant.rate for run in runs if run.spec.model == runs[0].spec.model}
    assert middle[2048] / middle[512] == pytest.approx(2, rel=1e-5)  # batch × 4, rates × √4


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ((RATE, 'peak_lr = "porain"'), "no rule 'porain': did you mean 'porian'"),
        ((RATE, RATE + "\nrate_arms = [0.5, 1, 2]"), "1 is the grid itself"),
        ((RATE, RATE + "\nweight_decay = { timescal = 1 }"), "timescal"),
        (("[fit]", "[tune]\nrate_factors = [1, 2]\n[fit]"), "tune.rate_factors"),
        (("[fit]", "[tune]\nrate_factor = [1, 2, 3]\n[fit]"), "unknown key 'tune.rate_factor'"),
    ],
)
def test_mistakes_in_rules_are_named(change, said):
    with pytest.raises(BadStudy, match=said):
        Study.parse(LAPTOP.replace(*change), place="x.toml")


def test_batches_that_round_to_the_same_windows_are_refused():
    with pytest.raises(InputError, match="same run"):
        planned((RATE, RATE), text=LAPTOP + "\n[tune]\nbatch_factors = [0.24, 0.25]\nrate_with_batch = 0\n")
