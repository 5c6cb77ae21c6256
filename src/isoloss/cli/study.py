"""The verbs that work on a study or its results: new, check, run, demo, report, runs."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from isoloss.cli.app import Allow, Json, app, typed
from isoloss.cli.output import open_progress, print_json, say, warn
from isoloss.core.errors import InputError

if TYPE_CHECKING:
    from isoloss.study.spec import EvaluateStudy, Study


Until = Literal["corpora", "complexity", "train", "fit", "report"]
Out = Annotated[Path | None, typer.Option(help="Results folder. Default: results/NAME.")]
StudyFile = Annotated[Path, typer.Argument(help="The study's TOML file.")]
Folder = Annotated[Path, typer.Argument(help="A results folder.")]
Workers = Annotated[
    int | None, typer.Option(min=1, help="How many runs to train at a time. Default: cores ÷ threads per run.")
]


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Name of the study; the file is NAME.toml.")],
    json: Json = False,
) -> None:
    """Write a commented study file to start from."""
    from isoloss.study.template import write_template

    path = write_template(name, folder=Path())
    if json:
        print_json({"study": str(path)})
    else:
        say(f"{path} written; next: isoloss check {path}")


@app.command()
def check(study: StudyFile, out: Out = None, allow: Allow = None, json: Json = False) -> None:
    """Validate a study, list every run, and estimate the cost. Trains nothing and writes nothing.

    Corpora are read to count their tokens. A corpus that is already in the results folder is not built again.
    """
    from isoloss.cli import tables
    from isoloss.study.check import check_study
    from isoloss.study.spec import EvaluateStudy, load_study

    asked = load_study(study)
    if isinstance(asked, EvaluateStudy):
        _check_evaluations(asked, base=study.resolve().parent, json=json)
        return
    checked = check_study(asked, base=study.resolve().parent, results=results_of(asked, out),
                          progress=open_progress(as_json=json))  # fmt: skip
    if json:
        print_json(checked.to_json())
    else:
        tables.show_check(checked)


@app.command()
def run(
    study: StudyFile,
    out: Out = None,
    executor: Annotated[
        str,
        typer.Option(
            help="Where to train. local: processes on this machine, one per core or GPU; ray: tasks on a cluster; "
            "torchrun: one run at a time, its model sharded over all processes; module:Name: your own.",
            callback=typed,
        ),
    ] = "local",
    workers: Workers = None,
    address: Annotated[
        str | None,
        typer.Option(
            help="Address of a Ray cluster (`auto`, HOST:PORT). Default: start one here and stop it at the end."
        ),
    ] = None,
    launch: Annotated[str, typer.Option(help="More options for torchrun, for several machines.")] = "",
    shard: Annotated[
        str | None, typer.Option(metavar="I/N", help="Train only the I-th of N parts of the study, then stop.")
    ] = None,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Also write TensorBoard event files.")] = False,
    until: Annotated[Until | None, typer.Option(help="Stop after this stage. Default: report.")] = None,
    allow: Allow = None,
    json: Json = False,
) -> None:
    """Run a study: build corpora, measure them, train, fit, and write the report.

    A study with `[evaluate]` and no `[grid]` evaluates existing models on corpora and trains nothing. After an
    interruption the same command continues: finished runs are kept, unfinished ones resume from their checkpoint.
    """
    from isoloss.study.spec import EvaluateStudy, load_study

    asked, base = load_study(study), study.resolve().parent
    where: dict[str, Any] = {"executor": executor, "workers": workers, "address": address, "launch": launch,
                             "shard": shard, "tensorboard": tensorboard}  # fmt: skip
    _refuse_idle_options(asked, until=until, **where)
    until = until or ("train" if shard else "report")
    if isinstance(asked, EvaluateStudy):
        _evaluate(asked, base=base, out=out, json=json)
    else:
        _conduct(asked, base=base, out=out, until=until, json=json, **where)


@app.command()
def demo(out: Out = None, workers: Workers = None, json: Json = False) -> None:
    """Run the bundled study `laptop`: three real corpora and three grammars, about five minutes on two cores."""
    from isoloss.study.spec import Study

    _conduct(Study.shipped("laptop"), base=Path(), out=out, until="report", json=json, workers=workers)


@app.command()
def report(folder: Folder, allow: Allow = None, json: Json = False) -> None:
    """Repeat the fits and rewrite the report of a results folder. Trains nothing.

    Example: `isoloss report results/laptop`
    """
    from isoloss.study.lab import Lab

    lab = Lab.reopen(folder, progress=open_progress(folder, as_json=json))
    files = lab.report(lab.remembered_study())
    if json:
        print_json({"report": str(files.html), "markdown": str(files.markdown)})
    else:
        say(f"report: {files.html}")


@app.command()
def runs(
    folder: Folder,
    sql: Annotated[str | None, typer.Option(help="SQL query over the table `runs`.")] = None,
    json: Json = False,
) -> None:
    """List the runs of a results folder, or query them with SQL.

    Example: `isoloss runs results/laptop --sql "SELECT corpus, min(loss_nats) FROM runs GROUP BY corpus"`
    """
    from isoloss.cli import rows, tables
    from isoloss.runs.archive import Archive

    archive = Archive.reopen(folder)
    table = archive.query(sql)
    warn(archive.passed_over, as_json=json)
    if json:
        print_json({"runs": rows.plain_rows(table), "passed_over": archive.passed_over})
    else:
        tables.show_rows(table)


def _refuse_idle_options(study: "Study | EvaluateStudy", *, executor: str, **given: Any) -> None:
    """Raise InputError for an option of `run` that would change nothing."""
    from isoloss.study.spec import EvaluateStudy

    if isinstance(study, EvaluateStudy):
        idle = [name for name, value in given.items() if value] + ["executor"] * (executor != "local")
        why = "the study evaluates existing models and trains nothing"
        fix = "remove the option, or add [grid] and [training]"
    else:
        owners = {"address": "ray", "launch": "torchrun"}
        idle = [name for name, owner in owners.items() if given[name] and executor != owner]
        why = f"the executor is {executor}"
        fix = f"add --executor {owners[idle[0]] if idle else ''}, or remove the option"
    if idle:
        raise InputError(f"{why}: the option would have no effect", place=f"--{idle[0]}", fix=fix)


def _check_evaluations(study: "EvaluateStudy", *, base: Path, json: bool) -> None:
    from isoloss.core.numbers import counted_corpora
    from isoloss.study.evaluation import given_subjects

    models = given_subjects(study.evaluate.models, base=base)
    if json:
        print_json({"name": study.name, "models": [model.name for model in models]})
    else:
        say(f"{len(models)} models on {counted_corpora(len(study.corpus))}. The study is valid; nothing was executed.")


def _evaluate(study: "EvaluateStudy", *, base: Path, out: Path | None, json: bool) -> None:
    from isoloss.cli import tables
    from isoloss.study.evaluation import CSV_NAME
    from isoloss.study.lab import Lab

    folder = results_of(study, out)
    started = time.perf_counter()
    evaluated = Lab(folder, base=base, progress=open_progress(folder, as_json=json)).evaluate(study)
    assert evaluated is not None, "the study has [evaluate]"
    if json:
        written = {"table": str(folder / CSV_NAME), "seconds": time.perf_counter() - started}
        print_json({"name": study.name, **evaluated.to_json(), **written})
    else:
        tables.show_evaluated(evaluated)
        say("", f"table: {folder / CSV_NAME}")


def _conduct(study: "Study", *, base: Path, out: Path | None, until: Until, json: bool, **where: Any) -> None:
    from isoloss.cli import study_output

    folder = results_of(study, out)
    progress = open_progress(folder, as_json=json)
    # Said before the laboratory loads: who reads a pipe sees at once that the study was understood.
    progress.note(f"study {study.name}: {len(study.corpus)} corpora, results in {folder}")
    from isoloss.study.lab import Lab

    lab = Lab(folder, base=base, progress=progress, **where)
    # A sweep's tables and those of several rates are printed from the fits themselves.
    take_kept = study.tune is None and not study.training.rate_arms
    result = lab.run(study, until=until, take_kept=take_kept)
    if json:
        print_json(result.to_json())
    else:
        study_output.show_result(result)
    if result.failed:
        raise typer.Exit(1)


def results_of(study: "Study | EvaluateStudy", out: Path | None) -> Path:
    """Return the folder of a study's results: the one that was asked for, else results/NAME."""
    return out or Path("results") / study.name
