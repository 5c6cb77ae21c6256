"""Laws of corpora whose coefficients follow a measure along known lines."""

import numpy as np

from isoloss.fitting.fitted import FittedLaw
from isoloss.fitting.fitting import fit
from isoloss.laws.chinchilla import Chinchilla
from isoloss.runs.observations import observations

LAW = {"E": 1.7, "A": 400.0, "B": 900.0, "alpha": 0.34, "beta": 0.3}
MEASURES = (0.1, 0.2, 0.3, 0.45, 0.6)


def five_laws(*, slope: float) -> tuple[list[FittedLaw], dict[str, float]]:
    """Return five fitted laws without noise whose α rises by `slope` per unit of the measure."""
    params, tokens = (grid.ravel() for grid in np.meshgrid(np.geomspace(1e6, 1e9, 6), np.geomspace(1e8, 1e11, 6)))
    laws, complexity = [], {}
    for measure in MEASURES:
        values = np.array([LAW["E"], LAW["A"], LAW["B"], LAW["alpha"] + slope * measure, LAW["beta"]])
        name = f"corpus {measure}"
        complexity[name] = measure
        loss = Chinchilla.loss(values, params=params, tokens=tokens)
        laws.append(fit(observations(params=params, tokens=tokens, loss_nats=loss, corpus=name)))
    return laws, complexity
