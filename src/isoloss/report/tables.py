"""The tables of a report, each from the data alone."""

import math
from collections.abc import Sequence
from functools import partial

from isoloss.core.errors import identified
from isoloss.core.estimate import Estimate
from isoloss.core.numbers import MISSING, duration, fixed, plain, power_of_ten, si
from isoloss.data_dependence.balance import measured_as
from isoloss.diagnostics.backtest import NEAREST
from isoloss.fitting.checks import FLAT_CONDITION
from isoloss.fitting.fitted import FittedLaw
from isoloss.optima.best_size import BestSize
from isoloss.report.blocks import Cell, Column, Row, Table, estimate_cell, number_cell, table_row
from isoloss.report.data import CorpusSummary, ReportData, RunRow, by_alone
from isoloss.report.figures.marks import anchor
from isoloss.report.refusals import misfit
from isoloss.report.splits import best_split
from isoloss.runs.evaluation import bits_per_byte

SPLITS_ALONGSIDE = "best splits are by several forms of the loss"
TWO, THREE, FOUR = (partial(fixed, decimals=decimals) for decimals in (2, 3, 4))
CORPUS = Column(title="corpus", numeric=False)


def key_table(data: ReportData) -> Table:
    """Return one row a corpus, easiest first: complexity, law, floor and the best balance at the common budget."""
    budget = power_of_ten(data.budget_flops)
    columns = (
        CORPUS,
        Column(title=data.measure, about="; ".join(filter(None, (measured_as(data.measure), "higher is harder")))),
        Column(title="E", unit="nats/token", about="the law's loss at infinite size and data"),
        Column(title="floor", unit="nats/token", about="the exact lowest possible loss, known for generated corpora"),
        Column(title="α", about="exponent of parameters in the law"),
        Column(title="β", about="exponent of data in the law"),
        Column(title="a", about=f"exponent of the best size, N* ∝ C^a, {by_alone(data.law_name)}"),
        Column(title="D*/N*", unit=f"at {budget}", about="the best number of training tokens per parameter"),
        Column(title="ln(D*/N*)", unit=f"at {budget}", about="its logarithm"),
        Column(title="runs", about="runs with a loss, and how many of them were flagged"),
    )
    return Table(
        name="key", columns=columns, rows=tuple(_key_row(data, corpus) for corpus in by_complexity(data)),
        caption=f"The study in one table. Brackets are 95 % intervals. E, α, β and a are those of {data.law_name}. "
        f"Best splits are those of {budget} FLOPs, {data.forms}.",
    )  # fmt: skip


def by_complexity(data: ReportData) -> list[CorpusSummary]:
    """Return the corpora, real text first, each kind from easy to hard to compress."""

    def place(corpus: CorpusSummary) -> tuple[bool, float]:
        measure = corpus.measures.get(data.measure)
        return corpus.kind != "text", measure.value if measure else math.inf

    return sorted(data.corpora, key=place)


def _key_row(data: ReportData, corpus: CorpusSummary) -> Row:
    law = data.laws.get(corpus.name)
    ratio = best_split(data, corpus.name).ratio
    own = [row for row in data.runs if row.corpus == corpus.name and row.loss_nats is not None]
    flagged = sum(bool(row.flags) for row in own)
    return table_row(
        Cell(text=corpus.name, detail=KIND_NAME[corpus.kind]),
        estimate_cell(data.complexity(corpus.name)),
        estimate_cell(_param(law, "E")),
        estimate_cell(corpus.floor),
        estimate_cell(_param(law, "alpha")),
        estimate_cell(_param(law, "beta")),
        estimate_cell(exponent(law)),
        estimate_cell(ratio, style="plain"),
        estimate_cell(ratio and ratio.logarithm()),
        Cell(text=str(len(own)), detail=f"{flagged} flagged" if flagged else "", sort=len(own)),
    )


KIND_NAME = {"text": "real text", "generated": "generated"}


