"""The verbs that look ahead: next."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from isoloss.cli.app import Json, app
from isoloss.cli.study import Out, StudyFile


class What(StrEnum):
    """What `next` narrows."""

    LOG_RATIO = "log_ratio"
    EXPONENT_A = "exponent_a"
    LOSS = "loss"


@app.command(name="next")
def next_(
    study: StudyFile,
    flops: Annotated[float, typer.Option(help="Training FLOPs to spend, 6·N·D by the study's convention.")],
    quantity: Annotated[
        What, typer.Option(help="What to narrow: ln(D*/N*), the exponent a of N*(C), or the loss of the best split.")
    ] = What.LOG_RATIO,
    at: Annotated[
        float | None,
        typer.Option(help="Budget at which it is wanted; without it, the one where corpora are compared."),
    ] = None,
    corpus: Annotated[str | None, typer.Option(help="Only this corpus; without it, all share the budget.")] = None,
    out: Out = None,
    write: Annotated[
        Path | None, typer.Option(help="Write the study with the runs added here: `isoloss run` then trains them.")
    ] = None,
    json: Json = False,
) -> None:
    """Say which runs to train next: those that narrow an interval most per FLOP.

    Example: `isoloss next mine.toml --flops 1e13 --at 1e15 --write more.toml`

    The draws of each corpus's law say how a run's loss would move the quantity; runs are chosen one after another,
    tokens of a shared trunk paid once. The expected width is a forecast: it takes the form of the law for granted.
    """
    from isoloss.cli import planning_output
    from isoloss.cli.output import open_progress, print_json
    from isoloss.core.errors import InputError
    from isoloss.core.files import write_text
    from isoloss.study.lab import Lab
    from isoloss.study.spec import Study

    asked = Study.load(study)
    folder = out or Path("results") / asked.name
    Lab.reopen(folder)  # a folder that is not there is not made
    lab = Lab(folder, base=study.resolve().parent, progress=open_progress(folder, as_json=json))
    proposals = lab.next(asked, flops=flops, quantity=quantity.value, at_flops=at, corpus=corpus)
    if write is not None:
        if write.exists():
            raise InputError("the file exists", place=str(write), fix="name another file, or remove it")
        added = "\n".join(proposal.toml() for proposal in proposals)
        write_text(write, f"{study.read_text(encoding='utf-8').rstrip()}\n\n# proposed by isoloss next\n\n{added}")
    if json:
        print_json({
            "runs": [run for proposal in proposals for run in proposal.to_json()["runs"]],
            "expected_width": max(proposal.design.expected_width for proposal in proposals),
            "present_width": max(proposal.design.present_width for proposal in proposals),
            "quantity": quantity.value,
            "corpora": [proposal.to_json() for proposal in proposals],
            "study": str(write) if write else None,
        })  # fmt: skip
    else:
        planning_output.show_proposals(proposals)
        if write is not None:
            typer.echo(f"{write} written; next: isoloss run {write} --out {folder}")
