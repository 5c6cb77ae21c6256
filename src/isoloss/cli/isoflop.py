"""The verb `isoflop`: the best size of a budget, by several forms, and approach 2 where runs share budgets."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from isoloss.cli import output
from isoloss.cli.app import Figure, Json, Seed, app
from isoloss.cli.columns import Best, Flops, Group, Loss, Params, Table, Tokens, Trunk, Where
from isoloss.cli.explore import Page, check_page, own_trunk
from isoloss.core.bounds import MOST_DRAWS
from isoloss.core.errors import BadTable, InputError, Unidentified
from isoloss.core.plain_json import Plain

if TYPE_CHECKING:
    from isoloss.core.estimate import Estimate
    from isoloss.fitting.estimated import FrontierPoint
    from isoloss.optima.best_size import BestSize
    from isoloss.optima.isoflop import IsoFlop, IsoFlopLaws
    from isoloss.runs.observations import Observations

WIDER = (0.05, 0.1, 0.2, 0.3)  # tolerances that are tried for a suggestion
THIRD_DRAWS = 200
QUANTITIES = {"params": "N* ∝ C^a", "tokens": "D* ∝ C^b", "ratio": "D*/N* ∝ C^r"}


@dataclass(frozen=True, kw_only=True)
class ThirdApproach(Plain):
    """Chinchilla's form on one group: a, and the best split of budgets; or the reason why there is none."""

    group: str
    exponent_a: "Estimate | None"
    frontier: "list[FrontierPoint]"
    reason: str | None


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
    from isoloss.core.numbers import grouped
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
    optima = best_sizes(table, budgets=numbers_of(budgets, option="--budgets") or None, seed=seed)
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
        _show_best(optima)
        for verdict in misfits:
            if verdict.refused:
                output.say(verdict.sentence())
        for found_in_group in fits:
            _show(*found_in_group)
        for words, names in grouped(unequal.items()).items():
            typer.echo(f"no approach 2{_of(names)}: {words}")
        _show_third(third, fits)
        for warning in warnings:
            typer.echo(f"note: {warning}")
        if figure is not None:
            typer.echo(f"figure: {figure}")
    if not any(law for _, _, law, _ in fits) and not any(each.inside for each in optima):
        raise typer.Exit(1)


def _without_any(table: "Observations", optima: "Sequence[BestSize]") -> list[str]:
    """Return for which corpora there is no best size of any budget, and what their runs lack."""
    answered = {one.corpus for one in optima}
    return [
        f"no best size{_of(name)}: no budget has three sizes with runs of both fewer and more tokens; train several "
        "token counts at each of at least three sizes"
        for name in table.corpora
        if name not in answered
    ]


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


def _by_budget(table: "Observations", settings: "dict[str, Any]") -> "tuple[dict[str, IsoFlop], dict[str, str]]":
    """Return approach 2 on every group whose runs share budgets, and of the others why they do not."""
    from isoloss.optima.isoflop import fit_isoflop

    found: dict[str, IsoFlop] = {}
    unequal: dict[str, str] = {}
    for name in table.corpora:
        own = table.where(corpus=name)
        try:
            found[name] = fit_isoflop(own, **settings)
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
    ways.append("the best sizes by several laws do not need equal budgets")
    return f"no three sizes share a budget within {100 * settings['tolerance']:g} %; {'; '.join(ways)}"


def _approach_3(
    table: "Observations", optima: "Sequence[BestSize]", found: "dict[str, IsoFlop]", *, seed: int
) -> "list[ThirdApproach]":
    """Return Chinchilla's form fitted to every group's runs, at the budgets that the other approaches answered."""
    from isoloss.fitting.fitting import fit_groups

    answers = []
    for name in table.corpora:
        budgets = {one.flops for one in optima if one.corpus == name}
        budgets |= {one.flops for one in found[name].optima} if name in found else set()
        try:
            (law,) = fit_groups(table.where(corpus=name), bootstrap=THIRD_DRAWS, seed=seed)
            points = law.frontier(flops=sorted(budgets))
            answers.append(ThirdApproach(group=name, exponent_a=law.exponent_a(), frontier=points, reason=None))
        except (InputError, Unidentified) as error:
            answers.append(ThirdApproach(group=name, exponent_a=None, frontier=[], reason=error.reason))
    return answers


