"""Each figure shows what it says: marks stand where law and runs put them, whatever the names, however few the runs."""

import re
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from report_studies import BUDGET, CORPORA, SIZES, TOKENS, simulated_runs, training_curve

from isoloss.core.errors import Unidentified
from isoloss.core.estimate import Estimate
from isoloss.fitting.fitted import Exclusion, FittedLaw
from isoloss.optima.best_size import BestSize
from isoloss.report import render
from isoloss.report.data import Curve, ReportData
from isoloss.report.drawings import balance_points, measure_axis
from isoloss.report.figures.balance import BalancePoint, Line, balance
from isoloss.report.figures.compute import loss_against_compute
from isoloss.report.figures.contours import contours, loss_levels, shared_window
from isoloss.report.figures.curves import POINTS, thinned, training_curves
from isoloss.report.figures.excess import excess_over_floor
from isoloss.report.figures.forest import BESIROGLU, HOFFMANN, forest
from isoloss.report.figures.marks import anchor, marks
from isoloss.report.figures.residuals import residuals
from isoloss.report.theme import FRONTIER
from isoloss.report.verdicts import balance_line


def every_figure(study: ReportData) -> dict[str, Figure]:
    runs, laws, floors = study.observations, study.laws, study.floors
    return {
        "contours": contours(runs, laws, budget=BUDGET),
        "compute": loss_against_compute(runs, laws, floors=floors),
        "balance": balance(balance_points(study), axis=measure_axis("gzip"), lines={}, notes={}),
        "forest": forest(laws, kinds=study.kinds, floors=floors),
        "residuals": residuals(runs, laws),
        "excess": excess_over_floor(runs, laws, floors=floors),
        "curves": training_curves(study.curves),
    }


def drawn_points(axes: Axes) -> list[PathCollection]:
    return [collection for collection in axes.collections if isinstance(collection, PathCollection)]


def without_optimum(law: FittedLaw) -> FittedLaw:
    """Return the law with A = 0: size never helps, so no split of a budget is best."""
    flat = replace(law, params={**law.params, "A": Estimate(value=0.0)})
    with pytest.raises(Unidentified):
        flat.optimum(BUDGET)
    return flat


def test_every_figure_names_its_axes_with_units(small_study: ReportData) -> None:
    wanted = {
        "contours": ("parameters N", "training tokens D"),
        "compute": ("training FLOPs C", "loss, nats per token"),
        "balance": ("gzip ratio: compressed size / raw size (higher is harder)", "best tokens per parameter"),
        "residuals": ("parameters N", "residual of ln loss, %"),
        "excess": ("training FLOPs C", "loss − floor, nats per token"),
        "curves": ("training tokens seen", "training loss, nats per token"),
    }
    figures = every_figure(small_study)
    for name, (x, y) in wanted.items():
        axes = figures[name].axes[0]
        assert (axes.get_xlabel(), axes.get_ylabel()) == (x, y), name
    assert figures["forest"].axes[0].get_title(loc="left") == "E, nats"


def test_only_a_compressors_axis_speaks_of_compressed_size() -> None:
    assert "compressed" in measure_axis("ppmd")
    assert "nats per token" in measure_axis("ngram")
    assert all("compressed" not in measure_axis(name) for name in ("ngram", "heaps", "my_measures:Repeats"))


def test_ticks_of_best_tokens_per_parameter_stand_at_their_logarithms(study: ReportData) -> None:
    axes = balance(balance_points(study), axis="", lines={}, notes={}).axes[0]
    ticks = {text.get_text(): place for place, text in zip(axes.get_yticks(), axes.get_yticklabels(), strict=True)}
    assert len(ticks) > 2
    assert all(place == pytest.approx(np.log(float(text))) for text, place in ticks.items())


def test_a_contours_label_is_the_laws_loss_where_it_stands(study: ReportData) -> None:
    """The label's place on the right edge, put into the law, gives the label, to the interpolation of its 400 steps."""
    window = shared_window(study.observations)
    for law in study.laws.values():
        _, labelled = loss_levels(law, window)
        assert len(labelled) >= 5
        for tokens, text in labelled:
            assert float(law.predict(params=window[0][1], tokens=tokens)) == pytest.approx(float(text), rel=1e-4)


