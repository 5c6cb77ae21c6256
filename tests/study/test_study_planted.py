"""The demo's answer on studies whose truth is known: runs simulated on its own grid, from corpora to sentences."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from isoloss.cli.study_output import ratio, show_result
from isoloss.complexity.base import MeasureSettings
from isoloss.complexity.measure import Complexity
from isoloss.core.consent import allow
from isoloss.core.errors import InputError
from isoloss.core.estimate import Estimate
from isoloss.core.numbers import plain
from isoloss.core.progress import Quiet
from isoloss.report.answers import split_lines
from isoloss.report.drawings import contour_sheet
from isoloss.report.split_tables import best_splits_table
from isoloss.report.tables import key_table
from isoloss.runs.observations import observations
from isoloss.study.analysis import analyse
from isoloss.study.best_splits import KnownOfRuns, find_best_splits
from isoloss.study.left_out import compare_by_kind
from isoloss.study.reporting import report_data
from isoloss.study.result import StudyResult
from isoloss.study.run_plan import require_runnable
from isoloss.study.spec import Holdout, Study

SHIPPED = Study.shipped("laptop")
STUDY = SHIPPED.model_copy(update={"fit": SHIPPED.fit.model_copy(update={"bootstrap": 200})})  # a fifth of the draws
GZIP = {"cpp": 0.24, "python": 0.34, "prose": 0.44, "pcfg_easy": 0.2, "pcfg_middle": 0.4, "pcfg_hard": 0.6}
# A law like source code in bytes on this grid, with a single noise a point as the demo's residuals show it.
E, A, B, ALPHA, BETA, POINT_SD = 0.7, 0.5 * 1e5**0.35, 0.4 * 1e6**0.4, 0.35, 0.4, 0.003


def base_ratio(flops):
    """Return ln(D*/N*) of the law as it stands: α A N^−α = β B D^−β with N D = C / 6."""
    log_n = (np.log(ALPHA * A / BETA / B) + BETA * np.log(flops / 6)) / (ALPHA + BETA)
    return np.log(flops / 6) - 2 * log_n


def corpora():
    return {
        name: SimpleNamespace(
            kind="generated" if name.startswith("pcfg") else "text",
            floor=None,
            fingerprint=name,
            source={},
            n_tokens=10**7,
            heldout_tokens=10**5,
            n_documents=100,
            heldout_documents=10,
            vocab_size=256,
            unigram_nats=3.1,
            bytes_per_token=1.0,
            tokenizer="bytes",
        )
        for name in GZIP
    }


def complexity():
    settings = MeasureSettings().model_dump(mode="json")
    return {
        name: {
            "gzip": Complexity(
                corpus=name, measure="gzip", value=Estimate(value=value, low=value - 0.003, high=value + 0.003),
                median=value, mean=value, std=0.01, sequences=1000, settings=settings,
            )
        }
        for name, value in GZIP.items()
    }  # fmt: skip


def simulated(log_ratio, *, seed):
    """Runs on the study's grid whose optimum at every budget lies `log_ratio(corpus)` off the base law's."""
    generator = np.random.default_rng(seed)
    rows = {"params": [], "tokens": [], "loss_nats": [], "trunk": [], "corpus": []}
    for name in GZIP:
        shift = log_ratio(name) * (ALPHA + BETA) / 4  # ln(D*/N*) moves by 4 / (α + β) per unit of ln(B/A) / 2
        for params in STUDY.grid.params:
            for tokens in STUDY.grid.horizons(params):
                loss = E + A * np.exp(-shift) * params**-ALPHA + B * np.exp(shift) * tokens**-BETA
                rows["params"].append(params)
                rows["tokens"].append(tokens)
                rows["loss_nats"].append(loss * np.exp(generator.normal(0, POINT_SD)))
                rows["trunk"].append(f"{name} {params}")
                rows["corpus"].append(name)
    measured = [GZIP[name] for name in rows["corpus"]]
    return observations(**rows, complexity={"gzip": measured}, params_convention="with_head")


def analysed(log_ratio, *, seed=0):
    return analyse(STUDY, simulated(log_ratio, seed=seed), corpora(), complexity(), progress=Quiet())


@pytest.fixture(scope="module")
def planted():
    """Real corpora move by 1 per .1 of gzip; generated ones do not move at all."""
    return analysed(lambda name: 0.0 if name.startswith("pcfg") else 10 * (GZIP[name] - 0.34))


def test_a_planted_slope_is_said_and_its_absence_is_not(planted):
    real, generated = planted.balance
    assert (real.kind, real.verdict) == ("text", "moves")
    assert real.slope.low < 1.0 < real.slope.high
    assert real.prior == STUDY.fit.scatter_prior
    assert generated.prior is None
    assert (generated.kind, generated.verdict) == ("generated", "not_identified")
    assert generated.slope.low < 0 < generated.slope.high


def test_every_verdict_says_the_smallest_movement_it_could_have_seen(planted):
    for verdict in planted.balance:
        assert verdict.smallest_detectable > 0
        assert verdict.to_json()["smallest_detectable"] == verdict.smallest_detectable


def test_corpora_that_differ_for_other_reasons_do_not_make_it_move():
    scatter = dict(zip(GZIP, (0.7, -0.7, 0.7, -0.7, 0.7, -0.7), strict=True))
    found = analyse(STUDY, simulated(scatter.get, seed=1), corpora(), complexity(), progress=Quiet())
    assert [verdict.verdict for verdict in found.balance] == ["differs", "differs"]


def test_the_terminal_says_what_the_page_says(planted, capsys):
    result = StudyResult(study=STUDY, corpora=corpora(), planned=[], complexity=complexity(), analysis=planted)
    show_result(result)
    said = " ".join(capsys.readouterr().out.split())
    for verdict in planted.balance:
        assert " ".join(" ".join(verdict.sentences()).split()) in said
    for name in GZIP:
        assert name in said


def test_intervals_cover_on_the_grid_they_are_read_on(planted):
    # 100 simulations: the binomial error of 95 % is 2 points; below 86 % would be 4 of them.
    for coverage in planted.coverage.values():
        assert coverage.shares["log_ratio"].value > 0.86


def test_left_out_corpora_judge_the_data_dependent_law(planted):
    for comparison, kind in zip(planted.comparison, ("text", "generated"), strict=True):
        assert (comparison.kind, comparison.measure) == (kind, "gzip")
        assert {name.startswith("pcfg") for name in comparison.corpora} == {kind == "generated"}
        assert comparison.loss.heldout > 0
        assert comparison.loss.pooled > 0
        assert comparison.loss.p_value >= comparison.loss.smallest_p_value == 1 / 6
    assert [law.measure for law in planted.data_dependent] == ["gzip", "gzip"]
    assert [comparison.budget for comparison in planted.predictor_comparisons] == [planted.budget] * 2
    output = planted.to_json()
    assert [one["winner"] for one in output["contest"]] == [None, None]
    assert {"measure", "heldout_error", "pooled_error", "p_value"} <= set(output["comparison"][0])


def test_what_is_left_out_is_predicted_from_its_own_kind_alone(planted):
    """Shifting every loss of the generated corpora changes nothing that is said of real ones."""
    table = simulated(lambda name: 0.0 if name.startswith("pcfg") else 10 * (GZIP[name] - 0.34), seed=0)
    generated = np.char.startswith(table.corpus, "pcfg")
    shifted = replace(table, loss_nats=np.where(generated, 3 * table.loss_nats, table.loss_nats))
    study = STUDY.model_copy(update={"fit": STUDY.fit.model_copy(update={"bootstrap": 0})})
    found = analyse(study, shifted, corpora(), complexity(), progress=Quiet())
    real, _ = planted.comparison
    assert found.comparison[0].loss.heldout == pytest.approx(real.loss.heldout, rel=1e-6)
    assert found.comparison[0].loss.pooled == pytest.approx(real.loss.pooled, rel=1e-6)


def test_the_prior_of_scatter_reaches_the_pooled_split_of_texts_alone():
    table = simulated(lambda name: 0.3 * list(GZIP).index(name), seed=0)
    best = find_best_splits(table, form="chinchilla")
    levels = {}
    for kind, scale in (("text", 0.15), ("text", 0.0), ("generated", 0.15)):
        fit = STUDY.fit.model_copy(update={"bootstrap": 0, "scatter_prior": scale})
        study = STUDY.model_copy(update={"fit": fit})
        (law,) = compare_by_kind(study, table, list(GZIP), {kind: list(GZIP)}, complexity(), best=best).laws
        assert law.pooled.prior == study.fit.prior_of(kind)
        levels[kind, scale] = law.pooled.level
    assert levels["text", 0.0] == levels["generated", 0.15]
    # Shrunk towards the prior's .15, the scatter is less than the .5 that was planted.
    assert levels["text", 0.15].scatter < levels["text", 0.0].scatter


def test_three_corpora_are_said_to_show_nothing_at_five_percent(planted):
    for comparison in planted.predictor_comparisons:
        assert "p cannot fall below 0.17" in comparison.sentences()[-1]


def test_every_corpus_has_its_best_split_at_one_budget_in_the_table_and_the_json(planted, capsys):
    show_result(StudyResult(study=STUDY, corpora=corpora(), planned=[], complexity=complexity(), analysis=planted))
    said = capsys.readouterr().out
    optima, held = planted.to_json()["optima"], 0
    assert [one["corpus"] for one in optima] == [name for name in GZIP for _ in range(3)]
    for name, best in planted.best.at_budget().items():
        assert best.inside, name
        assert ratio(best.tokens_per_param) in said
        truth = 0.0 if name.startswith("pcfg") else 10 * (GZIP[name] - 0.34)
        wanted = np.exp(base_ratio(planted.budget) + truth)
        assert best.tokens_per_param.value == pytest.approx(wanted, rel=0.1), name
        held += best.tokens_per_param.low < wanted < best.tokens_per_param.high
    assert held >= len(GZIP) - 1


def test_the_page_says_the_best_splits_of_the_json(planted):
    """First screen, tables, words below Figure 1 and its star: one best split for a corpus and a budget."""
    result = StudyResult(study=STUDY, corpora=corpora(), planned=[], complexity=complexity(), analysis=planted)
    data, output = report_data(result, archive=None), planted.to_json()
    optima = {(one["corpus"], one["flops"]): one for one in output["optima"]}
    assert {flops for _, flops in optima} == set(planted.best.budgets)
    rows = best_splits_table(data).rows
    assert len(rows) == len(optima)
    for row in rows:
        name, flops, params, tokens, per_param, loss, where = row.cells
        one = optima[name.text, flops.sort]
        assert [params.sort, tokens.sort, per_param.sort, loss.sort] == [
            one[key]["value"] for key in ("params", "tokens", "tokens_per_param", "loss")
        ]
        assert where.text == "inside the runs"
    alone = {name: float(np.exp(law.log_ratio(planted.budget).value)) for name, law in planted.laws.items()}
    sheet = contour_sheet(data)
    for line, row, axes in zip(split_lines(data), key_table(data).rows, sheet.draw().axes, strict=True):
        one = optima[line.name, output["budget_flops"]]
        value = one["tokens_per_param"]["value"]
        assert value != alone[line.name]
        assert line.ratio.startswith(f"{plain(value, 2)} a parameter")
        assert f"{line.name}: {line.split}, {line.ratio}" in sheet.alt
        assert row.cells[0].text == line.name
        assert [cell.sort for cell in row.cells[7:9]] == pytest.approx([value, np.log(value)])
        (star,) = [drawn for drawn in axes.lines if drawn.get_marker() == "*"]
        assert (star.get_xdata()[0], star.get_ydata()[0]) == (one["params"]["value"], one["tokens"]["value"])


def test_other_ways_of_counting_are_in_the_json():
    table = simulated(lambda name: 0.0, seed=0)
    exact = dict(zip(table.run.tolist(), (1.5 * table.flops).tolist(), strict=True))
    without = dict(zip(table.run.tolist(), (0.6 * table.params).tolist(), strict=True))
    best = find_best_splits(table, form="chinchilla", known=KnownOfRuns(exact_flops=exact, without_heads=without))
    output = best.to_json()
    for own, counted, headless in zip(
        output["optima"], output["optima_exact"], output["optima_without_head"], strict=True
    ):
        # FLOPs that are a multiple of 6ND change the budgets' names and no split.
        assert counted["flops"] == pytest.approx(1.5 * own["flops"], rel=5e-3)
        assert counted["tokens_per_param"]["value"] == pytest.approx(own["tokens_per_param"]["value"], rel=0.05)
        assert (headless["corpus"], headless["flops"]) == (own["corpus"], own["flops"])
        assert headless["params"]["value"] == pytest.approx(0.6 * own["params"]["value"])
        assert headless["tokens_per_param"]["value"] == pytest.approx(own["tokens_per_param"]["value"] / 0.6, rel=0.01)


def of_laws(*names):
    allow("own_law", "no_such_module")
    fit = STUDY.fit.model_copy(update={"laws": names, "bootstrap": 0})
    return STUDY.model_copy(update={"fit": fit})


def test_a_law_of_ones_own_is_fitted_next_to_chinchillas():
    study = of_laws("chinchilla", "own_law:NoFloor")
    found = analyse(study, simulated(lambda name: 0.0, seed=0), corpora(), complexity(), progress=Quiet())
    assert {law.law for law in found.laws.values()} == {"chinchilla"}
    assert [(law.group, law.law) for law in found.further_laws] == [(name, "own_law:NoFloor") for name in GZIP]
    for law in found.further_laws:
        # The truth has E = 0.7: a law without it fits worse, and knows no E.
        assert law.rmse > found.laws[law.group].rmse
        assert list(law.params) == ["A", "B", "alpha", "beta"]
    assert [law["law"] for law in found.to_json()["laws"]] == ["chinchilla"] * 6 + ["own_law:NoFloor"] * 6


def test_a_law_of_ones_own_alone_carries_the_table(capsys):
    study = of_laws("own_law:NoFloor")
    found = analyse(study, simulated(lambda name: 0.0, seed=0), corpora(), complexity(), progress=Quiet())
    assert {law.law for law in found.laws.values()} == {"own_law:NoFloor"}
    assert found.comparison == []
    assert set(found.best.at_budget()) == set(GZIP)
    show_result(StudyResult(study=study, corpora=corpora(), planned=[], complexity=complexity(), analysis=found))
    assert "cpp" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("chinchila", "did you mean 'chinchilla'"),
        ("data_dependant", "did you mean 'data_dependent'"),
        ("own_law:NoFlor", "did you mean 'NoFloor'"),
        ("own_law:NotALaw", "not a law"),
        ("no_such_module:Law", "cannot import law"),
    ],
)
def test_a_law_that_is_none_is_reported_before_anything_is_read(name, said):
    with pytest.raises(InputError) as error:
        require_runnable(of_laws("data_dependent", name))
    assert said in str(error.value)


def test_runs_kept_from_the_fits_are_predicted_and_reported(capsys):
    study = of_laws("chinchilla", "own_law:NoFloor")
    held = study.model_copy(update={"fit": study.fit.model_copy(update={"holdout": Holdout(flops_above=3e10)})})
    found = analyse(held, simulated(lambda name: 0.0, seed=0), corpora(), complexity(), progress=Quiet())
    unseen = int((simulated(lambda name: 0.0, seed=0).flops > 3e10).sum()) // len(GZIP)
    assert unseen > 0
    assert [(one.corpus, one.law, one.runs) for one in found.holdout] == [
        (name, law, unseen) for law in ("chinchilla", "own_law:NoFloor") for name in GZIP
    ]
    show_result(StudyResult(study=held, corpora=corpora(), planned=[], complexity=complexity(), analysis=found))
    said = capsys.readouterr().out
    assert f"{unseen} held-out runs on cpp: chinchilla misses" in said


def test_a_measure_that_one_corpus_does_not_determine_is_tested_on_the_others(capsys):
    measured, study = complexity(), of_laws("chinchilla", "data_dependent")
    study = study.model_copy(
        update={"complexity": study.complexity.model_copy(update={"measures": ("alpha_d", "gzip")})}
    )
    for name, found in measured.items():
        if name != "prose":
            found["alpha_d"] = found["gzip"].model_copy(update={"measure": "alpha_d"})
    found = analyse(study, simulated(lambda name: 0.0, seed=0), corpora(), measured, progress=Quiet())
    # Two real corpora are left for alpha_d, too few; all three generated ones have it.
    assert {(one.kind, one.measure) for one in found.comparison} == {
        ("text", "gzip"), ("generated", "gzip"), ("generated", "alpha_d"),
    }  # fmt: skip
    assert set(found.laws) == set(GZIP)

    only = study.model_copy(update={"complexity": study.complexity.model_copy(update={"measures": ("alpha_d",)})})
    judged = STUDY.fit.model_copy(update={"laws": ("chinchilla",), "bootstrap": 50})
    found = analyse(
        only.model_copy(update={"fit": judged}), simulated(lambda name: 0.0, seed=0), corpora(), measured,
        progress=Quiet(),
    )  # fmt: skip
    assert found.measure == "alpha_d"
    assert {one.corpus for one in found.balance[0].corpora} | set(found.balance[0].left_out) == {"cpp", "python"}

    unidentified = {"prose": {"alpha_d": "no correlation shows; measure more text"}}
    result = StudyResult(
        study=study, corpora=corpora(), planned=[], complexity=measured, unidentified=unidentified, analysis=found
    )
    show_result(result)
    assert "alpha_d of prose is not identified: no correlation shows; measure more text" in capsys.readouterr().out


def test_a_grid_at_other_rates_is_fitted_next_to_and_changes_nothing_of_its_own(capsys):
    study = STUDY.model_copy(update={"fit": STUDY.fit.model_copy(update={"bootstrap": 0, "laws": ("chinchilla",)})})
    own, slow = simulated(lambda name: 0.0, seed=0), simulated(lambda name: -1.0, seed=1)
    alone = analyse(study, own, corpora(), complexity(), progress=Quiet())
    armed = analyse(study, own, corpora(), complexity(), progress=Quiet(), variants={0.5: slow})
    assert {name: law.params for name, law in armed.laws.items()} == {n: law.params for n, law in alone.laws.items()}
    for name, law in armed.rate_arms[0.5].items():
        # Planted one below, found to what noise of .3 % leaves on 20 runs.
        moved = law.log_ratio(armed.budget).value - armed.laws[name].log_ratio(armed.budget).value
        assert moved == pytest.approx(-1.0, abs=0.8)
    output = armed.to_json()["rate_arms"]
    assert {one["optimum"]["corpus"]: one["optimum"]["flops"] for one in output} == dict.fromkeys(GZIP, armed.budget)
    assert {(variant["rate_factor"], variant["group"]) for variant in output} == {(0.5, name) for name in GZIP}
    show_result(StudyResult(study=study, corpora=corpora(), planned=[], complexity=complexity(), analysis=armed))
    assert "rate × 0.5" in capsys.readouterr().out


def test_a_study_that_names_no_law_goes_by_the_one_that_predicts_unseen_curves():
    few = Study.model_validate(
        STUDY.model_dump(by_alias=True) | {"fit": {"laws": ["auto"], "bootstrap": 20}}
    )  # fmt: skip
    require_runnable(few)
    found = analyse(few, simulated(lambda name: 0.0, seed=0), corpora(), complexity(), progress=Quiet())
    assert {law.law for law in found.laws.values()} == {found.laws["cpp"].choice.law}
    assert found.best.lack_of_fit[0].form == found.laws["cpp"].law
