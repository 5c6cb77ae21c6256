"""Scaling laws that know your data.

Everything a script needs stands here and loads when it is first used, so that `import isoloss` is quick and needs no
torch:

    import isoloss as il

    runs = il.read_runs("runs.csv", params="n", tokens="d", loss="val_loss", corpus="data")
    law = il.Chinchilla().fit(runs.where(corpus="python"), bootstrap=1000)
    print(law.summary())
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from isoloss.core.consent import allow as allow
    from isoloss.core.errors import IsolossError as IsolossError
    from isoloss.core.estimate import Estimate as Estimate
    from isoloss.corpus.corpus import Corpus as Corpus
    from isoloss.data_dependence.data_dependent import DataDependent as DataDependent
    from isoloss.data_dependence.data_dependent import FittedDataDependent as FittedDataDependent
    from isoloss.fitting.fitted import FittedLaw as FittedLaw
    from isoloss.grammar import Grammar as Grammar
    from isoloss.laws import Chinchilla as Chinchilla
    from isoloss.planning.facts import open_corpus as open_corpus
    from isoloss.planning.plan import plan as plan
    from isoloss.planning.shipped import shipped_law as shipped_law
    from isoloss.runs.archive import Archive as Archive
    from isoloss.runs.importers import read_runs as read_runs
    from isoloss.runs.observations import Observations as Observations
    from isoloss.runs.observations import observations as observations
    from isoloss.study.lab import Lab as Lab
    from isoloss.study.spec import Study as Study

_HOMES = {
    "Archive": "isoloss.runs.archive",
    "Chinchilla": "isoloss.laws",
    "Corpus": "isoloss.corpus.corpus",
    "DataDependent": "isoloss.data_dependence.data_dependent",
    "Estimate": "isoloss.core.estimate",
    "FittedDataDependent": "isoloss.data_dependence.data_dependent",
    "FittedLaw": "isoloss.fitting.fitted",
    "Grammar": "isoloss.grammar",
    "IsolossError": "isoloss.core.errors",
    "Lab": "isoloss.study.lab",
    "Observations": "isoloss.runs.observations",
    "Study": "isoloss.study.spec",
    "allow": "isoloss.core.consent",
    "observations": "isoloss.runs.observations",
    "open_corpus": "isoloss.planning.facts",
    "plan": "isoloss.planning.plan",
    "read_runs": "isoloss.runs.importers",
    "shipped_law": "isoloss.planning.shipped",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'isoloss' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
