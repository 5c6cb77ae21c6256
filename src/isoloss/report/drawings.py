"""The figures of a report with their words: what each shows, how to read it, and a text for those who do not see it."""

import re
from collections.abc import Mapping, Sequence, Sized
from functools import partial

import numpy as np

from isoloss.core.numbers import fixed, plain, power_of_ten, value_and_interval
from isoloss.data_dependence.balance import BalanceVerdict, measure_in_words, measured_as, slope_in_words
from isoloss.report.blocks import Draw, Drawing
from isoloss.report.data import ReportData, by_alone
from isoloss.report.figures.balance import BalancePoint, balance
from isoloss.report.figures.compute import loss_against_compute
from isoloss.report.figures.contours import contours
from isoloss.report.figures.curves import training_curves
from isoloss.report.figures.excess import excess_over_floor
from isoloss.report.figures.forest import forest
from isoloss.report.figures.residuals import residuals
from isoloss.report.splits import best_split, in_words
from isoloss.report.tables import by_complexity, exponent
from isoloss.report.theme import short
from isoloss.report.verdicts import balance_line, kind_of
from isoloss.runs.observations import UNSTATED

HOLLOW = "Hollow marks are runs that the fit left out; their shape names the flag."


def corpus_order(data: ReportData) -> list[str]:
    """Return the corpora that have runs, in the order of every table and figure."""
    with_runs = set(data.observations.corpora)
    return [corpus.name for corpus in by_complexity(data) if corpus.name in with_runs]


def contour_sheet(data: ReportData) -> Drawing:
    """Return the headline picture: contours of all corpora on the same axes."""
    names = corpus_order(data)
    budget = power_of_ten(data.budget_flops)
    return Drawing(
        name="contours",
        title="Iso-loss contours over parameters and data",
        caption=f"A curve joins the pairs of parameters and training {data.observations.data_unit} with the same "
        "predicted loss; its value, in nats per token, stands at the right edge. The shaded rectangle is the "
        "range of the fitted runs: inside it the law interpolates, beyond it (dashed) it extrapolates. "
        "Dotted lines join equal compute, C = 6·N·D, at powers of ten; the dashed black line is the common "
        f"budget of {budget} FLOPs. {_best_lines(data)}Dots are runs. {HOLLOW} All panels share their axes. "
        f"{_convention(data)}",
        alt=f"{_count(names)} of iso-loss contours, a corpus each. At {budget} FLOPs the best split is: "
        + _each({name: _split_in_words(data, name) for name in names}),
        draw=_contours(data, names),
    )


def _best_lines(data: ReportData) -> str:
    """Return which lines of best splits the contours have, and whose they are."""
    forms = (
        "The solid orange line joins the best splits by several forms of the loss, at the study's budgets and inside "
        "the runs alone; pale bars are their 95 % intervals, and the star is the best split of the common budget. "
    )
    law = (
        f"The dashed orange line is the best split of every budget {by_alone(data.law_name)}, inside the runs and "
        "beyond them. "
    )
    return f"{forms if data.optima else ''}{law if data.laws else ''}"


def _split_in_words(data: ReportData, name: str) -> str:
    """Return the best split of the common budget as the first screen says it, or why there is none."""
    split = best_split(data, name)
    said = in_words(split, data.observations.data_unit)
    return ", ".join(part for part in (*said, split.note, split.missing) if part)


def contour_pages(data: ReportData) -> list[Drawing]:
    """Return one large contour picture a corpus that has a law."""
    return [
        Drawing(
            name=f"contours-{number}-{slug(name)}",
            title=f"Iso-loss contours of {name}",
            caption=f"{name} alone, to be read as the sheet of all corpora.",
            alt=f"Iso-loss contours of {name}. Best split of {power_of_ten(data.budget_flops)} FLOPs: "
            f"{_split_in_words(data, name)}.",
            draw=_contours(data, [name]),
            wide_only=True,
        )
        for number, name in enumerate(corpus_order(data), start=1)
        if name in data.laws
    ]


