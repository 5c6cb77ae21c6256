"""Train what docs/results/recipe.md compares, and write its rows to studies/recipe.csv.

python studies/get_corpora.py --out studies/corpora --only c,english
python studies/recipe_runs.py STAGE [STAGE …] --out results/recipe [--corpora c,english,grammar]

Stages, each about a quarter of an hour of one free core: `sweep` trains rates a factor of two apart on seed 0; `tuned`
every cell at its own best rate by that sweep, on other seeds; `recipe` the same cells by the recipe of
studies/recipe.toml; `steeper` by a rule whose rate falls faster with size. What is in the archive is
not trained again.

The rows of stage `decay` are a sweep of falling trunks on seed 0, by an earlier loop that counted the tokens up to the
end of a step, where the engine counts those before it. No stage trains them again.
"""

import argparse
import csv
import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from isoloss.core import files
from isoloss.core.progress import Quiet
from isoloss.corpus.build import build
from isoloss.corpus.corpus import Corpus
from isoloss.runs.archive import Archive
from isoloss.runs.ladders import ladder
from isoloss.runs.record import RunRecord
from isoloss.runs.rules import PowerRule, round_tokens
from isoloss.runs.shapes import count
from isoloss.runs.spec import ModelSpec, Optimiser, RunSpec, Schedule
from isoloss.study.spec import Study
from isoloss.training.job import trunk_jobs
from isoloss.training.worker import run_trunk

STUDY = Path(__file__).with_name("recipe.toml")
ROWS = Path(__file__).with_name("recipe.csv")
SIZES = (2.5e4, 7e3, 8e4)
HORIZONS = (5e4, 2e5, 8e5, 3.2e6)
ENDS = (5e4, 3.2e6)  # a factor of 64: the cells that are scored
SWEPT = (0.25, 0.5, 1.0, 2.0, 4.0)  # of the middle
LOWER = {"c": 0.125}  # where the lowest of these was best at the long horizon
TUNING_SEED, SCORING_SEEDS = 0, (1, 2, 3)
MORE_SEEDS = {"english": range(4, 10)}  # three left it undecided


class Rule(NamedTuple):
    """How a trunk is trained."""

    peak_lr: PowerRule
    decay_exponent: float = 0.0
    batch_tokens: int = 256
    warmup_tokens: int = 8192
    beta2: float = 2 ** (-256 / 20_000)  # a half-life of 20,000 tokens

    def spec(self, corpus: Corpus, model: ModelSpec, tokens: float, *, seed: int, rate: float | None = None) -> RunSpec:
        """Return a run by the rule, or at a rate of its own."""
        lr = rate or self.peak_lr.at(count(model).params())
        return RunSpec(
            corpus=corpus.fingerprint, model=model, batch_tokens=self.batch_tokens,
            train_tokens=round_tokens(tokens, batch_tokens=self.batch_tokens),
            optimiser=Optimiser(peak_lr=lr, beta2=self.beta2),
            schedule=Schedule(kind="wsd", warmup_tokens=self.warmup_tokens, decay_exponent=self.decay_exponent),
            seed=seed,
        )  # fmt: skip


SWEEP = Rule(PowerRule(at_params=2.5e4, value=8e-3, exponent=-0.5))
RECIPE = Rule(PowerRule(at_params=2.5e4, value=7e-3, exponent=-0.35), decay_exponent=0.3)
STEEPER = Rule(PowerRule(at_params=2.5e4, value=6.4e-3, exponent=-0.6), decay_exponent=0.3)


class Planned(NamedTuple):
    """A run and the part of the comparison that it belongs to."""

    stage: str
    spec: RunSpec


