"""A pilot: the study of one corpus that fits into a stated time, from which its own law is fitted."""

import re
from collections.abc import Iterable
from itertools import product
from pathlib import Path

import numpy as np

from isoloss.core.errors import BadCorpus, InputError
from isoloss.core.machine import workers_for
from isoloss.corpus.corpus import Outline
from isoloss.planning.recipe import recipes
from isoloss.study.plan import core_seconds, plan_runs
from isoloss.study.spec import STUDY_SCHEMA, Study
from isoloss.training.job import trunk_jobs

SIZES, LENGTHS = 4, 6
LENGTH_STEP = 2.0
SIZE_SPANS = (10.0, 7.0, 5.0)  # the largest model over the smallest: as wide as the vocabulary lets it be
TOKENS_A_PARAMETER = 3.0  # of the longest run of the largest model: the demo's
SHORTEST = 4e4  # tokens of the longest run: below it a law of losses says nothing
CONTEXT = 256
# What starts, evaluations and the fits take beside the training that is estimated.
TRAINING_SHARE = 0.85

UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0}


def seconds_of(text: str) -> float:
    """Return a time such as `10min`, `90s` or `1.5h` in seconds. Raises InputError for another."""
    match = re.fullmatch(r"\s*([0-9.]+)\s*(s|min|h)\s*", text)
    try:
        if match and (seconds := float(match[1]) * UNITS[match[2]]) > 0:
            return seconds
    except ValueError:
        pass
    raise InputError(f"found {text!r}, expected a time", place="--pilot", fix="write 10min, 90s or 1.5h")


def pilot_study(path: Path, *, name: str, tokenizer: str, longest_tokens: float, size_span: float, seed: int) -> Study:
    """Return a pilot on the files under `path` whose longest run sees `longest_tokens`: sizes and lengths follow."""
    largest = longest_tokens / TOKENS_A_PARAMETER
    recipe = recipes["small"]
    return Study.model_validate({
        "schema": STUDY_SCHEMA,
        "name": name,
        "question": f"How should compute be split on {path.name}?",
        "seed": seed,
        "corpus": [{"name": "corpus", "source": "files", "paths": [str(path)], "tokenizer": tokenizer}],
        "grid": {
            "params": _rounded(np.geomspace(largest / size_span, largest, SIZES)),
            "tokens": _rounded(longest_tokens / LENGTH_STEP ** np.arange(LENGTHS)[::-1]),
            "context": CONTEXT,
            "tied": True,
        },
        "training": {
            "batch_tokens": recipe.batch_tokens.model_dump(),
            "peak_lr": recipe.peak_lr.model_dump(),
            "warmup_tokens": 16_384,
        },
        "fit": {"laws": ["chinchilla", "farseer"]},
    })  # fmt: skip


def fitting_pilot(path: Path, corpus: Outline, *, name: str, tokenizer: str, seconds: float, seed: int = 0) -> Study:
    """Return the largest pilot on `corpus` that should be trained within `seconds` on this machine's cores.

    Raises BadCorpus for a corpus too small for any, InputError for a time too short.
    """
    most = corpus.token_budget(CONTEXT)
    if most < SHORTEST:
        raise BadCorpus(
            f"{most:,} training tokens in windows of {CONTEXT}, a pilot needs {SHORTEST:,.0f}", place=str(path),
            fix="add text, or name a fitted law: --law FILE",
        )  # fmt: skip
    workers = workers_for(1)
    best: Study | None = None
    lengths = SHORTEST * LENGTH_STEP ** np.arange(0, np.log2(most / SHORTEST) + 1e-9, 0.25)
    for longest, span in product(lengths.tolist(), SIZE_SPANS):
        study = pilot_study(path, name=name, tokenizer=tokenizer, longest_tokens=longest, size_span=span, seed=seed)
        try:
            jobs = trunk_jobs([run.spec for run in plan_runs(study, {"corpus": corpus})])
        except InputError:
            continue  # no shape so small at this vocabulary: larger models may have one
        if core_seconds(jobs) / min(workers, len(jobs)) > TRAINING_SHARE * seconds:
            break
        # The widest span of a length is its first: narrower ones do not replace it.
        if best is None or best.grid.tokens[-1] < study.grid.tokens[-1]:
            best = study
    if best is None:
        raise InputError(
            f"no pilot fits into {seconds:.0f} s on {workers} cores with a vocabulary of {corpus.vocab_size}",
            place="--pilot", fix="allow more time, or use a tokenizer with fewer ids",
        )  # fmt: skip
    return best


def _rounded(values: Iterable[float]) -> list[float]:
    return [float(f"{value:.3g}") for value in values]
