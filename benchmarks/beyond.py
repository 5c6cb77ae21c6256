"""How often the intervals of `isoloss.planning.beyond` hold runs far beyond those that were fitted.

    python benchmarks/beyond.py --data ../shared/data [--tables 3] [--replicates 1] [--rows build/beyond.csv]

Every table is cut at a half, a quarter … of its largest budget; the runs below predict the losses of those at 2 to 32
times their own compute, and the best splits of budgets as far away. A predicted split is compared with the true one of
a simulated table, and on other tables with that of the laws fitted to all runs. Simulated tables are drawn from one
form and predicted by the others alone. The factor between a standard deviation and a 95 % interval is that of all other
sources than the one that is scored, tables of equal weight, so that no interval knows its own table. The factors of the
library are those of all sources together. Tables that `--rows` has already are not predicted again: the same command
goes on where it was stopped.
"""

import argparse
import csv
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

import isoloss.planning.beyond
from isoloss.core.errors import InputError
from isoloss.core.estimate import Estimate
from isoloss.core.numbers import percent
from isoloss.fitting.fitted import FittedLaw
from isoloss.fitting.fitting import fit
from isoloss.laws.settings import FitSettings
from isoloss.planning.beyond import FORMS, LOSS_FACTOR, RATIO_FACTOR, look_beyond
from isoloss.planning.shipped import shipped_runs
from isoloss.published.studies import runs_in
from isoloss.runs.observations import Observations, observations

CUTS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)
BANDS = {"3": (2.0, 5.5), "10": (5.5, 14.0), "20": (14.0, 32.0)}
TARGET = 0.95
LOSS, SPLIT = "loss", "split"
FACTORS = {LOSS: LOSS_FACTOR, SPLIT: RATIO_FACTOR}
NO_GUIDE = "simulated farseer"  # its best split moves as no other form's does: it would set the factor of splits alone
FIELDS = ("source", "table", "cut", "what", "band", "error", "deviation")


def remember_fits() -> None:
    """Fit every law once to the same rows, by the same settings: the steps below one cut are steps below the next."""
    known: dict[tuple[str, str], FittedLaw | InputError] = {}

    def fitted(table: Observations, *, law: str, settings: FitSettings) -> FittedLaw:
        key = law, table.fingerprint
        if key not in known:
            try:
                known[key] = fit(table, law=law, settings=settings)
            except InputError as error:
                known[key] = error
        if isinstance(found := known[key], InputError):
            raise found
        return found

    isoloss.planning.beyond.fit = fitted


def coupled(n, d):
    return 1.0 + ((20 * n**-0.2) ** 2.5 + (60 * d**-0.24) ** 2.5) ** 0.4


def ceiling(n, d):
    h = 60 * n**-0.34 + 300 * d**-0.37
    return 1.5 + 7.5 * h / (1 + h)


def farseer(n, d):
    m = n / 1e6
    return np.exp(0.9 * m**-0.12 - 0.1) + np.exp(9.5 * m**-0.01) * d ** (-0.38 * m**0.015)


TRUTHS = {
    "chinchilla": lambda n, d: 1.7 + 400 * n**-0.34 + 2000 * d**-0.37,
    "coupled": coupled,
    "ceiling": ceiling,
    "farseer": farseer,
    "kaplan": lambda n, d: ((8.8e13 / n) ** (0.076 / 0.095) + 5.4e13 / d) ** 0.095,
}


def published(data: Path) -> Iterator[tuple[str, Observations]]:
    """Yield source and runs of every table: the bundled ones, and the published ones whose folders are in `data`."""
    yield from (("shipped", shipped_runs().where(corpus=corpus)) for corpus in shipped_runs().corpora)
    yield from ((name.split()[0], runs) for name, runs in runs_in(data))


