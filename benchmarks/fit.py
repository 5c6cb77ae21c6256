"""The fit engine against scipy's L-BFGS-B, side by side in one run.

    python benchmarks/fit.py                            # simulated rows like Hoffmann et al.'s, at most a minute
    python benchmarks/fit.py RUNS.csv --params n --tokens d --loss val_loss

The same objective (sum of Huber losses of ln L, δ = 1e-3), rows and 4,500 starts of Hoffmann et al. 2022 for both;
scipy gets a random subsample of the starts and its time is scaled to all of them: its starts are independent. Its
objective is plain NumPy, faster than the published notebooks' logsumexp. Times count only at an objective no worse than
the peer's best. Kernels are compiled, and cached on disk, before the clock starts; the time that took is printed.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial

# scipy's tiny products wake BLAS threads that then spin: with one thread the peer is several times faster.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from scipy.optimize import minimize

from isoloss.core.rng import stream
from isoloss.fitting.engine import find_optimum, pose, starting_points, warm
from isoloss.fitting.fitting import fit
from isoloss.laws.chinchilla import Chinchilla
from isoloss.runs.observations import Observations, observations
from isoloss.runs.read_runs import read_runs

DELTA = 1e-3


def rows_like_hoffmanns(n: int = 240) -> Observations:
    """Return simulated rows with the ranges, the law and the noise of Hoffmann et al. 2022, Figure 4."""
    generator = stream(0, "benchmark rows")
    params = np.exp(generator.uniform(np.log(5.7e7), np.log(1.6e10), n))
    tokens = np.exp(generator.uniform(np.log(8e8), np.log(3e11), n))
    loss = Chinchilla.loss(np.array([1.817, 478.0, 2143.0, 0.3473, 0.3672]), params=params, tokens=tokens)
    return observations(
        params=params, tokens=tokens, loss_nats=loss * np.exp(0.0075 * generator.standard_t(3, n) / 1.7)
    )


def huber(point, log_n, log_d, log_loss) -> float:
    """The objective in the published parameters (a, b, e, α, β)."""
    a, b, e, alpha, beta = point
    predicted = np.logaddexp(np.logaddexp(a - alpha * log_n, b - beta * log_d), e)
    size = np.abs(log_loss - predicted)
    return float(np.where(size <= DELTA, size**2 / 2, DELTA * (size - DELTA / 2)).sum())


def huber_with_gradient(point, log_n, log_d, log_loss):
    a, b, e, alpha, beta = point
    terms = np.stack([a - alpha * log_n, b - beta * log_d, np.full_like(log_n, e)])
    predicted = np.logaddexp(np.logaddexp(terms[0], terms[1]), e)
    share = np.exp(terms - predicted)
    residual = log_loss - predicted
    size = np.abs(residual)
    psi = -np.clip(residual, -DELTA, DELTA)
    derivatives = np.stack([share[0], share[1], share[2], -share[0] * log_n, -share[1] * log_d])
    value = np.where(size <= DELTA, size**2 / 2, DELTA * (size - DELTA / 2)).sum()
    return float(value), derivatives @ psi


def time_scipy(table: Observations, objective: Callable, starts, *, jac) -> tuple[float, float]:
    """Return seconds per start and the best objective."""
    data = (np.log(table.params), np.log(table.tokens), np.log(table.loss_nats))
    started = time.perf_counter()
    best = min(minimize(objective, start, args=data, method="L-BFGS-B", jac=jac).fun for start in starts)
    return (time.perf_counter() - started) / len(starts), best


def time_ours(table: Observations, *, repeats: int = 3) -> tuple[float, float, int]:
    """Return the fastest of a few whole fits from all 4,500 starts, the objective, and the starts that agree."""
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        problem = pose(
            table, law=Chinchilla, objective="huber", delta=DELTA, weights=np.ones(len(table)), fixed={}
        )  # fmt: skip
        optimum = find_optimum(problem, starting_points(problem, "hoffmann"))
        seconds.append(time.perf_counter() - started)
    return min(seconds), optimum.objective, optimum.convergence.starts_agreeing


def against_scipy(table: Observations, *, numeric_starts: int, analytic_starts: int) -> None:
    values = Chinchilla.to_values(Chinchilla.published_starts(np.zeros(2)), np.zeros(2))
    E, A, B, alpha, beta = values.T
    grid = np.column_stack([np.log(A), np.log(B), np.log(E), alpha, beta])
    order = stream(0, "benchmark starts").permutation(len(grid))
    ours, objective, agreeing = time_ours(table)
    print(f"{len(table)} rows, {len(grid)} starts, Huber δ = {DELTA:g}")
    print(f"  isoloss                      {ours:9.2f} s   objective {objective:.9g}, {agreeing} starts agree")
    for name, function, jac, count in (
        ("scipy L-BFGS-B, numeric", huber, None, numeric_starts),
        ("scipy L-BFGS-B, analytic", huber_with_gradient, True, analytic_starts),
    ):
        each, best = time_scipy(table, function, grid[order[:count]], jac=jac)
        verdict = "ours no worse" if objective <= best * (1 + 1e-9) else "OURS WORSE: times do not count"
        print(
            f"  {name:<28} {each * len(grid):9.2f} s   objective {best:.9g} ({verdict}); {count} starts timed, scaled; "
            f"ratio {each * len(grid) / ours:.0f}×"
        )
    automatic = fit(table)
    print(f"  isoloss, automatic starts    {automatic.fit_seconds:9.3f} s   objective {automatic.objective_value:.9g}")


def resamples(table: Observations) -> None:
    for count in (1000, 4000, 16000):
        law = fit(table, bootstrap=count)
        print(f"  {count:6d} resamples {law.bootstrap_seconds:8.2f} s   {count / law.bootstrap_seconds:8.0f} refits/s")


def growth(make: Callable[[int], Observations]) -> None:
    for rows in (60, 240, 960, 3840):
        table = make(rows)
        problem = pose(table, law=Chinchilla, objective="huber", delta=DELTA, weights=np.ones(rows), fixed={})
        for every in (9, 1):
            starts = starting_points(problem, "hoffmann")[::every]
            started = time.perf_counter()
            optimum = find_optimum(problem, starts)
            seconds = time.perf_counter() - started
            print(f"  {rows:5d} rows {len(starts):5d} starts {seconds:8.2f} s   {optimum.convergence.iterations} steps")


def loading(rows: int) -> None:
    """Print how long a table takes to be read, checked and grouped by corpus, from CSV and from Parquet."""
    import pyarrow as pa
    from pyarrow import csv, parquet

    generator = stream(0, "benchmark table")
    table = rows_like_hoffmanns(rows)
    columns = {"params": table.params, "tokens": table.tokens, "loss": table.loss_nats}
    names = np.char.add("corpus ", generator.integers(0, 8, rows).astype(np.str_))
    written = pa.table(columns | {"data": names})
    with tempfile.TemporaryDirectory() as folder:
        csv.write_csv(written, f"{folder}/runs.csv")
        parquet.write_table(written, f"{folder}/runs.parquet")
        for kind in ("csv", "parquet"):
            started, used = time.perf_counter(), time.process_time()
            read = read_runs(f"{folder}/runs.{kind}", loss="loss", corpus="data")
            groups = [read.where(corpus=corpus) for corpus in read.corpora]
            seconds, of_cpu = time.perf_counter() - started, time.process_time() - used
            print(f"  {len(read):8d} rows, {len(groups)} groups, {kind:<8}{seconds:8.2f} s ({of_cpu:.2f} s of CPU)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="?", help="a table of runs; simulated rows without it")
    parser.add_argument("--params", default="params")
    parser.add_argument("--tokens", default="tokens")
    parser.add_argument("--loss", default="loss")
    parser.add_argument("--where", help="SQL condition on the table")
    parser.add_argument("--numeric-starts", type=int, default=90)
    parser.add_argument("--analytic-starts", type=int, default=300)
    options = parser.parse_args()
    read = partial(read_runs, params=options.params, tokens=options.tokens, loss=options.loss, where=options.where)
    table = read(options.runs) if options.runs else rows_like_hoffmanns()
    started = time.perf_counter()
    warm(Chinchilla)
    print(f"kernels compiled or loaded in {time.perf_counter() - started:.1f} s")
    against_scipy(table, numeric_starts=options.numeric_starts, analytic_starts=options.analytic_starts)
    print("bootstrap")
    resamples(table)
    print("growth (simulated rows)")
    growth(rows_like_hoffmanns)
    print("loading")
    for rows in (100_000, 1_000_000):
        loading(rows)


if __name__ == "__main__":
    main()