def test_contours_are_distinct_and_cover_the_runs(study: ReportData) -> None:
    window = shared_window(study.observations)
    for law in study.laws.values():
        levels, _ = loss_levels(law, window)
        predicted = law.predict(params=study.observations.params, tokens=study.observations.tokens)
        assert (np.diff(levels) > 0).all()
        assert levels[0] < predicted.min() < predicted.max() < levels[-1] * 1.5
        assert sum(predicted.min() < level < predicted.max() for level in levels) >= 4


def test_best_splits_by_several_forms_are_marks_with_their_intervals(small_study: ReportData) -> None:
    """The star is that of the common budget, whatever the law alone says of it."""
    moved = [replace(one, params=one.params.scaled(0.5), tokens=one.tokens.scaled(2)) for one in small_study.optima]
    figure = contours(small_study.observations, small_study.laws, budget=BUDGET, optima=moved)
    for axes, name in zip(figure.axes, small_study.laws, strict=True):
        own = [one for one in moved if one.corpus == name]
        (star,) = [line for line in axes.lines if line.get_marker() == "*"]
        (solid,) = [line for line in axes.lines if line.get_marker() == "o"]
        bars = [line for line in axes.lines if line.get_alpha() == 0.35]
        assert list(zip(*solid.get_data(), strict=True)) == [(one.params.value, one.tokens.value) for one in own]
        assert [one.flops for one in own if one.params.value == star.get_xdata()[0]] == [BUDGET]
        assert [tuple(bar.get_xdata()) for bar in bars] == [(one.params.low, one.params.high) for one in own]


def test_an_optimum_outside_the_runs_has_no_mark_and_its_side_is_said(small_study: ReportData) -> None:
    outside = BestSize(corpus="python", flops=BUDGET, inside=False, side="above", reason="…")
    figure = contours(small_study.observations, small_study.laws, budget=BUDGET, optima=[outside], corpora=["python"])
    assert not [line for line in figure.axes[0].lines if line.get_marker() == "*"]
    assert "best split above the sizes trained" in [text.get_text() for text in figure.axes[0].texts]


def test_the_laws_own_line_is_dashed_and_called_its_own(small_study: ReportData) -> None:
    law = small_study.laws["python"]
    figure = contours(small_study.observations, {"python": law}, budget=BUDGET, corpora=["python"])
    assert "best split by chinchilla alone" in [text.get_text() for text in figure.legends[0].get_texts()]
    dashed = [line for line in figure.axes[0].lines if line.get_color() == FRONTIER and line.is_dashed()]
    (line,) = [each for each in dashed if len(each.get_xdata()) > 2]
    ratio = np.interp(np.log(BUDGET / 6), np.log(line.get_xdata() * line.get_ydata()),
                      np.log(line.get_ydata() / line.get_xdata()))  # fmt: skip
    assert ratio == pytest.approx(law.log_ratio(BUDGET).value, abs=1e-3)


def test_runs_that_the_fit_left_out_are_hollow_and_no_others(small_study: ReportData) -> None:
    for name, law in small_study.laws.items():
        runs = small_study.observations.where(corpus=name)
        hollow = {str(run) for look in marks(runs, law) if not look.filled for run in runs.run[look.rows]}
        assert hollow == {exclusion.run for exclusion in law.excluded}


def test_a_run_left_out_for_another_reason_than_a_flag_is_hollow_too(small_study: ReportData) -> None:
    runs, law = small_study.observations.where(corpus="python"), small_study.laws["python"]
    other = Exclusion(row=1, run=str(runs.run[0]), reason="an outlier")
    looks = marks(runs, replace(law, excluded=(*law.excluded, other)))
    (hollow,) = [look for look in looks if look.rows[0]]
    assert (hollow.filled, hollow.label) == (False, "run left out of the fit")


def test_flags_differ_in_shape_and_not_in_colour_alone(small_study: ReportData) -> None:
    looks = marks(small_study.observations.where(corpus="pcfg easy"), small_study.laws["pcfg easy"])
    assert {look.label: look.marker for look in looks} == {
        "run": "o", "saturated, left out": "s", "unconverged, left out": "^",
    }  # fmt: skip
    assert sum(look.rows.sum() for look in looks) == len(SIZES) * len(TOKENS)


def test_every_run_is_drawn_and_links_to_its_row(small_study: ReportData) -> None:
    figures = every_figure(small_study)
    for name in ("contours", "compute", "excess"):
        figure = figures[name]
        links = [url for axes in figure.axes for points in drawn_points(axes) for url in points.get_urls()]
        drawn = small_study.observations
        if name == "excess":
            drawn = drawn.where(corpus="pcfg easy")
        assert sorted(links) == sorted(f"#{anchor(run)}" for run in drawn.run.tolist()), name


