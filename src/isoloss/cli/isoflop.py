"""The verb `isoflop`: the best size of a budget, by several forms, and approach 2 where runs share budgets."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from isoloss.cli import output
from isoloss.cli.app import Figure, Json, Seed, app
from isoloss.cli.columns import Best, Flops, Group, Loss, Params, Table, Tokens, Trunk, Where
from isoloss.cli.explore import Page, check_page, own_trunk
from isoloss.core.bounds import MOST_DRAWS
from isoloss.core.errors import BadTable, InputError, Unidentified

if TYPE_CHECKING:
    from isoloss.cli.isoflop_output import ThirdApproach
    from isoloss.optima.best_size import BestSize
    from isoloss.optima.isoflop import IsoFlop, IsoFlopLaws
    from isoloss.runs.observations import Observations

WIDER = (0.05, 0.1, 0.2, 0.3)  # tolerances that are tried for a suggestion
THIRD_DRAWS = 200
BY_LAWS = "the best sizes by several laws do not need equal budgets"


@app.command()
def isoflop(
    runs: Table,
    params: Params = "params",
    tokens: Tokens = "tokens",
    loss: Loss = "loss_nats",
    flops: Flops = None,
    group: Group = None,
    where: Where = None,
    best: Best = False,
    stderr: Annotated[str | None, typer.Option(help="Column of standard errors of the losses.")] = None,
    budgets: Annotated[
        str | None,
        typer.Option(help="Budgets in FLOPs, comma-separated. Default: three budgets inside the runs."),
    ] = None,
    trunk: Trunk = None,
    curve: Annotated[
        Literal["parabola", "akima"],
        typer.Option(help="Curve that approach 2 puts through the losses of a budget."),
    ] = "parabola",
    noise: Annotated[
        float | None,
        typer.Option(help="Standard deviation of a loss between seeds, in nats. Gives approach 2 its intervals."),
    ] = None,
    tolerance: Annotated[
        float, typer.Option(help="Rows whose FLOPs differ from a budget by at most this fraction belong to it.")
    ] = 0.02,
    draws: Annotated[
        int, typer.Option(min=2, max=MOST_DRAWS, help="Number of curves redrawn with noise for approach 2.")
    ] = 1000,
    figure: Figure = None,
    page: Page = None,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Find the best size of a budget: parameters, tokens and tokens per parameter, with intervals.

    Example: `isoloss isoflop runs.csv --params n --tokens t --loss val_loss --budgets 1e19,1e20`

    Any table of runs works. Several laws are fitted to the runs of a group and weighted by how well they predict
    training curves that they have not seen. The interval covers noise and the disagreement between the laws. An optimum
    is given only if it is inside the runs: at least three sizes have runs on both sides of the budget, and there are
    smaller and larger sizes than the best one.

    If runs share budgets, the output adds approach 2: a curve through the losses of each budget, and power laws through
    the lowest points. `--noise` or `--stderr` gives its intervals. Next to it stands approach 3: Chinchilla's law
    fitted to the same runs. Exit 1 if no optimum is found.
    """
    from isoloss.cli.fit_output import numbers_of
    from isoloss.cli.isoflop_output import show_isoflop
    from isoloss.optima.best_size import best_sizes
    from isoloss.optima.lack_of_fit import lack_of_fit
    from isoloss.report.figure_file import require_drawable, write_figure
    from isoloss.runs.read_runs import read_runs

    require_drawable(figure)
    check_page(page)
    table = read_runs(
        runs, params=params, tokens=tokens, loss=loss, flops=flops, corpus=group, where=where, stderr=stderr,
        trunk=trunk or own_trunk(runs),
    )  # fmt: skip
    if best:
        table = table.best()
    output.warn(table.passed_over, as_json=json)
    asked = list(dict.fromkeys(numbers_of(budgets, option="--budgets")))
    optima = best_sizes(table, budgets=asked or None, seed=seed)
    misfits = lack_of_fit(table, optima=optima, seed=seed)
    settings = {"interpolation": curve, "noise": noise, "draws": draws, "tolerance": tolerance, "seed": seed}
    found, unequal = _by_budget(table, settings)
    third = _approach_3(table, optima, found, seed=seed)
    fits = [(name, one, *_laws(one)) for name, one in found.items()]
    warnings = [*_without_any(table, optima), *_warnings(table)]
    if figure is not None:
        from isoloss.report.figures.answers import of_optima

        write_figure(of_optima(optima), figure)
    if page is not None:
        from isoloss.explorer.page import write_explorer
        from isoloss.explorer.sources import of_runs

        write_explorer([of_runs({"own": table}, name=runs.stem, seed=seed)], page)
    if json:
        output.print_json({
            "figure": str(figure) if figure else None,
            "warnings": warnings,
            "approach_3": [each.to_json() for each in third],
            "no_isoflop": unequal,
            "optima": [each.to_json() for each in optima],
            "lack_of_fit": [each.to_json() for each in misfits],
            "isoflop": [
                {
                    "group": name, "interpolation": one.interpolation,
                    "budgets": [each.to_json() for each in one.optima],
                    "laws": law.to_json() if law else None, "no_law": reason,
                }
                for name, one, law, reason in fits
            ],
        })  # fmt: skip
    else:
        show_isoflop(optima, misfits, fits, unequal, third, asked=asked, tolerance=tolerance)
        for warning in warnings:
            typer.echo(f"note: {warning}")
        if figure is not None:
            typer.echo(f"figure: {figure}")
    if not any(law for _, _, law, _ in fits) and not any(each.inside for each in optima):
        raise typer.Exit(1)


