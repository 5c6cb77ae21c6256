"""Print the tables of docs/results/recipe.md from studies/recipe.csv.

python studies/recipe_page.py
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from answer.estimates import SIX_ND_BUDGETS, balances
from answer.readings import Row, cell, load, table
from numpy.typing import NDArray
from recipe_runs import ENDS, RECIPE, STEEPER, read_rows
from scipy.optimize import least_squares

from isoloss.core.numbers import in_brackets, plain
from isoloss.runs.rules import round_tokens

HERE = Path(__file__).parent
THETA = HERE.parent / "docs" / "results" / "answer" / "theta.csv"
AT = math.log(2.5e4), math.log(5e5)  # the size and the tokens at which the best rate is printed
Floats = NDArray[np.float64]

# The curvature of ln L in ln(D/N) at equal compute: the middle of ten texts, by a local quadratic surface at 1.6e11
# FLOPs of the runs in src/isoloss/planning/shipped/runs.csv (.015 to .043 without music).
CURVATURE = 0.024


def main() -> None:
    """Print every table of the page."""
    excess_table()
    print()
    balance_table()
    print()
    rates_table()
    print()
    best_rates_table()


def excess_table() -> None:
    """Print the excess of two rules cell by cell, its mean, and the shift of the balance that it stands for."""
    print("| corpus | N | D | tuned rate | recipe, nats | tuned, nats | excess, % | of N^-0.6, % |")
    print("|---|---|---|---|---|---|---|---|")
    gaps: dict[str, dict[str, list[tuple[float, float, float]]]] = {"recipe": {}, "steeper": {}}
    for corpus in ("c", "english", "grammar"):
        found = {stage: excesses(corpus, stage) for stage in gaps}
        for (params, tokens), (recipe, tuned) in found["recipe"].items():
            said = []
            for stage, cells in found.items():
                by, to = cells[params, tokens]
                gap = 100 * np.log(by / to)
                own = gaps[stage].setdefault(corpus, [])
                own += [(np.log(tokens / params), np.log(params * tokens), value) for value in gap]
                said.append(f"{gap.mean():+.2f} ± {gap.std(ddof=1) / len(gap) ** 0.5:.2f}")
            rate = tuned_rate(corpus, params, tokens)
            print(f"| {corpus} | {params:,} | {tokens:,} | {rate:.2g} | {recipe.mean():.3f} | "
                  f"{tuned.mean():.3f} | {' | '.join(said)} |")  # fmt: skip
    print()
    for stage, by_corpus in gaps.items():
        everything = [one for own in by_corpus.values() for one in own]
        for corpus, own in {**by_corpus, "all": everything}.items():
            print(f"{stage}, {corpus}: {_excess(own)}")


def _excess(pairs: list[tuple[float, float, float]]) -> str:
    """Return the mean of excesses in %, and how far they move the balance; with ln D/N and ln N D of each."""
    ratio, compute, gaps = np.array(pairs).T
    design = np.column_stack([np.ones_like(ratio), ratio - ratio.mean(), compute - compute.mean()])
    slopes, *_ = np.linalg.lstsq(design, gaps / 100, rcond=None)
    rest = gaps / 100 - design @ slopes
    errors = np.sqrt(np.diag(np.linalg.inv(design.T @ design)) * (rest @ rest) / (len(gaps) - 3))
    # With e the excess and x = ln(D/N), d ln L / dx = h (x - x*) + de/dx at equal compute: x* moves by -(de/dx) / h.
    shift, error = -slopes[1] / CURVATURE, errors[1] / CURVATURE
    mean, own = gaps.mean(), gaps.std(ddof=1) / len(gaps) ** 0.5
    return (
        f"mean excess {mean:+.2f} ± {own:.2f} % over {len(gaps)} pairs, shift of ln(D*/N*) {shift:+.3f} ± {error:.3f}"
    )


def tuned_rate(corpus: str, params: int, tokens: int) -> float:
    """Return the rate that a cell was tuned to."""
    wanted = corpus, "tuned", str(params), str(tokens)
    (rate,) = {row["peak_lr"] for row in read_rows()
               if (row["corpus"], row["stage"], row["params"], row["tokens"]) == wanted}  # fmt: skip
    return float(rate)


def balance_table() -> None:
    """Print the balance and the coupling by the recipe, at rates a factor of two apart, and at one rate for all."""
    print("| corpus | trained by | runs | ln(D*/N*) at 1.6e11 FLOPs | γ | misfit, % | misfit at γ = 1, % |")
    print("|---|---|---|---|---|---|---|")
    for corpus in ("c", "english", "grammar"):
        for name, rows in groups(corpus):
            if len(rows) > 2 * COEFFICIENTS - 1:
                params, tokens, losses = np.log(np.array(rows)).T
                place = balance(params, tokens, losses)
                free, fixed = coupled(params, tokens, losses), coupled(params, tokens, losses, gamma=1.0)
                print(
                    f"| {corpus} | {name} | {len(rows)} | {place.value:.2f} ± {place.error:.2f} | {free.gamma:.2f} | "
                    f"{100 * free.misfit:.1f} | {100 * fixed.misfit:.1f} |"
                )


class Variant(NamedTuple):
    """How a run's rate follows its size: a rule, and what multiple of it."""

    rule: str
    factor: float

    @classmethod
    def of(cls, row: Row) -> "Variant":
        """Return that of a row of studies/rates/runs.csv."""
        params, rate = float(row["params"]), float(row["peak_lr"])
        (found,) = (
            cls(name, factor)
            for name, rule in RULES.items() for factor in (0.5, 1.0, 2.0)
            if math.isclose(rate, factor * rule.peak_lr.at(params), rel_tol=1e-4)
        )  # fmt: skip
        return found

    def __str__(self) -> str:
        return f"{self.rule} ×{self.factor:g}"


