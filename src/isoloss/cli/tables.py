"""Tables for people, on standard output."""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from isoloss.cli.output import Lines
from isoloss.cli.output import console as _console
from isoloss.cli.output import table as _table
from isoloss.cli.rows import plain_rows
from isoloss.core.numbers import flops_text, in_brackets, percent
from isoloss.core.shown import shown

if TYPE_CHECKING:
    from pathlib import Path

    from rich.table import Table

    from isoloss.complexity.measure import Complexity
    from isoloss.complexity.paths import MeasuredPath
    from isoloss.complexity.search import FoundGrammar
    from isoloss.core.estimate import Estimate
    from isoloss.diagnostics.backtest import Backtest
    from isoloss.diagnostics.profile import Profile
    from isoloss.fitting.estimated import FrontierPoint
    from isoloss.fitting.prediction import Prediction
    from isoloss.published.reproduction import Reproduction
    from isoloss.runs.imported import Imported
    from isoloss.runs.spec import ModelSpec
    from isoloss.study.check import Checked
    from isoloss.study.evaluation import Evaluated
    from isoloss.study.layout import BudgetSizes
    from isoloss.study.run_plan import PlannedRun
    from isoloss.training.grammar_score import GrammarScore

COLUMN_GAP = 3
PICTURE = 20  # characters
PLACEBO = "-placebo"


def show_counts(
    spec: "ModelSpec", params: Mapping[str, int], flops: Mapping[str, float], layers: Mapping[str, float]
) -> None:
    """Print a model's parameters and training FLOPs by convention, and where the forward FLOPs of a token go."""
    console = _console()
    described = f"{spec.family}: width {spec.width}, {spec.depth} layers, {spec.heads} heads, FFN {spec.ffn}, "
    console.print(described + f"vocabulary {spec.vocab_size:,}, context {spec.context:,}" + (", tied" * spec.tied))
    table = _table("convention", "parameters", "training FLOPs a token")
    for convention, each in flops.items():
        table.add_row(convention, f"{params[convention]:,}" if convention in params else "–", f"{each:,.0f}")
    console.print(table)
    table = _table("layer", "forward FLOPs a token", "share")
    for layer, each in layers.items():
        table.add_row(layer.replace("_", " "), f"{each:,.0f}", percent(each / sum(layers.values())))
    console.print(table)


def show_evaluated(evaluated: "Evaluated") -> None:
    """Print the matrix of models × corpora, the largest model of each origin, and the pairs it lacks."""
    from isoloss.runs.evaluation import matrix

    console = _console()
    corpora, best = matrix(evaluated.evaluations)
    table = _table("trained on", *(f"on {corpus}" for corpus in corpora))
    table.caption = f"Nats per token ± standard error; of {len(evaluated.evaluations)} evaluations the largest models'."
    for origin, own in best.items():
        table.add_row(origin, *("–" if one is None else f"{one.loss.nats:.3f} ± {one.loss.stderr:.3f}" for one in own))
    console.print(table)
    for one in evaluated.refused:
        console.print(f"{one.model} was not evaluated on {one.corpus}: {one.reason}")


def show_grammar_score(found: "GrammarScore") -> None:
    """Print a model's loss, the floor of the same documents, and the excess of stretches of positions twice as long."""
    documents, positions = found.losses.shape
    table = _table("positions", "loss, nats", "floor, nats", "excess, nats")
    table.caption = f"{documents:,} documents of {positions + 1:,} tokens; 95 % intervals over documents"
    table.add_row(
        "all", interval(found.loss, digits=4), interval(found.floor, digits=4), interval(found.excess, digits=4)
    )
    first, length = 2, 1
    while first <= positions + 1:
        last = min(first + length - 1, positions + 1)
        own = slice(first - 2, last - 1)
        name = f"{first}" if first == last else f"{first} to {last}"
        table.add_row(name, f"{found.losses[:, own].mean():.4f}", f"{found.floors[:, own].mean():.4f}",
                      interval(found.excess_of(first, last), digits=4))  # fmt: skip
        first, length = last + 1, 2 * length
    _console().print(table)


