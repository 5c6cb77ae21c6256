"""The application: one function a verb, imports where they are used so that `--help` answers at once."""

from pathlib import Path
from typing import Annotated, Literal

import typer

app = typer.Typer(
    name="isoloss",
    help="Scaling laws that know your data: from a corpus to the compute-optimal split of a budget, with intervals.\n\n"
    "Start with `isoloss demo`; bring your own runs with `isoloss fit`, your own text with `isoloss measure` and "
    "`isoloss new`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
grammar_app = typer.Typer(
    help="Probabilistic grammars: what they are, and corpora drawn from them.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
app.add_typer(grammar_app, name="grammar")

Json = Annotated[bool, typer.Option("--json", help="Print exactly one JSON object to standard output.")]
Convention = Literal["total", "non_embedding", "with_head", "with_attention"]


def typed(value: str | None) -> str | None:
    """Return what the user typed, having allowed the modules that it names."""
    from isoloss.core.consent import allow_typed

    if value is not None:
        allow_typed(value)
    return value


def _allow(modules: list[str] | None) -> list[str] | None:
    from isoloss.core.consent import allow

    allow(*(modules or ()))
    return modules


Allow = Annotated[
    list[str] | None,
    typer.Option(
        callback=_allow, metavar="MODULE",
        help="Let this module's own laws, measures and tokenizers be imported where a file names them; repeatable.",
    ),
]  # fmt: skip
Figure = Annotated[Path | None, typer.Option(help="Draw what is found into an .svg or .png file.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of everything random; same seed, same numbers.")]


def _version(asked: bool) -> None:
    if asked:
        from isoloss import __version__

        typer.echo(f"isoloss {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    del version