RULES = {"recipe": RECIPE, "N^-0.6": STEEPER}


def rates_table() -> None:
    """Print the best tokens per parameter of two texts of the answer by two rules, at ×0.5, ×1 and ×2 of each."""
    readings = load(HERE / "answer", measures=[])
    cells = {row["corpus"]: readings.cells[row["corpus"]] for row in table(THETA)}
    rows, corpora = list(readings.rows), dict(readings.corpora)
    names: dict[tuple[str, Variant], str] = {}
    for row in table(HERE / "rates" / "runs.csv"):
        text, variant = row["corpus"], Variant.of(row)
        names[text, Variant("recipe", 1.0)] = text
        other = names[text, variant] = f"{text} {variant}"
        rows.append({**row, "corpus": other})
        corpora[other], cells[other] = readings.corpora[text], readings.cells[text]
    everything = replace(readings, rows=rows, corpora=corpora)
    found = {one.corpus: one for one in balances(everything, list(cells), cells=cells) if one.known}
    write = partial(plain, digits=3)
    print("| text | peak rate | runs | best tokens per parameter | θ | θ less that at ×1 | inside its interval |")
    print("|---|---|---|---|---|---|---|")
    moves: dict[str, list[tuple[float, float]]] = {rule: [] for rule in RULES}
    for (text, variant), name in sorted(names.items(), key=lambda one: (list(RULES).index(one[0][1].rule), *one[0])):
        one, own = found[name], found[names[text, variant._replace(factor=1.0)]]
        assert own.theta.low is not None
        assert own.theta.high is not None
        moved = inside = ""
        if one is not own:
            by, error = one.theta.value - own.theta.value, math.hypot(one.sd, own.sd)
            moves[variant.rule].append((by if variant.factor > 1 else -by, error))
            moved = f"{by:+.2f} ± {error:.2f}"
            inside = "yes" if own.theta.low <= one.theta.value <= own.theta.high else "no"
        print(
            f"| {text} | {variant} | {one.runs} | {in_brackets(one.tokens_per_param, write)} | "
            f"{one.theta.value:.2f} ± {one.sd:.2f} | {moved} | {inside} |"
        )
    print()
    for rule, each in moves.items():
        by, errors = np.array(each).T
        print(
            f"{rule}: θ moves by {by.mean():+.2f} ± {np.sqrt((errors**2).sum()) / len(errors):.2f} with twice the rate"
        )
    for text in sorted({text for text, _ in names}):
        one, own = found[names[text, Variant("N^-0.6", 1.0)]], found[text]
        print(f"{text}: N^-0.6 less recipe {one.theta.value - own.theta.value:+.2f} ± {math.hypot(one.sd, own.sd):.2f}")


