"""How often 95 % intervals hold the truth, over designs and trunk effects, by method.

    python benchmarks/coverage.py --simulations 300

Every simulation is a whole fit on fresh noise. `trunk/point` is the trunk effect in units of the point noise (.4 %).
The table stands behind the constants of `isoloss.laws.noise` and `isoloss.laws.intervals`.
"""

import argparse
import time

import numpy as np

from isoloss.core.rng import stream
from isoloss.laws.chinchilla import Chinchilla
from isoloss.laws.fitting import fit
from isoloss.laws.intervals import MethodName
from isoloss.runs.observations import Observations, observations

TOKENS = (6.25e4, 1.25e5, 2.5e5, 5e5, 1e6)
TRUTH = np.array([0.7, 0.5 * 1e5**0.35, 0.4 * 1e6**0.4, 0.35, 0.4])
NAMES = ("E", "A", "B", "alpha", "beta", "a", "lnD/N")
POINT_SD = 0.004


def runs(sizes: int, trunk_sd: float, generator: np.random.Generator, *, shared: bool) -> Observations:
    """Return a grid of `sizes` trunks × 5 token counts, or with `shared=False` the same grid of runs of their own."""
    params, tokens = (a.ravel() for a in np.meshgrid(np.geomspace(1e4, 3e5, sizes), TOKENS, indexing="ij"))
    trunk = np.repeat(np.arange(sizes), len(TOKENS))
    noise = generator.normal(0, POINT_SD, len(params)) + generator.normal(0, trunk_sd, sizes)[trunk]
    loss = Chinchilla.loss(TRUTH, params=params, tokens=tokens) * np.exp(noise)
    return observations(
        params=params, tokens=tokens, loss_nats=loss, trunk=[f"trunk {i}" for i in trunk] if shared else None
    )  # fmt: skip


def shares(sizes: int, ratio: float, method: MethodName, *, shared: bool, simulations: int, draws: int) -> np.ndarray:
    """Return the share of intervals that held the truth, for each of `NAMES`."""
    flops = 6 * np.sqrt(1e4 * 3e5 * TOKENS[0] * TOKENS[-1])
    log_ratio = np.log(flops / 6) - 2 * Chinchilla.log_optimum(TRUTH, log_flops=np.log(flops))
    targets = np.array([*TRUTH, Chinchilla.exponent_a(TRUTH), log_ratio])
    held = np.zeros(len(NAMES))
    for simulation in range(simulations):
        generator = stream(simulation, "coverage benchmark", sizes, str(ratio))
        table = runs(sizes, ratio * POINT_SD, generator, shared=shared)
        law = fit(table, bootstrap=draws, method=method, seed=simulation)
        found = [*law.params.values(), law.exponent_a(), law.log_ratio(flops)]
        held += [e.low <= target <= e.high for e, target in zip(found, targets, strict=True)]
    return held / simulations


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=200)
    parser.add_argument("--draws", type=int, default=200)
    options = parser.parse_args()
    error = 1.96 * np.sqrt(0.95 * 0.05 / options.simulations)
    print(f"{options.simulations} simulations: a share of .95 is known to ±{error:.3f}")
    print(f"{'design':<12}{'method':<19}{'trunk/point':<13}" + "".join(f"{name:>8}" for name in NAMES))
    for sizes, method, ratios, shared in (
        (4, "parametric_trunks", (0.0, 0.5, 1.0, 2.0), True),
        (6, "parametric_trunks", (0.0, 0.5, 1.0, 2.0), True),
        (12, "trunks", (0.0, 1.0), True),
        (20, "trunks", (0.0, 1.0), True),
        (5, "rows", (0.0,), False),
        (10, "rows", (0.0,), False),
    ):
        for ratio in ratios:
            started = time.perf_counter()
            found = shares(sizes, ratio, method, shared=shared, simulations=options.simulations, draws=options.draws)
            row = "".join(f"{share:8.3f}" for share in found)
            print(
                f"{f'{sizes} × 5':<12}{method:<19}{ratio:<13}{row}   {time.perf_counter() - started:.0f} s", flush=True
            )


if __name__ == "__main__":
    main()
