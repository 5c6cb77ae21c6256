"""A law of isoloss fitted as every user fits it, in the arena's words."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from isoloss.core.estimate import Estimate
from isoloss.fitting.fitted import FittedLaw
from isoloss.fitting.fitting import fit
from isoloss.laws.law import Floats
from isoloss.planning.design import Candidate, Noise, next_runs
from isoloss.runs.observations import observations

DRAWS = 200
FAR = 10.0  # times the dearest candidate: where the loss is wanted that the next runs should tell
NOISE = Noise(point_sd=0.005, trunk_sd=0.01)  # of ln L, as seeds of small models differ


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

    def floor(self) -> tuple[float, float | None, float | None] | None:
        """Return E with its interval; None from a law without one."""
        found: Estimate | None = self.law.params.get("E")
        return None if found is None else (found.value, found.low, found.high)

    def next(self, params: Floats, tokens: Floats, flops: float) -> tuple[int, ...]:
        """Return which candidates narrow the loss far ahead most, for at most `flops`."""
        size = params.max()
        dear = FAR * (params * tokens).max() / size
        quantity = np.log(self.law.predict_draws(params=np.array([size]), tokens=np.array([dear]))[:, 0])
        candidates = [
            Candidate(params=n, tokens=d, trunk=f"new {n:g}")
            for n, d in zip(params.tolist(), tokens.tolist(), strict=True)
        ]
        return next_runs(self.law, quantity, candidates, flops=flops, noise=NOISE).chosen


def fit_law(table: Any, name: str) -> LawMethod:
    """Return the law called `name` fitted by Huber's loss of ln L, with 200 draws."""
    runs = observations(
        params=table.params, tokens=table.tokens, loss_nats=table.loss_nats, trunk=table.trunk, corpus="masked"
    )
    return LawMethod(fit(runs, law=name, bootstrap=DRAWS, seed=table.seed))