def best_rates_table() -> None:
    """Print how far the recipe is from the best rate of each cell of the answer's grid, and what that does to θ.

    ln L at a rate less ln L at the recipe's is a·u + b·u², with u = log2 of the rate over the recipe's and a linear in
    ln N and ln D. So a cell's best rate is at u = -a/2b, the recipe's loss is a²/4b above it, and the best split of a
    budget moves by minus the slope of that excess in ln(D/N), over the curvature of ln L. Errors: trunks drawn anew.
    """
    print("| text | excess at half, % | at twice, % | best rate | ∝ N^ | ∝ D^ | recipe's excess, % | shift of θ |")
    print("|---|---|---|---|---|---|---|---|")
    losses = {(row["corpus"], row["seed"], *cell(row)): math.log(float(row["loss_nats"]))
              for row in table(HERE / "answer" / "runs.csv") if row["loss_nats"]}  # fmt: skip
    theta = {row["corpus"]: float(row["theta"]) for row in table(THETA)}
    rates = [row for row in table(HERE / "rates" / "runs.csv") if row["loss_nats"]]
    for text in dict.fromkeys(row["corpus"] for row in rates):
        own = [row for row in rates if row["corpus"] == text and (text, row["seed"], *cell(row)) in losses]
        params, tokens = np.log([cell(row) for row in own]).T
        u = np.array([math.log2(float(row["peak_lr"]) / RECIPE.peak_lr.at(cell(row)[0])) for row in own])
        gaps = np.array([math.log(float(row["loss_nats"])) - losses[text, row["seed"], *cell(row)] for row in own])
        columns = np.column_stack([u, u * (params - AT[0]), u * (tokens - AT[1]), u * u])
        log_params = np.log([math.sqrt(budget / 6 / math.exp(theta[text])) for budget in SIX_ND_BUDGETS])
        where = log_params, log_params + theta[text]
        names, member = np.unique([row["trunk"] for row in own], return_inverse=True)
        rows_of = [np.flatnonzero(member == trunk) for trunk in range(len(names))]
        random = np.random.default_rng(0)
        drawn = []
        for _ in range(400):
            kept = np.concatenate([rows_of[trunk] for trunk in random.choice(len(names), size=len(names))])
            drawn.append(_of_rates(columns[kept], gaps[kept], where))
        found, errors = _of_rates(columns, gaps, where), np.std(drawn, axis=0, ddof=1)
        half, twice = (100 * gaps[np.abs(u - step) < 1e-3] for step in (-1, 1))  # of the recipe itself
        said = [f"{value:.2f} ± {error:.2f}" for value, error in zip(found, errors, strict=True)]
        print(f"| {text} | {half.mean():+.1f} | {twice.mean():+.1f} | ×{' | '.join(said)} |")


def _of_rates(columns: Floats, gaps: Floats, where: tuple[Floats, Floats]) -> Floats:
    """Return best rate over the recipe's at the middle, its exponents of N and D, the excess in %, the shift of θ."""
    (a, by_params, by_tokens, b), *_ = np.linalg.lstsq(columns, gaps, rcond=None)
    slope = a + by_params * (where[0] - AT[0]) + by_tokens * (where[1] - AT[1])
    excess = slope**2 / (4 * b)
    shift = -slope * (by_tokens - by_params) / 2 / (2 * b) / CURVATURE
    own = RECIPE.peak_lr.exponent
    return np.array([2 ** (-a / 2 / b), own - by_params / 2 / b * math.log(2), -by_tokens / 2 / b * math.log(2),
                     100 * excess.mean(), shift.mean()])  # fmt: skip


