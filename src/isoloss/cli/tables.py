"""Tables for people, on standard output."""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from isoloss.cli.rows import plain_rows
from isoloss.core.errors import Unidentified

if TYPE_CHECKING:
    from rich.table import Table

    from isoloss.complexity.paths import MeasuredPath
    from isoloss.core.estimate import Estimate
    from isoloss.laws.fitted import FittedLaw
    from isoloss.study.check import Checked
    from isoloss.study.result import StudyResult

WIDE = 132  # columns for pipes, where no terminal says how wide it is
COLUMN_GAP = 3


def show_result(result: "StudyResult") -> None:
    """Print the study's table, the answer in sentences, and the path of the report."""
    console = _console()
    console.print(_corpora_table(result))
    if result.analysis is not None:
        for name, reason in result.analysis.no_law.items():
            console.print(f"no law for {name}: {reason}")
        for kept in result.analysis.holdout:
            console.print(
                f"{kept.runs} runs on {kept.corpus} kept from the fit: {kept.law} misses ln L by {kept.rmse:.2g} "
                "(root mean square)"
            )
        for verdict in result.analysis.balance:
            console.print()
            console.print(" ".join(verdict.sentences()))
            for comparison in result.analysis.comparison:
                if (comparison.kind, comparison.measure) == (verdict.kind, verdict.measure):
                    console.print(" ".join(comparison.sentences()))
    for record in result.failed:
        console.print(f"failed: {record.fingerprint}: {record.error}")
    if result.report is not None:
        console.print(f"\nreport: {result.report}", soft_wrap=True)


def _corpora_table(result: "StudyResult") -> "Table":
    budget = result.analysis.budget if result.analysis else None
    table = _table("corpus", "gzip", "E", "α", "β", "a", "ln(D*/N*)", "floor", "flagged")
    table.caption = "95 % intervals. E and floor in nats per token; a = β/(α+β), the exponent of N*(C)"
    if budget:
        table.caption += f"; ln(D*/N*) at {budget:.1e} FLOPs"
    for name, corpus in result.corpora.items():
        gzip = result.complexity.get(name, {}).get("gzip")
        law = result.analysis.laws.get(name) if result.analysis else None
        runs = sum(run.corpus == name for run in result.planned)
        table.add_row(
            name,
            interval(gzip.value, digits=3) if gzip else "–",
            *_law_cells(law, budget),
            interval(corpus.floor, digits=3) if corpus.floor else "–",
            f"{len(result.flagged(name))} of {runs}" if result.records else "–",
        )
    return table


def _law_cells(law: "FittedLaw | None", budget: float | None) -> list[str]:
    if law is None or budget is None:
        return ["–"] * 5
    found = [law.params.get(name) for name in ("E", "alpha", "beta")]
    cells = [interval(estimate, digits=2) if estimate else "–" for estimate in found]
    for derive in (law.exponent_a, lambda: law.log_ratio(budget)):
        try:
            cells.append(interval(derive(), digits=2))
        except Unidentified:
            cells.append("not identified")
    return cells


def interval(estimate: "Estimate", *, digits: int) -> str:
    """Return an estimate as text: value, and its interval where it has one."""
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.{digits}f}"
    return f"{estimate.value:.{digits}f}\n[{estimate.low:.{digits}f}, {estimate.high:.{digits}f}]"


def show_check(checked: "Checked") -> None:
    """Print what a study will do and cost."""
    console = _console()
    table = _table("corpus", "N (params)", "width × depth", "D (tokens)", "FLOPs", "peak rate", "run")
    for run in checked.runs:
        model = run.spec.model
        table.add_row(
            run.corpus,
            f"{run.counts.params(checked.study.grid.convention):,}",
            f"{model.width} × {model.depth}",
            f"{run.spec.train_tokens:,}",
            f"{run.flops:.2e}",
            f"{run.spec.optimiser.peak_lr:.2g}",
            run.spec.fingerprint,
        )
    console.print(table)
    console.print(
        f"{len(checked.runs)} runs on {len(checked.corpora)} corpora, {checked.trained_tokens:,} tokens to train "
        f"(shared trunks once), {checked.flops:.2e} FLOPs, about {_duration(checked.seconds_estimate)} "
        f"on {checked.workers} cores.\nThe study is valid; nothing was executed."
    )


def show_measured(measured: Sequence["MeasuredPath"]) -> None:
    """Print the measures of each path."""
    table = _table("corpus", "bytes", "tokens", "measure", "value", "mean", "std", "sequences")
    for corpus in measured:
        for number, (measure, found) in enumerate(corpus.measures.items()):
            first = [corpus.name, f"{corpus.bytes:,}", f"{corpus.tokens:,}"] if number == 0 else ["", "", ""]
            table.add_row(
                *first, measure, interval(found.value, digits=4), f"{found.mean:.4f}", f"{found.std:.4f}",
                f"{found.sequences:,}",
            )  # fmt: skip
    console = _console()
    console.print(table)
    for corpus in measured:
        if any(corpus.dropped.values()):
            left_out = ", ".join(f"{count:,} {reason}" for reason, count in corpus.dropped.items() if count)
            console.print(f"left out of {corpus.name}: {left_out}")


def show_rows(table: "Any") -> None:
    """Print an Arrow table: whole in a pipe; on a terminal as many of its first columns as fit, the others named."""
    from rich.cells import cell_len

    console = _console()
    names: list[str] = list(table.column_names)
    rows = [[_cell(value) for value in row.values()] for row in plain_rows(table)]
    widths = [COLUMN_GAP + max(map(cell_len, column)) for column in zip(names, *rows, strict=True)]
    ends = list(accumulate(widths))
    fitting = max(1, sum(end <= console.width for end in ends)) if console.is_terminal else len(names)
    shown = _table(*names[:fitting])
    for row in rows:
        shown.add_row(*row[:fitting])
    _console(at_least=ends[fitting - 1]).print(shown)
    if fitting < len(names):
        console.print(f"no room for {', '.join(names[fitting:])}: a wider terminal, --sql or --json shows them")


def show_pairs(content: Mapping[str, Any]) -> None:
    """Print names and values, one pair a line."""
    shown = _table("quantity", "value")
    for name, value in content.items():
        is_estimate = isinstance(value, dict) and value.get("low") is not None
        text = f"{value['value']:.4f} [{value['low']:.4f}, {value['high']:.4f}]" if is_estimate else _cell(value)
        shown.add_row(name.replace("_", " "), text)
    _console().print(shown)


def _cell(value: object) -> str:
    match value:
        case None:
            return "–"
        case float():
            return f"{value:.5g}"
        case list():
            return " ".join(map(str, value))
        case _:
            return str(value)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _table(*columns: str) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right", no_wrap=True)
    return table


def _console(*, at_least: int = WIDE) -> "Any":
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    return console if console.is_terminal else Console(highlight=False, markup=False, width=max(WIDE, at_least))
