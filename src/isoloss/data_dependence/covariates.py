"""What corpora's laws may follow: one value of a measure for every corpus, enough of them, and enough sources."""

from collections.abc import Mapping

import numpy as np

from isoloss.core.errors import InputError
from isoloss.runs.observations import Observations

FEWEST_SOURCES = 3


def corpus_complexity(observations: Observations, measure: str) -> dict[str, float]:
    """Return the measure of every corpus. Raises InputError where rows of one corpus disagree."""
    column = observations.measure(measure)
    found: dict[str, float] = {}
    for corpus in observations.corpora:
        values = np.unique(column[observations.corpus == corpus])
        if len(values) > 1:
            raise InputError(
                f"corpus {corpus!r} has {len(values)} values of {measure!r}, {values[0]:g} to {values[-1]:g}",
                fix="a measure belongs to a corpus: give all rows of the corpus the same value",
            )
        found[corpus] = float(values[0])
    return found


def measures_that_vary(observations: Observations) -> list[str]:
    """Return the complexity columns with enough distinct values among the corpora to lay a line through."""
    return [
        measure
        for measure in observations.complexity
        if len(set(corpus_complexity(observations, measure).values())) >= FEWEST_SOURCES
    ]


def refuse_few(observations: Observations, values: Mapping[str, Mapping[str, float]]) -> None:
    """Raise InputError for fewer than three sources, or fewer than three values of a measure."""
    sources = len(set(observations.sources.values()))
    if sources < FEWEST_SOURCES:
        named = "corpora" if observations.source is None else "sources"
        raise InputError(
            f"{sources} {named}, expected at least {FEWEST_SOURCES} to tell how a law follows "
            f"{', '.join(map(repr, values))}",
            fix="train on more sources, or fit each corpus by itself",
        )
    for measure, of_corpora in values.items():
        if len(set(of_corpora.values())) < FEWEST_SOURCES:
            raise InputError(
                f"the corpora have fewer than {FEWEST_SOURCES} distinct values of {measure!r}",
                fix="add corpora with other values of the measure",
            )
