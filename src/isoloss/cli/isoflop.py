"""The verb `isoflop`: approach 2, the best size of every budget, and power laws through them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from isoloss.cli.app import Json, Seed, app

if TYPE_CHECKING:
    from isoloss.laws.isoflop import BudgetOptimum, IsoFlop, IsoFlopLaws

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
    curve: Annotated[
        Literal["akima", "parabola"],
        typer.Option(help="Through the losses of a budget: Akima's interpolation, or a parabola (biased if skewed)."),
    ] = "akima",
    noise: Annotated[
        float | None, typer.Option(help="Standard deviation of a loss between seeds, in nats: intervals come from it.")
    ] = None,
    tolerance: Annotated[float, typer.Option(help="Rows within this share of a budget belong to it.")] = 0.02,
    draws: Annotated[int, typer.Option(min=2, help="Curves redrawn with noise.")] = 1000,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Find the best size of every budget (approach 2), and the power laws through them.

    Example: `isoloss isoflop runs.csv --params n --tokens t --loss val_loss --flops flops --noise 0.002`

    Runs of one budget form a valley over N, and one over D; its lowest point is the optimum, unless it lies at an edge
    or more than half of the redrawn valleys do. Without `--noise` or `--stderr` nothing is redrawn: no interval is
    given. Exit 1 where no group has two budgets with an optimum.
    """
    from isoloss.cli.output import print_json
    from isoloss.laws.isoflop import fit_isoflop
    from isoloss.runs.importers import read_runs

    table = read_runs(
        runs, params=params, tokens=tokens, loss=loss, flops=flops, corpus=group, where=where, stderr=stderr
    )
    found = {
        name: fit_isoflop(
            table.where(corpus=name), interpolation=curve, noise=noise, draws=draws, tolerance=tolerance, seed=seed
        )
        for name in table.corpora
    }
    told = [_as_json(name, one) for name, one in found.items()]
    if json:
        print_json({"isoflop": told})
    else:
        for one in told:
            _show(one)
    if not any(one["laws"] for one in told):
        raise typer.Exit(1)


def _as_json(group: str, found: "IsoFlop") -> dict[str, Any]:
    laws, reason = _laws(found)
    return {
        "group": group,
        "interpolation": found.interpolation,
        "budgets": [_budget(one) for one in found.optima],
        "laws": None
        if laws is None
        else {
            name: {
                "exponent": getattr(laws, name).exponent.to_json(),
                "log_coefficient": getattr(laws, name).log_coefficient,
                "r2": getattr(laws, name).r2,
            }
            for name in QUANTITIES
        },
        "no_law": reason,
    }


def _laws(found: "IsoFlop") -> "tuple[IsoFlopLaws | None, str | None]":
    from isoloss.core.errors import Unidentified

    try:
        return found.laws(), None
    except Unidentified as error:
        return None, error.reason


def _budget(optimum: "BudgetOptimum") -> dict[str, Any]:
    from isoloss.core.estimate import Estimate
    from isoloss.laws.isoflop import STATUS_WORDS

    def best(valley: Any) -> dict[str, Any] | None:
        return None if valley is None else Estimate.from_draws(valley.draws, value=valley.median).to_json()

    return {
        "flops": optimum.flops,
        "sizes": len(optimum.params),
        "status": optimum.status,
        "why": STATUS_WORDS[optimum.status],
        "params": best(optimum.over_params),
        "tokens": best(optimum.over_tokens),
        "loss": optimum.over_params.best_loss if optimum.over_params else None,
    }


def _show(one: dict[str, Any]) -> None:
    from isoloss.cli.output import console, table

    shown = table(one["group"], "sizes", "N*", "D*", "loss, nats", "optimum")
    for budget in one["budgets"]:
        loss = "–" if budget["loss"] is None else f"{budget['loss']:.4f}"
        optimum = "inside" if budget["status"] == "ok" else budget["why"]
        cells = (_cell(budget["params"]), _cell(budget["tokens"]), loss, optimum)
        shown.add_row(f"{budget['flops']:.3g} FLOPs", str(budget["sizes"]), *cells)
    console().print(shown)
    for name, formula in QUANTITIES.items():
        if one["laws"]:
            law = one["laws"][name]
            console().print(f"{formula}: {_cell(law['exponent'])}, R² {law['r2']:.4f}")
    if one["no_law"]:
        console().print(f"no law: {one['no_law']}")


def _cell(estimate: dict[str, Any] | None) -> str:
    if estimate is None:
        return "–"
    if estimate["low"] is None:
        return f"{estimate['value']:.3g}"
    return f"{estimate['value']:.3g} [{estimate['low']:.3g}, {estimate['high']:.3g}]"
