"""What several verbs ask of a table of runs, in the same words."""

from pathlib import Path
from typing import Annotated

import typer

from isoloss.cli.app import Convention

Table = Annotated[
    Path, typer.Argument(help="CSV, TSV, Parquet, JSON or JSONL file with one row per run, or a results folder.")
]
Params = Annotated[str, typer.Option(help='Column of model sizes N, or a formula: "n_millions * 1e6".')]
CountedBy = Annotated[
    Convention | None, typer.Option(help="How --params counts parameters, if the table does not say.")
]
Tokens = Annotated[str, typer.Option(help="Column of training tokens D, or a formula.")]
Loss = Annotated[str, typer.Option(help='Column of final losses in nats per token, or a formula: "bits * ln(2)".')]
Flops = Annotated[str | None, typer.Option(help="Column of training FLOPs. Default: C = 6·N·D.")]
Group = Annotated[
    str | None,
    typer.Option(help="Column that names the corpus, or several columns (a,b). Each group is analysed by itself."),
]
Where = Annotated[
    str | None,
    typer.Option(help="SQL condition that selects the rows to use, with text in single quotes: \"dataset = 'code'\"."),
]
Trunk = Annotated[
    str | None,
    typer.Option(help="Column that names the training curve of a row. Rows of one curve are not independent."),
]
Best = Annotated[bool, typer.Option("--best", help="Keep only the best run of each size and token count (and corpus).")]
