"""The figure of the comparison of predictors with its words."""

import math
from functools import partial

from isoloss.core.numbers import fixed, power_of_ten
from isoloss.data_dependence.predictor_comparison import PredictorComparison
from isoloss.report.blocks import Drawing
from isoloss.report.data import ReportData
from isoloss.report.figures.balance import KIND_TITLE
from isoloss.report.figures.predictors import Bar, Panel, predictor_forest

ONE_RUN = "one cheap run"


def predictor_picture(data: ReportData) -> Drawing | None:
    """Return the forest of error differences, or None where no predictors were compared."""
    panels = [
        panel
        for comparison in data.predictor_comparisons
        for panel in (_losses(comparison), _balances(comparison))
        if panel
    ]
    if not panels:
        return None
    return Drawing(
        name="contest",
        title="How well a measure predicts a corpus that was never trained on",
        caption="Every source is left out in turn and predicted from a measure alone. Marks are the measure's error "
        "less that of one law for all, which knows nothing of the source: left of the line it knows something. Bars "
        "are 95 % intervals of the paired differences over sources; a mark is filled where the difference is shown, by "
        "a permutation test corrected for all measures and by its interval. The last row is the rival to beat: the "
        "same law after one run, the cheapest, of the corpus left out.",
        alt="Error less that of one law for all. "
        + "; ".join(f"{panel.title}: " + ", ".join(_said(bar) for bar in panel.bars) for panel in panels) + ".",
        draw=partial(predictor_forest, panels),
    )  # fmt: skip


def _said(bar: Bar) -> str:
    return f"{bar.name} {fixed(bar.difference.value, 2)}{' (shown)' if bar.shown else ''}"


def _losses(comparison: PredictorComparison) -> Panel:
    ordered = sorted(comparison.measures, key=lambda c: c.loss.difference.value)
    bars = [Bar(name=c.measure, difference=c.loss.difference.scaled(100), shown=c.loss.shown) for c in ordered]
    bars.append(Bar(name=ONE_RUN, difference=ordered[0].loss.proxy_difference.scaled(100), shown=False))
    return Panel(
        title=f"{compared(comparison)}: losses", axis="error less one law's, % of loss", kind=comparison.kind, bars=bars
    )


def _balances(comparison: PredictorComparison) -> Panel | None:
    known = [(c.measure, c.balance) for c in comparison.measures if c.balance is not None]
    if not known or any(math.isnan(errors.difference.value) for _, errors in known):
        return None
    ordered = sorted(known, key=lambda pair: pair[1].difference.value)
    bars = [Bar(name=name, difference=errors.difference, shown=errors.shown) for name, errors in ordered]
    bars.append(Bar(name=ONE_RUN, difference=ordered[0][1].proxy_difference, shown=False))
    return Panel(
        title=f"{compared(comparison)}: ln(D*/N*)",
        axis=f"error less one law's, at {power_of_ten(comparison.budget)} FLOPs",
        kind=comparison.kind, bars=bars,
    )  # fmt: skip


def compared(comparison: PredictorComparison) -> str:
    """Return what a comparison is of, as a title: corpora of a kind, or all."""
    return KIND_TITLE[comparison.kind] if comparison.kind else "All corpora"
