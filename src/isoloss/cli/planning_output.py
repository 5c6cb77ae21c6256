"""Plans and proposals for people, on standard output."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from isoloss.cli.output import console, table

if TYPE_CHECKING:
    from isoloss.core.estimate import Estimate
    from isoloss.planning.plan import Plan
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
            + ("" if proposal.worth_it else " That is not worth their cost: give more FLOPs, or leave it.")
        )


def show_plan(found: "Plan") -> None:
    """Print what to train, how sure that is, why, and what to be careful about."""
    unit = found.data_unit
    shown = table("", "plan", "95 % low", "95 % high")
    rows: list[tuple[str, Estimate | None, str]] = [
        (f"parameters N ({found.params_convention})", found.params, ".3g"),
        (f"training {unit} D", found.tokens, ".3g"),
        ("FLOPs", found.flops, ".3g"),
        ("D/N", _exponential(found.log_ratio), ".3g"),
        ("loss, nats per token", found.loss, ".4f"),
        ("loss of one run, luck included", found.run_loss, ".4f"),
        ("20 tokens a parameter would lose", found.regret, "+.4f"),
        ("passes over the corpus", found.epochs, ".3g"),
        (f"batch, {unit}", found.batch_tokens, ".3g"),
        ("peak rate", found.peak_lr, ".2g"),
        ("device-hours", found.device_hours, ".3g"),
    ]
    if found.converted is not None:
        by = found.converted
        rows[4:4] = [
            (f"parameters N ({by.params_convention})", by.params, ".3g"),
            (f"FLOPs, 6·N·D by {by.params_convention}", by.flops, ".3g"),
            (f"D/N by {by.params_convention}", _exponential(by.log_ratio), ".3g"),
        ]
    for name, estimate, style in rows:
        if estimate is not None:
            ends = ["–" if end is None else f"{end:{style}}" for end in (estimate.low, estimate.high)]
            shown.add_row(name, f"{estimate.value:{style}}", *ends)
    out = console()
    out.print(shown)
    if found.shape is not None and found.counts is not None:
        model = found.shape
        out.print(
            f"shape: {model.family}, width {model.width}, depth {model.depth}, {model.heads} heads, FFN {model.ffn}, "
            f"vocabulary {model.vocab_size:,}, context {model.context:,}: {found.counts.total:,} weights"
        )
    if found.extrapolation > 1:
        out.print(f"the budget lies {found.extrapolation:.3g} times beyond the fitted ones")
    out.print(f"why: {found.reason}")
    for warning in found.warnings:
        out.print(f"[{warning.code}] {warning.message}")


def _exponential(estimate: "Estimate") -> "Estimate":
    low, high = (None if end is None else math.exp(end) for end in (estimate.low, estimate.high))
    return replace(estimate, value=math.exp(estimate.value), low=low, high=high)