def show_frontier(points: "Sequence[FrontierPoint]", *, unit: str = "tokens") -> None:
    """Print the best split of every budget. `unit` is what the law's D counts."""
    table = _table("FLOPs", "N* (params)", f"D* ({unit})", "loss, nats", f"{unit} per parameter", "beyond the runs")
    if any(point.params.low is not None for point in points):
        table.caption = "95 % intervals"
    for point in points:
        table.add_row(
            flops_text(point.flops), rounded(point.params), rounded(point.tokens), interval(point.loss, digits=4),
            rounded(point.log_ratio.exponential()), _beyond(point.extrapolation),
        )  # fmt: skip
    _console().print(table)


def show_predictions(runs: "Sequence[Prediction]", *, unit: str = "tokens") -> None:
    """Print what runs that were not trained will score. `unit` is what the law's D counts."""
    names = {"params": "N (params)", "tokens": f"D ({unit})", "flops": "C (FLOPs)"}
    columns = list(dict.fromkeys(name for run in runs for name in run.columns))
    table = _table(*(names.get(name, name) for name in columns), "law, nats", "one run, nats", "beyond the runs")
    if any(run.loss.low is not None for run in runs):
        table.caption = "95 % intervals of the law, and of a single run including its noise"
    for run in runs:
        table.add_row(
            *(f"{run.columns[name]:.3g}" if name in run.columns else "–" for name in columns),
            interval(run.loss, digits=4), interval(run.run, digits=4), _beyond(run.extrapolation),
        )  # fmt: skip
    _console().print(table)


def show_profiles(profiles: "Sequence[Profile]") -> None:
    """Print profile intervals, each with a picture of how the objective rises on both sides."""
    table = _table("profile of", "value", "low", "high", "rise of the objective, low to high")
    table.caption = "█ outside the 95 % interval; no end on one side: the runs set no limit there"
    for one in profiles:
        low, high = ("none" if end is None else f"{end:.5g}" for end in (one.low, one.high))
        table.add_row(one.quantity, f"{one.value:.6g}", low, high, rise_picture(one))
    _console().print(table)


def rise_picture(one: "Profile") -> str:
    """Return the curve's points by value as a line of bars: full where the rise reaches what 95 % of truths cost."""
    bars = "▁▂▃▄▅▆▇█"
    return "".join(bars[min(int(point.rise * (len(bars) - 1)), len(bars) - 1)] for point in one.curve)


def show_backtest(test: "Backtest") -> None:
    """Print how every law predicted the runs that its fit did not see."""
    from isoloss.runs.observations import of_group

    table = _table("predictor", "runs held out", "error of ln L", "bias of ln L", "intervals held", "half width")
    table.caption = f"{test.holdout} held out{of_group(test.group)}; {percent(test.level)} prediction intervals"
    for score in test.scores:
        table.add_row(
            score.law, str(score.runs), percent(score.rmse), percent(score.bias, signed=True),
            "–" if score.held is None else percent(score.held, 2),
            "–" if score.half_width is None else percent(score.half_width),
        )  # fmt: skip
    console = _console()
    console.print(table)
    for sentence in test.sentences():
        console.print(sentence, soft_wrap=True)
    for part in test.parts:
        if part.reason:
            console.print(f"{part.law} without {part.part}: {part.reason}")


def rounded(estimate: "Estimate", *, gap: str = "\n") -> str:
    """Return an estimate to three digits, and its interval where it has one."""
    return Lines(in_brackets(estimate, "{:.3g}".format, gap=gap))


def _beyond(extrapolation: float) -> str:
    return "inside" if extrapolation == 1 else f"×{extrapolation:.3g}"


def interval(estimate: "Estimate", *, digits: int) -> str:
    """Return an estimate as text: value, and its interval where it has one."""
    return Lines(in_brackets(estimate, f"{{:.{digits}f}}".format, gap="\n"))