def test_the_references_are_chinchillas() -> None:
    """α and β as printed give the exponents that both papers state: .46 ± .01 and .51."""
    assert HOFFMANN["a"] == pytest.approx(0.452, abs=5e-4)
    assert BESIROGLU["a"] == pytest.approx(0.513, abs=5e-4)


def test_the_published_exponents_are_always_in_view(study: ReportData) -> None:
    figure = forest(study.laws, kinds=study.kinds, floors=study.floors)
    panels = {axes.get_title(loc="left"): axes for axes in figure.axes}
    for title, parameter in (("α", "alpha"), ("β", "beta"), ("a in N* ∝ Cᵃ", "a")):
        low, high = panels[title].get_xlim()
        assert low < HOFFMANN[parameter] < high
        assert low < BESIROGLU[parameter] < high


def test_residuals_share_one_scale_that_holds_them_all(study: ReportData) -> None:
    figure = residuals(study.observations, study.laws)
    limits = {axes.get_ylim() for axes in figure.axes}
    assert len(limits) == 1
    worst = max(
        100 * np.abs(law.residuals(study.observations.where(corpus=name))).max() for name, law in study.laws.items()
    )
    assert limits.pop()[1] >= worst


def test_a_run_below_its_floor_stands_on_the_lower_edge(small_study: ReportData) -> None:
    """Sampling noise takes a saturated run below the floor; a logarithm cannot, and the run must not vanish."""
    floors = {"pcfg easy": Estimate(value=1.1)}
    figure = excess_over_floor(small_study.observations, small_study.laws, floors=floors)
    (axes,) = figure.axes
    heights = np.concatenate([points.get_offsets()[:, 1] for points in drawn_points(axes)])
    below = small_study.observations.where(corpus="pcfg easy").loss_nats < 1.1
    assert below.any()
    assert len(heights) == len(below)
    assert (heights >= axes.get_ylim()[0]).all()


def test_a_study_whose_runs_are_all_at_the_floor_still_draws(small_study: ReportData) -> None:
    figure = excess_over_floor(small_study.observations, {}, floors={"pcfg easy": Estimate(value=3.0)})
    assert render.raw_svg(figure)


@pytest.mark.parametrize("layout", ["wide", "narrow"])
def test_figures_draw_without_a_law_and_without_an_optimum(small_study: ReportData, layout: str) -> None:
    runs = small_study.observations
    flat = without_optimum(small_study.laws["python"])
    for laws in ({}, {"python": flat}):
        for figure in (
            contours(runs, laws, budget=BUDGET, layout=layout),
            loss_against_compute(runs, laws, floors={}, layout=layout),
        ):
            assert render.raw_svg(figure)
    assert "no optimum by chinchilla alone" in render.raw_svg(contours(runs, {"python": flat}, budget=BUDGET))
    assert "no law fitted" in render.raw_svg(contours(runs, {}, budget=BUDGET))


def test_a_law_without_draws_has_no_band(small_study: ReportData) -> None:
    law = small_study.laws["python"]
    bare = replace(law, draws=law.draws[:0], params={k: Estimate(value=v.value) for k, v in law.params.items()})
    figure = contours(small_study.observations, {"python": bare}, budget=BUDGET)
    assert not [patch for axes in figure.axes for patch in axes.patches if patch.get_alpha() == 0.2]
    assert render.raw_svg(forest({"python": bare}, kinds={"python": "text"}, floors={}))


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "$x^2$ & \\frac", "#ffffff", "语料 🙂", "a" * 200, "1.23456"]
)
def test_any_name_is_drawn_as_it_is(small_study: ReportData, name: str) -> None:
    """Names are neither markup nor mathematics nor colours, and one in a script that the font lacks is no error."""
    python = small_study.observations.where(corpus="python")
    runs = replace(python, corpus=np.full(len(python), name))
    figure = contours(runs, {name: small_study.laws["python"]}, budget=BUDGET)
    raw = render.raw_svg(figure)
    inlined = re.sub(r"<!--.*?-->", "", render.inline_svg(raw, name="x", alt=""))
    assert "<script" not in inlined
    assert render.png_bytes(figure).startswith(b"\x89PNG")
    if name in ("#ffffff", "1.23456", "$x^2$ & \\frac"):
        assert name.replace("&", "&amp;") in inlined


