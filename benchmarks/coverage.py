"""How often 95 % intervals contain the truth, over designs and trunk effects, by method.

    python benchmarks/coverage.py --simulations 200 --out docs/results/coverage.md

Every simulation is a whole fit on fresh noise. `trunk/point` is the trunk effect in units of the point noise (.4 %).
With six corpora, five more of the same design and noise are simulated, and what they say of the trunks' share is used.
`new run` is a run within the grid that was not fitted, `× 8` one at eight times its compute. The table stands behind
the constants of `isoloss.fitting.noise` and `isoloss.fitting.intervals`.
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from isoloss.core.rng import stream
from isoloss.fitting.fitting import evidence_of_others, fit
from isoloss.fitting.prediction import run_intervals
from isoloss.laws.chinchilla import Chinchilla
from isoloss.laws.settings import MethodName
from isoloss.runs.observations import Observations, observations

TOKENS = (6.25e4, 1.25e5, 2.5e5, 5e5, 1e6)
LARGEST = 3e5
TRUTH = np.array([0.7, 0.5 * 1e5**0.35, 0.4 * 1e6**0.4, 0.35, 0.4])
NAMES = ("E", "A", "B", "α", "β", "a", "ln D/N", "new run", "× 8")
NEW_RUNS = {"params": np.array([7e4, LARGEST * 2]), "tokens": np.array([4e5, TOKENS[-1] * 4])}
POINT_SD = 0.004


@dataclass(frozen=True, kw_only=True)
class Design:
    """A grid of `sizes` × five token counts, on one corpus or six, with a trunk a size or (`single`) a row."""

    sizes: int
    method: MethodName
    ratio: float
    corpora: int = 1
    single: bool = False


def designs() -> list[Design]:
    few = [
        Design(sizes=sizes, method="parametric_trunks", ratio=ratio, corpora=corpora)
        for sizes in (4, 6)
        for corpora in (1, 6)
        for ratio in (0.0, 0.5, 1.0, 2.0)
    ]
    many = [Design(sizes=sizes, method="trunks", ratio=ratio) for sizes in (12, 20) for ratio in (0.0, 1.0, 2.0)]
    return [*few, *many, *(Design(sizes=sizes, method="rows", ratio=0.0, single=True) for sizes in (5, 10))]


def runs(design: Design, generator: np.random.Generator) -> Observations:
    """Return one corpus of a design with fresh noise."""
    params, tokens = (a.ravel() for a in np.meshgrid(np.geomspace(1e4, LARGEST, design.sizes), TOKENS, indexing="ij"))
    trunk = np.repeat(np.arange(design.sizes), len(TOKENS))
    effects = generator.normal(0, design.ratio * POINT_SD, design.sizes)[trunk]
    loss = Chinchilla.loss(TRUTH, params=params, tokens=tokens)
    loss = loss * np.exp(generator.normal(0, POINT_SD, len(params)) + effects)
    names = None if design.single else [f"trunk {i}" for i in trunk]
    return observations(params=params, tokens=tokens, loss_nats=loss, trunk=names)


def shares(design: Design, *, simulations: int, draws: int) -> tuple[np.ndarray, float]:
    """Return the share of intervals that held the truth, for each of `NAMES`, and α's median width."""
    flops = 6 * np.sqrt(1e4 * LARGEST * TOKENS[0] * TOKENS[-1])
    log_ratio = np.log(flops / 6) - 2 * Chinchilla.log_optimum(TRUTH, log_flops=np.log(flops))
    targets = np.array([*TRUTH, Chinchilla.exponent_a(TRUTH), log_ratio])
    expected = np.log(Chinchilla.loss(TRUTH, **NEW_RUNS))
    held, widths = np.zeros(len(NAMES)), np.empty(simulations)
    for simulation in range(simulations):
        generator = stream(simulation, "coverage benchmark", design.sizes, str(design.ratio))
        table = runs(design, generator)
        others = [runs(design, generator) for _ in range(design.corpora - 1)]
        evidence = evidence_of_others([table, *others])[0] if others else None
        law = fit(table, bootstrap=draws, method=design.method, seed=simulation, trunk_evidence=evidence)
        found = [*law.params.values(), law.exponent_a(), law.log_ratio(flops)]
        new = expected + generator.normal(0, POINT_SD, 2) + generator.normal(0, design.ratio * POINT_SD, 2)
        inside = [e.low <= target <= e.high for e, target in zip(found, targets, strict=True)]
        held += [*inside, *run_intervals(law, NEW_RUNS).hold(np.exp(new))]
        widths[simulation] = law.params["alpha"].width
    return held / simulations, float(np.median(widths))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=200)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--out", type=Path, help="write the page here too")
    options = parser.parse_args()
    error = 1.96 * np.sqrt(0.95 * 0.05 / options.simulations)
    title = ["grid", "corpora", "method", "trunk/point", *NAMES, "width of α"]
    lines = [
        "# How often 95 % intervals contain the truth",
        "",
        f"`python benchmarks/coverage.py` ran {options.simulations} simulations of {options.draws} bootstrap draws "
        f"for each row. The cells give the coverage in per cent; a coverage of 95 % is known to ± {100 * error:.1f} "
        "points. The true law is Chinchilla's, with values like those of Python source in bytes; it is fitted with "
        "Huber's objective (δ = 1e-3). The noise of a run is 0.4 % of the loss. `trunk/point` is the standard "
        "deviation of the noise that the runs of one trunk share, over the noise of a run. With six corpora, the "
        "estimate of that share uses five other corpora of the same recipe. `new run` is the prediction interval of a "
        "single run within the grid, noise included; `× 8` that of a run at eight times its compute.",
        "",
        "| " + " | ".join(title) + " |",
        "|" + "---|" * len(title),
    ]
    print("\n".join(lines), flush=True)
    for design in designs():
        started = time.perf_counter()
        found, width = shares(design, simulations=options.simulations, draws=options.draws)
        cells = [f"{design.sizes} × 5", str(design.corpora), design.method, f"{design.ratio:g}"]
        lines.append("| " + " | ".join([*cells, *(f"{100 * share:.0f}" for share in found), f"{width:.3f}"]) + " |")
        print(f"{lines[-1]}  {time.perf_counter() - started:.0f} s", flush=True)
    if options.out:
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
