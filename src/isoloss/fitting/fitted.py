"""What a fit leaves behind: the law at its optimum with its draws, and the evidence that it is one."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from isoloss.core.errors import identified
from isoloss.core.plain_json import fields_json
from isoloss.fitting.choice import LawChoice
from isoloss.fitting.domain import LawWarning
from isoloss.fitting.estimated import EstimatedLaw
from isoloss.fitting.evidence import Convergence, Exclusion, IntervalMethod, Outlier
from isoloss.fitting.known_floor import KnownFloor
from isoloss.laws.law import Floats
from isoloss.laws.settings import Objective, WeightsName
from isoloss.runs.observations import Observations

if TYPE_CHECKING:
    from isoloss.fitting.summary import Summary

FAR_OFF = 4.0  # robust standard deviations: of 1,000 normal rows one in sixteen tables has one


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedLaw(EstimatedLaw):
    """A law at its optimum, and how it came there.

    `objective_value` is the sum of the row losses; `rmse` the root mean square of ln L − ln L̂ over the rows used;
    `fixed` names parameters that were held; `floor` is the corpus's exact best possible loss next to E, where it is
    known. `choice` says how the law was chosen, where none was named.
    """

    objective: Objective
    delta: float
    objective_value: float
    convergence: Convergence
    warnings: tuple[LawWarning, ...]
    rmse: float
    excluded: tuple[Exclusion, ...] = ()
    interval_method: IntervalMethod
    seed: int
    fit_seconds: float = 0.0
    fixed: tuple[str, ...] = ()
    weights: WeightsName = "equal"
    bootstrap_seconds: float = 0.0
    trunk_evidence: tuple[float, ...] = ()
    floor: KnownFloor | None = None
    choice: LawChoice | None = None

    @property
    def evidence_of_others(self) -> Floats | None:
        """`trunk_evidence` as an array, or None where the law was fitted by itself."""
        return np.array(self.trunk_evidence) if self.trunk_evidence else None

    def residuals(self, observations: Observations) -> Floats:
        """Return ln L − ln L̂ of every row. Raises InputError where the table counts by another convention or unit."""
        self._check_convention(observations.params_convention, observations.data_unit)
        law = self.definition
        predicted = law.loss(self.values, **{name: observations.column(name) for name in law.columns})
        return np.asarray(np.log(observations.loss_nats) - np.log(predicted))

    def outliers(self, observations: Observations, *, beyond: float = FAR_OFF) -> list[Outlier]:
        """Return the rows more than `beyond` robust standard deviations off the law, the farthest first.

        The deviation is 1.4826 times the median of |ln L − ln L̂|, which a few such rows do not move.
        """
        found = self.residuals(observations)
        spread = max(1.4826 * float(np.median(np.abs(found))), np.finfo(float).tiny)
        far = np.flatnonzero(np.abs(found) > beyond * spread)
        order = far[np.argsort(-np.abs(found[far]), kind="stable")]
        rows, runs = observations.rows, observations.run
        return [
            Outlier(row=int(rows[i]), run=str(runs[i]), residual=float(found[i]), deviations=float(found[i] / spread))
            for i in order
        ]

    def summary(self) -> "Summary":
        """Return the fit as a page of text, which a notebook shows as tables."""
        from isoloss.fitting.summary import Summary, summary_text

        return Summary(summary_text(self), law=self)

    def _repr_html_(self) -> str:
        from isoloss.fitting.summary import summary_html

        return summary_html(self)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data: one element of `fits`. `exponent_a` is null where no optimum exists."""
        exponent = identified(self.exponent_a)
        condition = self.convergence.condition_number
        return {
            **fields_json(self, without=("definition", "draws", "noise", "convergence")),
            **fields_json(self.convergence),
            "law": self.law,
            "exponent_a": exponent and exponent.to_json(),
            "condition_number": condition if np.isfinite(condition) else None,
            "n_draws": len(self.draws),
        }

    def save(self, path: Path | str) -> None:
        """Write the law as JSON to `path` and its draws as Parquet next to it, atomically, the JSON last.

        Raises InputError for a law that its name would not find again: a class within a function, or in a notebook.
        """
        from isoloss.fitting.storage import save

        save(self, Path(path))

    @classmethod
    def load(cls, path: Path | str) -> "FittedLaw":
        """Return the law that `save` wrote. Raises InputError for another file, NewerArchive for a newer version's."""
        from isoloss.fitting.storage import load

        return load(cls, Path(path))
