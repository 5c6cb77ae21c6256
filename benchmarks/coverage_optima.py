"""How often the interval of the best size holds the truth, whatever the form of the surface.

    python benchmarks/coverage_optima.py --simulations 1000 --rows build/optima.csv --out docs/results/optima.md

Every simulation is a whole estimate on fresh noise and becomes a row of `--rows` as soon as it is there: the same
command goes on where it was stopped. The page is written from the rows alone (`--simulations 0` adds none). Surfaces
and noise are those of `isoloss.arena.truths`. `alone` is the true form fitted by itself with the same noise.
"""

import argparse
import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from isoloss.arena.truths import DESIGNS, FORMS, POINT_SD, TRUNK_SDS, Design, Truth, runs, truth
from isoloss.core.errors import InputError
from isoloss.core.numbers import percent
from isoloss.core.rng import stream
from isoloss.optima.best_size import BestSize, best_sizes
from isoloss.optima.lack_of_fit import MOVED, REFUSAL, lack_of_fit
from isoloss.optima.surfaces import law_surface
from isoloss.runs.observations import Observations

DRAWS = 200
ALONE_EVERY = 5  # simulations, of which one fits the true form by itself
REFUSED_EVERY = 10  # and one asks whether Chinchilla's form is refused
WRONG_SHARE = 10  # simulations of a cell for each of a wrong design
FAR = 100.0  # what sizes and budget of a wrong design are multiplied by, or divided
MOST_LOSS = 12.0  # nats: that of a guess among 160,000 tokens
BIAS, HOLD, RATIO = 0.08, 0.92, 1.6
CROSSED = ("5 × 6", "demo", "laptop", "staircase")
ASKED = (*CROSSED, "sparse")
FIELDS = ("design", "trunk", "surface", "seed", "side", "value", "low", "high", "alone_value", "alone_low",
          "alone_high", "probability", "refused", "forms")  # fmt: skip


class Cell(NamedTuple):
    """What is simulated: a design by name, the noise of its trunks, the form of the surface."""

    design: str
    trunk: float
    surface: str


class Answer(NamedTuple):
    """ln(D*/N*) less the truth, and both ends of its interval."""

    value: float
    low: float
    high: float


def asked(name: str) -> tuple[Design, float]:
    """Return a design by name and the budget that it is asked for; `name, too large` has all sizes beyond the best."""
    for word, factor in (("too large", FAR), ("too small", 1 / FAR)):
        if name.endswith(f", {word}"):
            design = DESIGNS[name.removesuffix(f", {word}")]
            return design.with_sizes(factor), design.flops * factor
    return DESIGNS[name], DESIGNS[name].flops


def wrong_cells() -> list[Cell]:
    """Return the wrong designs, as far as the best size of the surface lies outside the sizes there."""
    crossed = [f"{name}, {word}" for name in CROSSED for word in ("too large", "too small")]
    return [Cell(name, TRUNK_SDS[0], form) for form in FORMS for name in [*crossed, "foreign"]
            if name == "foreign" or _is_outside(name, form)]  # fmt: skip


def _is_outside(name: str, form: str) -> bool:
    """Whether the best size lies outside the sizes and the surface still has losses that a model could have."""
    design, flops = asked(name)
    surface = truth(form, design)
    best = np.sqrt(flops / 6 / np.exp(surface.log_ratio(flops)))
    inside = design.params.min() <= best <= design.params.max()
    return not inside and float(surface.loss(design.params, design.tokens).max()) < MOST_LOSS


def alone(table: Observations, form: str, design: Design, *, seed: int) -> Answer | None:
    """Return what the true form says by itself, None where the rows do not determine it."""
    try:
        surface = law_surface(table, form, draws=DRAWS, generator=stream(seed, "alone", form))
    except InputError:
        return None
    log_n = surface.law.log_optimum(surface.values, log_flops=float(np.log(design.flops)))
    ratios = np.log(design.flops / 6) - 2 * log_n - np.log(design.centre[1] / design.centre[0])
    return Answer(ratios[0], *np.nanquantile(ratios[1:], [0.025, 0.975]))


