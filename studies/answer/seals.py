"""Seal what every form predicts at ten times the largest budget, before those runs; then lay the runs out.

    python studies/answer/seals.py predict            # docs/results/answer/sealed-forms.csv, from the finished texts
    git commit docs/results/answer/sealed-forms.csv
    python studies/answer/seals.py study COMMIT       # studies/answer/sealed*.toml: the seed is the commit's id

A row is a corpus, a form and a quantity: `loss` at one size and token count, or `split`, the best ln(D/N), both at ten
times the grid's largest budget as 6 · N · D. `weighted` takes the draws of all forms by their weights, which are pooled
over texts. Held-out documents are the same as in the grid, so their choice adds nothing; a loss's interval holds the
draws of the form and what it missed on trunks that it had not seen.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from answer.estimates import BUDGETS, DRAWS, balances
from answer.readings import STUDIES, TEXTS, Floats, Readings, as_observations, load, table
from isoloss.core import files
from isoloss.core.estimate import Estimate
from isoloss.core.rng import stream
from isoloss.fitting.checks import leave_out
from isoloss.fitting.choice import FEWEST_SIZES_OF
from isoloss.laws.settings import EXCLUDED_FLAGS
from isoloss.optima.surfaces import (
    LOCAL,
    Surface,
    law_surface,
    local_surface,
    trunk_evidence,
)
from isoloss.runs.ladders import ladder
from isoloss.runs.observations import Observations
from isoloss.runs.rules import round_tokens
from isoloss.runs.shapes import count
from isoloss.study.spec import Study

SEALED = STUDIES.parents[1] / "docs" / "results" / "answer" / "sealed-forms.csv"
# The loss is sealed where the first seal has its largest point; a text of fewer tokens takes the longest of the other
# runs that it fills without repeating any, and a larger model.
LOSS_PARAMS, LOSS_TOKENS = 1.0e5, (8.5e6, 7.9e6, 3.8e6)
UNREPEATED = 0.98  # of a corpus's training tokens, at most
BUDGET = 6 * LOSS_PARAMS * LOSS_TOKENS[0]
# Five sizes around 40 tokens per parameter at that budget, on six texts from low to high n-gram entropy.
SPLIT_PARAMS = (7e4, 1e5, 1.45e5, 2.1e5, 3e5)
SPLIT_TEXTS = ("json", "sql", "java", "dictionary", "c", "mathematics")
POINTS = 241
WIDEST = 4.0  # of ln N around the sizes: splits beyond are not searched
WEIGHTED = "weighted"
COLUMNS = ("corpus", "form", "weight", "quantity", "params", "tokens", "flops", "value", "low", "high")


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a text's loss is sealed."""

    params: int
    tokens: int


def main() -> None:
    """Write the seal, or the study files that it is scored by."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    doing = parser.add_subparsers(dest="do", required=True)
    predict = doing.add_parser("predict")
    predict.add_argument("--runs", type=Path, default=STUDIES)
    predict.add_argument("--out", type=Path, default=SEALED)
    study = doing.add_parser("study")
    study.add_argument("commit", help="id of the commit that holds the seal")
    asked = parser.parse_args()
    if asked.do == "predict":
        rows = list(predictions(load(asked.runs, measures=[])))
        files.write_rows(asked.out, COLUMNS, rows)
        print(f"{len({row['corpus'] for row in rows})} texts sealed in {asked.out}")
    else:
        sealed = list(dict.fromkeys(row["corpus"] for row in table(SEALED)))
        for path in lay_out(load(STUDIES, measures=[]), sealed, asked.commit):
            print(path)


def predictions(readings: Readings, *, draws: int = DRAWS) -> Iterator[dict[str, str]]:
    """Yield the rows of the seal, text by text; texts without a balance have none."""
    known = [one for one in balances(readings, readings.finished(TEXTS), budgets=BUDGETS, draws=draws) if one.known]
    tables = {one.corpus: used_runs(readings, one.corpus) for one in known}
    evidence = {corpus: trunk_evidence(table) for corpus, table in tables.items()}
    for one in known:
        others = [found for corpus, found in evidence.items() if corpus != one.corpus and found is not None]
        surfaces = surfaces_of(tables[one.corpus], others, draws=draws)
        weights = {form.form: form.weight for form in one.split.budgets[-1].forms}
        yield from rows_of(readings, one.corpus, surfaces, weights, draws=draws)


def used_runs(readings: Readings, corpus: str) -> Observations:
    """Return the runs of a corpus without flagged ones."""
    return leave_out(as_observations(readings.own(corpus)), flags=EXCLUDED_FLAGS)[0]


def surfaces_of(table: Observations, others: Sequence[Floats], *, draws: int) -> dict[str, Surface]:
    """Return every form fitted to a corpus, the local surface around the grid's largest budget."""
    evidence = np.sum(others, axis=0) if others else None
    found: dict[str, Surface] = {
        form: law_surface(table, form, draws=draws, generator=stream(0, "seal", form), others=evidence)
        for form in FEWEST_SIZES_OF
    }
    near = float(np.log(BUDGETS[-1])), float(np.log(table.tokens / table.params).mean())
    found[LOCAL] = local_surface(
        table, log_flops=np.log(table.flops), near=near, draws=draws, generator=stream(0, "seal", LOCAL),
        others=evidence,
    )  # fmt: skip
    return found


