"""Plans: what they say of known laws, what they refuse, and what they admit."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from isoloss.complexity.base import MeasureSettings
from isoloss.core.errors import InputError, NotApplicable, Unidentified
from isoloss.core.estimate import Estimate
from isoloss.data_dependence.data_dependent import DataDependent
from isoloss.data_dependence.law_files import load_law
from isoloss.data_dependence.storage import save_data_dependent
from isoloss.fitting.fitting import fit
from isoloss.laws.chinchilla import Chinchilla
from isoloss.optima.best_size import best_sizes
from isoloss.planning.beyond import look_beyond
from isoloss.planning.corpus_statistics import CorpusStatistics, open_corpus
from isoloss.planning.from_reference import plan_from_reference
from isoloss.planning.laws import PlanLaw, with_repetition
from isoloss.planning.plan import plan
from isoloss.planning.plan_result import Making
from isoloss.planning.recipe import recipes
from isoloss.planning.reference_frontiers import reference_frontiers
from isoloss.runs.observations import observations
from laws_tables import simulated

SIZES, TOKENS = (1e4, 3e4, 1e5, 3e5, 1e6), (1e5, 3e5, 1e6, 3e6, 1e7)
ENDLESS = CorpusStatistics(name="endless", vocab_size=256)
ENDLESS_WORDS = CorpusStatistics(name="words")


@pytest.fixture(scope="module")
def runs():
    table = simulated(sizes=SIZES, tokens=TOKENS, point_sd=0.002)
    return replace(table, params_convention="with_head")


@pytest.fixture(scope="module")
def law(runs):
    return fit(runs, bootstrap=200)


def codes(found):
    return {warning.code for warning in found.warnings}


def test_a_plan_holds_the_truth_of_the_law_that_made_the_runs(law):
    """Simulated from E + A/N^α + B/D^β: the true best split of 1e12 FLOPs and its loss lie in the plan's intervals."""
    E, A, B, alpha, beta = 0.7, 0.5 * 1e5**0.35, 0.4 * 1e6**0.4, 0.35, 0.4
    size = (alpha * A / (beta * B)) ** (1 / (alpha + beta)) * (1e12 / 6) ** (beta / (alpha + beta))
    loss = E + A * size**-alpha + B * (1e12 / 6 / size) ** -beta
    found = plan(law, corpus=ENDLESS, flops=1e12)
    assert found.params.low < size < found.params.high
    assert found.loss.low < loss < found.loss.high
    # One run scatters more than the law is unsure.
    assert found.run_loss.high - found.run_loss.low > found.loss.high - found.loss.low
    assert found.params.value * found.tokens.value * 6 == pytest.approx(1e12)
    assert abs(found.counts.params() / found.params.value - 1) < 0.05


def test_a_law_made_in_a_function_plans_as_the_same_law_of_a_module_does(runs, law):
    class Local(Chinchilla):
        """The same formula in a class that nothing can import, as a notebook's cell makes one."""

        name = "local"

    own = plan(Local().fit(runs, bootstrap=200), corpus=ENDLESS, flops=1e12)
    registered = plan(law, corpus=ENDLESS, flops=1e12)
    assert (own.params, own.tokens, own.loss) == (registered.params, registered.tokens, registered.loss)


def test_regret_is_what_the_rule_of_thumb_loses_and_never_negative_at_the_laws_own_optimum(law):
    found = plan(law, corpus=ENDLESS, flops=1e12)
    thumb = np.sqrt(1e12 / 120)
    lost = law.predict(params=thumb, tokens=20 * thumb) - law.predict(
        params=found.params.value, tokens=found.tokens.value
    )
    assert found.regret.value == pytest.approx(float(lost))
    assert found.regret.value > 0


def test_a_hundred_times_the_largest_budget_is_refused_and_the_way_out_named(law):
    far = 150 * law.domain.flops_high
    with pytest.raises(InputError, match="150 times") as refused:
        plan(law, corpus=ENDLESS, flops=far)
    assert "--anchor" in refused.value.fix
    assert "--extrapolate" in refused.value.fix
    with pytest.raises(InputError, match="is left"):
        plan(law, corpus=ENDLESS, flops=far, extrapolate=True)