def simulate(cell: Cell, seed: int) -> dict[str, object]:
    """Return one row."""
    design, flops = asked(cell.design)
    surface = truth(cell.surface, design)
    table = runs(surface, design, trunk_sd=cell.trunk, seed=seed)
    optima = best_sizes(table, budgets=[flops], draws=DRAWS, seed=seed)
    row: dict[str, object] = {**cell._asdict(), "seed": seed} | _said(optima[0], surface, flops)
    if cell.design not in ASKED:
        return row
    if seed % ALONE_EVERY == 0 and (own := alone(table, cell.surface, design, seed=seed)) is not None:
        row |= {f"alone_{name}": f"{value:.4f}" for name, value in own._asdict().items()}
    if seed % REFUSED_EVERY == 0 and cell.surface in ("chinchilla", "coupled"):
        (verdict,) = lack_of_fit(table, seed=seed)  # at three budgets, as `isoloss fit` asks
        row |= {"probability": f"{verdict.probability:.4f}", "refused": int(verdict.refused)}
    return row


def _said(found: BestSize, surface: Truth, flops: float) -> dict[str, object]:
    if (ratio := found.tokens_per_param) is None:
        return {"side": found.side or "not held"}
    target = surface.log_ratio(flops)
    answer = Answer(*(float(np.log(each)) - target for each in (ratio.value, ratio.low, ratio.high)))
    forms = " ".join(f"{f.form}:{f.weight:.3f}:{np.log(f.tokens_per_param) - target:.3f}" for f in found.forms)
    return {"side": "inside", "forms": forms} | {name: f"{value:.4f}" for name, value in answer._asdict().items()}


