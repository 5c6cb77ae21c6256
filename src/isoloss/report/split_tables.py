"""The tables of best splits: every budget of a study, and its common budget counted in other ways."""

from isoloss.core.numbers import power_of_ten
from isoloss.optima.best_size import BestSize
from isoloss.optima.without_head import WithoutHead
from isoloss.report.blocks import Column, Row, Table, estimate_cell, number_cell, table_row
from isoloss.report.data import ReportData
from isoloss.report.tables import CORPUS, by_complexity


def best_splits_table(data: ReportData) -> Table | None:
    """Return the best split of every budget, corpus by corpus; None where no budget lies inside the runs."""
    if not data.optima:
        return None
    columns = (
        CORPUS, Column(title="budget", unit="FLOPs"), Column(title="N*", unit="parameters"),
        Column(title="D*", unit=data.observations.data_unit), Column(title="D*/N*"),
        Column(title="loss", unit="nats/token"), Column(title="optimum", numeric=False),
    )  # fmt: skip
    rows = [_split_row(one) for corpus in by_complexity(data) for one in data.optima if one.corpus == corpus.name]
    return Table(
        name="optima", columns=columns, rows=tuple(rows),
        caption=f"What to train at each budget, {data.forms}. Brackets are 95 % intervals. Where the optimum is not "
        "inside the runs, no number is given.",
    )  # fmt: skip


def _split_row(one: BestSize) -> Row:
    return table_row(
        one.corpus,
        number_cell(one.flops, power_of_ten),
        estimate_cell(one.params, style="si"),
        estimate_cell(one.tokens, style="si"),
        estimate_cell(one.tokens_per_param, style="plain"),
        estimate_cell(one.loss),
        one.where,
    )


def counting_table(data: ReportData) -> Table | None:
    """Return the best split of the common budget by other ways of counting; None where none is known."""
    exact = {one.corpus: one for one in data.optima_exact}
    without = {one.corpus: one for one in data.without_head}
    if not exact and not without:
        return None
    budget, convention = power_of_ten(data.budget_flops), data.observations.params_convention.replace("_", " ")
    dearer = " or ".join(dict.fromkeys(power_of_ten(one.flops) for one in data.optima_exact))
    columns = (
        CORPUS,
        Column(title="D*/N*", unit="C = 6·N·D"),
        Column(title="D*/N*", unit="C in exact FLOPs"),
        Column(title="N*", unit=convention),
        Column(title="N*", unit="without the output head"),
        Column(title="D*/N*", unit="N without the output head"),
    )
    rows = [
        _counting_row(data.common[corpus.name], exact.get(corpus.name), without.get(corpus.name))
        for corpus in by_complexity(data)
        if corpus.name in data.common
    ]
    at = f" Exact FLOPs count every layer, attention too: their budget is {dearer}." if dearer else ""
    return Table(
        name="counting", columns=columns, rows=tuple(rows),
        caption=f"The best split of {budget} FLOPs, counted in other ways. Without the output head N is that of the "
        f"same model.{at}",
    )  # fmt: skip


def _counting_row(own: BestSize, exact: BestSize | None, without: WithoutHead | None) -> Row:
    return table_row(
        own.corpus,
        estimate_cell(own.tokens_per_param, style="plain"),
        estimate_cell(exact.tokens_per_param if exact else None, style="plain"),
        estimate_cell(own.params, style="si"),
        estimate_cell(without.params if without else None, style="si"),
        estimate_cell(without.tokens_per_param if without else None, style="plain"),
    )
