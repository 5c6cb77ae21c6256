"""The verb `tune`: the best rate and batch of anybody's sweep, and how they follow parameters, tokens and batch."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isoloss.cli import output
from isoloss.cli.app import Json, Seed, app
from isoloss.cli.columns import Group, Params, Tokens, Where
from isoloss.core.errors import InputError

if TYPE_CHECKING:
    from isoloss.core.estimate import Estimate
    from isoloss.tuning.joint import CellOptimum, TunedSweep


@app.command()
def tune(
    runs: Annotated[
        Path, typer.Argument(help="CSV, TSV, Parquet, JSON or JSONL file with one row per run of a sweep.")
    ],
    params: Params = "params",
    tokens: Tokens = "tokens",
    rate: Annotated[str, typer.Option(help="Column of peak learning rates, or a formula.")] = "peak_lr",
    batch_tokens: Annotated[
        str,
        typer.Option(
            help='Column of tokens per batch, or a formula: "sequences * 2048". none: all runs have one batch size.'
        ),
    ] = "batch_tokens",
    loss: Annotated[
        str,
        typer.Option(
            help="Column of final losses in nats per token, or a formula; empty or NaN for runs that diverged."
        ),
    ] = "loss_nats",
    run_seed: Annotated[str | None, typer.Option(help="Column of seeds. Each seed gets its own optima.")] = None,
    group: Group = None,
    where: Where = None,
    at: Annotated[
        list[str] | None,
        typer.Option(help="Predict the best learning rate and batch of a run of N,D. May be repeated."),
    ] = None,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Fit rules for learning rate and batch size to a sweep from anywhere.

    Example: `isoloss tune sweep.csv --params N --tokens D --rate lr --batch-tokens "bs * 2048" --at 7e9,1e12`

    A cell is one model size with one number of training tokens. In each cell, parabolas through the runs near the
    lowest loss give the best rate and batch, and the range that costs at most 1 %. An optimum on the edge of the grid
    is marked and not used. Over all cells, the best rate is fitted as a power law in parameters, tokens and batch, and
    the best batch as a power law in parameters and tokens, with 95 % intervals. Exit 1 if no law is found.
    """
    from isoloss.cli.fit_output import numbers_of
    from isoloss.tuning.joint import fit_sweep
    from isoloss.tuning.reading import read_sweep

    points = [numbers_of(text, option="--at") for text in at or []]
    if any(len(point) != 2 for point in points):
        raise InputError("expected two numbers", place="--at", fix="write N,D as 7e9,1e12")
    batch = None if batch_tokens == "none" else batch_tokens
    groups = read_sweep(
        runs, params=params, tokens=tokens, rate=rate, batch_tokens=batch, loss=loss, seed=run_seed, group=group,
        where=where,
    )  # fmt: skip
    found = [fit_sweep(own, group=name, seed=seed) for name, own in groups.items()]
    recipes = [[(n, d, one.recipe(params=n, tokens=d)) for n, d in points if one.rate] for one in found]
    if json:
        described = [one.to_json() | {"recipes": _plain(recipe)} for one, recipe in zip(found, recipes, strict=True)]
        output.print_json({"sweeps": described})
    else:
        for one, recipe in zip(found, recipes, strict=True):
            _show(one, recipe)
    if not any(one.rate for one in found):
        raise typer.Exit(1)


def _plain(recipes: "Sequence[tuple[float, float, dict[str, Estimate]]]") -> list[dict[str, Any]]:
    return [
        {"params": n, "tokens": d, **{name: one.to_json() for name, one in settings.items()}}
        for n, d, settings in recipes
    ]


def _show(found: "TunedSweep", recipes: "Sequence[tuple[float, float, dict[str, Estimate]]]") -> None:
    from isoloss.cli.tables import rounded
    from isoloss.runs.observations import NO_GROUP

    sizes = "N (params)" if found.group == NO_GROUP else f"{found.group}: N"
    shown = output.table(
        sizes, "D (tokens)", "runs", "best rate", "within 1 %", "best batch", "within 1 %", "loss, nats"
    )
    for cell in found.cells:
        shown.add_row(
            f"{cell.params:.3g}", f"{cell.tokens:.3g}", str(cell.runs), *_cells(cell), f"{cell.loss_nats:.4f}"
        )
    shown.caption = "≤ and ≥: the optimum is on the edge of the grid or beyond it."
    output.console().print(shown)
    for sentence in found.sentences():
        output.console().print(sentence)
    if recipes:
        asked = output.table("N (params)", "D (tokens)", "best batch", "best rate")
        for n, d, settings in recipes:
            batch = settings.get("batch_tokens")
            asked.add_row(f"{n:.3g}", f"{d:.3g}", rounded(batch, gap=" ") if batch else "–",
                          rounded(settings["peak_lr"], gap=" "))  # fmt: skip
        output.console().print(asked)


def _cells(cell: "CellOptimum") -> list[str]:
    """Return the best rate and batch of a cell with the range around each, marked where they are on an edge."""
    found = []
    for value, within, edge in (
        (cell.peak_lr, cell.rate_within, cell.rate_edge), (cell.batch_tokens, cell.batch_within, cell.batch_edge),
    ):  # fmt: skip
        around = "–" if within is None else f"{within[0]:.2g} to {within[1]:.2g}"
        found += [f"{output.EDGES[edge]}{value:.3g}", around]
    return found