def _show_third(third: "Sequence[ThirdApproach]", fits: "Sequence[Any]") -> None:
    """Print approach 3 next to approach 2: the best sizes of each budget, and both exponents."""
    from isoloss.cli.tables import rounded

    second = {name: (one, laws) for name, one, laws, _ in fits}
    for each in third:
        if each.exponent_a is None:
            output.console().print(f"no approach 3{_of(each.group)}: {each.reason}")
            continue
        output.console().print(
            f"\nbest size N*{_of(each.group)} by approach 2, and by approach 3 (Chinchilla's law fitted to all runs)"
        )
        shown = output.table("FLOPs", "approach 2", "approach 3", "tokens per parameter, approach 3")
        one, laws = second.get(each.group, (None, None))
        valleys = {o.flops: o.over_params for o in one.optima} if one else {}
        for point in each.frontier:
            valley = valleys.get(point.flops)
            shown.add_row(
                f"{point.flops:.3g}", rounded(valley.estimate, gap=" ") if valley else "–",
                rounded(point.params, gap=" "), f"{point.tokens.value / point.params.value:.3g}",
            )  # fmt: skip
        a = rounded(laws.params.exponent, gap=" ") if laws else "–"
        shown.add_row("exponent a", a, rounded(each.exponent_a, gap=" "), "")
        output.console().print(shown)


def _show_best(optima: "Sequence[BestSize]") -> None:
    from isoloss.cli.tables import rounded
    from isoloss.core.numbers import grouped

    if not optima:
        return
    out = output.console()
    out.print("best size of each budget, by several laws, with 95 % intervals:")
    for gap in (" ", "\n"):
        shown = output.table("corpus", "FLOPs", "parameters", "tokens", "tokens per parameter", "loss, nats")
        for one in optima:
            cells = ["–"] * 4
            if one.params and one.tokens and one.tokens_per_param and one.loss:
                cells = [rounded(each, gap=gap) for each in (one.params, one.tokens, one.tokens_per_param, one.loss)]
            shown.add_row(one.corpus, f"{one.flops:.3g}", *cells)
        if output.natural_width(shown) <= out.width:
            break
    out.print(shown)
    outside = [(one.corpus, f"{one.flops:.3g} FLOPs: {one.reason}") for one in optima if not one.inside]
    for words, names in grouped(outside).items():
        output.console().print(f"{names} at {words}")


def _of(group: str) -> str:
    """Return whose runs these are, to follow a heading; nothing where the table names no corpus."""
    from isoloss.runs.observations import NO_GROUP

    return "" if group == NO_GROUP else f" on {group}"


def _laws(found: "IsoFlop") -> "tuple[IsoFlopLaws | None, str | None]":
    """Return the laws through the optima, or why there are none."""
    try:
        return found.laws(), None
    except Unidentified as error:
        return None, error.reason


def _show(group: str, found: "IsoFlop", laws: "IsoFlopLaws | None", reason: str | None) -> None:
    from isoloss.cli.tables import rounded
    from isoloss.optima.isoflop import STATUS_WORDS

    output.console().print(f"\napproach 2{_of(group)}: a curve through the losses of each budget's runs")
    shown = output.table("FLOPs", "sizes", "N*", "D*", "tokens per parameter", "loss, nats", "optimum")
    for one in found.optima:
        valleys = [valley and valley.estimate for valley in (one.over_params, one.over_tokens)]
        best = [rounded(each, gap=" ") if each else "–" for each in (*valleys, one.tokens_per_param)]
        loss = "–" if one.loss is None else f"{one.loss:.4f}"
        optimum = "inside" if one.status == "ok" else STATUS_WORDS[one.status]
        shown.add_row(f"{one.flops:.3g}", str(len(one.params)), *best, loss, optimum)
    output.console().print(shown)
    for name, formula in QUANTITIES.items() if laws else ():
        law = getattr(laws, name)
        output.console().print(f"{formula}: {rounded(law.exponent, gap=' ')}, R² {law.r2:.4f}")
    if reason:
        output.console().print(f"no law: {reason}")
