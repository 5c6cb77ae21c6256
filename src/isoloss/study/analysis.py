"""From a study's table to its answer: fits with and without flagged runs, left-out corpora, the balance."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from isoloss.complexity.measure import Complexity
from isoloss.core.errors import InputError, Unidentified, WorkError
from isoloss.core.plain_json import plain
from isoloss.core.progress import Progress, Task
from isoloss.corpus.corpus import Corpus
from isoloss.data_dependence.balance import BalanceVerdict, judge_balance
from isoloss.data_dependence.data_dependent import FittedDataDependent
from isoloss.data_dependence.predictor_comparison import PredictorResult
from isoloss.diagnostics.backtest import DRAWS, Backtest, backtest
from isoloss.diagnostics.coverage import Coverage, simulate_coverage
from isoloss.fitting.checks import leave_out, root_mean_square
from isoloss.fitting.choice import LawChoice
from isoloss.fitting.fitted import FittedLaw
from isoloss.laws.settings import EXCLUDED_FLAGS
from isoloss.optima.best_size import BestSize
from isoloss.optima.mean_split import middle_budget
from isoloss.report.data import Findings
from isoloss.runs.observations import Observations
from isoloss.runs.replicates import ReplicateNoise, replicate_noise
from isoloss.study.best_splits import (
    NO_BEST_SPLITS,
    NOTHING_KNOWN,
    BestSplits,
    KnownOfRuns,
    find_best_splits,
    splits_at,
)
from isoloss.study.corpus_fits import fit_of_study, hold_out, with_law_chosen
from isoloss.study.left_out import compare_by_kind
from isoloss.study.origins import sources
from isoloss.study.spec import Study
from isoloss.tuning.tuning import Tuning

BALANCE_MEASURE = "gzip"


@dataclass(frozen=True, kw_only=True)
class HoldoutError:
    """How well a law predicts the runs its fit never saw: root mean square of ln L − ln L̂ over `runs` runs."""

    corpus: str
    law: str
    runs: int
    rmse: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Analysis(Findings):
    """Everything that was fitted.

    `data_dependent` is the law that each comparison of predictors leaves. `best` holds the best split of every corpus
    by several forms of the loss, on which all comparisons rest, and `budget` the FLOPs of their table. Backtests are of
    the largest budgets of each corpus, or of those that the study holds out; `no_backtest` says where none could be
    made, and why.
    """

    budget: float
    data_dependent: Sequence[FittedDataDependent] = ()
    holdout: Sequence[HoldoutError] = ()
    best: BestSplits | None = None
    no_backtest: Mapping[str, str] = field(default_factory=dict)

    @property
    def comparison(self) -> list[PredictorResult]:
        """Every measure of every comparison of predictors."""
        return [one for comparison in self.predictor_comparisons for one in comparison.measures]

    def to_json(self) -> dict[str, Any]:
        """Return the keys of `isoloss run --json` that fits give."""
        return {
            "budget_flops": self.budget,
            **(self.best.to_json() if self.best else NO_BEST_SPLITS),
            "laws": [law.to_json() for law in (*self.laws.values(), *self.further_laws)],
            "no_law": self.no_law,
            "comparison": [one.to_json() for one in self.comparison],
            "contest": [one.to_json() for one in self.predictor_comparisons],
            "data_dependent": [law.to_json() for law in self.data_dependent],
            "balance": [verdict.to_json() for verdict in self.balance],
            "coverage": {name: plain(coverage.shares) for name, coverage in self.coverage.items()},
            "backtest": [one.to_json() for one in self.backtest],
            "no_backtest": self.no_backtest,
            "holdout": [asdict(one) for one in self.holdout],
            "rate_arms": [
                {"rate_factor": factor, **law.to_json(), "optimum": plain(self.rate_optima.get(factor, {}).get(name))}
                for factor, laws in self.rate_arms.items()
                for name, law in laws.items()
            ],
            "replicates": {name: noise.to_json() for name, noise in self.replicates.items()},
            "tune": [tuning.to_json() for tuning in self.tuning.values()],
        }


def analyse(
    study: Study,
    table: Observations,
    corpora: Mapping[str, Corpus],
    complexity: Mapping[str, Mapping[str, Complexity]],
    *,
    progress: Progress,
    variants: Mapping[float, Observations] | None = None,
    known: KnownOfRuns = NOTHING_KNOWN,
) -> Analysis:
    """Return the laws and the answer of a study. A corpus whose runs determine no law is listed with the reason.

    `variants` are the tables of the same grid at multiples of its rate. Raises WorkError where no run has finished.
    """
    seen, unseen = hold_out(study, table)
    if not len(seen):
        raise WorkError("no run without flags has finished", fix="isoloss runs DIR shows their state")
    study, choice = with_law_chosen(study, seen)
    fits = _fit_all(study, table, seen, corpora, variants or {}, choice=choice, progress=progress)
    measure = _balance_measure(study, complexity)
    with progress.task("best splits", total=1) as task:
        best = find_best_splits(
            seen, form=study.fit.corpus_laws[0], designed=study.grid.budgets, known=known, seed=study.seed
        )
        rate_optima = _rate_optima(study, best, variants or {})
        task.advance(1)
    backtests, no_backtest = _backtests(study, table, fits.laws, progress=progress)
    left_out = compare_by_kind(
        study, _with_sources(seen, corpora), fits.laws, _by_kind(corpora), complexity, best=best, progress=progress
    )
    found = replace(
        fits,
        measure=measure,
        no_law={**fits.no_law, **left_out.reasons},
        predictor_comparisons=left_out.predictor_comparisons,
        balance=_balance(study, best, corpora, complexity, measure=measure),
        backtest=backtests,
        replicates=_replicates(seen),
        rate_optima=rate_optima,
    )
    return Analysis(
        **vars(found),
        budget=best.budget if best else middle_budget(seen),
        data_dependent=left_out.laws,
        best=best,
        no_backtest=no_backtest,
        holdout=_holdout_errors([*fits.laws.values(), *fits.further_laws], unseen),
    )


def _fit_all(
    study: Study,
    table: Observations,
    seen: Observations,
    corpora: Mapping[str, Corpus],
    variants: Mapping[float, Observations],
    *,
    choice: LawChoice | None,
    progress: Progress,
) -> Findings:
    """Return every fit of a study's corpora, each by itself, to the runs that fits see."""
    others = study.fit.corpus_laws[1:]
    with progress.task("fits", total=(3 + len(others) + len(variants)) * len(corpora)) as task:
        fits = fit_of_study(study, seen, corpora, task=task)
        laws, no_law = fits.laws, fits.reasons
        # Where nothing was left out, the fit of all runs is the same fit.
        flagged = seen.where(corpus=_flagged(seen, study.fit.exclude_flags))
        unfiltered = fit_of_study(study, flagged, corpora, names=flagged.corpora, keep_flagged=True, task=task).laws
        rate_arms = {
            factor: fit_of_study(study, hold_out(study, variant)[0], corpora, task=task).laws
            for factor, variant in variants.items()
        }
        further: list[FittedLaw] = []
        for name in others:
            fits = fit_of_study(study, seen, corpora, law=name, task=task)
            further += fits.laws.values()
            no_law |= {f"{corpus} ({name})": reason for corpus, reason in fits.reasons.items()}
        coverage = _coverage(laws, seen, task, seed=study.seed)
    if choice is not None:
        laws = {name: replace(law, choice=choice) if law.law == choice.law else law for name, law in laws.items()}
    return Findings(observations=table, laws=laws, laws_unfiltered=laws | unfiltered, rate_arms=rate_arms,
                    further_laws=further, no_law=no_law, coverage=coverage)  # fmt: skip