def test_an_inlined_drawing_is_of_the_page(small_study: ReportData) -> None:
    """Colours become the page's, identifiers meet no other drawing's, and a file keeps neither links nor variables."""
    raw = render.raw_svg(contours(small_study.observations, small_study.laws, budget=BUDGET))
    inlined = render.inline_svg(raw, name="one", alt="a & b")
    assert "var(--ink)" in inlined
    assert "#1d2126" not in inlined
    assert 'aria-label="a &amp; b"' in inlined
    identifiers = {part.split('"')[0] for part in inlined.split(' id="')[1:]}
    assert all(identifier.startswith("one-") for identifier in identifiers)
    assert "http" not in inlined
    alone = render.svg_file(raw)
    assert "#run-" not in alone
    assert "var(--" not in alone
    assert "</a>" not in alone


def test_a_regression_line_is_drawn_only_where_the_balance_moves(study: ReportData) -> None:
    points = balance_points(study)
    along = np.array([0.2, 0.5])
    line = Line(complexity=along, value=3 - along, low=2 - along, high=4 - along)
    figure = balance(points, axis="gzip ratio", lines={"generated": line}, notes={})
    bands = [len(axes.collections) for axes in figure.axes[:2]]
    titles = [axes.get_title(loc="left") for axes in figure.axes[:2]]
    assert dict(zip(titles, bands, strict=True)) == {"Real text": 0, "Generated language": 1}


def test_the_line_runs_through_the_weighted_corpora_with_the_verdicts_slope(study: ReportData) -> None:
    """With equal weights it is least squares; ours differ by under a factor of two, so slopes agree to a quarter."""
    verdict = next(verdict for verdict in study.balance if verdict.kind == "generated")
    line = balance_line(verdict)
    slope = (line.value[-1] - line.value[0]) / (line.complexity[-1] - line.complexity[0])
    assert slope == pytest.approx(10 * verdict.slope.value)
    x = [corpus.complexity.value for corpus in verdict.corpora]
    y = [corpus.log_ratio.value for corpus in verdict.corpora]
    assert min(y) < np.interp(np.mean(x), line.complexity, line.value) < max(y)
    assert (line.low < line.value).all()
    assert (line.value < line.high).all()


def test_names_of_corpora_at_one_place_do_not_cover_each_other() -> None:
    points = [
        BalancePoint(
            name=f"corpus {i}",
            kind="text",
            complexity=Estimate(value=0.4 + 0.001 * i),
            log_ratio=Estimate(value=2.0, low=1.5, high=2.5),
        )
        for i in range(4)
    ]
    figure = balance(points, axis="gzip ratio", lines={}, notes={})
    render.raw_svg(figure)
    boxes = [text.get_window_extent() for text in figure.axes[0].texts if text.get_text().startswith("corpus")]
    assert len(boxes) == 4
    assert not any(one.overlaps(two) for i, one in enumerate(boxes) for two in boxes[:i])


def test_a_thinned_curve_keeps_its_mean_and_its_ends() -> None:
    curve = training_curve("python", SIZES[0])
    tokens, loss = thinned(curve)
    assert len(tokens) <= POINTS
    assert tokens[0] == curve.tokens[0]
    assert loss[-1] == pytest.approx(curve.train_nats[-8:].mean(), rel=0.05)
    assert (np.diff(tokens) > 0).all()


def test_a_curve_of_one_step_and_a_broken_one_draw() -> None:
    curves = [
        Curve(corpus="a", params=1e4, tokens=np.array([2048.0]), train_nats=np.array([5.0])),
        Curve(corpus="a", params=3e4, tokens=np.arange(3) * 2048.0, train_nats=np.array([np.nan, 6.0, np.nan])),
    ]
    assert render.raw_svg(training_curves(curves))


def test_one_corpus_of_one_size_draws() -> None:
    runs = simulated_runs(["python"])
    runs = runs.select(runs.params == SIZES[0])
    for figure in (contours(runs, {}, budget=BUDGET), loss_against_compute(runs, {}, floors={})):
        assert render.raw_svg(figure)


def test_sheets_of_every_number_of_corpora_have_a_panel_each() -> None:
    for count in range(1, len(CORPORA) + 1):
        names = list(CORPORA)[:count]
        assert len(contours(simulated_runs(names), {}, budget=BUDGET).axes) == count