def show_grammars(found: "Sequence[FoundGrammar]") -> None:
    """Print grammars that a search found: their properties, and their parameters as a study takes them."""
    console = _console()
    table = _table("gzip", "floor, nats", "vocabulary", "unigram, nats", "spectral radius")
    for one in found:
        table.add_row(
            interval(one.gzip, digits=4), interval(one.floor, digits=3), str(one.vocabulary), f"{one.unigram:.3f}",
            f"{one.spectral_radius:.3f}",
        )  # fmt: skip
    console.print(table)
    for one in found:
        shape = one.spec.model_dump(include={"nonterminals", "terminals", "max_rules", "max_rhs", "exponent", "seed"})
        written = ", ".join(f"{name} = {value}" for name, value in shape.items())
        console.print(f'grammar = {{ family = "zipf", {written} }}', soft_wrap=True)


def show_check(checked: "Checked") -> None:
    """Print what a study will do and cost: a row a size, then a row a budget."""
    from isoloss.core.numbers import counted_corpora, duration

    console = _console()
    console.print(_sizes_table(checked))
    if checked.budgets:
        console.print(_budgets_table(checked))
    console.print(
        f"{len(checked.runs)} runs on {counted_corpora(len(checked.corpora))}, {checked.trained_tokens:,} tokens "
        f"to train (shared trunks once), {checked.flops:.2e} FLOPs, about {duration(checked.seconds_estimate)} "
        f"of training on {checked.workers} cores, and {duration(checked.analysis_seconds)} for measures, fits and "
        "report."
    )
    if checked.study.grid.centred:
        console.print(_centred_in_words(checked))
    if following := checked.study.training.following_horizon:
        console.print(f"{', '.join(following)}: follows the token count, so every token count needs its own trunk.")
    if known := [one for one in checked.expected if one.factor is not None]:
        widest = max(known, key=lambda one: one.factor or 0.0)  # the corpus that knows least: the others do no worse
        console.print(f"Expected width, from runs simulated on this grid: {widest.sentence()}")
    for warning in checked.warnings:
        console.print(f"Note: {warning}")
    console.print("The study is valid; nothing was executed.")


def _centred_in_words(checked: "Checked") -> str:
    grid = checked.study.grid
    first = grid.first_pass()
    return (
        f"Centred design: a first pass trains {len(first.budgets)} budgets from {first.budgets[0]:.2e} to "
        f"{first.budgets[-1]:.2e} FLOPs on each corpus. The sizes of the second lie around the optimum that it sees: "
        f"those here are for {grid.tokens_per_param:g} tokens per parameter."
    )


def _sizes_table(checked: "Checked") -> "Table":
    table = _table("corpus", "N (params)", "width × depth", "runs", "D (tokens)", "FLOPs", "peak rate")
    sizes: dict[tuple[str, int], list[PlannedRun]] = {}
    for run in checked.runs:
        sizes.setdefault((run.corpus, run.counts.params(checked.study.grid.convention)), []).append(run)
    for (corpus, params), runs in sizes.items():
        model = runs[0].spec.model
        table.add_row(
            corpus, f"{params:,}", f"{model.width} × {model.depth}", f"{len(runs)}",
            _range([run.spec.train_tokens for run in runs], ","), _range([run.flops for run in runs], ".2e"),
            _range([run.spec.optimiser.peak_lr for run in runs], ".2g"),
        )  # fmt: skip
    return table


def _budgets_table(checked: "Checked") -> "Table":
    table = _table("corpus", "budget (FLOPs)", "sizes", "smaller", "larger")
    table.caption = (
        "Sizes: with runs on both sides of the budget (fewer, more tokens). Smaller, larger: than the size with "
        f"{checked.study.grid.tokens_per_param:g} tokens per parameter. Five sizes are enough for an optimum."
    )
    by_corpus: dict[str, list[BudgetSizes]] = {}
    for one in checked.budgets:
        by_corpus.setdefault(one.corpus, []).append(one)
    alike: dict[tuple[tuple[float, int, int, int], ...], list[str]] = {}
    for corpus, held in by_corpus.items():
        alike.setdefault(tuple((one.flops, one.sizes, one.below, one.above) for one in held), []).append(corpus)
    for rows, corpora in alike.items():
        for place, (flops, *sizes) in enumerate(rows):
            table.add_row("" if place else ", ".join(corpora), f"{flops:.2e}", *map(str, sizes))
    return table


