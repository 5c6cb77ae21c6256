"""The paper's tables of results and of architectures as Markdown and LaTeX, and the repaired analysis side by side."""

from collections.abc import Sequence

from isoloss.core.numbers import fixed, plain, si
from isoloss.published.porian.analysis import Analysed, PorianAnalysis
from isoloss.published.porian.data import DATASETS
from isoloss.published.porian.rows import porian_counts, porian_shapes, ratio_range
from isoloss.report.blocks import Cell, Column, Row, Table, estimate_cell, number_cell, table_row
from isoloss.report.page import markdown_text

_LATEX = str.maketrans({"%": r"\%", "&": r"\&", "_": r"\_", "#": r"\#", "−": "-", "ρ": r"$\rho$", "²": "$^2$"})


def results_table(found: PorianAnalysis) -> Table:
    """Return the paper's table 1: exponent with interval, R² and range of ρ* of every configuration."""
    columns = (
        Column(title="experiment", numeric=False), Column(title="data set", numeric=False), Column(title="a"),
        Column(title="R²", unit="of a"), Column(title="ρ*", unit="range"), Column(title="N*", unit="5.88e23 FLOPs"),
    )  # fmt: skip
    return Table(
        name="results", caption="Every configuration: exponent of N*, its fit, and the range of tokens per parameter "
        "over the budgets.", columns=columns, rows=tuple(_result(one) for one in found.configs.values()),
    )  # fmt: skip


def _result(one: Analysed) -> Row:
    a, (low, high) = one.laws.params, ratio_range(one)
    label = one.config.label + (" (attention counted)" if "_att_" in one.config.key else "")
    return table_row(
        label, DATASETS[one.config.dataset],
        Cell(text=fixed(a.slope, 3), detail=f"({fixed(a.exponent.low or 0, 2)}, {fixed(a.exponent.high or 0, 2)})",
             sort=a.slope),
        number_cell(a.r2, lambda value: fixed(value, 3)),
        Cell(text=f"({low}, {high})", sort=low),
        number_cell(a.at(5.88e23).value, si),
    )  # fmt: skip


def architecture_table() -> Table:
    """Return the paper's table of architectures with three counts, their distance from N in percent."""
    columns = (
        Column(title="depth"), Column(title="width"), Column(title="N", unit="millions"),
        Column(title="N exact", unit="with norms"), Column(title="with attention"), Column(title="without head"),
    )  # fmt: skip
    rows = []
    for shape in porian_shapes():
        counts = porian_counts(shape.width, shape.depth)
        others = (counts["N exact"], counts["N with attention"], counts["N without head"])
        rows.append(table_row(
            number_cell(shape.depth), number_cell(shape.width),
            number_cell(counts["N"] / 1e6, lambda value: plain(value, 4, trim=False)),
            *(Cell(text=plain(n / 1e6, 4, trim=False), detail=f"({100 * (n / counts['N'] - 1):+.1f} %)", sort=float(n))
              for n in others),
        ))  # fmt: skip
    return Table(name="architectures", columns=columns, rows=tuple(rows),
                 caption="The 16 architectures and what each way of counting makes of them.")  # fmt: skip


def repaired_table(found: PorianAnalysis) -> Table:
    """Return every configuration as released and with each defect repaired, side by side."""
    columns = (
        Column(title="configuration", numeric=False), Column(title="a", unit="as released"),
        Column(title="a", unit="noise as meant"), Column(title="a", unit="no floor"), Column(title="a", unit="both"),
        Column(title="E", unit="unweighted"), Column(title="E", unit="weighted rightly"),
        Column(title="weights", unit="% set by the floor"),
    )  # fmt: skip
    rows = []
    for key, one in found.configs.items():
        laws = (one.laws, one.repaired.meant_noise, one.repaired.no_floor, one.repaired.both)
        weighted = one.repaired.loss.E if one.repaired.loss else None
        rows.append(table_row(
            key, *(estimate_cell(law.params.exponent) for law in laws),
            number_cell(one.loss.E, lambda value: fixed(value, 3)),
            number_cell(weighted, lambda value: fixed(value, 3)),
            number_cell(100 * one.repaired.floor_share, lambda value: fixed(value, 0)),
        ))  # fmt: skip
    return Table(
        name="repaired", columns=columns, rows=tuple(rows),
        caption="As released next to repaired: noise that rises with the loss, the spread of the draws alone as "
        "weight, both, and the loss law weighted by 1/σ² instead of σ = 1/σ².",
    )  # fmt: skip


def repair_sentence(found: PorianAnalysis) -> str:
    """Return what the repairs change, in a sentence."""
    pairs = [(one.laws.params, one.repaired.both.params) for one in found.configs.values()]
    moves = sorted(abs(now.slope - was.slope) for was, now in pairs)
    wider = sorted((now.exponent.width or 0) / (was.exponent.width or 1) for was, now in pairs)
    tuned = found.of("rw", 5)
    both = tuned.repaired.both.params.exponent
    return (
        f"Repaired, exponents move by {fixed(moves[len(moves) // 2], 3)} at the median and {fixed(moves[-1], 3)} at "
        f"most, intervals are {plain(wider[len(wider) // 2], 2)} times as wide at the median, and the order of the "
        f"five steps stays: the conclusion stands, with the tuned exponent on RefinedWeb at {fixed(both.value, 3)} "
        f"[{fixed(both.low or 0, 3)}, {fixed(both.high or 0, 3)}] instead of {fixed(tuned.laws.params.slope, 3)}."
    )


def markdown_table(table: Table) -> str:
    """Return a table as Markdown."""
    lines = [_markdown_row([_heading(column) for column in table.columns])]
    lines.append(_markdown_row(["---:" if column.numeric else ":---" for column in table.columns]))
    lines += [_markdown_row([markdown_text(_text(cell)) for cell in row.cells]) for row in table.rows]
    return f"{table.caption}\n\n" + "\n".join(lines) + "\n"


def latex_table(table: Table) -> str:
    """Return a table as LaTeX: `tabular` with booktabs' rules."""
    form = "".join("r" if column.numeric else "l" for column in table.columns)
    lines = [
        rf"\begin{{tabular}}{{{form}}}",
        r"\toprule",
        _latex_row([_heading(c) for c in table.columns]),
        r"\midrule",
    ]
    lines += [_latex_row([_text(cell) for cell in row.cells]) for row in table.rows]
    return "\n".join([f"% {table.caption}", *lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _heading(column: Column) -> str:
    return f"{column.title} ({column.unit})" if column.unit else column.title


def _text(cell: Cell) -> str:
    return f"{cell.text} {cell.detail}" if cell.detail else cell.text


def _markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join(cell.translate(_LATEX) for cell in cells) + r" \\"
