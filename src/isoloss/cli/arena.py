"""`isoloss arena`: methods of fitting scaling laws, scored where the truth is known and on runs held out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isoloss.cli.app import Json, Seed, app
from isoloss.cli.output import console, open_progress, print_json, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from isoloss.arena.scores import Entry
    from isoloss.runs.observations import Observations


@app.command()
def arena(
    methods: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="METHOD.py...",
            help="Python files with a function `fit`, or names of bundled methods (chinchilla, coupled, weighted, "
            "…). Default: all bundled methods. A file named here is executed.",
        ),
    ] = None,
    repeats: Annotated[
        int, typer.Option(min=1, help="Simulated tables for each of five laws on each of three designs.")
    ] = 4,
    seconds: Annotated[float, typer.Option(help="Seconds (wall clock) that a method may take per table.")] = 60.0,
    memory_gb: Annotated[float, typer.Option(help="Memory (address space) that a method may use, in GB.")] = 4.0,
    published: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STUDY=FOLDER",
            help="Also score on the runs of a published study (porian, gzip, chinchilla or datablations) in the folder "
            "that `reproduce STUDY --data` takes. Repeatable.",
        ),
    ] = None,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Score methods of fitting on tables with a known truth: lowest possible loss, best split, losses beyond the runs.

    Example: `isoloss arena mine.py chinchilla weighted`

    A method is one file whose `fit(table)` returns an object with `predict(params, tokens)` or `best(flops)`, or both.
    It runs in its own process, without network access if the system allows that.
    """
    from isoloss.arena.arena import all_tasks, compete
    from isoloss.arena.referee import OURS, Limits, method_file

    sources = [method_file(name) for name in methods or OURS]
    tasks = all_tasks(repeats=repeats, seed=seed, published=_published(published or ()))
    limits, entries = Limits(seconds=seconds, memory_gb=memory_gb), []
    progress = open_progress(as_json=json)
    with progress.task("methods", total=len(sources)) as bar:
        for entry in compete(sources, tasks, limits=limits):
            entries.append(entry)
            bar.advance(1, detail=entry.method)
    if json:
        settings = {"repeats": repeats, "seed": seed, "seconds": seconds, "memory_gb": memory_gb}
        print_json({"settings": settings, "entries": [entry.to_json() for entry in entries]})
    else:
        _show(entries)


def _published(named: "Sequence[str]") -> "Iterator[tuple[str, Observations]]":
    """Yield the tables of every `STUDY=FOLDER`. Raises InputError for one that is none."""
    from isoloss.core.errors import InputError
    from isoloss.published.studies import runs_of

    for one in named:
        study, separator, folder = one.partition("=")
        if not separator:
            raise InputError(
                f"no study and folder in {one!r}", place="--published", fix="write --published porian=FOLDER"
            )
        yield from runs_of(study, Path(folder))


def _show(entries: "Sequence[Entry]") -> None:
    from typing import get_args

    from isoloss.arena.tables import HEADS, faults, track_rows
    from isoloss.arena.tasks import Track

    screen = console()
    titles = {
        "floorbench": "FloorBench: runs on artificial languages with a known floor; sealed runs held out",
        "next": "FloorBench: choosing the next runs, for a tenth of the compute",
        "simulated": "simulated tables with a known truth", "runs": "bundled runs; those with the most compute held "
        "out",
        "published": "published runs; those with the most compute held out",
    }  # fmt: skip
    for track in get_args(Track):
        if rows := track_rows(entries, track):
            shown = table(*HEADS[track])
            shown.caption = titles[track]
            for row in rows:
                shown.add_row(*row)
            screen.print(shown)
    for sentence in faults(entries):
        screen.print(sentence, soft_wrap=True)
    if not all(entry.offline for entry in entries):
        typer.echo("this system gives no namespace without a network, so only Python refused connections")