def _range(values: "Sequence[float]", digits: str) -> str:
    low, high = min(values), max(values)
    return f"{low:{digits}}" if low == high else f"{low:{digits}} – {high:{digits}}"


def show_measured(measured: Sequence["MeasuredPath"]) -> None:
    """Print the corpora, then every measure of each, on one scale a measure."""
    from isoloss.corpus.dropped import in_words

    console = _console()
    read = _table("corpus", "bytes", "tokens", "documents")
    for corpus in measured:
        size = "–" if corpus.bytes is None else f"{corpus.bytes:,}"
        read.add_row(corpus.name, size, f"{corpus.tokens:,}", f"{corpus.documents:,}")
    console.print(read)
    names = list(dict.fromkeys(name for corpus in measured for name in [*corpus.measures, *corpus.unidentified]))
    placebos = any(name.endswith(PLACEBO) for name in names)
    table = _table("measure", "corpus", "value", "bits/byte", *(["placebo"] if placebos else []), "", "sequences")
    table.caption = " ".join(["95 % intervals.", *_units(measured)])
    for name in names:
        if name.endswith(PLACEBO) and name.removesuffix(PLACEBO) in names:
            continue
        scale = [corpus.measures[name] for corpus in measured if name in corpus.measures]
        for corpus in measured:
            found = corpus.measures.get(name)
            placebo = corpus.measures.get(name + PLACEBO)
            table.add_row(
                name if corpus is measured[0] else "", corpus.name,
                interval(found.value, digits=4) if found else "not identified",
                interval(found.bits_per_byte, digits=3) if found and found.bits_per_byte else "–",
                *([interval(placebo.value, digits=4) if placebo else "–"] if placebos else []),
                picture(found, scale) if found else "",
                f"{found.sequences:,}" if found else "–",
                end_section=corpus is measured[-1],
            )  # fmt: skip
    console.print(table)
    for corpus in measured:
        for name, reason in corpus.unidentified.items():
            console.print(f"{name} of {corpus.name}: {reason}")
        if left_out := in_words(corpus.dropped):
            console.print(f"left out of {corpus.name}: {left_out}")


UNITS = {"ratio": "compressed over raw size", "nats_per_token": "nats per token", "exponent": "an exponent"}


def _units(measured: Sequence["MeasuredPath"]) -> list[str]:
    """Return what the numbers of each measure are, where the measure says so: one sentence a unit."""
    names: dict[str, dict[str, None]] = {}
    for corpus in measured:
        for name, found in corpus.measures.items():
            names.setdefault(str(found.settings["unit"]), {})[name] = None
    return [f"{', '.join(names[unit])}: {text}." for unit, text in UNITS.items() if unit in names]


def picture(found: "Complexity", scale: Sequence["Complexity"]) -> str:
    """Return a line of characters: the interval and the value where they lie between the outermost of `scale`."""
    limits = [limit for one in scale for limit in _limits(one)]
    low, high = min(limits), max(limits)
    if high <= low:
        return ""
    first, value, last = (round((x - low) / (high - low) * (PICTURE - 1)) for x in _limits(found))
    line = ["·"] * PICTURE
    line[first : last + 1] = "━" * (last + 1 - first)
    line[value] = "●"
    return "".join(line)


def _limits(found: "Complexity") -> tuple[float, float, float]:
    value = found.value
    return (value.value if value.low is None else value.low, value.value,
            value.value if value.high is None else value.high)  # fmt: skip


