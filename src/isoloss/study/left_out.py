"""The test on left-out corpora: does a measure of complexity predict the losses of a corpus that was never fitted?"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from isoloss.complexity.measure import Complexity
from isoloss.core.errors import InputError
from isoloss.laws.data_dependent import FEWEST_CORPORA, Comparison, compare, measures_that_vary
from isoloss.runs.observations import Observations
from isoloss.study.spec import DATA_DEPENDENT, Study

Measured = Mapping[str, Mapping[str, Complexity]]
"""Corpus name → measure → its value; without the measures that the corpus does not determine."""


def with_complexity(table: Observations, complexity: Measured, measures: Sequence[str]) -> Observations:
    """Return the table with a column for each of `measures` that all its corpora determine."""
    names = table.corpus.tolist()
    known = [measure for measure in measures if all(measure in complexity[name] for name in table.corpora)]
    columns = {measure: np.array([complexity[name][measure].value.value for name in names]) for measure in known}
    return replace(table, complexity=columns)


def compare_left_out(
    study: Study, table: Observations, fitted: Collection[str], kinds: Mapping[str, Sequence[str]], complexity: Measured
) -> tuple[list[Comparison], dict[str, str]]:
    """Return the tests, kind by kind, where the study asks and enough corpora of a kind have laws (`fitted`).

    A measure is tested on the corpora that determine it. A kind that Chinchilla's law, the test's first stage, cannot
    be fitted to is listed with the reason.
    """
    found: list[Comparison] = []
    reasons: dict[str, str] = {}
    if DATA_DEPENDENT not in study.fit.laws:
        return found, reasons
    for kind, named in kinds.items():
        names = [name for name in named if name in fitted]
        for having, measures in _together(names, study.complexity.measures, complexity).items():
            if len(having) < FEWEST_CORPORA:
                continue
            rows = with_complexity(table.where(corpus=having), complexity, measures)
            try:
                found += compare(
                    rows, measures_that_vary(rows), kind=kind, objective=study.fit.objective, delta=study.fit.delta,
                    seed=study.seed,
                )  # fmt: skip
            except InputError as error:
                reasons[f"left-out {kind} corpora"] = error.reason
    return found, reasons


def _together(names: Sequence[str], measures: Sequence[str], complexity: Measured) -> dict[tuple[str, ...], list[str]]:
    """Return the measures by the corpora that determine them: those of the same corpora are compared together."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for measure in measures:
        having = tuple(name for name in names if measure in complexity[name])
        groups.setdefault(having, []).append(measure)
    return groups
