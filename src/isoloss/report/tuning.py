"""A sweep of rate × batch on the page: its answer, its tables and its picture."""

from functools import partial

from isoloss.core.numbers import MISSING, plain, si
from isoloss.report.blocks import Answer, Cell, Column, Drawing, Note, Row, Table, estimate_cell, number_cell, table_row
from isoloss.report.data import ReportData
from isoloss.report.figures.rates import best_rates, horizons_in_words
from isoloss.runs.rules import BATCHES, RATES
from isoloss.tuning.sweep import BatchOptimum, Edge, RateOptimum
from isoloss.tuning.tuning import PowerFit, Tuning

WORDS = {
    "one_trunk": "One trunk is enough for every token count.",
    "follow_horizon": "The learning rate must follow the horizon.",
    "not_decided": "It is undecided whether one learning rate is enough for both horizons.",
    "not_fitted": "The best learning rate is not fitted.",
}
PUBLISHED = {"porian": "Porian et al. 2024", "step_law": "Step Law (Li et al. 2025)"}
EDGES: dict[Edge, str] = {"lowest": "≤ ", "highest": "≥ "}


def tuning_answers(data: ReportData) -> list[Answer]:
    """Return one answer a corpus: whether one trunk may serve every token count there."""
    return [
        Answer(kind=data.kinds[name], label=name, words=WORDS[tuning.verdict], sentence=one, limits=two)
        for name, tuning in data.tuning.items()
        for one, two in [tuning.sentences()]
    ]


def rules_table(data: ReportData) -> Table:
    """Return the fitted power laws of each corpus, next to the published exponents."""
    columns = (
        Column(title="corpus", numeric=False),
        Column(title="batch", unit="tokens", about="the batch with the lowest average loss; rates are given for it"),
        Column(title="best rate", unit="at the middle", about="at the geometric middle of sizes and horizons"),
        Column(title="rate ∝ N^", about="exponent of parameters"),
        Column(title="rate ∝ D^", about="exponent of training tokens"),
        Column(title="rate ∝ B^", about="exponent of the batch, inside one size and horizon"),
        Column(title="best batch ∝ N^"), Column(title="best batch ∝ D^"),
        Column(
            title="cost of one rate", unit="% of the loss", about="the cost of one rate for both horizons, at either"
        ),
    )  # fmt: skip
    rows = [_fitted_row(name, tuning) for name, tuning in data.tuning.items()]
    return Table(
        name="rules", columns=columns, rows=(*rows, *map(_published_row, PUBLISHED)),
        caption="How the best rate and batch follow size and tokens, compared with what others found. Brackets are "
        "95 % intervals. The effect of tokens is estimated within sizes, the effect of parameters between sizes.",
    )  # fmt: skip


def _fitted_row(name: str, tuning: Tuning) -> Row:
    cost = tuning.cost
    return table_row(
        name,
        Cell(text=f"{tuning.reference_batch:,}", sort=tuning.reference_batch),
        estimate_cell(tuning.rate.level if tuning.rate else None, style="plain"),
        *_exponents(tuning.rate),
        estimate_cell(tuning.batch_exponent),
        *_exponents(tuning.batch),
        estimate_cell(cost and cost.scaled(100), style="plain"),
    )


def _exponents(fit: PowerFit | None) -> tuple[Cell, Cell]:
    if fit is None:
        return Cell(text="not fitted"), Cell(text="not fitted")
    return estimate_cell(fit.params_exponent), estimate_cell(fit.tokens_exponent)


def _published_row(name: str) -> Row:
    rate, batch = RATES[name], BATCHES[name]
    exponents = (rate.exponent, rate.tokens_exponent, None, batch.exponent, batch.tokens_exponent)
    cells = [Cell(text=MISSING if value is None else plain(value), sort=value) for value in exponents]
    return table_row(Cell(text=PUBLISHED[name], detail="published"), MISSING, MISSING, *cells, MISSING)


def optima_table(data: ReportData) -> Table:
    """Return the best rate at each batch and the best batch of every size and horizon."""
    batches = sorted({optimum.batch_tokens for tuning in data.tuning.values() for optimum in tuning.rates})
    columns = (
        Column(title="corpus", numeric=False), Column(title="N", unit="parameters"), Column(title="D", unit="tokens"),
        *(Column(title="best rate", unit=f"batch {batch:,}") for batch in batches),
        Column(title="best batch", unit="tokens"), Column(title="loss there", unit="nats/token"),
    )  # fmt: skip
    rows = [
        _optimum_row(name, tuning, batch, batches) for name, tuning in data.tuning.items() for batch in tuning.batches
    ]
    return Table(
        name="optima", columns=columns, rows=tuple(rows),
        caption="Where the loss of each size and horizon is least. Brackets hold the rates within 1 % of the least "
        "loss. ≤ and ≥ mark optima on the grid's edge: they are there or beyond, and are not used in fits.",
    )  # fmt: skip


def _optimum_row(name: str, tuning: Tuning, best: BatchOptimum, batches: list[int]) -> Row:
    own = {o.batch_tokens: o for o in tuning.rates if o.cell == best.cell}
    return table_row(
        name,
        number_cell(best.params, si),
        number_cell(best.tokens, si),
        *(_rate_cell(own.get(batch)) for batch in batches),
        _edge_cell(best.edge, f"{best.batch_tokens:,.0f}", best.batch_tokens),
        number_cell(best.loss_nats, "{:.4f}".format),
        marked=best.edge is not None or any(o.edge is not None for o in own.values()),
    )


def _rate_cell(optimum: RateOptimum | None) -> Cell:
    if optimum is None:
        return Cell(text=MISSING)
    digits = partial(plain, digits=2)
    cell = _edge_cell(optimum.edge, digits(optimum.peak_lr), optimum.peak_lr)
    if optimum.within is None:
        return cell
    low, high = map(digits, optimum.within)
    return Cell(text=cell.text, detail=f"[{low}, {high}]", sort=cell.sort)


def _edge_cell(edge: Edge | None, text: str, sort: float) -> Cell:
    return Cell(text=(EDGES[edge] if edge else "") + text, sort=sort)


def rates_picture(data: ReportData) -> Drawing:
    """Return the best rates against size at both horizons."""
    first = next(iter(data.tuning.values()))
    return Drawing(
        name="rates",
        title="The best peak rate against size, at both horizons",
        caption=f"A panel a corpus, horizons of {horizons_in_words(first)}. Large marks are best rates at the batch "
        "whose losses are least on average, bars the rates whose loss is within 1 % of the least; small marks are best "
        "rates at other batches. Lines are the fitted power law at each horizon. Hollow marks stand on the grid's "
        "edge and are not fitted.",
        alt=" ".join(tuning.sentences()[0] for tuning in data.tuning.values()),
        draw=partial(best_rates, data.tuning),
    )


def rule_notes(data: ReportData) -> tuple[Note, ...]:
    """Return what a study's [training] takes, corpus by corpus."""
    return tuple(
        Note(title=f"[training] for {name}", text="; ".join(tuning.training().splitlines()))
        for name, tuning in data.tuning.items()
        if tuning.training()
    )


def reason_notes(data: ReportData) -> tuple[Note, ...]:
    """Return what could not be fitted, and why."""
    return tuple(Note(title=name, text=reason) for name, tuning in data.tuning.items() for reason in tuning.reasons)
