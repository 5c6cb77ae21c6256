"""`isoloss explore`: a page to play with, of a law, a study or a table of runs."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isoloss.cli.app import Json, Seed, app
from isoloss.cli.columns import CountedBy, Flops, Group, Loss, Params, Tokens, Trunk, Where
from isoloss.cli.output import open_progress, print_json
from isoloss.core.bounds import MOST_DRAWS
from isoloss.core.errors import InputError

if TYPE_CHECKING:
    from isoloss.planning.laws import PlanLaw
    from isoloss.planning.plan_result import Plan

Page = Annotated[
    Path | None,
    typer.Option(help="Write an interactive page (HTML) to this file: a slider sets the budget."),
]
"""The option that other verbs offer."""


@app.command()
def explore(
    source: Annotated[
        Path, typer.Argument(help="A law's file (JSON), a results folder, or a table of runs (CSV, Parquet, JSON).")
    ],
    second: Annotated[Path | None, typer.Argument(help="A second source, shown side by side with the first.")] = None,
    params: Params = "params",
    params_convention: CountedBy = None,
    tokens: Tokens = "tokens",
    loss: Loss = "loss_nats",
    flops: Flops = None,
    group: Group = None,
    trunk: Trunk = None,
    where: Where = None,
    law: Annotated[
        list[str] | None,
        typer.Option(help="Law to fit to runs; may be repeated. Default: chinchilla, coupled and ceiling."),
    ] = None,
    bootstrap: Annotated[
        int, typer.Option(min=0, max=MOST_DRAWS, help="Number of resamples for the intervals of fits made here.")
    ] = 200,
    out: Annotated[Path, typer.Option(help="The page.")] = Path("explore.html"),
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Write an interactive page: move the budget and see the best split of every corpus with its interval.

    Example: `isoloss explore results/laptop --open`

    The page is one HTML file that works offline. Sliders move the budget and, for a data-dependent law, the measure of
    the text. Switches change the law and how parameters are counted. Runs are fitted here; laws from a file or a study
    are shown unchanged. Two sources are shown side by side.
    """
    from isoloss.runs.observations import UNSTATED

    # A table that cannot be read is refused before what draws is loaded.
    trunks = [(path, trunk or own_trunk(path)) for path in (source, second) if path is not None]
    from isoloss.explorer.page import write_explorer
    from isoloss.explorer.sources import open_source

    columns: dict[str, Any] = {
        "tokens": tokens, "loss": loss, "flops": flops, "where": where, "corpus": group,
        "params_convention": params_convention or UNSTATED,
    }  # fmt: skip
    columns |= {"params": params} if params != "params" else {}  # an archive counts by its other columns too
    progress = open_progress(as_json=json)
    sources = [
        open_source(
            path, columns=columns | {"trunk": own}, forms=law or (), bootstrap=bootstrap, seed=seed, progress=progress
        )
        for path, own in trunks
    ]  # fmt: skip
    write_explorer(sources, out)
    if open_page:
        typer.launch(str(out.resolve()))
    if json:
        laws = [{"name": one.name, "corpora": sorted({each.base.group for each in one.laws}),
                 "forms": sorted({each.base.law for each in one.laws}),
                 "measures": [joint.measure for joint in one.joint]} for one in sources]  # fmt: skip
        print_json({"page": str(out), "bytes": out.stat().st_size, "sources": laws})
    else:
        typer.echo(f"written: {out}")


def own_trunk(runs: Path) -> str | None:
    """Return the column of training curves of a table that has one by the name of ours."""
    from isoloss.runs.read_runs import open_table

    if not runs.is_file() or runs.suffix == ".json":
        return None
    return "trunk" if "trunk" in open_table(runs).column_names else None


def check_page(page: Path | None, *, form: str | None = None) -> None:
    """Raise InputError, before any work, for a page that is no HTML file, or a form that a page cannot compute."""
    if page is None:
        return
    from isoloss.explorer.sources import require_drawn

    if form is not None:
        require_drawn(form, place="--page")
    if page.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"found {page.name!r}, expected an .html file", place="--page", fix="name it page.html")


def write_planned(plan: "Plan", laws: "Sequence[PlanLaw]", page: Path) -> None:
    """Write the page of the laws that a plan goes by, opened at the plan's budget."""
    from isoloss.explorer.page import write_explorer
    from isoloss.explorer.sources import of_plan

    repeats = plan.epochs is not None and plan.epochs.value > 1
    write_explorer([of_plan(plan.corpus, laws, repeats=repeats)], page, opened_at=plan.flops.value)