def _contours(data: ReportData, corpora: Sequence[str]) -> Draw:
    titles = panel_titles(data)
    return partial(
        contours, data.observations, data.laws, budget=data.budget_flops, optima=data.optima, corpora=corpora,
        titles=titles,
    )  # fmt: skip


def slug(name: str) -> str:
    """Return a name fit for a file: lower-case letters, digits and dashes; names of other scripts become `corpus`."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "corpus"


def panel_titles(data: ReportData) -> dict[str, str]:
    """Return each corpus's title: its name and, where measured, its complexity."""
    titles = {}
    for corpus in data.corpora:
        complexity = corpus.measures.get(data.measure)
        titles[corpus.name] = short(corpus.name, 24) + (
            f" · {data.measure} {fixed(complexity.value, 2)}" if complexity else ""
        )
    return titles


def balance_picture(data: ReportData) -> Drawing | None:
    """Return balance against complexity, or None where fewer than two corpora have both."""
    points = balance_points(data)
    if len(points) < 2:
        return None
    lines = {kind_of(verdict): balance_line(verdict) for verdict in data.balance if verdict.verdict == "moves"}
    notes = {kind_of(verdict): slope_note(verdict) for verdict in data.balance}
    measured = measure_in_words(data.measure)
    return Drawing(
        name="balance",
        title=f"Best tokens per parameter against {measured}",
        caption=f"Each mark is a corpus: its {measured}, and its best number of training tokens per parameter, by "
        "several forms of the loss and as the mean over the budgets of the verdict. Bars are 95 % intervals. Real "
        "text and generated languages are shown separately, because what is true of one need not be true of the "
        "other. A regression line with its "
        f"band is drawn only where best tokens per parameter are shown to follow the {measured}.",
        alt=f"Best tokens per parameter against {measured}. "
        + _each({p.name: f"{measured} {fixed(p.complexity.value, 2)}, "
                         f"{plain(float(np.exp(p.log_ratio.value)), 2)} tokens per parameter" for p in points}),
        draw=partial(balance, points, axis=measure_axis(data.measure), lines=lines, notes=notes),
    )  # fmt: skip


def measure_axis(measure: str) -> str:
    """Return what an axis of a measure says: its name, what its number is, and which end is harder."""
    return f"{': '.join(filter(None, (measure_in_words(measure), measured_as(measure))))} (higher is harder)"


def balance_points(data: ReportData) -> list[BalancePoint]:
    """Return the corpora that the verdicts compare: the mean balance of their budgets, and the complexity."""
    return [
        BalancePoint(name=one.corpus, kind=kind_of(verdict), complexity=one.complexity, log_ratio=one.log_ratio)
        for verdict in data.balance
        for one in verdict.corpora
    ]


def slope_note(verdict: BalanceVerdict) -> str:
    """Return a verdict's slope for the panel's title: the factor on tokens per parameter for a step of the measure.

    A slope that is not shown has no number.
    """
    if verdict.slope is None:
        return "too few corpora to judge"
    if verdict.verdict != "moves":
        return f"no trend with {measure_in_words(verdict.measure)} is shown"
    return slope_in_words(verdict.slope, verdict.measure)


def compute_picture(data: ReportData) -> Drawing:
    """Return loss against compute."""
    names = corpus_order(data)
    floor = " The dotted line is the exact lowest possible loss, known for generated corpora." if data.floors else ""
    return Drawing(
        name="compute",
        title="Loss against compute",
        caption="Marks are runs, coloured by model size, small dark to large bright; the number left of each curve is "
        "the size. Thin curves are the law at that size. The orange line is the lowest loss for the compute "
        f"{by_alone(data.law_name)}, with its 95 % interval; it is dashed where it leaves the ranges of the "
        f"fitted runs.{floor} {HOLLOW} Losses of different tokenizers are not comparable, so each panel has its own "
        "scale.",
        alt=f"{_count(names)} of held-out loss against training FLOPs. Lowest loss of a run: "
        + _each({name: fixed(float(data.observations.where(corpus=name).loss_nats.min()), 3) for name in names}),
        draw=partial(loss_against_compute, data.observations, data.laws, floors=data.floors, corpora=names),
    )