def _param(law: FittedLaw | None, name: str) -> Estimate | None:
    return law.params.get(name) if law else None


def exponent(law: FittedLaw | None) -> Estimate | None:
    """Return the law's a, or None where it has no interior optimum."""
    return identified(law.exponent_a) if law else None


def fit_table(data: ReportData) -> Table:
    """Return one row a law: how well it fits and the proof that its optimum was reached."""
    columns = (
        CORPUS, Column(title="A"), Column(title="B"),
        Column(title="error", unit="% of ln loss", about="root mean square of ln L − ln L̂ over the rows used"),
        Column(title="rows", unit="used"), Column(title="left out"),
        Column(title="starts", unit="agreeing", about="starting points that ended within 1e-6 of the best objective"),
        Column(title="gradient", about="largest cosine between residual influence and a parameter's direction"),
        Column(
            title="condition",
            about=f"condition number of the scaled Jacobian: above {FLAT_CONDITION:.0f} parameters trade off",
        ),
        Column(title="at a bound", numeric=False),
    )  # fmt: skip
    return Table(
        name="fits", columns=columns,
        rows=tuple(_fit_row(data, name, law) for name, law in data.all_laws),
        caption="How each law was fitted, and whether its optimum was reached. Agreeing starts show that the "
        "optimum was found, not that the law is right: a law that misses its runs is rejected even if all "
        "starts agree.",
    )  # fmt: skip


def _fit_row(data: ReportData, name: str, law: FittedLaw) -> Row:
    proof = law.convergence
    refused = misfit(data, law.group, law) is not None
    agreeing = f"{proof.starts_agreeing} of {proof.starts}"
    return table_row(
        Cell(text=name, detail=law.law),
        estimate_cell(law.params.get("A"), style="plain"),
        estimate_cell(law.params.get("B"), style="plain"),
        number_cell(100 * law.rmse, TWO),
        number_cell(law.rows_used),
        number_cell(len(law.excluded)),
        Cell(text="refused" if refused else agreeing, detail="misses the runs" if refused else "",
             sort=-1 if refused else proof.starts_agreeing),
        number_cell(proof.gradient_norm, power_of_ten),
        number_cell(proof.condition_number, lambda x: plain(x) if math.isfinite(x) else "∞"),
        ", ".join(proof.active_bounds) or "no",
    )  # fmt: skip


def unfiltered_table(data: ReportData) -> Table:
    """Return each law and best split without and with the flagged runs: whether the flags decide the answer."""
    columns = (
        CORPUS, Column(title="rows", unit="without flagged"), Column(title="rows", unit="with"),
        Column(title="a", unit="without flagged"), Column(title="a", unit="with"),
        Column(title="ln(D*/N*)", unit="without flagged"), Column(title="ln(D*/N*)", unit="with"),
        Column(title="error", unit="%, without"), Column(title="error", unit="%, with"),
    )  # fmt: skip
    names = [corpus.name for corpus in by_complexity(data) if corpus.name in {*data.laws, *data.laws_unfiltered}]
    rows = [_unfiltered_row(data, name) for name in names]
    return Table(name="unfiltered", columns=columns, rows=tuple(rows),
                 caption="The fits repeated with the flagged runs. If the two disagree, the result depends on the "
                 f"flags. a and the error are those of {data.law_name}, {SPLITS_ALONGSIDE}.")  # fmt: skip


def _unfiltered_row(data: ReportData, name: str) -> Row:
    pair = (data.laws.get(name), data.laws_unfiltered.get(name))
    rows = [number_cell(law.rows_used if law else None) for law in pair]
    exponents = [estimate_cell(exponent(law)) for law in pair]
    ratios = [estimate_cell(_log_ratio(optima.get(name))) for optima in (data.common, data.optima_unfiltered)]
    errors = [number_cell(100 * law.rmse if law else None, TWO) for law in pair]
    return table_row(name, *rows, *exponents, *ratios, *errors)


