"""The comparison of predictors in a study: does a measure predict the losses of a source that was never fitted?"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from isoloss.complexity.measure import Complexity
from isoloss.core.errors import InputError
from isoloss.core.progress import QUIET, Progress
from isoloss.data_dependence.covariates import FEWEST_SOURCES, measures_that_vary
from isoloss.data_dependence.data_dependent import DataDependent, FittedDataDependent
from isoloss.data_dependence.pooled_split import pool_splits
from isoloss.data_dependence.predictor_comparison import PredictorComparison
from isoloss.data_dependence.predictors import compare_predictors
from isoloss.runs.observations import Observations
from isoloss.study.best_splits import BestSplits
from isoloss.study.spec import DATA_DEPENDENT, Study

Measured = Mapping[str, Mapping[str, Complexity]]
"""Corpus name → measure → its value; without the measures that the corpus does not determine."""


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """The comparisons of predictors in a study, the law that each leaves, and why a kind of corpora has none."""

    predictor_comparisons: list[PredictorComparison] = field(default_factory=list)
    laws: list[FittedDataDependent] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)


def with_complexity(table: Observations, complexity: Measured, measures: Sequence[str]) -> Observations:
    """Return the table with a column for each of `measures` that all its corpora determine."""
    names = table.corpus.tolist()
    known = [measure for measure in measures if all(measure in complexity[name] for name in table.corpora)]
    columns = {measure: np.array([complexity[name][measure].value.value for name in names]) for measure in known}
    return replace(table, complexity=columns)


def compare_by_kind(
    study: Study,
    table: Observations,
    fitted: Collection[str],
    kinds: Mapping[str, Sequence[str]],
    complexity: Measured,
    *,
    best: BestSplits | None,
    progress: Progress = QUIET,
) -> LeftOut:
    """Return the comparisons, kind by kind, where the study asks and enough sources of a kind have laws (`fitted`).

    Balances are the study's best splits, `best`: of each corpus by its own weights of the forms. Measures compete on
    the corpora that determine them. A kind that Chinchilla's law cannot be fitted to is listed with
    the reason.
    """
    found = LeftOut()
    if DATA_DEPENDENT not in study.fit.laws:
        return found
    for kind, named in kinds.items():
        names = [name for name in named if name in fitted]
        for having, measures in _together(names, study.complexity.measures, complexity).items():
            if not having:
                continue
            rows = with_complexity(table.where(corpus=having), complexity, measures)
            varying = measures_that_vary(rows)
            if len(set(rows.sources.values())) < FEWEST_SOURCES or not varying:
                continue
            try:
                comparison = compare_predictors(
                    rows, varying, kind=kind, flops=best.budget if best else None,
                    balances=best.log_ratios() if best else {}, exclude_flags=study.fit.exclude_flags,
                    seed=study.seed, progress=progress,
                )  # fmt: skip
                found.predictor_comparisons.append(comparison)
                found.laws.append(_law(study, rows, comparison, best))
            except InputError as error:
                found.reasons[f"left-out {kind} corpora"] = error.reason
    return found


def _law(
    study: Study, rows: Observations, comparison: PredictorComparison, best: BestSplits | None
) -> FittedDataDependent:
    """Return the joint law by the winner, or by the study's first measure where there is none."""
    definition = DataDependent(complexity=comparison.to_follow, exclude_flags=study.fit.exclude_flags)
    law = definition.fit(rows, bootstrap=study.fit.bootstrap, seed=study.seed, stage=comparison.stage)
    splits = [split for split in best.splits if split.corpus in rows.corpora] if best else []
    return replace(law, pooled=pool_splits(splits, measured=law.complexity, prior=study.fit.prior_of(comparison.kind)))


def _together(names: Sequence[str], measures: Sequence[str], complexity: Measured) -> dict[tuple[str, ...], list[str]]:
    """Return the measures by the corpora that determine them: those of the same corpora are compared together."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for measure in measures:
        having = tuple(name for name in names if measure in complexity[name])
        groups.setdefault(having, []).append(measure)
    return groups