def _rate_optima(
    study: Study, best: BestSplits | None, variants: Mapping[float, Observations]
) -> dict[float, dict[str, BestSize]]:
    """Return the best splits of the common budget on the same grid at multiples of its rate."""
    if best is None:
        return {}
    return {
        factor: splits_at(hold_out(study, variant)[0], best.budget, seed=study.seed)
        for factor, variant in variants.items()
    }


def _coverage(laws: Mapping[str, FittedLaw], seen: Observations, task: Task, *, seed: int) -> dict[str, Coverage]:
    """Return how often such intervals hold the truth on the grid of each law that has any."""
    shares = {}
    for name, law in laws.items():
        if len(law.draws):
            task.advance(1, detail=f"coverage of the intervals on {name}")
            shares[name] = simulate_coverage(law, seen.where(corpus=name), seed=seed)
    return shares


def _holdout_errors(laws: Iterable[FittedLaw], unseen: Observations) -> list[HoldoutError]:
    """Return how well each law predicts the runs of its corpus that no fit saw."""
    return [
        HoldoutError(corpus=law.group, law=law.law, runs=len(rows), rmse=root_mean_square(law.residuals(rows)))
        for law in laws
        if law.group in unseen.corpora and (rows := unseen.where(corpus=law.group))
    ]


