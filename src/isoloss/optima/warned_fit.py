"""One law fitted to one group of runs, with all warnings: what `isoloss.fit` is."""

from typing import Unpack

from isoloss.fitting.fitted import FittedLaw
from isoloss.fitting.fitting import draws_or_usual
from isoloss.fitting.fitting import fit as fit_alone
from isoloss.laws.law import Law
from isoloss.laws.settings import USUAL, FitOptions, FitSettings
from isoloss.optima.lack_of_fit import warned_of_misfit
from isoloss.runs.observations import Observations


def fit(
    observations: Observations,
    *,
    law: str | type[Law] = "chinchilla",
    settings: FitSettings = USUAL,
    bootstrap: int | None = None,
    seed: int = 0,
    **options: Unpack[FitOptions],
) -> FittedLaw:
    """Return a law fitted to one group of runs, with `bootstrap` draws, and with the warning `lack_of_fit` if due.

    By default there are 1,000 draws; of more than 10,000 runs there are none.

    `options` change single `settings`: `fit(runs, objective="lad")`. `law="auto"` chooses by how laws predict training
    curves left out (`isoloss.fitting.choice`). Raises BadTable where the rows cannot determine the law.
    """
    draws = draws_or_usual(bootstrap, rows=len(observations))
    fitted = fit_alone(observations, law=law, settings=settings, bootstrap=draws, seed=seed, **options)
    return warned_of_misfit([fitted], observations, seed=seed)[0]
