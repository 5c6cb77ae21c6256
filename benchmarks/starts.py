"""Do automatic starts find as good an optimum as a dense set? Every law, every published table, and simulated ones.

    python benchmarks/starts.py --data DIR                # every law, 200 simulated tables each, 1,000 dense starts
    python benchmarks/starts.py --law repeated --simulations 20

A dense set is spread evenly over the search's bounds and around the automatic starts. A law is worse on a table where
its automatic starts end at an objective more than 1e-6 above the best of both; the worst excess is printed.
"""

import argparse
import csv
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "helpers"))

from isoloss.fitting.engine import pose, solve, starting_points, warm
from isoloss.laws.law import Law
from isoloss.laws.loss_to_loss import pair_losses
from isoloss.laws.registry import laws
from isoloss.runs.observations import Observations, observations
from laws_zoo import dense_starts, random_case

WORSE = 1e-6


def published(folder: Path) -> Iterator[tuple[str, Observations]]:
    """Yield every public table of runs by name."""
    rows = _read(folder / "chinchilla2022" / "chinchilla_runs_245.csv")
    yield "chinchilla, all 245", _table(rows, loss="loss")
    yield "chinchilla, 240", _table([row for row in rows if row["epoch_outlier"] == "False"], loss="loss")
    rows = _read(folder / "gzip2024" / "gzip_pcfg_runs_150.csv")
    for loss in ("train_loss_last5pct", "valid_loss_mean", "train_loss_last"):
        table = _table(rows, loss=loss, corpus="dataset")
        for corpus in table.corpora:
            yield f"gzip {corpus}, {loss}", table.where(corpus=corpus)
        for corpus in table.corpora[1:]:
            both = table.where(corpus=[table.corpora[0], corpus])
            yield f"gzip {corpus} from {table.corpora[0]}, {loss}", pair_losses(both, other=table.corpora[0])
    points = _read(folder / "porian2024" / "isoflop_points.csv")
    for config in dict.fromkeys(row["config"] for row in points):
        yield (
            f"porian {config}",
            _table([r for r in points if r["config"] == config], params="n", tokens="t", loss="loss"),
        )
    for name in ("c4_repeat_runs_182", "c4_repeat_runs"):
        yield name, _table(_read(folder / "datablations2023" / f"{name}.csv"), loss="val_loss", unique="unique_tokens")


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _table(rows, *, loss, params="params", tokens="tokens", corpus=None, unique=None) -> Observations:
    column = {name: [float(row[name]) for row in rows] for name in (params, tokens, loss, unique) if name}
    return observations(
        params=column[params], tokens=column[tokens], loss_nats=column[loss],
        corpus=[row[corpus] for row in rows] if corpus else "all",
        extra={"unique_tokens": column[unique]} if unique else {},
    )  # fmt: skip


def excess(law: type[Law], table: Observations, *, objective: str, dense: int) -> float:
    """Return how far the automatic starts' best objective lies above the best of both sets, relative."""
    problem = pose(table, law=law, objective=objective, delta=1e-3, weights=np.ones(len(table)), fixed={})
    automatic = solve(problem, starting_points(problem, "auto")).objective.min()
    found = min(automatic, solve(problem, dense_starts(problem, count=dense)).objective.min())
    return float(automatic / found - 1) if found > 0 else 0.0


def readable(law: type[Law], table: Observations) -> bool:
    """Whether the table has what the law reads, and it varies."""
    columns = [name for name in law.columns if name not in ("params", "tokens", "flops")]
    if any(name not in table.extra for name in columns):
        return False
    varies = [np.unique(table.column(name)).size > 1 for name in law.columns if name not in law.may_be_constant]
    return all(varies) and len(table) > len(law.parameters)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of public tables")
    parser.add_argument("--law", action="append", help="laws to try; all without it")
    parser.add_argument("--simulations", type=int, default=200)
    parser.add_argument("--dense", type=int, default=1000)
    parser.add_argument("--objective", default="huber")
    options = parser.parse_args()
    tables = list(published(options.data)) if options.data else []
    print(f"{'law':<16}{'starts':>7}{'published':>11}{'worse':>7}{'simulated':>11}{'worse':>7}  worst excess")
    for name in options.law or laws:
        law = laws[name]
        warm(law)
        started = time.perf_counter()
        found = {
            label: excess(law, table, objective=options.objective, dense=options.dense)
            for label, table in tables
            if readable(law, table)
        }
        simulated = {
            f"simulated {seed}": excess(
                law, random_case(name, seed)[0], objective=options.objective, dense=options.dense
            )
            for seed in range(options.simulations)
        }
        both = found | simulated
        worst = max(both, key=both.__getitem__)
        table = random_case(name, 0)[0]
        problem = pose(table, law=law, objective="huber", delta=1e-3, weights=np.ones(len(table)), fixed={})
        count = len(starting_points(problem, "auto"))
        worse = [sum(e > WORSE for e in of.values()) for of in (found, simulated)]
        print(
            f"{name:<16}{count:>7}{len(found):>11}{worse[0]:>7}{len(simulated):>11}{worse[1]:>7}  {both[worst]:.1e} "
            f"({worst}; {time.perf_counter() - started:.0f} s)",
            flush=True,
        )
        for label, size in both.items():
            if size > WORSE:
                print(f"    {label}: {size:.1e}")


if __name__ == "__main__":
    main()