def _with_sources(table: Observations, corpora: Mapping[str, Corpus]) -> Observations:
    """Return the table with what each corpus was made from."""
    named = sources(corpora)
    return replace(table, source=np.array([named[name] for name in table.corpus.tolist()], dtype=np.str_))


def analyse_sweep(study: Study, table: Observations, tuning: dict[str, Tuning]) -> Analysis:
    """Return what a [tune] study came to: no law, for a sweep is no grid."""
    measure = study.complexity.measures[0]
    return Analysis(observations=table, measure=measure, budget=middle_budget(table), tuning=tuning)


def _replicates(table: Observations) -> dict[str, ReplicateNoise]:
    """Return the noise of every corpus whose unflagged runs tell trunks from branches."""
    found = {}
    for name in table.corpora:
        with suppress(Unidentified):
            found[name] = replicate_noise(leave_out(table.where(corpus=name), flags=EXCLUDED_FLAGS)[0])
    return found


def _flagged(table: Observations, excluded: Sequence[str]) -> list[str]:
    """Return the corpora of which a fit leaves runs out, or all of them."""
    return [
        name
        for name in table.corpora
        if any(set(flags) & set(excluded) for flags in table.where(corpus=name).flags or ())
    ]


def _backtests(
    study: Study, table: Observations, corpora: Iterable[str], *, progress: Progress
) -> tuple[list[Backtest], dict[str, str]]:
    """Return how laws that saw the smaller budgets of a corpus predict its larger ones, or why that cannot be asked."""
    found, reasons = [], {}
    above = study.fit.holdout.flops_above if study.fit.holdout else None
    for name in corpora:
        try:
            found.append(
                backtest(
                    table.where(corpus=name), rivals=study.fit.corpus_laws, flops_above=above,
                    settings=study.fit.settings, seed=study.seed, progress=progress,
                    bootstrap=min(DRAWS, study.fit.bootstrap),
                )
            )  # fmt: skip
        except InputError as error:
            reasons[name] = error.reason
    return found, reasons


def _balance_measure(study: Study, complexity: Mapping[str, Mapping[str, Complexity]]) -> str:
    measures = sorted(study.complexity.measures, key=lambda measure: measure != BALANCE_MEASURE)
    return next((each for each in measures if all(each in found for found in complexity.values())), measures[0])


def _balance(
    study: Study,
    best: BestSplits | None,
    corpora: Mapping[str, Corpus],
    complexity: Mapping[str, Mapping[str, Complexity]],
    *,
    measure: str,
) -> list[BalanceVerdict]:
    """Return one verdict a kind of corpus: real and generated apart, or tokenisation would be taken for complexity.

    A corpus that does not determine the measure has no part in it.
    """
    if best is None:
        return []
    values = {name: measured[measure].value for name, measured in complexity.items() if measure in measured}
    splits = {split.corpus: split for split in best.splits if split.corpus in values}
    return [
        judge_balance(own, values, kind=kind, measure=measure, prior=study.fit.prior_of(kind))
        for kind, names in _by_kind(corpora).items()
        if (own := [splits[name] for name in names if name in splits])
    ]


def _by_kind(corpora: Mapping[str, Corpus]) -> dict[str, list[str]]:
    """Return the names of the corpora of each kind, in the study's order: each kind is judged by itself."""
    kinds: dict[str, list[str]] = {}
    for name, corpus in corpora.items():
        kinds.setdefault(corpus.kind, []).append(name)
    return kinds
