"""The verb `isoflop`: the best size of a budget, by several forms, and approach 2 where runs share budgets."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from isoloss.cli.app import Json, Seed, app

if TYPE_CHECKING:
    from isoloss.optima.best_size import BestSize
    from isoloss.optima.isoflop import IsoFlop, IsoFlopLaws
    from isoloss.runs.observations import Observations

QUANTITIES = {"params": "N* ∝ C^a", "tokens": "D* ∝ C^b", "ratio": "D*/N* ∝ C^r"}


@app.command()
def isoflop(
    runs: Annotated[Path, typer.Argument(help="CSV, TSV, Parquet or JSONL with one row a run, or a results folder.")],
    params: Annotated[str, typer.Option(help="Column of model sizes N, or a formula over columns.")] = "params",
    tokens: Annotated[str, typer.Option(help="Column of training tokens D, or a formula.")] = "tokens",
    loss: Annotated[str, typer.Option(help="Column of final losses in nats per token, or a formula.")] = "loss_nats",
    flops: Annotated[str | None, typer.Option(help="Column of training FLOPs; without it C = 6·N·D.")] = None,
    group: Annotated[str | None, typer.Option(help="Column that names the corpus: one analysis a group.")] = None,
    where: Annotated[str | None, typer.Option(help="SQL condition on the table's columns: which rows to take.")] = None,
    stderr: Annotated[str | None, typer.Option(help="Column of standard errors of the losses.")] = None,
    budgets: Annotated[
        str | None,
        typer.Option(help="Budgets in FLOPs, separated by commas; three inside the runs without it."),
    ] = None,
    trunk: Annotated[
        str | None, typer.Option(help="Column that names the training curve: rows of one curve are not independent.")
    ] = None,
    curve: Annotated[
        Literal["parabola", "akima"],
        typer.Option(help="Approach 2, through the losses of a budget: a parabola, or Akima's interpolation."),
    ] = "parabola",
    noise: Annotated[
        float | None, typer.Option(help="Standard deviation of a loss between seeds, in nats: intervals come from it.")
    ] = None,
    tolerance: Annotated[float, typer.Option(help="Rows within this share of a budget belong to it.")] = 0.02,
    draws: Annotated[int, typer.Option(min=2, help="Curves redrawn with noise.")] = 1000,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Find the best size of a budget: parameters, tokens and tokens per parameter, with intervals.

    Example: `isoloss isoflop runs.csv --params n --tokens t --loss val_loss --budgets 1e19,1e20`

    Any table of runs will do. Several forms are fitted to the runs of a group, weighted by how well they predict
    training curves that they have not seen; the interval holds noise and the disagreement of the forms. An optimum is
    given only where it lies inside the runs: three sizes with runs on both sides of the budget, and sizes on both sides
    of the best one.

    Where runs share budgets, approach 2 follows: a curve through the losses of each budget, and power laws through the
    lowest points. `--noise` or `--stderr` give its intervals. Exit 1 where no optimum is found.
    """
    from isoloss.cli.output import print_json
    from isoloss.optima.best_size import best_sizes
    from isoloss.optima.lack_of_fit import lack_of_fit
    from isoloss.runs.importers import read_runs

    table = read_runs(
        runs, params=params, tokens=tokens, loss=loss, flops=flops, corpus=group, where=where, stderr=stderr,
        trunk=trunk or _own_trunk(runs),
    )  # fmt: skip
    optima = best_sizes(table, budgets=_budgets(budgets), seed=seed)
    misfits = lack_of_fit(table, optima=optima, seed=seed)
    settings = {"interpolation": curve, "noise": noise, "draws": draws, "tolerance": tolerance, "seed": seed}
    found = _by_budget(table, settings)
    told = [(name, one, *_laws(one)) for name, one in found.items()]
    warnings = _warnings(table)
    if json:
        print_json({
            "warnings": warnings,
            "optima": [each.to_json() for each in optima],
            "lack_of_fit": [each.to_json() for each in misfits],
            "isoflop": [
                {
                    "group": name, "interpolation": one.interpolation,
                    "budgets": [each.to_json() for each in one.optima],
                    "laws": law.to_json() if law else None, "no_law": reason,
                }
                for name, one, law, reason in told
            ],
        })  # fmt: skip
    else:
        _show_best(optima)
        for verdict in misfits:
            if verdict.refused:
                typer.echo(verdict.sentence())
        for group_told in told:
            _show(*group_told)
        for warning in warnings:
            typer.echo(f"note: {warning}")
    if not any(law for _, _, law, _ in told) and not any(each.inside for each in optima):
        raise typer.Exit(1)


