"""A pilot: the study of one corpus that fits into a stated time, from which its own law is fitted."""

import math
import re
from collections.abc import Iterable
from itertools import product
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from isoloss.core.errors import BadCorpus, InputError
from isoloss.core.machine import workers_for
from isoloss.core.reading import packaged_toml
from isoloss.corpus.corpus import Outline
from isoloss.planning.recipe import recipes
from isoloss.study.grid import USUAL_RATIO
from isoloss.study.run_plan import core_seconds, plan_runs
from isoloss.study.spec import Study
from isoloss.training.job import trunk_jobs

SIZES = 7
# Two runs of one text differ by so much that one seed gives the best tokens per parameter to a factor of 2, two to
# a factor of 1.5 (docs/results/answer.md): seeds come before larger budgets. A short pilot has fewer.
SEEDS = (3, 2, 1)
BUDGET_RANGES = (16.0, 8.0, 4.0)  # the largest budget over the smallest: the first that the text is enough for
ABOVE = 2.2  # the largest size over the usual best one of the largest budget
# The usual best size of the smallest budget over the smallest size: the first that the vocabulary lets it be.
BELOW = (2.2, 1.5, 1.0, 0.7, 0.5, 0.35)
SMALLEST_BUDGET, LARGEST_BUDGET, BUDGETS_TRIED = 1e9, 1e18, 121  # FLOPs of the largest budget of a pilot
CONTEXT = 256
# What starts, evaluations and the fits take in addition to the training that is estimated.
TRAINING_SHARE = 0.85

UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0}


def seconds_of(text: str) -> float:
    """Return a time such as `10min`, `90s` or `1.5h` in seconds. Raises InputError for another."""
    match = re.fullmatch(r"\s*([0-9]+\.?[0-9]*|\.[0-9]+)\s*(s|min|h)\s*", text)
    if match is None or float(match[1]) == 0:
        raise InputError(f"found {text!r}, expected a time", place="--pilot", fix="write 10min, 90s or 1.5h")
    return float(match[1]) * UNITS[match[2]]


def pilot_study(
    path: Path,
    *,
    name: str,
    tokenizer: str,
    budgets: tuple[float, float],
    below: float,
    seeds: int,
    most_tokens: float,
    seed: int,
) -> Study:
    """Return a pilot on the files under `path` of budgets from `budgets[0]` to `budgets[1]` FLOPs.

    `below` is how far the sizes reach below the usual best one of the smallest budget; every run is trained with
    `seeds` seeds. Raises ValidationError where runs of at most `most_tokens` leave a budget fewer than three sizes.
    """
    smallest, largest = (math.sqrt(flops / 6 / USUAL_RATIO) for flops in budgets)
    study = packaged_toml("isoloss.study", "pilot.toml")
    study |= {"name": name, "question": f"How should compute be split on {path.name}?", "seed": seed}
    study["corpus"] = [{"name": "corpus", "source": "files", "paths": [str(path)], "tokenizer": tokenizer}]
    study["grid"] |= {
        "params": _rounded(np.geomspace(smallest / below, ABOVE * largest, SIZES)), "flops": _rounded(budgets),
        "most_tokens": most_tokens, "seeds": list(range(seeds)), "context": CONTEXT,
    }  # fmt: skip
    study["training"] |= {"batch_tokens": recipes["small"].batch_tokens, "peak_lr": recipes["small"].peak_lr}
    return Study.model_validate(study)


def fitting_pilot(path: Path, corpus: Outline, *, name: str, tokenizer: str, seconds: float, seed: int = 0) -> Study:
    """Return the largest pilot on `corpus` that should be trained within `seconds` on this machine's cores.

    Of designs that the text and the vocabulary allow, that of the widest range of budgets and sizes; of those, that of
    most seeds; of those, the one of the largest budget. Raises BadCorpus for a corpus too small for any, InputError
    for a time too short.
    """
    most, workers = corpus.token_budget(CONTEXT), workers_for(1)
    enough_text = False
    for ratio, below, seeds in product(BUDGET_RANGES, BELOW, SEEDS):
        best: Study | None = None
        for budget in np.geomspace(SMALLEST_BUDGET, LARGEST_BUDGET, BUDGETS_TRIED).tolist():
            try:
                study = pilot_study(
                    path, name=name, tokenizer=tokenizer, budgets=(budget / ratio, budget), below=below,
                    seeds=seeds, most_tokens=most, seed=seed,
                )  # fmt: skip
                jobs = trunk_jobs([run.spec for run in plan_runs(study, {"corpus": corpus})])
            except (InputError, ValidationError):
                continue  # no shape of such a size at this vocabulary, or too little text
            enough_text = True
            if core_seconds(jobs) / min(workers, len(jobs)) > TRAINING_SHARE * seconds:
                break
            best = study
        if best is not None:
            return best
    if enough_text:
        raise InputError(
            f"no pilot fits into {seconds:.0f} s on {workers} cores with a vocabulary of {corpus.vocab_size}",
            place="--pilot", fix="allow more time, or use a tokenizer with fewer ids",
        )  # fmt: skip
    raise BadCorpus(
        f"{most:,} training tokens in windows of {CONTEXT} are too few for a pilot with a vocabulary of "
        f"{corpus.vocab_size}", place=str(path), fix="add text, or name a fitted law: --law FILE",
    )  # fmt: skip


def _rounded(values: Iterable[float]) -> list[float]:
    return [float(f"{value:.3g}") for value in values]
