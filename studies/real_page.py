"""Write docs/results/real.md from the results folder of studies/real.toml.

isoloss run studies/real.toml --out results/real
python studies/real_page.py results/real docs/results/real.md
"""

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from isoloss.core import files
from isoloss.core.errors import Unidentified
from isoloss.core.estimate import Estimate
from isoloss.core.numbers import in_brackets
from isoloss.data_dependence.predictor_comparison import Errors, PredictorComparison
from isoloss.fitting.fitted import FittedLaw
from isoloss.planning import shipped
from isoloss.planning.backtest import RIVALS, PlanBacktest, backtest_plans
from isoloss.runs.observations import Observations
from isoloss.study.analysis import Analysis
from isoloss.study.lab import Lab

NAMES = {
    "plan": "plan",
    "rule_of_thumb": "20:1",
    "pooled": "one law for all",
    "proxy": "that law after its cheapest run",
}
HEAD = """# Twelve real corpora: does the law follow compressibility?

Written by `studies/real_page.py` from `studies/real.toml`: {runs} runs on twelve real corpora
(`studies/get_corpora.py`), bytes as tokens, {sizes} sizes of {smallest:,.0f} to {largest:,.0f} parameters, {lengths}
token counts of {shortest:,.0f} to {longest:,.0f}, one seed. They are `runs.csv` in `src/isoloss/planning/shipped`.
Intervals are 95 %.

![Iso-loss contours of ten corpora with their runs and best splits](../images/real-contours.png)

![Errors of every measure on left-out corpora, less those of one law for all](../images/real-predictors.png)
"""
LEVELS = ("E", "A0", "B0")
TRIED: dict[str, dict[str, str] | str] = {
    "as predicts losses best (chosen without the corpus)": "choose",
    "as published: E linear, ln A0, ln B0, α, β linear": "published",
    "E linear": {"E": "linear"},
    "E, B0 linear": {"E": "linear", "B0": "linear"},
    "E, A0, B0 linear": dict.fromkeys(LEVELS, "linear"),
    "E, B0 linear, β log-linear": {"E": "linear", "B0": "linear", "beta": "log_linear"},
    "E, A0, B0 log-linear": dict.fromkeys(LEVELS, "log_linear"),
}


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("page", type=Path)
    asked = parser.parse_args()
    lab = Lab.reopen(asked.results)
    study = lab.remembered_study()
    found = lab.fit(study)
    complexity = lab.complexity(study)
    measures = list(study.complexity.measures)
    table = lab.observations(study)
    head = HEAD.format(
        runs=len(table), sizes=len(set(table.params)), smallest=table.params.min(), largest=table.params.max(),
        lengths=len(set(table.tokens)), shortest=table.tokens.min(), longest=table.tokens.max(),
    )  # fmt: skip
    plans = {measure: backtest_plans(table, measure) for measure in measures}
    text = Path(__file__).with_name("real_text.md").read_text(encoding="utf-8")
    values = {name: {measure: found.value for measure, found in own.items()} for name, own in complexity.items()}
    parts = [head, text, corpora(found, values, measures), balance(found), comparison(found.predictor_comparisons[0]),
             planned(plans, shipped.MEASURE), forms(shipped.shipped_runs())]  # fmt: skip
    files.write_text(asked.page, "\n".join(part for part in parts if part))


def corpora(found: Analysis, values: dict[str, dict[str, Estimate]], measures: Sequence[str]) -> str:
    """Return each corpus's measures and law."""
    flagged = [set(flags) for flags in found.observations.flags or ()]
    rows = []
    for name in sorted(values, key=lambda name: values[name]["gzip"].value):
        law = found.laws.get(name)
        own = found.observations.corpus == name
        counts = f"{sum(bool(flags) for flags, mine in zip(flagged, own, strict=True) if mine)} of {own.sum()}"
        measured = [f"{values[name][measure].value:.3f}" for measure in measures]
        rows.append([name, *measured, *law_cells(law, found.budget), counts])
    return "## Corpora and their laws\n\n" + as_table(
        ["corpus", *measures, "E", "α", "β", "a", f"ln(D\\*/N\\*) at {found.budget:.1e}", "flagged"], rows
    )


def law_cells(law: FittedLaw | None, budget: float) -> list[str]:
    """Return E, α, β, a and the balance, each with its interval."""
    if law is None:
        return ["–"] * 5
    cells = [formatted(law.params[name]) for name in ("E", "alpha", "beta")]
    for quantity in (law.exponent_a, law.log_ratio):
        try:
            cells.append(formatted(quantity(budget)))
        except Unidentified:
            cells.append("not identified")
    return cells


def balance(found: Analysis) -> str:
    """Return the answer that the study ends with."""
    return "## The answer\n\n" + "\n\n".join(" ".join(verdict.sentences()) for verdict in found.balance) + "\n"


