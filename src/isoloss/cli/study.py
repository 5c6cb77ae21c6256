"""The verbs that work on a study or its results: new, check, run, demo, report, runs."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isoloss.cli.app import Json, app

if TYPE_CHECKING:
    from isoloss.core.progress import Progress
    from isoloss.study.spec import Study


class Until(StrEnum):
    """Where `run` stops."""

    CORPORA = "corpora"
    COMPLEXITY = "complexity"
    TRAIN = "train"
    FIT = "fit"
    REPORT = "report"


Out = Annotated[Path | None, typer.Option(help="Results folder; without it, results/NAME.")]
StudyFile = Annotated[Path, typer.Argument(help="The study's TOML file.")]
Folder = Annotated[Path, typer.Argument(help="A results folder.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Runs at a time; without it, cores ÷ threads of a run.")]


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Name of the study; the file is NAME.toml.")],
    json: Json = False,
) -> None:
    """Write a commented study file to start from."""
    from isoloss.cli.output import print_json
    from isoloss.study.template import write_template

    path = write_template(name, folder=Path())
    if json:
        print_json({"study": str(path)})
    else:
        typer.echo(f"{path} written; next: isoloss check {path}")


@app.command()
def check(study: StudyFile, json: Json = False) -> None:
    """Validate a study, list every run, and say what it will cost. Executes nothing, writes nothing."""
    from isoloss.cli import tables
    from isoloss.cli.output import print_json
    from isoloss.study.check import check_study
    from isoloss.study.spec import Study

    checked = check_study(Study.load(study), base=study.resolve().parent)
    if json:
        print_json(checked.to_json())
    else:
        tables.show_check(checked)


@app.command()
def run(
    study: StudyFile,
    out: Out = None,
    executor: Annotated[str, typer.Option(help="Where runs train: local.")] = "local",
    workers: Workers = None,
    until: Annotated[Until, typer.Option(help="Stop after this stage.")] = Until.REPORT,
    json: Json = False,
) -> None:
    """Do everything a study asks: corpora, complexity, training, fits, report.

    Interrupted, the same command goes on from there: finished runs are kept, unfinished ones resume from their
    checkpoint.
    """
    from isoloss.study.spec import Study

    _conduct(Study.load(study), base=study.resolve().parent, out=out, executor=executor, workers=workers, until=until,
             json=json)  # fmt: skip


@app.command()
def demo(out: Out = None, workers: Workers = None, json: Json = False) -> None:
    """Run the shipped study `laptop`: three real corpora and three grammars, about five minutes on two cores."""
    from isoloss.study.spec import Study

    _conduct(Study.shipped("laptop"), base=Path(), out=out, executor="local", workers=workers, until=Until.REPORT,
             json=json)  # fmt: skip


@app.command()
def report(folder: Folder, json: Json = False) -> None:
    """Fit and write the report of a results folder again, without training anything."""
    from isoloss.cli.output import print_json
    from isoloss.study.lab import Lab

    lab = Lab.reopen(folder, progress=_progress(folder, json=json))
    files = lab.report(lab.remembered_study())
    if json:
        print_json({"report": str(files.html), "markdown": str(files.markdown)})
    else:
        typer.echo(f"report: {files.html}")


@app.command()
def runs(
    folder: Folder,
    sql: Annotated[str | None, typer.Option(help="A query over the table `runs`.")] = None,
    json: Json = False,
) -> None:
    """List the runs of a results folder, or query them with SQL.

    Example: `isoloss runs results/laptop --sql "SELECT corpus, min(loss_nats) FROM runs GROUP BY corpus"`
    """
    from isoloss.cli import tables
    from isoloss.cli.output import print_json
    from isoloss.study.lab import Lab

    table = Lab.reopen(folder).query(sql)
    if json:
        print_json({"runs": tables.plain_rows(table)})
    else:
        tables.show_rows(table)


def _conduct(
    study: "Study", *, base: Path, out: Path | None, executor: str, workers: int | None, until: Until, json: bool
) -> None:
    from isoloss.cli import tables
    from isoloss.cli.output import print_json
    from isoloss.study.lab import Lab

    folder = out or Path("results") / study.name
    progress = _progress(folder, json=json)
    lab = Lab(folder, executor=executor, workers=workers, base=base, progress=progress)
    result = lab.run(study, until=until.value)
    if json:
        print_json(result.to_json())
    else:
        tables.show_result(result)
    if result.failed:
        raise typer.Exit(1)


def _progress(folder: Path, *, json: bool) -> "Progress":
    from isoloss.cli.output import progress

    return progress(folder / "isoloss.log", json=json)
