"""How `isoloss fit` prints and saves."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from isoloss.cli.output import print_json
from isoloss.core.errors import InputError

if TYPE_CHECKING:
    from isoloss.laws.data_dependent import Comparison
    from isoloss.laws.fitted import FittedLaw


def show(
    fitted: Sequence["FittedLaw"], comparison: Sequence["Comparison"], written: Sequence[Path], *, as_json: bool
) -> None:
    """Print the fits: one JSON object, or a page of text each."""
    if as_json:
        print_json({
            "fits": [law.to_json() for law in fitted],
            "comparison": [one.to_json() for one in comparison],
            "law_files": [str(path) for path in written],
        })  # fmt: skip
        return
    typer.echo("\n\n".join(law.summary() for law in fitted))
    for path in written:
        typer.echo(f"written: {path}")
    for one in comparison:
        typer.echo("\n" + " ".join(one.sentences()))


def column_or_number(text: str | None) -> str | float | None:
    """Return a number where the option holds one, else the name of a column."""
    try:
        return text if text is None else float(text)
    except ValueError:
        return text


def law_files(out: Path | None, count: int) -> list[Path]:
    """Return where `count` laws go: `out` itself, or `out` numbered. Raises InputError for a name that is no JSON."""
    if out is None:
        return []
    if out.suffix != ".json":
        raise InputError(f"found {out.name!r}, expected a .json file", place="--out", fix="name it LAW.json")
    return [out] if count == 1 else [out.with_name(f"{out.stem}.{number}.json") for number in range(1, count + 1)]