def comparison(found: PredictorComparison) -> str:
    """Return the comparison of predictors, measure by measure."""
    rows = []
    for one in found.measures:
        off = one.balance
        rows.append([one.measure, *error_cells(one.loss, 100), *(error_cells(off, 1) if off else ["–"] * 3)])
    first = found.measures[0]
    rows.append(["one law for all", f"{100 * first.loss.pooled:.2f}", "", "",
                 f"{first.balance.pooled:.2f}" if first.balance else "–", "", ""])  # fmt: skip
    rows.append(["that law after its cheapest run", f"{100 * first.loss.proxy:.2f}", "", "",
                 f"{first.balance.proxy:.2f}" if first.balance else "–", "", ""])  # fmt: skip
    head = [
        "left out, predicted by", "error of L, %", "less one law's, points", "p corrected",
        "error of ln(D\\*/N\\*)", "less one law's", "p corrected",
    ]  # fmt: skip
    return (
        "## Which measure predicts a corpus that was left out?\n\n"
        + " ".join(found.sentences())
        + "\n\n"
        + as_table(head, rows)
    )


def error_cells(errors: Errors, scale: float) -> list[str]:
    """Return the error, its difference from the pooled law's, and the corrected p."""
    return [f"{scale * errors.heldout:.2f}", formatted(errors.difference.scaled(scale)), f"{errors.p_adjusted:.2g}"]


def forms(runs: Observations) -> str:
    """Return how the forms of the law that is shipped were chosen, and that law."""
    rows = []
    for name, tried in TRIED.items():
        plan = backtest_plans(runs, shipped.MEASURE, forms=tried)  # type: ignore[arg-type]  # "choose", "published"
        off = np.mean([abs(one.log_ratio["plan"] - one.best_log_ratio) for one in plan.judged])
        rows.append([name, f"{1000 * plan.mean_regret('plan'):.1f}", f"{off:.2f}", *wins(plan)])
    # One law for all is the same next to every choice of forms.
    off = np.mean([abs(one.log_ratio["pooled"] - one.best_log_ratio) for one in plan.judged])
    rows.append(["one law for all", f"{1000 * plan.mean_regret('pooled'):.1f}", f"{off:.2f}", *[""] * len(RIVALS)])
    head = [f"coefficients that follow {shipped.MEASURE}", "regret, 10⁻³ nats", "off in ln(D\\*/N\\*)",
            *(f"against {NAMES[rival]}" for rival in RIVALS)]  # fmt: skip
    return (
        "## The bundled law\n\n" + as_table(head, rows)
        + f"\n```text\n{shipped.shipped_law().summary()}\n```\n"
    )  # fmt: skip


def wins(plan: PlanBacktest) -> list[str]:
    """Return how often plans lost less than each rival, and how often more."""
    return ["{} won, {} lost".format(*plan.wins(rival)) for rival in RIVALS]


def planned(plans: dict[str, PlanBacktest], measure: str) -> str:
    """Return how plans for left-out corpora would have fared."""
    rows = []
    for name, plan in plans.items():
        against = [
            f"{formatted(plan.against(rival).scaled(1000))}, {plan.wins(rival)[0]} won {plan.wins(rival)[1]} lost"
            for rival in RIVALS
        ]
        rows.append([name, f"{1000 * plan.mean_regret('plan'):.3g}", *against])
    head = ["planned by", "regret, 10⁻³ nats", *(f"less that of {NAMES[rival]}" for rival in RIVALS)]
    shown = plans[measure]
    each = [
        [one.corpus, f"{one.flops:.1e}", *(f"{1000 * one.regret[name]:.1f}" for name in ("plan", *RIVALS)),
         f"{one.log_ratio['plan']:.2f}", f"{one.best_log_ratio:.2f}"]
        for one in shown.judged
    ]  # fmt: skip
    refused = "".join(f"\n{name} judges nothing: {reason}." for name, reason in shown.refused.items())
    return (
        "## Would plans have been right?\n\nEvery corpus left out in turn, planned by the others' law at its measure, "
        "judged by the law of its own runs at a quarter, half and three quarters of their span of ln C.\n\n"
        + as_table(head, rows) + f"\nBy {measure}, corpus by corpus; regrets in 10⁻³ nats:\n\n"
        + as_table(["corpus", "FLOPs", *(NAMES[name] for name in ("plan", *RIVALS)), "planned ln(D/N)", "best"], each)
        + refused + "\n"
    )  # fmt: skip


def formatted(estimate: Estimate) -> str:
    """Return a value with its interval."""
    return in_brackets(estimate, short)


def short(value: float) -> str:
    """Return two digits after the point, three significant ones where that would be long."""
    return f"{value:.2f}" if abs(value) < 1000 else f"{value:.2g}"


def as_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


if __name__ == "__main__":
    main()
