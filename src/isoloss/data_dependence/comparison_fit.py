"""The comparison of predictors and the law that follows it, nothing computed twice."""

from collections.abc import Sequence
from dataclasses import replace

from isoloss.core.errors import InputError
from isoloss.core.progress import QUIET, Progress
from isoloss.data_dependence.data_dependent import DataDependent, FittedDataDependent, refuse_unused
from isoloss.data_dependence.pooled_split import pool_splits
from isoloss.data_dependence.predictor_comparison import PredictorComparison
from isoloss.data_dependence.predictors import compare_predictors, log_ratios
from isoloss.laws.settings import USUAL, FitSettings
from isoloss.optima.best_size import search_sizes
from isoloss.optima.mean_split import means_of, shared_budgets
from isoloss.runs.observations import Observations


def compare_and_fit(
    table: Observations,
    measures: Sequence[str],
    *,
    settings: FitSettings = USUAL,
    bootstrap: int = 0,
    seed: int = 0,
    progress: Progress = QUIET,
) -> tuple[PredictorComparison, FittedDataDependent]:
    """Return the comparison of the measures, and the data-dependent law of its winner or else of the first measure.

    Raises InputError for settings that a joint fit does not use.
    """
    refuse_unused(settings)
    flags = settings.exclude_flags
    try:
        budgets = shared_budgets(table)
    except InputError:  # no budget lies inside the runs: there is no split to pool
        comparison = compare_predictors(table, measures, exclude_flags=flags, seed=seed, progress=progress)
        splits = []
    else:
        searched = search_sizes(table, budgets=budgets, seed=seed)
        known = log_ratios(best for best in searched.best() if best.flops == budgets[1])
        comparison = compare_predictors(
            table, measures, flops=budgets[1], balances=known, exclude_flags=flags, seed=seed, progress=progress
        )
        splits = means_of(searched.best(pooled=True))
    definition = DataDependent(complexity=comparison.to_follow, settings=settings)
    law = definition.fit(table, bootstrap=bootstrap, seed=seed, stage=comparison.stage)
    return comparison, replace(law, pooled=pool_splits(splits, measured=law.complexity))
