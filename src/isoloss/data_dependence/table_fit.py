"""All that a table of runs is asked at once: laws, a comparison of predictors, backtests."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from isoloss.core.progress import QUIET, Progress
from isoloss.fitting.choice import AUTO
from isoloss.fitting.fitted import FittedLaw
from isoloss.fitting.fitting import draws_or_usual, fit_groups
from isoloss.laws.settings import USUAL, FitSettings
from isoloss.optima.lack_of_fit import warned_of_misfit
from isoloss.runs.observations import Observations

if TYPE_CHECKING:
    from isoloss.data_dependence.data_dependent import FittedDataDependent
    from isoloss.data_dependence.predictor_comparison import PredictorComparison
    from isoloss.diagnostics.backtest import Backtest, Holdout


@dataclass(frozen=True, kw_only=True, eq=False)
class TableFit:
    """A law for each corpus, with the warning `lack_of_fit` where its runs refuse it, and what else was asked.

    `joint` is the data-dependent law of the comparison's winner, or else of its first measure.
    """

    laws: list[FittedLaw]
    comparison: "PredictorComparison | None" = None
    joint: "FittedDataDependent | None" = None
    backtests: "Sequence[Backtest]" = ()

    @property
    def converged(self) -> bool:
        """Whether every law ended at an optimum."""
        alone = all(law.convergence.converged for law in self.laws)
        return alone and (self.joint is None or self.joint.converged)


def fit_table(
    table: Observations,
    *,
    law: str = "chinchilla",
    settings: FitSettings = USUAL,
    measures: Sequence[str] = (),
    holdout: "Holdout | None" = None,
    flops_above: float | None = None,
    bootstrap: int | None = None,
    seed: int = 0,
    progress: Progress = QUIET,
) -> TableFit:
    """Return one law for each corpus; with `measures` their comparison, with `holdout` how laws predict unseen runs.

    By default a law has 1,000 draws, of more than 10,000 runs none, and the joint law of a comparison has none. Raises
    what `fit_groups`, `compare_and_fit` and `backtest` raise.
    """
    draws = draws_or_usual(bootstrap, rows=len(table))
    laws = fit_groups(table, law=law, settings=settings, bootstrap=draws, seed=seed, progress=progress)
    laws = warned_of_misfit(laws, table, seed=seed)
    comparison, joint, tests = None, None, []
    # Each is imported where it is asked for: kernels of the comparison take long to load.
    if measures:
        from isoloss.data_dependence.comparison_fit import compare_and_fit

        comparison, joint = compare_and_fit(
            table, measures, settings=settings, bootstrap=bootstrap or 0, seed=seed, progress=progress
        )
    if holdout:
        from isoloss.diagnostics.backtest import DRAWS, backtest_groups

        tests = backtest_groups(
            table, holdout=holdout, flops_above=flops_above, rivals=() if law == AUTO else (law,), settings=settings,
            bootstrap=bootstrap or DRAWS, seed=seed, progress=progress,
        )  # fmt: skip
    return TableFit(laws=laws, comparison=comparison, joint=joint, backtests=tests)