def _warnings(table: "Observations") -> list[str]:
    """Return how FLOPs of the table differ from 6ND, corpus by corpus: best sizes go by its own."""
    from isoloss.fitting.table_checks import flops_in_words

    said = {name: flops_in_words(table.where(corpus=name)) for name in table.corpora}
    many = len(said) > 1
    return [
        f"{f'{name}: ' if many else ''}{words} Budgets here are the table's own FLOPs, size by size."
        for name, words in said.items()
        if words is not None
    ]


def _own_trunk(runs: Path) -> str | None:
    """Return the column of training curves of a table that has one by the name of ours."""
    from isoloss.runs.importers import open_table

    return "trunk" if runs.is_file() and "trunk" in open_table(runs).column_names else None


def _budgets(text: str | None) -> list[float] | None:
    """Return the budgets that an option lists. Raises InputError for what is no number."""
    from isoloss.core.errors import InputError

    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise InputError(f"found {text!r}, expected numbers", place="--budgets",
                         fix="separate budgets by commas: --budgets 1e19,1e20") from error  # fmt: skip


def _by_budget(table: "Observations", settings: "dict[str, Any]") -> "dict[str, IsoFlop]":
    """Return approach 2 on every group whose runs share budgets."""
    from isoloss.core.errors import BadTable
    from isoloss.optima.isoflop import fit_isoflop

    found = {}
    for name in table.corpora:
        try:
            found[name] = fit_isoflop(table.where(corpus=name), **settings)
        except BadTable:
            continue  # its runs share no budgets: the optima above speak for it
    return found


def _show_best(optima: "Sequence[BestSize]") -> None:
    from isoloss.cli.output import console, table
    from isoloss.cli.tables import rounded

    shown = table("corpus", "FLOPs", "parameters", "tokens", "tokens per parameter", "loss, nats")
    for one in optima:
        cells = ["–"] * 4
        if one.params and one.tokens and one.tokens_per_param and one.loss:
            cells = [rounded(each, gap=" ") for each in (one.params, one.tokens, one.tokens_per_param, one.loss)]
        shown.add_row(one.corpus, f"{one.flops:.3g}", *cells)
    console().print(shown)
    for one in optima:
        if not one.inside:
            console().print(f"{one.corpus} at {one.flops:.3g} FLOPs: {one.reason}")


def _laws(found: "IsoFlop") -> "tuple[IsoFlopLaws | None, str | None]":
    """Return the laws through the optima, or why there are none."""
    from isoloss.core.errors import Unidentified

    try:
        return found.laws(), None
    except Unidentified as error:
        return None, error.reason


def _show(group: str, found: "IsoFlop", laws: "IsoFlopLaws | None", reason: str | None) -> None:
    from isoloss.cli.output import console, table
    from isoloss.cli.tables import rounded
    from isoloss.optima.isoflop import STATUS_WORDS

    shown = table(group, "sizes", "N*", "D*", "loss, nats", "optimum")
    for one in found.optima:
        valleys = (one.over_params, one.over_tokens)
        best = [rounded(valley.estimate, gap=" ") if valley else "–" for valley in valleys]
        loss = "–" if one.loss is None else f"{one.loss:.4f}"
        optimum = "inside" if one.status == "ok" else STATUS_WORDS[one.status]
        shown.add_row(f"{one.flops:.3g} FLOPs", str(len(one.params)), *best, loss, optimum)
    console().print(shown)
    for name, formula in QUANTITIES.items() if laws else ():
        law = getattr(laws, name)
        console().print(f"{formula}: {rounded(law.exponent, gap=' ')}, R² {law.r2:.4f}")
    if reason:
        console().print(f"no law: {reason}")
