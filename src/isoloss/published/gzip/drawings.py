"""The gzip paper's figures from its own runs, each with its numbers."""

from collections.abc import Mapping
from functools import partial

import numpy as np

from isoloss.core.numbers import fixed, si
from isoloss.data_dependence.coefficient_lines import blend, frontier_log_tokens
from isoloss.laws.chinchilla import Chinchilla
from isoloss.published.chinchilla.data import NAMES, REFITTED
from isoloss.published.figures.law_map import MappedLaw, animated, budget_frames, law_map
from isoloss.published.figures.series import Series, SeriesPanel, series_drawing
from isoloss.published.folder import Columns
from isoloss.published.gzip.analysis import MAIN, GzipAnalysis
from isoloss.published.gzip.data import LOSSES, SYMBOLS
from isoloss.report.blocks import Drawing, columns_of
from isoloss.report.data import Curve
from isoloss.report.figures.curves import training_curves

WINDOW = ((1e6, 3e10), (1e5, 1e12))  # parameters and tokens
PAPER = (0.12, 0.6)  # the gzip ratios of the paper's first figure
FRONTIER_POINTS = 41
SHARES = (1.0, 0.5, 0.0)
BUDGETS = tuple(10.0**k for k in np.arange(14, 23.1, 0.5))
COLUMN_NAMES = {"train_loss_last5pct": "training, last 5 %", "valid_loss_mean": "validation", "train_loss_last":
                "training, last step"}  # fmt: skip


def short_name(found: GzipAnalysis, corpus: str) -> str:
    """Return a corpus as the figures name it: by its gzip ratio."""
    return f"gzip {fixed(found.complexity[corpus], 2)}"


def drawings(found: GzipAnalysis, tables: dict[str, Columns]) -> list[Drawing]:
    """Return every figure in reading order."""
    return [
        contours_at(found), frontier_blends(found), coefficients(found), fragility(found), each_corpus(found),
        curves_picture(found), areas(found), pilot(tables),
    ]  # fmt: skip


def animation(found: GzipAnalysis) -> bytes:
    """Return the contours at the paper's two ratios with the best split moving over compute, as a GIF."""
    return animated(budget_frames(_at_paper(found), BUDGETS, chinchilla=REFITTED, window=WINDOW))


def _at_paper(found: GzipAnalysis) -> dict[str, MappedLaw]:
    return {f"gzip {fixed(ratio, 2)}": MappedLaw(values=found.dependent.at(ratio).values) for ratio in PAPER}


def _mapped(name: str, title: str, caption: str, alt: str, laws: Mapping[str, MappedLaw]) -> Drawing:
    draw = partial(law_map, laws, chinchilla=REFITTED, window=WINDOW)
    return Drawing(name=name, title=title, caption=caption, alt=alt, draw=draw, numbers=map_numbers(laws))


def map_numbers(laws: Mapping[str, MappedLaw]) -> dict[str, list[object]]:
    """Return both frontiers of every panel inside the window, with the loss there, and the coefficients behind them."""
    rows: list[tuple[object, ...]] = []
    log_params = np.log(np.geomspace(*WINDOW[0], FRONTIER_POINTS))
    for panel, law in laws.items():
        for frontier, values in ((panel, law.values), ("Chinchilla", REFITTED)):
            params, tokens = np.exp(log_params), np.exp(np.clip(frontier_log_tokens(values, log_params), -50, 120))
            loss = Chinchilla.loss(values, params=params, tokens=tokens)
            inside = np.flatnonzero((tokens > WINDOW[1][0]) & (tokens < WINDOW[1][1]))
            rows += [(panel, frontier, *map(float, (params[i], tokens[i], loss[i], *values))) for i in inside]
    return columns_of(("panel", "frontier", "params", "tokens", "loss_nats", *NAMES), rows)


def contours_at(found: GzipAnalysis) -> Drawing:
    """Return the paper's first figure: contours of the data-dependent law at gzip .12 and .6."""
    return _mapped(
        "contours", "Contours of the data-dependent law at gzip .12 and .6",
        "Coefficients read off the lines through five grammars (A and B as logarithms); the dashed line is "
        "Chinchilla's frontier, refitted. figures/contours.gif shows the best split moving over compute. Nearly all of "
        "this window lies beyond the runs, which end at 1.4B parameters and 9.5M tokens.",
        "Two panels of iso-loss contours over parameters and tokens, with the law's frontier and Chinchilla's.",
        _at_paper(found),
    )  # fmt: skip


def frontier_blends(found: GzipAnalysis) -> Drawing:
    """Return the frontier at gzip .6 blended with Chinchilla's coefficients by shares of 1, ½ and 0."""
    values = found.dependent.at(PAPER[1]).values
    laws = {
        f"ε = {share:g} at gzip {PAPER[1]}": MappedLaw(values=blend(values, REFITTED, share=share)) for share in SHARES
    }
    return _mapped(
        "blend", "The blend with Chinchilla",
        "Each coefficient is ε times the data-dependent one plus 1 − ε times Chinchilla's. At ε = 0 the two frontiers "
        "are one.",
        "Three panels of contours at gzip .6: the frontier turns into Chinchilla's as the share falls.", laws,
    )  # fmt: skip


def each_corpus(found: GzipAnalysis) -> Drawing:
    """Return the law of every grammar with its runs."""
    laws = {}
    for corpus in found.corpora:
        own = found.table.where(corpus=corpus)
        laws[short_name(found, corpus)] = MappedLaw(
            values=found.laws[MAIN][corpus].values, params=own.params, tokens=own.tokens
        )
    return _mapped(
        "each", "Each grammar's own law", "Dots are the runs: six sizes, five token counts.",
        "Five panels of iso-loss contours, one a grammar, with its runs and frontier.", laws,
    )  # fmt: skip


