"""How often the interval of the best size holds the truth, whatever the form of the surface.

    python benchmarks/coverage_optima.py --simulations 1000 --out docs/results/optima.md

Every simulation is a whole estimate on fresh noise. The surfaces, the designs and the noise are those of
`isoloss.arena.truths`. `alone` is the true form fitted by itself, with the same noise and the same draws.
"""

import argparse
import time
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np

from isoloss.arena.truths import DESIGNS, FORMS, POINT_SD, TRUNK_SDS, Design, runs, truth
from isoloss.core.rng import stream
from isoloss.optima.best_size import best_sizes
from isoloss.optima.surfaces import law_surface
from isoloss.runs.observations import Observations

COLUMNS = (
    "design", "trunk", "surface", "named outside", "bias", "sd", "hold", "width", "width alone", "hold alone", "ratio",
    "weights",
)  # fmt: skip


class Answer(NamedTuple):
    """ln(D*/N*) less the truth, and both ends of its interval."""

    value: float
    low: float
    high: float


def alone(table: Observations, form: str, design: Design, *, draws: int, seed: int) -> Answer:
    """Return what the true form says by itself."""
    surface = law_surface(table, form, draws=draws, generator=stream(seed, "alone", form))
    log_n = surface.law.log_optimum(surface.values, log_flops=float(np.log(design.flops)))
    ratios = np.log(design.flops / 6) - 2 * log_n - np.log(design.centre[1] / design.centre[0])
    return Answer(ratios[0], *np.nanquantile(ratios[1:], [0.025, 0.975]))


def cell(design_name: str, form: str, *, trunk_sd: float, simulations: int, draws: int) -> list[str]:
    """Return one row of the table."""
    design = DESIGNS[design_name]
    surface, target = truth(form, design), np.log(design.centre[1] / design.centre[0])
    mixed, single, weights, outside = [], [], defaultdict(float), 0
    for seed in range(simulations):
        table = runs(surface, design, trunk_sd=trunk_sd, seed=seed)
        (found,) = best_sizes(table, budgets=[design.flops], draws=draws, seed=seed)
        for each in found.forms:
            weights[each.form] += each.weight / simulations
        if found.tokens_per_param is None:
            outside += 1
            continue
        ratio = found.tokens_per_param
        mixed.append(Answer(*(np.log([ratio.value, ratio.low, ratio.high]) - target)))
        if seed < simulations / 4:
            single.append(alone(table, form, design, draws=draws, seed=seed))
    ours, theirs = (np.array(each) for each in (mixed, single))
    held, held_alone = (np.mean((each[:, 1] <= 0) & (each[:, 2] >= 0)) for each in (ours, theirs))
    width, width_alone = (float(np.median(each[:, 2] - each[:, 1])) for each in (ours, theirs))
    return [
        design_name, f"{trunk_sd:.1%}", form, f"{outside / simulations:.1%}", f"{ours[:, 0].mean():+.3f}",
        f"{ours[:, 0].std():.3f}", f"{held:.1%}", f"{width:.2f}", f"{width_alone:.2f}", f"{held_alone:.0%}",
        f"{width / width_alone:.2f}", ", ".join(f"{name} {share:.2f}" for name, share in weights.items()),
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=1000)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--design", choices=[*DESIGNS], action="append", help="these designs alone")
    parser.add_argument("--out", type=Path, help="write the page here too")
    options = parser.parse_args()
    error = 1.96 * np.sqrt(0.95 * 0.05 / options.simulations)
    lines = [
        "# How often the interval of the best size holds the truth",
        "",
        f"`python benchmarks/coverage_optima.py`, {options.simulations} simulations of {options.draws} draws a cell: a "
        f"share of 95 % is known to ± {100 * error:.1f} points. ln(D*/N*) at one budget in the middle of each design; "
        f"the noise of a run is {POINT_SD:.1%} of the loss, that of a trunk stands in the table. `alone` is the true "
        "form fitted by itself with the same noise (a quarter of the simulations). Surfaces and designs: "
        "`isoloss.arena.truths`.",
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "|" + "---|" * len(COLUMNS),
    ]
    print("\n".join(lines), flush=True)
    for name in options.design or DESIGNS:
        for trunk_sd in TRUNK_SDS:
            for form in FORMS:
                started = time.perf_counter()
                row = cell(name, form, trunk_sd=trunk_sd, simulations=options.simulations, draws=options.draws)
                lines.append("| " + " | ".join(row) + " |")
                print(f"{lines[-1]}  {time.perf_counter() - started:.0f} s", flush=True)
    if options.out:
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