def test_insisting_widens_the_intervals_to_what_every_form_says(runs, law):
    forms = [law, fit(runs, law="farseer", bootstrap=200)]
    far = 150 * law.domain.flops_high
    found = plan(forms, corpus=ENDLESS, flops=far, extrapolate=True)
    for said in found.forms.values():
        assert found.log_ratio.low <= said.low
        assert said.high <= found.log_ratio.high
    assert "extrapolation" in codes(found)
    # The loss too: it holds what every form says of the planned point, and is wider than the first form's own.
    at = {"params": found.params.value, "tokens": found.tokens.value}
    assert all(found.loss.low <= float(form.predict(**at)) <= found.loss.high for form in forms)
    assert found.loss.width > law.predict_estimate(**at).width


def test_a_form_that_rises_on_the_way_is_named_and_one_that_no_run_could_have_is_refused(law, runs):
    """Farseer's first term, made to grow with N: a law that a fit may return, and no plan may follow."""
    rising = fit(runs, law="farseer", bootstrap=20)
    values = dict(zip(rising.params, (0.01, 0.0, 0.3, -0.03, 3.0, 0.2, -0.3, 0.0, 0.02), strict=True))
    rising = replace(rising, params={name: Estimate(value=value) for name, value in values.items()})
    far = 50 * law.domain.flops_high
    found = plan([law, fit(runs, law="kaplan", bootstrap=20), rising], corpus=ENDLESS, flops=far, extrapolate=True)
    assert "form_left_out" in codes(found)
    assert "farseer" not in found.forms
    assert found.loss.high <= math.log(ENDLESS.vocab_size)
    with pytest.raises(InputError, match="is left"):
        plan([law, rising], corpus=ENDLESS, flops=far, extrapolate=True)


def test_few_unique_tokens_cost_loss_and_ask_for_passes_rather_than_parameters(law):
    """Excess parameters lose their worth sooner than repeats (R_N* < R_D*): Muennighoff et al. 2023, section 5."""
    few = CorpusStatistics(name="few", vocab_size=256, unique_tokens=2e5)
    endless, repeated = (plan(law, corpus=corpus, flops=1e12) for corpus in (ENDLESS, few))
    assert "repeated_data" in codes(repeated)
    assert repeated.params.value < endless.params.value
    assert repeated.loss.value > endless.loss.value
    assert repeated.epochs.value == pytest.approx(repeated.tokens.value / 2e5)
    naive = plan(law, corpus=few, flops=1e12, repeat=False)
    assert naive.tokens.value == pytest.approx(endless.tokens.value)
    assert "tokens_repeat" in codes(naive)


def test_where_nothing_repeats_the_law_of_repeated_data_is_the_law_itself(law):
    plain = PlanLaw.of_fit(law)
    rich = with_repetition(plain, unique_tokens=1e9)
    budget = plain.constant(np.log(1e12))
    # The optimum lies where excess parameters begin, whose second derivative jumps: the search is a parabola off there.
    assert rich.best_params(budget) == pytest.approx(plain.best_params(budget), abs=1e-4)


def test_bytes_are_paid_by_the_token():
    """Four bytes a token: the same FLOPs read four times as many units of D, at the same number of parameters each."""
    table = simulated(sizes=SIZES, tokens=TOKENS, point_sd=0.002)
    law = fit(table, bootstrap=20)
    as_bytes = PlanLaw.of_fit(replace(law, data_unit="bytes", bytes_per_token=4.0))
    plain = PlanLaw.of_fit(law)
    assert as_bytes.best_params(plain.constant(np.log(1e12))) == pytest.approx(
        plain.best_params(plain.constant(np.log(4e12)))
    )


