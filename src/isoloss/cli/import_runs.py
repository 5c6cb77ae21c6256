"""`isoloss import`: runs from elsewhere into a results folder."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from isoloss.cli.app import Json, app
from isoloss.cli.output import print_json
from isoloss.core.errors import InputError, did_you_mean


@app.command(name="import")
def import_(
    source: Annotated[
        Path,
        typer.Argument(
            help="TensorBoard event files or a folder of them, trainer_state.json or a folder of checkpoints, wandb's "
            "offline runs, the gzip paper's JSONL, or a table: CSV, TSV, JSON, JSONL, Parquet."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Results folder to write the runs to.")] = Path("results/imported"),
    params: Annotated[
        str | None, typer.Option(help="Model size N: a number, a column or tag, or a formula over columns.")
    ] = None,
    tokens: Annotated[
        str | None, typer.Option(help="Training tokens D: a number, a column or tag, or a formula over columns.")
    ] = None,
    batch_tokens: Annotated[
        int | None, typer.Option(min=1, help="Tokens per step, if the source counts only steps.")
    ] = None,
    sample_tokens: Annotated[
        int | None, typer.Option(min=1, help="Tokens per sample, if the source's steps count samples.")
    ] = None,
    loss: Annotated[
        str | None,
        typer.Option(help="Column or tag of the loss. Its last value is used, with N, D and C at that step."),
    ] = None,
    unit: Annotated[Literal["nats", "bits", "perplexity"], typer.Option(help="Unit of the loss, per token.")] = "nats",
    flops: Annotated[str | None, typer.Option(help="Training FLOPs. Default: C = 6·N·D.")] = None,
    group: Annotated[str | None, typer.Option(help="Column that names the corpus of a run.")] = None,
    corpus: Annotated[str | None, typer.Option(help="Name of the corpus, if all runs have the same one.")] = None,
    run: Annotated[str | None, typer.Option(help="Column of a table that names the run.")] = None,
    step: Annotated[
        str | None,
        typer.Option(
            help="Column of steps, for a table with one row per logged step. The last step of each run is used."
        ),
    ] = None,
    where: Annotated[str | None, typer.Option(help="SQL condition that selects the rows of a table.")] = None,
    convention: Annotated[
        str | None,
        typer.Option(help="How parameters were counted: total, non_embedding, with_head or with_attention."),
    ] = None,
    json: Json = False,
) -> None:
    """Import runs from logs or tables into a results folder, for `isoloss runs` and `isoloss fit`.

    Example: `isoloss import logs/ --params 124e6 --batch-tokens 524288 --loss eval/loss --corpus web`

    Everything else in the source becomes a column (`isoloss runs DIR --sql`), and training curves are kept. Importing a
    source again adds nothing twice: with other options, such as a corrected unit, its runs replace those imported
    before for the same corpus.
    """
    from isoloss.cli import tables
    from isoloss.cli.rows import plain
    from isoloss.runs.imported import Mapped, import_runs
    from isoloss.runs.shapes import PARAMS_CONVENTIONS

    if convention is not None and convention not in PARAMS_CONVENTIONS:
        raise InputError(f"no convention {convention!r}", place="--convention",
                         fix=did_you_mean(convention, PARAMS_CONVENTIONS))  # fmt: skip
    mapped = Mapped(
        params=params, tokens=tokens, loss=loss, unit=unit, flops=flops, corpus=corpus, group=group,
        batch_tokens=batch_tokens, sample_tokens=sample_tokens, run=run, step=step, where=where, convention=convention,
    )  # fmt: skip
    imported = import_runs(source, out, mapped)
    if json:
        print_json({
            "runs": [plain(row) for row in imported.rows], "folder": str(out), "table": str(imported.table),
            "replaced": imported.replaced, "known": imported.known, "runs_in_folder": imported.in_folder,
            "warnings": imported.warnings,
        })  # fmt: skip
    else:
        tables.show_imported(imported, out)
