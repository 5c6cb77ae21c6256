"""`isoloss schema`: what a verb's `--json` holds, as JSON Schema."""

from pathlib import Path
from typing import Annotated

import typer

from isoloss.cli.app import Json, app
from isoloss.cli.output import print_json
from isoloss.core.errors import UnknownName, did_you_mean


@app.command()
def schema(
    verb: Annotated[
        str | None, typer.Argument(help="A verb such as fit or grammar_search. Default: list all verbs.")
    ] = None,
    json: Json = False,
) -> None:
    """Print the JSON Schema of what a verb prints under `--json`.

    A key that a schema requires stays; new keys may be added. An error is one object with the key `error` instead. With
    `--json` all schemas are printed as one object.

    Example: `isoloss schema plan`
    """
    from json import loads

    known = schemas()
    if verb is not None and verb not in known:
        raise UnknownName(f"no schema of {verb!r}", fix=did_you_mean(verb, known))
    if json:
        print_json({"schemas": {name: loads(text) for name, text in known.items() if verb in (None, name)}})
    else:
        typer.echo("\n".join(known) if verb is None else known[verb].rstrip())


def schemas() -> dict[str, str]:
    """Return the text of every verb's schema, by verb; those of `grammar` as grammar_describe."""
    found = sorted(Path(__file__).with_name("schemas").glob("*.json"))
    return {file.stem: file.read_text(encoding="utf-8") for file in found}
