"""The best split of several laws, each weighted by how well it predicts training curves that were left out."""

from dataclasses import dataclass
from typing import Any

from isoloss.optima.best_size import best_sizes
from isoloss.runs.observations import Observations, observations

DRAWS = 200


@dataclass(frozen=True)
class Weighted:
    """The runs; a budget that lies outside them gets no answer."""

    runs: Observations
    seed: int

    def best(self, flops: float) -> tuple[float, float | None, float | None] | None:
        """Return the best tokens per parameter of a budget with its interval, None outside the runs."""
        (found,) = best_sizes(self.runs, budgets=[flops], draws=DRAWS, seed=self.seed)
        ratio = found.tokens_per_param
        return None if ratio is None else (ratio.value, ratio.low, ratio.high)


def fit(table: Any) -> Weighted:
    """Return what answers by the weighted optimum of a table."""
    runs = observations(
        params=table.params, tokens=table.tokens, loss_nats=table.loss_nats, trunk=table.trunk, corpus="masked"
    )
    return Weighted(runs, table.seed)
