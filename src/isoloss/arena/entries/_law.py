"""A law of isoloss fitted as every user fits it, in the arena's words."""

from dataclasses import dataclass
from typing import Any

from isoloss.core.estimate import Estimate
from isoloss.fitting.fitted import FittedLaw
from isoloss.fitting.fitting import fit
from isoloss.laws.law import Floats
from isoloss.runs.observations import observations

DRAWS = 200


@dataclass(frozen=True)
class LawMethod:
    """A fitted law; every question but the floor is answered by its losses and draws."""

    law: FittedLaw

    def predict(self, params: Floats, tokens: Floats) -> Floats:
        """Return the loss at points (n,)."""
        return self.law.predict(params=params, tokens=tokens)

    def draws(self, params: Floats, tokens: Floats) -> Floats:
        """Return the loss of every draw at points: (draws, n)."""
        return self.law.predict_draws(params=params, tokens=tokens)

    def floor(self) -> tuple[float, float | None, float | None]:
        """Return E with its interval."""
        found: Estimate = self.law.params["E"]
        return found.value, found.low, found.high


def fit_law(table: Any, name: str) -> LawMethod:
    """Return the law called `name` fitted by Huber's loss of ln L, with 200 draws."""
    runs = observations(
        params=table.params, tokens=table.tokens, loss_nats=table.loss_nats, trunk=table.trunk, corpus="masked"
    )
    return LawMethod(fit(runs, law=name, bootstrap=DRAWS, seed=table.seed))