def excess_picture(data: ReportData) -> Drawing | None:
    """Return excess over the floor, or None where no corpus with runs has a floor."""
    floors = {name: floor for name, floor in data.floors.items() if name in data.observations.corpora}
    if not floors:
        return None
    return Drawing(
        name="excess",
        title="Excess over the exact floor",
        caption="For generated corpora the lowest possible loss is known exactly. The figure shows the rest, which "
        "more compute could remove. Bars are two standard errors of the loss. A run at the floor, within its "
        "own error, is drawn on the lower edge; it says nothing about how the loss falls. The dashed line shows "
        f"how far the fitted E is above the floor. {HOLLOW}",
        alt=f"{_count(floors)} of loss minus exact floor against training FLOPs: "
        + _each({name: f"floor {fixed(floor.value, 3)} nats per token" for name, floor in floors.items()}),
        draw=partial(excess_over_floor, data.observations, data.laws, floors=floors),
    )


def coefficient_picture(data: ReportData) -> Drawing:
    """Return the forest plot of coefficients."""
    laws = {name: data.laws[name] for name in corpus_order(data) if name in data.laws}
    formula = next(iter(laws.values())).definition.formula
    return Drawing(
        name="coefficients",
        title="Coefficients of every law",
        caption=f"{formula}, and a, the exponent of the best size in compute (Chinchilla's: β/(α+β)). Marks are "
        "optima, bars 95 % intervals. For generated corpora the exact floor stands next to E, which should meet it. "
        "Dashed and dotted lines are Chinchilla's values, as published and as refitted by Besiroglu et al. "
        "(2024): α, β and a compare with them; E, A and B depend on the tokenizer and the text and do not.",
        alt="Coefficients with intervals. Exponent a: "
        + _each({name: " ".join(value_and_interval(exponent(law))) for name, law in laws.items()}),
        draw=partial(forest, laws, kinds=data.kinds, floors=data.floors),
    )


def residual_picture(data: ReportData) -> Drawing:
    """Return residuals against parameters and data."""
    laws = {name: data.laws[name] for name in corpus_order(data) if name in data.laws}
    errors = "; ".join(f"{name}: {fixed(100 * law.rmse, 2)} %" for name, law in laws.items())
    return Drawing(
        name="residuals",
        title="What the laws leave unexplained",
        caption="100 · (ln loss − ln predicted) of every run, which is its error in percent of the loss, against "
        "parameters (left of each pair) and training data (right). A law that fits scatters evenly around "
        f"zero; a bend is a defect of its form. The shaded band is ±1 %. {HOLLOW}",
        alt=f"Residuals of ln loss against parameters and data. Root mean square: {errors}.",
        draw=partial(residuals, data.observations, laws),
    )


def curve_picture(data: ReportData) -> Drawing | None:
    """Return the training curves, or None where none were kept."""
    if not data.curves:
        return None
    names = [name for name in corpus_order(data) if any(curve.corpus == name for curve in data.curves)]
    return Drawing(
        name="curves",
        title="Training curves",
        caption="Training loss against tokens seen, averaged over steps in even steps of the logarithm, coloured by "
        "model size, small dark to large bright; the number at each end is the size.",
        alt=f"{_count(names)} of training loss against tokens seen, one line a run.",
        draw=partial(training_curves, data.curves, corpora=names),
    )


def _count(panels: Sized) -> str:
    return "One panel" if len(panels) == 1 else f"{len(panels)} panels"


def _each(said: Mapping[str, str]) -> str:
    """Return what is said of each corpus, one after another."""
    return "; ".join(f"{name}: {text}" for name, text in said.items()) + "."


def _convention(data: ReportData) -> str:
    convention = data.observations.params_convention
    return "" if convention == UNSTATED else f"Parameters are counted {convention.replace('_', ' ')}."