def simulated(form: str, design: str, seed: int) -> Observations:
    """Return runs of a form with noise of .7 % in ln L: eleven budgets of seven sizes, or a rectangle of 7 × 7."""
    generator = np.random.default_rng([seed, list(TRUTHS).index(form)])
    if design == "isoflop":
        flops = np.repeat(1e17 * 2.0 ** np.arange(11), 7)
        params = np.sqrt(flops / 120) * np.tile(np.exp(np.linspace(-1.6, 1.6, 7)), 11)
        params *= np.exp(generator.normal(0, 0.05, len(params)))
        tokens = flops / 6 / params
    else:
        params, tokens = (each.ravel() for each in np.meshgrid(1e7 * 2.5 ** np.arange(7), 1e8 * 3.0 ** np.arange(7)))
        kept = (tokens > params) & (tokens < 2000 * params)
        params, tokens = params[kept], tokens[kept]
    loss = TRUTHS[form](params, tokens) * np.exp(generator.normal(0, 0.007, len(params)))
    return observations(params=params, tokens=tokens, loss_nats=loss)


def tables(data: Path, most: int | None, replicates: int) -> Iterator[tuple[str, Observations, tuple[str, ...]]]:
    """Yield source, runs, and the forms that may predict them."""
    seen: dict[str, int] = {}
    for source, runs in published(data):
        seen[source] = seen.get(source, 0) + 1
        if most is None or seen[source] <= most:
            yield source, runs, FORMS
    for form in TRUTHS:
        others = tuple(name for name in FORMS if name != form)
        for seed in range(replicates):
            for design in ("isoflop", "rectangle"):
                yield f"simulated {form}", simulated(form, design, seed), others


def missed(source: str, table: int, runs: Observations, forms: tuple[str, ...]) -> list[dict]:
    """Return error and standard deviation of ln L of every run beyond every cut, and of ln(D*/N*) of budgets there."""
    found = []
    truth = TRUTHS.get(source.removeprefix("simulated "))
    asked = budgets_of(runs)
    known = splits_by(runs, asked, forms) if truth is None else {b: true_split(truth, b) for b in asked}
    for cut in CUTS[1:]:
        below = runs.flops <= runs.flops.max() / cut * (1 + 1e-9)
        if below.sum() < 10:
            break
        high = runs.flops[below].max()
        beyond = [(float(n), float(d), float(loss), float(c / high))
                  for n, d, loss, c in zip(runs.params, runs.tokens, runs.loss_nats, runs.flops, strict=True)
                  if band_of(c / high)]  # fmt: skip
        budgets = [budget for budget in known if band_of(budget / high)]
        try:
            said = look_beyond(
                runs.select(below), runs=[run[:2] for run in beyond], flops=budgets, forms=forms, exclude_flags=()
            )
        except InputError:
            continue
        place = {"source": source, "table": table, "cut": cut}
        for one, (_, _, loss, far) in zip(said.runs, beyond, strict=True):
            found.append(place | {"what": LOSS, "band": band_of(far)} | off(one.loss, loss, LOSS_FACTOR))
        for one in said.splits:
            scored = off(one.tokens_per_param, known[one.flops], RATIO_FACTOR)
            found.append(place | {"what": SPLIT, "band": band_of(one.flops / high)} | scored)
    return found


def band_of(distance: float) -> str | None:
    """Return the band of a distance in compute; None outside all."""
    return next((name for name, (low, top) in BANDS.items() if low <= distance < top), None)


def off(said: Estimate, true: float, factor: float) -> dict[str, float]:
    """Return the error of a prediction's logarithm, and its standard deviation."""
    return {"error": float(np.log(said.value / true)), "deviation": float(np.log(said.high / said.low) / 2 / factor)}


def budgets_of(runs: Observations) -> list[float]:
    """Return the budgets whose splits are predicted: a factor of 1.5 apart, up to the largest of a table."""
    top = runs.flops.max()
    return [float(top / 1.5**step) for step in range(12) if top / 1.5**step > runs.flops.min()]


