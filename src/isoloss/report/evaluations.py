"""Trained on × evaluated on: what the largest model of each corpus is worth on every other."""

from isoloss.core.numbers import MISSING, fixed, si
from isoloss.report.blocks import Cell, Column, Table, number_cell, table_row
from isoloss.report.data import ReportData
from isoloss.runs.evaluation import Evaluation, matrix


def evaluation_table(data: ReportData) -> Table:
    """Return the matrix of losses: a row a model, the largest and longest trained of its corpus; a column a corpus."""
    corpora, best = matrix(data.evaluations)
    columns = (
        Column(title="trained on", numeric=False), Column(title="N", unit="all weights"),
        Column(title="D", unit="tokens"), *(Column(title=f"on {name}", unit="nats/token") for name in corpora),
    )  # fmt: skip
    rows = []
    for origin, own in best.items():
        model = next(one for one in own if one is not None)
        size = Cell(text=si(model.counts.total), sort=model.counts.total)
        rows.append(table_row(origin, size, number_cell(model.train_tokens, si), *map(_cell, own)))
    return Table(
        name="evaluations", columns=columns, rows=tuple(rows),
        caption=f"Trained on (rows) × evaluated on (columns), of the {len(data.evaluations)} evaluations those of the "
        "largest model that was trained longest. Below: standard error over documents, and bits per byte where bytes "
        "are known. – where token ids mean something else to the model.",
    )  # fmt: skip


def _cell(one: Evaluation | None) -> Cell:
    if one is None:
        return Cell(text=MISSING)
    bits = "" if one.bits_per_byte is None else f"; {fixed(one.bits_per_byte, 3)} bits/byte"
    return Cell(text=fixed(one.loss.nats, 3), detail=f"± {fixed(one.loss.stderr, 3)}{bits}", sort=one.loss.nats)
