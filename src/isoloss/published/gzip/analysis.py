"""The gzip paper's runs fitted by every loss column, with and without runs that were still falling."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from isoloss.core.errors import BadTable
from isoloss.core.progress import QUIET, Progress
from isoloss.data_dependence.coefficient_lines import CoefficientLine, regress_coefficients
from isoloss.data_dependence.covariates import corpus_complexity
from isoloss.data_dependence.data_dependent import FittedDataDependent, from_laws
from isoloss.data_dependence.predictor_comparison import PredictorResult
from isoloss.data_dependence.predictors import compare_predictors
from isoloss.fitting.fitted import FittedLaw
from isoloss.fitting.fitting import fit
from isoloss.optima.curves import TrainingCurve, area_under, still_falling
from isoloss.published.folder import Columns
from isoloss.published.gzip.data import LOSSES, curves, runs
from isoloss.report.tables import exponent
from isoloss.runs.observations import Floats, Observations

DRAWS = 300
MAIN = LOSSES[0]
CONVERGED = "without runs still falling"  # the lines of the main loss column's laws without flagged runs


@dataclass(frozen=True, kw_only=True, eq=False)
class GzipAnalysis:
    """Laws by loss column and corpus; `converged` without flagged runs, `no_law` why a corpus then has none.

    `lines` are by loss column and, for the main one without flagged runs, under `CONVERGED`; `complexity` is the gzip
    ratio of every corpus, ascending; `areas` the mean training loss of every run.
    """

    table: Observations
    complexity: Mapping[str, float]
    laws: Mapping[str, Mapping[str, FittedLaw]]
    converged: Mapping[str, Mapping[str, FittedLaw]]
    no_law: Mapping[str, str]
    flagged: Mapping[str, tuple[str, ...]]
    lines: Mapping[str, Mapping[str, CoefficientLine]]
    dependent: FittedDataDependent
    comparison: PredictorResult
    curves: list[TrainingCurve]
    areas: Mapping[str, float]

    @property
    def corpora(self) -> list[str]:
        """Corpora from the easiest to compress to the hardest."""
        return list(self.complexity)

    def exponents(self, loss: str, *, converged: bool = False) -> Floats:
        """Return a of every corpus's fit, NaN where there is no law or no optimum."""
        laws = (self.converged if converged else self.laws)[loss]
        found = [exponent(laws.get(corpus)) for corpus in self.corpora]
        return np.array([np.nan if one is None else one.value for one in found])


def analyse(tables: dict[str, Columns], *, progress: Progress = QUIET) -> GzipAnalysis:
    """Return every fit of the 150 runs."""
    curve_list = curves(tables)
    flagged: dict[str, tuple[str, ...]] = {curve.run: ("unconverged",) for curve in curve_list if still_falling(curve)}
    table = runs(tables, loss=MAIN)
    by_gzip = corpus_complexity(table, "gzip")
    complexity = dict(sorted(by_gzip.items(), key=lambda item: item[1]))
    laws: dict[str, dict[str, FittedLaw]] = {}
    converged: dict[str, dict[str, FittedLaw]] = {}
    no_law: dict[str, str] = {}
    with progress.task("fits", total=2 * len(LOSSES) * len(complexity)) as task:
        for loss in LOSSES:
            laws[loss], converged[loss] = {}, {}
            for corpus in complexity:
                task.advance(0, detail=f"{loss}, {corpus}")
                own = runs(tables, loss=loss).where(corpus=corpus)
                laws[loss][corpus] = fit(own, bootstrap=DRAWS if loss == MAIN else 0, method="rows")
                task.advance(1)
                try:
                    converged[loss][corpus] = fit(runs(tables, loss=loss, flags=flagged).where(corpus=corpus))
                except BadTable as error:
                    no_law[f"{corpus}, {loss}"] = error.reason
                task.advance(1)
    return GzipAnalysis(
        table=table, complexity=complexity, laws=laws, converged=converged, no_law=no_law, flagged=flagged,
        lines={
            loss: regress_coefficients(list(fits.values()), complexity)
            for loss, fits in (*laws.items(), (CONVERGED, converged[MAIN]))
        },
        dependent=from_laws(list(laws[MAIN].values()), table, complexity, measure="gzip"),
        comparison=compare_predictors(table, ["gzip"]).measures[0], curves=curve_list,
        areas={curve.run: area_under(curve) for curve in curve_list},
    )  # fmt: skip


def median_error(law: FittedLaw, rows: Observations) -> float:
    """Return the median of |L̂ − L|/L."""
    return float(np.median(np.abs(np.expm1(-law.residuals(rows)))))