def _log_ratio(one: BestSize | None) -> Estimate | None:
    return None if one is None else one.log_ratio


def variants_table(data: ReportData) -> Table:
    """Return each corpus's a and best split from the grid at its own rate and at multiples of it."""
    factors = sorted({1.0, *data.rate_arms})
    columns = (
        CORPUS,
        *(Column(title="a", unit=f"rate × {plain(factor)}") for factor in factors),
        *(Column(title="ln(D*/N*)", unit=f"rate × {plain(factor)}") for factor in factors),
        Column(
            title="Δa", unit="least and most", about="how far a moves from its value at the study's own learning rate"
        ),
        Column(title="Δ ln(D*/N*)", unit="least and most", about="how far the balance moves"),
    )
    rows = [_variant_row(data, corpus.name, factors) for corpus in by_complexity(data)]
    return Table(
        name="variants", columns=columns, rows=tuple(rows),
        caption="The same grid trained at other peak learning rates. If a or the balance moves by more than its "
        f"interval, the answer depends on the learning rate. a is that of {data.law_name}, {SPLITS_ALONGSIDE}.",
    )  # fmt: skip


def _variant_row(data: ReportData, name: str, factors: Sequence[float]) -> Row:
    laws = {1.0: data.laws.get(name), **{factor: laws.get(name) for factor, laws in data.rate_arms.items()}}
    exponents = [exponent(laws[factor]) for factor in factors]
    optima = {**data.rate_optima, 1.0: data.common}
    ratios = [_log_ratio(optima.get(factor, {}).get(name)) for factor in factors]
    own = factors.index(1.0)
    return table_row(
        name, *map(estimate_cell, exponents), *map(estimate_cell, ratios), _range_cell(exponents, own),
        _range_cell(ratios, own),
    )  # fmt: skip


def _range_cell(estimates: Sequence[Estimate | None], own: int) -> Cell:
    """Return the least and the most by which the others differ from the estimate at `own`."""
    base = estimates[own]
    moved = [e.value - base.value for i, e in enumerate(estimates) if base is not None and e is not None and i != own]
    if not moved:
        return Cell(text=MISSING)
    return Cell(text=f"{fixed(min(moved), 2)}, {fixed(max(moved), 2)}", sort=max(map(abs, moved)))


def replicates_table(data: ReportData) -> Table:
    """Return the noise between seeds of each corpus: what the runs of a trunk share, and what each has for itself."""
    columns = (
        CORPUS, Column(title="sizes", unit="with replicates"), Column(title="trunks"),
        Column(title="trunk noise", unit="% of the loss", about="standard deviation that runs of one trunk share"),
        Column(title="branch noise", unit="% of the loss", about="standard deviation of each single run"),
        Column(title="law's error", unit="% of ln loss", about="root mean square around the law: noise and misfit"),
    )  # fmt: skip
    rows = [
        table_row(
            name, number_cell(noise.sizes), number_cell(noise.trunks),
            estimate_cell(noise.trunk_sd.scaled(100), style="plain"),
            estimate_cell(noise.branch_sd.scaled(100), style="plain"),
            number_cell(100 * data.laws[name].rmse if name in data.laws else None, TWO),
        )
        for name, noise in data.replicates.items()
    ]  # fmt: skip
    return Table(
        name="replicates", columns=columns, rows=tuple(rows),
        caption="Noise between seeds. All sizes of a seed share the data order, and all runs share the held-out "
        "set. If the law's error is much larger than both, seeds cannot explain it.",
    )  # fmt: skip


