"""What a paper about scaling laws must state, answered from the study's own records.

After the checklist of Li, Kudugunta & Zettlemoyer 2025, "(Mis)Fitting: A Survey of Scaling Laws" (arXiv:2502.18969), in
words of our own. What the records do not hold is said to be missing, for the authors to add.
"""

from collections.abc import Collection

import numpy as np

from isoloss.core.numbers import fixed, plain, power_of_ten, si
from isoloss.fitting.fitted import FittedLaw
from isoloss.report.blocks import Column, Table, table_row
from isoloss.report.data import ReportData
from isoloss.report.methods import CONVENTIONS, INTERVAL_METHOD, OBJECTIVES, counted
from isoloss.report.refusals import refusals

UNRECORDED = "not in the records: add it"
SOURCE = 'After Li, Kudugunta & Zettlemoyer 2025, "(Mis)Fitting", arXiv:2502.18969.'


def checklist_table(data: ReportData) -> Table:
    """Return the questions of the checklist with this study's answers, section by section."""
    parts = {
        "the law": _hypothesis(data), "training": _training(data), "runs": _runs(data), "the fit": _fitting(data),
        "trust": _trust(data),
    }  # fmt: skip
    rows = tuple(
        table_row(question, part, answer, marked=answer == UNRECORDED)
        for part, answers in parts.items()
        for question, answer in answers.items()
    )
    columns = (
        Column(title="what must be stated", numeric=False), Column(title="of", numeric=False),
        Column(title="here", numeric=False, long=True),
    )  # fmt: skip
    return Table(
        name="checklist", columns=columns, rows=rows, note=SOURCE,
        caption="What a paper on scaling laws must state, from the records.",
    )  # fmt: skip


def first_law(data: ReportData) -> FittedLaw | None:
    """Return one of the study's own laws: all have its form, objective and starts."""
    return next(iter(data.laws.values()), None)


def algorithm(law: FittedLaw) -> str:
    """Return how the search of a law goes: a law that states no kernel has its derivatives by differences."""
    derivatives = "analytic derivatives" if hasattr(law.definition, "kernel") else "derivatives by central differences"
    return f"Levenberg–Marquardt on all starts at once, with {derivatives}"


def _hypothesis(data: ReportData) -> dict[str, str]:
    law = first_law(data)
    if law is None:
        return {"form of the law": "no law was fitted"}
    definition = law.definition
    return {
        "form of the law": f"{definition.formula} ({definition.source}), one law per corpus",
        "variables": f"{', '.join(definition.columns)}; loss in nats per token",
        "fitted parameters": ", ".join(definition.parameters)
        + (f"; held: {', '.join(law.fixed)}" if law.fixed else "; none is held"),
        "other forms tried": ", ".join(dict.fromkeys(each.law for each in data.further_laws)) or "none",
    }


def _training(data: ReportData) -> dict[str, str]:
    finished = [row for row in data.runs if row.loss_nats is not None]
    if not finished:
        return {"models trained": f"none of {len(data.runs)} ended with a loss"}
    sizes, tokens = ([getattr(row, name) for row in finished] for name in ("params", "tokens"))
    shapes = {(row.width, row.depth, row.heads) for row in finished}
    rates, batches = ({getattr(row, name) for row in finished} for name in ("peak_lr", "batch_tokens"))
    largest = {corpus.name: corpus.tokens for corpus in data.corpora}
    repeated = sum(row.tokens > largest.get(row.corpus, row.tokens) for row in finished)
    return {
        "models trained": f"{len(finished)} runs with a loss, {len(set(sizes))} sizes from {si(min(sizes))} to "
        f"{si(max(sizes))} parameters",
        "data of each": f"{si(min(tokens))} to {si(max(tokens))} training tokens",
        "which data": "; ".join(f"{corpus.name}: {corpus.source}" for corpus in data.corpora),
        "repeated data": f"{repeated} runs read more tokens than their corpus has" if repeated else "none",
        "rates and batches": f"peak rates {span(rates)}, batches of {span(batches)} tokens",
        "shapes": f"{len(shapes)}, listed with every run as width, depth and heads",
        "recipe": data.training or UNRECORDED,
        "code": data.provenance.get("commit") or f"isoloss {data.version}",
    }  # fmt: skip


def span(values: Collection[float]) -> str:
    """Return the least and the largest of values, in words."""
    low, high = min(values), max(values)
    return si(low) if low == high else f"{si(low)} to {si(high)}"


def _runs(data: ReportData) -> dict[str, str]:
    runs = data.observations
    if not len(runs):
        return {}
    trunks = len(np.unique(runs.trunk))
    left = {e.run: e.reason for law in data.laws.values() for e in law.excluded}
    reasons = ", ".join(sorted(set(left.values())))
    return {
        "how N is counted": CONVENTIONS.get(runs.params_convention, UNRECORDED),
        "how D is counted": f"training {runs.data_unit}, repeated ones each time",
        "how C is counted": "6 · N · D" if counted(runs) else "as the table of runs gives it",
        "points of one training curve": f"{len(runs)} points on {trunks} curves; intervals respect what a curve shares"
        if trunks < len(runs)
        else "none: every point is a run of its own",
        "held-out loss": "cross-entropy of held-out documents, standard errors over documents",
        "points left out": f"{len(left)} ({reasons})" if left else "none",
        "seeds": f"{sum(noise.trunks for noise in data.replicates.values())} curves on sizes with several seeds"
        if data.replicates
        else "one a size: noise is estimated from what the law leaves",
    }  # fmt: skip


def _fitting(data: ReportData) -> dict[str, str]:
    law = first_law(data)
    if law is None:
        return {}
    starts = {each.convergence.starts for each in data.laws.values()}
    converged = sum(each.convergence.converged for each in data.laws.values())
    return {
        "objective": OBJECTIVES[law.objective].format(delta=plain(law.delta)),
        "algorithm": algorithm(law),
        "initialisation": f"{' or '.join(map(str, sorted(starts)))} starts a law, the best end is kept",
        "convergence": f"{converged} of {len(data.laws)} laws by gradient and agreeing starts",
        "weights": {"equal": "every row counts alike", "stderr": "rows by the inverse square of their standard error"}[
            law.weights
        ],
    }


def _trust(data: ReportData) -> dict[str, str]:
    laws = data.laws
    if not laws:
        return {}
    methods = {INTERVAL_METHOD[law.interval_method] for law in laws.values()}
    draws = max(len(law.draws) for law in laws.values())
    errors = "; ".join(f"{name} {fixed(100 * law.rmse, 2)} %" for name, law in laws.items())
    missed = [name for name, _ in refusals(data)]
    held_out = sorted({test.group for test in data.backtest})
    return {
        "goodness of fit": f"root mean square of ln L − ln L̂: {errors}",
        "misfit": f"laws that miss their runs: {', '.join(missed)}" if missed else "no law is refused",
        "intervals": f"95 %, {draws} refits to {' or '.join(sorted(methods))}" if draws else "none were drawn",
        "extrapolation": f"laws without the largest budgets predicted them: {', '.join(held_out)}"
        if held_out
        else "not tested",
        "coverage": "simulated on these grids" if data.coverage else "not simulated",
        "compared at": f"{power_of_ten(data.budget_flops)} FLOPs",
    }