def show_rows(table: "Any") -> None:
    """Print an Arrow table: whole in a pipe; on a terminal as many of its first columns as fit, the others named."""
    from rich.cells import cell_len

    console = _console()
    rows = [[_cell(value) for value in row.values()] for row in plain_rows(table)]
    names = list(map(shown, table.column_names))
    columns = [_aligned(column, left=at == 0) for at, column in enumerate(zip(names, *rows, strict=True))]
    ends = list(accumulate(COLUMN_GAP + cell_len(column[0]) for column in columns))
    fitting = max(1, sum(end <= console.width for end in ends)) if console.is_terminal else len(names)
    # rich lays out a table in milliseconds a row.
    head, *lines = [(" " * COLUMN_GAP).join(line).rstrip() for line in zip(*columns[:fitting], strict=True)]
    print(head, "─" * (ends[fitting - 1] - COLUMN_GAP), *lines, sep="\n")
    if fitting < len(names):
        console.print(f"no room for {', '.join(names[fitting:])}: a wider terminal, --sql or --json shows them")


def _aligned(cells: Sequence[str], *, left: bool) -> list[str]:
    """Return the cells of a column at one width, to the left or to the right of it."""
    from rich.cells import cell_len

    widths = [len(cell) if cell.isascii() else cell_len(cell) for cell in cells]
    most = max(widths)
    spaces = [" " * (most - width) for width in widths]
    return [cell + space if left else space + cell for cell, space in zip(cells, spaces, strict=True)]


def show_imported(imported: "Imported", folder: "Path") -> None:
    """Print the runs that an import brought, and what can be done with them."""
    rows = imported.rows
    console, table = _console(), _table("corpus", "N (params)", "D (tokens)", "loss, nats", "status", "run")
    for row in rows:
        loss = "–" if row["loss_nats"] is None else f"{row['loss_nats']:.4f}"
        table.add_row(row["corpus"], f"{row['params']:,}", f"{row['tokens']:,}", loss, row["status"], row["name"])
    console.print(table)
    for warning in imported.warnings:
        about = f"{warning['run']}: " if warning["run"] else ""
        console.print(f"warning: {about}{warning['message']}")
    before = [
        f"{count} {what}"
        for count, what in (
            (imported.replaced, "replaced that were imported before with other options"),
            (imported.known, "of them there already"),
        )
        if count
    ]
    of_these = f" ({', '.join(before)})" if before else ""
    now, total = (f"{count} {'run' if count == 1 else 'runs'}" for count in (len(rows), imported.in_folder))
    console.print(f"imported now: {now}{of_these}; in {folder}: {total}", soft_wrap=True)
    console.print(f"next: isoloss fit {folder}", soft_wrap=True)
    console.print(f"to take them back, delete {imported.table}", soft_wrap=True)


def show_pairs(content: Mapping[str, Any]) -> None:
    """Print names and values, one pair a line."""
    pairs = _table("quantity", "value")
    for name, value in content.items():
        is_estimate = isinstance(value, dict) and value.get("low") is not None
        text = f"{value['value']:.4f} [{value['low']:.4f}, {value['high']:.4f}]" if is_estimate else _cell(value)
        pairs.add_row(name.replace("_", " "), text)
    _console().print(pairs)


def _cell(value: object) -> str:
    match value:
        case None:
            return "–"
        case float():
            return f"{value:.5g}"
        case list():
            return shown(" ".join(map(str, value)))
        case _:
            return shown(str(value))


MOST_ROWS = 40


def show_reproduction(found: "Reproduction", *, drawing_seconds: float) -> None:
    """Print published and reproduced numbers (those that differ first), and the verdict on every claim."""
    console = _console()
    table = _table("quantity", "published", "reproduced", "difference", "within")
    apart = found.apart
    for row in [*apart, *(row for row in found.rows if row.within)][:MOST_ROWS]:
        table.add_row(
            row.quantity, f"{row.published:.6g}", f"{row.reproduced:.6g}", f"{row.difference:.1e}",
            "yes" if row.within else "no",
        )  # fmt: skip
    more = len(found.rows) - MOST_ROWS
    table.caption = f"{more} more numbers on the page" if more > 0 else None
    console.print(table)
    for claim in found.claims:
        console.print(f"\n{claim.verdict}: {claim.claim}\n  {claim.why}")
    console.print(f"\n{found.summary()} Analysed in {found.seconds:.1f} s, drawn in {drawing_seconds:.1f} s.")