def main() -> None:
    """Train the stages that are asked for, one trunk after another, and write the rows after each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("stages", nargs="+", choices=STAGES)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--corpora", default="c,english,grammar")
    asked = parser.parse_args()
    archive = Archive(asked.out)
    corpora = built(asked.out, asked.corpora.split(","))
    for stage in asked.stages:
        for name, corpus in corpora.items():
            planned = list(STAGES[stage](name, corpus))
            for job in trunk_jobs([one.spec for one in planned]):
                records = run_trunk(job, archive)
                write_rows([row(name, one.stage, record) for record in records for one in planned
                            if one.spec.fingerprint == record.fingerprint])  # fmt: skip
                print(stage, name, *(row(name, stage, record)["loss_nats"] for record in records), flush=True)


def built(out: Path, names: list[str]) -> dict[str, Corpus]:
    """Return the corpora of studies/recipe.toml, in the order of `names`."""
    study = Study.load(STUDY)
    sources = {source.name: source for source in study.sources(context=study.grid.context, folder=out / "designs")}
    return {
        name: build(sources[name], root=out / "corpora", context=256, seed=study.seed, base=STUDY.parent,
                    progress=Quiet(out / "isoloss.log"))
        for name in names
    }  # fmt: skip


def shape(size: float, corpus: Corpus) -> ModelSpec:
    """Return the model of a size."""
    return ladder([size], vocab_size=corpus.vocab_size, context=256, tied=True)[0]


def sweep(name: str, corpus: Corpus) -> Iterator[Planned]:
    """Yield the rates a factor of two apart."""
    for size in SIZES:
        model = shape(size, corpus)
        for factor in (*SWEPT, *filter(None, [LOWER.get(name)])):
            rate = SWEEP.peak_lr.value * factor * (size / SWEEP.peak_lr.at_params) ** SWEEP.peak_lr.exponent
            for tokens in HORIZONS:
                yield Planned("sweep", SWEEP.spec(corpus, model, tokens, seed=TUNING_SEED, rate=rate))


def tuned(name: str, corpus: Corpus) -> Iterator[Planned]:
    """Yield every cell at its own best rate by the rows of the sweep."""
    best = best_rates(name)
    for size in SIZES:
        model = shape(size, corpus)
        for tokens in ENDS:
            rate = best[count(model).params(), round_tokens(tokens, batch_tokens=256)]
            for seed in scoring_seeds(name):
                yield Planned("tuned", SWEEP.spec(corpus, model, tokens, seed=seed, rate=rate))


def recipe(name: str, corpus: Corpus) -> Iterator[Planned]:
    """Yield the same sizes by the recipe, all horizons from one trunk."""
    yield from _by_rule("recipe", RECIPE, corpus, scoring_seeds(name))


def steeper(name: str, corpus: Corpus) -> Iterator[Planned]:
    """Yield the same sizes by the other rule."""
    yield from _by_rule("steeper", STEEPER, corpus, SCORING_SEEDS)


def scoring_seeds(name: str) -> tuple[int, ...]:
    """Return the seeds that a corpus is scored on."""
    return (*SCORING_SEEDS, *MORE_SEEDS.get(name, ()))


def _by_rule(stage: str, rule: Rule, corpus: Corpus, seeds: tuple[int, ...]) -> Iterator[Planned]:
    for size in SIZES:
        for seed in seeds:
            for tokens in HORIZONS:
                yield Planned(stage, rule.spec(corpus, shape(size, corpus), tokens, seed=seed))


STAGES = {"sweep": sweep, "tuned": tuned, "recipe": recipe, "steeper": steeper}


def best_rates(name: str) -> dict[tuple[int, int], float]:
    """Return the best rate of every cell by size and tokens.

    The cells share the curvature of ln loss in ln rate, and each has its own vertex: a parabola a cell has five points
    and a noise of 1 % to find three numbers from. Runs within 6 % of the least loss count.
    """
    from scipy.optimize import least_squares

    rows = [one for one in read_rows() if one["corpus"] == name and one["stage"] == "sweep"]
    cells = sorted({(int(one["params"]), int(one["tokens"])) for one in rows})
    points = [[(math.log(float(one["peak_lr"])), math.log(float(one["loss_nats"]))) for one in rows
               if (int(one["params"]), int(one["tokens"])) == cell and one["loss_nats"]] for cell in cells]  # fmt: skip
    near = [[(x, y) for x, y in line if y < min(y for _, y in line) + 0.06] for line in points]
    which = np.concatenate([np.full(len(line), place) for place, line in enumerate(near)])
    x, y = np.array([point for line in near for point in line]).T
    start = [min(line, key=lambda point: point[1]) for line in near]

    def off(values: np.ndarray) -> np.ndarray:
        level, best, curvature = values[: len(cells)], values[len(cells) : -1], math.exp(values[-1])
        return (y - level[which] - curvature / 2 * (x - best[which]) ** 2) / 0.01

    first = np.array([*(least for _, least in start), *(place for place, _ in start), math.log(0.04)])
    found = least_squares(off, first, loss="soft_l1").x
    return {cell: float(f"{math.exp(found[len(cells) + place]):.6g}") for place, cell in enumerate(cells)}


def row(name: str, stage: str, record: RunRecord) -> dict[str, str]:
    """Return a run as a row of the file."""
    spec, loss = record.spec, record.loss
    return {
        "stage": stage, "corpus": name, "params": str(record.counts.params()), "tokens": str(spec.train_tokens),
        "seed": str(spec.seed), "peak_lr": f"{spec.optimiser.peak_lr:.6g}",
        "decay_exponent": f"{spec.schedule.decay_exponent:g}", "batch_tokens": str(spec.batch_tokens),
        "loss_nats": "" if loss is None else f"{loss.nats:.6f}", "status": record.status,
    }  # fmt: skip


def read_rows() -> list[dict[str, str]]:
    """Return the rows of the file; none where there is no file."""
    return list(csv.DictReader(io.StringIO(ROWS.read_text(encoding="utf-8")))) if ROWS.exists() else []


def write_rows(new: list[dict[str, str]]) -> None:
    """Add rows to the file; each run of a stage stands there once."""
    keep = {tuple(value for key, value in one.items() if key not in ("loss_nats", "status")): one
            for one in [*read_rows(), *new]}  # fmt: skip
    text = io.StringIO()
    table = csv.DictWriter(text, fieldnames=list(new[0]), lineterminator="\n")
    table.writeheader()
    table.writerows(keep[key] for key in sorted(keep))
    files.write_text(ROWS, text.getvalue())


if __name__ == "__main__":
    main()