def many_corpora(slope: float):
    """Six corpora whose balance moves with gzip by `slope` in ln A per unit."""
    parts = []
    for i, gzip in enumerate(np.linspace(0.2, 0.5, 6)):
        truth = {"E": 0.7, "A": 0.5 * 1e5**0.35 * np.exp(slope * (gzip - 0.35)), "B": 0.4 * 1e6**0.4, "alpha": 0.35,
                 "beta": 0.4}  # fmt: skip
        parts.append((simulated(sizes=SIZES, tokens=TOKENS, law=truth, point_sd=0.002, seed=i), f"c{i}", gzip))
    return observations(
        params=np.concatenate([t.params for t, _, _ in parts]),
        tokens=np.concatenate([t.tokens for t, _, _ in parts]),
        loss_nats=np.concatenate([t.loss_nats for t, _, _ in parts]),
        trunk=[f"{name} {trunk}" for t, name, _ in parts for trunk in t.trunk],
        corpus=[name for t, name, _ in parts for _ in range(len(t))],
        complexity={"gzip": [gzip for t, _, gzip in parts for _ in range(len(t))]},
        params_convention="with_head",
    )


@pytest.fixture(scope="module")
def joint():
    return DataDependent(complexity="gzip", forms="published").fit(many_corpora(4.0), bootstrap=100)


def test_a_corpus_nobody_trained_on_is_planned_by_its_measure(joint):
    easy, hard = (
        plan(joint, corpus=replace(ENDLESS, measures={"gzip": Estimate(value=gzip)}), flops=1e12)
        for gzip in (0.25, 0.45)
    )
    # A larger A asks for larger models: N* ∝ A^(1/(α+β)).
    assert np.log(hard.params.value / easy.params.value) == pytest.approx(4.0 * 0.2 / 0.75, abs=0.15)
    unsure = plan(joint, corpus=replace(ENDLESS, measures={"gzip": Estimate.from_stderr(0.45, 0.05)}), flops=1e12)
    assert unsure.params.width > hard.params.width
    outside = plan(joint, corpus=replace(ENDLESS, measures={"gzip": Estimate(value=0.7)}), flops=1e12)
    assert "outside_measure" in codes(outside)
    assert "outside_measure" not in codes(hard)


def test_an_unmeasured_corpus_is_refused_by_a_law_that_follows_a_measure(joint):
    with pytest.raises(InputError, match="not measured"):
        plan(joint, corpus=ENDLESS, flops=1e12)


def test_a_reference_frontier_moves_its_frontier_by_the_corpus_shift_alone(joint):
    statistics = replace(ENDLESS, measures={"gzip": Estimate(value=0.45)})
    own, reference = PlanLaw.at_measure(joint, statistics), PlanLaw.of_known(joint, "c0")
    found = plan_from_reference(own, reference, reference_frontiers["porian"], flops=1e19, corpus=statistics)
    budget = 100 * own.base.domain.span("flops")[0]
    shift = own.log_ratio(budget)[0] - reference.log_ratio(budget)[0]
    assert found.log_ratio.value == pytest.approx(reference_frontiers["porian"].log_ratio(1e19) + shift, abs=0.1)
    assert found.loss is None
    assert "anchored" in codes(found)
    assert found.log_ratio.width > reference_frontiers["porian"].level_stderr


def test_a_shift_that_may_be_none_and_says_nothing_leaves_the_published_frontier(joint):
    """A measure known to ±.5 in a law whose ln(D*/N*) moves by 10 a unit: tokens per parameter within e^±5."""
    statistics = replace(ENDLESS, measures={"gzip": Estimate.from_stderr(0.25, 0.5)})
    own, reference = PlanLaw.at_measure(joint, statistics), PlanLaw.of_known(joint, "c0")
    found = plan_from_reference(own, reference, reference_frontiers["porian"], flops=1e19, corpus=statistics)
    assert "indistinguishable" in codes(found)
    assert found.log_ratio.value == pytest.approx(reference_frontiers["porian"].log_ratio(1e19))
    assert not found.is_wide


def test_passes_over_a_text_of_bytes_are_counted_in_the_frontiers_tokens(joint):
    text = replace(ENDLESS, unique_tokens=4e9, bytes_per_token=1.0, measures={"gzip": Estimate(value=0.2)})
    own, reference = PlanLaw.at_measure(joint, text), PlanLaw.of_known(joint, "c0")
    output = {"flops": 1e19, "frontier": reference_frontiers["porian"], "law": own, "reference": reference}
    counted = plan_from_reference(**output, corpus=text.in_tokens(4.0))
    assert counted.epochs.value == pytest.approx(counted.tokens.value / 1e9)
    assert counted.shape.vocab_size == reference_frontiers["porian"].vocab_size
    uncounted = plan_from_reference(**output, corpus=text.in_tokens(None))
    assert uncounted.epochs is None
    assert "tokens_uncounted" in codes(uncounted)
    # Whatever the tokenizer, a token has a byte or more.
    with pytest.raises(InputError, match="at least"):
        plan_from_reference(**output, corpus=replace(text, unique_tokens=1e6).in_tokens(None))


