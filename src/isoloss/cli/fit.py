"""`isoloss fit`: a table of runs from anywhere to a law with intervals."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from isoloss.cli.app import Best, CountedBy, Figure, Json, Seed, Table, Tokens, app, typed
from isoloss.cli.explore import Page
from isoloss.cli.output import open_progress, warn
from isoloss.core.bounds import MOST_DRAWS

if TYPE_CHECKING:
    from isoloss.data_dependence.data_dependent import FittedDataDependent
    from isoloss.data_dependence.predictor_comparison import PredictorComparison
    from isoloss.fitting.fitted import FittedLaw
    from isoloss.runs.observations import Observations

Objective = Literal["huber", "lad", "gaussian"]
Backtest = Literal["flops", "params", "corpus"]
Starts = Literal["auto", "hoffmann"]
Unit = Literal["tokens", "bytes"]
FloorUse = Literal["hold", "score"]
LAWS = (
    "Law to fit: auto (the one that predicts training curves left out best), chinchilla, kaplan, kaplan_params, "
    "kaplan_tokens, kaplan_flops, offset_params, offset_tokens, offset_flops, repeated, critical_batch, "
    "farseer, coupled, ceiling, loss_to_loss, or your own as module:Name."
)


@app.command()
def fit(
    runs: Table,
    params: Annotated[
        str, typer.Option(help='Column of model sizes N, or a formula over columns: "n_millions * 1e6".')
    ] = "params",
    params_convention: CountedBy = None,
    tokens: Tokens = "tokens",
    loss: Annotated[
        str, typer.Option(help='Column of final losses in nats per token, or a formula: "bits * ln(2)".')
    ] = "loss_nats",
    flops: Annotated[
        str | None,
        typer.Option(help="Column of training FLOPs; without it C = 6·N·D, or, lacking N or D, the column flops."),
    ] = None,
    group: Annotated[
        str | None, typer.Option(help="Column that names the corpus, or several, a,b: one fit a group.")
    ] = None,
    complexity: Annotated[
        str | None, typer.Option(help="Columns of complexity measures, comma-separated: a comparison of predictors.")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(help="Column of what a corpus was made from: corpora of one source are left out together."),
    ] = None,
    where: Annotated[str | None, typer.Option(help="SQL condition on the table's columns: which rows to fit.")] = None,
    law: Annotated[str, typer.Option(help=LAWS, callback=typed)] = "chinchilla",
    unique_tokens: Annotated[
        str | None, typer.Option(help='For repeated: column of unique tokens, or "tokens / epochs".')
    ] = None,
    batch_tokens: Annotated[
        str | None,
        typer.Option(help="For critical_batch: column of tokens a batch; D from --tokens, or steps * batch."),
    ] = None,
    other_loss: Annotated[
        str | None, typer.Option(help="For loss_to_loss: column of the same runs' loss on another corpus.")
    ] = None,
    pair_with: Annotated[
        str | None,
        typer.Option(help="For loss_to_loss: the corpus of --group whose runs of equal N and D to pair with."),
    ] = None,
    column: Annotated[
        list[str] | None, typer.Option(help="A further column that a law of yours reads: NAME=COLUMN. May be repeated.")
    ] = None,
    fix: Annotated[
        list[str] | None, typer.Option(help="Hold parameters: E=1.8, or A=520,alpha=0.35 (A only with alpha).")
    ] = None,
    floor: Annotated[
        str | None, typer.Option(help="Exact best possible loss: a number, a column or a formula. E is held at it.")
    ] = None,
    floor_use: Annotated[
        FloorUse, typer.Option(help="hold: E is the floor; score: E is fitted and compared with it.")
    ] = "hold",
    data_unit: Annotated[Unit, typer.Option(help="What the column of --tokens counts.")] = "tokens",
    bytes_per_token: Annotated[
        str | None, typer.Option(help="Fit D in bytes: tokens times this, a number or a column; FLOPs count tokens.")
    ] = None,
    objective: Annotated[Objective, typer.Option(help="Loss of a residual of ln L.")] = "huber",
    delta: Annotated[float, typer.Option(help="Huber's threshold on ln L.")] = 1e-3,
    starts: Annotated[
        Starts, typer.Option(help="hoffmann: the 4,500 of Hoffmann et al.; auto: few, as good.")
    ] = "auto",
    bootstrap: Annotated[
        int, typer.Option(min=0, max=MOST_DRAWS, help="Resamples for the intervals; 0 gives none.")
    ] = 0,
    trunk: Annotated[
        str | None, typer.Option(help="Column naming the training curve of a row: rows of one are resampled together.")
    ] = None,
    tokenizer: Annotated[
        str | None,
        typer.Option(
            help="Column naming the tokenizer: warns where one fit mixes several. Without it, a column tokenizer."
        ),
    ] = None,
    vocab: Annotated[
        str | None,
        typer.Option(
            help="Vocabulary size, column or number: warns of losses near or above its ln. Else vocab_size or vocab."
        ),
    ] = None,
    frontier: Annotated[
        str | None, typer.Option(help="Budgets in FLOPs, comma-separated: the best split of each, as 1e20,1e21.")
    ] = None,
    predict: Annotated[
        list[str] | None,
        typer.Option(
            help="Predict the loss of a run that was not trained: N,D, the one column that the law reads, or "
            "NAME=NUMBER for each of them: params=7e9,tokens=1e12,lr=3e-4."
        ),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            help="Profile likelihood of these, comma-separated: parameters, a, params, tokens, loss, log_ratio."
        ),
    ] = None,
    backtest: Annotated[
        Backtest | None,
        typer.Option(help="Hold out the largest budgets, every size or every corpus, and score all laws on them."),
    ] = None,
    backtest_above: Annotated[
        float | None, typer.Option(help="FLOPs above which --backtest flops holds out; else the largest quarter.")
    ] = None,
    best: Best = False,
    outliers: Annotated[
        bool, typer.Option("--outliers", help="Name the rows over 4 robust standard deviations off the law.")
    ] = False,
    figure: Figure = None,
    beyond: Annotated[
        bool,
        typer.Option(
            "--beyond",
            help="Answer --frontier and --predict by several forms too, tested on the largest budgets of the runs.",
        ),
    ] = False,
    seed: Seed = 0,
    out: Annotated[
        Path | None,
        typer.Option(help="Write the fitted law to this JSON file, its draws to a Parquet file next to it."),
    ] = None,
    page: Page = None,
    json: Json = False,
) -> None:
    """Fit a scaling law to a table of runs from anywhere.

    One law for each corpus, with intervals: `isoloss fit runs.csv --params n --tokens d --loss val_loss --group data
    --bootstrap 1000`

    Other units, and the best split of two budgets: `isoloss fit sweep.csv --params "size_m * 1e6" --tokens "tokens_b *
    1e9" --loss "bits * ln(2)" --frontier 1e20,1e21`

    Another law, kept in a file: `isoloss fit runs.csv --law repeated --unique-tokens "tokens / epochs" --out law.json`

    The law that predicts training curves left out in turn best, one for all groups: `isoloss fit runs.csv --trunk run
    --law auto`. The output says which laws were tried, how well each predicted, and which was chosen.

    A table needs the columns that the law reads, and no others: `--law kaplan_flops` fits one of flops and loss alone.
    Text such as 70M or 1.4T is read as it stands. With `--complexity gzip,zstd` the measures compete: each source
    (`--source`, else each group) is left out in turn and its losses predicted from the measure alone, against one law
    for all, a single run, and every other measure.

    Every fit reports its optimum, how many starts agree on it, its warnings with remedies, and, with `--bootstrap`,
    intervals on everything. Exit 1 if a fit did not converge.
    """
    from isoloss.cli import fit_options, fit_output
    from isoloss.cli.explore import check_page
    from isoloss.fitting.choice import AUTO
    from isoloss.fitting.fitting import fit_groups
    from isoloss.laws.registry import open_law
    from isoloss.laws.settings import FitSettings
    from isoloss.optima.lack_of_fit import warned_of_misfit
    from isoloss.report.figure_file import require_drawable, write_figure
    from isoloss.runs.observations import UNSTATED
    from isoloss.runs.read_runs import read_runs

    require_drawable(figure)
    budgets = fit_output.numbers_of(frontier)
    measures = _names(complexity)
    named = {"unique_tokens": unique_tokens, "batch_tokens": batch_tokens, "other_loss": other_loss}
    named |= fit_options.pairs_of(column or [], option="--column")
    definition, pairing = None if law == AUTO else open_law(law), pair_with is not None
    check_page(page, form=None if law == AUTO else law)
    extra = fit_options.extra_columns(definition, named, paired=pairing)
    needs = fit_options.needed_columns(definition, pairing=pairing or bool(measures))
    held = fit_options.fixed_of(fix or [])
    table = read_runs(
        runs, params=params, tokens=tokens, loss=loss, flops=flops, corpus=group, trunk=trunk, complexity=measures,
        where=where, tokenizer=tokenizer, vocab=fit_output.column_or_number(vocab), extra=extra,
        floor=fit_output.column_or_number(floor), data_unit=data_unit,
        bytes_per_token=fit_output.column_or_number(bytes_per_token), corpus_source=source, needs=needs,
        params_convention=params_convention or UNSTATED,
    )  # fmt: skip
    table = fit_options.pair_up(table, pair_with)
    points = [] if definition is None else fit_output.points_of(predict or [], definition)
    if best:
        table = table.best()
    written = fit_output.law_files(out, len(table.corpora))
    settings = FitSettings(
        objective=objective, delta=delta, starts=starts, fixed=held, floor=floor_use if floor else "ignore"
    )
    progress = open_progress(as_json=json)
    fitted = fit_groups(table, law=law, settings=settings, bootstrap=bootstrap, seed=seed, progress=progress)
    fitted = warned_of_misfit(fitted, table, seed=seed)
    if definition is None:
        points = fit_output.points_of(predict or [], fitted[0].definition)
        check_page(page, form=fitted[0].law)
    comparison, joint = _compare_predictors(table, measures, bootstrap=bootstrap, seed=seed)
    tests = []
    if backtest:
        from isoloss.diagnostics.backtest import DRAWS, backtest_groups

        tests = backtest_groups(
            table, holdout=backtest, flops_above=backtest_above,
            rivals=() if law == AUTO else (law,), settings=settings,
            bootstrap=bootstrap or DRAWS, seed=seed, progress=progress,
        )  # fmt: skip
    written += _save(fitted, joint, written, out)
    if page is not None:
        from isoloss.explorer.page import write_explorer
        from isoloss.explorer.sources import of_runs

        joints = [joint] if joint else []
        explored = of_runs({"own": table}, name=runs.stem, forms=(fitted[0].law,), own=fitted, joint=joints)
        written.append(write_explorer([explored], page))
    asked = _names(profile)
    derived = [
        fit_output.derive(one, rows, budgets=budgets, points=points, profiles=asked, outliers=outliers,
                          progress=progress, beyond=beyond)
        for one, rows in zip(fitted, table.by_corpus().values(), strict=True)
    ]  # fmt: skip
    if figure is not None:
        from isoloss.report.figures.answers import of_laws

        write_figure(of_laws(fitted, flops=budgets), figure)
        written.append(figure)
    warn(table.passed_over, as_json=json)
    fit_output.show(fitted, derived, tests, comparison, joint, written, table.passed_over, as_json=json)
    if not all(one.convergence.converged for one in fitted) or (joint and not joint.converged):
        raise typer.Exit(1)


def _names(text: str | None) -> list[str]:
    """Return comma-separated names."""
    return [name.strip() for name in text.split(",")] if text else []


def _compare_predictors(
    table: "Observations", measures: Sequence[str], *, bootstrap: int, seed: int
) -> tuple["PredictorComparison | None", "FittedDataDependent | None"]:
    """Return the comparison of the measures, and the data-dependent law of its winner or else of the first measure."""
    if not measures:
        return None, None

    from dataclasses import replace

    from isoloss.data_dependence.data_dependent import DataDependent
    from isoloss.data_dependence.pooled_split import pool_table
    from isoloss.data_dependence.predictors import compare_predictors

    comparison = compare_predictors(table, measures, seed=seed)
    law = DataDependent(complexity=comparison.to_follow).fit(table, bootstrap=bootstrap, seed=seed)
    return comparison, replace(law, pooled=pool_table(table, measured=law.complexity, seed=seed))


def _save(
    fitted: Sequence["FittedLaw"], joint: "FittedDataDependent | None", paths: Sequence[Path], out: Path | None
) -> list[Path]:
    """Write the laws to their paths and the data-dependent one next to them; return where that one lies."""
    for law, path in zip(fitted, paths, strict=False):
        law.save(path)
    if joint is None or out is None:
        return []
    from isoloss.data_dependence.storage import save_data_dependent

    extra = out.with_name(f"{out.stem}.{joint.measure}.json")
    save_data_dependent(joint, extra)
    return [extra]
