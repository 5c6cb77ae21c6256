"""The verbs that look ahead: plan, next."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from isoloss.cli.app import Allow, Convention, Figure, Json, Seed, app, typed
from isoloss.cli.explore import Page, check_page, write_planned
from isoloss.cli.output import open_progress, print_json, say
from isoloss.cli.study import Out, StudyFile, results_of
from isoloss.core.errors import InputError

What = Literal["log_ratio", "exponent_a", "loss"]


@app.command(name="next")
def next_(
    study: StudyFile,
    flops: Annotated[float, typer.Option(help="Training FLOPs to spend, 6·N·D with the study's way of counting N.")],
    quantity: Annotated[
        What,
        typer.Option(
            help="Interval to narrow: of ln(D*/N*), of the exponent a in N* ∝ C^a, or of the loss at the best split."
        ),
    ] = "log_ratio",
    at: Annotated[
        float | None,
        typer.Option(help="Budget at which to narrow it. Default: the budget at which the study compares corpora."),
    ] = None,
    corpus: Annotated[str | None, typer.Option(help="Only this corpus. Default: all corpora share the FLOPs.")] = None,
    out: Out = None,
    write: Annotated[
        Path | None, typer.Option(help="Write the study with the new runs added to this file, for `isoloss run`.")
    ] = None,
    allow: Allow = None,
    json: Json = False,
) -> None:
    """Choose the runs to train next: those that narrow an interval most per FLOP.

    Example: `isoloss next mine.toml --flops 1e13 --at 1e15 --write more.toml`

    The interval of ln(D*/N*) is that of the study's own answer: several forms of the loss, weighted. Their draws say
    how much one more run would narrow it. Where the optimum is not inside the runs, and for the other quantities, the
    draws of the first law take their place. Runs are chosen one after another. Training steps that several runs share
    (a trunk) are paid for once. The expected width is a forecast.
    """
    from isoloss.cli import planning_output
    from isoloss.core.files import write_text
    from isoloss.runs.archive import Archive
    from isoloss.study.lab import Lab
    from isoloss.study.spec import Study

    asked = Study.load(study)
    folder = results_of(asked, out)
    Archive.reopen(folder)  # a folder that is not there is not made
    lab = Lab(folder, base=study.resolve().parent, progress=open_progress(folder, as_json=json))
    proposals = lab.next(asked, flops=flops, quantity=quantity, at_flops=at, corpus=corpus)
    if write is not None:
        if write.exists():
            raise InputError("the file exists", place=str(write), fix="choose another name, or remove the file")
        added = "\n".join(proposal.toml() for proposal in proposals)
        write_text(write, f"{study.read_text(encoding='utf-8').rstrip()}\n\n# proposed by isoloss next\n\n{added}")
    if json:
        print_json({
            "runs": [run for proposal in proposals for run in proposal.to_json()["runs"]],
            "expected_width": max(proposal.design.expected_width for proposal in proposals),
            "present_width": max(proposal.design.present_width for proposal in proposals),
            "quantity": quantity,
            "corpora": [proposal.to_json() for proposal in proposals],
            "study": str(write) if write else None,
        })  # fmt: skip
    else:
        planning_output.show_proposals(proposals)
        if write is not None:
            say(f"{write} written; next: isoloss run {write} --out {folder}")


@app.command()
def plan(
    corpus: Annotated[
        str | None,
        typer.Argument(
            help="File, folder or glob of the text to train on. Not needed with --runs or a --law of your own."
        ),
    ] = None,
    flops: Annotated[
        str | None,
        typer.Option(help="Training budget in FLOPs, 6·N·D with the law's way of counting N. Several: 1e19,1e20,1e21."),
    ] = None,
    params: Annotated[float | None, typer.Option(help="Model size N, if it is fixed.")] = None,
    tokens: Annotated[float | None, typer.Option(help="Training tokens D, if they are fixed.")] = None,
    target_loss: Annotated[
        float | None, typer.Option(help="Loss to reach, in nats per token: plans the smallest budget that reaches it.")
    ] = None,
    law: Annotated[
        list[Path] | None,
        typer.Option(
            help="File of a law, written by `isoloss fit --out` or a study. May be repeated with other "
            "laws fitted to the same runs."
        ),
    ] = None,
    runs: Annotated[
        Path | None,
        typer.Option(help="Table of runs or results folder. Several laws are fitted to it here."),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            help="Column of --runs, or a formula: NAME=COLUMN, with NAME one of params, tokens, loss, flops, group, "
            "trunk, stderr, vocab, tokenizer. May be repeated."
        ),
    ] = None,
    where: Annotated[str | None, typer.Option(help="SQL condition that selects the rows of --runs.")] = None,
    pilot: Annotated[
        str | None,
        typer.Option(help="Train small models on this corpus for this long (10min, 1h), and plan from them."),
    ] = None,
    anchor: Annotated[
        str | None,
        typer.Option(
            help="porian or chinchilla: shift this published frontier by the difference "
            "between your corpus and --reference."
        ),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(
            help="With --anchor: the law's corpus that is most like the frontier's text. Bundled law: english."
        ),
    ] = None,
    extrapolate: Annotated[
        bool,
        typer.Option(
            "--extrapolate", help="Allow a budget more than 100 times the largest that the law was fitted to."
        ),
    ] = False,
    no_repeat: Annotated[
        bool,
        typer.Option(
            "--no-repeat",
            help="Count repeated text as new text, if your files are a sample of a larger text. By default repeats "
            "are worth less, and over 36 passes (epochs) are refused.",
        ),
    ] = False,
    tokenizer: Annotated[
        str | None,
        typer.Option(
            help="bytes, a tokenizer.json or a SentencePiece .model. Default: the law's. With --anchor: a tokenizer "
            "like that of the frontier, to count the corpus.",
            callback=typed,
        ),
    ] = None,
    bytes_per_token: Annotated[
        float | None,
        typer.Option(help="With --anchor, instead of --tokenizer: bytes per token, to count the corpus in tokens."),
    ] = None,
    throughput: Annotated[
        float | None, typer.Option(help="FLOP/s that a device really achieves. Adds device-hours to the plan.")
    ] = None,
    params_convention: Annotated[
        Convention | None,
        typer.Option(
            help="Also give N, FLOPs and D/N with this way of counting parameters, by counting a real model shape."
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(help="Rules for batch and learning rate: small, porian or step_law. Default: by model size."),
    ] = None,
    context: Annotated[
        int | None, typer.Option(min=2, help="Context length of the model. Default: the recipe's.")
    ] = None,
    tied: Annotated[bool, typer.Option("--tied", help="Use one matrix for embedding and head.")] = False,
    out: Annotated[Path | None, typer.Option(help="Results folder of the pilot. Default: results/pilot-NAME.")] = None,
    figure: Figure = None,
    page: Page = None,
    seed: Seed = 0,
    allow: Allow = None,
    json: Json = False,
) -> None:
    """Plan a training run on a corpus: parameters, tokens, loss, shape, batch and learning rate, with intervals.

    Example: `isoloss plan my_corpus/ --flops 1e15 --pilot 10min`

    Without a corpus: `isoloss plan --runs runs.csv --flops 1e21`, `isoloss plan --law law.json --flops 1e21`

    Give one or more budgets, a model size, a number of tokens, or a loss to reach. You may add a size or a number of
    tokens to a budget or a loss. With `--law`, `--runs` or `--pilot` the law comes from runs on this corpus. Without
    them the plan uses the bundled law of real corpora, adjusted to how predictable this corpus is.
    """
    from isoloss.cli import planning_output
    from isoloss.cli.explore import own_trunk
    from isoloss.cli.fit_options import pairs_of
    from isoloss.cli.fit_output import numbers_of
    from isoloss.planning.plan_result import Making
    from isoloss.planning.recipe import recipes
    from isoloss.report.figure_file import require_drawable, write_figure
    from isoloss.study.plan_request import Request, make_plans

    require_drawable(figure)
    given = {"params": params, "tokens": tokens, "target_loss": target_loss}
    budgets: list[float | None] = [*numbers_of(flops, option="--flops")] or [None]
    asked = [{"flops": budget, **given} for budget in budgets]
    check_page(page)
    columns = pairs_of(column or [], option="--column")
    if runs is not None and "trunk" not in columns and (trunk := own_trunk(runs)):
        columns["trunk"] = trunk
    making = Making(
        context=context, tied=tied, recipe=recipes[recipe] if recipe else None, throughput=throughput,
        params_convention=params_convention,
    )  # fmt: skip
    found, laws = make_plans(
        Request(
            corpus=corpus, asked=asked, laws=tuple(law or ()), runs=runs, columns=columns, where=where, pilot=pilot,
            frontier=anchor, reference=reference,
            extrapolate=extrapolate, repeat=not no_repeat, tokenizer=tokenizer,
            bytes_per_token=bytes_per_token, out=out, seed=seed,
        ),
        making=making,
        progress=open_progress(as_json=json),
    )  # fmt: skip
    if figure is not None:
        from isoloss.report.figures.answers import of_plans

        write_figure(of_plans(found), figure)
    if page is not None:
        write_planned(found[0], laws, page)
    if json:
        plain = [one.to_json() for one in found]
        print_json(plain[0] | {"plans": plain, "figure": str(figure) if figure else None})
    else:
        planning_output.show_plans(found)
        if figure is not None:
            typer.echo(f"figure: {figure}")
