"""The application: one function a verb, imports where they are used so that `--help` answers at once."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup
from typer.main import get_command

from isoloss.cli.panels import OPTIONS, VERBS

_shared = typer.Typer(add_completion=False)


def _be_quiet(asked: bool) -> None:
    from isoloss.cli import output

    output.asked_quiet = output.asked_quiet or asked


@_shared.command()
def _every_verb(
    quiet: Annotated[
        bool,
        typer.Option(
            "--quiet",
            "-q",
            callback=_be_quiet,
            expose_value=False,
            help="Print the result alone, without progress and notes.",
        ),
    ] = False,
) -> None:
    """Hold the options that every verb takes."""


class Verbs(TyperGroup):
    """Verbs as help lists them: each with the options that all take, verbs and options under headings."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        verbs: dict[str, Any] = dict(self.commands)
        for name, verb in verbs.items():
            verb.rich_help_panel = VERBS.get(name)
            if isinstance(verb, TyperGroup):
                continue
            for option in verb.params:
                option.rich_help_panel = OPTIONS.get(name, {}).get(option.name)
            verb.params[-1:-1] = get_command(_shared).params  # before --json

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the verbs, heading by heading."""
        named = [name for name in VERBS if name in self.commands]
        return named + [name for name in self.commands if name not in named]


app = typer.Typer(
    cls=Verbs,
    name="isoloss",
    help="Scaling laws that know your data: from a corpus to the compute-optimal split of a budget, with intervals.\n\n"
    "Start with `isoloss demo`. For your own runs use `isoloss fit`; for your own text `isoloss plan`, `isoloss "
    "measure` and "
    "`isoloss new`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
grammar_app = typer.Typer(
    cls=Verbs,
    help="Describe, sample, search and score probabilistic grammars, which generate artificial corpora.",
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
        help="Allow importing this module if a file names its laws, measures or tokenizers. May be repeated.",
    ),
]  # fmt: skip
Figure = Annotated[Path | None, typer.Option(help="Draw the result into an .svg or .png file.")]
Seed = Annotated[int, typer.Option(min=0, help="Random seed: the same seed gives the same numbers.")]


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
