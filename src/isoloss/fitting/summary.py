"""A fitted law as a page of text, and as tables of a notebook."""

import html
import textwrap
from typing import TYPE_CHECKING

import numpy as np

from isoloss.core.display import html_table
from isoloss.core.errors import Unidentified
from isoloss.core.estimate import Estimate
from isoloss.core.numbers import percent, power_of_ten
from isoloss.laws.law import Floats
from isoloss.runs.observations import NO_GROUP, bracketed, of_group

if TYPE_CHECKING:
    from isoloss.fitting.fitted import FittedLaw

WIDTH = 88
NAME_WIDTH, NUMBER_WIDTH = 28, 15
METHODS = {
    "rows": "rows resampled",
    "trunks": "training curves resampled",
    "parametric_trunks": "simulated from the law with the noise of points and of training curves, refitted",
    "none": "none, because there are no resamples; give bootstrap=1000 in Python. On the command line leave out "
    "--bootstrap 0, or give --bootstrap 1000 for a table of more than 10,000 rows",
}

Pair = tuple[str, str]


class Summary(str):
    """A summary's text: printed as it is, and shown as tables where it ends a cell of a notebook."""

    law: "FittedLaw"

    def __new__(cls, text: str, *, law: "FittedLaw") -> "Summary":
        """Return the text with its law next to it."""
        made = super().__new__(cls, text)
        made.law = law
        return made

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return summary_html(self.law)


def summary_text(law: "FittedLaw") -> str:
    """Return header, parameters, frontier, and warnings with their remedies, at most 88 columns wide."""
    pairs = [f"{a + ':':<14}{b:<38}{c + ':':<11}{d}" for (a, b), (c, d) in _key_numbers(law)]
    groups = [] if law.group == NO_GROUP else [law.group]
    titles = [f"{'law:':<14}{law.definition.formula}", *(f"{'group:':<14}{group}" for group in groups)]
    rows = [f"{first:<{NAME_WIDTH}}" + "".join(f"{cell:>{NUMBER_WIDTH}}" for cell in rest)
            for first, *rest in (_columns(law), *_rows(law))]  # fmt: skip
    parameters = 1 + len(law.params)
    notes = [line for note in _notes(law) for line in textwrap.wrap(note, WIDTH)]
    warnings = [
        textwrap.fill(f"[{warning.code}] {warning.message}", WIDTH, subsequent_indent="  ") for warning in law.warnings
    ]
    blocks = [
        f"{' Fitted scaling law ':=^{WIDTH}}", *titles, *pairs, "=" * WIDTH, rows[0], "-" * WIDTH,
        *rows[1:parameters], "-" * WIDTH, *rows[parameters:], "=" * WIDTH, *notes, *warnings,
    ]  # fmt: skip
    return "\n".join(blocks)


def summary_html(law: "FittedLaw") -> str:
    """Return the same as HTML tables, every text escaped."""
    warnings = [f"[{warning.code}] {warning.message}" for warning in law.warnings]
    caption = f"<b>{html.escape(law.definition.formula)}</b>, fitted to the runs{html.escape(of_group(law.group))}"
    return "".join([
        f"<div><p>{caption}</p>",
        html_table((), [(*left, *right) for left, right in _key_numbers(law)]),
        html_table(_columns(law), _rows(law)),
        *(f"<p>{html.escape(note)}</p>" for note in _notes(law)),
        f"<ul>{''.join(f'<li>{html.escape(warning)}</li>' for warning in warnings)}</ul>" if warnings else "",
        "</div>",
    ])  # fmt: skip


def _key_numbers(law: "FittedLaw") -> list[tuple[Pair, Pair]]:
    """Return what the fit was made of and, next to it, the proof of its optimum."""
    found = law.convergence
    excluded = f", {len(law.excluded)} left out" if law.excluded else ""
    loss = f"{law.objective} {law.delta:g}" if law.objective == "huber" else law.objective
    left = [
        ("rows", f"{law.rows_used}{excluded}"),
        *_spans(law),
        ("rmse of ln L", percent(law.rmse)),
    ]
    right = [
        ("objective", f"{law.objective_value:.5g} ({loss})"),
        ("converged", f"{'yes' if found.converged else 'NO'}, gradient {found.gradient_norm:.0e}"),
        ("agreeing", f"{found.starts_agreeing} of {found.starts} starts"),
        ("condition", f"{found.condition_number:.3g}"),
    ]
    return list(zip(left, right, strict=True))


def _spans(law: "FittedLaw") -> list[Pair]:
    """Return the ranges of N and of D; where the table tells but one of them, or neither, those of C are the second."""
    titles = {"params": "parameters", "tokens": law.data_unit, "flops": "FLOPs"}
    counted = {"params": bracketed(law.params_convention)}
    known = [(name, law.domain.ranges[name]) for name in titles if name in law.domain.ranges]
    spans = [(titles[name], f"{low:.3g} to {high:.3g}{counted.get(name, '')}") for name, (low, high) in known]
    return [*spans, *((titles[name], "not given") for name in titles if name not in law.domain.ranges)][:2]


def _columns(law: "FittedLaw") -> tuple[str, ...]:
    level = next(iter(law.params.values())).level
    return "", "estimate", "std err", f"{percent(level)} low", f"{percent(level)} high"


def _rows(law: "FittedLaw") -> list[tuple[str, ...]]:
    """Return the cells of every parameter, then of a and of the best tokens per parameter of a middle budget."""
    rows = [
        _row(name + (" (fixed)" if name in law.fixed else ""), estimate, law.draws[:, i])
        for i, (name, estimate) in enumerate(law.params.items())
    ]
    try:
        exponent, budget = law.exponent_a(), law.middle_flops
        ratio, ratio_draws = law.log_ratio(budget), law.log_ratio_draws(budget)
        exponents = law.definition.exponent_a(law.draws, log_flops=np.log(budget / law.flops_factor))
        at = f"{power_of_ten(budget)} FLOPs"
        return [
            *rows,
            _row("a (N* ∝ C^a)", exponent, exponents),
            _row(f"best D/N at {at}", ratio.exponential(), np.exp(ratio_draws)),
            _row(f"ln D/N at {at}", ratio, ratio_draws),
        ]
    except Unidentified:
        return rows


def _row(name: str, estimate: Estimate, draws: Floats) -> tuple[str, ...]:
    low, high = ("" if bound is None else f"{bound:.5g}" for bound in (estimate.low, estimate.high))
    error = "" if estimate.low is None else f"{np.nanstd(draws, ddof=1):.3g}"
    return name, f"{estimate.value:.6g}", error, low, high


def no_frontier(law: "FittedLaw") -> str | None:
    """Return why the law has no best split of a middle budget; None where it has one."""
    try:
        law.require_frontier({})
        law.log_ratio(law.middle_flops)  # asks more than a does: that D can be given in tokens
    except Unidentified as error:
        return error.message
    return None


def _notes(law: "FittedLaw") -> list[str]:
    """Return why there is no frontier, the known floor, how intervals were made, and the noise of a run."""
    notes = [law.choice.sentence()] if law.choice else []
    if reason := no_frontier(law):
        notes.append(f"no frontier: {reason}")
    if law.floor:
        notes.append(law.floor.sentence())
    drawn = f" ({len(law.draws)} draws)" if len(law.draws) else ""
    notes.append(f"intervals: {METHODS[law.interval_method]}{drawn}")
    if len(law.noise):
        point, trunk = np.median(law.noise, axis=0)
        shared = f", {percent(trunk)} between training curves" if trunk > 0 else ""
        notes.append(f"noise of a run's loss: {percent(point)}{shared}")
    return notes