def wanted(cells: Sequence[Cell], simulations: int) -> Iterator[tuple[Cell, int]]:
    """Yield what is to be simulated, so that all cells grow together."""
    bad = wrong_cells()
    for seed in range(simulations):
        yield from ((cell, seed) for cell in cells)
        if seed % WRONG_SHARE == 0:
            yield from ((cell, seed // WRONG_SHARE) for cell in bad)


def key(row: Mapping[str, object]) -> tuple[Cell, int]:
    return Cell(str(row["design"]), float(str(row["trunk"])), str(row["surface"])), int(str(row["seed"]))


def read(path: Path) -> list[dict[str, str]]:
    """Return the rows that are there, a last one that was cut short left out."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if None not in row.values()]


def extend(path: Path, cells: Sequence[Cell], simulations: int) -> None:
    """Add to the file of rows what it lacks."""
    known = read(path)
    done = {key(row) for row in known}
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    with fresh.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        writer.writerows(known)
    fresh.replace(path)
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, FIELDS)
        for cell, seed in wanted(cells, simulations):
            if (cell, seed) not in done:
                writer.writerow(simulate(cell, seed))
                file.flush()


class Summary(NamedTuple):
    """What the rows of one cell say. Rates are shares; ones that nothing was asked of are NaN."""

    cell: Cell
    count: int
    outside: float
    bias: float
    scatter: float
    hold: float
    width: float
    alone_hold: float
    ratio: float
    seen: float
    refused: float

    @property
    def misses(self) -> list[str]:
        """What was wanted and is not reached; "clearly" where by more than two standard errors of the simulations."""
        count = max(1, round(self.count * (1 - self.outside)))
        found = []
        for name, beyond, error in (
            ("bias", abs(self.bias) - BIAS, self.scatter / np.sqrt(count)),
            ("coverage", HOLD - self.hold, np.sqrt(HOLD * (1 - HOLD) / count)),
        ):
            if beyond > 0:
                found.append(f"{name}, clearly" if beyond > 2 * error else name)
        return [*found, "width"] if self.ratio > RATIO else found


def numbers(rows: Sequence[Mapping[str, str]], *names: str) -> np.ndarray:
    """Return columns (n, k) of the rows that have them all."""
    return np.array([[float(row[name]) for name in names] for row in rows if all(row[name] for name in names)]).reshape(
        -1, len(names)
    )


def held(ends: np.ndarray) -> float:
    return float(np.mean((ends[:, 0] <= 0) & (ends[:, 1] >= 0))) if len(ends) else np.nan


def summarise(cell: Cell, rows: Sequence[Mapping[str, str]]) -> Summary:
    """Return one line of the table. The ratio of widths is the median over simulations that have both intervals."""
    values, ends = numbers(rows, "value")[:, 0], numbers(rows, "low", "high")
    own, both = numbers(rows, "alone_low", "alone_high"), numbers(rows, "low", "high", "alone_low", "alone_high")
    both = both[both[:, 3] > both[:, 2]]
    asked = numbers(rows, "probability", "refused")
    return Summary(
        cell=cell, count=len(rows), outside=1 - len(values) / len(rows), bias=float(values.mean()),
        scatter=float(values.std()), hold=held(ends), width=float(np.median(ends[:, 1] - ends[:, 0])),
        alone_hold=held(own), ratio=float(np.median((both[:, 1] - both[:, 0]) / (both[:, 3] - both[:, 2]))),
        seen=float((asked[:, 0] < REFUSAL).mean()) if len(asked) else np.nan,
        refused=float(asked[:, 1].mean()) if len(asked) else np.nan,
    )  # fmt: skip


def share(value: float) -> str:
    return "" if np.isnan(value) else f"{100 * value:.0f} %"


def table_of(summaries: Sequence[Summary]) -> list[str]:
    columns = ("design", "noise of trunks", "surface", "replicates", "called outside", "bias", "s.d.", "coverage",
               "width", "coverage of the true law alone", "width ratio", "misfit of Chinchilla's law reported",
               "Chinchilla's law rejected", "target missed")  # fmt: skip
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for s in summaries:
        cells = (
            s.cell.design, f"{100 * s.cell.trunk:g} %", s.cell.surface, str(s.count), share(s.outside),
            f"{s.bias:+.3f}", f"{s.scatter:.3f}", f"{100 * s.hold:.1f} %", f"{s.width:.2f}", share(s.alone_hold),
            f"{s.ratio:.2f}", share(s.seen), share(s.refused), ", ".join(s.misses),
        )  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def wrong_table(groups: Mapping[Cell, Sequence[Mapping[str, str]]]) -> list[str]:
    """Return how many optima of each wrong design were named, the surfaces together."""
    found: dict[str, list[bool]] = {}
    for cell, rows in groups.items():
        found.setdefault(cell.design, []).extend(row["side"] != "inside" for row in rows)
    lines = ["| design | estimates asked for | correctly refused |", "|---|---|---|"]
    return [*lines, *(f"| {name} | {len(named)} | {sum(named)} |" for name, named in found.items())]


def by_noise(sound: Sequence[Summary]) -> list[str]:
    """Return the coverage of each design and noise, its surfaces together."""
    lines = ["| design | noise of trunks | estimates | seeds | coverage |", "|---|---|---|---|---|"]
    for name in ASKED:
        for trunk in TRUNK_SDS:
            own = [s for s in sound if s.cell.design == name and s.cell.trunk == trunk]
            if total := sum(s.count * (1 - s.outside) for s in own):
                hold = sum(s.count * (1 - s.outside) * s.hold for s in own) / total
                seeds = max(s.count for s in own)
                lines.append(f"| {name} | {100 * trunk:g} % | {total:.0f} | {seeds} | {100 * hold:.1f} % |")
    return lines


def error(count: int) -> float:
    """Return to how many points a share of 95 % is known."""
    return float(196 * np.sqrt(0.95 * 0.05 / count))


def page(rows: Sequence[Mapping[str, str]]) -> list[str]:
    """Return the page: the table, and which of the wanted it reaches."""
    groups: dict[Cell, list[Mapping[str, str]]] = {}
    for row in rows:
        groups.setdefault(key(row)[0], []).append(row)
    sound = [summarise(cell, own) for cell, own in groups.items() if cell.design in ASKED]
    order = [*ASKED]
    sound.sort(key=lambda s: (order.index(s.cell.design), s.cell.trunk, [*FORMS].index(s.cell.surface)))
    count = len(sound)
    missed = [miss for s in sound for miss in s.misses]

    def tally(name: str) -> int:
        return sum(miss.startswith(name) for miss in missed)

    least, worst = min(sound, key=lambda s: s.hold), max(sound, key=lambda s: abs(s.bias))
    widest = max(sound, key=lambda s: s.ratio)
    total = sum(s.count * s.hold * (1 - s.outside) for s in sound) / sum(s.count * (1 - s.outside) for s in sound)
    few = min(s.count for s in sound)
    many = max(s.count for s in sound)
    counts = f"{few:,}" if few == many else f"{few:,} to {many:,}"
    return [
        "# The best size of a budget: does its interval contain the truth?",
        "",
        "isoloss estimates ln(D*/N*), the logarithm of the best tokens per parameter at a budget, with a 95 % "
        "interval. Here the truth is known, because the losses are simulated from a known law, called a surface. "
        "A cell is a design of runs, a noise level and a surface. `python benchmarks/coverage_optima.py` runs the "
        f"simulations and writes this page. Each simulation draws fresh noise and makes a whole estimate ({DRAWS} "
        f"draws) at one budget. The noise of a run is {percent(POINT_SD)} of the loss; the tables give the noise that "
        "the runs of one trunk share. `5 × 6`, `demo` (four sizes × five token counts) and `staircase` train one trunk "
        "per size. `laptop` is the grid of `isoloss demo`, six sizes with two trunks each. `sparse` has 19 single "
        "runs of six sizes; at three of them there are runs on both sides of the budget. Surfaces and designs: "
        "`isoloss.arena.truths`.",
        "",
        f"Targets: a bias below {BIAS:g}; 95 % intervals of which at least {percent(HOLD, 2)} contain the truth; and "
        f"intervals no wider than {RATIO:g} times those of the true law fitted by itself. Each cell has {counts} "
        f"replicates; with {few:,}, a coverage of 95 % is known to ± {error(few):.1f} points. The five surfaces of a "
        "design share their noise, seed by seed, so their misses coincide.",
        "",
        "## Results",
        "",
        f"- Bias: {count - tally('bias')} of {count} cells reach the target. The largest bias is {worst.bias:+.3f} "
        f"({name_of(worst)}).",
        f"- Coverage: {count - tally('coverage')} of {count} cells reach the target. {percent(total)} of all intervals "
        f"contain the truth. The lowest cell has {percent(least.hold)} ({name_of(least)}). Of the {tally('coverage')} "
        f"cells below the target, {missed.count('coverage, clearly')} are below it by more than two standard errors.",
        f"- Width: {count - tally('width')} of {count} cells reach the target. The largest ratio is "
        f"{widest.ratio:.2f} ({name_of(widest)}).",
        f"- Chinchilla's law where the surface is the coupled law with γ = 0.4: its misfit is reported in "
        f"{_range(one.seen for one in sound if one.cell.surface == 'coupled')} of the simulations, by cell, and least "
        "often on `sparse`, whose single runs leave the noise of a trunk to be estimated with the misfit. It is "
        f"rejected in {_range(one.refused for one in sound if one.cell.surface == 'coupled')}: in the others its best "
        f"split is less than {percent(MOVED, 2)} off, so the misfit changes no answer. Where the surface is "
        f"Chinchilla's, its law is rejected in at most "
        f"{percent(max(one.refused for one in sound if one.cell.surface == 'chinchilla'))}.",
        "",
        *by_noise(sound),
        "",
        *table_of(sound),
        "",
        "Bias, s.d. and width are of ln(D*/N*). The width ratio compares with the true law fitted by itself, which "
        f"every {ALONE_EVERY}th simulation does. Every {REFUSED_EVERY}th simulation also tests Chinchilla's law at "
        f"three budgets, as `isoloss fit` does. Its misfit is reported at p < {REFUSAL:g}. The law is rejected if the "
        f"misfit also shifts ln(D*/N*) by more than {MOVED:g}, which is {percent(MOVED, 2)} of tokens per parameter.",
        "",
        "## Designs whose best size is outside the runs",
        "",
        f"Here sizes and budget are {FAR:g} times as large or as small and token counts unchanged, so the best size is "
        "outside the runs. `foreign` is the design `sparse` at a budget for which only two sizes have runs. isoloss "
        "should say so and give no answer. Surfaces with losses that no model could have are left out.",
        "",
        *wrong_table({cell: own for cell, own in groups.items() if cell.design not in ASKED}),
    ]


def _range(shares: Iterable[float]) -> str:
    """Return the least and the largest of shares in per cent."""
    every = sorted(shares)
    return f"{100 * every[0]:.0f} to {percent(every[-1])}"


def name_of(one: Summary) -> str:
    return f"{one.cell.surface} on {one.cell.design}, trunks {100 * one.cell.trunk:g} %"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=1000)
    parser.add_argument("--design", choices=[*ASKED], action="append", help="these designs alone")
    parser.add_argument("--rows", type=Path, default=Path("build/coverage_optima.csv"), help="one row a simulation")
    parser.add_argument("--out", type=Path, help="write the page here too")
    options = parser.parse_args()
    cells = [Cell(name, sd, form) for name in options.design or ASKED for sd in TRUNK_SDS for form in FORMS]
    extend(options.rows, cells, options.simulations)
    lines = page(read(options.rows))
    print("\n".join(lines))
    if options.out:
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