def splits_by(runs: Observations, budgets: list[float], forms: tuple[str, ...]) -> dict[float, float]:
    """Return the best tokens per parameter of budgets by the laws fitted to all runs; none where there are none."""
    try:
        said = look_beyond(runs, flops=budgets, forms=forms, exclude_flags=())
    except InputError:
        return {}
    return {one.flops: one.tokens_per_param.value for one in said.splits}


def true_split(truth: Callable, flops: float) -> float:
    """Return the best tokens per parameter of a surface, C = 6 N D."""
    params = np.geomspace(1e5, 1e12, 20_001)
    best = params[np.argmin(truth(params, flops / 6 / params))]
    return float(flops / 6 / best**2)


def quantile(rows: list[dict], share: float = TARGET) -> float:
    """Return the quantile of |error| / deviation, tables of equal weight."""
    z = np.array([abs(row["error"]) / row["deviation"] for row in rows])
    names = [(row["source"], row["table"]) for row in rows]
    weights = np.array([1 / names.count(name) for name in names])
    order = np.argsort(z)
    total = np.cumsum(weights[order]) / weights.sum()
    return float(z[order][np.searchsorted(total, share)])


def report(rows: list[dict], what: str) -> None:
    rows = [row for row in rows if row["what"] == what]
    guides = [row for row in rows if what == LOSS or row["source"] != NO_GUIDE]
    own_factor = FACTORS[what]
    print(f"\n{what}: factor of all sources {quantile(guides):.2f}; the library's {own_factor}")
    print(
        "| source | tables | times the compute | scored | inside | factor of the others | inside by it | half width |"
    )
    print("|---|---|---|---|---|---|---|---|")
    pooled: dict[tuple[str, str], list[tuple[bool, bool]]] = {}
    for source in dict.fromkeys(row["source"] for row in rows):
        own = [row for row in rows if row["source"] == source]
        factor = quantile([row for row in guides if row["source"] != source] or own)
        for band in BANDS:
            part = [row for row in own if row["band"] == band]
            if not part:
                continue
            inside = [tuple(abs(row["error"]) <= each * row["deviation"] for each in (own_factor, factor))
                      for row in part]  # fmt: skip
            pooled.setdefault(("simulated" if source.startswith("simulated") else "real runs", band), []).extend(inside)
            half = np.median([own_factor * row["deviation"] for row in part])
            by_own, by_others = shares(inside)
            said = [source, len({row["table"] for row in own}), band, len(part), by_own, f"{factor:.2f}", by_others,
                    percent(half) if what == LOSS else f"{half:.2g}"]  # fmt: skip
            print("|", " | ".join(map(str, said)), "|")
    for (kind, band), inside in pooled.items():
        print(f"{kind}, {band} times the compute, {len(inside)}: {' and '.join(shares(inside))} inside")


def shares(inside: list[tuple[bool, bool]]) -> list[str]:
    """Return how many intervals hold, by the library's factor and by that of the other sources."""
    return [percent(float(share)) for share in np.mean(inside, axis=0)]


def read(path: Path) -> list[dict]:
    """Return the rows of tables that were predicted before."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [{**row, "table": int(row["table"]), "cut": float(row["cut"]), "error": float(row["error"]),
                 "deviation": float(row["deviation"])} for row in csv.DictReader(file)]  # fmt: skip


def write(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    with fresh.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        writer.writerows(rows)
    fresh.replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--tables", type=int, help="most tables of a source")
    parser.add_argument("--replicates", type=int, default=1)
    parser.add_argument("--rows", type=Path, default=Path("build/beyond.csv"), help="one row a prediction")
    asked = parser.parse_args()
    remember_fits()
    rows = read(asked.rows)
    done = {(row["source"], row["table"]) for row in rows}
    for number, (source, runs, forms) in enumerate(tables(asked.data, asked.tables, asked.replicates)):
        if (source, number) not in done:
            rows += missed(source, number, runs, forms)
            write(asked.rows, rows)
            print(source, number, len(rows), flush=True)
    for what in FACTORS:
        report(rows, what)


if __name__ == "__main__":
    main()
