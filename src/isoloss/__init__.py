"""Scaling laws that know your data.

Everything a script needs stands here and loads when it is first used, so that `import isoloss` is quick and needs no
torch:

    import isoloss as il

    runs = il.read_runs("runs.csv", params="n", tokens="d", loss="val_loss", corpus="data")
    law = il.Chinchilla().fit(runs.where(corpus="python"))
    print(law.summary())
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from isoloss.complexity.base import Measure as Measure
    from isoloss.core.consent import allow as allow
    from isoloss.core.errors import IsolossError as IsolossError
    from isoloss.core.estimate import Estimate as Estimate
    from isoloss.core.warned import IsolossWarning as IsolossWarning
    from isoloss.corpus.corpus import Corpus as Corpus
    from isoloss.data_dependence.data_dependent import DataDependent as DataDependent
    from isoloss.data_dependence.data_dependent import FittedDataDependent as FittedDataDependent
    from isoloss.execution.base import Executor as Executor
    from isoloss.fitting.estimated import EstimatedLaw as EstimatedLaw
    from isoloss.fitting.fitted import FittedLaw as FittedLaw
    from isoloss.grammar.pcfg import Grammar as Grammar
    from isoloss.laws._arithmetic import compiled as compiled
    from isoloss.laws.ceiling import Ceiling as Ceiling
    from isoloss.laws.chinchilla import Chinchilla as Chinchilla
    from isoloss.laws.coupled import Coupled as Coupled
    from isoloss.laws.critical_batch import CriticalBatch as CriticalBatch
    from isoloss.laws.farseer import Farseer as Farseer
    from isoloss.laws.kaplan import Kaplan as Kaplan
    from isoloss.laws.law import Law as Law
    from isoloss.laws.loss_to_loss import LossToLoss as LossToLoss
    from isoloss.laws.power import KaplanFlops as KaplanFlops
    from isoloss.laws.power import KaplanParams as KaplanParams
    from isoloss.laws.power import KaplanTokens as KaplanTokens
    from isoloss.laws.power import OffsetFlops as OffsetFlops
    from isoloss.laws.power import OffsetParams as OffsetParams
    from isoloss.laws.power import OffsetTokens as OffsetTokens
    from isoloss.laws.repeated import Repeated as Repeated
    from isoloss.optima.isoflop import fit_isoflop as fit_isoflop
    from isoloss.optima.warned_fit import fit as fit
    from isoloss.planning.corpus_statistics import open_corpus as open_corpus
    from isoloss.planning.plan import plan as plan
    from isoloss.planning.shipped import shipped_law as shipped_law
    from isoloss.runs.archive import Archive as Archive
    from isoloss.runs.observations import Observations as Observations
    from isoloss.runs.observations import observations as observations
    from isoloss.runs.read_runs import read_runs as read_runs
    from isoloss.study.lab import Lab as Lab
    from isoloss.study.spec import Study as Study

_HOMES = {
    "Archive": "isoloss.runs.archive",
    "Ceiling": "isoloss.laws.ceiling",
    "Chinchilla": "isoloss.laws.chinchilla",
    "Corpus": "isoloss.corpus.corpus",
    "Coupled": "isoloss.laws.coupled",
    "CriticalBatch": "isoloss.laws.critical_batch",
    "DataDependent": "isoloss.data_dependence.data_dependent",
    "Estimate": "isoloss.core.estimate",
    "EstimatedLaw": "isoloss.fitting.estimated",
    "Executor": "isoloss.execution.base",
    "Farseer": "isoloss.laws.farseer",
    "FittedDataDependent": "isoloss.data_dependence.data_dependent",
    "FittedLaw": "isoloss.fitting.fitted",
    "Grammar": "isoloss.grammar.pcfg",
    "IsolossError": "isoloss.core.errors",
    "IsolossWarning": "isoloss.core.warned",
    "Kaplan": "isoloss.laws.kaplan",
    "KaplanFlops": "isoloss.laws.power",
    "KaplanParams": "isoloss.laws.power",
    "KaplanTokens": "isoloss.laws.power",
    "Lab": "isoloss.study.lab",
    "Law": "isoloss.laws.law",
    "LossToLoss": "isoloss.laws.loss_to_loss",
    "Measure": "isoloss.complexity.base",
    "Observations": "isoloss.runs.observations",
    "OffsetFlops": "isoloss.laws.power",
    "OffsetParams": "isoloss.laws.power",
    "OffsetTokens": "isoloss.laws.power",
    "Repeated": "isoloss.laws.repeated",
    "Study": "isoloss.study.spec",
    "allow": "isoloss.core.consent",
    "compiled": "isoloss.laws._arithmetic",
    "fit": "isoloss.optima.warned_fit",
    "fit_isoflop": "isoloss.optima.isoflop",
    "observations": "isoloss.runs.observations",
    "open_corpus": "isoloss.planning.corpus_statistics",
    "plan": "isoloss.planning.plan",
    "read_runs": "isoloss.runs.read_runs",
    "shipped_law": "isoloss.planning.shipped",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'isoloss' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
