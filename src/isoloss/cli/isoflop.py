"""The verb `isoflop`: approach 2, the best size of every budget, and power laws through them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from isoloss.cli.app import Json, Seed, app

if TYPE_CHECKING:
    from isoloss.optima.isoflop import IsoFlop, IsoFlopLaws

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
    from isoloss.optima.isoflop import fit_isoflop
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
    told = [(name, one, *_laws(one)) for name, one in found.items()]
    if json:
        print_json({"isoflop": [
            {
                "group": name, "interpolation": one.interpolation, "budgets": [each.to_json() for each in one.optima],
                "laws": law.to_json() if law else None, "no_law": reason,
            }
            for name, one, law, reason in told
        ]})  # fmt: skip
    else:
        for group_told in told:
            _show(*group_told)
    if not any(law for _, _, law, _ in told):
        raise typer.Exit(1)


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
        loss = f"{one.over_params.best_loss:.4f}" if one.over_params else "–"
        optimum = "inside" if one.status == "ok" else STATUS_WORDS[one.status]
        shown.add_row(f"{one.flops:.3g} FLOPs", str(len(one.params)), *best, loss, optimum)
    console().print(shown)
    for name, formula in QUANTITIES.items() if laws else ():
        law = getattr(laws, name)
        console().print(f"{formula}: {rounded(law.exponent, gap=' ')}, R² {law.r2:.4f}")
    if reason:
        console().print(f"no law: {reason}")