def coefficients(found: GzipAnalysis) -> Drawing:
    """Return every coefficient against gzip with its line, r and p."""
    x = np.array(list(found.complexity.values()))
    along = np.linspace(0.1, 0.65, 20)
    panels = []
    for name, line in found.lines[MAIN].items():
        laws = found.laws[MAIN]
        values = [laws[corpus].params[name] for corpus in found.corpora]
        panels.append(SeriesPanel(
            title=SYMBOLS[name], xlabel="gzip ratio", ylabel=SYMBOLS[name], x="linear", y="linear",
            note=f"r = {fixed(line.r, 2)}, p = {fixed(line.p, 2)}",
            series={
                "a grammar": Series(x=x, y=np.array([v.value for v in values]), line=False, points=True),
                "least squares": Series(x=along, y=np.array([line.at(h) for h in along])),
            },
        ))  # fmt: skip
    return series_drawing(
        panels, name="coefficients", title="Coefficients against gzip",
        caption="The paper's second stage: each coefficient of the five laws regressed on the gzip ratio.",
        alt="Five panels, one a coefficient, each with five grammars and a straight line.",
    )  # fmt: skip


def fragility(found: GzipAnalysis) -> Drawing:
    """Return a against gzip by loss column, with all runs and without those still falling."""
    x = np.array(list(found.complexity.values()))
    panels = []
    for title, converged in (("All 150 runs", False), ("Without runs still falling", True)):
        series = {}
        for loss in LOSSES:
            values = found.exponents(loss, converged=converged)
            kept = np.isfinite(values)
            series[COLUMN_NAMES[loss]] = Series(x=x[kept], y=values[kept], points=True)
        panels.append(SeriesPanel(title=title, xlabel="gzip ratio", ylabel="exponent a of N*", x="linear", y="linear",
                                  series=series, level=0.5))  # fmt: skip
    return series_drawing(
        panels, name="fragility", title="How far the exponent depends on choices",
        caption="a = β/(α+β) of every grammar by the loss column that is fitted, with and without the runs that were "
        "still falling faster than D^−½ at their end. The line is equal scaling.",
        alt="Two panels of the exponent against gzip: loss columns disagree, and unconverged runs decide as well.",
    )  # fmt: skip


def curves_picture(found: GzipAnalysis) -> Drawing:
    """Return the training curves of the longest run of every size."""
    longest = {(curve.corpus, curve.params): curve for curve in
               sorted(found.curves, key=lambda curve: curve.tokens[-1])}  # fmt: skip
    shown = [Curve(corpus=c.corpus, params=c.params, tokens=c.tokens, train_nats=c.loss_nats)
             for c in longest.values()]  # fmt: skip
    titles = {corpus: short_name(found, corpus) for corpus in found.corpora}
    steps = (
        (curve.corpus, curve.params, tokens, loss)
        for curve in longest.values()
        for tokens, loss in zip(curve.tokens.tolist(), curve.loss_nats.tolist(), strict=True)
    )
    return Drawing(
        name="curves", title="Training curves",
        caption="The longest run of every size. ln 32001 = 10.37 is where an untrained model stands.",
        alt="Five panels of training loss against tokens, one line a size.",
        draw=partial(training_curves, shown, corpora=found.corpora, titles=titles),
        numbers=columns_of(("corpus", "params", "tokens", "train_nats"), steps),
    )  # fmt: skip


def areas(found: GzipAnalysis) -> Drawing:
    """Return learnability: the mean training loss of a run against its size, grammar by grammar, longest runs."""
    longest = max(curve.tokens[-1] for curve in found.curves)
    series = {}
    for corpus in found.corpora:
        own = [c for c in found.curves if c.corpus == corpus and c.tokens[-1] > 0.9 * longest]
        own.sort(key=lambda curve: curve.params)
        series[short_name(found, corpus)] = Series(
            x=np.array([c.params for c in own]), y=np.array([found.areas[c.run] for c in own]), points=True
        )
    panel = SeriesPanel(title="9.5M tokens", xlabel="parameters N", ylabel="mean training loss, nats per token", x="si",
                        y="linear", series=series)  # fmt: skip
    return series_drawing(
        [panel], name="areas", title="Learnability: the area under the training curve",
        caption="The area over tokens divided by them: what a run paid on average. The question is the paper's own.",
        alt="Mean training loss against model size for five grammars.",
    )  # fmt: skip


def pilot(tables: dict[str, Columns]) -> Drawing:
    """Return the 125 pilot runs by epoch: validation loss of each grammar's and size's largest corpus."""
    table = tables["pilot_runs_125_march2024"]
    panels = []
    for ratio in np.unique(table["gzip_median"]):
        own = (table["gzip_median"] == ratio) & (
            table["tokens"] == table["tokens"][table["gzip_median"] == ratio].max()
        )
        series = {}
        for params in np.unique(table["params"][own]):
            rows = np.flatnonzero(own & (table["params"] == params))
            rows = rows[np.argsort(table["epoch"][rows])]
            series[f"{si(float(params), 2)} parameters"] = Series(
                x=table["epoch"][rows], y=np.log(table["valid_perplexity"][rows]), points=True
            )
        panels.append(SeriesPanel(title=f"gzip {fixed(float(ratio), 2)}", xlabel="epoch",
                                  ylabel="validation loss, nats per token", x="linear", y="linear",
                                  series=series))  # fmt: skip
    return series_drawing(
        panels, name="pilot", title="The pilot runs by epoch",
        caption="Validation loss of the largest pilot corpus of each grammar over ten epochs at a constant rate: most "
        "small models are still falling at the tenth.",
        alt="One panel a grammar: validation loss against epoch for five sizes.",
    )  # fmt: skip
