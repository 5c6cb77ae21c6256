"""Plans and proposals for people, on standard output."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from isoloss.cli.output import console, table
from isoloss.core.numbers import flops_text, grouped, in_brackets, listed, percent
from isoloss.runs.observations import NO_GROUP, bracketed, of_group

if TYPE_CHECKING:
    from isoloss.core.estimate import Estimate
    from isoloss.fitting.domain import LawWarning
    from isoloss.planning.beyond import Beyond
    from isoloss.planning.plan_result import Plan
    from isoloss.study.proposal import Proposal

NAMES = {"log_ratio": "ln(D*/N*)", "exponent_a": "a", "loss": "the loss"}
FIRST = ("indistinguishable", "wide_interval", "repeated_data", "tokens_repeat")
"""Warnings that change what a plan means: they come before its numbers."""
KNOWN_ANYWAY = ("FLOPs", "loss, nats per token", "loss of one run, including its noise")
"""Rows whose intervals say something where that of D/N does not."""
STYLES = {
    "loss, nats per token": ".4f", "loss of one run, including its noise": ".4f",
    "20 tokens per parameter would lose": "+.4f", "peak rate": ".2g",
}  # fmt: skip
LEAST_SHOWN = 0.01  # of the weights


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
            f"{proposal.corpus}: {len(proposal.runs)} runs for {design.flops:.2e} FLOPs (shared trunks once) "
            f"are expected to narrow the 95 % interval of {NAMES[proposal.quantity]} at "
            f"{proposal.at_flops:.1e} FLOPs from {design.present_width:.3g} to {design.expected_width:.3g}."
            + ("" if proposal.worth_it else " That is not worth the cost: give more FLOPs, or do not train them.")
            + (f" Both widths are those of one law, {proposal.basis}: {proposal.reason}." if proposal.reason else "")
        )


def show_plans(found: "Sequence[Plan]") -> None:
    """Print one plan in full, or several budgets as one table, and what to be careful about."""
    if len(found) == 1:
        _show_plan(found[0])
        return
    first, out = found[0], console()
    unit = first.data_unit
    headings = (f"parameters{bracketed(first.params_convention)}", unit, f"{unit} per parameter", "loss, nats")
    reads = any(one.epochs for one in found)  # a plan without a corpus has no text to pass over
    shown = table("FLOPs", *headings, *(["passes over the corpus"] if reads else []))
    for one in found:
        passes = ["–" if one.epochs is None else f"{one.epochs.value:.3g}"] if reads else []
        shown.add_row(
            flops_text(one.flops.value), f"{one.params.value:.3g}", f"{one.tokens.value:.3g}",
            _cell(one.tokens_per_param, ".3g", hidden=one.is_wide),
            "–" if one.loss is None else _cell(one.loss, ".3f"), *passes,
        )  # fmt: skip
    out.print(shown)
    reasons = grouped((flops_text(one.flops.value), one.reason) for one in found)
    for reason, budgets in reasons.items():
        out.print(f"why{f', at {budgets} FLOPs' if len(reasons) > 1 else ''}: {reason}")
    said = grouped(
        (flops_text(one.flops.value), f"[{warning.code}] {warning.message}")
        for one in found
        for warning in sorted(one.warnings, key=_comes_later)
    )
    everywhere = listed([flops_text(one.flops.value) for one in found])
    for sentence, budgets in said.items():
        out.print(sentence if budgets == everywhere else f"{sentence} (at {budgets} FLOPs)")


def show_beyond(found: "Beyond", *, unit: str = "tokens") -> None:
    """Print what several forms say beyond the runs, which they are, and which were left out. D counts `unit`."""
    out = console()
    if found.splits:
        shown = table("beyond the runs, FLOPs", "times", "parameters", unit, f"{unit} per parameter", "loss of a run")
        for one in found.splits:
            cells = (one.params, one.tokens, one.tokens_per_param)
            shown.add_row(
                flops_text(one.flops), f"{one.distance:.3g}", *(_cell(each, ".3g") for each in cells),
                _cell(one.loss, ".3f"),
            )  # fmt: skip
        out.print(shown)
    for run in found.runs:
        out.print(
            f"a run of {run.params:.3g} parameters and {run.tokens:.3g} {unit}, {run.distance:.3g} times the compute: "
            f"{_cell(run.loss, '.4f')} nats"
        )
    heavy = ", ".join(f"{one.name} {percent(one.weight, 2)}" for one in found.forms if one.weight >= LEAST_SHOWN)
    out.print(f"laws, weighted by how well each predicts the largest budgets{of_group(found.group)}: {heavy}")
    for name, reason in found.left_out.items():
        out.print(f"left out, {name}: {reason}")


def _cell(estimate: "Estimate", style: str, *, hidden: bool = False) -> str:
    """Return a value with its interval, or alone where the interval says nothing."""
    write = f"{{:{style}}}".format
    return write(estimate.value) if hidden else in_brackets(estimate, write, to="-")


def _comes_later(warning: "LawWarning") -> bool:
    return warning.code not in FIRST


def _show_plan(found: "Plan") -> None:
    """Print what to train, how sure that is, why, and what to be careful about."""
    unit = found.data_unit
    out = console()
    whose = "" if found.corpus == NO_GROUP else f"{found.corpus}, "
    out.print(f"{whose}{flops_text(found.flops.value)} FLOPs: {found.sentence()}")
    for warning in found.warnings:
        if not _comes_later(warning):
            out.print(warning.message)
    out.print()
    shown = table("", "plan", "95 % low", "95 % high")
    for name, estimate in found.numbers().items():
        write = flops_text if name.startswith("FLOPs") else f"{{:{STYLES.get(name, '.3g')}}}".format
        hidden = found.is_wide and name not in KNOWN_ANYWAY
        ends = ["–" if end is None or hidden else write(end) for end in (estimate.low, estimate.high)]
        shown.add_row(name, write(estimate.value), *ends)
    out.print(shown)
    if found.data_of is not None:
        out.print(f"{unit} are {found.data_of}")
    if found.shape is not None and found.counts is not None:
        model = found.shape
        out.print(
            f"shape: {model.family}, width {model.width}, depth {model.depth}, {model.heads} heads, FFN {model.ffn}, "
            f"vocabulary {model.vocab_size:,}, context {model.context:,}: {found.counts.total:,} weights"
        )
    if found.extrapolation > 1:
        out.print(f"the budget is {found.extrapolation:.3g} times the largest fitted one")
    out.print(f"why: {found.reason}")
    for warning in found.warnings:
        if _comes_later(warning):
            out.print(f"[{warning.code}] {warning.message}")