def rows_of(
    readings: Readings, corpus: str, surfaces: Mapping[str, Surface], weights: Mapping[str, float], *, draws: int
) -> Iterator[dict[str, str]]:
    """Yield the loss and the split that every form, and all of them by weight, predict of a corpus."""
    place = loss_place(readings, corpus)
    losses = {form: sealed_losses(surface, place, draws=draws) for form, surface in surfaces.items()}
    splits = {form: sealed_splits(surface, BUDGET) for form, surface in surfaces.items()}
    for quantity, drawn in (("loss", losses), ("split", splits)):
        at = place if quantity == "loss" else None
        for form, values in drawn.items():
            estimate = Estimate.from_draws(values[1:], value=float(values[0]))
            yield row(corpus, form, weights[form], quantity, at, as_said(quantity, estimate))
        mixed = mixture(drawn, weights, corpus)
        yield row(corpus, WEIGHTED, 1.0, quantity, at, as_said(quantity, mixed))


def as_said(quantity: str, estimate: Estimate) -> Estimate:
    """Return losses in nats, splits as ln(D/N)."""
    if quantity == "split" or estimate.low is None or estimate.high is None:
        return estimate
    low, middle, high = np.exp([estimate.low, estimate.value, estimate.high]).tolist()
    return Estimate(value=middle, low=low, high=high)


def sealed_losses(surface: Surface, place: Place, *, draws: int) -> Floats:
    """Return ln L at a place (1 + S,): the best fit and draws, each with the error of a trunk not seen."""
    found = surface.log_loss(np.log([place.params]), np.log([place.tokens]))[:, 0]
    missed = float(np.sqrt(np.mean(surface.unseen**2)))
    noise = stream(0, "sealed loss", surface.form).normal(0, missed, draws)
    return np.concatenate([found[:1], found[1:] + noise])


def sealed_splits(surface: Surface, budget: float) -> Floats:
    """Return the best ln(D/N) at 6 · N · D = `budget`, of the best fit and of draws (1 + S,)."""
    centre = 0.5 * np.log(budget / 6 / 40)
    log_n = np.linspace(centre - WIDEST / 2, centre + WIDEST / 2, POINTS)
    loss = surface.log_loss(log_n, np.log(budget / 6) - log_n)
    best = np.argmin(np.where(np.isfinite(loss), loss, np.inf), axis=1)
    return np.asarray(np.log(budget / 6) - 2 * log_n[best])


def mixture(drawn: Mapping[str, Floats], weights: Mapping[str, float], corpus: str) -> Estimate:
    """Return the draws of all forms together with their median: a form far beyond its runs may have no minimum, and
    would drag a mean along."""
    generator = stream(0, "sealed mixture", corpus)
    values, sums = np.array(list(drawn.values())), np.cumsum([weights[form] for form in drawn])
    chosen = np.searchsorted(sums / sums[-1], generator.random(values.shape[1] - 1), side="right")
    return Estimate.from_draws(values[chosen, 1 + np.arange(len(chosen))])


