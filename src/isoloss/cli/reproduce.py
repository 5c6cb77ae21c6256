"""`isoloss reproduce`: a published study from its own data, every number next to the published one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from isoloss.cli.app import Json, app
from isoloss.cli.output import open_progress, print_json, say

if TYPE_CHECKING:
    from isoloss.core.progress import Progress
    from isoloss.published.public_originals import Sources


StudyName = Literal["porian", "gzip", "chinchilla", "datablations"]


@app.command()
def reproduce(
    study: Annotated[StudyName, typer.Argument(help="Which study.")],
    data: Annotated[
        Path | None,
        typer.Option(
            help="Folder with the study's data: tables or the public originals. Without it, the command "
            "says what it needs."
        ),
    ] = None,
    fetch: Annotated[
        bool,
        typer.Option(
            "--fetch",
            help="Download the study's public originals to ~/.cache/isoloss/published (once), and check them. "
            "porian with --data: only the training curves.",
        ),
    ] = False,
    raw: Annotated[
        Path | None,
        typer.Option(
            help="porian: the pickle of training curves (experiment_results.pickle.xz). Only table classes "
            "are unpickled."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Results folder. Default: results/reproduce-STUDY.")] = None,
    json: Json = False,
) -> None:
    """Repeat a published study: its numbers next to ours, its figures, and a verdict on each claim.

    Example: `isoloss reproduce gzip --fetch`, `isoloss reproduce porian --data porian2024 --out results/porian`

    Every number has a tolerance with its reason. A claim holds, does not hold, or cannot be checked with these data.
    Writes a page, every figure as SVG and PNG with its numbers as CSV, and tables as Markdown and LaTeX.
    """
    import time
    from datetime import UTC, datetime

    from isoloss.cli.tables import show_reproduction
    from isoloss.core.pool import helper_pool
    from isoloss.published import studies
    from isoloss.published.page import write_reproduction
    from isoloss.published.public_originals import Sources

    folder = out or Path("results") / f"reproduce-{study}"
    progress = open_progress(as_json=json)
    source = Sources(folder=data, raw=raw)
    if fetch:
        source = _fetched(study, data, raw, progress, as_json=json)
    with helper_pool(f"isoloss.published.{study}", "isoloss.optima.isoflop", "scipy.interpolate") as helpers:
        found = studies.reproduce(study, source.folder, raw=source.raw, progress=progress, helpers=helpers)
        started = time.perf_counter()
        created = datetime.now(UTC).date()
        written = write_reproduction(found, folder, created=created, helpers=helpers, progress=progress)
        drawing_seconds = time.perf_counter() - started
    if json:
        described = found.to_json([str(path) for path in written.figures])
        print_json({
            **described, "drawing_seconds": drawing_seconds, "report": str(written.html),
            "fetched": [one.to_json() for one in source.fetched],
        })  # fmt: skip
    else:
        show_reproduction(found, drawing_seconds=drawing_seconds)
        say("", f"report: {written.html}")


def _fetched(study: str, data: Path | None, raw: Path | None, progress: "Progress", *, as_json: bool) -> "Sources":
    """Fetch a study, and say on standard error from where and under which licence; programs find it in the object."""
    from isoloss.published import studies
    from isoloss.published.folder import origin_of

    origin = origin_of(study)
    if not as_json:
        typer.echo(f"fetching from {origin.source}\nlicence: {origin.licence}", err=True)
    source = studies.fetched_sources(study, data, raw, progress=progress)
    for one in () if as_json else source.fetched:
        typer.echo(one.sentence(), err=True)
    return source