def _without_any(table: "Observations", optima: "Sequence[BestSize]") -> list[str]:
    """Return for which corpora there is no best size of any budget, and what their runs lack."""
    from isoloss.cli.isoflop_output import of_group

    answered = {one.corpus for one in optima}
    return [
        f"no best size{of_group(name)}: no budget has three sizes with runs of both fewer and more tokens; train "
        "several token counts at each of at least three sizes"
        for name in table.corpora
        if name not in answered
    ]


def _warnings(table: "Observations") -> list[str]:
    """Return what a reader must know of each corpus: how its FLOPs differ from 6ND, and what its table alone shows."""
    from isoloss.fitting.table_checks import OF_FLOPS, flops_in_words, table_warnings, unsteady_flops
    from isoloss.laws.chinchilla import Chinchilla

    said = []
    for name, own in table.by_corpus().items():
        whose = f"{name}: " if len(table.corpora) > 1 else ""
        if (words := flops_in_words(own)) is not None:
            third = " Approach 3 alone counts C = 6ND." if unsteady_flops(own) else ""
            said.append(f"{whose}{words} Budgets here are the table's own FLOPs, size by size.{third}")
        found = table_warnings(own, law=Chinchilla)
        said += [f"{whose}{warning.message}" for warning in found if warning.code not in OF_FLOPS]
    return said


def _by_budget(table: "Observations", settings: "dict[str, Any]") -> "tuple[dict[str, IsoFlop], dict[str, str]]":
    """Return approach 2 on every group whose runs share budgets, and of the others why they do not."""
    from isoloss.optima.isoflop import FewTokenCounts, fit_isoflop

    found: dict[str, IsoFlop] = {}
    unequal: dict[str, str] = {}
    for name in table.corpora:
        own = table.where(corpus=name)
        try:
            found[name] = fit_isoflop(own, **settings)
        except FewTokenCounts as error:
            unequal[name] = f"{error.reason}; {BY_LAWS}"
        except BadTable:
            unequal[name] = _sharing(own, settings)
    return found, unequal


def _sharing(rows: "Observations", settings: "dict[str, Any]") -> str:
    """Return why runs share no budgets, and what would let them: their own FLOPs, or a tolerance that does."""
    from isoloss.optima.isoflop import fit_isoflop

    ways = [] if rows.flops_convention == "given" else ["name the column of FLOPs, if budgets were set by it (--flops)"]
    for tolerance in WIDER:
        try:
            fit_isoflop(rows, **(settings | {"tolerance": tolerance, "draws": 2}))
        except BadTable:
            continue
        ways.append(f"let rows that close share a budget (--tolerance {tolerance:g} finds some)")
        break
    ways.append(BY_LAWS)
    return f"no three sizes share a budget within {100 * settings['tolerance']:g} %; {'; '.join(ways)}"


def _approach_3(
    table: "Observations", optima: "Sequence[BestSize]", found: "dict[str, IsoFlop]", *, seed: int
) -> "list[ThirdApproach]":
    """Return Chinchilla's form fitted to every group's runs, at the budgets that the other approaches answered."""
    from isoloss.cli.isoflop_output import ThirdApproach
    from isoloss.fitting.fitting import fit_groups
    from isoloss.fitting.table_checks import unsteady_flops

    answers = []
    for name in table.corpora:
        budgets = {one.flops for one in optima if one.corpus == name}
        budgets |= {one.flops for one in found[name].optima} if name in found else set()
        try:
            own = table.where(corpus=name)
            (law,) = fit_groups(own, bootstrap=THIRD_DRAWS, seed=seed)
            points = law.frontier(flops=sorted(budgets))
            counts = "6ND" if unsteady_flops(own) else "table"
            answers.append(
                ThirdApproach(group=name, exponent_a=law.exponent_a(), frontier=points, reason=None, counts=counts)
            )
        except (InputError, Unidentified) as error:
            answers.append(ThirdApproach(group=name, exponent_a=None, frontier=[], reason=error.reason))
    return answers


def _laws(found: "IsoFlop") -> "tuple[IsoFlopLaws | None, str | None]":
    """Return the laws through the optima, or why there are none."""
    try:
        return found.laws(), None
    except Unidentified as error:
        return None, error.reason