def test_a_corpus_read_until_repeats_are_worth_nothing_is_no_plan(runs):
    """Past 36 passes one more is worth less than a tenth of new text: the budget of four passes is named instead."""
    law, few = fit(runs, law="kaplan", bootstrap=20), replace(ENDLESS, unique_tokens=2e4)
    with pytest.raises(InputError, match="times") as refused:
        plan(law, corpus=few, flops=1e13)
    bears = float(refused.value.fix.split("--flops ")[1].split(";")[0])
    # The budget is printed with two digits, and D* goes with about its root.
    assert plan(law, corpus=few, flops=bears, repeat=False).epochs.value == pytest.approx(4, rel=0.05)


def test_a_data_dependent_law_comes_back_from_disk_as_it_was(joint, tmp_path):
    save_data_dependent(joint, tmp_path / "law.json", settings={"sequence_tokens": 128}, tokenizer="bytes")
    back = load_law(tmp_path / "law.json")
    assert back.tokenizer == "bytes"
    assert back.settings == MeasureSettings(sequence_tokens=128).model_dump()
    assert back.law.at(0.3).every == pytest.approx(joint.at(0.3).every, rel=0)
    assert back.law.of("c2").every == pytest.approx(joint.of("c2").every, rel=0)
    (tmp_path / "law.json").write_text('{"kind": "isoloss data-dependent law", "schema": 1}')
    with pytest.raises(InputError, match="not a fitted law"):
        load_law(tmp_path / "law.json")


def test_device_hours_are_flops_over_throughput(law):
    found = plan(law, corpus=ENDLESS, flops=3.6e12, making=Making(throughput=1e9))
    assert found.device_hours.value == pytest.approx(1.0)
    with pytest.raises(InputError, match="FLOP/s"):
        Making(throughput=-1)


def test_a_law_of_one_column_cannot_plan(runs):
    with pytest.raises(NotApplicable):
        plan(fit(runs, law="kaplan_params", bootstrap=20), corpus=ENDLESS, flops=1e12)


def test_statistics_of_a_file_are_its_bytes(tmp_path):
    (tmp_path / "text.txt").write_text("so many words, so many words. " * 400)
    statistics = open_corpus(tmp_path / "text.txt")
    assert statistics.unique_tokens == 12_000
    assert statistics.vocab_size == 256
    assert 0 < statistics.measures["gzip"].value < 1


def test_text_that_is_read_too_often_to_be_worth_compute_is_named_as_the_reason(law):
    with pytest.raises(Unidentified) as refused:
        plan(law, corpus=replace(ENDLESS, unique_tokens=100.0), flops=1e12)
    assert "100 tokens would be repeated so often" in refused.value.fix
    assert "--no-repeat" in refused.value.fix


def test_inside_the_runs_split_and_loss_are_those_of_the_best_size(runs, law):
    """FLOPs with an offset, as of attention, are no one multiple of 6ND: the plan counts them as the runs do."""
    odd = observations(
        params=runs.params, tokens=runs.tokens, loss_nats=runs.loss_nats, params_convention="with_head",
        flops=(6 * runs.params + 3e5) * runs.tokens,
    )  # fmt: skip
    for table in (runs, odd):
        (best,) = best_sizes(table, budgets=[1e12])
        found = plan(fit(table, bootstrap=100), corpus=ENDLESS, flops=1e12, runs=table)
        for name in ("params", "tokens", "tokens_per_param"):
            assert getattr(found, name).value == pytest.approx(getattr(best, name).value, rel=1e-6)
        assert found.loss == best.loss
        assert found.run_loss.high - found.run_loss.low > best.loss.high - best.loss.low
        assert found.regret.high > 0  # 20 tokens a parameter on the same FLOPs are no better
        assert "unsteady_flops" not in codes(found)