def corpora_table(data: ReportData) -> Table:
    """Return one row a corpus: where it comes from and how large and complex it is."""
    measures = list(dict.fromkeys(name for c in data.corpora for name in [*c.measures, *c.unidentified]))
    columns = (
        CORPUS, Column(title="source", numeric=False), Column(title="tokens", unit="training"),
        Column(title="tokens", unit="held out"), Column(title="vocabulary"),
        Column(title="bytes", unit="per token"), Column(title="unigram", unit="nats/token"),
        *(Column(title=name) for name in measures),
    )  # fmt: skip
    rows = [
        table_row(
            Cell(text=corpus.name, detail=KIND_NAME[corpus.kind]),
            corpus.source,
            number_cell(corpus.tokens, si),
            number_cell(corpus.heldout_tokens, si),
            number_cell(corpus.vocab_size),
            number_cell(corpus.bytes_per_token, TWO),
            number_cell(corpus.unigram_nats, THREE),
            *(_measure_cell(corpus, name) for name in measures),
        )
        for corpus in by_complexity(data)
    ]
    return Table(name="corpora", columns=columns, rows=tuple(rows),
                 caption="Where each corpus comes from, how large it is, and its measures.")  # fmt: skip


def _measure_cell(corpus: CorpusSummary, name: str) -> Cell:
    return Cell(text="not identified") if name in corpus.unidentified else estimate_cell(corpus.measures.get(name))


def exclusions_table(data: ReportData) -> Table:
    """Return every row that a fit left out, with the reason."""
    columns = (CORPUS, Column(title="row"), Column(title="run", numeric=False), Column(title="reason", numeric=False))
    rows = [
        table_row(name, number_cell(e.row), e.run, e.reason) for name, law in data.laws.items() for e in law.excluded
    ]
    return Table(name="exclusions", columns=columns, rows=tuple(rows), caption="Rows left out of the fits, and why.")


def runs_table(data: ReportData) -> Table:
    """Return every run, failed ones included; points of the figures link to its rows.

    Excess and bits per byte are columns only where some corpus has a floor, or known bytes per token.
    """
    corpora = {corpus.name: corpus for corpus in data.corpora}
    parts = [_run_columns(row, corpora[row.corpus]) for row in data.runs]
    unknown = {column for column in OPTIONAL if all(cells[column].text == MISSING for cells in parts)}
    columns = [column for column in RUN_COLUMNS if column not in unknown]
    rows = [
        table_row(
            *(cells[column] for column in columns),
            anchor=anchor(row.run),
            tip=run_tip(row),
            marked=bool(row.flags) or row.status != "finished",
        )
        for row, cells in zip(data.runs, parts, strict=True)
    ]
    return Table(name="runs", columns=tuple(columns), rows=tuple(rows), searchable=True,
                 caption="All runs. Click a heading to sort; points in the figures lead here.")  # fmt: skip


EXCESS = Column(title="excess", unit="nats", about="loss above the exact floor, in nats per token")
EXCESS_ERROR = Column(title="± s.e.", unit="paired", about="standard error of the excess, over the same documents")
BITS = Column(title="bits", unit="per byte", about="loss in bits per byte of text, comparable between tokenizers")
OPTIONAL = (EXCESS, EXCESS_ERROR, BITS)
RUN_COLUMNS = (
    CORPUS, Column(title="N", unit="parameters"), Column(title="D", unit="tokens"), Column(title="C", unit="FLOPs"),
    Column(title="loss", unit="nats/token"), Column(title="± s.e.", about="standard error over held-out documents"),
    EXCESS, EXCESS_ERROR, BITS, Column(title="shape", unit="width, depth, heads"), Column(title="peak", unit="rate"),
    Column(title="batch", unit="tokens a step"), Column(title="time", unit="wall"),
    Column(title="status", numeric=False),
)  # fmt: skip


