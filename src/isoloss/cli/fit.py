"""`isoloss fit`: a table of runs from anywhere to a law with intervals."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from isoloss.cli.app import Figure, Json, Seed, app, typed
from isoloss.cli.columns import Best, CountedBy, Group, Loss, Params, Table, Tokens, Trunk, Where
from isoloss.cli.explore import Page
from isoloss.cli.output import open_progress, warn
from isoloss.core.bounds import MOST_DRAWS
from isoloss.laws.settings import MethodName, Objective, StartsName, WeightsName

if TYPE_CHECKING:
    from isoloss.data_dependence.table_fit import TableFit
    from isoloss.runs.observations import Observations

Backtest = Literal["flops", "params", "corpus"]
Unit = Literal["tokens", "bytes"]
FloorUse = Literal["hold", "score"]
LAWS = (
    "Law to fit: auto (the law that best predicts left-out training curves), chinchilla, kaplan, kaplan_params, "
    "kaplan_tokens, kaplan_flops, offset_params, offset_tokens, offset_flops, repeated, critical_batch, "
    "farseer, coupled, ceiling, loss_to_loss, or your own as module:Name."
)


@app.command()
def fit(
    runs: Table,
    params: Params = "params",
    params_convention: CountedBy = None,
    tokens: Tokens = "tokens",
    loss: Loss = "loss_nats",
    flops: Annotated[
        str | None,
        typer.Option(help="Column of training FLOPs. Default: C = 6·N·D; if N or D is missing, the column flops."),
    ] = None,
    group: Group = None,
    complexity: Annotated[
        str | None,
        typer.Option(
            help="Columns with measures of the text, comma-separated. Compares how well each predicts losses."
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            help="Column that names what a corpus was made from. Corpora of one source are left out together."
        ),
    ] = None,
    where: Where = None,
    law: Annotated[str, typer.Option(help=LAWS, callback=typed)] = "chinchilla",
    unique_tokens: Annotated[
        str | None, typer.Option(help='For repeated: column of unique tokens, or "tokens / epochs".')
    ] = None,
    batch_tokens: Annotated[
        str | None,
        typer.Option(help="For critical_batch: column of tokens per batch. D is --tokens, which may be steps * batch."),
    ] = None,
    other_loss: Annotated[
        str | None, typer.Option(help="For loss_to_loss: column of the same runs' loss on another corpus.")
    ] = None,
    pair_with: Annotated[
        str | None,
        typer.Option(help="For loss_to_loss: the corpus (of --group) to pair with, by runs of equal N and D."),
    ] = None,
    column: Annotated[
        list[str] | None, typer.Option(help="Another column that your own law reads: NAME=COLUMN. May be repeated.")
    ] = None,
    fix: Annotated[
        list[str] | None, typer.Option(help="Fix parameters: E=1.8, or A=520,alpha=0.35 (A only together with alpha).")
    ] = None,
    floor: Annotated[
        str | None, typer.Option(help="Exact lowest possible loss: a number, a column or a formula. E is fixed at it.")
    ] = None,
    floor_use: Annotated[
        FloorUse | None,
        typer.Option(
            help="hold: fix E at the floor; score: fit E and compare it with the floor, as Python and studies "
            "do unless told to hold. Default: hold."
        ),
    ] = None,
    data_unit: Annotated[Unit, typer.Option(help="What --tokens counts.")] = "tokens",
    bytes_per_token: Annotated[
        str | None,
        typer.Option(help="Bytes per token, a number or a column: fits D in bytes. FLOPs still count tokens."),
    ] = None,
    objective: Annotated[Objective, typer.Option(help="How a residual of ln L is penalised.")] = "huber",
    delta: Annotated[float, typer.Option(help="Huber's threshold on ln L.")] = 1e-3,
    starts: Annotated[
        StartsName,
        typer.Option(
            help="hoffmann: the 4,500 starting points of Hoffmann et al.; auto: fewer, which find optima as good."
        ),
    ] = "auto",
    weights: Annotated[
        WeightsName, typer.Option(help="How rows count: equal, or by 1/σ² of ln L from --stderr or a results folder.")
    ] = "equal",
    stderr: Annotated[str | None, typer.Option(help="Column of standard errors of the losses, for --weights.")] = None,
    exclude_flags: Annotated[
        str,
        typer.Option(help='Flags of a results folder whose runs are left out, comma-separated; "" leaves none out.'),
    ] = "unconverged,saturated",
    method: Annotated[
        MethodName,
        typer.Option(help="What --bootstrap resamples; auto: trunks, rows or simulations, as the rows allow."),
    ] = "auto",
    bootstrap: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=MOST_DRAWS,
            help="Number of resamples for the intervals; 0 gives no intervals. Default: 1000; 0 if there are more than "
            "10,000 rows.",
        ),
    ] = None,
    trunk: Trunk = None,
    tokenizer: Annotated[
        str | None,
        typer.Option(
            help="Column that names the tokenizer; warns if one fit mixes several. Default: a column tokenizer, if "
            "there is one."
        ),
    ] = None,
    vocab: Annotated[
        str | None,
        typer.Option(
            help="Vocabulary size, a column or a number; warns of losses near or above its ln. Default: a column "
            "vocab_size or vocab."
        ),
    ] = None,
    frontier: Annotated[
        str | None, typer.Option(help="Budgets in FLOPs, comma-separated (1e20,1e21): prints the best N and D of each.")
    ] = None,
    predict: Annotated[
        list[str] | None,
        typer.Option(
            help="Predict the loss of a run: N,D; one number, if the law reads one column; or NAME=NUMBER for each "
            "column, as in params=7e9,tokens=1e12,lr=3e-4."
        ),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            help="Profile-likelihood intervals of these, comma-separated: parameters, a, params, tokens, loss, "
            "log_ratio."
        ),
    ] = None,
    backtest: Annotated[
        Backtest | None,
        typer.Option(help="Hold out the largest budgets, each size or each corpus, and score all laws on them."),
    ] = None,
    backtest_above: Annotated[
        float | None,
        typer.Option(help="With --backtest flops: hold out runs above this many FLOPs. Default: the largest quarter."),
    ] = None,
    best: Best = False,
    outliers: Annotated[
        bool, typer.Option("--outliers", help="List rows more than 4 robust standard deviations off the law.")
    ] = False,
    figure: Figure = None,
    beyond: Annotated[
        bool,
        typer.Option(
            "--beyond",
            help="Also answer --frontier and --predict by several laws that were tested on the largest budgets of "
            "the runs.",
        ),
    ] = False,
    seed: Seed = 0,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write the fitted law to this JSON file and its bootstrap draws to a Parquet file next to it."
        ),
    ] = None,
    page: Page = None,
    json: Json = False,
) -> None:
    """Fit a scaling law to a table of runs from anywhere.

    One law for each corpus, with intervals: `isoloss fit runs.csv --params n --tokens d --loss val_loss --group data`

    Other units, and the best split of two budgets: `isoloss fit sweep.csv --params "size_m * 1e6" --tokens "tokens_b *
    1e9" --loss "bits * ln(2)" --frontier 1e20,1e21`

    Another law, saved to a file: `isoloss fit runs.csv --law repeated --unique-tokens "tokens / epochs" --out law.json`

    The law that best predicts left-out training curves, the same for all groups: `isoloss fit runs.csv --trunk run
    --law auto`. The output says which laws were tried, how well each predicted, and which was chosen.

    A table needs only the columns that the law reads: `--law kaplan_flops` needs only flops and loss. Text such as 70M
    or 1.4T is read as a number. `--complexity gzip,zstd` compares measures of the text as predictors. It leaves out
    each source (`--source`, otherwise each group) in turn and predicts its losses from the measure alone. The rivals
    are one law for all, a single run, and the other measures.

    Every fit reports intervals on everything, how many starting points agree on its optimum, and warnings with
    remedies. Exit 1 if a fit did not converge.
    """
    from isoloss.cli import fit_options, fit_output
    from isoloss.cli.explore import check_page
    from isoloss.data_dependence.table_fit import fit_table
    from isoloss.fitting.choice import AUTO
    from isoloss.laws.registry import open_law
    from isoloss.laws.settings import FitSettings
    from isoloss.report.figure_file import require_drawable
    from isoloss.runs.observations import UNSTATED
    from isoloss.runs.read_runs import read_runs

    require_drawable(figure)
    fit_options.refuse_unused(
        ("--backtest-above", backtest_above, "--backtest flops", backtest),
        ("--floor-use", floor_use, "--floor", floor),
        ("--beyond", beyond or None, "--frontier or --predict", frontier or predict),
    )
    budgets = fit_output.numbers_of(frontier)
    measures = _names(complexity)
    named = {"unique_tokens": unique_tokens, "batch_tokens": batch_tokens, "other_loss": other_loss}
    named |= fit_options.pairs_of(column or [], option="--column")
    definition, pairing = None if law == AUTO else open_law(law), pair_with is not None
    if beyond and definition is not None:
        fit_options.refuse_beyond(definition)
    check_page(page, form=None if law == AUTO else law)
    extra = fit_options.extra_columns(definition, named, paired=pairing)
    needs = fit_options.needed_columns(definition, pairing=pairing or bool(measures))
    settings = FitSettings(
        objective=objective, delta=delta, starts=starts, fixed=fit_options.fixed_of(fix or []),
        floor=(floor_use or "hold") if floor else "ignore", weights=weights, method=method,
        exclude_flags=_names(exclude_flags.strip(" ,")),
    )  # fmt: skip
    table = read_runs(
        runs, params=params, tokens=tokens, loss=loss, flops=flops, corpus=group, trunk=trunk, complexity=measures,
        where=where, tokenizer=tokenizer, vocab=fit_output.column_or_number(vocab), extra=extra,
        floor=fit_output.column_or_number(floor), data_unit=data_unit,
        bytes_per_token=fit_output.column_or_number(bytes_per_token), corpus_source=source, needs=needs,
        params_convention=params_convention or UNSTATED, stderr=stderr,
    )  # fmt: skip
    table = fit_options.pair_up(table, pair_with)
    points = [] if definition is None else fit_output.points_of(predict or [], definition)
    if best:
        table = table.best()
    written = fit_output.law_files(out, len(table.corpora))
    progress = open_progress(as_json=json)
    found = fit_table(
        table, law=law, settings=settings, measures=measures, holdout=backtest, flops_above=backtest_above,
        bootstrap=bootstrap, seed=seed, progress=progress,
    )  # fmt: skip
    if definition is None:
        points = fit_output.points_of(predict or [], found.laws[0].definition)
        check_page(page, form=found.laws[0].law)
    asked = _names(profile)
    derived = [
        fit_output.derive(one, rows, budgets=budgets, points=points, profiles=asked, outliers=outliers,
                          progress=progress, beyond=settings if beyond else None)
        for one, rows in zip(found.laws, table.by_corpus().values(), strict=True)
    ]  # fmt: skip
    written += _save(found, written, out)
    if page is not None:
        written.append(_write_page(found, table, page, name=runs.stem))
    if figure is not None:
        written.append(_draw(found, budgets, figure))
    idle = fit_options.unused(
        ("--stderr", stderr, "--weights stderr", weights == "stderr" or page),
        ("--source", source, "--complexity", complexity),
    )
    warn([*table.passed_over, *(f"{option} counts only with {needed}" for option, needed in idle)], as_json=json)
    fit_output.show(found, derived, written, table.passed_over, as_json=json)
    if not found.converged:
        raise typer.Exit(1)


def _names(text: str | None) -> list[str]:
    """Return comma-separated names."""
    return [name.strip() for name in text.split(",")] if text else []


def _save(found: "TableFit", paths: Sequence[Path], out: Path | None) -> list[Path]:
    """Write the laws to their paths and the data-dependent one next to them; return where that one lies."""
    for law, path in zip(found.laws, paths, strict=False):
        law.save(path)
    if found.joint is None or out is None:
        return []
    extra = out.with_name(f"{out.stem}.{found.joint.measure}.json")
    found.joint.save(extra)
    return [extra]


def _draw(found: "TableFit", budgets: Sequence[float], figure: Path) -> Path:
    """Draw the laws, with the best splits of budgets as points; return where the figure lies."""
    from isoloss.report.figure_file import write_figure
    from isoloss.report.figures.answers import of_laws

    write_figure(of_laws(found.laws, flops=budgets), figure)
    return figure


def _write_page(found: "TableFit", table: "Observations", page: Path, *, name: str) -> Path:
    """Write the explorer of the laws and their runs; return where it lies."""
    from isoloss.explorer.page import write_explorer
    from isoloss.explorer.sources import of_runs

    joints = [found.joint] if found.joint else []
    own = of_runs({"own": table}, name=name, forms=(found.laws[0].law,), own=found.laws, joint=joints)
    return write_explorer([own], page)
