"""A fitted law as a page of text."""

import textwrap
from typing import TYPE_CHECKING

from isoloss.core.errors import Unidentified
from isoloss.core.estimate import Estimate

if TYPE_CHECKING:
    from isoloss.laws.fitted import FittedLaw

WIDTH = 88
METHODS = {
    "rows": "rows resampled",
    "trunks": "training curves resampled",
    "parametric_trunks": "simulated from the law with point and trunk noise, refitted",
    "none": "none; ask for bootstrap=1000",
}


def summary_text(law: "FittedLaw") -> str:
    """Return header, parameters, frontier, and warnings with their remedies, at most 88 columns wide."""
    blocks = [_header(law), _table(law), _frontier(law), *_warnings(law)]
    return "\n".join(blocks)


def _header(law: "FittedLaw") -> str:
    found, domain = law.convergence, law.domain
    excluded = f", {len(law.excluded)} left out" if law.excluded else ""
    loss = f"{law.objective} {law.delta:g}" if law.objective == "huber" else law.objective
    left = [
        ("rows", f"{law.rows_used}{excluded}"),
        ("parameters", f"{domain.params_low:.3g} to {domain.params_high:.3g} ({law.params_convention})"),
        (law.data_unit, f"{domain.tokens_low:.3g} to {domain.tokens_high:.3g}"),
        ("rmse of ln L", f"{law.rmse:.2%}"),
    ]
    right = [
        ("objective", f"{law.objective_value:.5g} ({loss})"),
        ("converged", f"{'yes' if found.converged else 'NO'}, gradient {found.gradient_norm:.0e}"),
        ("agreeing", f"{found.starts_agreeing} of {found.starts} starts"),
        ("condition", f"{found.condition_number:.3g}"),
    ]
    pairs = [f"{a + ':':<14}{b:<38}{c + ':':<11}{d}" for (a, b), (c, d) in zip(left, right, strict=True)]
    titles = [f"{'law:':<14}{law.definition.formula}", f"{'group:':<14}{law.group}"]
    return "\n".join([f"{' Fitted scaling law ':=^{WIDTH}}", *titles, *pairs, "=" * WIDTH])


def _table(law: "FittedLaw") -> str:
    level = next(iter(law.params.values())).level
    rows = [_row(name + (" (fixed)" if name in law.fixed else ""), estimate) for name, estimate in law.params.items()]
    title = f"{'':<16}{'estimate':>14}{f'{level:.0%} low':>16}{f'{level:.0%} high':>16}"
    return "\n".join([title, "-" * WIDTH, *rows, "-" * WIDTH])


def _row(name: str, estimate: Estimate) -> str:
    low, high = ("" if bound is None else f"{bound:.5g}" for bound in (estimate.low, estimate.high))
    return f"{name:<16}{estimate.value:>14.6g}{low:>16}{high:>16}"


def _frontier(law: "FittedLaw") -> str:
    note = f"intervals: {METHODS[law.interval_method]}" + (f" ({len(law.draws)} draws)" if len(law.draws) else "")
    budget = law.middle_flops
    try:
        lines = [_row("a (N* ∝ C^a)", law.exponent_a()), _row(f"ln D*/N* {budget:.1e}", law.log_ratio(budget))]
    except Unidentified as error:
        lines = textwrap.wrap(f"no frontier: {error.message}", WIDTH)
    floor = textwrap.wrap(law.floor.sentence(), WIDTH) if law.floor else []
    return "\n".join([*lines, *floor, "=" * WIDTH, note])


def _warnings(law: "FittedLaw") -> list[str]:
    return [
        textwrap.fill(f"[{warning.code}] {warning.message}", WIDTH, subsequent_indent="  ") for warning in law.warnings
    ]