def test_beyond_the_runs_a_loss_comes_from_laws_that_they_have_tested_whatever_is_given(runs, law):
    found = plan(law, corpus=ENDLESS, flops=3e14, params=1e7, runs=runs, extrapolate=True)
    (run,) = look_beyond(runs, runs=[(1e7, 3e14 / 6e7)]).runs
    assert found.loss == run.loss.mapped(lambda end: min(end, math.log(ENDLESS.vocab_size)))


def test_a_loss_that_a_size_never_reaches_is_said_of_that_size(law):
    least = float(law.predict(params=1e4, tokens=1e30))
    with pytest.raises(Unidentified) as refused:
        plan(law, corpus=ENDLESS, target_loss=least - 0.1, params=1e4)
    assert f"{least:.4g}" in refused.value.fix


def test_what_a_table_alone_gives_away_is_said_of_its_plan_too(runs):
    perplexities = replace(runs, loss_nats=np.exp(runs.loss_nats) * 1000)
    found = plan(fit(perplexities, bootstrap=20), corpus=ENDLESS_WORDS, flops=1e12, runs=perplexities)
    assert "loss_above_uniform" in codes(found)


def test_laws_of_other_runs_or_conventions_are_no_forms_of_one_law(runs, law):
    extra = {
        "fitted runs": fit(runs.select(np.arange(20)), law="kaplan", bootstrap=20),
        "count parameters": fit(replace(runs, params_convention="total"), law="kaplan", bootstrap=20),
        "was given twice": fit(runs, bootstrap=20),
    }
    for said, other in extra.items():
        with pytest.raises(InputError, match=said):
            plan([law, other], corpus=ENDLESS, flops=1e12, extrapolate=True)


def test_a_loss_below_the_least_is_refused_with_the_least(law):
    with pytest.raises(Unidentified) as refused:
        plan(law, corpus=ENDLESS, target_loss=0.1)
    assert f"{law.params['E'].value:.4g}" in refused.value.fix


def test_without_a_law_the_one_that_comes_along_plans():
    found = plan(corpus=open_corpus(Path(__file__).parents[2] / "docs" / "log.md"), flops=1e12, repeat=False)
    assert "functions of ngram" in found.reason


def test_a_printed_plan_is_a_sentence_and_its_cautions(runs):
    printed = str(plan(fit(runs, bootstrap=20), flops=1e12))
    assert "tokens per parameter" in printed
    assert "Estimate(" not in printed


def test_a_plan_in_bytes_is_that_in_tokens_but_for_its_unit(runs):
    """A byte is a quarter of a token: batch, rate, passes and what is said of repeats do not depend on the unit."""
    ratio = 4.0
    in_bytes = fit(
        observations(
            params=runs.params, tokens=runs.tokens * ratio, loss_nats=runs.loss_nats, bytes_per_token=ratio,
            data_unit="bytes", params_convention="with_head",
        ),
        bootstrap=20,
    )  # fmt: skip
    in_tokens = fit(runs, bootstrap=20)
    corpus = CorpusStatistics(name="text", unique_tokens=2e6, vocab_size=50_000, bytes_per_token=ratio)
    making = Making(recipe=recipes["step_law"])  # its batch and its rate follow the tokens
    for repeat in (True, False):
        one, other = (
            plan(law, corpus=corpus, flops=1e13, making=making, repeat=repeat) for law in (in_tokens, in_bytes)
        )
        assert other.tokens.value == pytest.approx(ratio * one.tokens.value, rel=1e-3)
        assert other.epochs.value == pytest.approx(one.epochs.value, rel=1e-3)
        assert other.batch_tokens.value == pytest.approx(one.batch_tokens.value, rel=0.01)
        assert other.peak_lr.value == pytest.approx(one.peak_lr.value, rel=1e-3)
        assert codes(other) == codes(one)
        assert "batch, tokens" in other.numbers()
        assert {"training bytes D", "bytes per parameter, D/N"} <= set(other.numbers())
    assert one.epochs.value > 1, "the text is read more than once"
    marked = in_bytes.plot().axes[0].get_lines()[-1].get_ydata()
    assert marked[0] == pytest.approx(20 * ratio)
