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


def show(fitted: Sequence["FittedLaw"], comparison: Sequence["Comparison"], *, as_json: bool) -> None:
    """Print the fits: one JSON object, or a page of text each."""
    if as_json:
        print_json({"fits": [law.to_json() for law in fitted], "comparison": [c.to_json() for c in comparison]})
        return
    typer.echo("\n\n".join(law.summary() for law in fitted))
    if comparison:
        typer.echo("\nleft-out corpora: root mean square of ln L − ln L̂, law by measure against one law for all")
        for one in comparison:
            typer.echo(
                f"  {one.measure}: {one.heldout_error:.4f} against {one.pooled_error:.4f} pooled "
                f"(p = {one.p_value:.2g})"
            )


def save(fitted: Sequence["FittedLaw"], out: Path) -> None:
    """Write each law: to `out` where there is one, else to `out` with the group's position before the suffix."""
    if out.suffix != ".json":
        raise InputError(f"found {out.name!r}, expected a .json file", place="--out", fix="name it LAW.json")
    for number, law in enumerate(fitted, 1):
        law.save(out if len(fitted) == 1 else out.with_name(f"{out.stem}.{number}{out.suffix}"))