def groups(corpus: str) -> Iterator[tuple[str, list[tuple[float, float, float]]]]:
    """Yield what is compared: its name, and its runs as parameters, tokens and loss."""
    rows = [one for one in read_rows() if one["corpus"] == corpus and one["loss_nats"]]

    def chosen(stage: str, decay: float, middle: float | None = None) -> list[tuple[float, float, float]]:
        return [
            (float(one["params"]), float(one["tokens"]), float(one["loss_nats"]))
            for one in rows
            if one["stage"] == stage and float(one["decay_exponent"]) == decay
            and (middle is None or abs(math.log(float(one["peak_lr"]) / middle * (float(one["params"]) / 2.5e4) ** 0.5))
                 < 0.05)
        ]  # fmt: skip

    last = max(int(one["seed"]) for one in rows if one["stage"] == "recipe")
    yield f"recipe, seeds 1–{last}", chosen("recipe", 0.3)
    for middle in (2.83e-3, 5.66e-3, 1.131e-2):
        yield f"falling rate {middle:.3g} (N/25000)^-½, seed 0", chosen("decay", 0.3, middle)
    for middle in (2e-3, 4e-3, 8e-3):
        yield f"constant rate {middle:.3g} (N/25000)^-½, seed 0", chosen("sweep", 0.0, middle)


COEFFICIENTS = 6


class Place(NamedTuple):
    """A balance with its standard error by the residuals of the surface."""

    value: float
    error: float


def balance(params: Floats, tokens: Floats, losses: Floats) -> Place:
    """Return ln(D*/N*) at 1.6e11 FLOPs by a quadratic surface of ln L in ln N and ln D; all given as logarithms."""
    compute, ratio = params + tokens - math.log(1.6e11 / 6), tokens - params
    design = np.column_stack([np.ones_like(compute), compute, compute**2, ratio, compute * ratio, ratio**2])
    found, *_ = np.linalg.lstsq(design, losses, rcond=None)
    rest = losses - design @ found
    covariance = np.linalg.inv(design.T @ design) * (rest @ rest) / (len(losses) - COEFFICIENTS)
    value = -found[3] / (2 * found[5])
    slope = np.array([0, 0, 0, 1, 0, 2 * value])
    return Place(float(value), float(np.sqrt(slope @ covariance @ slope) / abs(2 * found[5])))


class Coupled(NamedTuple):
    """γ of the coupled form and the root mean square of ln L that it leaves."""

    gamma: float
    misfit: float


def coupled(params: Floats, tokens: Floats, losses: Floats, *, gamma: float | None = None) -> Coupled:
    """Return the least-squares fit of L = E + [(A N^-α)^(1/γ) + (B D^-β)^(1/γ)]^γ to ln L, the best of 12 starts."""

    def off(values: Floats) -> Floats:
        g = gamma or math.exp(values[5])
        terms = np.logaddexp((values[1] - values[2] * params) / g, (values[3] - values[4] * tokens) / g)
        return np.asarray(np.log(np.exp(values[0]) + np.exp(g * terms)) - losses)

    least, most = np.array([-12, -20, 0.02, -20, 0.02, -3.0]), np.array([1.5, 40, 3, 40, 3, 1.1])
    starts = [
        np.array([floor, 9.9 * alpha - 0.3, alpha, 3.6, 0.3, math.log(g)])
        for g in (0.3, 0.6, 1.0) for alpha in (0.2, 0.5) for floor in (-3.0, -0.5)
    ]  # fmt: skip
    best = min((least_squares(off, start, bounds=(least, most)) for start in starts), key=lambda found: found.cost)
    return Coupled(gamma or math.exp(best.x[5]), math.sqrt(2 * best.cost / len(losses)))


def excesses(corpus: str, stage: str) -> dict[tuple[int, int], tuple[Floats, Floats]]:
    """Return the losses by the rule of a stage and at the tuned rate, seed by seed, of every cell that has both."""
    losses: dict[str, dict[tuple[int, int], dict[int, float]]] = {stage: {}, "tuned": {}}
    for row in read_rows():
        if row["corpus"] == corpus and row["stage"] in losses and row["loss_nats"]:
            cell = int(row["params"]), int(row["tokens"])
            losses[row["stage"]].setdefault(cell, {})[int(row["seed"])] = float(row["loss_nats"])
    lengths = {round_tokens(tokens, batch_tokens=256) for tokens in ENDS}
    found = {}
    for cell, tuned in sorted(losses["tuned"].items()):
        by_rule = losses[stage].get(cell, {})
        seeds = sorted(set(tuned) & set(by_rule))
        if cell[1] in lengths and len(seeds) > 1:
            found[cell] = tuple(np.array([one[seed] for seed in seeds]) for one in (by_rule, tuned))
    return found


if __name__ == "__main__":
    main()