def _run_columns(row: RunRow, corpus: CorpusSummary) -> dict[Column, Cell]:
    cells = (
        Cell(text=row.corpus),
        number_cell(row.params, si),
        number_cell(row.tokens, si),
        number_cell(row.flops, partial(power_of_ten, digits=3)),
        number_cell(row.loss_nats, FOUR),
        number_cell(row.stderr, FOUR),
        number_cell(row.excess_nats, FOUR),
        number_cell(row.excess_stderr, FOUR),
        number_cell(bits_per_byte(row.loss_nats, corpus.bytes_per_token), THREE),
        Cell(text=f"{row.width}, {row.depth}, {row.heads}", sort=row.width),
        number_cell(row.peak_lr, plain),
        number_cell(row.batch_tokens, si),
        number_cell(row.wall_seconds, duration),
        Cell(text=", ".join((row.status, *row.flags))),
    )
    return dict(zip(RUN_COLUMNS, cells, strict=True))


def run_tip(row: RunRow) -> str:
    """Return what a run's point says when it is pointed at."""
    loss = f"loss {fixed(row.loss_nats, 3)}" if row.loss_nats is not None else row.status
    error = f" ± {fixed(row.stderr, 3)}" if row.stderr is not None else ""
    flags = f" · {', '.join(row.flags)}" if row.flags else ""
    return f"{row.corpus} · N {si(row.params)} · D {si(row.tokens)} · {loss}{error}{flags}"


QUANTITIES = {"E": "E", "A": "A", "B": "B", "alpha": "α", "beta": "β", "exponent_a": "a", "log_ratio": "ln(D*/N*)"}


def coverage_table(data: ReportData) -> Table:
    """Return how often simulated intervals on each corpus's very grid held the truth."""
    quantities = [q for q in QUANTITIES if any(q in coverage.shares for coverage in data.coverage.values())]
    columns = (CORPUS, *(Column(title=QUANTITIES[q], unit="% held") for q in quantities), Column(title="simulations"))
    rows = [
        table_row(
            name,
            *(estimate_cell(s and s.scaled(100), style="plain") for s in map(coverage.shares.get, quantities)),
            number_cell(coverage.simulations),
        )
        for name, coverage in data.coverage.items()
    ]  # fmt: skip
    return Table(
        name="coverage", columns=columns, rows=tuple(rows),
        caption="How often the intervals would contain the truth, simulated on these grids. The target is 95 %.",
    )  # fmt: skip


def backtest_table(data: ReportData, *, every: bool = False) -> Table:
    """Return how well predictors that were fitted to a part of the runs predicted the rest; the best of a corpus first.

    These are the study's own law, the best and the nearest run, or `every` one.
    """
    percent = "% of ln loss"
    columns = (
        CORPUS,
        Column(title="predictor", numeric=False),
        Column(title="runs", unit="held out"),
        Column(title="compute", unit="times", about="the largest FLOPs held out over the largest that the fit saw"),
        Column(title="error", unit=percent, about="root mean square of ln L − ln L̂ over the runs held out"),
        Column(title="bias", unit=percent, about="mean of ln L − ln L̂: above zero, runs ended worse than predicted"),
        Column(title="half width", unit=percent, about="of the 95 % prediction interval of one run, the median"),
        Column(title="held", unit="% of runs", about="runs inside their 95 % prediction intervals"),
    )
    rows = [
        table_row(
            test.group, score.law, number_cell(score.runs),
            number_cell(max(part.beyond for part in test.parts), plain),
            *(number_cell(None if share is None else 100 * share, TWO)
              for share in (score.rmse, score.bias, score.half_width)),
            number_cell(None if score.held is None else 100 * score.held, plain),
        )
        for test in data.backtest
        for place, score in enumerate(test.scores)
        if every or place == 0 or score.law in (NEAREST, *(law.law for law in data.laws.values()))
    ]  # fmt: skip
    sentence = (
        "Every predictor, tested on the largest budgets."
        if every
        else "Would the laws have predicted correctly? Each was fitted without the largest budgets and then "
        "predicted them. Any law should be better than the nearest run in ln N and ln D."
    )
    return Table(
        name="backtest-all" if every else "backtest", columns=columns, rows=tuple(rows), caption=sentence
    )  # fmt: skip
