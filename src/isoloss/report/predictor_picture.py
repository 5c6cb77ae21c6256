"""The figure of the comparison of predictors with its words."""

import math
from collections.abc import Iterator, Mapping
from functools import partial

from isoloss.core.numbers import fixed, power_of_ten
from isoloss.data_dependence.predictor_comparison import Errors, PredictorComparison
from isoloss.report.blocks import Drawing
from isoloss.report.data import ReportData
from isoloss.report.figures.balance import KIND_TITLE
from isoloss.report.figures.predictors import Bar, Panel, predictor_forest

ONE_RUN = "one cheap run"


def predictor_picture(data: ReportData) -> Drawing | None:
    """Return the forest of error differences, or None where no predictors were compared."""
    panels = [panel for comparison in data.predictor_comparisons for panel in _panels(comparison)]
    if not panels:
        return None
    return Drawing(
        name="predictors",
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


def _panels(comparison: PredictorComparison) -> Iterator[Panel]:
    """Yield the panel of losses, in percent, and that of balances, where they are known."""
    title, losses = compared(comparison), {c.measure: c.loss for c in comparison.measures}
    yield Panel(
        title=f"{title}: losses", axis="error less one law's, % of loss", kind=comparison.kind, bars=_bars(losses, 100)
    )
    balances = {c.measure: c.balance for c in comparison.measures if c.balance is not None}
    if balances and not any(math.isnan(errors.difference.value) for errors in balances.values()):
        axis = f"error less one law's, at {power_of_ten(comparison.budget)} FLOPs"
        yield Panel(title=f"{title}: ln(D*/N*)", axis=axis, kind=comparison.kind, bars=_bars(balances, 1))


def _bars(measures: Mapping[str, Errors], unit: float) -> list[Bar]:
    """Return the measures, the best first, and the rival to beat; differences are times `unit`."""
    ordered = sorted(measures.items(), key=lambda pair: pair[1].difference.value)
    bars = [Bar(name=name, difference=errors.difference.scaled(unit), shown=errors.shown) for name, errors in ordered]
    return [*bars, Bar(name=ONE_RUN, difference=ordered[0][1].proxy_difference.scaled(unit), shown=False)]


def compared(comparison: PredictorComparison) -> str:
    """Return what a comparison is of, as a title: corpora of a kind, or all."""
    return KIND_TITLE[comparison.kind] if comparison.kind else "All corpora"
