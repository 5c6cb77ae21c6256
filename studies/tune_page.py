"""Print the tables of docs/results/tune.md from the results folder of studies/tune.toml.

isoloss run studies/tune.toml --out results/tune
python studies/tune_page.py results/tune
"""

import sys
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from isoloss.core.estimate import Estimate
from isoloss.runs.rules import BATCHES, RATES
from isoloss.study.lab import Lab
from isoloss.tuning.sweep import TOLERANCE, RateOptimum
from isoloss.tuning.tuning import PowerFit, Tuning

PUBLISHED = {"porian": "Porian et al. 2024", "step_law": "Step Law (Li et al. 2025)"}
EDGES = {"lowest": "≤ ", "highest": "≥ ", None: ""}


def main() -> None:
    """Print every table of the page."""
    lab = Lab.reopen(sys.argv[1])
    tunings = lab.fit(lab.remembered_study()).tuning
    print(rules(tunings), trunks(tunings), optima(tunings), batches(tunings), sep="\n")


def rules(tunings: dict[str, Tuning]) -> str:
    """Return the fitted exponents next to the published ones."""
    rows = [
        "| corpus | rate ∝ N^ | rate ∝ D^ | rate ∝ B^ | batch ∝ N^ | batch ∝ D^ | best rate in the middle |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, tuning in tunings.items():
        rate, batch = exponents(tuning.rate), exponents(tuning.batch)
        middle = "–" if tuning.rate is None else f"{formatted(tuning.rate.level)} at batch {tuning.reference_batch}"
        rows.append(
            f"| {name} | {rate[0]} | {rate[1]} | {formatted(tuning.batch_exponent)} | {batch[0]} | {batch[1]} "
            f"| {middle} |"
        )
    for rule, name in PUBLISHED.items():
        rate, batch = RATES[rule], BATCHES[rule]
        rows.append(
            f"| {name} | {rate.exponent:.3f} | {rate.tokens_exponent or '–'} | – | {batch.exponent or '–':.3} | "
            f"{batch.tokens_exponent or '–'} | |"
        )
    return "\n".join(rows) + "\n"


def exponents(fit: PowerFit | None) -> tuple[str, str]:
    """Return both exponents, or that they are not fitted."""
    if fit is None:
        return "not fitted", "not fitted"
    return formatted(fit.params_exponent), formatted(fit.tokens_exponent)


def trunks(tunings: dict[str, Tuning]) -> str:
    """Return what one rate for both horizons costs, and how far horizons may lie apart for 1 %."""
    rows = [
        "| corpus | best rate, longest over shortest | one rate costs, % | 1 % at horizons apart by | verdict |",
        "|---|---|---|---|---|",
    ]
    for name, tuning in tunings.items():
        if tuning.cost is None or tuning.shift is None:
            rows.append(f"| {name} | not fitted | – | – | {tuning.verdict.replace('_', ' ')} |")
            continue
        rows.append(
            f"| {name} | {formatted(tuning.shift)} | {formatted(tuning.cost, 100)} | {reach(tuning)} | "
            f"{tuning.verdict.replace('_', ' ')} |"
        )
    return "\n".join(rows) + "\n"


def reach(tuning: Tuning) -> str:
    """Return the factor between horizons at which one rate costs 1 %: costs go with the square of its logarithm."""
    assert tuning.cost is not None
    span = np.log(tuning.horizons[1] / tuning.horizons[0])

    def factor(cost: float | None) -> str:
        apart = np.inf if not cost else span * np.sqrt(TOLERANCE / cost)
        return f"{np.exp(apart):.2g}" if apart < np.log(1000) else ">1000"

    cost = tuning.cost
    return f"{factor(cost.value)} [{factor(cost.high)}, {factor(cost.low)}]"


def optima(tunings: dict[str, Tuning]) -> str:
    """Return every optimum of every corpus."""
    batches = sorted({optimum.batch_tokens for tuning in tunings.values() for optimum in tuning.rates})
    rows = ["| corpus | N | D | " + " | ".join(f"rate, B = {batch}" for batch in batches) + " | best batch | loss |",
            "|---|---|---|" + "---|" * (len(batches) + 2)]  # fmt: skip
    for name, tuning in tunings.items():
        for best in tuning.batches:
            own = {o.batch_tokens: rate(o) for o in tuning.rates if o.cell == best.cell}
            cells = " | ".join(own.get(batch, "–") for batch in batches)
            rows.append(
                f"| {name} | {best.params:,} | {best.tokens:,} | {cells} | {EDGES[best.edge]}{best.batch_tokens:.0f} | "
                f"{best.loss_nats:.3f} |"
            )
    return "\n".join(rows) + "\n"


def batches(tunings: dict[str, Tuning]) -> str:
    """Return what each batch costs against the next larger one, at the best rates of both: mean over cells, in %."""
    losses = {
        (name, optimum.cell, optimum.batch_tokens): optimum.loss_nats
        for name, tuning in tunings.items()
        for optimum in tuning.rates
    }
    tried = sorted({batch for _, _, batch in losses})
    horizons = sorted({cell.tokens for _, cell, _ in losses})
    rows = ["| batch | against | all cells | " + " | ".join(f"D = {tokens:,}" for tokens in horizons) + " |",
            "|---|---|---|" + "---|" * len(horizons)]  # fmt: skip
    for small, large in pairwise(tried):
        costs = [
            (cell.tokens, 100 * np.log(loss / losses[name, cell, large]))
            for (name, cell, batch), loss in losses.items()
            if batch == small
        ]
        by_horizon = ([cost for tokens, cost in costs if tokens == horizon] for horizon in horizons)
        means = " | ".join(map(mean, [[cost for _, cost in costs], *by_horizon]))
        rows.append(f"| {small} | {large} | {means} |")
    return "\n".join(rows) + "\n"


def mean(values: Sequence[float]) -> str:
    """Return a mean and its standard error."""
    return f"{np.mean(values):+.2f} ± {np.std(values, ddof=1) / len(values) ** 0.5:.2f}"


def rate(optimum: RateOptimum) -> str:
    """Return a best rate and the rates within 1 % of its loss."""
    within = "" if optimum.within is None else f" [{optimum.within[0]:.2g}, {optimum.within[1]:.2g}]"
    return f"{EDGES[optimum.edge]}{optimum.peak_lr:.2g}{within}"


def formatted(estimate: Estimate | None, factor: float = 1.0) -> str:
    """Return an estimate to two digits, with its interval."""
    if estimate is None:
        return "–"
    interval = "" if estimate.low is None else f" [{factor * estimate.low:.2g}, {factor * (estimate.high or 0):.2g}]"
    return f"{factor * estimate.value:.2g}{interval}"


if __name__ == "__main__":
    main()
