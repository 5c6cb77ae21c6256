"""The tables of the comparison of predictors: every measure, and every left-out corpus."""

from collections.abc import Iterable
from functools import partial
from operator import attrgetter

from isoloss.core.numbers import MISSING, plain
from isoloss.data_dependence.predictor_comparison import PredictorComparison, PredictorResult
from isoloss.report.blocks import Column, Row, Table, estimate_cell, number_cell, table_row
from isoloss.report.data import ReportData
from isoloss.report.predictor_picture import compared

DIGITS = partial(plain, trim=False)
ONE_LAW, ONE_RUN = "one law for all", "one run"

COLUMNS = (
    Column(title="predicted by", numeric=False),
    Column(title="error", unit="% of loss", about="root mean square of ln L − ln L̂ on a left-out source, their mean"),
    Column(title="less one law's", unit="points", about="the paired difference, with its t interval over sources"),
    Column(title="less one run's", unit="points", about="the paired difference to the law moved by the cheapest run"),
    Column(title="p", about="one-sided permutation test: the measure permuted over the sources"),
    Column(title="corrected", unit="p", about="step-down maxT over all measures compared"),
    Column(title="error", unit="of ln(D*/N*)", about="absolute, mean over left-out sources that have an optimum"),
    Column(title="corrected", unit="p, balance", about="the same test of the error of ln(D*/N*)"),
    Column(title="follow it", numeric=False, about="coefficients that most folds let follow the measure"),
)


def predictor_tables(data: ReportData) -> list[Table]:
    """Return, for each comparison, the table of its measures."""
    return [_measures(comparison, number) for number, comparison in enumerate(data.predictor_comparisons)]


def corpus_tables(data: ReportData) -> list[Table]:
    """Return, for each comparison, the errors on every left-out corpus."""
    return [_corpora(comparison, number) for number, comparison in enumerate(data.predictor_comparisons)]


def _name(comparison: PredictorComparison, number: int) -> str:
    return f"{comparison.kind or 'comparison'}-{number}"


def _measures(comparison: PredictorComparison, number: int) -> Table:
    first = comparison.measures[0]
    rows = [*map(_row, sorted(comparison.measures, key=lambda c: c.loss.heldout)), *_rivals(first)]
    return Table(
        name=f"predictors-{_name(comparison, number)}", columns=COLUMNS, rows=tuple(rows),
        caption=f"{compared(comparison)}: which measure predicts a source that was never fitted?",
        note=" ".join(comparison.sentences()),
    )  # fmt: skip


def _row(found: PredictorResult) -> Row:
    loss, balance = found.loss, found.balance
    return table_row(
        found.measure,
        number_cell(100 * loss.heldout, DIGITS),
        estimate_cell(loss.difference.scaled(100)),
        estimate_cell(loss.against["proxy"].scaled(100)),
        number_cell(loss.p_value, plain),
        number_cell(loss.p_adjusted, plain),
        number_cell(None if balance is None else balance.heldout, DIGITS),
        number_cell(None if balance is None else balance.p_adjusted, plain),
        _following(found),
    )


def _following(found: PredictorResult) -> str:
    """Return the coefficients that most folds let follow the measure."""
    followed = [name for name, folds in found.forms.items() if folds["shared"] * 2 < sum(folds.values())]
    return ", ".join(followed) or "none"


def _rivals(first: PredictorResult) -> Iterable[Row]:
    for name, pick in ((ONE_LAW, attrgetter("pooled")), (ONE_RUN, attrgetter("proxy"))):
        balance = None if first.balance is None else pick(first.balance)
        errors, missing = number_cell(100 * pick(first.loss), DIGITS), (MISSING, MISSING)
        yield table_row(name, errors, *missing, *missing, number_cell(balance, DIGITS), *missing)


def _corpora(comparison: PredictorComparison, number: int) -> Table:
    source_of = {corpus: source for source, own in comparison.sources.items() for corpus in own}
    first = comparison.measures[0]
    columns = (
        Column(title="left out", numeric=False),
        Column(title="with", numeric=False, about="the source whose corpora are left out together"),
        *(Column(title=c.measure, unit="% of loss") for c in comparison.measures),
        Column(title=ONE_LAW, unit="% of loss"), Column(title=ONE_RUN, unit="% of loss"),
    )  # fmt: skip
    rows = [
        table_row(
            corpus,
            source_of[corpus],
            *(number_cell(100 * c.corpora[corpus][0], DIGITS) for c in comparison.measures),
            number_cell(100 * first.corpora[corpus][1], DIGITS),
            number_cell(100 * first.proxies[corpus], DIGITS),
        )
        for corpus in first.corpora
    ]
    return Table(name=f"left-out-{_name(comparison, number)}", columns=columns, rows=tuple(rows),
                 caption=f"{compared(comparison)}: the error on every left-out corpus.")  # fmt: skip