def loss_place(readings: Readings, corpus: str) -> Place:
    """Return the shape's parameters and the whole batches at which the loss of a text is sealed."""
    there = UNREPEATED * float(readings.corpora[corpus]["train_tokens"])
    tokens = next(tokens for tokens in LOSS_TOKENS if tokens <= there)
    shape = ladder([BUDGET / 6 / tokens], vocab_size=256, context=256, tied=True)[0]
    return Place(params=count(shape).params(), tokens=round_tokens(tokens, batch_tokens=256))


def row(corpus: str, form: str, weight: float, quantity: str, at: Place | None, found: Estimate) -> dict[str, str]:
    """Return one prediction as a row."""
    numbers = {"weight": weight, "params": at and at.params, "tokens": at and at.tokens, "flops": BUDGET,
               "value": found.value, "low": found.low, "high": found.high}  # fmt: skip
    texts = {name: "" if number is None else f"{number:.7g}" for name, number in numbers.items()}
    return {"corpus": corpus, "form": form, "quantity": quantity, **texts}


def lay_out(readings: Readings, sealed: Sequence[str], commit: str) -> list[Path]:
    """Write the study files of the runs of `sealed` texts and return their paths: a file a place for the losses, and
    one for the further sizes of the texts whose split is sealed.

    Raises ValueError where `commit` is no id.
    """
    seed = int(commit[:8], 16)
    groups: dict[Place, list[str]] = {}
    for corpus in sealed:
        groups.setdefault(loss_place(readings, corpus), []).append(corpus)
    texts = {
        f"sealed-losses-{number}": study_text(readings, f"sealed-losses-{number}", place, corpora, seed)
        for number, (place, corpora) in enumerate(sorted(groups.items(), key=lambda one: one[0].params), start=1)
    }
    split = [corpus for corpus in SPLIT_TEXTS if corpus in sealed]
    if split:
        first, *further = [
            Place(params=round(params), tokens=round(BUDGET / 6 / params)) for params in SPLIT_PARAMS
            if params != LOSS_PARAMS
        ]  # fmt: skip
        texts["sealed-splits"] = study_text(readings, "sealed-splits", first, split, seed, further)
    paths = []
    for name, text in texts.items():
        paths.append(STUDIES / f"{name}.toml")
        files.write_text(paths[-1], text)
        Study.load(paths[-1])
    return paths


def study_text(
    readings: Readings, name: str, place: Place, corpora: Sequence[str], seed: int, further: Sequence[Place] = ()
) -> str:
    """Return a study file: each text at one place, and at `further` ones."""
    like = (STUDIES / "texts-new.toml").read_text(encoding="utf-8")
    training = like[like.index("[training]") :].partition("\n\n")[0] + "\n"
    runs = [
        f'[[run]]\ncorpus = "{corpus}"\nparams = {at.params}\ntokens = {at.tokens}\nseed = {seed}\n'
        for corpus in corpora
        for at in further
    ]
    head = (
        "# What do data do to compute-optimal training? The sealed runs, at ten times the largest budget.\n"
        "# Written by studies/answer/seals.py; the seed is the id of the commit that holds\n"
        "# docs/results/answer/sealed-forms.csv.\n"
        f'schema = 1\nname = "answer-{name}"\nquestion = "What do data do to compute-optimal training?"\nseed = 2026\n'
    )
    grid = (f"[grid]\nparams = [{place.params}]\ntokens = [{place.tokens}]\nseeds = [{seed}]\ncontext = 256\n"
            "tied = true\n")  # fmt: skip
    return "\n".join([head, *(corpus_text(readings, corpus) for corpus in corpora), grid, training, *runs])


def corpus_text(readings: Readings, corpus: str) -> str:
    """Return a text's table as its own study has it: the same training and held-out documents."""
    source = next(one for study in readings.studies for one in study.corpus if one.name == corpus)
    found = source.model_dump(exclude_defaults=True)
    return (
        f'[[corpus]]\nname = "{corpus}"\nsource = "files"\npaths = ["{found["paths"][0]}"]\n'
        f"heldout_fraction = {found['heldout_fraction']}\nheldout_tokens = {found['heldout_tokens']}\n"
    )


if __name__ == "__main__":
    main()
