"""Plans and proposals for people, on standard output."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from isoloss.cli.output import console, table

if TYPE_CHECKING:
    from isoloss.study.proposal import Proposal

NAMES = {"log_ratio": "ln(D*/N*)", "exponent_a": "a", "loss": "the loss"}


def show_proposals(proposals: "Sequence[Proposal]") -> None:
    """Print the runs to train next, and how far each is expected to narrow the interval."""
    shown = table("corpus", "N (params)", "D (tokens)", "seed", "width × depth", "FLOPs alone", "expected width")
    for proposal in proposals:
        for run, width in zip(proposal.runs, proposal.design.widths, strict=True):
            model = run.planned.spec.model
            shown.add_row(
                proposal.corpus, f"{run.params:,}", f"{run.planned.spec.train_tokens:,}", str(run.asked.seed),
                f"{model.width} × {model.depth}", f"{run.planned.flops:.2e}", f"{width:.3g}",
                end_section=run is proposal.runs[-1],
            )  # fmt: skip
    out = console()
    out.print(shown)
    for proposal in proposals:
        design = proposal.design
        out.print(
            f"{proposal.corpus}: {len(proposal.runs)} runs for {design.flops:.2e} FLOPs (shared trunks once) are "
            f"expected to narrow the 95 % interval of {NAMES[proposal.quantity]} at {proposal.at_flops:.1e} FLOPs from "
            f"{design.present_width:.3g} to {design.expected_width:.3g}."
        )
