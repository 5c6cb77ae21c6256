"""One loss from another: L = E + K (L′ − E′)^κ (Brandfonbrener et al. 2024, arXiv:2411.12925).

L′ is the loss on another corpus: of the model trained on that corpus with equal parameters and tokens (train-to-train),
or of the same model tested on both (train-to-test, test-to-test). `pair_losses` brings two corpora's runs together.
"""

from itertools import product
from typing import Any

import numpy as np

from isoloss.core.errors import BadTable
from isoloss.laws._arithmetic import compiled
from isoloss.laws.law import Floats, OfLogarithms
from isoloss.laws.starts import linear_terms, spread
from isoloss.runs.observations import Observations

MOST_EXPONENT, LEAST_EXPONENT = 10.0, 0.02
# E′ stays below the smallest L′ by this share of their span: at L′ itself (L′ − E′)^κ has no slope.
GAP = 1e-3
SAME_PLACE = 0.01  # of ln N and of ln D: what pairs
START_SHARES = (0.0, 0.4, 0.7, 0.85, 0.95, 0.99)  # of the smallest L′
EVENLY_SPREAD = 32
START_EXPONENTS = (0.3, 0.6, 1.0, 1.6, 2.5)


@compiled
def _loss_to_loss(free: Any, features: Any, log_loss: Any, jacobian: Any) -> None:
    """ln(E + exp(k + κ ln(x − e))) and its derivatives by (E, e, k, κ); x and e are L′ and E′."""
    E, e, k, kappa = free
    for i in range(log_loss.size):
        log_excess = np.log(features[0, i] - e)
        term = np.exp(k + kappa * log_excess)
        loss = E + term
        log_loss[i] = np.log(loss)
        share = term / loss
        jacobian[0, i] = 1.0 / loss
        jacobian[1, i] = -share * kappa / (features[0, i] - e)
        jacobian[2, i] = share
        jacobian[3, i] = share * log_excess


class LossToLoss(OfLogarithms):
    """L = E + K (L′ − E′)^κ. Free parameters: E, E′, ln K, κ."""

    name = "loss_to_loss"
    formula = "L = E + K (L′ − E′)^κ"
    source = "Brandfonbrener et al. 2024, arXiv:2411.12925"
    parameters = ("E", "E_other", "K", "kappa")
    columns = ("other_loss",)
    may_be_narrow = frozenset({"other_loss"})
    logarithms = ("K",)
    kernel = _loss_to_loss

    @staticmethod
    def features(*, other_loss: Floats) -> Floats:
        """Return L′."""
        return np.asarray(np.asarray(other_loss)[:, None])

    @staticmethod
    def origin(features: Floats) -> Floats:
        """Return 0: losses count from nothing, as E′ does."""
        return np.zeros(features.shape[1])

    @staticmethod
    def bounds(features: Floats, log_loss: Floats) -> tuple[Floats, Floats]:
        """Return bounds: E′ from 0 to just below the least L′; exponents in [.02, 10]."""
        least, span = float(features.min()), float(np.ptp(features))
        top = float(log_loss.max())
        return (
            np.array([0.0, 0.0, -30.0, LEAST_EXPONENT]),
            np.array([np.exp(top), least - GAP * span, top + 30, MOST_EXPONENT]),
        )

    @staticmethod
    def automatic_starts(features: Floats, log_loss: Floats) -> Floats:
        """Return 62 starts: E′ and κ on a grid with the best E and K for each, and 32 spread evenly."""
        x = features[:, 0]
        least, span = float(x.min()), float(np.ptp(x))
        share, kappa = np.array(list(product(START_SHARES, START_EXPONENTS))).T
        e = np.minimum(least * share, least - GAP * span)
        power = (x - e[:, None]) ** kappa[:, None]
        E, k = linear_terms([np.ones_like(power), power], log_loss).T
        grid = np.column_stack([np.exp(E), e, k, kappa])
        return np.vstack([grid, spread(*LossToLoss.bounds(features, log_loss), EVENLY_SPREAD)])

    @staticmethod
    def loss(values: Floats, *, other_loss: Floats) -> Floats:
        """Return E + K (L′ − E′)^κ; E where L′ is below E′."""
        E, other, K, kappa = np.moveaxis(values, -1, 0)
        return np.asarray(E + K * np.power(np.maximum(other_loss - other, 0.0), kappa))

    @classmethod
    def silence(cls, values: Floats, **columns: float) -> str | None:
        """Return why nothing is said of L′ at or below E′, where the formula has no value; None above it."""
        E, least, other = float(values[0]), float(values[1]), columns["other_loss"]
        if other > least:
            return None
        return (
            f"a loss of {other:.4g} on the other corpus does not exceed E′ = {least:.4g}, the lowest that the law "
            f"allows there. The prediction is E = {E:.4g}, which only says that the loss is about that low. Fit "
            "runs with losses that low."
        )


def pair_losses(observations: Observations, *, other: str) -> Observations:
    """Return every run with the loss of corpus `other` at the same parameters and tokens, as column `other_loss`.

    The same is within 1 %: whole batches make token counts differ by that much. Runs of `other` itself are left out,
    and so are runs without a partner; several partners count as their mean of ln loss. Raises BadTable where nothing
    pairs.
    """
    partners = observations.where(corpus=other)
    rest = observations.select(observations.corpus != other)
    matches = np.ones((len(rest), len(partners)), dtype=bool)
    for mine, theirs in ((rest.params, partners.params), (rest.tokens, partners.tokens)):
        matches &= np.abs(np.subtract.outer(np.log(mine), np.log(theirs))) <= SAME_PLACE
    counts = matches.sum(axis=1)
    if not counts.any():
        raise BadTable(
            f"no run has a partner on {other!r} with the same parameters and tokens",
            fix="train the corpora on one grid, or give a column of losses on the other corpus itself",
        )
    paired = counts > 0
    log_losses = matches[paired] @ np.log(partners.loss_nats) / counts[paired]
    return rest.select(paired).with_extra(other_loss=np.exp(log_losses))
